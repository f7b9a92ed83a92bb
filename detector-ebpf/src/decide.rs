//! What the policy maps say about a flow. Consulted for a flow's first packet, after the agent has
//! changed a map and when time has changed the answer; every other packet compares the word cached
//! in its flow.

use aya_ebpf::bindings::BPF_F_NO_PREALLOC;
use aya_ebpf::macros::map;
use aya_ebpf::maps::lpm_trie::{Key, LpmTrie};
use aya_ebpf::maps::{Array, HashMap, PerCpuArray};
use detector_common::flow::{Clock, FlowCounters, FlowKey};
use detector_common::parse::protocol;
use detector_common::policy::{
    BudgetKey, Cached, Entry, MAX_NESTED, Mode, Prefix, TargetKey, is_destination,
};

use crate::budget;
use crate::entry_stats;
use crate::stats;

type Prefixes = LpmTrie<[u8; 16], u32>;

/// Key: the number of a block or an exception; 0 is none. Value: [`Entry`]. Written by the agent
/// only, and an array, because a lookup in one is an addition.
#[map]
pub(crate) static POLICY: Array<Entry> = Array::with_max_entries(ENTRIES, 0);

/// Key: what a block is about, but for a prefix. Value: its number in POLICY. A hash and not an LRU:
/// a block is never evicted in silence.
#[map]
static BLOCKS: HashMap<TargetKey, u32> = HashMap::with_max_entries(MAX_BLOCKS, 0);

/// Key: a prefix of destinations. Value: its number in POLICY. A trie, because the longest prefix
/// is what is looked for; not preallocated, which the kernel does not do for tries.
#[map]
static PREFIXES: Prefixes = LpmTrie::with_max_entries(MAX_PREFIXES, BPF_F_NO_PREALLOC);

/// Key: a prefix that no block may touch, of either family. Value: its number in POLICY.
#[map]
static NEVER_BLOCK: Prefixes = LpmTrie::with_max_entries(MAX_EXCEPTIONS, BPF_F_NO_PREALLOC);

/// Key: prefix. Value: its home class. The home networks, both families.
#[map]
static HOME: Prefixes = LpmTrie::with_max_entries(1_024, BPF_F_NO_PREALLOC);

/// One entry: the question being answered, too large for the stack of 512 bytes.
#[map]
static QUESTION: PerCpuArray<PolicyLookup> = PerCpuArray::with_max_entries(1, 0);

const MAX_BLOCKS: u32 = 65_536;
const MAX_PREFIXES: u32 = 16_384;
const MAX_EXCEPTIONS: u32 = 4_096;
/// Every block and exception, and the number that stands for none.
pub(crate) const ENTRIES: u32 = MAX_BLOCKS + MAX_PREFIXES + MAX_EXCEPTIONS + 1;

/// One end of a flow.
const LOW: u32 = 0;
const HIGH: u32 = 1;
/// The end that the entry itself names.
const NAMED: u32 = 2;

/// What is asked about a packet and its flow, and what is known so far. In a map because the
/// verifier does not follow what is in a map: all ways through one lookup are one before the next.
#[repr(C)]
pub(crate) struct PolicyLookup {
    target: TargetKey,
    pub(crate) clock: Clock,
    /// Read before the maps are.
    pub(crate) generation: u64,
    mode: u64,
    /// The next change of mode, or `u64::MAX`.
    mode_until: u64,
    /// The earliest tick at which the answer could be another; 0 where it never is.
    pub(crate) recheck: u64,
    /// 0 where another observation point counts the packet.
    pub(crate) counted: u32,
    /// Stands where its address is aligned, which is then copied in words of eight bytes.
    prefix: Prefix,
    /// The strongest entry for each end as the destination.
    best: [Best; 2],
    /// Exceptions of each end: from everything, and as a destination.
    full: [u32; 2],
    as_destination: [u32; 2],
    /// The entry that wins and what is to be done, as bits of [`Cached`].
    pub(crate) entry: u32,
    pub(crate) todo: u32,
    /// Not 0 while entries of hosts are looked for and both ends are home.
    internal: u32,
    reserved: u32,
}

#[derive(Clone, Copy)]
#[repr(C)]
struct Best {
    /// Strength, then how closely the kind of target describes the flow; 0 is none.
    rank: u32,
    number: u32,
}

const _: () = assert!(core::mem::offset_of!(PolicyLookup, prefix) % 8 == 4);

const NOTHING: Best = Best { rank: 0, number: 0 };

impl Best {
    const STRENGTH_SHIFT: u32 = 8;

    #[inline(always)]
    fn strength(self) -> u32 {
        self.rank >> Self::STRENGTH_SHIFT
    }
}

