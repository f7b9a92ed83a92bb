//! The commands that talk to the running agent, and those that look after what it leaves behind.

use std::path::PathBuf;

use clap::{Args, Subcommand, ValueEnum};

use super::{LiveFormat, ModeChoice};
use crate::network::{Address, Network};
use crate::units;

/// List, add and remove what the kernel blocks
///
/// A target is `pair HOME DESTINATION`, `destination ADDRESS[/LENGTH]`, `service ADDRESS:PORT`,
/// `host ADDRESS`, `flow PROTOCOL ADDRESS:PORT ADDRESS:PORT`, or a bare address or prefix, which is
/// meant as a destination.
#[derive(Args, Debug)]
#[command(after_help = "Example:\n  detector blocks add pair 10.0.0.7 192.0.2.1 --ttl 10m")]
pub struct Blocks {
    #[command(flatten)]
    pub reach: Reach,
    #[command(subcommand)]
    pub command: BlocksCommand,
}

#[derive(Debug, Subcommand)]
pub enum BlocksCommand {
    /// Show every block, what it has stopped and when it ends
    #[command(after_help = "Example:\n  detector blocks list")]
    List(Listed),
    Add(BlocksAdd),
    Remove(BlocksRemove),
    /// Remove every block
    #[command(after_help = "Example:\n  detector blocks flush --confirm-within 60s")]
    Flush(Change),
    Verify(BlocksVerify),
    Export(BlocksExport),
}

/// Block a target for a while
///
/// What must never be cut off (this host, its gateways and resolvers, your own connection, the
/// configured networks) is refused.
#[derive(Args, Debug)]
#[command(after_help = "Examples:
  detector blocks add 192.0.2.0/24 --ttl 10m --reason \"drop site\"
  detector blocks add service 192.0.2.1:443 --police 10k --confirm-within 60s
  detector blocks add host 10.0.0.7 --simulate")]
pub struct BlocksAdd {
    /// What to block, as words or as one text
    #[arg(required = true, value_name = "TARGET", num_args = 1..)]
    pub target: Vec<String>,
    /// How long, such as 90s, 10m, 1h30m or 2d [default: the configuration's]
    #[arg(long, value_name = "TIME", value_parser = seconds)]
    pub ttl: Option<u64>,
    /// Let this many bytes a second leave, such as 10k, and drop the rest
    #[arg(long, value_name = "BYTES", value_parser = bytes, conflicts_with = "mark")]
    pub police: Option<u64>,
    /// Let everything pass and give what leaves this DSCP codepoint
    #[arg(long, value_name = "DSCP", value_parser = clap::value_parser!(u8).range(0..64))]
    pub mark: Option<u8>,
    /// Count what it would do and do nothing
    #[arg(long)]
    pub simulate: bool,
    /// Why, for whoever reads it later
    #[arg(long, value_name = "TEXT", default_value = "by hand")]
    pub reason: String,
    #[command(flatten)]
    pub change: Change,
}

/// Remove one block
///
/// For a while the agent does not block the same again on its own.
#[derive(Args, Debug)]
#[command(after_help = "Examples:
  detector blocks remove 4
  detector blocks remove pair 10.0.0.7 192.0.2.1")]
pub struct BlocksRemove {
    /// The block's number, or its target
    #[arg(required = true, value_name = "NUMBER|TARGET", num_args = 1..)]
    pub block: Vec<String>,
    #[command(flatten)]
    pub change: Change,
}

/// Tell whether blocks hold, and how that is known
#[derive(Args, Debug)]
#[command(after_help = "Example:\n  detector blocks verify 4")]
pub struct BlocksVerify {
    /// The block's number, or its target [default: every block]
    #[arg(value_name = "NUMBER|TARGET", num_args = 0..)]
    pub block: Vec<String>,
    #[command(flatten)]
    pub listed: Listed,
}

