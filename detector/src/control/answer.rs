//! The things in answers of the agent: one type each, in exact values. The answers themselves are beside
//! the requests.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::effect::{BlockState, EffectWanted};
use crate::network::{Address, Network};
use crate::response::{Mode, Target};

/// What came of reading the configuration anew.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Reloaded {
    /// The file that was read.
    pub file: String,
    /// Keys that took effect, as `section.key`.
    pub changed: Vec<String>,
    /// Keys whose new value waits for a restart.
    pub needs_restart: Vec<KeptKey>,
    /// The hash of the model that scores from now on, if it changed.
    pub model: Option<String>,
}

/// A key that kept its value.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct KeptKey {
    pub key: String,
    /// The active value, as JSON.
    pub kept: String,
}

/// A block with its counters.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct BlockLine {
    pub number: u32,
    #[schema(value_type = String, example = "pair 10.0.0.7 192.0.2.1")]
    pub target: Target,
    pub effect: EffectWanted,
    /// The block only counts.
    pub simulated: bool,
    /// The author: `agent`, `uid 0 (root)`.
    pub by: String,
    pub reason: String,
    /// The alert's id.
    pub alert: Option<String>,
    /// RFC 3339, like every time here.
    pub placed: String,
    pub ends: String,
    pub remaining_secs: u64,
    /// How often the target was blocked, this time included.
    pub times: u32,
    pub packets: u64,
    pub bytes: u64,
    pub last_hit: Option<String>,
    /// `in force`, `counts only`, `suspended until …`, `waits for confirmation until …`.
    #[schema(value_type = String)]
    pub state: BlockState,
    /// The id to confirm the change with.
    pub pending: Option<u64>,
}

/// An exception: traffic that is never blocked, or raises no alert.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct AllowLine {
    pub id: String,
    pub kind: AllowKind,
    /// For exceptions by address.
    #[schema(value_type = Option<String>)]
    pub network: Option<Network>,
    #[schema(value_type = Option<String>)]
    pub source: Option<Network>,
    #[schema(value_type = Option<String>)]
    pub destination: Option<Network>,
    pub name: Option<String>,
    pub port: Option<u16>,
    pub reason: String,
    pub expires: Option<String>,
    /// Number of the kernel's decisions that it changed.
    pub hits: u64,
    /// Number of sessions that it exempted.
    pub sessions: u64,
    pub effect: AllowEffect,
}

/// The origin of an exception.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum AllowKind {
    /// This host's own addresses.
    Own,
    Gateway,
    Resolver,
    /// The other end of a live administrative connection.
    Administrator,
    /// A server of the notification channels.
    Messages,
    Configured,
    /// Added at run time.
    Operator,
}

impl AllowKind {
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Own => "own",
            Self::Gateway => "gateway",
            Self::Resolver => "resolver",
            Self::Administrator => "administrator",
            Self::Messages => "messages",
            Self::Configured => "configured",
            Self::Operator => "operator",
        }
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub enum AllowEffect {
    #[serde(rename = "never blocked")]
    NeverBlocked,
    #[serde(rename = "no alerts")]
    NoAlerts,
}

impl AllowEffect {
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::NeverBlocked => "never blocked",
            Self::NoAlerts => "no alerts",
        }
    }
}

/// The agent's mode.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct ModeState {
    #[schema(value_type = ModeName)]
    pub mode: Mode,
    pub since: String,
    pub pending: Option<Reversion>,
}

/// A mode that waits for confirmation.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Reversion {
    pub id: u64,
    #[schema(value_type = ModeName)]
    pub returns_to: Mode,
    pub in_secs: u64,
}

/// A change that waits for confirmation.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Pending {
    pub id: u64,
    /// The change in words: `mode block`.
    pub what: String,
    pub in_secs: u64,
}

/// Whether a block works, with the evidence.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct VerifyLine {
    pub number: u32,
    #[schema(value_type = String, example = "pair 10.0.0.7 192.0.2.1")]
    pub target: Target,
    pub how: VerifiedHow,
    /// Null when no matching traffic passed.
    pub holds: Option<bool>,
    pub dropped_packets: u64,
    pub passed_packets: u64,
    pub text: String,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub enum VerifiedHow {
    #[serde(rename = "drop counters")]
    DropCounters,
    #[serde(rename = "probe")]
    Probe,
    #[serde(rename = "no traffic")]
    NoTraffic,
}

