//! Commands for packages: completions and manual pages, made from the command line's definition.

use std::path::PathBuf;

use clap::Args;
use clap_complete::Shell;

/// Write the completions of a shell to standard output
#[derive(Args, Debug)]
#[command(after_help = "Example:\n  detector completions bash > /etc/bash_completion.d/detector")]
pub struct Completions {
    /// The shell
    #[arg(value_name = "SHELL")]
    pub shell: Shell,
}

/// Write the manual pages of all commands to a directory
#[derive(Args, Debug)]
#[command(after_help = "Example:\n  detector man /usr/local/share/man/man1")]
pub struct Man {
    /// An existing directory
    #[arg(value_name = "DIR")]
    pub directory: PathBuf,
}
