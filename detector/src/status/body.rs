//! The status as programs read it: `GET /api/status`, and every second on the event stream.

use serde::Serialize;
use utoipa::ToSchema;

use crate::control::{Outbound, Pending, TableUse};
use crate::response::Mode;

/// State of the agent, its interfaces, the database and the outputs
#[derive(Clone, Debug, Default, PartialEq, Serialize, ToSchema)]
#[schema(as = Status)]
pub struct StatusBody {
    pub version: String,
    /// Null without an agent
    #[schema(value_type = Option<crate::control::ModeName>)]
    pub mode: Option<Mode>,
    /// Whether an agent watches interfaces
    pub capturing: bool,
    pub started: String,
    pub uptime_secs: u64,
    pub rates: Rates,
    pub totals: Totals,
    pub flows: u64,
    pub interfaces: u64,
    pub coverage: Coverage,
    pub outbound: Outbound,
    /// What was not seen, not kept or not reported, by reason; what is 0 may be left out
    pub loss: Vec<Loss>,
    pub baselines: Baselines,
    pub alerts: AlertCounts,
    pub blocks: u64,
    pub pending: Vec<Pending>,
    pub tables: Vec<TableUse>,
    pub store: StoreState,
    pub sinks: Vec<SinkState>,
    /// `learning, ready in 27 days`
    pub learning: Option<String>,
}

/// Rates over the last second
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, ToSchema)]
pub struct Rates {
    pub packets: f64,
    pub bytes: f64,
    /// What left: what was dropped is not in it
    pub bytes_out: f64,
    pub bytes_in: f64,
    /// What internal hosts tried to send and was dropped
    pub bytes_stopped: f64,
}

/// Since the agent started
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, ToSchema)]
pub struct Totals {
    pub packets: u64,
    /// What left: what was dropped is not in it
    pub bytes_out: u64,
    pub bytes_in: u64,
    /// What internal hosts tried to send: what left and what was dropped
    pub bytes_attempted: u64,
    pub bytes_stopped: u64,
}

/// Bytes on the interfaces, and bytes accounted to a flow or a reason to skip
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, ToSchema)]
pub struct Coverage {
    pub seen_bytes: u64,
    pub accounted_bytes: u64,
    pub unaccounted_bytes: u64,
    /// Null when nothing was seen
    pub ratio: Option<f64>,
}

/// Something that was lost
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, ToSchema)]
pub struct Loss {
    pub name: String,
    pub count: u64,
    pub text: String,
}

/// Hosts with a baseline
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, ToSchema)]
pub struct Baselines {
    pub ready: u64,
    pub learning: u64,
    /// Days until the next baseline is ready
    pub days_left: Option<u32>,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, ToSchema)]
pub struct AlertCounts {
    pub open: u64,
    pub acknowledged: u64,
    pub last_24h: u64,
    /// A count reached 100,000, where counting ends: there are at least so many
    pub capped: bool,
    /// Open alerts
    pub by_severity: BySeverity,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, ToSchema)]
pub struct BySeverity {
    pub low: u64,
    pub medium: u64,
    pub high: u64,
    pub critical: u64,
}

/// The database
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, ToSchema)]
pub struct StoreState {
    pub state: StoreStateName,
    pub path: Option<String>,
    pub bytes: u64,
    /// Records that the agent failed to store
    pub not_stored: Vec<NotStored>,
    pub error: Option<String>,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum StoreStateName {
    Ok,
    /// The last write failed
    Failing,
    /// There is no database
    #[default]
    Off,
}

#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, ToSchema)]
pub struct NotStored {
    pub name: String,
    pub count: u64,
}

/// An output with its counters since the start
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, ToSchema)]
pub struct SinkState {
    /// `standard output`, `store`, `live pages`, or a channel such as `notify mail`
    pub name: String,
    pub state: SinkHealth,
    /// Waiting to be written
    pub queued: u64,
    pub sent: u64,
    /// Failed and given up
    pub failed: u64,
    /// Dropped because the queue was full
    pub dropped: u64,
    /// Failed attempts that are retried
    pub retried: u64,
    /// The latest error, also after a success
    pub error: Option<String>,
    /// A guarantee that it cannot give at present
    pub note: Option<String>,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum SinkHealth {
    #[default]
    Ok,
    /// It was too slow, or gave a record up
    Losing,
    /// The latest attempt failed
    Failing,
}
