//! `detector run`.

use crate::cli::Run;
use crate::config::Config;

/// # Errors
///
/// Always: this build has no data plane.
pub fn run(_args: Run, _config: Config) -> anyhow::Result<()> {
    anyhow::bail!("this build has no data plane")
}
