//! Walking through the flow map: what changed, and the deletion of what is over without losing a
//! packet.

use anyhow::Context as _;
use detector_common::abi::{CLOSE_BATCH, Count, Totals, program};
use detector_common::flow::{FlowCounters, FlowKey};
use detector_common::policy::Cached;

use super::KernelSource;
use super::balance::settled;

/// The walk through the flow map that is under way, and what the last one found.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Poll {
    /// Tick at which the previous walk began: what was last seen before it has been delivered.
    since: u64,
    began: u64,
    entries: u32,
    sum: Count,
    pub(super) last_entries: u32,
    pub(super) last_sum: Count,
    /// The totals before the walk.
    totals: Totals,
}

/// A flow marked for deletion, and when.
#[derive(Clone, Copy, Debug)]
pub(super) struct Closing {
    key: FlowKey,
    marked: u64,
}

/// Programs that read a flow's word before it was marked have ended after this many ticks: at the
/// lowest tick rate two are 20 ms, and a program runs for microseconds.
const GRACE_TICKS: u64 = 2;

/// How often a busy map is read again, and up to which size: some milliseconds each time.
const READINGS: usize = 4;
const READ_AGAIN_FLOWS: u32 = 524_288;

impl KernelSource {
    /// Starts a walk through the flow map.
    pub fn begin_poll(&mut self) -> anyhow::Result<()> {
        let began = self.now()?;
        self.poll.since = self.poll.began;
        self.poll.began = began;
        self.poll.entries = 0;
        self.poll.sum = Count::default();
        self.poll.totals = self.settled_totals()?;
        self.flows.restart();
        if let Some(trace) = &mut self.trace {
            trace.flush();
        }
        Ok(())
    }

    /// Puts the flows of the next part of the walk that changed since the last one into `changed`.
    /// False at its end.
    pub fn next_changed(
        &mut self,
        changed: &mut Vec<(FlowKey, FlowCounters)>,
    ) -> anyhow::Result<bool> {
        changed.clear();
        let Some((keys, values)) =
            self.flows.next_entries().context("failed to read the flow map")?
        else {
            self.poll.last_entries = self.poll.entries;
            self.poll.last_sum = self.poll.sum;
            self.weigh(self.poll.totals, self.poll.sum)?;
            self.close_in()?;
            return Ok(false);
        };
        for (key, counters) in keys.iter().zip(values) {
            self.poll.entries += 1;
            self.poll.sum += carried(counters);
            let last_seen = counters.halves[0].last_seen.max(counters.halves[1].last_seen);
            if Cached(counters.policy).is_closing() {
                // The first walk finds those that an earlier agent had no time to delete.
                if self.poll.since == 0 {
                    self.closing.push(Closing { key: *key, marked: self.poll.began });
                }
                continue;
            }
            // A packet of the very tick in which the last walk began may have come after it.
            if last_seen >= self.poll.since {
                changed.push((*key, *counters));
            }
        }
        Ok(true)
    }

    /// Compares what the flows hold with the totals before they were read and now.
    fn weigh(&mut self, before: Totals, sum: Count) -> anyhow::Result<()> {
        let after = self.settled_totals()?;
        let mut held = self.removed()?;
        held += sum;
        self.balance.note(&before, &after, held);
        Ok(())
    }

    /// Where packets came during the walk, reads the flows again a few times: what is missing lies in the
    /// range that each time leaves. A large map takes too long for that.
    fn close_in(&mut self) -> anyhow::Result<()> {
        for _ in 0..READINGS {
            if !self.balance.is_open() || self.max_flows > READ_AGAIN_FLOWS {
                break;
            }
            let before = self.settled_totals()?;
            let mut sum = Count::default();
            self.each_flow(|_, counters| sum += carried(counters))?;
            self.weigh(before, sum)?;
        }
        self.balance.settle();
        Ok(())
    }

    fn settled_totals(&mut self) -> anyhow::Result<Totals> {
        let Self { slots, object, .. } = self;
        settled(|| slots.totals(object))
    }

