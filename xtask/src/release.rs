//! Release builds of the project's own programs, and where they lie.

use std::env;
use std::path::PathBuf;
use std::process::Command;

use anyhow::{Context as _, Result, ensure};

use crate::{project, ui};

/// `cargo build --release`, with what it says shown.
pub(crate) fn build(arguments: &[&str]) -> Result<()> {
    // The agent carries it.
    ui::build_if_needed()?;
    let cargo = env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
    let status = Command::new(cargo)
        .args(["build", "--release"])
        .args(arguments)
        .arg("--target-dir")
        .arg(target()?)
        .current_dir(project::root())
        .status()
        .context("failed to start cargo")?;
    ensure!(status.success(), "failed to build: see above");
    Ok(())
}

/// A program that was built: beside this one, whichever target folder that is.
pub(crate) fn program(name: &str) -> Result<PathBuf> {
    Ok(target()?.join("release").join(name))
}

/// The folder of all profiles, two above this program.
fn target() -> Result<PathBuf> {
    let own = env::current_exe().context("failed to find this program")?;
    Ok(own.ancestors().nth(2).context("this program lies in no target folder")?.to_owned())
}
