//! What is done to a packet whose flow does not simply pass.

use detector_common::Packet;
use detector_common::abi::Totals;
use detector_common::flow::{Add as _, Clock, Direction, FlowCounters};
use detector_common::parse::protocol;
use detector_common::policy::{Cached, Decision};

use crate::decide::{PolicyLookup, decide};
use crate::stats::{Variant, Xadd, count};
use crate::{budget, entry_stats, trace};

/// A [`Decision`] in one register, which is all that a function of a program can return.
#[derive(Clone, Copy)]
pub(crate) struct Verdict(u32);

impl Verdict {
    pub(crate) const PASS: Self = Self(0);
    const DROP: Self = Self(1);

    #[inline(always)]
    fn mark(codepoint: u8) -> Self {
        Self(u32::from(codepoint) << 8 | 2)
    }

    #[inline(always)]
    pub(crate) fn decision(self) -> Decision {
        match self.0 & 3 {
            0 => Decision::Pass,
            1 => Decision::Drop,
            _ => Decision::Mark((self.0 >> 8) as u8),
        }
    }
}

/// Does to a packet what its flow's cached decision asks for, made again where it is of an older
/// generation or its time is over. A packet that another observation point counts is dropped alike
/// and charged to nothing.
#[inline(never)]
pub(crate) fn enforce<V: Variant>(
    packet: &Packet,
    flow: &mut FlowCounters,
    question: &mut PolicyLookup,
    totals: &mut Totals,
) -> Verdict {
    // SAFETY: one load of an aligned word that the agent's marking program may write meanwhile.
    let mut cached = Cached(unsafe { core::ptr::read_volatile(&raw const flow.policy) });
    if !cached.is_current(question.generation) || question.clock.now >= flow.deadline {
        cached = remember(packet, flow, question);
    }
    let clock = question.clock;
    let counted = question.counted != 0;
    if cached.asks(Cached::DROP) {
        if counted {
            entry_stats::hit(flow.entry, packet, clock.now);
        }
        return dropped(packet, flow, totals, counted);
    }
    let outbound = is_outbound(packet, flow);
    if counted && outbound && !within::<V>(packet, flow, &clock, totals, cached) {
        return dropped(packet, flow, totals, true);
    }
    let simulated = cached.asks(Cached::SIMULATE);
    if counted && simulated {
        simulate(packet, flow, &clock, totals, cached);
    }
    if simulated || !outbound || !cached.asks(Cached::MARK) {
        return Verdict::PASS;
    }
    if counted {
        entry_stats::hit(flow.entry, packet, clock.now);
        count(&mut totals.marked, packet.segments, packet.ip_bytes);
    }
    match entry_stats::codepoint(flow.entry) {
        Some(codepoint) => Verdict::mark(codepoint),
        None => Verdict::PASS,
    }
}

/// Whether an outbound packet is within its rate and its budget. The budget comes last: what is
/// charged to it passes.
#[inline(always)]
fn within<V: Variant>(
    packet: &Packet,
    flow: &mut FlowCounters,
    clock: &Clock,
    totals: &mut Totals,
    cached: Cached,
) -> bool {
    if cached.asks(Cached::POLICE)
        && !cached.asks(Cached::SIMULATE)
        && !is_pure_acknowledgement(packet)
        && !entry_stats::within_rate(flow.entry, packet, clock)
    {
        count(&mut totals.policed, packet.segments, packet.ip_bytes);
        return false;
    }
    if !cached.asks(Cached::BUDGET) || packet.payload_bytes == 0 {
        return true;
    }
    match budget::charge::<V>(packet, clock.now, totals) {
        budget::HELD => return false,
        budget::REFUSED => {
            // Once for each decision: a refused insert costs more than a packet.
            totals.budgets_refused += 1;
            remember_no_budget(flow, cached);
            trace::budget_refused(&packet.key, clock);
        }
        _ => {}
    }
    true
}

/// Until the next decision the flow has no budget.
#[inline(always)]
fn remember_no_budget(flow: &mut FlowCounters, cached: Cached) {
    // SAFETY: one store of an aligned word.
    unsafe { core::ptr::write_volatile(&raw mut flow.policy, cached.without(Cached::BUDGET).0) };
}

/// TCP without payload: a rate on what a host sends must not slow what it receives.
#[inline(always)]
fn is_pure_acknowledgement(packet: &Packet) -> bool {
    packet.payload_bytes == 0 && packet.key.protocol == protocol::TCP
}

/// Makes a flow's decision and caches it.
#[inline(always)]
fn remember(packet: &Packet, flow: &mut FlowCounters, question: &mut PolicyLookup) -> Cached {
    decide(question, &packet.key, flow.home);
    let cached = Cached::new(question.todo as u8, question.generation);
    flow.entry = question.entry;
    flow.deadline = question.recheck;
    // SAFETY: one store of an aligned word, after the fields it goes with.
    unsafe { core::ptr::write_volatile(&raw mut flow.policy, cached.0) };
    cached
}

#[inline(always)]
fn is_outbound(packet: &Packet, flow: &FlowCounters) -> bool {
    let bit = match packet.direction {
        Direction::FromLow => FlowCounters::HOME_LOW,
        Direction::FromHigh => FlowCounters::HOME_HIGH,
    };
    flow.home & bit != 0
}

#[inline(always)]
fn dropped(
    packet: &Packet,
    flow: &mut FlowCounters,
    totals: &mut Totals,
    counted: bool,
) -> Verdict {
    count(&mut totals.dropped, packet.segments, packet.ip_bytes);
    if counted {
        let half = flow.half_mut(packet.direction);
        Xadd::add(&mut half.dropped_packets, u64::from(packet.segments));
        Xadd::add(&mut half.dropped_bytes, u64::from(packet.ip_bytes));
    }
    Verdict::DROP
}

/// Counts what the entry would have done.
#[inline(always)]
fn simulate(
    packet: &Packet,
    flow: &FlowCounters,
    clock: &Clock,
    totals: &mut Totals,
    cached: Cached,
) {
    let outbound = is_outbound(packet, flow);
    if cached.asks(Cached::POLICE) {
        let passes = !outbound || is_pure_acknowledgement(packet);
        if passes || entry_stats::within_rate(flow.entry, packet, clock) {
            return;
        }
    } else if outbound || !cached.asks(Cached::MARK) {
        entry_stats::hit(flow.entry, packet, clock.now);
    }
    if !cached.asks(Cached::MARK) {
        count(&mut totals.simulated, packet.segments, packet.ip_bytes);
    }
}
