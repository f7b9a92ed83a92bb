//! What ran, and what of it went wrong. A check without tests counts as one.

#![expect(clippy::print_stdout, reason = "the results are for people")]

use std::io::{BufRead as _, BufReader};
use std::process::{Command, Stdio};
use std::time::Instant;

use anyhow::{Context as _, Result, bail};

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Tally {
    passed: u64,
    failed: u64,
}

impl Tally {
    /// Of a check that succeeds or fails as a whole.
    pub(super) fn of(passed: bool) -> Self {
        Self { passed: u64::from(passed), failed: u64::from(!passed) }
    }

    pub(super) fn add(&mut self, other: Self) {
        self.passed += other.passed;
        self.failed += other.failed;
    }

    /// A command that succeeds or fails as a whole.
    pub(super) fn check(&mut self, name: &str, mut command: Command) -> Result<()> {
        println!("{name}");
        let started = Instant::now();
        let status = command.status().with_context(|| format!("failed to start {name}"))?;
        self.add(Self::of(status.success()));
        println!("{name} took {:.0?}", started.elapsed());
        Ok(())
    }

    /// A run of tests, whose output is shown as it comes and added up.
    pub(super) fn tests(&mut self, name: &str, command: &mut Command) -> Result<()> {
        println!("{name}");
        let started = Instant::now();
        self.add(run_tests(name, command, |line| println!("{line}"))?);
        println!("{name} took {:.0?}", started.elapsed());
        Ok(())
    }

    /// The closing line; an error where something failed.
    pub(super) fn report(self) -> Result<()> {
        let Self { passed, failed } = self;
        println!("{passed} passed, {failed} failed");
        if failed != 0 {
            bail!("{failed} of {} failed", passed + failed);
        }
        Ok(())
    }

    /// Adds a line such as `test result: ok. 12 passed; 0 failed; 1 ignored; …`.
    fn add_line(&mut self, line: &str) {
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

/// Runs tests to their end and hands on what they say, line by line.
pub(super) fn run_tests(
    name: &str,
    command: &mut Command,
    mut say: impl FnMut(&str),
) -> Result<Tally> {
    let mut tally = Tally::default();
    let mut child = command
        .stdout(Stdio::piped())
        .spawn()
        .with_context(|| format!("failed to start {name}"))?;
    let output = child.stdout.take().with_context(|| format!("{name} has no output"))?;
    for line in BufReader::new(output).lines() {
        let line = line.with_context(|| format!("failed to read what {name} writes"))?;
        tally.add_line(&line);
        say(&line);
    }
    let status = child.wait().with_context(|| format!("failed to wait for {name}"))?;
    // What does not compile, or ends without a result, has no line of its own.
    if !status.success() && tally.failed == 0 {
        tally.failed = 1;
    }
    if tally == Tally::default() {
        bail!("{name} ran no test");
    }
    Ok(tally)
}

#[cfg(test)]
mod tests {
    use super::Tally;

    #[test]
    fn results_add_up() {
        let mut tally = Tally::default();
        for line in [
            "running 3 tests",
            "test result: ok. 2 passed; 0 failed; 1 ignored; 0 measured; 0 filtered out; finished \
             in 0.00s",
            "test result: FAILED. 10 passed; 3 failed; 0 ignored; 0 measured; 0 filtered out",
        ] {
            tally.add_line(line);
        }
        assert_eq!(tally, Tally { passed: 12, failed: 3 });
    }
}
