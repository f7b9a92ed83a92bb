//! `detector confirm`: keeps a change that would otherwise be undone.

use super::control::show;
use crate::cli::control::Confirm;
use crate::config::Config;
use crate::control::Request;

/// # Errors
///
/// No agent, an id that nothing waits under, an output that cannot be written.
pub fn run(args: &Confirm, config: &Config) -> anyhow::Result<()> {
    show(&args.reach, config, &Request::Confirm { id: args.id }, args.listed)
}
