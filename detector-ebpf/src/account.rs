//! Every packet to its flow; where there is no flow, to a counter that says why.

use aya_ebpf::bindings::BPF_NOEXIST;
use aya_ebpf::macros::map;
use aya_ebpf::maps::{Array, HashMap, LruHashMap, PerCpuArray};
use detector_common::abi::{
    CLOSE_BATCH, Control, Count, FRAGMENT_SECONDS, FragmentKey, FragmentPorts, Hook, MAX_FRAGMENTS,
    MAX_UNOPENED, OverflowCounters, OverflowKey, Totals,
};
use detector_common::flow::{Add as _, Clock, Direction, FlowCounters, FlowKey, Recorded, Seen};
use detector_common::frame::{Frame, LinkType};
use detector_common::parse::{
    Decapsulation, Fragment, Packet, goes_to_group, parse, skipped_frames,
};
use detector_common::policy::{Cached, Decision};

use crate::decide::PolicyLookup;
use crate::enforce::{Verdict, enforce};
use crate::events::Sampled;
use crate::frame::{Context, Payload};
use crate::stats::{self, Point, Variant, Xadd, count};
use crate::{decide, events, trace};

/// Key: [`FlowKey`]. Value: [`FlowCounters`]. A preallocated hash shared by all processors:
/// per-processor maps are slower at many flows and an LRU evicts without a word.
#[map]
static FLOWS: HashMap<FlowKey, FlowCounters> = HashMap::with_max_entries(65_536, 0);

/// Key: home host and direction. Value: [`OverflowCounters`]. Takes what FLOWS has no room for.
#[map]
static OVERFLOW: HashMap<OverflowKey, OverflowCounters> = HashMap::with_max_entries(4_096, 0);

/// Key: [`FragmentKey`]. Value: the first fragment's ports. An LRU, because first fragments whose
/// followers never come must make room; what it forgets is counted when a follower does come.
#[map]
static FRAGMENTS: LruHashMap<FragmentKey, FragmentPorts> =
    LruHashMap::with_max_entries(MAX_FRAGMENTS, 0);

/// Values too large for the stack of 512 bytes, see [`NEW`] and [`NO_FLOW`].
#[map]
static TEMPLATE: PerCpuArray<FlowCounters> = PerCpuArray::with_max_entries(2, 0);

/// The place in TEMPLATE of the value of a flow being opened, all zero but for what every flow is
/// given anew.
const NEW: u32 = 0;
/// The place of the flow of a packet that has none.
const NO_FLOW: u32 = 1;

/// Key: what a frame is that is no IP, see [`detector_common::parse::number`]. Value: frames and their
/// bytes. Kinds beyond its room are in the totals by reason alone.
#[map]
static UNOPENED: HashMap<u32, Count> = HashMap::with_max_entries(MAX_UNOPENED, 0);

/// One entry: packets and IP bytes of all flows that were deleted. Added to by the program that
/// deletes, so that an agent which is killed meanwhile leaves neither without the other.
#[map]
static REMOVED: Array<Count> = Array::with_max_entries(1, 0);

/// Tunnels that are opened, as the bits of [`Decapsulation`]. Set before the programs are loaded:
/// the verifier removes the code for those that are not.
#[unsafe(no_mangle)]
static DECAPSULATION: u32 = 0;

/// Accounts one frame and says what happens to it. What cannot be accounted passes.
#[inline(always)]
pub(crate) fn account<V: Variant, C: Context>(context: &C, hook: Hook) -> Decision {
    let Some(interface) = stats::interface(context.interface_index()) else {
        return Decision::Pass;
    };
    let Some(point) = stats::point(interface, hook) else { return Decision::Pass };
    let Point { totals, packet, word } = point;
    let frame = context.frame(word);
    // SAFETY: a constant of the loaded program, read where the compiler must not fold it.
    let bits = unsafe { core::ptr::read_volatile(&raw const DECAPSULATION) };
    let link = LinkType::from_u8(interface.link);
    match parse(&frame, link, Decapsulation::from_bits(bits), packet) {
        Ok(()) => {
            // Not before: the verifier would walk through the parser once for each answer.
            let seen = stats::seen(context, interface, hook);
            let decision = packet_seen::<V, _>(&frame, link, packet, totals, seen);
            if let Decision::Mark(codepoint) = decision {
                mark(&frame, packet, codepoint);
            }
            decision
        }
        Err(skip) => {
            let (frames, bytes) = skipped_frames(&frame);
            count(&mut totals.frames, frames, bytes);
            if let Some(skipped) = totals.skipped.get_mut(skip as usize) {
                count(skipped, frames, bytes);
            }
            if skip.is_unopened() {
                unopened(packet.unopened, frames, bytes);
            }
            Decision::Pass
        }
    }
}

