//! Records as comma-separated values, by the names in the header, in any order and among others.

use std::borrow::Cow;
use std::io::BufRead;

use anyhow::Context as _;
use csv::{ByteRecord, ReaderBuilder};

use super::reading::{Found, Unreadable, record};
use crate::features::RECORD_FIELDS;

pub(super) fn read(
    input: impl BufRead,
    take: &mut impl FnMut(Found) -> anyhow::Result<()>,
) -> anyhow::Result<()> {
    let mut reader = ReaderBuilder::new().flexible(true).from_reader(input);
    let header = reader.byte_headers().context("failed to read the log's header")?.clone();
    let places = places(&header)?;
    let mut row = ByteRecord::new();
    while reader.read_byte_record(&mut row).context("failed to read the log")? {
        let line = row.position().map_or(0, csv::Position::line);
        let cell = |name: &str| {
            let field = RECORD_FIELDS.iter().position(|field| *field == name)?;
            let text = row.get(*places.get(field)?)?;
            Some(match String::from_utf8_lossy(text.trim_ascii()) {
                Cow::Borrowed(text) => Cow::Borrowed(text),
                Cow::Owned(text) => Cow::Owned(text),
            })
        };
        take(Found { line, reading: record(cell, |name| name) })?;
    }
    Ok(())
}

/// Where each field stands.
fn places(header: &ByteRecord) -> Result<Vec<usize>, Unreadable> {
    let place = |field: &&str| {
        let found =
            header.iter().position(|name| name.trim_ascii().eq_ignore_ascii_case(field.as_bytes()));
        found.ok_or_else(|| Unreadable {
            field: Some((*field).to_owned()),
            detail: format!(
                "the header has no column `{field}`: a log has a header with {}, or is JSON, \
                 Zeek's conn.log or Suricata's EVE",
                RECORD_FIELDS.join(",")
            ),
        })
    };
    RECORD_FIELDS.iter().map(place).collect()
}
