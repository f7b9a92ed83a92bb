//! The kernel as a source: programs loaded and attached, maps polled, events read, idle flows
//! deleted without losing a packet. The home of aya.
//!
//! It hands out what there is and judges nothing; the agent decides when to ask.

pub mod attach;
pub mod batch;
pub mod clock;
mod events;
pub mod interfaces;
pub mod object;
mod pins;
mod policy;
mod sys;
mod watch;

use std::os::fd::{AsFd as _, OwnedFd};

use anyhow::{Context as _, bail};
use aya::maps::{Array, HashMap, MapData, RingBuf};
use detector_common::abi::{
    CLOSE_BATCH, Count, OverflowCounters, OverflowKey, Totals, map, program,
};
use detector_common::flow::{FlowCounters, FlowKey};
use detector_common::policy::{Budget, BudgetKey, Cached};

use crate::config::{Config, Xdp};
use crate::flow::TimeBase;
use crate::network::Network;
use crate::response::Enforcer as _;
use batch::BatchReader;
pub use events::News;
use interfaces::Selection;
use object::{Object, ObjectConfig};
pub use pins::{Detached, Start, detach_all};
use pins::{MAPS, Pins};
pub use policy::PolicyTable;
use policy::{Classes, Ledger};
use watch::Slots;
pub use watch::{Change, Watched};

/// The loaded data plane. Dropped, it is taken off, unless it is to be kept.
pub struct KernelSource {
    object: Object,
    pins: Pins,
    events: RingBuf<MapData>,
    flows: BatchReader<FlowKey, FlowCounters>,
    overflow: BatchReader<OverflowKey, OverflowCounters>,
    budgets: BatchReader<BudgetKey, Budget>,
    /// What stands in the maps of entries.
    ledger: Ledger,
    /// The home networks that budgets tell apart.
    classes: Classes,
    selection: Selection,
    xdp: Xdp,
    /// What the configuration calls home; none for the defaults and the interfaces' own networks.
    home: Vec<Network>,
    installed_home: Vec<Network>,
    slots: Slots,
    closing: Vec<Closing>,
    poll: Poll,
    max_flows: u32,
    records_unknown: u64,
}

/// The walk through the flow map that is under way, and what the last one found.
#[derive(Clone, Copy, Debug, Default)]
struct Poll {
    /// Tick at which the previous walk began: what was last seen before it has been delivered.
    since: u64,
    began: u64,
    entries: u32,
    sum: Count,
    last_entries: u32,
    last_sum: Count,
}

/// A flow marked for deletion, and when.
#[derive(Clone, Copy, Debug)]
struct Closing {
    key: FlowKey,
    marked: u64,
}

/// Programs that read a flow's word before it was marked have ended after this many ticks: at the
/// lowest tick rate two are 20 ms, and a program runs for microseconds.
const GRACE_TICKS: u64 = 2;

/// What was seen and where it went, over all interfaces.
#[derive(Clone, Copy, Debug, Default)]
pub struct Accounting {
    pub totals: Totals,
    /// Packets and IP bytes of the flows in the map and of those deleted.
    pub flows: Count,
    pub unaccounted_packets: i64,
    pub unaccounted_bytes: i64,
    pub live_flows: u32,
}

impl KernelSource {
    /// Loads the object and its maps; attaches nothing yet, see [`KernelSource::rescan`].
    ///
    /// # Errors
    ///
    /// No privilege, a kernel that is too old, memory that cannot be had, another agent; something
    /// left that is to be taken over and cannot be.
    pub fn load(config: &Config, selection: Selection, start: Start) -> anyhow::Result<Self> {
        let sizes = ObjectConfig::of(config);
        let pins = Pins::open(config, &sizes, start).or_else(|error| {
            // An interface that is watched already is what people can do something about.
            attach::check_claims(&selection)?;
            Err(error)
        })?;
        let mut object = Object::load_pinned(&sizes, pins.folder(), &MAPS)?;
        pins.seal()?;
        if config.kernel.pin
            && let Err(error) = pins.check()
        {
            tracing::warn!("{error:#}");
        }
        let events = object.ebpf.take_map(map::EVENTS).context("the BPF object has no events")?;
        let events = RingBuf::try_from(events)?;
        let flows = BatchReader::new(object.map_data(map::FLOWS)?)?;
        let overflow = BatchReader::new(object.map_data(map::OVERFLOW)?)?;
        let budgets = BatchReader::new(object.map_data(map::BUDGETS)?)?;
        let slots = if pins.adopted { Slots::adopt(&mut object)? } else { Slots::default() };
        let mut source = Self {
            object,
            pins,
            events,
            flows,
            overflow,
            budgets,
            ledger: Ledger::new(&sizes),
            classes: Classes::default(),
            selection,
            xdp: config.kernel.xdp,
            home: config.home_networks.clone(),
            installed_home: Vec::new(),
            slots,
            closing: Vec::new(),
            poll: Poll::default(),
            max_flows: sizes.max_flows,
            records_unknown: 0,
        };
        source.set_budget_rules(&config.budget)?;
        if source.pins.adopted {
            source.read_ledger(&sizes)?;
        }
        // Before any program is attached: what stands holds from its first packet on.
        source.set_mode(config.mode, None)?;
        source.commit()?;
        Ok(source)
    }

    /// Whether it goes on from what an earlier agent left.
    #[must_use]
    pub fn adopted(&self) -> bool {
        self.pins.adopted
    }

    /// Turns ticks into time.
    #[must_use]
    pub fn time_base(&self) -> TimeBase {
        self.object.clock.base
    }

