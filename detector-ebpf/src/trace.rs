//! What the cold paths say with `detector run --trace-kernel`: why a packet met a full table, a budget
//! without room, another observation point.
//!
//! Off by default, by a constant that is set before the programs are loaded: the verifier then removes
//! all of it. Every case has a counter, too; a line tells which flow it was.

use aya_ebpf::macros::map;
use aya_ebpf::maps::PerCpuArray;
use aya_log_ebpf::{info, warn};
use detector_common::Clock;
use detector_common::abi::{TRACE_LINES_PER_SECOND, TraceLimit};
use detector_common::flow::FlowKey;

/// 1 where the agent asks for lines. Set before the programs are loaded.
#[unsafe(no_mangle)]
static TRACE_KERNEL: u32 = 0;

/// One entry: the lines that this processor has written this second. Per processor, so that a flood
/// on one does not silence the others.
#[map]
static TRACE_LIMITS: PerCpuArray<TraceLimit> = PerCpuArray::with_max_entries(1, 0);

/// Whether a line is asked for, and within what this processor may write in a second.
#[inline(always)]
fn may_write(clock: &Clock) -> bool {
    // SAFETY: a constant of the loaded program, read where the compiler must not fold it.
    if unsafe { core::ptr::read_volatile(&raw const TRACE_KERNEL) } == 0 {
        return false;
    }
    let Some(limit) = TRACE_LIMITS.get_ptr_mut(0) else { return false };
    // SAFETY: this processor's own entry, and one program runs on it at a time.
    let limit = unsafe { &mut *limit };
    let second = clock.seconds();
    if limit.second != second {
        limit.second = second;
        limit.written = 0;
    }
    if limit.written >= TRACE_LINES_PER_SECOND {
        limit.suppressed += 1;
        return false;
    }
    limit.written += 1;
    limit.lines += 1;
    true
}

/// The flow table has no room for this flow.
#[inline(never)]
pub(crate) fn table_full(key: &FlowKey, clock: &Clock) {
    if may_write(clock) {
        warn!(
            &(),
            "the flow table is full: {:i} - {:i}, protocol {}", key.low, key.high, key.protocol
        );
    }
}

/// The table of overflow has no room for this flow's home host.
#[inline(never)]
pub(crate) fn overflow_full(key: &FlowKey, clock: &Clock) {
    if may_write(clock) {
        warn!(&(), "the overflow table is full: {:i} - {:i}", key.low, key.high);
    }
}

/// The table of budgets has no room for this flow's pair. Not called where it is found: the
/// functions that have called each other there leave no stack, and Linux 5.15 counts what it removes ("combined
/// stack size of 6 calls is 544. Too large").
#[inline(never)]
pub(crate) fn budget_refused(key: &FlowKey, clock: &Clock) {
    if may_write(clock) {
        warn!(&(), "the budget table is full: {:i} - {:i}", key.low, key.high);
    }
}

/// This processor has handed up all the payload samples that it may this second.
#[inline(never)]
pub(crate) fn sample_refused(key: &FlowKey, clock: &Clock) {
    if may_write(clock) {
        info!(&(), "no payload sample is left this second: {:i} - {:i}", key.low, key.high);
    }
}

/// The ring buffer has no room for an event of this flow.
#[inline(never)]
pub(crate) fn event_lost(key: &FlowKey, clock: &Clock) {
    if may_write(clock) {
        warn!(&(), "the ring buffer is full: {:i} - {:i}", key.low, key.high);
    }
}
