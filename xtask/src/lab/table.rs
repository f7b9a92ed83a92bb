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
    pub(super) twin_of: Option<&'static str>,
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
    Row { name, label: Label::Exfil, technique, tool, twin_of: None, runs, act }
}

const fn benign(
    name: &'static str,
    technique: &'static str,
    tool: &'static str,
    runs: u64,
    act: Act,
) -> Row {
    Row { name, label: Label::Benign, technique, tool, twin_of: None, runs, act }
}

impl Row {
    const fn twin_of(self, theft: &'static str) -> Self {
        Self { twin_of: Some(theft), ..self }
    }

    pub(super) fn subject(&self) -> Subject<'static> {
        let Self { name, label, technique, tool, twin_of, .. } = *self;
        Subject { name, label, technique, tool, twin_of }
    }

    /// What shares its lines: a theft and its twins.
    pub(super) fn group(&self) -> &'static str {
        self.twin_of.unwrap_or(self.name)
    }
}

/// Rows of the set whose name contains one of the texts; all of them without any.
pub(super) fn matching(only: &[String], proof: bool) -> Vec<&'static Row> {
    let rows = if proof { proof::ROWS } else { training::ROWS };
    let wanted = |row: &&Row| only.is_empty() || only.iter().any(|text| row.name.contains(text));
    rows.iter().filter(wanted).collect()
}
