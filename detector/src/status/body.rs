//! The status as programs read it: `GET /api/status`, and every second on the event stream.

use serde::Serialize;
use utoipa::ToSchema;

use crate::control::{Pending, TableUse};
use crate::response::Mode;

/// How everything is doing
#[derive(Clone, Debug, Default, PartialEq, Serialize, ToSchema)]
#[schema(as = Status)]
pub struct StatusBody {
    pub version: String,
    /// None without an agent
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

/// In a second, over the last second
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, ToSchema)]
pub struct Rates {
    pub packets: f64,
    pub bytes: f64,
    pub bytes_out: f64,
    pub bytes_in: f64,
}

/// Since the agent started
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, ToSchema)]
pub struct Totals {
    pub packets: u64,
    pub bytes_out: u64,
    pub bytes_in: u64,
}

/// The bytes that interfaces carried, and those accounted to a flow or a reason to skip
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, ToSchema)]
pub struct Coverage {
    pub seen_bytes: u64,
    pub accounted_bytes: u64,
    pub unaccounted_bytes: u64,
    /// None where nothing was seen
    pub ratio: Option<f64>,
}

/// What internal hosts sent, and how much of it is explained
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, ToSchema)]
pub struct Outbound {
    /// Bytes since the start by explanation
    pub explained: Vec<NamedBytes>,
    /// Bytes since the start that no explanation fits, by class
    pub unexplained: Vec<NamedBytes>,
    /// Bytes that may still be explained: for a minute at most
    pub waiting_bytes: u64,
    /// The senders with the most unexplained bytes of each class today (UTC), ten at most
    pub senders: Vec<UnexplainedSender>,
    /// Alerts about unexplained bytes that `alerts.unexplained_per_day` left no room for
    pub alerts_withheld: u64,
}

#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, ToSchema)]
pub struct NamedBytes {
    pub name: String,
    pub bytes: u64,
}

/// A sender with unexplained bytes of one class today
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, ToSchema)]
pub struct UnexplainedSender {
    pub address: String,
    /// `evidence`, `new`, `internal` or `alerted`
    pub class: String,
    pub bytes: u64,
    /// The destination with the most of them
    pub destination: Option<String>,
    pub destination_name: Option<String>,
    pub destination_bytes: u64,
}

/// Something that was lost
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, ToSchema)]
pub struct Loss {
    pub name: String,
    pub count: u64,
    pub text: String,
}

/// Hosts whose baseline is known
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, ToSchema)]
pub struct Baselines {
    pub ready: u64,
    pub learning: u64,
    /// Until the next is ready
    pub days_left: Option<u32>,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, ToSchema)]
pub struct AlertCounts {
    pub open: u64,
    pub acknowledged: u64,
    pub last_24h: u64,
    /// A count reached 100,000, where counting ends: there are at least so many
    pub capped: bool,
    /// Of those that are open
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
    /// What could not be stored, and is given up
    pub not_stored: Vec<NotStored>,
    pub error: Option<String>,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum StoreStateName {
    Ok,
    /// The last write failed
    Failing,
    /// There is none
    #[default]
    Off,
}

#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, ToSchema)]
pub struct NotStored {
    pub name: String,
    pub count: u64,
}

/// An output: what it was given, and what became of that, since the start
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, ToSchema)]
pub struct SinkState {
    /// `standard output`, `store`, `live pages`, or a channel as `notify mail`
    pub name: String,
    pub state: SinkHealth,
    /// Waiting to be written
    pub queued: u64,
    pub sent: u64,
    /// Given up
    pub failed: u64,
    /// The queue had no room for
    pub dropped: u64,
    /// Attempts that failed and are made again
    pub retried: u64,
    /// The latest failure, also where it works again
    pub error: Option<String>,
    /// A promise that it cannot keep at present
    pub note: Option<String>,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum SinkHealth {
    #[default]
    Ok,
    /// It was too slow, or has given something up
    Losing,
    /// The latest attempt failed
    Failing,
}
