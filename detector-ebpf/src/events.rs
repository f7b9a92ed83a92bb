//! What goes up to the agent while packets flow: checkpoints and the first bytes of payloads.
//!
//! An event that finds no room is counted and given up: polling finds what it would have said.

use aya_ebpf::macros::map;
use aya_ebpf::maps::{PerCpuArray, RingBuf};
use detector_common::abi::{
    BudgetEvent, CheckpointEvent, EventKind, FIRST_PAYLOAD_BYTES, FirstPayloadEvent,
    OverflowCounters, OverflowEvent, OverflowKey, STREAM_BYTES, Totals,
};
use detector_common::flow::{Checkpoint, FlowCounters, FlowKey};
use detector_common::parse::tcp;
use detector_common::policy::BudgetKey;
use detector_common::{Clock, Packet};

use crate::frame::Payload;
use crate::{stats, trace};

/// Records of [`EventKind`], each of its own fixed size. The size in bytes is set by the agent.
#[map]
static EVENTS: RingBuf = RingBuf::with_byte_size(1 << 20, 0);

/// One entry: how many heads this processor may still hand up. Per processor, so that a flood on
/// one does not silence the others.
#[map]
static FIRST_PAYLOADS: PerCpuArray<Heads> = PerCpuArray::with_max_entries(1, 0);

#[derive(Clone, Copy)]
#[repr(C)]
struct Heads {
    second: u64,
    /// Handed up in that second.
    spent: u64,
}

#[inline(never)]
pub(crate) fn checkpoint(
    packet: &Packet,
    checkpoint: Checkpoint,
    counters: &FlowCounters,
    clock: &Clock,
    totals: &mut Totals,
) {
    let Some(mut entry) = EVENTS.reserve::<CheckpointEvent>(0) else {
        totals.events_lost += 1;
        trace::event_lost(&packet.key, clock);
        return;
    };
    let event = entry.as_mut_ptr();
    // SAFETY: the reserved record has the event's size and is written in full, field by field.
    unsafe {
        (*event).kind = EventKind::Checkpoint as u32;
        (*event).checkpoint = checkpoint as u8;
        (*event).direction = packet.direction as u8;
        (*event).reserved = 0;
        (*event).now = clock.now;
        (*event).key = packet.key;
        (*event).counters = *counters;
    }
    entry.submit(0);
}

#[inline(never)]
pub(crate) fn overflow_checkpoint(
    key: &OverflowKey,
    counters: &OverflowCounters,
    clock: &Clock,
    totals: &mut Totals,
) {
    let Some(mut entry) = EVENTS.reserve::<OverflowEvent>(0) else {
        totals.events_lost += 1;
        return;
    };
    let event = entry.as_mut_ptr();
    // SAFETY: as above.
    unsafe {
        (*event).kind = EventKind::OverflowCheckpoint as u32;
        (*event).reserved = 0;
        (*event).now = clock.now;
        (*event).key = *key;
        (*event).counters = *counters;
    }
    entry.submit(0);
}

/// Says that a budget is spent. `flow`: of the packet that is held first.
#[inline(never)]
pub(crate) fn budget(flow: &FlowKey, key: &BudgetKey, limit: u64, now: u64, totals: &mut Totals) {
    let Some(mut entry) = EVENTS.reserve::<BudgetEvent>(0) else {
        totals.events_lost += 1;
        return;
    };
    let event = entry.as_mut_ptr();
    // SAFETY: as above.
    unsafe {
        (*event).kind = EventKind::Budget as u32;
        (*event).reserved = 0;
        (*event).now = now;
        (*event).flow = *flow;
        (*event).budget = *key;
        (*event).limit = limit;
    }
    entry.submit(0);
}

/// Records that one packet may take.
const PARTS: u32 = STREAM_BYTES / FIRST_PAYLOAD_BYTES as u32;

/// What became of a payload. Whoever asked traces it: from here the log would be a call too deep for the
/// stack of 5.10 and 5.15 ("combined stack size of 6 calls is 544. Too large").
#[derive(Clone, Copy, PartialEq, Eq)]
#[repr(u32)]
pub(crate) enum Sampled {
    HandedUp = 0,
    Refused = 1,
    Lost = 2,
}

/// Hands up the first `bytes` of a payload, record by record, if this processor may hand up more this
/// second.
#[inline(never)]
pub(crate) fn first_payload<F: Payload>(
    frame: &F,
    packet: &Packet,
    bytes: u32,
    clock: &Clock,
    totals: &mut Totals,
) -> Sampled {
    let Some(heads) = FIRST_PAYLOADS.get_ptr_mut(0) else {
        return Sampled::HandedUp;
    };
    // SAFETY: this processor's own entry, and one program runs on it at a time.
    let heads = unsafe { &mut *heads };
    let second = clock.seconds();
    if heads.second != second {
        heads.second = second;
        heads.spent = 0;
    }
    let limit = stats::control().first_payloads_per_second;
    for part in 0..PARTS {
        let offset = part * FIRST_PAYLOAD_BYTES as u32;
        if offset >= bytes {
            break;
        }
        if heads.spent >= limit {
            totals.first_payloads_refused += 1;
            return Sampled::Refused;
        }
        heads.spent += 1;
        let mut length = bytes - offset;
        if length > FIRST_PAYLOAD_BYTES as u32 {
            length = FIRST_PAYLOAD_BYTES as u32;
        }
        let Some(mut entry) = EVENTS.reserve::<FirstPayloadEvent>(0) else {
            totals.events_lost += 1;
            return Sampled::Lost;
        };
        let event = entry.as_mut_ptr();
        // SYN takes a sequence number of its own (RFC 9293 section 3.4).
        let syn = u32::from(packet.tcp_flags & tcp::SYN != 0);
        // SAFETY: as above. The bytes beyond `length` are whatever the ring held; the agent never
        // reads them.
        unsafe {
            (*event).kind = EventKind::FirstPayload as u32;
            (*event).direction = packet.direction as u8;
            (*event).part = part as u8;
            (*event).payload_bytes = packet.payload_bytes;
            (*event).sequence = packet.sequence.wrapping_add(syn);
            (*event).now = clock.now;
            (*event).key = packet.key;
            let bytes = &raw mut (*event).bytes;
            (*event).length = frame.copy(packet.payload_offset + offset, length, bytes) as u16;
        }
        entry.submit(0);
    }
    Sampled::HandedUp
}
