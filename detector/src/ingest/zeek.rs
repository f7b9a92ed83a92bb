//! Zeek's conn.log: its own columns after a `#fields` line, or JSON.
//!
//! Bytes are those of the payload, as far as Zeek saw them: it computes `orig_bytes` from sequence
//! numbers, which a single odd packet can set to gigabytes. A refused connection counts as denied; Zeek
//! does not see who else drops what.

use std::borrow::Cow;

use serde_json::Value;

use super::reading::{Note, Object, Reading, Wrong, record, text_of};

/// The first columns of a conn.log, the same in all its versions: what lines without a header are
/// read by.
const FIRST_COLUMNS: [&str; 12] = [
    "ts",
    "uid",
    "id.orig_h",
    "id.orig_p",
    "id.resp_h",
    "id.resp_p",
    "proto",
    "service",
    "duration",
    "orig_bytes",
    "resp_bytes",
    "conn_state",
];
const CONN_STATES: [&str; 13] =
    ["S0", "S1", "SF", "REJ", "S2", "S3", "RSTO", "RSTR", "RSTOS0", "RSTRH", "SH", "SHR", "OTH"];
/// What no other log of Zeek's has.
const CONN_ONLY: [&str; 6] =
    ["conn_state", "orig_bytes", "resp_bytes", "orig_pkts", "orig_ip_bytes", "missed_bytes"];

/// What the log calls a record's field.
fn named(field: &str) -> &str {
    match field {
        "timestamp" => "ts",
        "source_ip" => "id.orig_h",
        "destination_ip" => "id.resp_h",
        "source_port" => "id.orig_p",
        "destination_port" => "id.resp_p",
        "protocol" => "proto",
        "bytes_sent" => "orig_bytes",
        "bytes_received" => "resp_bytes",
        "action" => "conn_state",
        other => other,
    }
}

/// A line's values by Zeek's names.
fn reading<'a>(value: impl Fn(&str) -> Option<Cow<'a, str>>) -> Result<Reading, Wrong> {
    let protocol = match (value("proto").as_deref(), value("service").as_deref()) {
        (Some("tcp"), Some("http")) => "HTTP",
        (Some("tcp"), Some("ssl" | "ssl,http" | "http,ssl")) => "HTTPS",
        (Some("tcp"), _) => "TCP",
        (Some("udp"), _) => "UDP",
        (Some("icmp"), _) => "ICMP",
        // Another protocol is no mistake, but nothing that the model knows.
        (Some(_), _) => return Ok(Reading::Skipped(Note::OtherProtocol)),
        (None, _) => return Err(Wrong::at("proto", "proto: missing")),
    };
    let action = match value("conn_state").as_deref() {
        Some("REJ") => "deny",
        _ => "allow",
    };
    let (sent, sent_unseen) = volume(&value, ["orig_bytes", "orig_ip_bytes", "orig_pkts"]);
    let (received, received_unseen) = volume(&value, ["resp_bytes", "resp_ip_bytes", "resp_pkts"]);
    let text_of_field = |field: &str| match field {
        "protocol" => Some(Cow::Borrowed(protocol)),
        "action" => Some(Cow::Borrowed(action)),
        "bytes_sent" => Some(sent.clone()),
        "bytes_received" => Some(received.clone()),
        _ => value(named(field)),
    };
    let reading = record(text_of_field, named)?;
    Ok(if sent_unseen || received_unseen { reading.with(Note::BytesNotSeen) } else { reading })
}

/// A direction's bytes, and whether they are less than the log says because Zeek did not see more.
fn volume<'a>(
    value: impl Fn(&str) -> Option<Cow<'a, str>>,
    [payload, on_wire, packets]: [&str; 3],
) -> (Cow<'a, str>, bool) {
    let number = |name: &str| value(name).and_then(|text| text.parse::<u64>().ok());
    let Some(text) = value(payload) else {
        // Zeek counts nothing where nothing was said; some logs are written without the column.
        const HEADERS: u64 = 60;
        let headers = number(packets).unwrap_or(0).saturating_mul(HEADERS);
        return (
            Cow::Owned(number(on_wire).unwrap_or(0).saturating_sub(headers).to_string()),
            false,
        );
    };
    // What is no number is for the record to refuse.
    let Ok(claimed) = text.parse::<u64>() else { return (text, false) };
    let seen = match (number(on_wire), number("missed_bytes")) {
        (Some(on_wire), _) => claimed.min(on_wire),
        (None, Some(missed)) if missed <= claimed => claimed - missed,
        (None, _) => claimed,
    };
    if seen == claimed { (text, false) } else { (Cow::Owned(seen.to_string()), true) }
}

