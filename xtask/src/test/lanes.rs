//! The tests that need root: two programs at a time, each with network namespaces, pins and folders
//! of its own, and one test at a time in each. Those that flood their wire or hold clocks to a
//! second run alone.

#![expect(clippy::print_stdout, reason = "the results are for people")]

use std::collections::VecDeque;
use std::path::Path;
use std::process::Command;
use std::sync::{Mutex, PoisonError};
use std::thread;
use std::time::Instant;

use anyhow::{Context as _, Result};

use super::binaries::Binary;
use super::tally::{Tally, run_tests};

/// They mostly wait, and the smallest machine that tests run on has two processors.
const TOGETHER: usize = 2;
/// The longest first, so that none is left over at the end; the others follow by name.
const LONGEST: [&str; 4] = ["kernel", "response", "browser", "netns"];
/// They send as fast as the machine can, or stop an agent for as long as a clock says.
const ALONE: [&str; 1] = ["faults"];

/// The programs that have something to run as root.
pub(super) struct Programs<'a> {
    shared: Vec<&'a Binary>,
    alone: Vec<&'a Binary>,
}

impl<'a> Programs<'a> {
    /// Asks each of them.
    pub(super) fn of(binaries: &'a [Binary]) -> Result<Self> {
        let mut with_ignored = Vec::new();
        for binary in binaries {
            if has_ignored(binary)? {
                with_ignored.push(binary);
            }
        }
        let (alone, mut shared): (Vec<&Binary>, Vec<&Binary>) =
            with_ignored.into_iter().partition(|binary| ALONE.contains(&binary.name.as_str()));
        shared.sort_by_key(|binary| {
            let place = LONGEST.iter().position(|name| *name == binary.name);
            (place.unwrap_or(LONGEST.len()), &binary.name)
        });
        Ok(Self { shared, alone })
    }

    /// Those that bear others beside them.
    pub(super) fn run_together(&self, tally: &mut Tally, agent: &Path) -> Result<()> {
        tally.add(pool(&self.shared, TOGETHER, agent)?);
        Ok(())
    }

    /// The others, one after the other, when nothing else runs.
    pub(super) fn run_alone(&self, tally: &mut Tally, agent: &Path) -> Result<()> {
        tally.add(pool(&self.alone, 1, agent)?);
        Ok(())
    }
}

fn has_ignored(binary: &Binary) -> Result<bool> {
    // The scenarios of the virtual machines are no harness of tests.
    if binary.name == crate::vm_test::SCENARIOS {
        return Ok(false);
    }
    let output = Command::new(&binary.file)
        .args(["--list", "--ignored", "--format", "terse"])
        .output()
        .with_context(|| format!("failed to start {}", binary.file.display()))?;
    Ok(String::from_utf8_lossy(&output.stdout).lines().any(|line| line.ends_with(": test")))
}

fn pool(binaries: &[&Binary], at_a_time: usize, agent: &Path) -> Result<Tally> {
    let queue: Mutex<VecDeque<&Binary>> = Mutex::new(binaries.iter().copied().collect());
    let next = || queue.lock().unwrap_or_else(PoisonError::into_inner).pop_front();
    let lane = || -> Result<Tally> {
        let mut tally = Tally::default();
        while let Some(binary) = next() {
            tally.add(run_one(binary, agent)?);
        }
        Ok(tally)
    };
    thread::scope(|scope| {
        let lanes: Vec<_> = (0..at_a_time).map(|_| scope.spawn(lane)).collect();
        let mut tally = Tally::default();
        for lane in lanes {
            tally.add(lane.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic))?);
        }
        Ok(tally)
    })
}

/// What it says is shown when it is over: lines of two programs do not mix.
fn run_one(binary: &Binary, agent: &Path) -> Result<Tally> {
    let started = Instant::now();
    println!("{} --ignored", binary.name);
    let mut command = Command::new(&binary.file);
    // One at a time: they count what a device carries and measure how fast a block takes effect.
    command.args(["--ignored", "--test-threads=1"]);
    command.current_dir(&binary.folder).env("DETECTOR_BIN", agent);
    // What cargo sets for the programs that it runs itself.
    command.env("CARGO_MANIFEST_DIR", &binary.folder);
    let mut lines = Vec::new();
    let tally = run_tests(&binary.name, &mut command, |line| lines.push(line.to_owned()))?;
    println!("{}\n{} took {:.0?}", lines.join("\n"), binary.name, started.elapsed());
    Ok(tally)
}
