//! What entries have done: counters per entry, and the rates that follow from them.

use aya_ebpf::macros::map;
use aya_ebpf::maps::Array;
use detector_common::Packet;
use detector_common::flow::{Add as _, Clock};
use detector_common::policy::{Entry, EntryCounters};

use crate::decide::{ENTRIES, POLICY};
use crate::stats::Xadd;

/// Key: the number of an entry in POLICY. Value: [`EntryCounters`]. Written here only, but for the zeroes
/// with which the agent begins. Apart from POLICY, so that neither side overwrites the other's.
#[map]
static HITS: Array<EntryCounters> = Array::with_max_entries(ENTRIES, 0);

/// A policed entry in debt of more than its burst and this was given a lower rate: what passed
/// under the higher one is forgotten. More than any super-packet, which may pass on its own.
const SUPER_PACKET_BYTES: u64 = 1 << 20;

#[inline(always)]
fn of(number: u32) -> Option<&'static mut EntryCounters> {
    let hits = HITS.get_ptr_mut(number)?;
    // SAFETY: the value of an array map stays in place; counters with several writers are added to
    // atomically, the others may be any of what was written.
    Some(unsafe { &mut *hits })
}

/// Counts a decision in which an exception spared a flow.
#[inline(always)]
pub(crate) fn spared(number: u32, now: u64) {
    if let Some(hits) = of(number) {
        Xadd::add(&mut hits.packets, 1);
        hits.last_hit = now;
    }
}

/// Counts a packet that an entry drops or marks, or would.
#[inline(always)]
pub(crate) fn hit(number: u32, packet: &Packet, now: u64) {
    if let Some(hits) = of(number) {
        Xadd::add(&mut hits.packets, u64::from(packet.segments));
        Xadd::add(&mut hits.bytes, u64::from(packet.ip_bytes));
        hits.last_hit = now;
    }
}

/// Whether a packet is within the rate of a policed entry, and counts it as passed or hit.
///
/// A token bucket in which what was spent is what has passed: one atomic addition for each packet
/// and no fetch. Processors that look at the same instant may pass a packet each too much, which
/// the next ones make up for.
#[inline(never)]
pub(crate) fn within_rate(number: u32, packet: &Packet, clock: &Clock) -> bool {
    let (Some(entry), Some(hits)) = (POLICY.get(number), of(number)) else { return true };
    let bytes = u64::from(packet.ip_bytes);
    if hits.began == 0 {
        hits.began = clock.now;
    }
    let allowance = earned(entry, clock, hits.began)
        .wrapping_add(entry.burst_bytes)
        .wrapping_sub(hits.forgone_bytes);
    let mut left = allowance.wrapping_sub(hits.passed_bytes) as i64;
    let burst = entry.burst_bytes as i64;
    if left > burst || left < -(burst.saturating_add(SUPER_PACKET_BYTES as i64)) {
        let kept = if left > burst { burst } else { 0 };
        let forgone = hits.forgone_bytes.wrapping_add(left.wrapping_sub(kept) as u64);
        hits.forgone_bytes = forgone;
        left = kept;
    }
    // A super-packet above the burst passes when the bucket is full, and the rest waits for it.
    let needed = if bytes < entry.burst_bytes { bytes } else { entry.burst_bytes };
    if left < needed as i64 {
        hit(number, packet, clock.now);
        return false;
    }
    Xadd::add(&mut hits.passed_packets, u64::from(packet.segments));
    Xadd::add(&mut hits.passed_bytes, bytes);
    true
}

/// IP bytes that the rate has allowed since the allowance began.
#[inline(always)]
fn earned(entry: &Entry, clock: &Clock, began: u64) -> u64 {
    let ticks = clock.now.saturating_sub(began);
    let rate = entry.bytes_per_second;
    // In two parts, because ticks times bytes would not fit in 64 bits for long.
    let seconds = ticks.checked_div(clock.ticks_per_second).unwrap_or(0);
    let rest = ticks - seconds * clock.ticks_per_second;
    let part = (rate * rest).checked_div(clock.ticks_per_second).unwrap_or(0);
    rate * seconds + part
}

/// The codepoint that an entry asks for.
#[inline(always)]
pub(crate) fn codepoint(number: u32) -> Option<u8> {
    POLICY.get(number).map(|entry| entry.dscp & 0x3f)
}
