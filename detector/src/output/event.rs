//! What the agent gives to its outputs. Events are shared, never copied per output.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use super::Summary;
use crate::flow::FlowRecord;
use crate::network::Address;
use crate::response::Change;
use crate::status::Status;
use crate::store::traffic::Carried;
use crate::store::traffic::log::{MAX_LINES, TrafficBatch};
use crate::store::upkeep::Retention;
use crate::verdict::Alert;

/// Something that outputs may want.
#[derive(Clone, Debug)]
pub enum Event {
    /// An alert that opened or grew.
    Alert(Arc<Alert>),
    /// A flow that ended, or a slice of one that continues.
    Flow(Arc<FlowRecord>),
    /// A change of policy.
    Change(Arc<Changed>),
    /// Once a second.
    Status(Arc<Status>),
    /// Sessions' usage in a part of a minute.
    Traffic(Arc<TrafficMinute>),
    /// Baselines of hosts, by address.
    Baselines(Arc<Vec<(Address, String)>>),
    /// The ledger's accounts of senders, and what it learned about the services of hosts.
    Accounts(Arc<LedgerTexts>),
    /// What the alerts that follow are scored by.
    Settings(Arc<Settings>),
    /// The last event of a run.
    Summary(Arc<Summary>),
}

/// The kinds of event that an output may ask for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    Alert,
    Flow,
    Change,
    Status,
    Traffic,
    Baselines,
    Accounts,
    Settings,
    Summary,
}

impl Event {
    #[must_use]
    pub fn kind(&self) -> Kind {
        match self {
            Self::Alert(_) => Kind::Alert,
            Self::Flow(_) => Kind::Flow,
            Self::Change(_) => Kind::Change,
            Self::Status(_) => Kind::Status,
            Self::Traffic(_) => Kind::Traffic,
            Self::Baselines(_) => Kind::Baselines,
            Self::Accounts(_) => Kind::Accounts,
            Self::Settings(_) => Kind::Settings,
            Self::Summary(_) => Kind::Summary,
        }
    }
}

/// What the ledger's next run must know, by address.
#[derive(Debug, Default)]
pub struct LedgerTexts {
    /// The accounts of senders.
    pub accounts: Vec<(Address, String)>,
    /// What the services of hosts usually answer.
    pub services: Vec<(Address, String)>,
}

/// A change of policy and when it was made.
#[derive(Clone, Debug)]
pub struct Changed {
    pub time_ns: u64,
    pub change: Change,
}

/// What alerts are scored by and how long everything is kept.
#[derive(Clone, Debug)]
pub struct Settings {
    pub model_hash: String,
    pub config_hash: String,
    pub retention: Retention,
}

/// What was carried in a part of the minute that begins at `minute`.
#[derive(Debug)]
pub struct TrafficMinute {
    pub minute: u64,
    pub carried: Carried,
    pub batch: TrafficBatch,
    /// Held until the last output has let go of the batch.
    _room: Room,
}

/// Lines that may wait for the disk: four batches of the most sessions, some 40 MB.
const LINES_WAITING: usize = 4 * MAX_LINES;

/// The lines of traffic that wait to be written. A queue bounds how many events wait; their size is
/// bounded here.
#[derive(Clone, Debug, Default)]
pub struct TrafficBacklog(Arc<AtomicUsize>);

impl TrafficBacklog {
    /// Whether a batch of so many lines may wait with the others.
    #[must_use]
    pub fn has_room_for(&self, lines: usize) -> bool {
        self.0.load(Ordering::Relaxed) + lines <= LINES_WAITING
    }

    /// A batch as an event, which takes up room until the last output has let go of it.
    #[must_use]
    pub fn event(&self, minute: u64, carried: Carried, batch: TrafficBatch) -> Event {
        let lines = batch.lines.len();
        self.0.fetch_add(lines, Ordering::Relaxed);
        let _room = Room { backlog: self.clone(), lines };
        Event::Traffic(Arc::new(TrafficMinute { minute, carried, batch, _room }))
    }
}

#[derive(Debug)]
struct Room {
    backlog: TrafficBacklog,
    lines: usize,
}

impl Drop for Room {
    fn drop(&mut self) {
        self.backlog.0.fetch_sub(self.lines, Ordering::Relaxed);
    }
}