    /// The first of two steps of deletion: packets for these flows are counted as late from now on.
    pub fn close(&mut self, keys: &[FlowKey]) -> anyhow::Result<()> {
        let marked = self.now()?;
        for keys in keys.chunks(CLOSE_BATCH) {
            self.mark(keys)?;
            self.closing.extend(keys.iter().map(|key| Closing { key: *key, marked }));
        }
        Ok(())
    }

    fn mark(&mut self, keys: &[FlowKey]) -> anyhow::Result<()> {
        self.run_over(program::CLOSE_FLOWS, keys)
    }

    /// Runs a program once for each of a batch of keys.
    fn run_over(&mut self, program: &str, keys: &[FlowKey]) -> anyhow::Result<()> {
        if keys.is_empty() {
            return Ok(());
        }
        let mut frame = Vec::with_capacity(size_of_val(keys));
        for key in keys {
            frame.extend(key.to_bytes());
        }
        let count = u32::try_from(keys.len()).unwrap_or(0);
        self.object.run_classifier(program, &frame, count)
    }

    /// The second step: deletes the flows whose grace is over and returns what they had counted. A
    /// mark that a packet in flight overwrote is set again.
    pub fn take_closed(&mut self) -> anyhow::Result<Vec<(FlowKey, FlowCounters)>> {
        let now = self.now()?;
        let mut closed = Vec::new();
        let mut again = Vec::new();
        let due = |closing: &Closing| now >= closing.marked + GRACE_TICKS;
        let (ready, waiting): (Vec<_>, Vec<_>) = self.closing.drain(..).partition(due);
        self.closing = waiting;
        for ready in ready.chunks(CLOSE_BATCH) {
            let mut keys = Vec::with_capacity(ready.len());
            for Closing { key, .. } in ready {
                let Some(counters) = self.lookup(key)? else { continue };
                if Cached(counters.policy).is_closing() {
                    keys.push(*key);
                    closed.push((*key, counters));
                } else {
                    again.push(*key);
                }
            }
            // The program deletes a flow and keeps what it carried in one go: an agent that is
            // killed in between leaves no hole in the accounts.
            self.run_over(program::REMOVE_FLOWS, &keys)?;
        }
        if !again.is_empty() {
            self.close(&again)?;
        }
        Ok(closed)
    }

    /// Flows to give up early because the map is nearly full: those opened from outside that nobody
    /// answered, oldest first. Empty while there is room.
    pub fn under_pressure(&mut self) -> anyhow::Result<Vec<FlowKey>> {
        let limit = self.max_flows / 10 * 9;
        let taken =
            self.poll.last_entries.saturating_sub(u32::try_from(self.closing.len()).unwrap_or(0));
        if taken <= limit {
            return Ok(Vec::new());
        }
        let second = self.object.clock.ticks_per_second;
        let mut candidates = Vec::new();
        self.flows.restart();
        while let Some((keys, values)) =
            self.flows.next_entries().context("failed to read the flow map")?
        {
            for (key, counters) in keys.iter().zip(values) {
                let first = usize::from(counters.first_direction.min(1));
                let (opened, answer) = (&counters.halves[first], &counters.halves[1 - first]);
                let from_home = counters.home & (1 << first) != 0;
                let idle = opened.last_seen + second < self.poll.began;
                if answer.packets == 0
                    && !from_home
                    && idle
                    && !Cached(counters.policy).is_closing()
                {
                    candidates.push((opened.last_seen, *key));
                }
            }
        }
        candidates.sort_unstable();
        candidates.truncate((taken - limit) as usize + self.max_flows as usize / 10);
        Ok(candidates.into_iter().map(|(_, key)| key).collect())
    }
}

fn carried(counters: &FlowCounters) -> Count {
    let [low, high] = &counters.halves;
    Count { packets: low.packets + high.packets, bytes: low.ip_bytes + high.ip_bytes }
}
