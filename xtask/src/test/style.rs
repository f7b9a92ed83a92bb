//! What needs no test: the format, lints of all features and of the BPF programs, the format of the
//! dashboard's sources, and what dependencies may be. A check whose program is missing is said in a
//! line.

#![expect(clippy::print_stdout, reason = "skipped parts are printed")]

use std::process::Command;

use anyhow::Result;

use super::project_cargo;
use super::tally::Tally;
use crate::{project, release, setup, ui};

/// Whether the packages of the dashboard's own tools may be fetched.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Packages {
    /// No network is asked.
    AsTheyAre,
    /// They are installed where they are not.
    Installed,
}

/// What `-Z build-std` takes: the BPF target has no core of its own to fetch.
const BPF_TARGET: [&str; 4] = ["--target", "bpfel-unknown-none", "-Z", "build-std=core"];
const DENY_WARNINGS: [&str; 3] = ["--", "--deny", "warnings"];

pub(super) fn check(tally: &mut Tally, packages: Packages) -> Result<()> {
    tally.check("cargo fmt --all --check", project_cargo(&["fmt", "--all", "--check"]))?;
    tally.check("cargo clippy of all features", clippy())?;
    tally.check("cargo clippy of detector-ebpf", clippy_bpf()?)?;
    prettier(tally, packages)?;
    deny(tally)
}

fn clippy() -> Command {
    let mut command = project_cargo(&["clippy", "--quiet", "--all-targets", "--all-features"]);
    command.args(DENY_WARNINGS);
    // Lints do not read the object, which is built with other features for the tests.
    command.env("AYA_BUILD_SKIP", "1");
    command
}

fn clippy_bpf() -> Result<Command> {
    let mut command = project_cargo(&["clippy", "--quiet", "--package", "detector-ebpf"]);
    command.args(BPF_TARGET).arg("--all-features");
    // Build scripts of common crates look at the variable below: in one folder with the others
    // they, and all that is made of them, would be built again each time.
    command.arg("--target-dir").arg(release::target()?.join("bpf-lints")).args(DENY_WARNINGS);
    // It is for nightly compilers unless this says otherwise, and aya asks which processor is
    // traced.
    command.env("RUSTC_BOOTSTRAP", "1");
    command.env("RUSTFLAGS", format!("--cfg=bpf_target_arch=\"{}\"", std::env::consts::ARCH));
    Ok(command)
}

fn prettier(tally: &mut Tally, packages: Packages) -> Result<()> {
    const NAME: &str = "prettier of detector/ui";
    let folder = project::root().join("detector/ui");
    if packages == Packages::Installed {
        ui::install_packages(&folder)?;
    }
    let program = folder.join("node_modules/.bin/prettier");
    if !program.exists() {
        println!("left out: {NAME}: its packages are not installed, run `cargo xtask ui`");
        return Ok(());
    }
    let mut command = Command::new(program);
    command.args(["--check", "--log-level", "warn", "src", "vite.config.ts"]).current_dir(folder);
    tally.check(NAME, command)
}

fn deny(tally: &mut Tally) -> Result<()> {
    const NAME: &str = "cargo deny check";
    if setup::find("cargo-deny").is_none() {
        println!("left out: {NAME}: cargo-deny is not installed");
        return Ok(());
    }
    // The list of advisories would be fetched.
    tally.check(NAME, project_cargo(&["deny", "--offline", "check", "bans", "licenses", "sources"]))
}
