//! A log whose records are lines: each line is read by itself, so that one that is broken costs one.
//!
//! What a line is in is seen in the line: an object is JSON, a line of Zeek's header describes the
//! columns of those after it, and so does a header of comma-separated values.

use std::io::BufRead;

use anyhow::Context as _;

use super::csv_rows::Table;
use super::eve::Flows;
use super::lines::{Lines, Next, TOO_LONG};
use super::reading::{Format, Found, Reading, Unreadable, Wrong};
use super::{json, zeek};

#[derive(Debug, Default)]
pub(super) struct ByLine {
    /// None: by what stands in the line.
    format: Option<Format>,
    table: Table,
    zeek: zeek::Columns,
    /// The header that came last was Zeek's.
    is_zeek: bool,
    flows: Flows,
    /// Something was of a form that is known.
    recognised: bool,
}

impl ByLine {
    pub(super) fn new(format: Option<Format>) -> Self {
        Self { format, ..Self::default() }
    }

    /// Reads every line. `pause` is called before a read that may wait.
    pub(super) fn read(
        mut self,
        input: impl BufRead,
        take: &mut impl FnMut(Event) -> anyhow::Result<()>,
    ) -> anyhow::Result<()> {
        let mut lines = Lines::new(input);
        loop {
            let next = lines.next().context("failed to read the log");
            if next.is_err() {
                self.flows.hand_on(true, &mut |found| take(Event::Found(found)))?;
            }
            let (line, text) = match next? {
                Next::Line(line, text) => (line, text),
                Next::Drained => {
                    take(Event::Pause)?;
                    continue;
                }
                Next::Quiet => {
                    self.flows.hand_on(true, &mut |found| take(Event::Found(found)))?;
                    take(Event::Pause)?;
                    continue;
                }
                Next::End => break,
            };
            let reading = match text {
                Some(text) => self.line(text, line),
                None => Some(Err(Wrong::of(TOO_LONG))),
            };
            if let Some(reading) = reading {
                take(Event::Found(Found { line, reading }))?;
                self.flows.hand_on(false, &mut |found| take(Event::Found(found)))?;
            }
        }
        self.flows.hand_on(true, &mut |found| take(Event::Found(found)))?;
        if self.recognised { Ok(()) } else { Err(self.table.unreadable().into()) }
    }

    /// None of a line that describes others.
    fn line(&mut self, text: &[u8], line: u64) -> Option<Result<Reading, Wrong>> {
        let start = text.trim_ascii_start().first();
        match self.format {
            Some(Format::Csv) => self.row(text),
            Some(Format::Json | Format::Ndjson | Format::Eve) => self.object(text, line),
            None | Some(Format::Zeek) if start == Some(&b'{') => self.object(text, line),
            None if text.starts_with(b"#") => self.description(text),
            None if self.is_zeek || zeek::looks_like_a_row(text) => self.zeeks_row(text),
            None => self.row(text),
            Some(Format::Zeek) if text.starts_with(b"#") => self.description(text),
            Some(Format::Zeek) => self.zeeks_row(text),
        }
    }

    fn object(&mut self, text: &[u8], line: u64) -> Option<Result<Reading, Wrong>> {
        self.recognised = true;
        Some(json::object(text, line, self.format, &mut self.flows))
    }

    fn row(&mut self, text: &[u8]) -> Option<Result<Reading, Wrong>> {
        let reading = self.table.read(text);
        let is_header = reading.is_none();
        self.is_zeek &= !is_header;
        self.recognised |= self.table.is_known() || matches!(reading, Some(Ok(_)));
        reading
    }

    fn description(&mut self, text: &[u8]) -> Option<Result<Reading, Wrong>> {
        self.is_zeek |= self.zeek.describe(&String::from_utf8_lossy(text));
        self.recognised |= self.is_zeek;
        None
    }

    fn zeeks_row(&mut self, text: &[u8]) -> Option<Result<Reading, Wrong>> {
        self.recognised = true;
        Some(self.zeek.reading(&String::from_utf8_lossy(text)))
    }
}

/// What comes of a log.
#[derive(Debug)]
pub(super) enum Event {
    Found(Found),
    /// All that has come is read.
    Pause,
}

/// A log that holds text of another encoding.
pub(super) fn refuse_utf16(start: &[u8]) -> Result<(), Unreadable> {
    if start.starts_with(b"\xff\xfe") || start.starts_with(b"\xfe\xff") {
        let detail = "it is UTF-16: convert it with 'iconv -f UTF-16 -t UTF-8'".to_owned();
        return Err(Unreadable { field: None, detail });
    }
    Ok(())
}
