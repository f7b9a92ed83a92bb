//! Records as comma-separated values, by the names in the header, in any order and among others.
//!
//! A record is a line: quotes that a line opens and does not close are its own mistake (RFC 4180 would
//! let them swallow the lines after it). Without a header, lines of nine values are read in the
//! documented order.

use std::borrow::Cow;

use super::reading::{Reading, Unreadable, Wrong, record};
use crate::features::RECORD_FIELDS;

const FIELDS: usize = RECORD_FIELDS.len();
/// With fewer names, a line is a row and no header that is broken.
const HEADER_NAMES: usize = 5;
/// Bytes of a name's end that tell it.
const LEAST_PART: usize = 3;

#[derive(Debug, Default)]
pub(super) struct Table {
    header: Header,
}

#[derive(Debug, Default)]
enum Header {
    #[default]
    None,
    /// Where each field is.
    Known([usize; FIELDS]),
    /// One without this field.
    Broken(&'static str),
}

impl Table {
    /// What a line is; none of a header.
    pub(super) fn read(&mut self, line: &[u8]) -> Option<Result<Reading, Wrong>> {
        // Rows begin with a time.
        if !line.first().is_some_and(u8::is_ascii_digit)
            && let Some(header) = header(line)
        {
            self.header = header;
            return None;
        }
        Some(self.row(line))
    }

    pub(super) fn is_known(&self) -> bool {
        matches!(self.header, Header::Known(_))
    }

    /// Why none of it was read.
    pub(super) fn unreadable(&self) -> Unreadable {
        let missing = match self.header {
            Header::Broken(field) => field,
            Header::None | Header::Known(_) => RECORD_FIELDS[0],
        };
        Unreadable { field: Some(missing.to_owned()), detail: no_column(missing) }
    }

    fn row(&self, line: &[u8]) -> Result<Reading, Wrong> {
        let cells = cells(line)?;
        let place = |field: usize| match &self.header {
            Header::Known(places) => places.get(field).copied(),
            Header::None | Header::Broken(_) => Some(field),
        };
        match self.header {
            Header::None if cells.len() != FIELDS => {
                let found = cells.len();
                return Err(Wrong::of(format!(
                    "there is no header before it, and it has {found} columns, not {FIELDS}"
                )));
            }
            Header::Broken(field) => return Err(Wrong::at(field, no_column(field))),
            Header::None | Header::Known(_) => {}
        }
        record(
            |name| {
                let field = RECORD_FIELDS.iter().position(|field| *field == name)?;
                Some(String::from_utf8_lossy(cells.get(place(field)?)?.trim_ascii()))
            },
            |name| name,
        )
    }
}

fn no_column(field: &str) -> String {
    format!(
        "the header has no column `{field}`: use a header with {}, or JSON, Zeek's conn.log or Suricata's EVE",
        RECORD_FIELDS.join(",")
    )
}

/// The header that a line is, if it is one. Of the first name its end will do: the file may begin
/// within it.
fn header(line: &[u8]) -> Option<Header> {
    let names: Vec<&[u8]> = line.split(|byte| *byte == b',').map(bare).collect();
    let place =
        |field: &str| names.iter().position(|name| name.eq_ignore_ascii_case(field.as_bytes()));
    let places = RECORD_FIELDS.map(place);
    if places.iter().flatten().count() < HEADER_NAMES {
        return None;
    }
    let first = names.first().map(|first| first.to_ascii_lowercase()).unwrap_or_default();
    let mut known = [0; FIELDS];
    for ((place, field), known) in places.iter().zip(RECORD_FIELDS).zip(&mut known) {
        let is_cut = first.len() >= LEAST_PART && field.as_bytes().ends_with(&first);
        match place {
            Some(place) => *known = *place,
            None if is_cut => *known = 0,
            None => return Some(Header::Broken(field)),
        }
    }
    Some(Header::Known(known))
}

fn bare(name: &[u8]) -> &[u8] {
    let name = name.trim_ascii();
    let name = name.strip_prefix(b"\"").unwrap_or(name);
    name.strip_suffix(b"\"").unwrap_or(name).trim_ascii()
}

/// A line's values. Quotes around one keep its commas; two of them within are one.
fn cells(line: &[u8]) -> Result<Vec<Cow<'_, [u8]>>, Wrong> {
    let mut cells = Vec::with_capacity(FIELDS);
    let mut rest = line;
    loop {
        let (cell, after) = match rest.trim_ascii_start().strip_prefix(b"\"") {
            Some(quoted) => within_quotes(quoted)?,
            None => {
                let end = rest.iter().position(|byte| *byte == b',').unwrap_or(rest.len());
                let (cell, after) = rest.split_at(end);
                (Cow::Borrowed(cell), after)
            }
        };
        cells.push(cell);
        match after.strip_prefix(b",") {
            Some(next) => rest = next,
            None => return Ok(cells),
        }
    }
}

