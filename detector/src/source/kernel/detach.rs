//! Taking off what an agent that no longer runs left behind: its pins, and filters of an older kernel.

use std::path::Path;

use super::pins::{self, Detached};
use super::{attach, interfaces};

/// Removes everything that an agent which no longer runs left in this network namespace.
pub fn detach_all(runtime_dir: &Path) -> anyhow::Result<Detached> {
    // Until the end: an agent that starts meanwhile would lose its filters.
    let (mut detached, _lock) = pins::remove_all(runtime_dir)?;
    for interface in interfaces::list()?.values() {
        detached.filters += attach::remove_leftovers(interface);
    }
    Ok(detached)
}