/// Counts a frame that is no IP by what it is.
#[inline(never)]
fn unopened(number: u32, frames: u32, bytes: u32) {
    if UNOPENED.get_ptr_mut(&number).is_none()
        && UNOPENED.insert(&number, &Count::default(), u64::from(BPF_NOEXIST)).is_err()
    {
        // Full, or another processor was first: the lookup tells.
    }
    if let Some(kind) = UNOPENED.get_ptr_mut(&number) {
        // SAFETY: a value of a preallocated map stays in place.
        let kind = unsafe { &mut *kind };
        Xadd::add(&mut kind.packets, u64::from(frames));
        Xadd::add(&mut kind.bytes, u64::from(bytes));
    }
}

/// Marks the packet, unless a check of integrity covers it.
#[inline(always)]
fn mark<F: Payload>(frame: &F, packet: &Packet, codepoint: u8) {
    const ETHERNET_BYTES: u32 = 14;
    if packet.ip_offset == ETHERNET_BYTES || packet.sealed == 0 {
        frame.mark(packet.ip_offset, codepoint);
    }
}

#[inline(always)]
fn packet_seen<V: Variant, F: Payload>(
    frame: &F,
    link: LinkType,
    packet: &mut Packet,
    totals: &mut Totals,
    seen: Option<Seen>,
) -> Decision {
    let control = stats::control();
    count(&mut totals.frames, packet.segments, packet.frame_bytes);
    totals.link_bytes += u64::from(packet.frame_bytes - packet.ip_bytes);
    let Some(seen) = seen else {
        // What counts it decides about it, too.
        count(&mut totals.duplicates, packet.segments, packet.ip_bytes);
        return Decision::Pass;
    };
    let clock = stats::clock(control);
    if packet.fragment != Fragment::None {
        fragment(packet, &clock, totals);
    }
    let generation = control.generation;
    let found = lookup_flow::<V, F>((frame, link), packet, control, generation, &clock, totals);
    let Some((flow, passes)) = found else {
        return enforce_without_flow::<V>(packet, generation, &clock, totals).decision();
    };
    let counted = match flow.record::<Xadd>(packet, seen, &clock) {
        Recorded::Counted(counted) => {
            count(&mut totals.flows, packet.segments, packet.ip_bytes);
            if let Some(checkpoint) = counted.checkpoint {
                events::checkpoint(packet, checkpoint, flow, &clock, totals);
            }
            if counted.sample_bytes != 0 && control.first_payloads_per_second != 0 {
                match events::first_payload(frame, packet, counted.sample_bytes, &clock, totals) {
                    Sampled::HandedUp => {}
                    Sampled::Refused => trace::sample_refused(&packet.key, &clock),
                    Sampled::Lost => trace::event_lost(&packet.key, &clock),
                }
            }
            true
        }
        Recorded::Duplicate => {
            count(&mut totals.duplicates, packet.segments, packet.ip_bytes);
            false
        }
    };
    if passes {
        return Decision::Pass;
    }
    match PolicyLookup::about(&clock, generation, counted) {
        Some(lookup) => {
            let decision = enforce::<V>(packet, flow, lookup, totals).decision();
            if counted && decision == Decision::Drop {
                dropped_payload(packet, flow);
            }
            decision
        }
        None => Decision::Pass,
    }
}

/// Here and not beside the other counters of drops: with 8 bytes more on the stack of [`enforce`], what it
/// calls is too deep for Linux 5.10 and 5.15 ("combined stack size of 6 calls is 544. Too large").
#[inline(always)]
fn dropped_payload(packet: &Packet, flow: &mut FlowCounters) {
    let counter = match packet.direction {
        Direction::FromLow => &mut flow.dropped_payload_bytes[0],
        Direction::FromHigh => &mut flow.dropped_payload_bytes[1],
    };
    Xadd::add(counter, u64::from(packet.payload_bytes));
}

