//! Zeek's conn.log: its own columns after a `#fields` line, or JSON.
//!
//! Bytes are those of the payload. A refused connection counts as denied; Zeek does not see who else
//! drops what.

use std::borrow::Cow;
use std::io::BufRead;

use anyhow::Context as _;

use super::json::{Object, text};
use super::lines::{Lines, Piece, TOO_LONG};
use super::reading::{Found, Reading, Unreadable, Wrong, record};

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
        (Some(_), _) => return Ok(Reading::Skipped),
        (None, _) => return Err(Wrong::at("proto", "proto: it is missing")),
    };
    let action = match value("conn_state").as_deref() {
        Some("REJ") => "deny",
        _ => "allow",
    };
    let text_of = |field: &str| match field {
        "protocol" => Some(Cow::Borrowed(protocol)),
        "action" => Some(Cow::Borrowed(action)),
        // Zeek counts nothing where nothing was said.
        "bytes_sent" | "bytes_received" => Some(value(named(field)).unwrap_or(Cow::Borrowed("0"))),
        _ => value(named(field)),
    };
    record(text_of, named)
}

/// A line as JSON.
pub(super) fn of_object(object: &Object) -> Result<Reading, Wrong> {
    reading(|name| text(object.get(name)))
}

/// How the columns that follow are written.
#[derive(Debug)]
struct Columns {
    names: Vec<String>,
    separator: char,
    unset: String,
}

impl Default for Columns {
    fn default() -> Self {
        Self { names: Vec::new(), separator: '\t', unset: "-".to_owned() }
    }
}

impl Columns {
    /// Takes in a line that begins with `#`.
    fn describe(&mut self, line: &str) -> Result<(), Unreadable> {
        if let Some(text) = line.strip_prefix("#separator ") {
            let code = text.strip_prefix("\\x").and_then(|code| u8::from_str_radix(code, 16).ok());
            self.separator = code.map(char::from).or(text.chars().next()).unwrap_or('\t');
            return Ok(());
        }
        let mut words = line.split(self.separator);
        match words.next() {
            Some("#fields") => self.names = words.map(str::to_owned).collect(),
            Some("#unset_field") => self.unset = words.next().unwrap_or("-").to_owned(),
            Some("#path") => {
                let path = words.next().unwrap_or_default();
                if path != "conn" {
                    let detail = format!("it is Zeek's {path}.log: conn.log is what is read");
                    return Err(Unreadable { field: None, detail });
                }
            }
            _ => {}
        }
        Ok(())
    }

    fn reading(&self, line: &str) -> Result<Reading, Wrong> {
        if self.names.is_empty() {
            return Err(Wrong::of("there is no #fields line before it"));
        }
        let cells: Vec<&str> = line.split(self.separator).collect();
        if cells.len() != self.names.len() {
            let (found, expected) = (cells.len(), self.names.len());
            return Err(Wrong::of(format!("it has {found} columns, #fields has {expected}")));
        }
        reading(|name| {
            let at = self.names.iter().position(|known| known == name)?;
            let cell = cells.get(at).filter(|cell| **cell != self.unset)?;
            Some(Cow::Borrowed(*cell))
        })
    }
}

pub(super) fn read(
    input: impl BufRead,
    take: &mut impl FnMut(Found) -> anyhow::Result<()>,
) -> anyhow::Result<()> {
    let mut columns = Columns::default();
    let mut lines = Lines::new(input);
    while let Some(Piece { line, text }) = lines.next().context("failed to read the log")? {
        let text = text.map(|text| String::from_utf8_lossy(&text).into_owned());
        let reading = match text.as_deref().map(|text| text.trim_end_matches('\r')) {
            Some(text) if text.starts_with('#') => {
                columns.describe(text)?;
                continue;
            }
            Some(text) => columns.reading(text),
            None => Err(Wrong::of(TOO_LONG)),
        };
        take(Found { line, reading })?;
    }
    Ok(())
}
