//! One finding, and the report they make up.

use std::io::{self, Write};

use anstyle::AnsiColor;
use serde::Serialize;

use crate::output::{PROBLEM, Style, WARNING};

/// What a finding means for `detector run`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Outcome {
    Ok,
    /// It works with a limitation.
    Warning,
    /// It does not work.
    Problem,
}

impl Outcome {
    fn name(self) -> &'static str {
        match self {
            Self::Ok => "ok",
            Self::Warning => "warning",
            Self::Problem => "problem",
        }
    }
}

/// One thing that was looked at.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename = "check", tag = "type")]
pub struct Check {
    #[serde(rename = "check")]
    pub subject: String,
    #[serde(rename = "status")]
    pub outcome: Outcome,
    pub finding: String,
    /// The remedy.
    pub remedy: Option<String>,
}

impl Check {
    pub(super) fn ok(subject: impl Into<String>, finding: impl Into<String>) -> Self {
        Self {
            subject: subject.into(),
            outcome: Outcome::Ok,
            finding: finding.into(),
            remedy: None,
        }
    }

    pub(super) fn warning(
        subject: impl Into<String>,
        finding: impl Into<String>,
        remedy: impl Into<String>,
    ) -> Self {
        let remedy = Some(remedy.into());
        Self { outcome: Outcome::Warning, remedy, ..Self::ok(subject, finding) }
    }

    pub(super) fn problem(
        subject: impl Into<String>,
        finding: impl Into<String>,
        remedy: impl Into<String>,
    ) -> Self {
        Self { outcome: Outcome::Problem, ..Self::warning(subject, finding, remedy) }
    }
}

/// All findings, in the order they are reported.
#[derive(Debug, Default)]
pub struct Report {
    checks: Vec<Check>,
}

impl Report {
    #[must_use]
    pub fn checks(&self) -> &[Check] {
        &self.checks
    }

    pub(super) fn push(&mut self, check: Check) {
        self.checks.push(check);
    }

    #[must_use]
    pub fn problems(&self) -> usize {
        self.checks.iter().filter(|check| check.outcome == Outcome::Problem).count()
    }

    /// One object per finding and line.
    pub fn write_json(&self, output: &mut impl Write) -> io::Result<()> {
        for check in &self.checks {
            serde_json::to_writer(&mut *output, check)?;
            writeln!(output)?;
        }
        Ok(())
    }

    /// Aligned, and by word as well as colour.
    pub fn write_table(&self, output: &mut impl Write, style: Style) -> io::Result<()> {
        let width = self.checks.iter().map(|check| check.subject.chars().count()).max();
        let width = width.unwrap_or(0);
        for check in &self.checks {
            let colour = colour(style, check.outcome);
            let Check { subject, outcome, finding, remedy } = check;
            let one_line = finding.split_whitespace().collect::<Vec<_>>().join(" ");
            let outcome = outcome.name();
            writeln!(output, "{colour}{outcome:<7}{colour:#}  {subject:<width$}  {one_line}")?;
            if let Some(remedy) = remedy {
                writeln!(output, "{:7}  {:width$}  > {remedy}", "", "")?;
            }
        }
        Ok(())
    }
}

fn colour(style: Style, outcome: Outcome) -> anstyle::Style {
    match (style, outcome) {
        (Style::Plain, _) => anstyle::Style::new(),
        (Style::Color, Outcome::Ok) => AnsiColor::Green.on_default(),
        (Style::Color, Outcome::Warning) => WARNING,
        (Style::Color, Outcome::Problem) => PROBLEM,
    }
}

#[cfg(test)]
mod tests {
    use super::{Check, Report};
    use crate::output::Style;

    fn report() -> Report {
        let mut report = Report::default();
        report.push(Check::ok("kernel", "Linux 6.18"));
        report.push(Check::problem("capabilities", "CAP_BPF\nis missing", "run as root"));
        report
    }

    #[test]
    fn the_table_is_aligned_and_tells_by_word() {
        let mut output = Vec::new();
        report().write_table(&mut output, Style::Plain).unwrap();
        assert_eq!(
            String::from_utf8(output).unwrap(),
            "ok       kernel        Linux 6.18\n\
             problem  capabilities  CAP_BPF is missing\n\
             \x20                      > run as root\n"
        );
        assert_eq!(report().problems(), 1);
    }

    #[test]
    fn json_has_one_object_per_line() {
        let mut output = Vec::new();
        report().write_json(&mut output).unwrap();
        let text = String::from_utf8(output).unwrap();
        let first = text.lines().next().unwrap();
        assert_eq!(
            first,
            r#"{"type":"check","check":"kernel","status":"ok","finding":"Linux 6.18","remedy":null}"#
        );
        assert_eq!(text.lines().count(), 2);
    }
}
