//! `detector run` on the gateway, and what it has said so far.

use std::path::Path;
use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
use detector_tests::{Background, Topology};

use super::scene::Scene;
use super::text;

const START: Duration = Duration::from_secs(20);
const STOP: Duration = Duration::from_secs(10);

pub(super) struct Watch {
    detector: Background,
    shown: usize,
}

impl Watch {
    /// Starts it and waits until it watches.
    pub(super) fn start(program: &Path, scene: &Scene, mode: &str) -> Result<Self> {
        let program = program.display().to_string();
        let configuration = scene.configuration().display().to_string();
        let arguments = [
            "run",
            "--interface",
            Topology::GATEWAY_INNER,
            "--mode",
            mode,
            "--config",
            &configuration,
        ];
        text::command(&format!(
            "detector run --interface {} --mode {mode}",
            Topology::GATEWAY_INNER
        ));
        let detector = scene.network.gateway.spawn(&program, arguments)?;
        // Said last of what it says at start.
        detector.wait_for_line("stop with Ctrl-C", START)?;
        let mut watch = Self { detector, shown: 0 };
        ensure!(
            watch.lines().iter().any(|line| line.contains("watching")),
            "the detector watches no interface"
        );
        watch.show();
        Ok(watch)
    }

    fn lines(&self) -> Vec<String> {
        self.detector.output().lines().map(str::to_owned).collect()
    }

    /// Prints what came since it was last asked.
    pub(super) fn show(&mut self) {
        let lines = self.lines();
        for line in lines.iter().skip(self.shown) {
            text::quote(line);
        }
        self.shown = lines.len();
    }

    /// The first line of each alert so far.
    pub(super) fn alerts(&self) -> Vec<String> {
        let is_alert = |line: &String| line.contains(" -> ") && !line.contains("FROM -> TO");
        self.lines().into_iter().filter(is_alert).collect()
    }

    pub(super) fn wait(&self, pattern: &str, limit: Duration) -> Result<String> {
        self.detector.wait_for_line(pattern, limit)
    }

    /// As the first alert shows it.
    pub(super) fn leaked_before_alert(&self) -> Result<String> {
        self.between("leaked ", " before the alert")
    }

    /// As the first blocked alert shows it.
    pub(super) fn leaked_before_block(&self) -> Result<String> {
        self.between(" before the alert, ", " before the block")
    }

    /// What is between two texts in the first line that has both.
    fn between(&self, start: &str, end: &str) -> Result<String> {
        let find = |line: &String| {
            let (_, rest) = line.split_once(start)?;
            Some(rest[..rest.find(end)?].trim().to_owned())
        };
        self.lines()
            .iter()
            .find_map(find)
            .with_context(|| format!("the detector did not print \"{start}…{end}\""))
    }

    /// Stops it as Ctrl-C would, shows the rest, and sees that every byte was accounted for.
    pub(super) fn stop(mut self) -> Result<()> {
        self.detector.interrupt()?;
        let status = self.detector.wait(STOP)?;
        self.show();
        ensure!(status.success(), "the detector ended with {status}");
        let said = |text: &str| self.lines().into_iter().find(|line| line.contains(text));
        ensure!(said(" flows over ").is_some(), "the detector printed no summary");
        // Said only where there are any.
        let unaccounted = said("unaccounted for").unwrap_or_default();
        ensure!(unaccounted.is_empty(), "{unaccounted} bytes are not accounted for");
        text::say("Every byte is accounted for: 0 unaccounted.");
        Ok(())
    }
}
