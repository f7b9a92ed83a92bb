//! The commands that read and maintain the database.

use std::path::PathBuf;

use clap::{Args, Subcommand, ValueEnum};

use super::control::seconds;
use super::{Format, LiveFormat};

/// Where the database is.
#[derive(Args, Debug)]
pub struct Database {
    /// Database [default: the configuration's, else /var/lib/detector/detector.db]
    #[arg(long, value_name = "FILE", global = true)]
    pub db: Option<PathBuf>,
    /// Configuration file [default: /etc/detector/detector.toml where it exists]
    #[arg(short, long, value_name = "FILE", global = true)]
    pub config: Option<PathBuf>,
}

/// Find, read, acknowledge and export alerts
#[derive(Args, Debug)]
#[command(
    after_help = "Example:\n  detector alerts search --src 10.0.0.0/8 --severity high,critical \
        drop.example"
)]
pub struct Alerts {
    #[command(flatten)]
    pub database: Database,
    #[command(subcommand)]
    pub command: AlertsCommand,
}

#[derive(Debug, Subcommand)]
pub enum AlertsCommand {
    /// List the newest alerts
    #[command(after_help = "Example:\n  detector alerts list --status open")]
    List(AlertsList),
    /// List the alerts that match all options and words
    #[command(after_help = "Example:\n  detector alerts search --dst 192.0.2.0/24 backup")]
    Search(AlertsSearch),
    /// Show one alert with its evidence
    #[command(after_help = "Example:\n  detector alerts show 00000000000000ab")]
    Show(AlertsShow),
    /// Acknowledge alerts: somebody investigates them
    #[command(
        after_help = "Example:\n  detector alerts ack 00000000000000ab --note \"calling the user\""
    )]
    Ack(AlertsMark),
    /// Close alerts: they are resolved
    #[command(after_help = "Example:\n  detector alerts close 00000000000000ab")]
    Close(AlertsMark),
    /// Mark an alert as expected: close it, add an exception that ends, keep its vector for training
    #[command(
        after_help = "Example:\n  detector alerts expect 00000000000000ab --scope pair --ttl 30d \
            --note \"nightly backup\""
    )]
    Expect(AlertsExpect),
    /// Confirm that alerts are exfiltration: close them and keep their vectors for training
    #[command(
        after_help = "Example:\n  detector alerts confirm 00000000000000ab --note \"found the tool\""
    )]
    Confirm(AlertsMark),
    /// Write alerts to standard output
    #[command(
        after_help = "Example:\n  detector alerts export --format csv --from 2027-01-01T00:00:00Z"
    )]
    Export(AlertsExport),
}

/// Filters for alerts; lists are separated by commas.
#[derive(Args, Debug, Default)]
pub struct Wanted {
    /// Either end: an address or a network
    #[arg(long)]
    pub address: Option<String>,
    /// The suspected sender: an address or a network
    #[arg(long)]
    pub src: Option<String>,
    /// The receiver: an address or a network
    #[arg(long)]
    pub dst: Option<String>,
    /// Either end's port
    #[arg(long)]
    pub port: Option<String>,
    /// tcp, udp, icmp, …
    #[arg(long)]
    pub protocol: Option<String>,
    /// bulk_upload, dns_tunnel, …
    #[arg(long)]
    pub technique: Option<String>,
    /// low, medium, high, critical
    #[arg(long)]
    pub severity: Option<String>,
    /// open, acknowledged, closed
    #[arg(long)]
    pub status: Option<String>,
    /// A DNS name, or consecutive labels of one
    #[arg(long)]
    pub name: Option<String>,
    /// Opened at this time or later, such as 2027-01-31T00:00:00Z
    #[arg(long, value_name = "TIME")]
    pub from: Option<String>,
    /// Opened at this time or earlier
    #[arg(long, value_name = "TIME")]
    pub to: Option<String>,
}

#[derive(Args, Debug)]
pub struct AlertsList {
    #[command(flatten)]
    pub wanted: Wanted,
    #[command(flatten)]
    pub page: Page,
}

