//! Text from the wire made harmless: for terminals, and for whoever opens a table of it.
//!
//! Names, paths and banners are the sender's words. Nothing here shortens them.

use std::fmt::{Display, Write as _};
use std::io::{self, Write};

/// The text without what a terminal would act on.
#[must_use]
pub fn clean(text: &str) -> String {
    text.chars().map(|letter| if letter.is_control() { '\u{fffd}' } else { letter }).collect()
}

/// Writes comma-separated values in which no cell is a formula to a spreadsheet.
#[derive(Debug)]
pub struct CsvWriter<W: Write> {
    output: csv::Writer<W>,
    /// What is being written, kept for its room.
    cell: String,
}

impl<W: Write> CsvWriter<W> {
    pub fn new(output: W) -> Self {
        // Rows may differ in length no more than the header says, which csv checks.
        Self { output: csv::Writer::from_writer(output), cell: String::new() }
    }

    /// Writes a whole row.
    pub fn row<T: Display>(&mut self, cells: impl IntoIterator<Item = T>) -> io::Result<()> {
        cells.into_iter().try_for_each(|cell| self.cell(cell))?;
        self.end_row()
    }

    /// Writes the next cell of a row.
    pub fn cell(&mut self, value: impl Display) -> io::Result<()> {
        self.cell.clear();
        // A string takes whatever is written to it.
        write!(self.cell, "{value}").map_err(io::Error::other)?;
        if self.cell.contains(char::is_control) {
            self.cell = clean(&self.cell);
        }
        if is_formula(&self.cell) {
            self.cell.insert(0, '\'');
        }
        self.output.write_field(&self.cell).map_err(io_error)
    }

    pub fn end_row(&mut self) -> io::Result<()> {
        self.output.write_record(None::<&[u8]>).map_err(io_error)
    }

    pub fn flush(&mut self) -> io::Result<()> {
        self.output.flush()
    }
}

/// Whether a spreadsheet would calculate with it rather than show it.
fn is_formula(cell: &str) -> bool {
    cell.starts_with(['=', '+', '@']) || (cell.starts_with('-') && cell.parse::<f64>().is_err())
}

/// As it was: a reader that went away is no failure.
fn io_error(error: csv::Error) -> io::Error {
    match error.into_kind() {
        csv::ErrorKind::Io(error) => error,
        other => io::Error::other(format!("{other:?}")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn written(cells: &[&str]) -> String {
        let mut bytes = Vec::new();
        CsvWriter::new(&mut bytes).row(cells).unwrap();
        String::from_utf8(bytes).unwrap()
    }

    #[test]
    fn hostile_cells_are_defused() {
        assert_eq!(written(&["=cmd", "+1", "@x", "-x"]), "'=cmd,'+1,'@x,'-x\n");
        assert_eq!(written(&["-0.5", "", "-"]), "-0.5,,'-\n");
        assert_eq!(written(&["a\u{1b}[31m\nb"]), "a\u{fffd}[31m\u{fffd}b\n");
        assert_eq!(written(&["a,\"b\"", "c"]), "\"a,\"\"b\"\"\",c\n");
    }

    #[test]
    fn a_reader_that_went_away_is_known_as_such() {
        struct Gone;
        impl Write for Gone {
            fn write(&mut self, _: &[u8]) -> io::Result<usize> {
                Err(io::ErrorKind::BrokenPipe.into())
            }
            fn flush(&mut self) -> io::Result<()> {
                Ok(())
            }
        }
        let mut writer = CsvWriter::new(Gone);
        let long = "x".repeat(1 << 16);
        assert_eq!(writer.row([&long]).unwrap_err().kind(), io::ErrorKind::BrokenPipe);
    }
}