/// A value after its first quote, and what follows its last.
fn within_quotes(text: &[u8]) -> Result<(Cow<'_, [u8]>, &[u8]), Wrong> {
    let mut cell = Cow::Borrowed(&text[..0]);
    let mut rest = text;
    loop {
        let Some(end) = rest.iter().position(|byte| *byte == b'"') else {
            return Err(Wrong::of("it opens a quote that it does not close"));
        };
        let (part, after) = (&rest[..end], &rest[end + 1..]);
        if cell.is_empty() {
            cell = Cow::Borrowed(part);
        } else {
            cell.to_mut().extend_from_slice(part);
        }
        if let Some(more) = after.strip_prefix(b"\"") {
            cell.to_mut().push(b'"');
            rest = more;
            continue;
        }
        let after = after.trim_ascii_start();
        if after.is_empty() || after.starts_with(b",") {
            return Ok((cell, after));
        }
        return Err(Wrong::of("it has text between a closing quote and the next comma"));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cells_are_split_at_commas_outside_of_quotes() {
        let check = |line: &str, expected: Result<&[&str], &str>| {
            let found = cells(line.as_bytes());
            match (found, expected) {
                (Ok(cells), Ok(expected)) => {
                    let cells: Vec<_> =
                        cells.iter().map(|cell| String::from_utf8_lossy(cell)).collect();
                    assert_eq!(cells, expected, "{line}");
                }
                (Err(wrong), Err(expected)) => {
                    assert!(wrong.detail.contains(expected), "{wrong:?}")
                }
                other => panic!("{line}: {other:?}"),
            }
        };
        check("a,b,,c", Ok(&["a", "b", "", "c"]));
        check("", Ok(&[""]));
        check("a,", Ok(&["a", ""]));
        check(r#""a,b", "c" ,d"#, Ok(&["a,b", "c", "d"]));
        check(r#""a ""b"" c","""",x"y"#, Ok(&[r#"a "b" c"#, "\"", "x\"y"]));
        check(r#"a,"b,c"#, Err("does not close"));
        check(r#"a,"b"c,d"#, Err("closing quote"));
    }

    #[test]
    fn a_header_is_known_by_its_names() {
        let all = RECORD_FIELDS.join(",");
        let check = |line: &str, expected: Option<Result<[usize; FIELDS], &str>>| {
            let found = header(line.as_bytes()).map(|header| match header {
                Header::Known(places) => Ok(places),
                Header::Broken(field) => Err(field),
                Header::None => panic!("{line}"),
            });
            assert_eq!(found, expected, "{line}");
        };
        let plain = std::array::from_fn(|field| field);
        check(&all, Some(Ok(plain)));
        check(&all.to_uppercase().replace(',', "\" , \""), Some(Ok(plain)));
        check(&format!("\"{all}"), Some(Ok(plain)));
        check(&all["time".len()..], Some(Ok(plain)));
        check(&format!("id,{all}"), Some(Ok(std::array::from_fn(|field| field + 1))));
        check(&all.replace("bytes_sent", "sent"), Some(Err("bytes_sent")));
        check("2024-01-01,10.0.0.1,x", None);
    }
}