impl PolicyLookup {
    /// Begins to ask.
    #[inline(always)]
    pub(crate) fn about(
        clock: &Clock,
        generation: u64,
        counted: bool,
    ) -> Option<&'static mut Self> {
        let question = QUESTION.get_ptr_mut(0)?;
        // SAFETY: this processor's own entry, and one program runs on it at a time.
        let question = unsafe { &mut *question };
        question.clock = *clock;
        question.generation = generation;
        question.counted = u32::from(counted);
        Some(question)
    }

    /// Looks for prefixes around one end from the longest on.
    #[inline(always)]
    fn look_around(&mut self, key: &FlowKey, end: u32) {
        self.prefix.length = 128;
        // Two copies and not one of a pointer to either: their alignment is known.
        if end == LOW {
            self.prefix.address = key.low;
        } else {
            self.prefix.address = key.high;
        }
    }

    /// Asks again at `tick` at the latest.
    #[inline(always)]
    fn recheck_at(&mut self, tick: u64) {
        if tick < self.recheck {
            self.recheck = tick;
        }
    }
}

/// The value of the longest prefix of `prefix`, up to its length.
#[inline(always)]
fn longest(prefixes: &Prefixes, prefix: &Prefix) -> Option<u32> {
    // SAFETY: both are a length and 16 bytes of address without padding; the trie's own type only
    // is less aligned.
    let key = unsafe { &*core::ptr::from_ref(prefix).cast::<Key<[u8; 16]>>() };
    prefixes.get(key).copied()
}

/// The home class of a budget's host.
#[inline(always)]
pub(crate) fn home_class(budget: &BudgetKey) -> u32 {
    longest(&HOME, &Prefix::host(budget.home)).unwrap_or(0)
}

/// Which endpoints are home: the bits of [`FlowCounters::home`].
#[inline(never)]
pub(crate) fn home(key: &FlowKey) -> u8 {
    let mut home = 0;
    if longest(&HOME, &Prefix::host(key.low)).is_some() {
        home |= FlowCounters::HOME_LOW;
    }
    if longest(&HOME, &Prefix::host(key.high)).is_some() {
        home |= FlowCounters::HOME_HIGH;
    }
    home
}

/// Asks what is to be done with a flow.
///
/// Exceptions come before any block in effect and after them in time: they cost a lookup or more
/// for each end, and most flows have nothing to be spared from.
#[inline(never)]
pub(crate) fn decide(question: &mut PolicyLookup, key: &FlowKey, home: u8) {
    let control = stats::control();
    let now = question.clock.now;
    question.mode = control.mode_at(now);
    question.mode_until = if control.mode_until > now { control.mode_until } else { u64::MAX };
    question.recheck = u64::MAX;
    question.best = [NOTHING; 2];
    question.full = [0; 2];
    question.as_destination = [0; 2];
    question.entry = 0;
    question.todo = 0;
    question.internal = 0;
    if control.targets != 0 {
        candidates(question, key, home, control.targets as u32);
    }
    let one_home = home == FlowCounters::HOME_LOW || home == FlowCounters::HOME_HIGH;
    let budgeted = one_home && control.budgets != 0;
    let wanted = question.best[0].rank | question.best[1].rank != 0;
    if wanted || budgeted {
        exceptions(question, key, LOW);
        exceptions(question, key, HIGH);
        let spared = spare(question);
        if !spared {
            win(question);
            if budgeted {
                limit(question, key, home);
            }
        }
    }
    if question.todo != 0 || question.recheck != u64::MAX {
        question.todo |= u32::from(Cached::TIMED);
    } else {
        question.recheck = 0;
    }
}

/// Finds what covers the flow.
#[inline(never)]
fn candidates(question: &mut PolicyLookup, key: &FlowKey, home: u8, targets: u32) {
    let asked = |kind: u8| targets & 1 << kind != 0;
    let low_home = home & FlowCounters::HOME_LOW != 0;
    let high_home = home & FlowCounters::HOME_HIGH != 0;
    let low = is_destination(low_home, high_home);
    let high = is_destination(high_home, low_home);
    if asked(TargetKey::FLOW) {
        question.target = TargetKey::flow(key);
        block(question, NAMED, 8);
    }
    if asked(TargetKey::PAIR) {
        question.target = TargetKey::pair(key.low, key.high);
        block(question, NAMED, 7);
    }
    if asked(TargetKey::SERVICE) && protocol::has_ports(key.protocol) {
        if low {
            question.target = TargetKey::service(key.low, key.low_port);
            block(question, LOW, 6);
        }
        if high {
            question.target = TargetKey::service(key.high, key.high_port);
            block(question, HIGH, 5);
        }
    }
    if asked(TargetKey::HOST) {
        question.internal = u32::from(low_home && high_home);
        question.target = TargetKey::host(key.low);
        block(question, LOW, 4);
        question.target = TargetKey::host(key.high);
        block(question, HIGH, 3);
        question.internal = 0;
    }
    if asked(TargetKey::PREFIX) {
        if low {
            nested(question, key, LOW, 2);
        }
        if high {
            nested(question, key, HIGH, 1);
        }
    }
}

/// Looks for a block on the question's target. `place`: the higher, the closer the kind describes
/// the flow.
#[inline(never)]
fn block(question: &mut PolicyLookup, end: u32, place: u32) {
    // SAFETY: the number is copied at once; a concurrent delete leaves its memory in place.
    let Some(number) = (unsafe { BLOCKS.get(&question.target) }) else { return };
    let number = *number;
    if let Some(entry) = POLICY.get(number) {
        weigh(question, entry, number, end, place);
    }
}

