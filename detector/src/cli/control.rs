//! The commands that talk to the running agent, and those that look after what it leaves behind.

use std::path::PathBuf;

use clap::{Args, Subcommand, ValueEnum};

use super::{LiveFormat, ModeChoice};
use crate::network::{Address, Network};
use crate::units;

/// List, add, remove, verify and export blocks
///
/// A target is `pair HOST DESTINATION`, `destination ADDRESS[/LENGTH]`, `service ADDRESS:PORT`,
/// `host ADDRESS` or `flow PROTOCOL ADDRESS:PORT ADDRESS:PORT`. An address or prefix alone is a
/// destination.
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
    /// List every block with its drops and its end
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

/// Block a target for a time
///
/// The agent refuses to block this host, its gateways and resolvers, your own connection, and the
/// networks in block.never_block.
#[derive(Args, Debug)]
#[command(after_help = "Examples:
  detector blocks add 192.0.2.0/24 --ttl 10m --reason \"drop site\"
  detector blocks add service 192.0.2.1:443 --police 10k --confirm-within 60s
  detector blocks add host 10.0.0.7 --simulate")]
pub struct BlocksAdd {
    /// The target, as words or as one text
    #[arg(required = true, value_name = "TARGET", num_args = 1..)]
    pub target: Vec<String>,
    /// Duration, such as 90s, 10m, 1h30m or 2d [default: the configuration's]
    #[arg(long, value_name = "TIME", value_parser = seconds)]
    pub ttl: Option<u64>,
    /// Limit the rate to this many bytes a second, such as 10k
    #[arg(long, value_name = "BYTES", value_parser = bytes, conflicts_with = "mark")]
    pub police: Option<u64>,
    /// Drop nothing, and set this DSCP codepoint on outbound packets
    #[arg(long, value_name = "DSCP", value_parser = clap::value_parser!(u8).range(0..64))]
    pub mark: Option<u8>,
    /// Drop nothing, and count the packets that the block would drop
    #[arg(long)]
    pub simulate: bool,
    /// Reason, for the audit log
    #[arg(long, value_name = "TEXT", default_value = "by hand")]
    pub reason: String,
    #[command(flatten)]
    pub change: Change,
}

/// Remove one block
///
/// The agent does not block the target again by itself for block.released_secs.
#[derive(Args, Debug)]
#[command(after_help = "Examples:
  detector blocks remove 4
  detector blocks remove pair 10.0.0.7 192.0.2.1")]
pub struct BlocksRemove {
    /// The block's number or target
    #[arg(required = true, value_name = "NUMBER|TARGET", num_args = 1..)]
    pub block: Vec<String>,
    #[command(flatten)]
    pub change: Change,
}

/// Verify that blocks drop packets, and show the evidence
#[derive(Args, Debug)]
#[command(after_help = "Example:\n  detector blocks verify 4")]
pub struct BlocksVerify {
    /// The block's number or target [default: every block]
    #[arg(value_name = "NUMBER|TARGET", num_args = 0..)]
    pub block: Vec<String>,
    #[command(flatten)]
    pub listed: Listed,
}

/// Write the domains of DNS tunnels as a zone for the resolver
///
/// The agent never blocks a resolver, so it cannot block a tunnel through one. The resolver itself
/// can refuse the domain.
#[derive(Args, Debug)]
#[command(after_help = "Example:\n  detector blocks export --format rpz > detector.rpz")]
pub struct BlocksExport {
    /// Format: a response policy zone, or one JSON object a line
    #[arg(short, long, default_value = "rpz")]
    pub format: ExportFormat,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum ExportFormat {
    Rpz,
    Json,
}

/// List, add and remove exceptions, which raise no alerts and are never blocked
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
    /// List every exception with its origin and its hits
    #[command(after_help = "Example:\n  detector allow list")]
    List(Listed),
    Add(AllowAdd),
    Remove(AllowRemove),
}

/// Allow expected traffic, at once and across restarts
///
/// All the options that are given must match. Matching blocks end at once, and open alerts are not
/// repeated.
#[derive(Args, Debug)]
#[command(after_help = "Examples:
  detector allow add 192.0.2.0/24 --reason \"nightly backup\" --ttl 2h
  detector allow add --source 10.0.0.7 --name backup.example --port 443 --reason \"nightly backup\"")]
