//! The commands that look into the database.

use std::path::PathBuf;

use clap::{Args, Subcommand};

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
    after_help = "Example:\n  detector alerts search --src 10.0.0.0/8 --severity high,critical drop.example"
)]
pub struct Alerts {
    #[command(flatten)]
    pub database: Database,
    #[command(subcommand)]
    pub command: AlertsCommand,
}

#[derive(Debug, Subcommand)]
pub enum AlertsCommand {
    /// Show the newest alerts
    #[command(after_help = "Example:\n  detector alerts list --status open")]
    List(AlertsList),
    /// Show the alerts that all of this fits
    #[command(after_help = "Example:\n  detector alerts search --dst 192.0.2.0/24 backup")]
    Search(AlertsSearch),
    /// Show one alert whole
    #[command(after_help = "Example:\n  detector alerts show 00000000000000ab")]
    Show(AlertsShow),
    /// Say that somebody looks after alerts
    #[command(
        after_help = "Example:\n  detector alerts ack 00000000000000ab --note \"calling the user\""
    )]
    Ack(AlertsMark),
    /// Say that alerts are dealt with
    #[command(after_help = "Example:\n  detector alerts close 00000000000000ab")]
    Close(AlertsMark),
    /// Write alerts to standard output
    #[command(
        after_help = "Example:\n  detector alerts export --format csv --from 2027-01-01T00:00:00Z"
    )]
    Export(AlertsExport),
}

/// What alerts must have; lists stand between commas.
#[derive(Args, Debug, Default)]
pub struct Wanted {
    /// Either end: an address or a network
    #[arg(long)]
    pub address: Option<String>,
    /// The host that leaks: an address or a network
    #[arg(long)]
    pub src: Option<String>,
    /// The host that receives: an address or a network
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
    /// A DNS name, or whole labels of one
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
    /// Words, all of which are there; a star at the end stands for any ending
    pub words: Vec<String>,
}

#[derive(Args, Debug)]
pub struct Page {
    /// Rows, 1 to 500
    #[arg(long, value_name = "N", default_value = "50")]
    pub limit: String,
    /// How they are written
    #[arg(short, long, default_value = "table")]
    pub format: LiveFormat,
}

#[derive(Args, Debug)]
pub struct AlertsShow {
    pub id: String,
    /// How it is written
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
pub struct AlertsExport {
    #[command(flatten)]
    pub wanted: Wanted,
    /// How they are written
    #[arg(short, long, default_value = "json")]
    pub format: Format,
}

/// Show what sessions carried, minute by minute
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

/// Compute an alert's score again from what was stored with it
///
/// Fails where the score is not the same to the last bit.
#[derive(Args, Debug)]
#[command(after_help = "Example:\n  detector replay 00000000000000ab")]
pub struct Replay {
    #[command(flatten)]
    pub database: Database,
    pub id: String,
    /// How it is written
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
    /// Copy it, as it is at one moment, to a new file; it may be in use
    #[command(after_help = "Example:\n  detector db backup /root/detector-backup.db")]
    Backup {
        /// The file to make
        #[arg(value_name = "FILE")]
        to: PathBuf,
    },
    /// Look for damage
    #[command(after_help = "Example:\n  detector db check")]
    Check,
    /// Give unused room back to the file system
    #[command(after_help = "Example:\n  detector db vacuum")]
    Vacuum,
}
