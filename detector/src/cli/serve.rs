//! The commands around the HTTP API.

use std::path::PathBuf;

use clap::{Args, Subcommand, ValueEnum};

use super::control::{Listed, seconds};
use crate::store::tokens::Scope;

/// Serve the API and the dashboard from a database, without watching traffic
///
/// `detector run` does the same while it watches. Ends with Ctrl-C.
#[derive(Args, Debug)]
#[command(after_help = "Example:\n  detector serve --db detector.db --listen localhost:5000")]
pub struct Serve {
    /// Database to open; a missing one is created [default: the configuration's]
    #[arg(long, value_name = "FILE")]
    pub db: Option<PathBuf>,
    /// Address to listen on; other than loopback needs TLS [default: the configuration's]
    #[arg(long, value_name = "ADDRESS:PORT")]
    pub listen: Option<String>,
    /// Configuration file [default: /etc/detector/detector.toml where it exists]
    #[arg(short, long, value_name = "FILE")]
    pub config: Option<PathBuf>,
}

/// Create, list and revoke tokens for the API
#[derive(Args, Debug)]
#[command(after_help = "Example:\n  detector token create laptop --scope admin --expires 30d")]
pub struct TokenArgs {
    #[command(subcommand)]
    pub command: TokenCommand,
    /// Database to open [default: the configuration's]
    #[arg(long, value_name = "FILE", global = true)]
    pub db: Option<PathBuf>,
    /// Configuration file [default: /etc/detector/detector.toml where it exists]
    #[arg(short, long, value_name = "FILE", global = true)]
    pub config: Option<PathBuf>,
}

#[derive(Debug, Subcommand)]
pub enum TokenCommand {
    Create(TokenCreate),
    /// List every token with its scope and its last use
    #[command(after_help = "Example:\n  detector token list")]
    List(Listed),
    Revoke(TokenRevoke),
}

/// Create a token, and a link that logs a browser in
///
/// Both are shown only once. The link works once, within ten minutes.
#[derive(Args, Debug)]
#[command(after_help = "Example:\n  detector token create laptop --scope admin")]
pub struct TokenCreate {
    /// The token's name, also in the audit log
    pub name: String,
    /// The token's rights; each scope includes the ones before it
    #[arg(long, default_value = "read")]
    pub scope: ScopeChoice,
    /// Lifetime, such as 30d [default: no end]
    #[arg(long, value_name = "TIME", value_parser = seconds)]
    pub expires: Option<u64>,
    #[command(flatten)]
    pub listed: Listed,
}

/// Revoke a token, and log out the browsers that used it
#[derive(Args, Debug)]
#[command(after_help = "Example:\n  detector token revoke laptop")]
pub struct TokenRevoke {
    /// The token's name, or its number in `detector token list`
    #[arg(value_name = "NAME|ID")]
    pub token: String,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum ScopeChoice {
    /// Read everything
    Read,
    /// Acknowledge, block, upload
    Respond,
    /// Contacts, tokens, models, mode
    Admin,
}

impl From<ScopeChoice> for Scope {
    fn from(choice: ScopeChoice) -> Self {
        match choice {
            ScopeChoice::Read => Self::Read,
            ScopeChoice::Respond => Self::Respond,
            ScopeChoice::Admin => Self::Admin,
        }
    }
}
