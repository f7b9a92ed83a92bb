//! The commands about people: who they are, what they are told and whether that worked; and the one
//! that takes in logs.

use std::path::PathBuf;

use clap::{Args, Subcommand, ValueEnum};

use super::control::Listed;
use crate::network::Network;
use crate::units;

/// List, add and remove the people who may be told, and their groups
#[derive(Args, Debug)]
#[command(
    after_help = "Example:\n  detector contacts add Zoë \"O'Neill\" --email zoe@example.org --group ops"
)]
pub struct Contacts {
    #[command(flatten)]
    pub place: Place,
    #[command(subcommand)]
    pub command: ContactsCommand,
}

#[derive(Debug, Subcommand)]
pub enum ContactsCommand {
    /// Show everybody, with their groups
    #[command(after_help = "Example:\n  detector contacts list")]
    List(Listed),
    Add(ContactsAdd),
    Remove(ContactsRemove),
    Groups(Groups),
}

/// Add a person
#[derive(Args, Debug)]
#[command(
    after_help = "Example:\n  detector contacts add Zoë \"O'Neill\" --phone +15550100 --group ops"
)]
pub struct ContactsAdd {
    pub forename: String,
    pub surname: String,
    /// A mail address
    #[arg(long)]
    pub email: Option<String>,
    /// A telephone number with its country's code, such as +15550100
    #[arg(long)]
    pub phone: Option<String>,
    /// A group's name; may be repeated
    #[arg(long, value_name = "NAME")]
    pub group: Vec<String>,
}

/// Remove a person, from all groups too
#[derive(Args, Debug)]
#[command(after_help = "Example:\n  detector contacts remove 3")]
pub struct ContactsRemove {
    /// The contact's id in `detector contacts list`
    pub id: i64,
}

/// List, add, change and remove groups
#[derive(Args, Debug)]
#[command(after_help = "Example:\n  detector contacts groups add ops")]
pub struct Groups {
    #[command(subcommand)]
    pub command: GroupsCommand,
}

#[derive(Debug, Subcommand)]
pub enum GroupsCommand {
    /// Show every group and who is in it
    #[command(after_help = "Example:\n  detector contacts groups list")]
    List(Listed),
    /// Add a group
    #[command(after_help = "Example:\n  detector contacts groups add ops")]
    Add(GroupName),
    /// Tell its members again
    #[command(after_help = "Example:\n  detector contacts groups on ops")]
    On(GroupName),
    /// Tell its members nothing for now
    #[command(after_help = "Example:\n  detector contacts groups off ops")]
    Off(GroupName),
    /// Remove a group and its rules; its members stay
    #[command(after_help = "Example:\n  detector contacts groups remove ops")]
    Remove(GroupName),
}

#[derive(Args, Debug)]
pub struct GroupName {
    /// The group's name
    pub name: String,
}

/// Say what people are told, try a channel, and see what became of messages
#[derive(Args, Debug)]
#[command(after_help = "Example:\n  detector notify test mail --to zoe@example.org")]
pub struct Notify {
    #[command(flatten)]
    pub place: Place,
    #[command(subcommand)]
    pub command: NotifyCommand,
}

#[derive(Debug, Subcommand)]
pub enum NotifyCommand {
    Test(NotifyTest),
    /// Show the configured channels and how they do
    #[command(after_help = "Example:\n  detector notify channels")]
    Channels(Listed),
    Rules(Rules),
    Deliveries(Deliveries),
}

/// Send a test message, once, and say what became of it
#[derive(Args, Debug)]
#[command(after_help = "Example:\n  detector notify test mail --to zoe@example.org")]
pub struct NotifyTest {
    /// The channel's name in the configuration
    pub channel: String,
    /// To whom [default: the first of the channel's own recipients]
    #[arg(long, value_name = "RECIPIENT")]
    pub to: Option<String>,
    #[command(flatten)]
    pub listed: Listed,
}

/// List, add and remove the rules by which people are told
#[derive(Args, Debug)]
#[command(after_help = "Example:\n  detector notify rules add night --channel mail --group ops")]
pub struct Rules {
    #[command(subcommand)]
    pub command: RulesCommand,
}

#[derive(Debug, Subcommand)]
pub enum RulesCommand {
    /// Show every rule, and why one tells nobody
    #[command(after_help = "Example:\n  detector notify rules list")]
    List(Listed),
    Add(RulesAdd),
    /// Remove a rule, and what it had not told yet
    #[command(after_help = "Example:\n  detector notify rules remove night")]
    Remove(RuleName),
}

