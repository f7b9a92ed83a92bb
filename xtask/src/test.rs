//! `cargo xtask test`: style, lints, every test, those that need root between network namespaces, the
//! oldest and the newest kernel in virtual machines, and hostile bytes for a minute a target. Never
//! leaves a part out without saying so: without root it fails.

#![expect(clippy::print_stdout, reason = "what ran and what came of it is for people")]

use std::env;
use std::io::{BufRead as _, BufReader};
use std::process::{Command, Stdio};

use anyhow::{Context as _, Result, bail};
use detector_tests::{remove_leftovers, remove_stale_scratch, require_root};

use crate::setup::{self, Profile};
use crate::{project, release};

/// What ran, and what of it went wrong. A check without tests counts as one.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct Tally {
    passed: u64,
    failed: u64,
}

/// The verb.
pub(crate) fn run() -> Result<()> {
    require_root().context("the tests of the kernel programs were not run, so nothing was")?;
    setup::run(Profile::Base)?;
    remove_leftovers()?;
    remove_stale_scratch()?;
    let mut tally = Tally::default();
    tally.check(&["fmt", "--all", "--check"])?;
    tally.check(&["clippy", "--quiet", "--all-targets", "--", "--deny", "warnings"])?;
    release::build(&["--package", "detector"])?;
    tally.tests(&["test", "--no-fail-fast"])?;
    // One at a time: they count what a device carries and measure how fast a block stands.
    let ignored = ["test", "--no-fail-fast", "--", "--ignored", "--test-threads=1"];
    tally.tests(&ignored)?;
    tally.check(&["xtask", "vm-test", "--kernel", "5.10,7"])?;
    tally.check(&["xtask", "fuzz"])?;
    println!("{} passed, {} failed", tally.passed, tally.failed);
    if tally.failed != 0 {
        bail!("{} of {} failed", tally.failed, tally.passed + tally.failed);
    }
    Ok(())
}

impl Tally {
    /// A command that succeeds or fails as a whole.
    fn check(&mut self, arguments: &[&str]) -> Result<()> {
        println!("cargo {}", arguments.join(" "));
        if cargo(arguments)?.status().context("failed to start cargo")?.success() {
            self.passed += 1;
        } else {
            self.failed += 1;
        }
        Ok(())
    }

    /// `cargo test`, whose output is shown as it comes and added up.
    fn tests(&mut self, arguments: &[&str]) -> Result<()> {
        println!("cargo {}", arguments.join(" "));
        let before = *self;
        let mut child =
            cargo(arguments)?.stdout(Stdio::piped()).spawn().context("failed to start cargo")?;
        let output = child.stdout.take().context("cargo has no output")?;
        for line in BufReader::new(output).lines() {
            let line = line.context("failed to read what cargo writes")?;
            self.add(&line);
            println!("{line}");
        }
        let status = child.wait().context("failed to wait for cargo")?;
        // What does not compile, or ends without a result, has no line of its own.
        if !status.success() && self.failed == before.failed {
            self.failed += 1;
        }
        if self.passed == before.passed && self.failed == before.failed {
            bail!("cargo {} ran no test", arguments.join(" "));
        }
        Ok(())
    }

    /// Adds a line such as `test result: ok. 12 passed; 0 failed; 1 ignored; …`.
    fn add(&mut self, line: &str) {
        let Some(result) = line.strip_prefix("test result: ") else { return };
        let counts = result.split_once(". ").map_or(result, |(_, counts)| counts);
        for count in counts.split("; ") {
            match count.split_once(' ') {
                Some((number, "passed")) => self.passed += number.parse().unwrap_or(0),
                Some((number, "failed")) => self.failed += number.parse().unwrap_or(0),
                _ => {}
            }
        }
    }
}

fn cargo(arguments: &[&str]) -> Result<Command> {
    let mut command = Command::new(env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
    command
        .args(arguments)
        .current_dir(project::root())
        .env("DETECTOR_BIN", release::program("detector")?);
    Ok(command)
}

#[cfg(test)]
mod tests {
    use super::Tally;

    #[test]
    fn results_add_up() {
        let mut tally = Tally::default();
        for line in [
            "running 3 tests",
            "test result: ok. 2 passed; 0 failed; 1 ignored; 0 measured; 0 filtered out; finished in 0.00s",
            "test result: FAILED. 10 passed; 3 failed; 0 ignored; 0 measured; 0 filtered out",
        ] {
            tally.add(line);
        }
        assert_eq!(tally, Tally { passed: 12, failed: 3 });
    }
}
