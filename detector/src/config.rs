//! The configuration: one file, validated before anything starts.
//!
//! `packaging/detector.toml` is its manual and a test holds it equal to the defaults here. A key
//! that does not exist is an error. Command-line options win over the file; nothing here reads the
//! environment.

pub mod api;
pub mod notify;
pub mod reload;
pub mod store;

use std::fs;
use std::num::NonZeroU32;
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context as _, bail, ensure};
use detector_common::parse::Decapsulation;
use detector_common::policy::HOME_CLASSES;
use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};

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
    /// Where the socket for commands, the lock and the pinned maps are.
    pub runtime_dir: PathBuf,
    /// Where the audit log is, and what was allowed at run time.
    pub state_dir: PathBuf,
    pub block: Block,
    pub budget: Budget,
    pub control: Control,
    pub kernel: Kernel,
    pub heads: Heads,
    pub decapsulation: Tunnels,
    pub timeouts: Timeouts,
    pub session: Session,
    pub model: ModelChoice,
    pub baseline: Baseline,
    pub allow: Vec<Entry>,
    pub store: store::Store,
    pub api: api::Api,
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

/// Sizes and rhythm of the data plane.
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

/// First bytes of payloads.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Heads {
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

impl Default for Config {
    fn default() -> Self {
        Self {
            interfaces: Vec::new(),
            home_networks: Vec::new(),
            mode: Mode::default(),
            runtime_dir: "/run/detector".into(),
            state_dir: "/var/lib/detector".into(),
            block: Block::default(),
            budget: Budget::default(),
            control: Control::default(),
            kernel: Kernel::default(),
            heads: Heads::default(),
            decapsulation: Tunnels::default(),
            timeouts: Timeouts::default(),
            session: Session::default(),
            model: ModelChoice::default(),
            baseline: Baseline::default(),
            allow: Vec::new(),
            store: store::Store::default(),
            api: api::Api::default(),
            notify: notify::Notify::default(),
            log: Log::default(),
        }
    }
}

impl Default for Block {
    fn default() -> Self {
        Self {
            action: ActionKind::DropSession,
            rules: Vec::new(),
            ttl_secs: 600,
            max_ttl_secs: 14_400,
            released_secs: 3_600,
            never_block: Vec::new(),
            resolvers: Vec::new(),
            admin_ports: vec![22],
            admin_grace_secs: 300,
            max_blocks: at_least_one(65_536),
            max_prefixes: at_least_one(16_384),
            max_exceptions: at_least_one(4_096),
        }
    }
}

impl Default for Budget {
    fn default() -> Self {
        Self {
            bytes: 0,
            rules: Vec::new(),
            raise_below: 0.1,
            hold_secs: 30,
            then: HoldEnd::Open,
            window_secs: 86_400,
            max_entries: at_least_one(65_536),
        }
    }
}

impl Default for Kernel {
    fn default() -> Self {
        Self {
            xdp: Xdp::Native,
            max_flows: at_least_one(262_144),
            max_overflow_entries: at_least_one(4_096),
            ring_buffer_bytes: 8 << 20,
            poll_interval_ms: 1_000,
            print_memory: true,
            pin: true,
        }
    }
}

impl Default for Heads {
    fn default() -> Self {
        Self { enabled: true, per_second: 5_000 }
    }
}

impl Default for Timeouts {
    fn default() -> Self {
        let flow::Timeouts {
            tcp_idle_secs,
            tcp_closed_secs,
            udp_idle_secs,
            icmp_idle_secs,
            other_idle_secs,
            active_secs,
        } = flow::Timeouts::default();
        Self {
            active_secs,
            tcp_idle_secs,
            tcp_closed_secs,
            udp_idle_secs,
            icmp_idle_secs,
            other_idle_secs,
        }
    }
}

impl Default for Session {
    fn default() -> Self {
        let TrackerConfig { session_window_secs, max_sessions, max_domains, max_names, .. } =
            TrackerConfig::default();
        Self {
            window_secs: session_window_secs,
            max_sessions: at_least_one(max_sessions),
            max_domains: at_least_one(max_domains),
            max_names: at_least_one(max_names),
        }
    }
}

impl Default for Baseline {
    fn default() -> Self {
        let HistoryConfig { learning_days, max_hosts, max_receivers } = HistoryConfig::default();
        Self {
            learning_days: at_least_one(learning_days),
            max_hosts: at_least_one(max_hosts),
            max_receivers: at_least_one(max_receivers),
        }
    }
}

