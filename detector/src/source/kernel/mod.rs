//! The kernel as a source: programs loaded and attached, maps polled, events read, idle flows
//! deleted without losing a packet. The home of aya.
//!
//! It hands out what there is and scores nothing; the agent decides when to ask.

pub mod attach;
mod balance;
pub mod batch;
pub mod claims;
pub mod clock;
mod detach;
mod events;
pub mod features;
pub mod interfaces;
mod memory;
mod netlink;
pub mod object;
mod pins;
mod places;
mod policy;
mod probe;
mod reconfigure;
mod refusal;
mod restore;
pub mod sockets;
mod stack;
mod sys;
mod trace;
mod walk;
mod watch;

use std::os::fd::{AsFd as _, OwnedFd};
use std::path::PathBuf;

use anyhow::{Context as _, bail};
use aya::maps::{Array, HashMap, MapData, RingBuf};
use detector_common::abi::{Count, OverflowCounters, OverflowKey, Totals, map};
use detector_common::flow::{FlowCounters, FlowKey};
use detector_common::policy::{Budget, BudgetKey};

use crate::config::{Config, Xdp};
use crate::flow::TimeBase;
use crate::network::Network;
use crate::response::Enforcer as _;
use balance::Balance;
use batch::BatchReader;
pub use detach::detach_all;
pub use events::KernelEvent;
use interfaces::Selection;
use object::{Object, ObjectConfig};
pub use pins::{Detached, Start};
use pins::{MAPS, Pins};
pub use places::Displaced;
pub use policy::PolicyTable;
use policy::{Classes, KernelEntryIndex};
pub use restore::{Misplaced, Restored};
use sockets::Sockets;
pub use sockets::{PastPrograms, Process, Sight};
use trace::KernelTrace;
use walk::{Closing, Poll};
use watch::Slots;
pub use watch::{Change, Seen, SeenPoint, SeenTraffic, Watched};

/// The loaded data plane. Dropped, it is taken off, unless it is to be kept.
pub struct KernelSource {
    object: Object,
    pins: Pins,
    events: RingBuf<MapData>,
    /// Sees sockets that go past the programs; else why not.
    sockets: Result<Sockets, String>,
    flows: BatchReader<FlowKey, FlowCounters>,
    overflow: BatchReader<OverflowKey, OverflowCounters>,
    budgets: BatchReader<BudgetKey, Budget>,
    /// What is in the maps of entries.
    entries_index: KernelEntryIndex,
    /// The home networks that budgets distinguish.
    classes: Classes,
    selection: Selection,
    xdp: Xdp,
    /// Where locks are kept that may not be in the common place.
    runtime_dir: PathBuf,
    /// What the configuration calls home; none for the defaults and the interfaces' own networks.
    configured_home: Vec<Network>,
    home: Vec<Network>,
    slots: Slots,
    closing: Vec<Closing>,
    poll: Poll,
    balance: Balance,
    max_flows: u32,
    records_unknown: u64,
    /// The last look at the programs' places failed, which was said.
    look_failed: bool,
    /// None where no lines are asked for.
    trace: Option<KernelTrace>,
}

/// What was seen and where it went, over all interfaces.
#[derive(Clone, Copy, Debug, Default)]
pub struct Accounting {
    pub totals: Totals,
    /// Packets and IP bytes of the flows in the map and of those deleted.
    pub flows: Count,
    /// What stands in no flow and no counter for certain, see [`KernelSource::accounting`].
    pub unaccounted_packets: i64,
    pub unaccounted_bytes: i64,
    pub live_flows: u32,
}

impl KernelSource {
    /// Loads the object and its maps; attaches nothing yet, see [`KernelSource::rescan`].
    pub fn load(config: &Config, selection: Selection, start: Start) -> anyhow::Result<Self> {
        // Before anything of the machine is touched.
        object::built_in()?;
        let sizes = ObjectConfig::of(config);
        let pins = Pins::open(config, &sizes, start).or_else(|error| {
            // An interface that is watched already is what people can do something about.
            claims::check(&selection, &config.runtime_dir)?;
            Err(error)
        })?;
        let mut object = Object::load_pinned(&sizes, pins.folder(), &MAPS)?;
        tracing::info!("{}", object.features);
        pins.seal()?;
        object.clock.base = pins.time_base(object.clock.base)?;
        if config.kernel.pin
            && let Err(error) = pins.check()
        {
            tracing::warn!("{error:#}");
        }
        let trace = if config.kernel.trace { Some(KernelTrace::new(&mut object)?) } else { None };
        let events = object.ebpf.take_map(map::EVENTS).context("the BPF object has no events")?;
        let events = RingBuf::try_from(events)?;
        let sockets = Sockets::attach(&mut object).map_err(|error| format!("{error:#}"));
        let flows = BatchReader::new(object.map_data(map::FLOWS)?)?;
        let overflow = BatchReader::new(object.map_data(map::OVERFLOW)?)?;
        let budgets = BatchReader::new(object.map_data(map::BUDGETS)?)?;
        let slots = if pins.adopted { Slots::adopt(&mut object)? } else { Slots::default() };
        let mut source = Self {
            object,
            pins,
            events,
            sockets,
            flows,
            overflow,
            budgets,
            entries_index: KernelEntryIndex::new(&sizes),
            classes: Classes::default(),
            selection,
            xdp: config.kernel.xdp,
            runtime_dir: config.runtime_dir.clone(),
            configured_home: config.home_networks.clone(),
            home: Vec::new(),
            slots,
            closing: Vec::new(),
            poll: Poll::default(),
            balance: Balance::default(),
            max_flows: sizes.max_flows,
            records_unknown: 0,
            look_failed: false,
            trace,
        };
        source.set_budget_rules(config)?;
        if source.pins.adopted {
            source.read_entries(&sizes)?;
        }
        // Before any program is attached: what is active holds from its first packet on.
        source.set_mode(config.mode, None)?;
        source.commit()?;
        Ok(source)
    }

