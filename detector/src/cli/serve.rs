//! The commands around the HTTP API.

use std::path::PathBuf;

use clap::{Args, Subcommand, ValueEnum};

use super::control::{Listed, seconds};
use crate::store::tokens::Scope;

/// Open what is stored, the API and the dashboard, without watching anything
///
/// `detector run` does the same while it watches. Ends with Ctrl-C.
#[derive(Args, Debug)]
#[command(after_help = "Example:\n  detector serve --db detector.db --listen localhost:5000")]
pub struct Serve {
    /// Database to open, made where there is none [default: the configuration's]
    #[arg(long, value_name = "FILE")]
    pub db: Option<PathBuf>,
    /// Where to listen; beyond this machine only with TLS [default: the configuration's]
    #[arg(long, value_name = "ADDRESS:PORT")]
    pub listen: Option<String>,
    /// Configuration file [default: /etc/detector/detector.toml where it exists]
    #[arg(short, long, value_name = "FILE")]
    pub config: Option<PathBuf>,
}

/// Make, list and revoke the tokens that let others use the API
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
    /// Show every token's name, what it may do and when it was last used
    #[command(after_help = "Example:\n  detector token list")]
    List(Listed),
    Revoke(TokenRevoke),
}

/// Make a token, and a link that logs a browser in with it
///
/// Both are told this once; the link works once, within ten minutes.
#[derive(Args, Debug)]
#[command(after_help = "Example:\n  detector token create laptop --scope admin")]
pub struct TokenCreate {
    /// By what it is known, and stands in the audit log
    pub name: String,
    /// What it may do; each includes those before
    #[arg(long, default_value = "read")]
    pub scope: ScopeChoice,
    /// After which time it is none any more, such as 30d [default: never]
    #[arg(long, value_name = "TIME", value_parser = seconds)]
    pub expires: Option<u64>,
    #[command(flatten)]
    pub listed: Listed,
}

/// Take a token back, and log out the browsers that used it
#[derive(Args, Debug)]
#[command(after_help = "Example:\n  detector token revoke laptop")]
pub struct TokenRevoke {
    /// The token's name, or its number in `detector token list`
    #[arg(value_name = "NAME|ID")]
    pub token: String,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum ScopeChoice {
    /// Look
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
