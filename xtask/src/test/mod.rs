//! `cargo xtask test`: style, lints, every test, those that need root between network namespaces,
//! the oldest and the newest kernel in virtual machines, and hostile bytes for a minute a target.
//!
//! Without an option it runs all of that; `--fast`, `--root`, `--vm` and `--fuzz` run a part alone.
//! A part that is left out is said in a line, and without root the whole fails before it begins.

#![expect(clippy::print_stdout, reason = "the results are for people")]

mod background;
pub(crate) mod binaries;
mod lanes;
mod style;
mod tally;

use std::path::Path;
use std::time::Instant;

use anyhow::{Context as _, Result};
use detector_tests::{remove_leftovers, remove_stale_scratch, require_root};

use crate::setup::{self, Profile};
use crate::{release, vm_test};
use background::Background;
use binaries::Binary;
use tally::Tally;

#[derive(clap::Args)]
pub(crate) struct Arguments {
    /// Style, lints, unit and offline tests, without root or a network
    #[arg(long)]
    fast: bool,
    /// The tests between network namespaces
    #[arg(long)]
    root: bool,
    /// The oldest and the newest kernel in virtual machines
    #[arg(long)]
    vm: bool,
    /// Hostile bytes, a minute for each target
    #[arg(long)]
    fuzz: bool,
}

/// What the whole is made of.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Part {
    Fast,
    Root,
    Vm,
    Fuzz,
}

impl Part {
    const ALL: [Self; 4] = [Self::Fast, Self::Root, Self::Vm, Self::Fuzz];

    fn option(self) -> &'static str {
        match self {
            Self::Fast => "--fast",
            Self::Root => "--root",
            Self::Vm => "--vm",
            Self::Fuzz => "--fuzz",
        }
    }

    fn words(self) -> &'static str {
        match self {
            Self::Fast => "style, lints, unit and offline tests",
            Self::Root => "tests between network namespaces",
            Self::Vm => "the oldest and the newest kernel in virtual machines",
            Self::Fuzz => "hostile bytes for every reader",
        }
    }
}

impl Arguments {
    /// The parts that were asked for: all of them where none was.
    fn parts(&self) -> Vec<Part> {
        let asked = |part| match part {
            Part::Fast => self.fast,
            Part::Root => self.root,
            Part::Vm => self.vm,
            Part::Fuzz => self.fuzz,
        };
        let parts: Vec<Part> = Part::ALL.into_iter().filter(|part| asked(*part)).collect();
        if parts.is_empty() { Part::ALL.to_vec() } else { parts }
    }
}

/// The verb.
pub(crate) fn run(arguments: &Arguments) -> Result<()> {
    let parts = arguments.parts();
    for part in Part::ALL.into_iter().filter(|part| !parts.contains(part)) {
        println!("left out: {} ({})", part.words(), part.option());
    }
    let mut tally = Tally::default();
    if parts == [Part::Fast] {
        fast(&mut tally)?;
    } else if parts == [Part::Fuzz] {
        let mut command = std::process::Command::new(release::this_program()?);
        command.arg("fuzz");
        tally.check("cargo xtask fuzz", command)?;
    } else {
        require_root().context("these tests load kernel programs: run as root, or with --fast")?;
        privileged(&parts, &mut tally)?;
    }
    tally.report()
}

/// On what is built for debugging: a second build, optimised, would take longer than all the rest.
fn fast(tally: &mut Tally) -> Result<()> {
    style::check(tally, style::Packages::AsTheyAre)?;
    offline(tally, &release::debug_detector()?)
}

/// All that was asked for, where at least one part needs root.
fn privileged(parts: &[Part], tally: &mut Tally) -> Result<()> {
    let asked = |part| parts.contains(&part);
    setup::run(Profile::Test)?;
    if asked(Part::Vm) {
        setup::run(Profile::Vm)?;
    }
    remove_leftovers()?;
    remove_stale_scratch()?;
    if asked(Part::Fast) {
        style::check(tally, style::Packages::Installed)?;
    }
    // Once for all parts, and with all packages: another choice of them is another build.
    let agent = release::detector()?;
    let binaries = binaries::build(&[])?;
    // It takes what the tests leave of the processors, which is most: they wait for packets and
    // clocks.
    let fuzz = asked(Part::Fuzz)
        .then(|| Background::start("cargo xtask fuzz", release::this_program()?, &["fuzz"]));
    let fuzz = fuzz.transpose()?;
    if asked(Part::Fast) {
        offline(tally, &agent)?;
    }
    let programs = lanes::Programs::of(&binaries)?;
    if asked(Part::Root) {
        programs.run_together(tally, &agent)?;
    }
    // Beside the fuzzers: they have clocks of their own.
    if asked(Part::Vm) {
        kernels(tally, &agent, &binaries)?;
    }
    if let Some(fuzz) = fuzz {
        tally.add(fuzz.finish()?);
    }
    if asked(Part::Root) {
        programs.run_alone(tally, &agent)?;
    }
    Ok(())
}

/// The tests that need neither root nor a network.
fn offline(tally: &mut Tally, agent: &Path) -> Result<()> {
    let mut command = project_cargo(&["test", "--no-fail-fast"]);
    tally.tests("cargo test", command.env("DETECTOR_BIN", agent))
}

/// In this process, so that nothing is built again.
fn kernels(tally: &mut Tally, agent: &Path, binaries: &[Binary]) -> Result<()> {
    let scenarios = binaries.iter().find(|binary| binary.name == vm_test::SCENARIOS);
    let scenarios = scenarios.context("the scenarios of the virtual machines are not built")?;
    let lines = ["5.10", "7"].map(str::to_owned).to_vec();
    let started = Instant::now();
    println!("cargo xtask vm-test --kernel {}", lines.join(","));
    let outcome = vm_test::run(&vm_test::Arguments {
        kernel: lines,
        agent: Some(agent.to_owned()),
        scenarios: Some(scenarios.file.clone()),
        ..vm_test::Arguments::default()
    });
    if let Err(error) = &outcome {
        println!("{error:#}");
    }
    tally.add(Tally::of(outcome.is_ok()));
    println!("virtual machines took {:.0?}", started.elapsed());
    Ok(())
}

/// cargo in the project's folder.
fn project_cargo(arguments: &[&str]) -> std::process::Command {
    let mut command = release::cargo();
    command.args(arguments);
    command
}

#[cfg(test)]
mod tests {
    use super::{Arguments, Part};

    #[test]
    fn nothing_asked_for_is_everything() {
        let none = Arguments { fast: false, root: false, vm: false, fuzz: false };
        assert_eq!(none.parts(), Part::ALL);
        assert_eq!(Arguments { vm: true, ..none }.parts(), [Part::Vm]);
    }
}
