//! `detector`: reads the command line, runs what it names, and turns the outcome into an exit code.
//!
//! 0 is success, alerts or not; 1 is a failure; 2 is a command line that makes no sense; 3 is an alert
//! where `--fail-on alert` asks for it. A reader that closes the pipe has seen enough: success.

use std::io::{self, ErrorKind, Write as _};
use std::process::ExitCode;

use clap::Parser as _;
use detector::api;
use detector::cli::Cli;
use detector::commands::{self, AlertsFound};

const FAILURE: u8 = 1;
const ALERTS_FOUND: u8 = 3;

fn main() -> ExitCode {
    // Exits with 2 on a command line that makes no sense, with 0 on --help.
    let cli = Cli::parse();
    match commands::run(cli.command, api::server::serve) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) if is_broken_pipe(&error) => ExitCode::SUCCESS,
        Err(error) => {
            // Where that cannot be written, the exit code says it.
            drop(writeln!(io::stderr(), "detector: {error:#}"));
            ExitCode::from(if error.is::<AlertsFound>() { ALERTS_FOUND } else { FAILURE })
        }
    }
}

fn is_broken_pipe(error: &anyhow::Error) -> bool {
    let broken = |cause: &io::Error| cause.kind() == ErrorKind::BrokenPipe;
    error.chain().any(|cause| cause.downcast_ref().is_some_and(broken))
}