    /// The tick it is now.
    ///
    /// # Errors
    ///
    /// Those of the system call.
    pub fn now(&mut self) -> anyhow::Result<u64> {
        Ok(clock::read_clocks(&mut self.object.ebpf)?.jiffies)
    }

    /// Kernel memory of all maps, in bytes.
    ///
    /// # Errors
    ///
    /// Those of the system calls.
    pub fn map_memory_bytes(&self) -> anyhow::Result<u64> {
        self.object.map_memory_bytes()
    }

    /// The next record of the ring buffer, if there is one. Records of no known kind are counted.
    pub fn next_news(&mut self) -> Option<News> {
        loop {
            let record = self.events.next()?;
            match events::news(&record) {
                Some(news) => return Some(news),
                None => self.records_unknown += 1,
            }
        }
    }

    /// A descriptor that is readable when there is news.
    ///
    /// # Errors
    ///
    /// When no more descriptors can be had.
    pub fn events_fd(&self) -> anyhow::Result<OwnedFd> {
        self.events.as_fd().try_clone_to_owned().context("failed to wait for events")
    }

    /// Records that this agent could not read.
    #[must_use]
    pub fn records_unknown(&self) -> u64 {
        self.records_unknown
    }

    /// A flow's counters as they are now.
    ///
    /// # Errors
    ///
    /// Those of the system call.
    pub fn lookup(&mut self, key: &FlowKey) -> anyhow::Result<Option<FlowCounters>> {
        let flows: HashMap<_, FlowKey, FlowCounters> =
            HashMap::try_from(self.object.map_mut(map::FLOWS)?)?;
        match flows.get(key, 0) {
            Ok(counters) => Ok(Some(counters)),
            Err(aya::maps::MapError::KeyNotFound) => Ok(None),
            Err(error) => Err(error).context("failed to read a flow"),
        }
    }

    /// Shows every flow as it is now. Not to be called during a poll's walk.
    ///
    /// # Errors
    ///
    /// Those of the system call.
    pub fn each_flow(
        &mut self,
        mut see: impl FnMut(&FlowKey, &FlowCounters),
    ) -> anyhow::Result<()> {
        self.flows.restart();
        while let Some((keys, values)) =
            self.flows.next_entries().context("failed to read the flow map")?
        {
            keys.iter().zip(values).for_each(|(key, counters)| see(key, counters));
        }
        Ok(())
    }

    /// Starts a walk through the flow map.
    ///
    /// # Errors
    ///
    /// Those of the system call.
    pub fn begin_poll(&mut self) -> anyhow::Result<()> {
        let began = self.now()?;
        self.poll.since = self.poll.began;
        self.poll.began = began;
        self.poll.entries = 0;
        self.poll.sum = Count::default();
        self.flows.restart();
        Ok(())
    }

    /// Puts the flows of the next part of the walk that changed since the last one into `changed`.
    /// False at its end.
    ///
    /// # Errors
    ///
    /// Those of the system call.
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

    /// All home hosts' overflow entries.
    ///
    /// # Errors
    ///
    /// Those of the system call.
    pub fn overflow(&mut self) -> anyhow::Result<Vec<(OverflowKey, OverflowCounters)>> {
        let mut entries = Vec::new();
        self.overflow.restart();
        while let Some((keys, values)) =
            self.overflow.next_entries().context("failed to read the overflow map")?
        {
            entries.extend(keys.iter().copied().zip(values.iter().copied()));
        }
        Ok(entries)
    }

    /// The first of two steps of deletion: packets for these flows are counted as late from now on.
    ///
    /// # Errors
    ///
    /// Those of the system call.
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
    ///
    /// # Errors
    ///
    /// Those of the system calls.
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
    ///
    /// # Errors
    ///
    /// Those of the system call.
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

    /// What was seen and where it went. Exact once nothing is attached any more and a walk through
    /// the flow map is complete; while traffic flows, the counters are read one after the other.
    ///
    /// # Errors
    ///
    /// Those of the system calls.
    pub fn accounting(&mut self) -> anyhow::Result<Accounting> {
        let totals = self.slots.totals(&mut self.object)?;
        let mut flows = self.removed()?;
        flows += self.poll.last_sum;
        let (mut packets, mut bytes) = totals.unaccounted();
        packets += totals.flows.packets as i64 - flows.packets as i64;
        bytes += totals.flows.bytes as i64 - flows.bytes as i64;
        Ok(Accounting {
            totals,
            flows,
            unaccounted_packets: packets,
            unaccounted_bytes: bytes,
            live_flows: self.poll.last_entries,
        })
    }

    /// Packets and IP bytes of the flows deleted so far, by earlier agents too.
    fn removed(&mut self) -> anyhow::Result<Count> {
        let removed: Array<_, Count> = Array::try_from(self.object.map_mut(map::REMOVED)?)?;
        removed.get(&0, 0).context("failed to read what deleted flows had carried")
    }

    /// Sees that there is something to watch; from then on what was taken over is this agent's, and
    /// goes with it.
    ///
    /// # Errors
    ///
    /// When no interface is attached.
    pub fn check_attached(&mut self) -> anyhow::Result<()> {
        if self.slots.is_empty() {
            bail!("no interface is attached");
        }
        self.pins.own();
        Ok(())
    }
}

fn carried(counters: &FlowCounters) -> Count {
    let [low, high] = &counters.halves;
    Count { packets: low.packets + high.packets, bytes: low.ip_bytes + high.ip_bytes }
}
