//! Records as JSON: in a list, one after the other, or one a line; of our own fields, Zeek's or
//! Suricata's.

use std::borrow::Cow;
use std::io::BufRead;

use anyhow::Context as _;
use serde_json::{Map, Value};

use super::lines::{Elements, Lines, Piece, TOO_LONG};
use super::reading::{Format, Found, Reading, Wrong, record};
use super::{eve, zeek};

pub(super) type Object = Map<String, Value>;

pub(super) fn read(
    input: impl BufRead,
    format: Format,
    take: &mut impl FnMut(Found) -> anyhow::Result<()>,
) -> anyhow::Result<()> {
    if format == Format::Json {
        let mut elements = Elements::new(input);
        while let Some(piece) = elements.next().context("failed to read the log")? {
            take(assess(piece, format))?;
        }
        if !elements.is_closed() {
            let reading = Err(Wrong::of("the list is not closed"));
            take(Found { line: elements.line(), reading })?;
        }
        return Ok(());
    }
    let mut lines = Lines::new(input);
    while let Some(piece) = lines.next().context("failed to read the log")? {
        take(assess(piece, format))?;
    }
    Ok(())
}

fn assess(piece: Piece, format: Format) -> Found {
    let reading = match piece.text {
        Some(text) => object(&text).and_then(|object| of_object(&object, format)),
        None => Err(Wrong::of(TOO_LONG)),
    };
    Found { line: piece.line, reading }
}

fn object(text: &[u8]) -> Result<Object, Wrong> {
    match serde_json::from_slice(text) {
        Ok(Value::Object(object)) => Ok(object),
        Ok(_) => Err(Wrong::of("it is no object with the fields of a record")),
        Err(error) => {
            // Its lines are those of the piece, not of the log.
            let text = error.to_string();
            let text = text.split(" at line ").next().unwrap_or_default();
            Err(Wrong::of(format!("it is no JSON: {text}")))
        }
    }
}

/// Whose fields they are is seen in each object, unless a format is forced.
fn of_object(object: &Object, format: Format) -> Result<Reading, Wrong> {
    match format {
        Format::Eve => eve::reading(object),
        Format::Zeek => zeek::of_object(object),
        _ if object.contains_key("event_type") => eve::reading(object),
        _ if object.contains_key("id.orig_h") => zeek::of_object(object),
        _ => record(|name| text(object.get(name)), |name| name),
    }
}

/// A value as the text that a log in another form would have; none where there is none.
pub(super) fn text(value: Option<&Value>) -> Option<Cow<'_, str>> {
    match value? {
        Value::Null => None,
        Value::String(text) => Some(Cow::Borrowed(text)),
        other => Some(Cow::Owned(other.to_string())),
    }
}
