//! Logs of connections, scored record by record: a firewall's or proxy's own fields, Zeek's conn.log,
//! Suricata's flows.
//!
//! What is read is checked line by line; a line that is not understood is told and the next one read.
//! Every record enters the history of probabilities at its own time, and one that looks like a theft
//! becomes an alert. The same log read twice gives the same alerts, not more of them.

mod csv_rows;
mod eve;
mod json;
mod keep;
mod lines;
mod reading;
mod zeek;

use std::io::BufRead;

use anyhow::Context as _;

pub use keep::Keeper;
pub use reading::{Format, LineError, Report, Unreadable};
use reading::{Found, Reading};

use crate::features::Record;

/// What is looked at to tell a format.
const PEEKED: usize = 64 << 10;

/// Reads a log and scores it, record by record. What was read before a failure is kept.
///
/// # Errors
///
/// [`Unreadable`], where the whole makes no sense; an input that cannot be read, a database that
/// cannot be written to.
pub fn ingest(
    input: impl BufRead,
    format: Option<Format>,
    keeper: &mut Keeper,
) -> anyhow::Result<Report> {
    let read = records(input, format, &mut |record: &Record| keeper.take(record));
    // What was read before it went wrong counts all the same.
    let kept = keeper.finish();
    let report = read?;
    kept?;
    Ok(report)
}

/// Reads a log and hands each record to `scorer`, which says whether it looks like a theft.
///
/// # Errors
///
/// [`Unreadable`], where the whole makes no sense; an input that cannot be read; those of `scorer`.
pub fn records(
    mut input: impl BufRead,
    format: Option<Format>,
    scorer: &mut impl FnMut(&Record) -> anyhow::Result<bool>,
) -> anyhow::Result<Report> {
    let mut report = Report::default();
    let mut take = |found: Found| -> anyhow::Result<()> {
        match found.reading {
            Ok(Reading::Record(record)) => {
                report.accepted += 1;
                report.alerts += u64::from(scorer(&record)?);
            }
            Ok(Reading::Skipped) => report.skipped += 1,
            Err(wrong) => report.reject(found.line, wrong),
        }
        Ok(())
    };
    let format = match format {
        Some(format) => format,
        None => detect(&mut input)?,
    };
    match format {
        Format::Csv => csv_rows::read(input, &mut take)?,
        Format::Zeek if !starts_with(&mut input, b"{")? => zeek::read(input, &mut take)?,
        Format::Json | Format::Ndjson | Format::Zeek | Format::Eve => {
            json::read(input, format, &mut take)?;
        }
    }
    Ok(report)
}

/// The format, by the first thing that stands there.
fn detect(input: &mut impl BufRead) -> anyhow::Result<Format> {
    if starts_with(input, b"#")? {
        return Ok(Format::Zeek);
    }
    if starts_with(input, b"[")? {
        return Ok(Format::Json);
    }
    if starts_with(input, b"{")? {
        let start = input.fill_buf().context("failed to read the log")?;
        let start = start.trim_ascii_start();
        let line = start.split(|byte| *byte == b'\n').next().unwrap_or_default();
        // An object that goes on over the line's end is written for people.
        let whole = serde_json::from_slice::<serde_json::Value>(line).is_ok();
        return Ok(if whole { Format::Ndjson } else { Format::Json });
    }
    Ok(Format::Csv)
}

/// Whether this is what the log begins with, after blanks.
fn starts_with(input: &mut impl BufRead, expected: &[u8]) -> anyhow::Result<bool> {
    loop {
        let start = input.fill_buf().context("failed to read the log")?;
        let start = &start[..start.len().min(PEEKED)];
        // A mark that some editors put before UTF-8.
        let mark = if start.starts_with(b"\xef\xbb\xbf") { 3 } else { 0 };
        let blanks = start[mark..].iter().take_while(|byte| byte.is_ascii_whitespace()).count();
        if start.len() > mark + blanks || start.is_empty() {
            let found = start[mark + blanks..].starts_with(expected);
            // Lines are counted from where something stands: blanks are let pass later.
            input.consume(mark);
            return Ok(found);
        }
        let length = start.len();
        input.consume(length);
    }
}

#[cfg(test)]
mod tests;