pub struct AllowAdd {
    /// Receiver: an address or a prefix
    #[arg(value_name = "DESTINATION", value_parser = network)]
    pub to: Option<Network>,
    /// Sender: an address or a prefix
    #[arg(long, value_name = "NETWORK", value_parser = network)]
    pub source: Option<Network>,
    /// Receiver, as an option
    #[arg(long, value_name = "NETWORK", value_parser = network, conflicts_with = "to")]
    pub destination: Option<Network>,
    /// The receiver's DNS name or queried domain, with all names below it
    #[arg(long)]
    pub name: Option<String>,
    /// The server's port
    #[arg(long)]
    pub port: Option<u16>,
    /// Duration, such as 90s, 10m, 1h30m or 2d [default: no end]
    #[arg(long, value_name = "TIME", value_parser = seconds)]
    pub ttl: Option<u64>,
    /// Reason, for the audit log
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

/// Show or set the agent's mode: observe, simulate or block
#[derive(Args, Debug)]
#[command(after_help = "Example:\n  detector mode block --confirm-within 60s")]
pub struct ModeArgs {
    #[command(flatten)]
    pub reach: Reach,
    /// The new mode [default: show the current one]
    pub mode: Option<ModeChoice>,
    #[command(flatten)]
    pub change: Change,
}

/// Confirm a change that was made with --confirm-within
#[derive(Args, Debug)]
#[command(after_help = "Example:\n  detector confirm")]
pub struct Confirm {
    #[command(flatten)]
    pub reach: Reach,
    /// The change's id [default: every waiting change]
    pub id: Option<u64>,
    #[command(flatten)]
    pub listed: Listed,
}

/// Explain whether an address is blocked, and by which entry
#[derive(Args, Debug)]
#[command(after_help = "Example:\n  detector explain 192.0.2.1")]
pub struct Explain {
    #[command(flatten)]
    pub reach: Reach,
    /// An internal or external address
    pub address: Address,
    #[command(flatten)]
    pub listed: Listed,
}

/// List and raise the byte budgets of hosts
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
    /// List every budget with its limit, its use and the payload that it holds
    #[command(after_help = "Example:\n  detector budgets list")]
    List(Listed),
    Raise(BudgetsRaise),
}

/// Raise the budget of a host to a destination
#[derive(Args, Debug)]
#[command(after_help = "Examples:
  detector budgets raise 10.0.0.7 192.0.2.1 10M
  detector budgets raise 10.0.0.7 192.0.2.1")]
pub struct BudgetsRaise {
    /// The sender
    pub home: Address,
    /// The receiver
    pub destination: Address,
    /// Payload bytes in total, such as 10M [default: unlimited]
    #[arg(value_parser = bytes)]
    pub bytes: Option<u64>,
    #[command(flatten)]
    pub listed: Listed,
}

/// Show the agent's interfaces, tables and counters
#[derive(Args, Debug)]
#[command(after_help = "Example:\n  detector status --format json")]
pub struct StatusArgs {
    #[command(flatten)]
    pub reach: Reach,
    #[command(flatten)]
    pub listed: Listed,
}

/// Read the configuration, the model and the allowlist again
///
/// The agent checks everything before it changes anything. After an error the old configuration
/// stays active. Keys that need a restart keep their value and are listed. SIGHUP does the same.
#[derive(Args, Debug)]
#[command(after_help = "Example:\n  detector reload")]
pub struct ReloadArgs {
    #[command(flatten)]
    pub reach: Reach,
    #[command(flatten)]
    pub listed: Listed,
}

/// Show the audit log: every change of policy with its author, time and reason
///
/// Reads the log's file, so no agent needs to run.
#[derive(Args, Debug)]
#[command(after_help = "Example:\n  detector audit --since 2h --limit 20")]
pub struct Audit {
    /// Only records since this time: 2024-01-31T12:00:00Z, or an age such as 2h
    #[arg(long, value_name = "TIME")]
    pub since: Option<String>,
    /// Show at most this many records, the latest ones
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
/// Active blocks end at once. Refused while an agent runs.
#[derive(Args, Debug)]
#[command(after_help = "Example:\n  detector detach")]
pub struct Detach {
    #[command(flatten)]
    pub listed: Listed,
    /// Configuration file [default: /etc/detector/detector.toml where it exists]
    #[arg(short, long, value_name = "FILE")]
    pub config: Option<PathBuf>,
}

/// The agent to ask.
#[derive(Args, Debug)]
pub struct Reach {
    /// The agent's socket [default: that of this network namespace's agent]
    #[arg(long, value_name = "PATH", global = true)]
    pub socket: Option<PathBuf>,
    /// Configuration file [default: /etc/detector/detector.toml where it exists]
    #[arg(short, long, value_name = "FILE", global = true)]
    pub config: Option<PathBuf>,
}

/// The form of an answer.
#[derive(Args, Clone, Copy, Debug)]
pub struct Listed {
    /// Format of the answer; json has one object a line
    #[arg(short, long, default_value = "table")]
    pub format: LiveFormat,
}

/// Options of every change.
#[derive(Args, Clone, Copy, Debug)]
pub struct Change {
    /// Undo the change unless `detector confirm` follows within this time, such as 60s
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
