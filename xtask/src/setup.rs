//! `cargo xtask setup`: what a fresh Debian machine lacks, and nothing else. Asks first whether a thing
//! is there, so a second run changes nothing. Never starts a daemon, and never removes anything.

#![expect(clippy::print_stdout, reason = "setup says what it does")]

mod apt;
mod python;
mod toolchain;

use anyhow::Result;
use clap::ValueEnum;

pub(crate) use apt::find;
pub(crate) use python::interpreter as python;
pub(crate) use toolchain::tools;

/// What the machine will be used for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum Profile {
    /// Build, demo, tests and bench
    Base,
    /// Base, and what starts other kernels
    Vm,
    /// Base, and the tools that the lab records
    Lab,
}

#[derive(clap::Args)]
pub(crate) struct Arguments {
    /// Also install what this needs
    #[arg(long = "with", value_enum, default_value = "base")]
    profile: Profile,
}

/// What a step found or did; the text says it to a person.
enum Step {
    AlreadyThere(String),
    Done(String),
}

type Stage = fn(Profile) -> Result<Step>;

const STAGES: [Stage; 6] = [
    |profile| apt::install_missing(profile),
    |_| toolchain::add_rust_source(),
    |_| toolchain::install_bpf_linker(),
    |_| toolchain::install_cargo_fuzz(),
    |_| python::install_for_tests(),
    python::install_for_lab,
];

/// The verb: one line per step, also where nothing was to do.
pub(crate) fn report(arguments: &Arguments) -> Result<()> {
    for stage in STAGES {
        match stage(arguments.profile)? {
            Step::AlreadyThere(what) => println!("already there: {what}"),
            Step::Done(what) => println!("done: {what}"),
        }
    }
    Ok(())
}

/// For the other verbs: silent where nothing was to do.
pub(crate) fn run(profile: Profile) -> Result<()> {
    for stage in STAGES {
        if let Step::Done(what) = stage(profile)? {
            println!("setup: {what}");
        }
    }
    Ok(())
}