/// The packet's flow and whether it simply passes. A packet that has no flow, or one that is being
/// deleted, is accounted without.
#[inline(always)]
fn lookup_flow<V: Variant, F: Payload>(
    frame: (&F, LinkType),
    packet: &Packet,
    control: &mut Control,
    generation: u64,
    clock: &Clock,
    totals: &mut Totals,
) -> Option<(&'static mut FlowCounters, bool)> {
    let Some(flow) = flow(frame, packet, control, generation, clock) else {
        overflow(packet, clock, totals);
        return None;
    };
    // SAFETY: one load of an aligned word that the agent's marking program may write meanwhile.
    let cached = Cached(unsafe { core::ptr::read_volatile(&raw const flow.policy) });
    if V::POLICY && cached == Cached::pass(generation) {
        return Some((flow, true));
    }
    if cached.is_closing() {
        count(&mut totals.late, packet.segments, packet.ip_bytes);
        return None;
    }
    Some((flow, !V::POLICY))
}

/// The packet's flow, opened if it is new; `None` where the table is full.
#[inline(always)]
fn flow<F: Payload>(
    (frame, link): (&F, LinkType),
    packet: &Packet,
    control: &mut Control,
    generation: u64,
    clock: &Clock,
) -> Option<&'static mut FlowCounters> {
    if let Some(flow) = FLOWS.get_ptr_mut(&packet.key) {
        // SAFETY: a value of a preallocated map stays in place; writers are counted for in
        // [`FlowCounters::record`].
        return Some(unsafe { &mut *flow });
    }
    if clock.now < control.full_until {
        return None;
    }
    let to_group = u8::from(goes_to_group(frame, link));
    if !open(&packet.key, packet.direction as u8, generation, to_group) {
        // A failed insert costs more than a packet, and the next poll may make room.
        control.full_until = clock.now + clock.ticks_per_second / 10 + 1;
        trace::table_full(&packet.key, clock);
        return None;
    }
    let flow = FLOWS.get_ptr_mut(&packet.key)?;
    // SAFETY: as above.
    Some(unsafe { &mut *flow })
}

/// Inserts an empty flow. False where the table is full; an entry that another processor has just
/// inserted is as good.
#[inline(never)]
fn open(key: &FlowKey, direction: u8, generation: u64, to_group: u8) -> bool {
    let Some(template) = template(NEW) else { return false };
    template.to_group = to_group;
    template.open(decide::home(key), undecided(generation), 0, direction);
    match FLOWS.insert(key, &*template, u64::from(BPF_NOEXIST)) {
        Ok(()) => true,
        Err(error) => error == EEXIST,
    }
}

const EEXIST: i32 = -17;

/// An answer whose time was over before the flow began: its first packet asks.
#[inline(always)]
fn undecided(generation: u64) -> Cached {
    Cached::new(Cached::TIMED, generation)
}

#[inline(always)]
fn template(place: u32) -> Option<&'static mut FlowCounters> {
    let template = TEMPLATE.get_ptr_mut(place)?;
    // SAFETY: this processor's own entry, and one program runs on it at a time.
    Some(unsafe { &mut *template })
}

/// Gives a later fragment the ports of its first.
#[inline(never)]
fn fragment(packet: &mut Packet, clock: &Clock, totals: &mut Totals) {
    let key = FragmentKey::of(packet);
    match packet.fragment {
        Fragment::None => {}
        Fragment::First => {
            if FRAGMENTS.insert(&key, &FragmentPorts::of(packet, clock.now), 0).is_err() {
                // The followers will be counted as unknown.
            }
        }
        Fragment::Later => {
            // SAFETY: the entry is copied at once; an LRU value may be reused but stays mapped.
            let known = match unsafe { FRAGMENTS.get(&key) } {
                Some(ports)
                    if clock.now.saturating_sub(ports.seen)
                        <= FRAGMENT_SECONDS * clock.ticks_per_second =>
                {
                    *ports
                }
                _ => {
                    count(&mut totals.fragments_unknown, packet.segments, packet.ip_bytes);
                    return;
                }
            };
            packet.key =
                packet.key.with_ports(packet.direction, known.source_port, known.destination_port);
        }
    }
}

