//! Programs and the lab's own scripts at work in a scene.

use std::time::Duration;

use anyhow::{Result, ensure};
use detector_tests::{Background, Namespace};

use super::Scene;

/// No program of a scenario may take longer, unless it says so.
const PROGRAM: Duration = Duration::from_secs(60);

impl Scene<'_> {
    /// Runs a program of the client to its end, within a limit.
    pub(crate) fn run(&self, program: &str, arguments: &[&str]) -> Result<String> {
        self.run_with_status(program, arguments, &[0])
    }

    /// The same, where some other exit codes are in order, too.
    pub(crate) fn run_with_status(
        &self,
        program: &str,
        arguments: &[&str],
        fine: &[i32],
    ) -> Result<String> {
        let mut child = self.client().spawn(program, arguments)?;
        let status = child.wait(PROGRAM)?;
        let output = child.output();
        let known = status.code().is_some_and(|code| fine.contains(&code));
        ensure!(known, "{program} {} ended with {status}: {output}", arguments.join(" "));
        Ok(output)
    }

    /// Starts one of the lab's own scripts.
    pub(crate) fn start_script(
        &self,
        namespace: &Namespace,
        script: &str,
        arguments: &[String],
    ) -> Result<Background> {
        let path = self.shared.path(script);
        let python = self.shared.python();
        namespace.spawn(&python, std::iter::once(&path).chain(arguments))
    }

    /// Starts a module of an installed Python package.
    pub(crate) fn start_module(
        &self,
        namespace: &Namespace,
        module: &str,
        arguments: &[String],
    ) -> Result<Background> {
        let python = self.shared.python();
        let fixed = ["-m".to_owned(), module.to_owned()];
        namespace.spawn(&python, fixed.iter().chain(arguments))
    }

    /// Runs one of the lab's own scripts as a program of the client.
    pub(crate) fn run_script(&self, script: &str, arguments: &[String]) -> Result<String> {
        self.run_script_within(script, arguments, PROGRAM)
    }

    /// The same, for one that takes its time.
    pub(crate) fn run_script_within(
        &self,
        script: &str,
        arguments: &[String],
        limit: Duration,
    ) -> Result<String> {
        let mut child = self.start_script(self.client(), script, arguments)?;
        let status = child.wait(limit)?;
        ensure!(
            status.success(),
            "{script} {} ended with {status}: {}",
            arguments.join(" "),
            child.output()
        );
        Ok(child.output())
    }
}
