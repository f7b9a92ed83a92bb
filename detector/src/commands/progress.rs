//! How far a command has come: on standard error where that is a terminal, and from the first second
//! on.

use std::io::{self, Read};
use std::path::Path;
use std::time::Duration;

use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};

/// Anything shorter needs no progress.
const PATIENCE: Duration = Duration::from_secs(1);
const BYTES: &str = "{percent:>3} % of {decimal_total_bytes}, {eta} left {wide_msg}";
const FILES: &str = "{pos} of {len}: {wide_msg}";

/// To be called when a file or a step is begun: its number from 0 on, how many there are, its name.
pub(super) fn files() -> impl FnMut(usize, usize, &str) {
    let mut progress = Progress::new(None, FILES);
    move |number, count, name| progress.file(number, count, name)
}

/// A line that is written over, and gone when it is dropped.
#[derive(Debug)]
pub(super) struct Progress {
    bar: ProgressBar,
    shown: bool,
}

impl Progress {
    fn new(total: Option<u64>, template: &str) -> Self {
        let bar = ProgressBar::with_draw_target(total, ProgressDrawTarget::hidden());
        // What a template can be wrong in is seen by the tests.
        let style = ProgressStyle::with_template(template);
        bar.set_style(style.unwrap_or_else(|_| ProgressStyle::default_bar()));
        Self { bar, shown: false }
    }

    fn file(&mut self, number: usize, count: usize, name: &str) {
        self.bar.set_length(count as u64);
        self.bar.set_position(number as u64 + 1);
        self.bar.set_message(name.to_owned());
        self.show();
    }

    fn read(&mut self, bytes: usize) {
        self.bar.inc(bytes as u64);
        self.show();
    }

    /// Nothing is drawn where standard error is no terminal.
    fn show(&mut self) {
        if !self.shown && self.bar.elapsed() >= PATIENCE {
            self.shown = true;
            self.bar.set_draw_target(ProgressDrawTarget::stderr());
        }
    }
}

impl Drop for Progress {
    fn drop(&mut self) {
        self.bar.finish_and_clear();
    }
}

/// A reader that shows how much of it has been read.
#[derive(Debug)]
pub(super) struct Reading<R> {
    reader: R,
    /// None where nobody knows how much there is.
    progress: Option<Progress>,
}

impl<R: Read> Reading<R> {
    /// `path` is where the reader reads from; standard input has no size.
    pub(super) fn new(reader: R, path: &Path) -> Self {
        let size = path.metadata().map_or(0, |metadata| metadata.len());
        let progress = (size > 0).then(|| Progress::new(Some(size), BYTES));
        Self { reader, progress }
    }
}

impl<R: Read> Read for Reading<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let read = self.reader.read(buffer)?;
        if let Some(progress) = &mut self.progress {
            progress.read(read);
        }
        Ok(read)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn templates_are_sound() {
        for template in [BYTES, FILES] {
            ProgressStyle::with_template(template).unwrap();
        }
    }

    #[test]
    fn what_is_read_is_counted_and_unchanged() {
        let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("Cargo.toml");
        let text = std::fs::read_to_string(&path).unwrap();
        let mut reading = Reading::new(text.as_bytes(), &path);
        assert_eq!(io::read_to_string(&mut reading).unwrap(), text);
        let progress = reading.progress.unwrap();
        assert_eq!(progress.bar.position(), text.len() as u64);
        assert_eq!(progress.bar.length(), Some(text.len() as u64));
        assert!(!progress.shown);
        assert!(Reading::new(io::empty(), Path::new("-")).progress.is_none());
    }
}