const fn at_least_one(number: u32) -> NonZeroU32 {
    match NonZeroU32::new(number) {
        Some(number) => number,
        None => NonZeroU32::MIN,
    }
}

/// Memory of one entry of the kernel's flow map: 48 bytes of the kernel's own, key and value.
pub const FLOW_ENTRY_BYTES: u64 = 48
    + size_of::<detector_common::FlowKey>() as u64
    + size_of::<detector_common::FlowCounters>() as u64;

impl Config {
    /// Reads `path`; without one, the default file where there is one, else the defaults.
    ///
    /// # Errors
    ///
    /// A file that cannot be read, a key that does not exist, a value that makes no sense.
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
    ///
    /// # Errors
    ///
    /// Those of [`Config::load`] that are not about the file.
    pub fn parse(text: &str) -> anyhow::Result<Self> {
        let config: Self = match toml::from_str(text) {
            Ok(config) => config,
            Err(error) => bail!("{}", explain(text, &error)),
        };
        config.check()?;
        Ok(config)
    }

    /// Sees that the values can be used together.
    ///
    /// # Errors
    ///
    /// The first key whose value cannot be used, with what would do.
    pub fn check(&self) -> anyhow::Result<()> {
        let block = &self.block;
        ensure!(block.ttl_secs > 0, "block.ttl_secs is 0: a block needs an end, use at least 1");
        ensure!(
            block.max_ttl_secs <= MAX_BLOCK_TTL_SECS,
            "block.max_ttl_secs is {}: at most {MAX_BLOCK_TTL_SECS}, a day",
            block.max_ttl_secs
        );
        ensure!(
            block.ttl_secs <= block.max_ttl_secs,
            "block.ttl_secs is {}: at most block.max_ttl_secs, which is {}",
            block.ttl_secs,
            block.max_ttl_secs
        );
        for (index, rule) in block.rules.iter().enumerate() {
            let checked = rule.check(block.max_ttl_secs);
            checked.with_context(|| format!("block.rules has a wrong entry {}", index + 1))?;
        }
        self.check_budget()?;
        self.store.check()?;
        self.api.check()?;
        self.notify.check()?;
        let ring = self.kernel.ring_buffer_bytes;
        ensure!(
            ring.is_power_of_two() && ring >= MIN_RING_BUFFER_BYTES,
            "kernel.ring_buffer_bytes is {ring}: use a power of two of at least {MIN_RING_BUFFER_BYTES}"
        );
        let poll = self.kernel.poll_interval_ms;
        ensure!(
            (10..=60_000).contains(&poll),
            "kernel.poll_interval_ms is {poll}: use 10 to 60000"
        );
        AllowList::new(&self.allow).map_err(anyhow::Error::msg)?;
        for (key, seconds) in self.durations() {
            ensure!(seconds > 0, "{key} is 0: use at least 1");
        }
        if let Some(threshold) = self.model.threshold {
            ensure!(
                (0.0..=1.0).contains(&threshold),
                "model.threshold is {threshold}: a score is between 0 and 1"
            );
        }
        ensure!(
            self.interfaces.iter().all(|name| !name.is_empty()),
            "interfaces has an empty name"
        );
        Ok(())
    }

    fn check_budget(&self) -> anyhow::Result<()> {
        let budget = &self.budget;
        ensure!(
            (0.0..=1.0).contains(&budget.raise_below),
            "budget.raise_below is {}: a score is between 0 and 1",
            budget.raise_below
        );
        ensure!(
            (1..=MAX_BLOCK_TTL_SECS).contains(&budget.hold_secs),
            "budget.hold_secs is {}: use 1 to {MAX_BLOCK_TTL_SECS}",
            budget.hold_secs
        );
        ensure!(budget.window_secs > 0, "budget.window_secs is 0: use at least 1");
        let homes = budget.rules.iter().filter_map(|rule| rule.home.as_ref());
        let mut distinct: Vec<&Network> = Vec::new();
        for home in homes {
            if !distinct.contains(&home) {
                distinct.push(home);
            }
        }
        ensure!(
            distinct.len() < HOME_CLASSES as usize,
            "budget.rules names {} home networks: at most {} can be told apart",
            distinct.len(),
            HOME_CLASSES - 1
        );
        Ok(())
    }

    /// Whether any host is given a budget.
    #[must_use]
    pub fn has_budgets(&self) -> bool {
        self.budget.bytes != 0 || self.budget.rules.iter().any(|rule| rule.bytes != 0)
    }

