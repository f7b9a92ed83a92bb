//! Logs of connections, scored record by record: a firewall's or proxy's own fields, Zeek's
//! conn.log, Suricata's flows.
//!
//! What is read is checked line by line; a line that cannot be read is reported, and the next one read.
//! Every record enters the history of probabilities at its own time, and one that looks like a theft
//! becomes an alert. The same log read twice gives the same alerts, not more of them.

mod by_line;
mod csv_rows;
mod eve;
mod follow;
mod json;
mod keep;
mod lines;
mod reading;
mod zeek;

use std::io::{self, BufRead, ErrorKind};

use anyhow::Context as _;

use by_line::{ByLine, Event, refuse_utf16};
pub use follow::Follow;
pub use keep::Keeper;
use lines::MARK;
pub use reading::{EndedEarly, Format, LineError, Note, Report, Unreadable};
use reading::{Found, Object, Reading};

use crate::decompress::Stop;
use crate::features::Record;

/// What is looked at to tell a format.
const PEEKED: usize = 64 << 10;
/// Lines of it.
const PEEKED_LINES: usize = 32;

/// What becomes of records.
pub trait RecordSink {
    /// Whether it looks like a theft.
    fn record(&mut self, record: &Record) -> anyhow::Result<bool>;

    /// All records that have come are scored, and the next may take its time.
    fn pause(&mut self, _so_far: &mut Report) -> anyhow::Result<()> {
        Ok(())
    }
}

impl<F: FnMut(&Record) -> anyhow::Result<bool>> RecordSink for F {
    fn record(&mut self, record: &Record) -> anyhow::Result<bool> {
        self(record)
    }
}

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
    let read = records(input, format, keeper);
    // What was read before it went wrong counts all the same.
    let kept = keeper.finish();
    let report = read?;
    kept?;
    Ok(report)
}

/// Reads a log and hands each record to `sink`, which says whether it looks like an exfiltration. A
/// compressed log that cannot be expanded to its end is read as far as it can be, which the report says.
///
/// # Errors
///
/// [`Unreadable`], where the whole makes no sense; an input that cannot be read; those of `sink`.
pub fn records(
    mut input: impl BufRead,
    format: Option<Format>,
    sink: &mut impl RecordSink,
) -> anyhow::Result<Report> {
    let mut report = Report::default();
    let is_text = match format {
        Some(format) => Ok(format == Format::Json),
        None => is_json_text(&mut input),
    };
    let read = is_text.and_then(|is_text| {
        if is_text {
            json::read(input, &mut |found| take(found, &mut report, sink))
        } else {
            lines(input, format, sink, &mut report)
        }
    });
    if let Err(error) = read {
        let Some(stop) = Stop::of(&error) else { return Err(error) };
        report.ended_early = Some(EndedEarly { reason: stop.reason, detail: stop.to_string() });
    }
    Ok(report)
}

/// The same of a log whose records are lines; `report` is up to date at every pause.
pub fn lines(
    input: impl BufRead,
    format: Option<Format>,
    sink: &mut impl RecordSink,
    report: &mut Report,
) -> anyhow::Result<()> {
    ByLine::new(format).read(input, &mut |event| match event {
        Event::Found(found) => take(found, report, sink),
        Event::Pause => sink.pause(report),
    })
}

fn take(found: Found, report: &mut Report, sink: &mut impl RecordSink) -> anyhow::Result<()> {
    match found.reading {
        Ok(Reading::Record { record, note }) => {
            report.accepted += 1;
            report.alerts += u64::from(sink.record(&record)?);
            note.into_iter().for_each(|note| report.note(note));
        }
        Ok(Reading::Skipped(note)) => {
            report.skipped += 1;
            report.note(note);
        }
        Err(wrong) => report.reject(found.line, wrong),
    }
    Ok(())
}

/// Whether a log is a JSON text whose objects do not keep to lines: a list, or objects that are
/// written for people. No more than what has come is looked at.
fn is_json_text(input: &mut impl BufRead) -> anyhow::Result<bool> {
    let start = peek(input).context("failed to read the log")?;
    refuse_utf16(start)?;
    let marked = start.starts_with(MARK);
    let start = start.strip_prefix(MARK).unwrap_or(start).trim_ascii_start();
    let is_one = match start.first() {
        Some(b'[') => true,
        Some(b'{') => {
            let mut lines = start.split(|byte| *byte == b'\n').take(PEEKED_LINES);
            let is_object = |line| serde_json::from_slice::<Object>(line).is_ok();
            !lines.any(is_object)
        }
        _ => false,
    };
    if is_one && marked {
        input.consume(MARK.len());
    }
    Ok(is_one)
}

fn peek(input: &mut impl BufRead) -> io::Result<&[u8]> {
    loop {
        match input.fill_buf() {
            Err(error) if error.kind() == ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
            Ok(_) => break,
        }
    }
    // What was read is still there: nothing is read again.
    let start = input.fill_buf()?;
    Ok(&start[..start.len().min(PEEKED)])
}

#[cfg(test)]
mod tests;