/// Write the domains that leak through a resolver as a zone for that resolver
///
/// A tunnel through a resolver that must stay within reach cannot be dropped by address; the
/// resolver itself can refuse its domain.
#[derive(Args, Debug)]
#[command(after_help = "Example:\n  detector blocks export --format rpz > detector.rpz")]
pub struct BlocksExport {
    /// How domains are written: a response policy zone, or one object a line
    #[arg(short, long, default_value = "rpz")]
    pub format: ExportFormat,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum ExportFormat {
    Rpz,
    Json,
}

/// List, add and remove what is never blocked and raises no alerts
#[derive(Args, Debug)]
#[command(after_help = "Example:\n  detector allow add 192.0.2.7 --reason \"nightly backup\"")]
pub struct Allow {
    #[command(flatten)]
    pub reach: Reach,
    #[command(subcommand)]
    pub command: AllowCommand,
}

#[derive(Debug, Subcommand)]
pub enum AllowCommand {
    /// Show every exception, where it comes from and how often it was hit
    #[command(after_help = "Example:\n  detector allow list")]
    List(Listed),
    Add(AllowAdd),
    Remove(AllowRemove),
}

/// Allow what fits everything that is named, at once, and remember it
///
/// Active blocks of it end at once, and its open alerts are not repeated.
#[derive(Args, Debug)]
#[command(after_help = "Examples:
  detector allow add 192.0.2.0/24 --reason \"nightly backup\" --ttl 2h
  detector allow add --source 10.0.0.7 --name backup.example --port 443 --reason \"nightly backup\"")]
pub struct AllowAdd {
    /// To whom: an address or a prefix
    #[arg(value_name = "DESTINATION", value_parser = network)]
    pub to: Option<Network>,
    /// From whom: an address or a prefix
    #[arg(long, value_name = "NETWORK", value_parser = network)]
    pub source: Option<Network>,
    /// To whom, as an option
    #[arg(long, value_name = "NETWORK", value_parser = network, conflicts_with = "to")]
    pub destination: Option<Network>,
    /// The receiver's name, or the domain of the names asked for, and all names in it
    #[arg(long)]
    pub name: Option<String>,
    /// The server's port
    #[arg(long)]
    pub port: Option<u16>,
    /// How long, such as 90s, 10m, 1h30m or 2d [default: for good]
    #[arg(long, value_name = "TIME", value_parser = seconds)]
    pub ttl: Option<u64>,
    /// Why, for whoever reads it later
    #[arg(long, value_name = "TEXT")]
    pub reason: String,
    #[command(flatten)]
    pub change: Change,
}

/// Remove an exception that was added at run time
#[derive(Args, Debug)]
#[command(after_help = "Example:\n  detector allow remove a1")]
pub struct AllowRemove {
    /// The exception's id in `detector allow list`
    pub id: String,
    #[command(flatten)]
    pub change: Change,
}

/// Show or set how far the agent's own blocks go
#[derive(Args, Debug)]
#[command(after_help = "Example:\n  detector mode block --confirm-within 60s")]
pub struct ModeArgs {
    #[command(flatten)]
    pub reach: Reach,
    /// The mode from now on [default: only show it]
    pub mode: Option<ModeChoice>,
    #[command(flatten)]
    pub change: Change,
}

/// Keep a change that was made with --confirm-within
#[derive(Args, Debug)]
#[command(after_help = "Example:\n  detector confirm")]
pub struct Confirm {
    #[command(flatten)]
    pub reach: Reach,
    /// The change's id [default: every change that waits]
    pub id: Option<u64>,
    #[command(flatten)]
    pub listed: Listed,
}

/// Tell whether an address is blocked, why or why not, and by which entry
#[derive(Args, Debug)]
#[command(after_help = "Example:\n  detector explain 192.0.2.1")]
pub struct Explain {
    #[command(flatten)]
    pub reach: Reach,
    /// A host at home or elsewhere
    pub address: Address,
    #[command(flatten)]
    pub listed: Listed,
}

/// Show what hosts may still send, and raise it
#[derive(Args, Debug)]
#[command(after_help = "Example:\n  detector budgets raise 10.0.0.7 192.0.2.1 10M")]
pub struct Budgets {
    #[command(flatten)]
    pub reach: Reach,
    #[command(subcommand)]
    pub command: BudgetsCommand,
}

#[derive(Debug, Subcommand)]
pub enum BudgetsCommand {
    /// Show every budget, what it was charged and what it holds back
    #[command(after_help = "Example:\n  detector budgets list")]
    List(Listed),
    Raise(BudgetsRaise),
}