    /// Whether it continues from what an earlier agent left.
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
    pub fn now(&mut self) -> anyhow::Result<u64> {
        Ok(clock::read_clocks(&mut self.object.ebpf)?.jiffies)
    }

    /// Kernel memory of all maps, in bytes.
    pub fn map_memory_bytes(&self) -> anyhow::Result<u64> {
        self.object.map_memory_bytes()
    }

    /// The next record of the ring buffer, if there is one. Records of no known kind are counted.
    pub fn next_event(&mut self) -> Option<KernelEvent> {
        loop {
            let record = self.events.next()?;
            match events::news(&record) {
                Some(news) => return Some(news),
                None => self.records_unknown += 1,
            }
        }
    }

    /// A descriptor that is readable when there is news.
    pub fn events_fd(&self) -> anyhow::Result<OwnedFd> {
        self.events.as_fd().try_clone_to_owned().context("failed to wait for events")
    }

    /// What is seen of sockets that go past the programs.
    ///
    /// # Errors
    ///
    /// Nothing, with the reason.
    pub fn sight(&self) -> Result<Sight, &str> {
        self.sockets.as_ref().map(|sockets| sockets.sight).map_err(String::as_str)
    }

    /// The next socket that goes past the programs, if there is one.
    pub fn next_past_programs(&mut self) -> Option<PastPrograms> {
        self.sockets.as_mut().ok()?.next()
    }

    /// Sockets that went past the programs and were not reported: their ring buffer was full.
    pub fn past_programs_lost(&self) -> anyhow::Result<u64> {
        self.sockets.as_ref().map_or(Ok(0), Sockets::lost)
    }

    /// A descriptor that is readable when a socket has gone past the programs; none where that is not
    /// seen.
    pub fn past_programs_fd(&self) -> anyhow::Result<Option<OwnedFd>> {
        self.sockets.as_ref().ok().map(Sockets::fd).transpose()
    }

    /// Records that this agent could not read.
    #[must_use]
    pub fn records_unknown(&self) -> u64 {
        self.records_unknown
    }

    /// A flow's counters as they are now.
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

    /// All home hosts' overflow entries.
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

    /// What was seen and where it went. While traffic flows, what is unaccounted is what the last two
    /// walks through the flow map found missing for certain; once nothing is attached any more, what the
    /// last walk did, which is exact.
    pub fn accounting(&mut self) -> anyhow::Result<Accounting> {
        let totals = self.slots.totals(&mut self.object)?;
        let mut flows = self.removed()?;
        flows += self.poll.last_sum;
        let shortfall =
            if self.slots.is_empty() { self.balance.latest() } else { self.balance.shown() };
        Ok(Accounting {
            totals,
            flows,
            unaccounted_packets: shortfall.packets,
            unaccounted_bytes: shortfall.bytes,
            live_flows: self.poll.last_entries,
        })
    }

    /// Frames that are no IP by what they are: numbers of [`detector_common::parse::number`].
    pub fn unopened(&mut self) -> anyhow::Result<Vec<(u32, Count)>> {
        let unopened: HashMap<_, u32, Count> =
            HashMap::try_from(self.object.map_mut(map::UNOPENED)?)?;
        let read: Result<Vec<_>, _> = unopened.iter().collect();
        read.context("failed to read what frames are that are no IP")
    }

    /// Packets and IP bytes of the flows deleted so far, by earlier agents too.
    fn removed(&mut self) -> anyhow::Result<Count> {
        let removed: Array<_, Count> = Array::try_from(self.object.map_mut(map::REMOVED)?)?;
        removed.get(&0, 0).context("failed to read the totals of deleted flows")
    }

    /// Sees that there is something to watch; from then on what was taken over is this agent's, and
    /// goes with it.
    pub fn check_attached(&mut self) -> anyhow::Result<()> {
        if self.slots.is_empty() {
            bail!("no interface is attached");
        }
        self.pins.own();
        Ok(())
    }
}
