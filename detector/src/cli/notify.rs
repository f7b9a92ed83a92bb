//! The commands for contacts, notification rules and deliveries, and the one that reads logs.

use std::path::PathBuf;

use clap::{Args, Subcommand, ValueEnum};

use super::control::Listed;
use crate::network::Network;
use crate::units;

/// List, add and remove the people to notify, and their groups
#[derive(Args, Debug)]
#[command(
    after_help = "Example:\n  detector contacts add Zoë \"O'Neill\" --email zoe@example.org \
        --group ops"
)]
pub struct Contacts {
    #[command(flatten)]
    pub place: Place,
    #[command(subcommand)]
    pub command: ContactsCommand,
}

#[derive(Debug, Subcommand)]
pub enum ContactsCommand {
    /// List all contacts with their groups
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

/// Remove a person, also from all groups
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
    /// List every group with its members
    #[command(after_help = "Example:\n  detector contacts groups list")]
    List(Listed),
    /// Add a group
    #[command(after_help = "Example:\n  detector contacts groups add ops")]
    Add(GroupName),
    /// Notify its members again
    #[command(after_help = "Example:\n  detector contacts groups on ops")]
    On(GroupName),
    /// Stop notifying its members
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

/// Manage notification rules, test a channel, and list deliveries
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
    /// List the configured channels with their state
    #[command(after_help = "Example:\n  detector notify channels")]
    Channels(Listed),
    Rules(Rules),
    Deliveries(Deliveries),
}

/// Send one test message and show whether it arrived at the server
#[derive(Args, Debug)]
#[command(after_help = "Example:\n  detector notify test mail --to zoe@example.org")]
pub struct NotifyTest {
    /// The channel's name in the configuration
    pub channel: String,
    /// Recipient [default: the first of the channel's own recipients]
    #[arg(long, value_name = "RECIPIENT")]
    pub to: Option<String>,
    #[command(flatten)]
    pub listed: Listed,
}

/// List, add and remove notification rules
#[derive(Args, Debug)]
#[command(after_help = "Example:\n  detector notify rules add night --channel mail --group ops")]
pub struct Rules {
    #[command(subcommand)]
    pub command: RulesCommand,
}

#[derive(Debug, Subcommand)]
pub enum RulesCommand {
    /// List every rule, with the reason when it notifies nobody
    #[command(after_help = "Example:\n  detector notify rules list")]
    List(Listed),
    Add(RulesAdd),
    /// Remove a rule and its waiting messages
    #[command(after_help = "Example:\n  detector notify rules remove night")]
    Remove(RuleName),
}

/// Add a rule
#[derive(Args, Debug)]
#[command(after_help = "Examples:
  detector notify rules add night --channel mail --group ops --min-severity high
  detector notify rules add all --channel siem
  detector notify rules add daily --channel mail --digest 1d")]
pub struct RulesAdd {
    /// The rule's name
    pub name: String,
    /// A channel's name in the configuration
    #[arg(long)]
    pub channel: String,
    /// The group to notify [default: the channel's own recipients]
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
    /// Collect alerts for this long, such as 10m, into one message [default: a message for each
    /// alert]
    #[arg(long, value_name = "TIME", value_parser = seconds)]
    pub digest: Option<u32>,
    /// Repeat the same alert after so long; 0: only once [default: 1h; 0 for webhooks and syslog]
    #[arg(long, value_name = "TIME", value_parser = seconds)]
    pub repeat: Option<u32>,
}

#[derive(Args, Debug)]
pub struct RuleName {
    /// The rule's name
    pub name: String,
}

/// List messages with their delivery state, newest first
#[derive(Args, Debug)]
#[command(after_help = "Example:\n  detector notify deliveries --state failed")]
pub struct Deliveries {
    /// queued, sent, failed or dropped
    #[arg(long)]
    pub state: Option<String>,
    /// Only messages over this channel
    #[arg(long)]
    pub channel: Option<String>,
    /// Only messages about this alert
    #[arg(long, value_name = "ID")]
    pub alert: Option<String>,
    /// Most messages to list
    #[arg(long, value_name = "N", default_value_t = 50)]
    pub limit: u32,
    #[command(flatten)]
    pub listed: Listed,
}

/// Score connection logs and store the alerts
///
/// Reads records of a firewall or proxy as JSON, NDJSON or CSV, Zeek's conn.log, and the flows of
/// Suricata's EVE JSON. A record has timestamp, source_ip, destination_ip, source_port,
/// destination_port, protocol, bytes_sent, bytes_received and action. Each record is scored and
/// counted at its own time. A record that looks like exfiltration becomes an alert.
#[derive(Args, Debug)]
#[command(after_help = "Example:\n  detector ingest --follow /opt/zeek/logs/current/conn.log")]
pub struct Ingest {
    /// Logs to read, which may be compressed; `-` is standard input
    #[arg(required = true, value_name = "FILE")]
    pub files: Vec<PathBuf>,
    /// Keep reading FILE as it grows, also after it is rotated, until Ctrl-C
    #[arg(long)]
    pub follow: bool,
    /// Format of the logs
    #[arg(long, value_name = "FORMAT", default_value = "auto")]
    pub log_format: LogFormat,
    #[command(flatten)]
    pub listed: Listed,
    #[command(flatten)]
    pub place: Place,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum LogFormat {
    /// Recognised by the content
    Auto,
    /// A JSON object or an array of objects
    Json,
    /// One JSON object a line
    Ndjson,
    /// Comma-separated values with a header
    Csv,
    /// Zeek's conn.log, in its own columns or as JSON
    Zeek,
    /// Suricata's EVE JSON
    Eve,
}

/// The database to use.
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