/// Let a host send more to a destination
#[derive(Args, Debug)]
#[command(after_help = "Examples:
  detector budgets raise 10.0.0.7 192.0.2.1 10M
  detector budgets raise 10.0.0.7 192.0.2.1")]
pub struct BudgetsRaise {
    /// Who sends
    pub home: Address,
    /// To whom
    pub destination: Address,
    /// Payload bytes in all, from the beginning, such as 10M [default: no bound]
    #[arg(value_parser = bytes)]
    pub bytes: Option<u64>,
    #[command(flatten)]
    pub listed: Listed,
}

/// Show what the agent watches, how full its tables are and what it has counted
#[derive(Args, Debug)]
#[command(after_help = "Example:\n  detector status --format json")]
pub struct StatusArgs {
    #[command(flatten)]
    pub reach: Reach,
    #[command(flatten)]
    pub listed: Listed,
}

/// Read the configuration, the model and the allowlist anew
///
/// Everything is checked before anything changes; what is wrong is named, and what was in force stays
/// so. Keys that need a restart keep their value and are named. SIGHUP does the same.
#[derive(Args, Debug)]
#[command(after_help = "Example:\n  detector reload")]
pub struct ReloadArgs {
    #[command(flatten)]
    pub reach: Reach,
    #[command(flatten)]
    pub listed: Listed,
}

/// Show who changed what is blocked and allowed, when and why
///
/// Reads the log itself: no agent needs to run.
#[derive(Args, Debug)]
#[command(after_help = "Example:\n  detector audit --since 2h --limit 20")]
pub struct Audit {
    /// Records since then: 2024-01-31T12:00:00Z, or so long ago, such as 2h
    #[arg(long, value_name = "TIME")]
    pub since: Option<String>,
    /// Show no more than the latest so many
    #[arg(long, value_name = "N")]
    pub limit: Option<usize>,
    #[command(flatten)]
    pub listed: Listed,
    /// Configuration file [default: /etc/detector/detector.toml where it exists]
    #[arg(short, long, value_name = "FILE")]
    pub config: Option<PathBuf>,
}

/// Remove every program, block and table that an agent left in the kernel
///
/// Blocks that still run end at once. Refused while an agent runs.
#[derive(Args, Debug)]
#[command(after_help = "Example:\n  detector detach")]
pub struct Detach {
    #[command(flatten)]
    pub listed: Listed,
    /// Configuration file [default: /etc/detector/detector.toml where it exists]
    #[arg(short, long, value_name = "FILE")]
    pub config: Option<PathBuf>,
}

/// Which agent is meant.
#[derive(Args, Debug)]
pub struct Reach {
    /// The agent's socket [default: that of this network namespace's agent]
    #[arg(long, value_name = "PATH", global = true)]
    pub socket: Option<PathBuf>,
    /// Configuration file [default: /etc/detector/detector.toml where it exists]
    #[arg(short, long, value_name = "FILE", global = true)]
    pub config: Option<PathBuf>,
}

/// How an answer is shown.
#[derive(Args, Clone, Copy, Debug)]
pub struct Listed {
    /// How the answer is written; json has one object a line
    #[arg(short, long, default_value = "table")]
    pub format: LiveFormat,
}

/// What every change can have.
#[derive(Args, Clone, Copy, Debug)]
pub struct Change {
    /// Undo it unless `detector confirm` follows within this time, such as 60s
    #[arg(long, value_name = "TIME", value_parser = seconds)]
    pub confirm_within: Option<u64>,
    #[command(flatten)]
    pub listed: Listed,
}

pub(super) fn seconds(text: &str) -> Result<u64, String> {
    units::parse_seconds(text)
        .ok_or_else(|| "write 90s, 10m, 1h30m, 2d or plain seconds".to_owned())
}

fn bytes(text: &str) -> Result<u64, String> {
    units::parse_bytes(text).ok_or_else(|| "write a number of bytes, such as 10k or 4M".to_owned())
}

fn network(text: &str) -> Result<Network, String> {
    text.parse().map_err(|error| format!("{error:#}"))
}
