//! A part that runs beside the others, on what they leave of the processors.

#![expect(clippy::print_stdout, reason = "the results are for people")]

use std::path::PathBuf;
use std::process::Command;
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result};

use super::tally::Tally;

/// A command whose output is shown when it is over.
pub(super) struct Background {
    name: &'static str,
    thread: JoinHandle<Result<(bool, String, Duration)>>,
}

impl Background {
    /// Starts it where the scheduler runs it only when nobody else wants a processor, so that tests
    /// that measure times do not notice it.
    pub(super) fn start(name: &'static str, program: PathBuf, arguments: &[&str]) -> Result<Self> {
        let mut command = Command::new("chrt");
        command.args(["--idle", "0"]).arg(program).args(arguments);
        println!("{name}, beside the next parts");
        let started = Instant::now();
        let thread = thread::spawn(move || {
            let output = command.output().context("failed to start chrt")?;
            let text = [output.stdout, output.stderr].concat();
            let text = String::from_utf8_lossy(&text).into_owned();
            Ok((output.status.success(), text, started.elapsed()))
        });
        Ok(Self { name, thread })
    }

    /// Waits for its end and shows what it said.
    pub(super) fn finish(self) -> Result<Tally> {
        let outcome = self.thread.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic));
        let (passed, text, took) = outcome.with_context(|| format!("{} did not run", self.name))?;
        println!("{}\n{text}{} took {took:.0?}", self.name, self.name);
        Ok(Tally::of(passed))
    }
}
