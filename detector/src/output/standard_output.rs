//! Standard output: results in the form that was asked for, and on a terminal one calm line a
//! second on standard error.

use std::io::{self, IsTerminal as _, Write as _};

use anyhow::Context as _;

use super::{Event, Form, Kind, Progress, Sink};
use crate::status::StatusLine;

/// Writes results as `form` puts them.
pub struct StandardOutput {
    form: Box<dyn Form + Send>,
    line: LiveLine,
    /// Nobody reads any more.
    closed: bool,
}

impl StandardOutput {
    pub const NAME: &str = "standard output";

    #[must_use]
    pub fn new(form: Box<dyn Form + Send>) -> Self {
        Self { form, line: LiveLine::new(), closed: false }
    }

    fn put(&mut self, event: &Event) -> anyhow::Result<()> {
        match event {
            Event::Status(status) => {
                self.line.show(&status.line);
                return Ok(());
            }
            Event::Alert(_) | Event::Summary(_) => self.line.clear(),
            _ => {}
        }
        if self.closed {
            return Err(io::Error::from(io::ErrorKind::BrokenPipe).into());
        }
        let put = self.put_result(event);
        self.closed = put.as_ref().is_err_and(|error| error.kind() == io::ErrorKind::BrokenPipe);
        put.context("failed to write results")
    }

    fn put_result(&mut self, event: &Event) -> io::Result<()> {
        match event {
            Event::Alert(alert) => self.form.alert(alert)?,
            Event::Flow(record) => self.form.flow(record)?,
            Event::Summary(summary) => self.form.summary(summary)?,
            _ => return Ok(()),
        }
        // What people wait for must not stay in a buffer.
        self.form.flush()
    }
}

impl Sink for StandardOutput {
    fn name(&self) -> &'static str {
        Self::NAME
    }

    fn wants(&self) -> &'static [Kind] {
        &[Kind::Alert, Kind::Flow, Kind::Status, Kind::Summary]
    }

    fn queue_length(&self) -> usize {
        16_384
    }

    fn write(&mut self, events: &[Event], progress: &mut Progress) {
        progress.each(events, |event| self.put(event));
    }
}

/// The line at the bottom of a terminal that is written over every second.
struct LiveLine {
    terminal: bool,
    shown: bool,
}

impl LiveLine {
    fn new() -> Self {
        Self { terminal: io::stderr().is_terminal(), shown: false }
    }

    fn show(&mut self, status: &StatusLine) {
        if self.terminal {
            self.write(&format!("\r\x1b[2K{status}"));
            self.shown = true;
        }
    }

    fn clear(&mut self) {
        if self.shown {
            self.write("\r\x1b[2K");
            self.shown = false;
        }
    }

    fn write(&self, text: &str) {
        let mut stderr = io::stderr();
        let written = stderr.write_all(text.as_bytes()).and_then(|()| stderr.flush());
        if let Err(error) = written {
            tracing::debug!("failed to write the status line: {error}");
        }
    }
}
