//! Builds of the project's own programs, and where they lie.

use std::env;
use std::path::PathBuf;
use std::process::Command;

use anyhow::{Context as _, Result, ensure};

use crate::{project, ui};

/// `cargo build --release`, with what it says shown.
pub(crate) fn build(arguments: &[&str]) -> Result<()> {
    // The agent carries it.
    ui::build_if_needed()?;
    let status = cargo()
        .args(["build", "--release"])
        .args(arguments)
        .arg("--target-dir")
        .arg(target()?)
        .status()
        .context("failed to start cargo")?;
    ensure!(status.success(), "failed to build: see the compiler's output above");
    Ok(())
}

/// Builds the agent as it is shipped and says where it is.
pub(crate) fn detector() -> Result<PathBuf> {
    build(&["--package", "detector"])?;
    program("detector")
}

/// Builds the agent for debugging, with the features that `cargo test` has.
pub(crate) fn debug_detector() -> Result<PathBuf> {
    let arguments = ["build", "--bin", "detector", "--target-dir"];
    let status =
        cargo().args(arguments).arg(target()?).status().context("failed to start cargo")?;
    ensure!(status.success(), "failed to build: see the compiler's output above");
    Ok(target()?.join("debug").join("detector"))
}

/// A program that was built: beside this one, whichever target folder that is.
pub(crate) fn program(name: &str) -> Result<PathBuf> {
    Ok(target()?.join("release").join(name))
}

/// This program, for verbs that run in a process of their own.
pub(crate) fn this_program() -> Result<PathBuf> {
    env::current_exe().context("failed to find this program")
}

/// cargo in the project's folder.
pub(crate) fn cargo() -> Command {
    let mut command = Command::new(env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
    command.current_dir(project::root());
    command
}

/// The folder of all profiles, two above this program.
pub(crate) fn target() -> Result<PathBuf> {
    let own = this_program()?;
    Ok(own.ancestors().nth(2).context("this program is not in a target folder")?.to_owned())
}
