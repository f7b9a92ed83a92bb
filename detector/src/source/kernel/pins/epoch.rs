//! When tick 0 was, as the first agent of these pins found it.
//!
//! Each reading of the two clocks is off by up to a tick. An agent that takes over goes by the one
//! before it, so that a session begins when it began, and its alert is the same alert.

use std::fs;
use std::io;
use std::path::Path;

use anyhow::Context as _;

use crate::flow::TimeBase;

/// A directory, for a BPF file system has no files; the number is in its name.
const NAME: &str = "tick-zero-";

/// A wall clock that was moved by more than this is believed again.
const MOVED_NS: u64 = 1_000_000_000;

/// The time base of the pins in `folder`: the one that is noted there, else `found`, which is
/// noted.
pub(super) fn keep(folder: &Path, found: TimeBase) -> anyhow::Result<TimeBase> {
    let mut noted = super::entries(folder)?.into_iter().filter_map(|path| {
        let number: i64 = path.file_name()?.to_str()?.strip_prefix(NAME)?.parse().ok()?;
        Some((path, number))
    });
    if let Some((path, tick_zero_ns)) = noted.next() {
        if tick_zero_ns.abs_diff(found.tick_zero_ns) < MOVED_NS {
            return Ok(TimeBase { tick_zero_ns, ..found });
        }
        fs::remove_dir(&path).with_context(|| format!("failed to remove {}", path.display()))?;
    }
    let path = folder.join(format!("{NAME}{}", found.tick_zero_ns));
    match fs::create_dir(&path) {
        Err(error) if error.kind() != io::ErrorKind::AlreadyExists => {
            Err(error).with_context(|| format!("failed to write to {}", folder.display()))
        }
        _ => Ok(found),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_reading_holds_until_the_clock_is_moved() {
        let folder = std::env::temp_dir().join(format!("detector-epoch-{}", std::process::id()));
        fs::create_dir_all(&folder).unwrap();
        let check = |found: i64, expected: i64| {
            let found = TimeBase { ticks_per_second: 250, tick_zero_ns: found };
            assert_eq!(keep(&folder, found).unwrap().tick_zero_ns, expected);
            assert_eq!(fs::read_dir(&folder).unwrap().count(), 1);
        };
        check(-5_000, -5_000);
        check(4_000_000, -5_000);
        check(3_600_000_000_000, 3_600_000_000_000);
        check(3_600_004_000_000, 3_600_000_000_000);
        fs::remove_dir_all(&folder).unwrap();
    }
}