/// Weighs every prefix around an address: the longest may be weaker than a shorter one, or not in
/// force.
#[inline(never)]
fn nested(question: &mut PolicyLookup, key: &FlowKey, end: u32, place: u32) {
    question.look_around(key, end);
    for _ in 0..MAX_NESTED {
        let Some(number) = longest(&PREFIXES, &question.prefix) else { return };
        let Some(entry) = POLICY.get(number) else { return };
        weigh(question, entry, number, end, place);
        if entry.prefix_length == 0 {
            return;
        }
        question.prefix.length = u32::from(entry.prefix_length) - 1;
    }
}

/// Takes an entry that covers the flow for one of its ends, if it is stronger than what that end
/// has.
#[inline(never)]
fn weigh(question: &mut PolicyLookup, entry: &Entry, number: u32, end: u32, place: u32) {
    let now = question.clock.now;
    if entry.not_before > now {
        question.recheck_at(entry.not_before);
    }
    if number == 0 || !entry.in_force(now) {
        return;
    }
    // The agent's entry on a host is about what leaves; a person's is about all of the host.
    if question.internal != 0 && entry.flags & Entry::BY_AGENT != 0 {
        return;
    }
    question.recheck_at(entry.deadline);
    if entry.flags & Entry::BY_AGENT != 0 {
        question.recheck_at(question.mode_until);
    }
    let strength = u32::from(entry.strength(question.mode));
    if strength == 0 {
        return;
    }
    let named = if entry.flags & Entry::DESTINATION_LOW != 0 { LOW } else { HIGH };
    let end = if end == NAMED { named } else { end };
    let rank = strength << Best::STRENGTH_SHIFT | place;
    // Written out: an index into the two would be one more bound for the verifier to see.
    let best = if end == LOW { &mut question.best[0] } else { &mut question.best[1] };
    if rank > best.rank {
        *best = Best { rank, number };
    }
}

/// Finds the exceptions around one end.
#[inline(never)]
fn exceptions(question: &mut PolicyLookup, key: &FlowKey, end: u32) {
    question.look_around(key, end);
    for _ in 0..MAX_NESTED {
        let Some(number) = longest(&NEVER_BLOCK, &question.prefix) else { return };
        let Some(entry) = POLICY.get(number) else { return };
        if entry.not_before > question.clock.now {
            question.recheck_at(entry.not_before);
        } else if question.clock.now < entry.deadline && number != 0 {
            question.recheck_at(entry.deadline);
            let slot = if end == LOW { 0 } else { 1 };
            if entry.flags & Entry::AS_DESTINATION == 0 {
                question.full[slot] = number;
                return;
            }
            if question.as_destination[slot] == 0 {
                question.as_destination[slot] = number;
            }
        }
        if entry.prefix_length == 0 {
            return;
        }
        question.prefix.length = u32::from(entry.prefix_length) - 1;
    }
}

/// Takes away what exceptions cover. True where the flow is spared from everything.
#[inline(always)]
fn spare(question: &mut PolicyLookup) -> bool {
    let wanted = question.best[0].rank | question.best[1].rank != 0;
    let full = if question.full[0] != 0 { question.full[0] } else { question.full[1] };
    if full != 0 {
        if wanted {
            entry_stats::spared(full, question.clock.now);
        }
        return true;
    }
    let mut counted = 0;
    for end in 0..2 {
        let exception = question.as_destination[end];
        if exception != 0 && question.best[end].rank != 0 {
            // One may cover both ends, and this is one decision.
            if exception != counted {
                entry_stats::spared(exception, question.clock.now);
            }
            counted = exception;
            question.best[end] = NOTHING;
        }
    }
    false
}

/// Says what is to be done by the strongest entry that is left.
#[inline(always)]
fn win(question: &mut PolicyLookup) {
    let [low, high] = question.best;
    let best = if low.rank > high.rank { low } else { high };
    question.entry = best.number;
    let todo = match best.strength() {
        4 => Cached::DROP,
        3 => Cached::POLICE,
        2 => Cached::MARK,
        1 => Cached::SIMULATE | pretended(best.number),
        _ => 0,
    };
    question.todo = u32::from(todo);
}

/// What a simulated entry counts for, if not for everything.
#[inline(always)]
fn pretended(number: u32) -> u8 {
    match POLICY.get(number).map(|entry| entry.action) {
        Some(Entry::POLICE) => Cached::POLICE,
        Some(Entry::MARK) => Cached::MARK,
        _ => 0,
    }
}

/// Gives a flow with one home end its budget, unless it is dropped anyway.
#[inline(always)]
fn limit(question: &mut PolicyLookup, key: &FlowKey, home: u8) {
    question.recheck_at(question.mode_until);
    if question.mode == Mode::OBSERVE || question.todo & u32::from(Cached::DROP) != 0 {
        return;
    }
    if budget::is_meant(key, home) {
        question.todo |= u32::from(Cached::BUDGET);
    }
}
