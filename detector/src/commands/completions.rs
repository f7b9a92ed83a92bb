//! `detector completions`: what a shell needs to complete the command line.

use std::io::{self, Write};

use anyhow::Context as _;
use clap::CommandFactory as _;
use clap_complete::{Shell, generate};

use crate::cli::Cli;
use crate::cli::packaging::Completions;

pub fn run(args: &Completions) -> anyhow::Result<()> {
    io::stdout().write_all(&script(args.shell)).context("failed to write the completions")
}

/// In memory first: the generator panics where it cannot write.
fn script(shell: Shell) -> Vec<u8> {
    let mut script = Vec::new();
    generate(shell, &mut Cli::command(), "detector", &mut script);
    script
}

#[cfg(test)]
mod tests {
    use clap::ValueEnum as _;

    use super::*;

    #[test]
    fn every_shell_completes_every_command() {
        for shell in Shell::value_variants() {
            let script = String::from_utf8(script(*shell)).unwrap();
            for command in Cli::command().get_subcommands().filter(|it| !it.is_hide_set()) {
                assert!(script.contains(command.get_name()), "{shell}: {}", command.get_name());
            }
        }
    }
}