#[derive(Args, Debug)]
pub struct AlertsSearch {
    #[command(flatten)]
    pub wanted: Wanted,
    #[command(flatten)]
    pub page: Page,
    /// Words that the alert must contain; a star at the end matches any ending
    pub words: Vec<String>,
}

#[derive(Args, Debug)]
pub struct Page {
    /// Rows, 1 to 500
    #[arg(long, value_name = "N", default_value = "50")]
    pub limit: String,
    /// Format of the results
    #[arg(short, long, default_value = "table")]
    pub format: LiveFormat,
}

#[derive(Args, Debug)]
pub struct AlertsShow {
    pub id: String,
    /// Format of the result
    #[arg(short, long, default_value = "table")]
    pub format: LiveFormat,
}

#[derive(Args, Debug)]
pub struct AlertsMark {
    #[arg(required = true, value_name = "ID")]
    pub ids: Vec<String>,
    /// Why, for whoever reads it later
    #[arg(long)]
    pub note: Option<String>,
}

#[derive(Args, Debug)]
pub struct AlertsExpect {
    pub id: String,
    /// How far the exception reaches
    #[arg(long, default_value = "pair")]
    pub scope: ExpectedScope,
    /// How long the exception lasts, such as 12h or 30d; 366d at most
    #[arg(long, value_name = "TIME", value_parser = seconds, default_value = "30d")]
    pub ttl: u64,
    /// Why, for whoever reads it later
    #[arg(long)]
    pub note: Option<String>,
    /// Make no exception: no agent is needed
    #[arg(long)]
    pub label_only: bool,
    /// The agent's socket [default: that of this network namespace's agent]
    #[arg(long, value_name = "PATH")]
    pub socket: Option<PathBuf>,
}

/// How far the exception of an expected alert reaches.
#[derive(Clone, Copy, Debug, ValueEnum)]
pub enum ExpectedScope {
    /// What this sender sends to this receiver
    Pair,
    /// What anybody sends to the receiver's port
    Service,
    /// What anybody sends to the receiver
    Destination,
    /// What anybody sends to hosts of the receiver's name
    Name,
}

#[derive(Args, Debug)]
pub struct AlertsExport {
    #[command(flatten)]
    pub wanted: Wanted,
    /// Format of the results
    #[arg(short, long, default_value = "json")]
    pub format: Format,
}

/// List the traffic of sessions, minute by minute
#[derive(Args, Debug)]
#[command(after_help = "Example:\n  detector flows --address 10.0.0.7 --limit 20")]
pub struct Flows {
    #[command(flatten)]
    pub database: Database,
    /// Either end: an address or a network
    #[arg(long)]
    pub address: Option<String>,
    /// The server's port
    #[arg(long)]
    pub port: Option<String>,
    /// A DNS name, or the end of one
    #[arg(long)]
    pub name: Option<String>,
    #[command(flatten)]
    pub page: Page,
}

/// Compute an alert's score again from the stored vector and model
///
/// Fails unless the score is identical to the last bit.
#[derive(Args, Debug)]
#[command(after_help = "Example:\n  detector replay 00000000000000ab")]
pub struct Replay {
    #[command(flatten)]
    pub database: Database,
    pub id: String,
    /// Format of the result
    #[arg(short, long, default_value = "table")]
    pub format: LiveFormat,
}

/// Copy, check or compact the database
#[derive(Args, Debug)]
#[command(after_help = "Example:\n  detector db backup /root/detector-backup.db")]
pub struct Db {
    #[command(flatten)]
    pub database: Database,
    #[command(subcommand)]
    pub command: DbCommand,
}

#[derive(Debug, Subcommand)]
pub enum DbCommand {
    /// Copy the database to a new file; an agent may use it meanwhile
    #[command(after_help = "Example:\n  detector db backup /root/detector-backup.db")]
    Backup {
        /// The new file
        #[arg(value_name = "FILE")]
        to: PathBuf,
    },
    /// Check the database for damage
    #[command(after_help = "Example:\n  detector db check")]
    Check,
    /// Return unused space to the file system
    #[command(after_help = "Example:\n  detector db vacuum")]
    Vacuum,
}
