//! The flows that are alive: found by key, read, and ended when they fall idle.

use std::cell::Cell;

use detector_common::flow::{Direction, FlowCounters, FlowKey};

use super::biflow;
use super::index::Index;
use super::live_flow::{Delta, LiveFlow};
use super::record::{FlowEndReason, FlowRecord};
use super::slab::{Handle, Slab};
use super::timer_wheel::Wheel;
use crate::flow::config::Timeouts;
use crate::flow::observation::{SECOND_NS, TimeBase};

/// Live flows by key, bounded.
#[derive(Debug)]
pub(crate) struct FlowTable {
    flows: Slab<LiveFlow>,
    index: Index,
    wheel: Wheel,
    timeouts: Timeouts,
    due: Vec<Handle>,
    /// What was asked for last, or what the source says will be asked for next.
    pub(crate) latest: Cell<Handle>,
    /// Flows opened so far.
    pub(crate) opened: u64,
    /// Readings put off because the table was full.
    pub(crate) deferred: u64,
}

impl FlowTable {
    pub(crate) fn new(limit: u32, timeouts: Timeouts) -> Self {
        Self {
            flows: Slab::new(limit),
            index: Index::default(),
            wheel: Wheel::new(),
            timeouts,
            due: Vec::new(),
            latest: Cell::new(Handle::NONE),
            opened: 0,
            deferred: 0,
        }
    }

    pub(crate) fn len(&self) -> usize {
        self.flows.len()
    }

    pub(crate) fn find(&self, key: &FlowKey) -> Option<Handle> {
        // A payload sample follows its flow's counters, and both follow the flow's packets.
        if let Some(flow) = self.flows.get(self.latest.get())
            && flow.view.key == *key
        {
            return Some(self.latest.get());
        }
        let is_key = |slot| self.flows.at(slot).is_some_and(|flow| flow.view.key == *key);
        let slot = self.index.find(self.index.hash(key), is_key)?;
        self.latest.set(self.flows.handle(slot));
        Some(self.latest.get())
    }

    pub(crate) fn get_mut(&mut self, handle: Handle) -> Option<&mut LiveFlow> {
        self.flows.get_mut(handle)
    }

    pub(crate) fn get(&self, handle: Handle) -> Option<&LiveFlow> {
        self.flows.get(handle)
    }

    pub(crate) fn all(&self) -> impl Iterator<Item = &LiveFlow> {
        self.flows.iter()
    }

    pub(crate) fn handles(&self) -> Vec<Handle> {
        self.flows.handles()
    }

    /// The flow of `key` and what it carried since the last reading. `None` where it is new and
    /// the table is full: its counters will still be there at the next reading.
    pub(crate) fn read(
        &mut self,
        key: &FlowKey,
        counters: &FlowCounters,
        base: &TimeBase,
    ) -> Option<(Handle, Delta)> {
        let handle = match self.find(key) {
            Some(handle) => handle,
            None => self.open(key, biflow::initiator(key, counters), counters.home, 0)?,
        };
        let flow = self.flows.get_mut(handle)?;
        let was_closed = flow.is_tcp_closed();
        let had_timer = flow.due_secs != 0 && !flow.expiring;
        let delta = flow.read(counters, base);
        if delta.packets() != 0 {
            flow.expiring = false;
        }
        // A timer that moves later is found out when it comes due; one that moves nearer is not.
        if !had_timer || was_closed != flow.is_tcp_closed() {
            self.schedule(handle);
        }
        Some((handle, delta))
    }

    /// A flow of which only a payload is known.
    pub(crate) fn open_by_payload(
        &mut self,
        key: &FlowKey,
        direction: Direction,
        now_ns: u64,
    ) -> Option<Handle> {
        let handle = self.open(key, biflow::guess(key, direction), 0, now_ns)?;
        self.schedule(handle);
        Some(handle)
    }

    fn open(
        &mut self,
        key: &FlowKey,
        initiator: Direction,
        home: u8,
        now_ns: u64,
    ) -> Option<Handle> {
        let Ok(handle) = self.flows.insert(LiveFlow::open(key, initiator, home, now_ns)) else {
            self.deferred += 1;
            return None;
        };
        let hash = self.index.hash(key);
        let flows = &self.flows;
        self.index.insert(hash, handle.slot, |slot| flows.at(slot).map(|flow| flow.view.key));
        self.opened += 1;
        self.latest.set(handle);
        Some(handle)
    }

    fn schedule(&mut self, handle: Handle) {
        let Some(flow) = self.flows.get_mut(handle) else {
            return;
        };
        let deadline_ns =
            flow.idle_deadline_ns(&self.timeouts).min(flow.active_deadline_ns(&self.timeouts));
        flow.due_secs = self.wheel.schedule(deadline_ns.div_ceil(SECOND_NS), handle);
    }

    /// Looks at the timers that are due: idle flows' keys go to `expired`, slices of long flows to
    /// `slices`.
    pub(crate) fn tick(
        &mut self,
        now_ns: u64,
        expired: &mut Vec<FlowKey>,
        mut slices: impl FnMut(FlowRecord),
    ) {
        let now_secs = now_ns / SECOND_NS;
        let mut due = std::mem::take(&mut self.due);
        self.wheel.advance(now_secs, &mut due);
        for handle in due.drain(..) {
            let Some(flow) = self.flows.get_mut(handle) else {
                continue;
            };
            if flow.due_secs > now_secs || flow.expiring {
                // An older timer of a flow that has a newer one.
                continue;
            }
            if flow.idle_deadline_ns(&self.timeouts) <= now_ns {
                flow.expiring = true;
                expired.push(flow.view.key);
                continue;
            }
            if flow.active_deadline_ns(&self.timeouts) <= now_ns {
                let record = flow.slice(now_ns, FlowEndReason::ActiveTimeout);
                if record.forward.seen_packets + record.reverse.seen_packets != 0 {
                    slices(record);
                }
                flow.begin_slice(now_ns);
            }
            self.schedule(handle);
        }
        self.due = due;
    }

    /// Forgets all timers, once no flow is left, so that time may start again anywhere.
    pub(crate) fn restart(&mut self) {
        self.wheel = Wheel::new();
    }

    /// Ends a flow and gives its last record, if that has a packet: a long flow's may all be in its
    /// earlier slices.
    pub(crate) fn close(&mut self, handle: Handle) -> Option<FlowRecord> {
        let flow = self.flows.remove(handle)?;
        self.index.remove(self.index.hash(&flow.view.key), handle.slot);
        let end_reason = if flow.is_tcp_closed() {
            FlowEndReason::EndOfFlow
        } else if flow.expiring {
            FlowEndReason::IdleTimeout
        } else {
            FlowEndReason::ForcedEnd
        };
        let record = flow.slice(flow.view.last_seen_ns, end_reason);
        (record.forward.seen_packets + record.reverse.seen_packets != 0).then_some(record)
    }
}