/// Add a rule
#[derive(Args, Debug)]
#[command(after_help = "Examples:
  detector notify rules add night --channel mail --group ops --min-severity high
  detector notify rules add all --channel siem --repeat 0
  detector notify rules add daily --channel mail --digest 1d")]
pub struct RulesAdd {
    /// What to call it
    pub name: String,
    /// A channel's name in the configuration
    #[arg(long)]
    pub channel: String,
    /// The group to tell [default: the channel's own recipients]
    #[arg(long, value_name = "NAME")]
    pub group: Option<String>,
    /// low, medium, high or critical
    #[arg(long, value_name = "SEVERITY", default_value = "low")]
    pub min_severity: String,
    /// Only this technique, such as dns_tunnel; may be repeated [default: all]
    #[arg(long)]
    pub technique: Vec<String>,
    /// Only alerts from or to this address or network
    #[arg(long, value_name = "NETWORK", value_parser = network)]
    pub host: Option<Network>,
    /// Collect for so long, such as 10m, and tell all in one message [default: each at once]
    #[arg(long, value_name = "TIME", value_parser = seconds)]
    pub digest: Option<u32>,
    /// Tell the same again after so long; 0: only once
    #[arg(long, value_name = "TIME", value_parser = seconds, default_value = "1h")]
    pub repeat: u32,
}

#[derive(Args, Debug)]
pub struct RuleName {
    /// The rule's name
    pub name: String,
}

/// Show what became of messages, newest first
#[derive(Args, Debug)]
#[command(after_help = "Example:\n  detector notify deliveries --state failed")]
pub struct Deliveries {
    /// queued, sent, failed or dropped
    #[arg(long)]
    pub state: Option<String>,
    /// Only this channel's
    #[arg(long)]
    pub channel: Option<String>,
    /// Only those about this alert
    #[arg(long, value_name = "ID")]
    pub alert: Option<String>,
    /// At most so many
    #[arg(long, value_name = "N", default_value_t = 50)]
    pub limit: u32,
    #[command(flatten)]
    pub listed: Listed,
}

/// Scorer connection logs and keep what comes of it
///
/// A firewall's or proxy's records as JSON, NDJSON or CSV (timestamp, source_ip, destination_ip,
/// source_port, destination_port, protocol, bytes_sent, bytes_received, action), Zeek's conn.log, or
/// Suricata's EVE, of which the flows are read. Every record enters the history of probabilities at its
/// own time; one that looks like a theft becomes an alert.
#[derive(Args, Debug)]
#[command(after_help = "Example:\n  detector ingest --follow /opt/zeek/logs/current/conn.log")]
pub struct Ingest {
    /// Logs to read, which may be compressed; `-` is standard input
    #[arg(required = true, value_name = "FILE")]
    pub files: Vec<PathBuf>,
    /// Keep reading FILE as it grows, also after it is rotated, until Ctrl-C
    #[arg(long)]
    pub follow: bool,
    /// How the logs are written
    #[arg(long, value_name = "FORMAT", default_value = "auto")]
    pub log_format: LogFormat,
    #[command(flatten)]
    pub listed: Listed,
    #[command(flatten)]
    pub place: Place,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum LogFormat {
    /// By what stands in them
    Auto,
    /// An object or a list of them
    Json,
    /// An object a line
    Ndjson,
    /// With a header
    Csv,
    /// Zeek's conn.log, in its own columns or as JSON
    Zeek,
    /// Suricata's EVE
    Eve,
}

/// Which database is meant.
#[derive(Args, Debug)]
pub struct Place {
    /// The database [default: the configuration's]
    #[arg(long, value_name = "FILE", global = true)]
    pub db: Option<PathBuf>,
    /// Configuration file [default: /etc/detector/detector.toml where it exists]
    #[arg(short, long, value_name = "FILE", global = true)]
    pub config: Option<PathBuf>,
}

fn seconds(text: &str) -> Result<u32, String> {
    let secs = units::parse_seconds(text).and_then(|secs| u32::try_from(secs).ok());
    secs.ok_or_else(|| "write 90s, 10m, 1h30m, 2d or plain seconds".to_owned())
}

fn network(text: &str) -> Result<Network, String> {
    text.parse().map_err(|error| format!("{error:#}"))
}