/// Whether an object is a line of one of Zeek's logs.
pub(super) fn is_one(object: &Object) -> bool {
    object.contains_key("_path") || field(object, "id.orig_h").is_some()
}

/// A line as JSON.
pub(super) fn of_object(object: &Object) -> Result<Reading, Wrong> {
    let is_conn = match object.get("_path") {
        Some(path) => path == "conn",
        None => CONN_ONLY.iter().any(|name| object.contains_key(*name)),
    };
    if !is_conn && is_one(object) {
        return Ok(Reading::Skipped(Note::OtherLog));
    }
    reading(|name| text_of(field(object, name)))
}

/// A field by Zeek's name: whoever passes logs on writes `id_orig_h`, or an object `id`.
fn field<'a>(object: &'a Object, name: &str) -> Option<&'a Value> {
    object.get(name).or_else(|| {
        let end = name.strip_prefix("id.")?;
        object.get(&format!("id_{end}")).or_else(|| object.get("id")?.get(end))
    })
}

/// Whether a line without a header is one of a conn.log.
pub(super) fn looks_like_a_row(line: &[u8]) -> bool {
    let state = line.split(|byte| *byte == b'\t').nth(FIRST_COLUMNS.len() - 1);
    state.is_some_and(|state| CONN_STATES.iter().any(|known| known.as_bytes() == state))
}

/// How the columns that follow are written.
#[derive(Debug)]
pub(super) struct Columns {
    /// None before the first header.
    names: Vec<String>,
    separator: char,
    unset: String,
    /// Of another log.
    is_other: bool,
}

impl Default for Columns {
    fn default() -> Self {
        Self { names: Vec::new(), separator: '\t', unset: "-".to_owned(), is_other: false }
    }
}

impl Columns {
    /// Takes in a line that begins with `#`; whether it is one of Zeek's.
    pub(super) fn describe(&mut self, line: &str) -> bool {
        if let Some(text) = line.strip_prefix("#separator ") {
            let code = text.strip_prefix("\\x").and_then(|code| u8::from_str_radix(code, 16).ok());
            *self = Self::default();
            self.separator = code.map(char::from).or(text.chars().next()).unwrap_or('\t');
            return true;
        }
        let mut words = line.split(self.separator);
        match words.next() {
            Some("#fields") => self.names = words.map(str::to_owned).collect(),
            Some("#unset_field") => self.unset = words.next().unwrap_or("-").to_owned(),
            Some("#path") => self.is_other = words.next() != Some("conn"),
            Some("#set_separator" | "#empty_field" | "#open" | "#close" | "#types") => {}
            _ => return false,
        }
        true
    }

    pub(super) fn reading(&self, line: &str) -> Result<Reading, Wrong> {
        if self.is_other {
            return Ok(Reading::Skipped(Note::OtherLog));
        }
        let cells: Vec<&str> = line.split(self.separator).collect();
        if self.names.is_empty() && !looks_like_a_row(line.as_bytes()) {
            return Err(Wrong::of("there is no #fields line before it"));
        }
        if !self.names.is_empty() && cells.len() != self.names.len() {
            let (found, expected) = (cells.len(), self.names.len());
            return Err(Wrong::of(format!(
                "the line has {found} columns, and #fields has {expected}"
            )));
        }
        reading(|name| {
            let at = match self.names.as_slice() {
                [] => FIRST_COLUMNS.iter().position(|known| *known == name)?,
                names => names.iter().position(|known| known == name)?,
            };
            let cell = cells.get(at).filter(|cell| **cell != self.unset)?;
            Some(Cow::Borrowed(*cell))
        })
    }
}
