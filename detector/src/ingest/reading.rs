//! What came of reading a log: records, what is none of ours, and what is wrong in which line.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::fmt;

use serde::{Serialize, Serializer};
use serde_json::{Map, Value};

use crate::decompress::Reason;
use crate::features::{RECORD_FIELDS, Record};

/// Lines that are reported one by one.
const TOLD_ERRORS: usize = 100;
/// The database's times are nanoseconds in 64 bits, which end in April 2262.
const LAST_SECS: i64 = 9_223_372_000;

/// The format of a log.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Format {
    /// A JSON object or an array of objects.
    Json,
    /// One JSON object a line.
    Ndjson,
    /// Comma-separated values with a header.
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
    /// Understood, and nothing that is scored: `notes` has the reasons.
    pub skipped: u64,
    /// Accepted records that look like exfiltration.
    pub alerts: u64,
    /// Why lines were skipped and what was corrected in those that were accepted.
    pub notes: BTreeMap<Note, u64>,
    /// The first of those that were rejected.
    pub errors: Vec<LineError>,
    /// Why a compressed log was not read to its end; what came before counts.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub ended_early: Option<EndedEarly>,
}

/// Why a log was not read to its end.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct EndedEarly {
    #[serde(serialize_with = "by_name")]
    pub reason: Reason,
    pub detail: String,
}

fn by_name<S: Serializer>(reason: &Reason, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_str(reason.name())
}

/// Why a line was skipped, or what was corrected in it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Note {
    OtherEvent,
    OtherLog,
    OtherProtocol,
    FlowReadBefore,
    FlowForgotten,
    HalfOfAFlow,
    BytesNotSeen,
}

impl Note {
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::OtherEvent => "other_event",
            Self::OtherLog => "other_log",
            Self::OtherProtocol => "other_protocol",
            Self::FlowReadBefore => "flow_read_before",
            Self::FlowForgotten => "flow_forgotten",
            Self::HalfOfAFlow => "half_of_a_flow",
            Self::BytesNotSeen => "bytes_not_seen",
        }
    }

    /// After the number of lines.
    #[must_use]
    pub fn text(self) -> &'static str {
        match self {
            Self::OtherEvent => "skipped: events other than `flow` and `netflow`",
            Self::OtherLog => "skipped: lines of another Zeek log than conn.log",
            Self::OtherProtocol => "skipped: the model does not know the protocol",
            Self::FlowReadBefore => "skipped: an earlier line has the same flow",
            Self::FlowForgotten => {
                "made room: an older flow is forgotten and would be read again, 65,536 are remembered"
            }
            Self::HalfOfAFlow => "joined: netflow has two lines for each flow",
            Self::BytesNotSeen => {
                "corrected: Zeek saw fewer bytes than orig_bytes or resp_bytes says"
            }
        }
    }
}

impl Report {
    pub(super) fn note(&mut self, note: Note) {
        *self.notes.entry(note).or_default() += 1;
    }

    pub(super) fn reject(&mut self, line: u64, wrong: Wrong) {
        self.rejected += 1;
        if self.errors.len() < TOLD_ERRORS {
            let Wrong { field, detail } = wrong;
            self.errors.push(LineError { line, field, detail });
        }
    }
}

/// An error in a line.
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

/// What is in one place of a log.
#[derive(Debug)]
pub(super) struct Found {
    pub(super) line: u64,
    pub(super) reading: Result<Reading, Wrong>,
}

#[derive(Clone, Copy, Debug)]
pub(super) enum Reading {
    Record { record: Record, note: Option<Note> },
    Skipped(Note),
}

impl Reading {
    pub(super) fn of(record: Record) -> Self {
        Self::Record { record, note: None }
    }

    pub(super) fn with(self, note: Note) -> Self {
        match self {
            Self::Record { record, .. } => Self::Record { record, note: Some(note) },
            Self::Skipped(_) => self,
        }
    }
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
        Self { field: Some(field.to_owned()), ..Self::of(detail) }
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
        return Err(Wrong::at(name, format!("{name}: the time is before 1970 or after 2262")));
    }
    Ok(Reading::of(record))
}

/// A line as JSON.
pub(super) type Object = Map<String, Value>;

/// A value as the text that a log in another form would have; none where there is none.
pub(super) fn text_of(value: Option<&Value>) -> Option<Cow<'_, str>> {
    match value? {
        Value::Null => None,
        Value::String(text) => Some(Cow::Borrowed(text)),
        other => Some(Cow::Owned(other.to_string())),
    }
}
