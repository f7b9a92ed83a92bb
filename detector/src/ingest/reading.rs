//! What came of reading a log: records, what is none of ours, and what is wrong in which line.

use std::borrow::Cow;
use std::fmt;

use serde::Serialize;

use crate::features::{RECORD_FIELDS, Record};

/// Lines that are told of one by one.
const TOLD_ERRORS: usize = 100;
/// The database's times are nanoseconds in 64 bits, which end in April 2262.
const LAST_SECS: i64 = 9_223_372_000;

/// What a log is written in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Format {
    /// An object or a list of them.
    Json,
    /// An object a line.
    Ndjson,
    /// With a header.
    Csv,
    /// Zeek's conn.log: its own columns, or JSON.
    Zeek,
    /// Suricata's EVE, of which the flows count.
    Eve,
}

impl Format {
    pub const ALL: [Self; 5] = [Self::Json, Self::Ndjson, Self::Csv, Self::Zeek, Self::Eve];

    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Json => "json",
            Self::Ndjson => "ndjson",
            Self::Csv => "csv",
            Self::Zeek => "zeek",
            Self::Eve => "eve",
        }
    }
}

/// What was read, counted.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Report {
    pub accepted: u64,
    pub rejected: u64,
    /// Understood, and nothing that is scored: another kind of event, another protocol.
    pub skipped: u64,
    /// Accepted records that look like a theft.
    pub alerts: u64,
    /// The first of those that were rejected.
    pub errors: Vec<LineError>,
}

impl Report {
    pub(super) fn reject(&mut self, line: u64, wrong: Wrong) {
        self.rejected += 1;
        if self.errors.len() < TOLD_ERRORS {
            let Wrong { field, detail } = wrong;
            self.errors.push(LineError { line, field, detail });
        }
    }
}

/// What is wrong in a line.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct LineError {
    /// From 1.
    pub line: u64,
    pub field: Option<String>,
    pub detail: String,
}

/// A log of which nothing can be read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Unreadable {
    pub field: Option<String>,
    pub detail: String,
}

impl fmt::Display for Unreadable {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(&self.detail)
    }
}

impl std::error::Error for Unreadable {}

/// What stands in one place of a log.
#[derive(Debug)]
pub(super) struct Found {
    pub(super) line: u64,
    pub(super) reading: Result<Reading, Wrong>,
}

#[derive(Debug)]
pub(super) enum Reading {
    Record(Record),
    Skipped,
}

/// Why something is no record.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Wrong {
    pub(super) field: Option<String>,
    pub(super) detail: String,
}

impl Wrong {
    pub(super) fn of(detail: impl Into<String>) -> Self {
        Self { field: None, detail: detail.into() }
    }

    pub(super) fn at(field: &str, detail: impl Into<String>) -> Self {
        Self { field: Some(field.to_owned()), detail: detail.into() }
    }
}

/// A record from the texts of its fields. `named` is what the log calls a field.
pub(super) fn record<'a>(
    text_of: impl Fn(&str) -> Option<Cow<'a, str>>,
    named: fn(&str) -> &str,
) -> Result<Reading, Wrong> {
    let record = Record::parse(text_of).map_err(|error| {
        let text = format!("{error:#}");
        let field = RECORD_FIELDS.iter().find(|field| {
            let rest = text.strip_prefix("column ").and_then(|rest| rest.strip_prefix(**field));
            rest.is_some_and(|rest| rest.starts_with([':', ' ']))
        });
        match field {
            Some(field) => {
                let name = named(field);
                let detail = text["column ".len() + field.len()..].trim_start_matches([':', ' ']);
                let detail = detail
                    .strip_prefix("is missing")
                    .map_or_else(|| detail.to_owned(), |_| "it is missing".to_owned());
                Wrong::at(name, format!("{name}: {detail}"))
            }
            None => Wrong::of(text),
        }
    })?;
    if !(0..LAST_SECS).contains(&record.timestamp.unix_secs()) {
        let name = named("timestamp");
        return Err(Wrong::at(name, format!("{name}: it is before 1970 or after 2262")));
    }
    Ok(Reading::Record(record))
}