impl VerifiedHow {
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::DropCounters => "drop counters",
            Self::Probe => "probe",
            Self::NoTraffic => "no traffic",
        }
    }
}

/// The domain of a DNS tunnel, for a resolver to refuse.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct DomainLine {
    pub domain: String,
    pub alert: Option<String>,
}

/// Whether an address is blocked, and why.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct Explanation {
    #[schema(value_type = String)]
    pub address: Address,
    pub home: bool,
    /// The answer first, then the evidence.
    pub sentences: Vec<String>,
    pub blocks: Vec<BlockLine>,
    pub allow: Vec<AllowLine>,
    pub budgets: Vec<BudgetLine>,
}

/// The budget of a host to a destination.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct BudgetLine {
    #[schema(value_type = String)]
    pub home: Address,
    #[schema(value_type = String)]
    pub destination: Address,
    /// Payload bytes; null: unlimited.
    pub limit: Option<u64>,
    pub charged: u64,
    pub held_packets: u64,
    pub held_bytes: u64,
    /// Seconds since packets are held; null: none are held.
    pub held_secs: Option<f64>,
    /// `open`, `held`, `unlimited`, …
    pub state: String,
}

/// An active session.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct SessionLine {
    /// The internal end; if neither or both are internal, the one that opened the session.
    #[schema(value_type = String)]
    pub src: Address,
    #[schema(value_type = String)]
    pub dst: Address,
    /// The server's.
    pub dst_port: u16,
    pub protocol: String,
    pub name: Option<String>,
    /// IP bytes that left from `src`, and that came to it.
    pub bytes_out: u64,
    pub bytes_in: u64,
    /// IP bytes from `src` that were dropped; the sum of both is what it tried to send.
    #[serde(default)]
    pub bytes_stopped: u64,
    pub packets_out: u64,
    pub packets_in: u64,
    pub flows: u64,
    /// IP bytes a second from `src` since the last update, else since the session began.
    pub rate: f64,
    pub started: String,
    pub last_seen: String,
}

/// State of a host's baseline.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct BaselineLine {
    #[schema(value_type = String)]
    pub address: Address,
    /// Null: the baseline is ready.
    pub days_left: Option<u32>,
    /// Known receivers, and days on which the host was seen.
    pub receivers: u64,
    pub days_seen: u32,
}

/// An interface of this network namespace.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct InterfaceLine {
    pub name: String,
    pub attached: bool,
    /// The hooks for received and sent packets; null without one.
    pub ingress: Option<String>,
    pub egress: Option<String>,
    /// Frames and bytes since it was attached, received and sent.
    pub frames_in: u64,
    pub frames_out: u64,
    pub bytes_in: u64,
    pub bytes_out: u64,
    /// Bytes of frames without an IP packet: a part of the above.
    pub skipped_bytes: u64,
    /// Bytes that no counter accounts for.
    pub unaccounted_bytes: i64,
    /// The reason for these hooks.
    pub notes: Vec<String>,
}

/// The agent's state.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct StatusReply {
    pub pid: u32,
    pub version: String,
    pub mode: Mode,
    pub interfaces: Vec<String>,
    pub outbound: Outbound,
    pub tables: Vec<TableUse>,
    pub counters: BTreeMap<String, u64>,
    pub pending: Vec<Pending>,
}

/// What internal hosts sent, and how much of it is explained
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
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

#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct NamedBytes {
    pub name: String,
    pub bytes: u64,
}

/// A sender with unexplained bytes of one class today
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
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

/// A table in the kernel: how full it is, and what happens when it is.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct TableUse {
    pub name: String,
    pub used: u64,
    pub capacity: u64,
    /// Memory, when full.
    pub bytes: u64,
    pub when_full: String,
}

/// The agent's mode: the words of [`Mode`], for the description of the API.
#[derive(ToSchema)]
#[schema(rename_all = "snake_case")]
pub enum ModeName {
    Observe,
    Simulate,
    Block,
}
