//! `cargo xtask setup`: what a fresh Debian machine lacks, and nothing else. Asks first whether a
//! thing is there, so a second run changes nothing. Never starts a daemon, and never removes
//! anything.

#![expect(clippy::print_stdout, reason = "setup prints its steps")]

mod apt;
mod python;
mod toolchain;

use anyhow::Result;
use clap::ValueEnum;

pub(crate) use apt::find;
pub(crate) use python::interpreter as python;

/// What the machine will be used for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum Profile {
    /// For the agent with its kernel programs, and the demo
    Demo,
    /// For the dashboard, which needs no kernel programs
    Ui,
    /// For demo, dashboard, tests, fuzz targets and benchmarks
    Test,
    /// For tests, and for other kernels in virtual machines
    Vm,
    /// For tests, and for the tools that the lab records
    Lab,
}

#[derive(clap::Args)]
pub(crate) struct Arguments {
    /// The tasks to prepare for
    #[arg(long = "with", value_enum, default_value = "test")]
    profile: Profile,
}

/// What a step found or did; the text says it to a person.
enum Step {
    AlreadyThere(String),
    Done(String),
}

type Stage = fn() -> Result<Step>;

/// What a profile is made of, after the packages.
fn stages(profile: Profile) -> &'static [Stage] {
    const BUILD: [Stage; 2] = [toolchain::add_rust_source, toolchain::install_bpf_linker];
    const TEST: [Stage; 3] = [BUILD[0], BUILD[1], python::install_for_tests];
    const LAB: [Stage; 4] = [TEST[0], TEST[1], TEST[2], python::install_for_lab];
    match profile {
        Profile::Ui => &[],
        Profile::Demo => &BUILD,
        Profile::Test | Profile::Vm => &TEST,
        Profile::Lab => &LAB,
    }
}

/// The verb: one line per step, also where nothing was to do.
pub(crate) fn report(arguments: &Arguments) -> Result<()> {
    steps(arguments.profile, |step| match step {
        Step::AlreadyThere(what) => println!("already there: {what}"),
        Step::Done(what) => println!("done: {what}"),
    })
}

/// For the other verbs: silent where nothing was to do.
pub(crate) fn run(profile: Profile) -> Result<()> {
    steps(profile, |step| {
        if let Step::Done(what) = step {
            println!("setup: {what}");
        }
    })
}

fn steps(profile: Profile, mut say: impl FnMut(Step)) -> Result<()> {
    say(apt::install_missing(profile)?);
    for stage in stages(profile) {
        say(stage()?);
    }
    Ok(())
}
