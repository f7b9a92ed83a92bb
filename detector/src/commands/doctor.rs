//! `detector doctor`.

use crate::cli::Doctor;
use crate::config::Config;

/// # Errors
///
/// Always: this build has no data plane.
pub fn run(_args: Doctor, _config: Config) -> anyhow::Result<()> {
    anyhow::bail!("this build has no data plane")
}
