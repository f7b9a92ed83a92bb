//! Records as JSON: in a list, one after the other, or one a line; of our own fields, Zeek's or
//! Suricata's.

use std::io::BufRead;

use anyhow::Context as _;
use serde_json::Value;

use super::eve::Flows;
use super::lines::{Elements, TOO_LONG};
use super::reading::{Format, Found, Reading, Wrong, record, text_of};
use super::zeek;

/// A JSON text whose objects do not keep to lines.
pub(super) fn read(
    input: impl BufRead,
    take: &mut impl FnMut(Found) -> anyhow::Result<()>,
) -> anyhow::Result<()> {
    let mut flows = Flows::default();
    let mut elements = Elements::new(input);
    let mut rejected_line = 0;
    loop {
        let next = elements.next().context("failed to read the log");
        if next.is_err() {
            flows.hand_on(true, take)?;
        }
        let Some(piece) = next? else { break };
        let reading = match piece.text {
            Some(text) => object(&text, piece.line, None, &mut flows),
            None => Err(Wrong::of(TOO_LONG)),
        };
        // One line's rubble is one error.
        if reading.is_err() && std::mem::replace(&mut rejected_line, piece.line) == piece.line {
            continue;
        }
        take(Found { line: piece.line, reading })?;
        flows.hand_on(false, take)?;
    }
    flows.hand_on(true, take)?;
    if !elements.is_closed() {
        let reading = Err(Wrong::of("the list is not closed"));
        take(Found { line: elements.line(), reading })?;
    }
    Ok(())
}

/// An object of whose fields is seen in itself, unless a format is forced.
pub(super) fn object(
    text: &[u8],
    line: u64,
    format: Option<Format>,
    flows: &mut Flows,
) -> Result<Reading, Wrong> {
    let object = match serde_json::from_slice(text) {
        Ok(Value::Object(object)) => object,
        Ok(_) => return Err(Wrong::of("it is no object with the fields of a record")),
        Err(error) => return Err(no_json(text, &error)),
    };
    match format {
        Some(Format::Eve) => flows.reading(&object, line),
        Some(Format::Zeek) => zeek::of_object(&object),
        _ if object.contains_key("event_type") => flows.reading(&object, line),
        _ if zeek::is_one(&object) => zeek::of_object(&object),
        _ => record(|name| text_of(object.get(name)), |name| name),
    }
}

/// serde_json counts lines from the piece's first; ours is the log's.
fn no_json(text: &[u8], error: &serde_json::Error) -> Wrong {
    let cut = error.is_eof();
    if std::str::from_utf8(text).is_err() {
        return Wrong::of("it is not JSON: it has bytes that are not UTF-8");
    }
    let place = match (error.line(), error.column()) {
        (..=1, column) => format!("column {column}"),
        (line, column) => format!("column {column} of its line {line}"),
    };
    if cut {
        return Wrong::of(format!("it is not JSON: it ends too early, at {place}"));
    }
    Wrong::of(format!("it is not JSON from {place} on"))
}