    fn durations(&self) -> [(&'static str, u64); 7] {
        [
            ("timeouts.active_secs", self.timeouts.active_secs),
            ("timeouts.tcp_idle_secs", self.timeouts.tcp_idle_secs),
            ("timeouts.udp_idle_secs", self.timeouts.udp_idle_secs),
            ("timeouts.icmp_idle_secs", self.timeouts.icmp_idle_secs),
            ("timeouts.other_idle_secs", self.timeouts.other_idle_secs),
            ("timeouts.tcp_closed_secs", self.timeouts.tcp_closed_secs),
            ("session.window_secs", self.session.window_secs),
        ]
    }

    /// Names the configuration: the first 64 bits of the SHA-256 of it as JSON, in hexadecimal digits.
    #[must_use]
    pub fn hash(&self) -> String {
        // Every value is a number, a text or a list of them: there is nothing that JSON cannot hold.
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
        }
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
            raise_below: self.budget.raise_below,
            budget_window: Duration::from_secs(self.budget.window_secs),
        }
    }

    #[must_use]
    pub fn decapsulation(&self) -> Decapsulation {
        let Tunnels { vxlan, gre, gtp_u } = self.decapsulation;
        Decapsulation { vxlan, gre, gtp_u }
    }
}

/// A block never lasts longer than a day.
pub const MAX_BLOCK_TTL_SECS: u64 = 86_400;
/// One page: what the kernel asks of a ring buffer.
const MIN_RING_BUFFER_BYTES: u32 = 4_096;

/// The parser's message on one line, with the line it is about and, for an unknown key, the nearest
/// known one.
fn explain(text: &str, error: &toml::de::Error) -> String {
    let message = error.message().trim().replace('\n', " ");
    let line =
        error.span().map(|span| text[..span.start.min(text.len())].matches('\n').count() + 1);
    let place = line.map_or(String::new(), |line| format!("line {line}: "));
    match unknown_key(&message) {
        Some((key, known)) => {
            let hint = nearest(key, &known)
                .map_or(String::new(), |near| format!(", did you mean `{near}`?"));
            format!("{place}there is no key `{key}`{hint}")
        }
        None => match error.span().and_then(|span| key_at(text, span.start)) {
            Some(key) => format!("{place}{key}: {message}"),
            None => format!("{place}{message}"),
        },
    }
}

/// The key of the line at an offset, where that is one.
fn key_at(text: &str, offset: usize) -> Option<&str> {
    let start = text.get(..offset)?.rfind('\n').map_or(0, |end| end + 1);
    let (key, _) = text[start..].lines().next()?.split_once('=')?;
    let key = key.trim();
    let plain = |letter: char| letter.is_ascii_alphanumeric() || "_-.".contains(letter);
    (!key.is_empty() && key.chars().all(plain)).then_some(key)
}

/// The key and its possible spellings in serde's "unknown field `a`, expected one of `b`, `c`".
fn unknown_key(message: &str) -> Option<(&str, Vec<&str>)> {
    let mut quoted = message.strip_prefix("unknown field ")?.split('`').skip(1).step_by(2);
    Some((quoted.next()?, quoted.collect()))
}

fn nearest<'a>(key: &str, known: &[&'a str]) -> Option<&'a str> {
    let (distance, near) =
        known.iter().map(|candidate| (edit_distance(key, candidate), *candidate)).min()?;
    (distance <= 1 + key.len() / 3).then_some(near)
}

/// Levenshtein's distance.
fn edit_distance(left: &str, right: &str) -> usize {
    let right: Vec<char> = right.chars().collect();
    let mut row: Vec<usize> = (0..=right.len()).collect();
    for (from, a) in left.chars().enumerate() {
        let mut diagonal = row[0];
        row[0] = from + 1;
        for (to, b) in right.iter().enumerate() {
            let replaced = diagonal + usize::from(a != *b);
            diagonal = row[to + 1];
            row[to + 1] = replaced.min(diagonal + 1).min(row[to] + 1);
        }
    }
    row[right.len()]
}

#[cfg(test)]
mod tests {
    use super::*;

    const SHIPPED: &str = include_str!("../../packaging/detector.toml");

    #[test]
    fn the_shipped_file_equals_the_defaults() {
        assert_eq!(Config::parse(SHIPPED).unwrap(), Config::default());
    }

    /// Keys whose default is to have none stand in the file as comments.
    #[test]
    fn the_shipped_file_names_every_key() {
        let model = ModelChoice { path: Some("model".into()), threshold: Some(0.5) };
        let config = Config { model, ..Config::default() };
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
        check("[model]\nthreshold = 2.0", "between 0 and 1");
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
