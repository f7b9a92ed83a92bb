//! What a host may send to a destination before somebody has looked at it, kept and enforced here
//! so that it holds while the agent is stopped.

use core::mem::offset_of;

use aya_ebpf::bindings::BPF_NOEXIST;
use aya_ebpf::macros::map;
use aya_ebpf::maps::{Array, HashMap};
use detector_common::Packet;
use detector_common::abi::{BUDGET_RULES as RULES, Totals};
use detector_common::flow::{Add as _, Direction, FlowCounters, FlowKey};
use detector_common::frame::Frame as _;
use detector_common::policy::{Budget, BudgetKey, Mode, PortClass, budget_rule, is_private};

use crate::decide::home_class;
use crate::events;
use crate::frame::Context;
use crate::stats::{self, Point, Variant, Xadd};

/// Key: [`BudgetKey`]. Value: [`Budget`]. A hash and not an LRU: an evicted budget would begin
/// anew.
#[map]
static BUDGETS: HashMap<BudgetKey, Budget> = HashMap::with_max_entries(65_536, 0);

/// Key: [`budget_rule`]. Value: payload bytes; 0 for no budget.
#[map]
static BUDGET_RULES: Array<u64> = Array::with_max_entries(RULES, 0);

/// The budget that packets in `direction` draw on, which come from a home host.
///
/// The addresses are found by arithmetic. A branch would decide where in the key each of them is
/// written, and the verifier of Linux 5.15 does not see that either way both places are: "invalid
/// indirect read from stack".
#[inline(always)]
fn budget_of(key: &FlowKey, direction: Direction) -> BudgetKey {
    const { assert!(offset_of!(FlowKey, low) == 0 && offset_of!(FlowKey, high) == 16) };
    let direction = direction as u8;
    // SAFETY: a local variable. The compiler, which knows its two values, would make a branch of it.
    let home = usize::from(unsafe { core::ptr::read_volatile(&raw const direction) } & 1);
    let addresses = core::ptr::from_ref(key).cast::<[u8; 16]>();
    // SAFETY: a key begins with its two addresses.
    unsafe { BudgetKey { home: *addresses.add(home), destination: *addresses.add(home ^ 1) } }
}

/// A budget as it is when somebody sends for the first time.
#[inline(always)]
fn fresh(limit: u64, now: u64) -> Budget {
    Budget { limit, opened: now, ..Budget::default() }
}

/// What the host that sends in `outbound` may send to a destination before it has sent anything; 0 where
/// there is no budget for it.
#[inline(always)]
fn limit_of(key: &FlowKey, budget: &BudgetKey, outbound: Direction) -> u64 {
    let (_, port) = key.destination(outbound);
    let ports = PortClass::of(key.protocol, port);
    let rule = budget_rule(home_class(budget), ports, is_private(&budget.destination));
    BUDGET_RULES.get(rule).copied().unwrap_or(0)
}

/// Whether there is a budget for a flow of which one end, `home`, is home. It is opened by the first payload
/// that this end sends: packets from outside, whoever sends them, take no room.
#[inline(never)]
pub(crate) fn is_meant(key: &FlowKey, home: u8) -> bool {
    let outbound =
        if home == FlowCounters::HOME_LOW { Direction::FromLow } else { Direction::FromHigh };
    limit_of(key, &budget_of(key, outbound), outbound) != 0
}

/// Opens the budget that a packet draws on. False where there is no room.
#[inline(never)]
fn open(packet: &Packet, key: &BudgetKey, now: u64) -> bool {
    let limit = match limit_of(&packet.key, key, packet.direction) {
        0 => Budget::FREE,
        limit => limit,
    };
    matches!(BUDGETS.insert(key, fresh(limit, now), u64::from(BPF_NOEXIST)), Ok(()) | Err(EEXIST))
}

/// Another processor was first.
const EEXIST: i32 = -17;

/// What became of a packet that was charged to its budget.
pub(crate) const WITHIN: u32 = 0;
pub(crate) const HELD: u32 = 1;
/// There is no room for its budget.
pub(crate) const REFUSED: u32 = 2;

/// Charges an outbound packet with payload to its budget.
#[inline(never)]
pub(crate) fn charge<V: Variant>(packet: &Packet, now: u64, totals: &mut Totals) -> u32 {
    let key = budget_of(&packet.key, packet.direction);
    let known = match BUDGETS.get_ptr_mut(&key) {
        Some(budget) => Some(budget),
        None if open(packet, &key, now) => BUDGETS.get_ptr_mut(&key),
        None => None,
    };
    let Some(budget) = known else { return REFUSED };
    // SAFETY: a value of a preallocated map stays in place; what has several writers is added to
    // atomically.
    let budget = unsafe { &mut *budget };
    let control = stats::control();
    let payload = u64::from(packet.payload_bytes);
    budget.last_seen = now;
    if take::<V>(budget, payload) {
        return WITHIN;
    }
    if budget.held_since == 0 {
        budget.held_since = now;
        events::budget(&packet.key, &key, budget.limit, now, totals);
    }
    if now.saturating_sub(budget.held_since) >= control.budget_hold_ticks {
        budget.limit = Budget::FREE;
        budget.timed_out = 1;
        totals.budgets_timed_out += 1;
        Xadd::add(&mut budget.charged, payload);
        return WITHIN;
    }
    if control.mode_at(now) != Mode::BLOCK {
        Xadd::add(&mut budget.charged, payload);
        stats::count(&mut totals.simulated, packet.segments, packet.ip_bytes);
        return WITHIN;
    }
    Xadd::add(&mut budget.held_packets, u64::from(packet.segments));
    Xadd::add(&mut budget.held_bytes, payload);
    stats::count(&mut totals.held, packet.segments, packet.ip_bytes);
    HELD
}

/// Charges what fits. Exact between processors where additions return the old value; else each
/// processor may be a packet late to see what the others have charged.
#[inline(always)]
fn take<V: Variant>(budget: &mut Budget, payload: u64) -> bool {
    let limit = budget.limit;
    if !V::FETCH {
        let fits = budget.charged.saturating_add(payload) <= limit;
        if fits {
            Xadd::add(&mut budget.charged, payload);
        }
        return fits;
    }
    // Looked at before anything is added: what a crowd of held packets adds for an instant would
    // otherwise hold a smaller one that fits.
    if budget.charged.saturating_add(payload) > limit {
        return false;
    }
    let before = V::fetch_add(&mut budget.charged, payload);
    let fits = before.saturating_add(payload) <= limit;
    if !fits {
        Xadd::add(&mut budget.charged, payload.wrapping_neg());
    }
    fits
}

/// Gives the budget whose key the frame begins with the limit that follows, and opens it where
/// nobody has sent yet. 0 where that is done.
#[inline(always)]
pub(crate) fn set<C: Context>(context: &C) -> i32 {
    let Some(Point { word, .. }) = stats::numbered(0) else { return 1 };
    let Some(words) = context.frame(word).load(0) else { return 1 };
    let (key, limit) = BudgetKey::with_limit(words);
    if let Some(budget) = BUDGETS.get_ptr_mut(&key) {
        // SAFETY: a value of a preallocated map stays in place, and each field is one store.
        unsafe {
            (*budget).limit = limit;
            (*budget).timed_out = 0;
            (*budget).held_since = 0;
        }
        return 0;
    }
    let now = stats::clock(stats::control()).now;
    i32::from(BUDGETS.insert(&key, fresh(limit, now), u64::from(BPF_NOEXIST)).is_err())
}
