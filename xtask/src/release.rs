//! Release builds of the project's own programs, and where they lie.

use std::env;
use std::path::PathBuf;
use std::process::Command;

use anyhow::{Context as _, Result, ensure};

use crate::project;

/// `cargo build --release`, with what it says shown.
pub(crate) fn build(arguments: &[&str]) -> Result<()> {
    let cargo = env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
    let status = Command::new(cargo)
        .args(["build", "--release"])
        .args(arguments)
        .current_dir(project::root())
        .status()
        .context("failed to start cargo")?;
    ensure!(status.success(), "failed to build: see above");
    Ok(())
}

/// A program that was built: beside this one, whichever target folder that is.
pub(crate) fn program(name: &str) -> Result<PathBuf> {
    let own = env::current_exe().context("failed to find this program")?;
    let profiles = own.ancestors().nth(2).context("this program lies in no target folder")?;
    Ok(profiles.join("release").join(name))
}
