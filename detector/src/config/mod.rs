//! The configuration: one file, validated before anything starts.
//!
//! `packaging/detector.toml` is its manual and a test holds it equal to the defaults here. A key
//! that does not exist is an error. Command-line options win over the file; nothing here reads the
//! environment.

pub mod api;
mod check;
mod defaults;
pub mod explain;
pub mod notify;
pub mod protect;
mod refusal;
pub mod reload;
pub mod store;
pub mod unexplained;

use std::fs;
use std::num::NonZeroU32;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context as _, bail};
use detector_common::parse::Decapsulation;
use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};

use crate::decompress;
use crate::features::HistoryConfig;
use crate::flow::{self, TrackerConfig};
use crate::network::Network;
use crate::response::policy::{ActionRule, Policy};
use crate::response::{ActionKind, Mode};
use crate::verdict::AllowList;
use crate::verdict::allow::Entry;

/// Read when it exists and no other file is named.
pub const DEFAULT_PATH: &str = "/etc/detector/detector.toml";

/// Everything that can be configured. Each key is explained in `packaging/detector.toml`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Config {
    pub interfaces: Vec<String>,
    pub home_networks: Vec<Network>,
    pub mode: Mode,
    pub protect: protect::Protect,
    /// The agent's name in its alerts; empty: that of the host.
    pub sensor: String,
    /// Where the socket for commands, the lock and the pinned maps are.
    pub runtime_dir: PathBuf,
    /// Where the audit log is, and what was allowed at run time.
    pub state_dir: PathBuf,
    pub block: Block,
    pub budget: Budget,
    pub control: Control,
    pub kernel: Kernel,
    pub payload_samples: PayloadSamples,
    pub decapsulation: Tunnels,
    pub timeouts: Timeouts,
    pub session: Session,
    pub model: ModelChoice,
    pub baseline: Baseline,
    pub alerts: unexplained::Alerts,
    pub unexplained: unexplained::Unexplained,
    pub explain: explain::Explain,
    pub allow: Vec<Entry>,
    pub store: store::Store,
    pub api: api::Api,
    pub decompression: decompress::Limits,
    pub notify: notify::Notify,
    pub log: Log,
}

/// What is done about alerts, and what a block may do.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Block {
    pub action: ActionKind,
    pub rules: Vec<ActionRule>,
    pub ttl_secs: u64,
    pub max_ttl_secs: u64,
    pub released_secs: u64,
    pub never_block: Vec<Network>,
    pub resolvers: Vec<Network>,
    pub admin_ports: Vec<u16>,
    pub admin_grace_secs: u64,
    pub max_blocks: NonZeroU32,
    pub max_prefixes: NonZeroU32,
    pub max_exceptions: NonZeroU32,
}

/// What may be sent to a destination before somebody has looked at it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Budget {
    /// 0: none.
    pub bytes: u64,
    pub rules: Vec<BudgetRule>,
    pub raise_below: f64,
    pub hold_secs: u64,
    pub then: HoldEnd,
    pub window_secs: u64,
    pub max_entries: NonZeroU32,
}

/// Another budget for some hosts, ports or destinations: the first rule that fits wins.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct BudgetRule {
    pub home: Option<Network>,
    pub ports: Option<PortClassName>,
    pub destination: Option<DestinationClassName>,
    pub bytes: u64,
}

/// What a destination's port is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum PortClassName {
    Web,
    Mail,
    Dns,
    Remote,
    File,
    Other,
}

/// Where a destination is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum DestinationClassName {
    Public,
    Private,
}

/// What becomes of held payload when no verdict comes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum HoldEnd {
    /// It passes.
    #[default]
    Open,
    /// It is held for a block's ttl, and passes then.
    Closed,
}

/// Who may give the running agent commands.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Control {
    /// Members of this group besides root; none: root alone.
    pub group: Option<String>,
}

/// Sizes and pace of the data plane.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Kernel {
    pub xdp: Xdp,
    pub max_flows: NonZeroU32,
    pub max_overflow_entries: NonZeroU32,
    pub ring_buffer_bytes: u32,
    pub poll_interval_ms: u64,
    pub print_memory: bool,
    pub pin: bool,
    pub trace: bool,
}

/// How received packets are seen.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Xdp {
    /// In the driver; tc where the driver has no XDP.
    #[default]
    Native,
    /// In the stack's generic hook, which sees merged frames.
    Generic,
    /// No XDP: tc ingress.
    Tc,
}

/// Payload samples: the first payload bytes of flows.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct PayloadSamples {
    pub enabled: bool,
    pub per_second: u64,
}