/// Accounts a packet that has no flow to its home host.
#[inline(never)]
fn overflow(packet: &Packet, clock: &Clock, totals: &mut Totals) {
    count(&mut totals.overflow, packet.segments, packet.ip_bytes);
    let home = decide::home(&packet.key);
    let key = OverflowKey::of(packet, home);
    let entry = match OVERFLOW.get_ptr_mut(&key) {
        Some(entry) => Some(entry),
        None => {
            let fresh = OverflowCounters::open(&key);
            if OVERFLOW.insert(&key, &fresh, u64::from(BPF_NOEXIST)).is_err() {
                // Full, or another processor was first: the lookup tells.
            }
            OVERFLOW.get_ptr_mut(&key)
        }
    };
    match entry {
        Some(entry) => {
            // SAFETY: a value of a preallocated map stays in place.
            let entry = unsafe { &mut *entry };
            if entry.record::<Xadd>(packet, clock) {
                events::overflow_checkpoint(&key, entry, clock, totals);
            }
        }
        None => {
            count(&mut totals.overflow_rest, packet.segments, packet.ip_bytes);
            trace::overflow_full(&packet.key, clock);
        }
    }
}

/// Decides on a packet that no flow keeps a decision for: blocks and budgets hold all the same.
///
/// Inlined: with its stack between them, what it calls is too deep for Linux 5.10 and 5.15 ("combined stack
/// size of 6 calls is 544. Too large").
#[inline(always)]
fn enforce_without_flow<V: Variant>(
    packet: &Packet,
    generation: u64,
    clock: &Clock,
    totals: &mut Totals,
) -> Verdict {
    if !V::POLICY {
        return Verdict::PASS;
    }
    let Some(no_flow) = template(NO_FLOW) else { return Verdict::PASS };
    let Some(lookup) = PolicyLookup::about(clock, generation, true) else { return Verdict::PASS };
    let home = decide::home(&packet.key);
    no_flow.open(home, undecided(generation), 0, packet.direction as u8);
    enforce::<V>(packet, no_flow, lookup, totals)
}

/// The flow whose key is next in the frame. The agent runs a program once per key on one frame of
/// keys; a loop over them is more than the verifier walks.
#[inline(always)]
fn next<C: Context>(context: &C) -> Option<(FlowKey, *mut FlowCounters)> {
    const KEY_BYTES: usize = size_of::<FlowKey>();
    let control = stats::control();
    let Point { word, .. } = stats::numbered(0)?;
    let frame = context.frame(word);
    let offset = (control.close_cursor as usize % CLOSE_BATCH) * KEY_BYTES;
    let more = offset + 2 * KEY_BYTES <= frame.wire_len() as usize;
    control.close_cursor = if more { control.close_cursor + 1 } else { 0 };
    let key = FlowKey::from_words(frame.load(offset)?);
    let flow = FLOWS.get_ptr_mut(&key)?;
    Some((key, flow))
}

/// Marks the next flow of the frame as closing.
///
/// The mark is a plain store that a packet in flight may overwrite: the agent looks again after the
/// grace period before it deletes.
#[inline(always)]
pub(crate) fn close<C: Context>(context: &C) -> i32 {
    if let Some((_, flow)) = next(context) {
        // SAFETY: one load and one store of an aligned word in a value that stays in place.
        unsafe {
            let cached = Cached(core::ptr::read_volatile(&raw const (*flow).policy));
            core::ptr::write_volatile(&raw mut (*flow).policy, cached.closing().0);
        }
    }
    0
}

/// Deletes the next flow of the frame, if it is closing, and adds what it carried to REMOVED.
#[inline(always)]
pub(crate) fn remove<C: Context>(context: &C) -> i32 {
    let Some((key, flow)) = next(context) else { return 0 };
    let Some(removed) = REMOVED.get_ptr_mut(0) else { return 0 };
    // SAFETY: values that stay in place; nobody counts in a flow that is closing any more, and the
    // sums have several writers.
    let (flow, removed) = unsafe { (&*flow, &mut *removed) };
    if !Cached(flow.policy).is_closing() {
        return 0;
    }
    let mut carried = Count::default();
    for half in &flow.halves {
        carried.packets += half.packets;
        carried.bytes += half.ip_bytes;
    }
    if FLOWS.remove(&key).is_ok() {
        Xadd::add(&mut removed.packets, carried.packets);
        Xadd::add(&mut removed.bytes, carried.bytes);
    }
    0
}
