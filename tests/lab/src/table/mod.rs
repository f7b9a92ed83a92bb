//! All scenarios, one row each, in two sets: one to learn from, one for proof. A row's runs differ in size, rate, destination, distance and loss, which
//! follow from the seed.

mod proof;
mod training;

use anyhow::Result;

use super::manifest::Subject;
use super::random::Random;
use super::scene::{Outcome, Scene};

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Label {
    Exfil,
    Benign,
}

impl Label {
    pub(super) fn text(self) -> &'static str {
        match self {
            Self::Exfil => "exfil",
            Self::Benign => "benign",
        }
    }
}

type Act = fn(&Scene<'_>, &mut Random) -> Result<Outcome>;

pub(super) struct Row {
    pub(super) name: &'static str,
    pub(super) label: Label,
    pub(super) technique: &'static str,
    pub(super) tool: &'static str,
    /// The theft that this benign row looks like.
    pub(super) control_for: Option<&'static str>,
    /// The theft whose paired controls are this theft's, too.
    lines_of: Option<&'static str>,
    pub(super) runs: u64,
    pub(super) act: Act,
}

const fn theft(
    name: &'static str,
    technique: &'static str,
    tool: &'static str,
    runs: u64,
    act: Act,
) -> Row {
    Row { name, label: Label::Exfil, technique, tool, control_for: None, lines_of: None, runs, act }
}

const fn benign(
    name: &'static str,
    technique: &'static str,
    tool: &'static str,
    runs: u64,
    act: Act,
) -> Row {
    Row {
        name,
        label: Label::Benign,
        technique,
        tool,
        control_for: None,
        lines_of: None,
        runs,
        act,
    }
}

impl Row {
    const fn control_for(self, theft: &'static str) -> Self {
        Self { control_for: Some(theft), ..self }
    }

    /// Shares the lines, and so the paired controls, of another theft by the same kind of tool.
    const fn lines_of(self, theft: &'static str) -> Self {
        Self { lines_of: Some(theft), ..self }
    }

    pub(super) fn subject(&self) -> Subject<'static> {
        let Self { name, label, technique, tool, control_for, .. } = *self;
        Subject { name, label, technique, tool, control_for }
    }

    /// What shares its lines: a theft and its paired controls.
    pub(super) fn group(&self) -> &'static str {
        self.lines_of.or(self.control_for).unwrap_or(self.name)
    }
}

/// Rows of the set whose name contains one of the texts; all of them without any.
pub(super) fn matching(only: &[String], proof: bool) -> Vec<&'static Row> {
    let rows = if proof { proof::ROWS } else { training::ROWS };
    let wanted = |row: &&Row| only.is_empty() || only.iter().any(|text| row.name.contains(text));
    rows.iter().filter(wanted).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Two lines, and three benign runs on each.
    const QUIET_RUNS: u64 = 6;

    #[test]
    fn every_theft_has_its_paired_controls() {
        for theft in training::ROWS.iter().filter(|row| row.label == Label::Exfil) {
            let controls = training::ROWS
                .iter()
                .filter(|row| row.label == Label::Benign && row.group() == theft.group());
            let runs: u64 = controls.map(|row| row.runs).sum();
            assert!(runs >= QUIET_RUNS, "{} has {runs} benign runs on its lines", theft.name);
        }
    }

    #[test]
    fn names_are_the_rows_own() {
        for rows in [training::ROWS, proof::ROWS] {
            for row in rows {
                let same = rows.iter().filter(|other| other.name == row.name).count();
                let known = |theft: &str| rows.iter().any(|other| other.name == theft);
                assert!(same == 1 && known(row.group()), "{} {}", row.name, row.group());
            }
        }
    }
}