/// Tunnels that are opened.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Tunnels {
    pub vxlan: bool,
    pub gre: bool,
    pub gtp_u: bool,
    pub ip_in_ip: bool,
    pub geneve: bool,
    pub erspan: bool,
    pub l2tp: bool,
}

/// When a flow is over.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Timeouts {
    pub active_secs: u64,
    pub tcp_idle_secs: u64,
    pub tcp_closed_secs: u64,
    pub udp_idle_secs: u64,
    pub icmp_idle_secs: u64,
    pub other_idle_secs: u64,
}

/// Which flows make up one session.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Session {
    pub window_secs: u64,
    pub max_sessions: NonZeroU32,
    pub max_domains: NonZeroU32,
    pub max_names: NonZeroU32,
    pub max_stream_bytes: NonZeroU32,
}

/// What scores.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct ModelChoice {
    /// None: the model shipped with the program.
    pub path: Option<PathBuf>,
    /// None: the model's own.
    pub threshold: Option<f64>,
}

/// What hosts usually do, learned as they do it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Baseline {
    pub learning_days: NonZeroU32,
    pub max_hosts: NonZeroU32,
    pub max_receivers: NonZeroU32,
}

/// The program's own messages, on standard error.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Log {
    pub format: LogFormat,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum LogFormat {
    #[default]
    Text,
    Json,
}

/// Memory of one entry of the kernel's flow map: 48 bytes of the kernel's own, key and value.
pub const FLOW_ENTRY_BYTES: u64 = 48
    + size_of::<detector_common::FlowKey>() as u64
    + size_of::<detector_common::FlowCounters>() as u64;

impl Config {
    /// Reads `path`; without one, the default file where there is one, else the defaults.
    pub fn load(path: Option<&Path>) -> anyhow::Result<Self> {
        let default = Path::new(DEFAULT_PATH);
        let path = match path {
            Some(path) => path,
            None if default.exists() => default,
            None => return Ok(Self::default()),
        };
        let text = fs::read_to_string(path)
            .with_context(|| format!("failed to read config {}", path.display()))?;
        Self::parse(&text).with_context(|| format!("failed to use config {}", path.display()))
    }

    /// Reads the text of a configuration file.
    pub fn parse(text: &str) -> anyhow::Result<Self> {
        let config: Self = match toml::from_str(text) {
            Ok(config) => config,
            Err(error) => bail!("{}", refusal::explain(text, &error)),
        };
        let config = match config.protect.level {
            Some(level) => level.under(toml::from_str(text)?)?.try_into()?,
            None => config,
        };
        config.check()?;
        Ok(config)
    }

    /// Whether any host is given a budget.
    #[must_use]
    pub fn has_budgets(&self) -> bool {
        self.budget.bytes != 0 || self.budget.rules.iter().any(|rule| rule.bytes != 0)
    }

    /// Names the configuration: the first 64 bits of the SHA-256 of it as JSON, in hexadecimal
    /// digits.
    #[must_use]
    pub fn hash(&self) -> String {
        // Every value is a number, a text or a list of them: there is nothing that JSON cannot
        // hold.
        let text = serde_json::to_vec(self).unwrap_or_default();
        Sha256::digest(text).iter().take(8).map(|byte| format!("{byte:02x}")).collect()
    }

    /// Where the database is.
    #[must_use]
    pub fn database(&self) -> PathBuf {
        self.store.path.clone().unwrap_or_else(|| self.state_dir.join(store::FILE))
    }

    /// Bytes of the kernel's flow map, all entries preallocated.
    #[must_use]
    pub fn flow_map_bytes(&self) -> u64 {
        u64::from(self.kernel.max_flows.get()) * FLOW_ENTRY_BYTES
    }

    /// Bounds and windows of the tracker.
    #[must_use]
    pub fn tracker(&self) -> TrackerConfig {
        let Timeouts {
            active_secs,
            tcp_idle_secs,
            tcp_closed_secs,
            udp_idle_secs,
            icmp_idle_secs,
            other_idle_secs,
        } = self.timeouts;
        TrackerConfig {
            timeouts: flow::Timeouts {
                tcp_idle_secs,
                tcp_closed_secs,
                udp_idle_secs,
                icmp_idle_secs,
                other_idle_secs,
                active_secs,
            },
            session_window_secs: self.session.window_secs,
            max_flows: self.kernel.max_flows.get(),
            max_sessions: self.session.max_sessions.get(),
            max_domains: self.session.max_domains.get(),
            max_names: self.session.max_names.get(),
            max_stream_bytes: self.session.max_stream_bytes.get(),
        }
    }

