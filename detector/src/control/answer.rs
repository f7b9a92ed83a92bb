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
    /// Which file was read.
    pub file: String,
    /// Keys that took effect, as `section.key`.
    pub changed: Vec<String>,
    /// Keys whose new value waits for a restart.
    pub needs_restart: Vec<KeptKey>,
    /// The model that scores from now on, where that is another: its hash.
    pub model: Option<String>,
}

/// A key that kept its value.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct KeptKey {
    pub key: String,
    /// The value in force, as JSON.
    pub kept: String,
}

/// A block and what it has done.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct BlockLine {
    pub number: u32,
    #[schema(value_type = String, example = "pair 10.0.0.7 192.0.2.1")]
    pub target: Target,
    pub effect: EffectWanted,
    /// It counts and does nothing.
    pub simulated: bool,
    /// `agent`, or who asked: `uid 0 (root)`.
    pub by: String,
    pub reason: String,
    /// The alert's id.
    pub alert: Option<String>,
    /// RFC 3339, as all times here.
    pub placed: String,
    pub ends: String,
    pub remaining_secs: u64,
    /// How many times the same has been blocked, this one included.
    pub times: u32,
    pub packets: u64,
    pub bytes: u64,
    pub last_hit: Option<String>,
    /// `in force`, `counts only`, `suspended until …`, `waits for confirmation until …`.
    #[schema(value_type = String)]
    pub state: BlockState,
    /// The id to confirm it by.
    pub pending: Option<u64>,
}

/// What is never blocked, or raises no alert.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct AllowLine {
    pub id: String,
    pub kind: AllowKind,
    /// For what is never blocked by its address.
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
    /// Decisions in the kernel that it changed.
    pub hits: u64,
    /// Sessions that raised no alert because of it.
    pub sessions: u64,
    pub effect: AllowEffect,
}

/// Where an exception comes from.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum AllowKind {
    /// This host's own addresses.
    Own,
    Gateway,
    Resolver,
    /// The other end of a live administrative connection.
    Administrator,
    /// A server that messages go to.
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

/// How far the agent's own blocks go.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct ModeState {
    #[schema(value_type = ModeName)]
    pub mode: Mode,
    pub since: String,
    pub pending: Option<Reversion>,
}

/// A mode that ends without a confirmation.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Reversion {
    pub id: u64,
    #[schema(value_type = ModeName)]
    pub returns_to: Mode,
    pub in_secs: u64,
}

/// A change that is undone unless somebody confirms it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Pending {
    pub id: u64,
    /// In words: `mode block`.
    pub what: String,
    pub in_secs: u64,
}

/// Whether a block holds, and how that is known.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct VerifyLine {
    pub number: u32,
    #[schema(value_type = String, example = "pair 10.0.0.7 192.0.2.1")]
    pub target: Target,
    pub how: VerifiedHow,
    /// None where nothing passed by that would tell.
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

/// A domain that data leaves through, for a resolver to refuse.
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
    /// First the answer, then what it follows from.
    pub sentences: Vec<String>,
    pub blocks: Vec<BlockLine>,
    pub allow: Vec<AllowLine>,
    pub budgets: Vec<BudgetLine>,
}

/// What a host may send to a destination, and has sent.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct BudgetLine {
    #[schema(value_type = String)]
    pub home: Address,
    #[schema(value_type = String)]
    pub destination: Address,
    /// Payload bytes; none: no bound.
    pub limit: Option<u64>,
    pub charged: u64,
    pub held_packets: u64,
    pub held_bytes: u64,
    /// For how long packets have been held; none: they are not.
    pub held_secs: Option<f64>,
    /// `open`, `held`, `free`, …
    pub state: String,
}

/// A session that is alive.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct SessionLine {
    /// The end at home; where neither or both are, the one that opened the session.
    #[schema(value_type = String)]
    pub src: Address,
    #[schema(value_type = String)]
    pub dst: Address,
    /// The server's.
    pub dst_port: u16,
    pub protocol: String,
    pub name: Option<String>,
    /// IP bytes from `src`, and to it.
    pub bytes_out: u64,
    pub bytes_in: u64,
    pub packets_out: u64,
    pub packets_in: u64,
    pub flows: u64,
    /// IP bytes a second from `src` since the last look, else since it began.
    pub rate: f64,
    pub started: String,
    pub last_seen: String,
}

/// How far a host's baseline is.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct BaselineLine {
    #[schema(value_type = String)]
    pub address: Address,
    /// None: it is ready.
    pub days_left: Option<u32>,
    /// Receivers that are known of it, and days on which it was seen.
    pub receivers: u64,
    pub days_seen: u32,
}

/// An interface of this network namespace.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct InterfaceLine {
    pub name: String,
    pub attached: bool,
    /// How received and sent packets are seen; none where they are not.
    pub ingress: Option<String>,
    pub egress: Option<String>,
    /// Frames and bytes since it was attached, received and sent.
    pub frames_in: u64,
    pub frames_out: u64,
    pub bytes_in: u64,
    pub bytes_out: u64,
    /// Bytes of frames that are no IP packet: a part of the above.
    pub skipped_bytes: u64,
    /// Bytes that no counter explains.
    pub unaccounted_bytes: i64,
    /// Why it is seen the way it is.
    pub notes: Vec<String>,
}

/// The agent itself.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct StatusReply {
    pub pid: u32,
    pub version: String,
    pub mode: Mode,
    pub interfaces: Vec<String>,
    pub tables: Vec<TableUse>,
    pub counters: BTreeMap<String, u64>,
    pub pending: Vec<Pending>,
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

/// How far the agent goes by itself: the words of [`Mode`], for the description of the API.
#[derive(ToSchema)]
#[schema(rename_all = "snake_case")]
pub enum ModeName {
    Observe,
    Simulate,
    Block,
}