    /// What is in order, for whoever scores by it.
    pub fn allowlist(&self) -> anyhow::Result<Arc<AllowList>> {
        AllowList::new(&self.allow).map(Arc::new).map_err(anyhow::Error::msg)
    }

    /// Pace and bounds of the hosts' baselines.
    #[must_use]
    pub fn history(&self) -> HistoryConfig {
        HistoryConfig {
            learning_days: self.baseline.learning_days.get(),
            max_hosts: self.baseline.max_hosts.get(),
            max_receivers: self.baseline.max_receivers.get(),
        }
    }

    /// What may be done about alerts.
    #[must_use]
    pub fn policy(&self) -> Policy {
        let block = &self.block;
        Policy {
            action: block.action,
            rules: block.rules.clone(),
            ttl: Duration::from_secs(block.ttl_secs),
            max_ttl: Duration::from_secs(block.max_ttl_secs),
            released: Duration::from_secs(block.released_secs),
            home: self.home_networks.clone(),
            police_bytes_per_second: self.unexplained.police_bytes_per_second,
            police_ttl: Duration::from_secs(self.unexplained.police_secs),
            raise_below: self.budget.raise_below,
            budget_window: Duration::from_secs(self.budget.window_secs),
        }
    }

    #[must_use]
    pub fn decapsulation(&self) -> Decapsulation {
        let Tunnels { vxlan, gre, gtp_u, ip_in_ip, geneve, erspan, l2tp } = self.decapsulation;
        Decapsulation { vxlan, gre, gtp_u, ip_in_ip, geneve, erspan, l2tp }
    }
}

/// A block never lasts longer than a day.
pub const MAX_BLOCK_TTL_SECS: u64 = 86_400;
#[cfg(test)]
mod tests {
    use super::*;

    const SHIPPED: &str = include_str!("../../../packaging/detector.toml");

    #[test]
    fn the_shipped_file_equals_the_defaults() {
        assert_eq!(Config::parse(SHIPPED).unwrap(), Config::default());
    }

    /// Keys whose default is to have none are in the file as comments.
    #[test]
    fn the_shipped_file_names_every_key() {
        let model = ModelChoice { path: Some("model".into()), threshold: Some(0.5) };
        let protect = protect::Protect { level: Some(protect::Level::Balanced) };
        let config = Config { model, protect, ..Config::default() };
        let value = toml::Table::try_from(&config).unwrap();
        for (section, entry) in &value {
            let keys: Vec<&String> =
                entry.as_table().map_or(vec![section], |table| table.keys().collect());
            assert!(
                !entry.is_table() || SHIPPED.contains(&format!("\n[{section}]\n")),
                "no section {section}"
            );
            for key in keys {
                let shown = SHIPPED
                    .lines()
                    .any(|line| line.trim_start_matches("# ").starts_with(&format!("{key} = ")));
                assert!(shown, "{section}: {key} is not in packaging/detector.toml");
            }
        }
    }

    #[test]
    fn errors_name_the_key_and_the_remedy() {
        let check = |text: &str, expected: &str| {
            let error = format!("{:#}", Config::parse(text).unwrap_err());
            assert!(error.contains(expected), "{error}");
            assert!(!error.contains('\n'), "{error}");
        };
        check(
            "[block]\nttl_sec = 5",
            "line 2: there is no key `ttl_sec`, did you mean `ttl_secs`?",
        );
        check("colour = true", "line 1: there is no key `colour`");
        check("mode = \"blocking\"", "unknown variant `blocking`");
        check("[kernel]\nmax_flows = 0", "line 2");
        check("[block]\nttl_secs = 0", "block.ttl_secs is 0");
        check("[block]\nnever_block = [\"10.0.0.1/8\"]", "write 10.0.0.0/8");
        check("[kernel]\nring_buffer_bytes = 5000", "power of two");
        check("[session]\nwindow_secs = 0", "session.window_secs is 0");
        check("[model]\nthreshold = 2.0", "use 0 to 1");
        check("interfaces = \"eth0\"", "line 1: interfaces: invalid type");
        check("[block]\nttl_secs = \"long\"", "line 2: ttl_secs: invalid type");
        check("\u{1}\u{2}garbage", "line 1: ");
    }

    #[test]
    fn the_flow_map_is_measured_by_its_bound() {
        assert_eq!(FLOW_ENTRY_BYTES % 64, 0);
        assert_eq!(Config::default().flow_map_bytes(), 262_144 * 384);
    }
}
