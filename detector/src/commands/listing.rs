//! Aligned columns for people, and one object a line for programs.
//!
//! Text from the wire is shown without control characters.

use std::io::{self, Write};

use serde::Serialize;

use crate::features::Timestamp;
use crate::text::clean;
use crate::units;

/// A column's name and the side its cells are at.
#[derive(Clone, Copy, Debug)]
pub(super) enum Column {
    Left(&'static str),
    Right(&'static str),
}

impl Column {
    fn name(self) -> &'static str {
        match self {
            Self::Left(name) | Self::Right(name) => name,
        }
    }
}

/// Rows that are as wide as their widest cells.
#[derive(Debug)]
pub(super) struct Listing<const N: usize> {
    columns: [Column; N],
    rows: Vec<[String; N]>,
}

impl<const N: usize> Listing<N> {
    pub(super) fn new(columns: [Column; N]) -> Self {
        Self { columns, rows: Vec::new() }
    }

    pub(super) fn row(&mut self, cells: [String; N]) {
        self.rows.push(cells.map(|cell| clean(&cell)));
    }

    pub(super) fn write(&self, output: &mut impl Write) -> io::Result<()> {
        let header = self.columns.map(|column| column.name().to_owned());
        let mut widths = [0; N];
        for row in std::iter::once(&header).chain(&self.rows) {
            for (width, cell) in widths.iter_mut().zip(row) {
                *width = (*width).max(cell.chars().count());
            }
        }
        for row in std::iter::once(&header).chain(&self.rows) {
            let mut line = String::new();
            for ((cell, column), width) in row.iter().zip(self.columns).zip(widths) {
                match column {
                    Column::Left(_) => line.push_str(&format!("{cell:<width$}  ")),
                    Column::Right(_) => line.push_str(&format!("{cell:>width$}  ")),
                }
            }
            writeln!(output, "{}", line.trim_end())?;
        }
        Ok(())
    }
}

/// One object a line.
pub(super) fn json<T: Serialize>(
    output: &mut impl Write,
    values: impl IntoIterator<Item = T>,
) -> io::Result<()> {
    for value in values {
        serde_json::to_writer(&mut *output, &value)?;
        output.write_all(b"\n")?;
    }
    Ok(())
}

/// `12 s ago`, or the text itself where it is not a time.
pub(super) fn ago(time: &str, now_ns: u64) -> String {
    let Ok(then) = time.parse::<Timestamp>() else { return time.to_owned() };
    let now = i64::try_from(now_ns / 1_000_000_000).unwrap_or(i64::MAX);
    let seconds = now.saturating_sub(then.unix_secs());
    if seconds < 1 { "now".to_owned() } else { format!("{} ago", units::seconds(seconds as f64)) }
}

/// `58 s`; none where the time cannot be read.
pub(super) fn left(time: &str, now_ns: u64) -> Option<String> {
    let then = time.parse::<Timestamp>().ok()?.unix_secs();
    let now = i64::try_from(now_ns / 1_000_000_000).ok()?;
    Some(units::seconds(then.saturating_sub(now).max(0) as f64))
}

/// `2027-01-31 00:00:00` from RFC 3339.
pub(super) fn short_time(time: &str) -> String {
    time.chars().take(19).map(|letter| if letter == 'T' { ' ' } else { letter }).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn columns_are_as_wide_as_their_widest_cells() {
        let mut listing =
            Listing::new([Column::Right("NO"), Column::Left("TARGET"), Column::Left("WHY")]);
        listing.row(["4".into(), "host 10.0.0.7".into(), "a\x1b[2Jb".into()]);
        listing.row(["1200".into(), "ü".into(), String::new()]);
        let mut text = Vec::new();
        listing.write(&mut text).unwrap();
        let expected = "  NO  TARGET         WHY\n   4  host 10.0.0.7  a\u{fffd}[2Jb\n1200  ü\n";
        assert_eq!(String::from_utf8(text).unwrap(), expected);
    }

    #[test]
    fn times() {
        let now = 1_800_000_000_000_000_000;
        let at = |secs: u64| units::rfc3339(now - secs * 1_000_000_000);
        assert_eq!(ago(&at(12), now), "12 s ago");
        assert_eq!(ago(&at(0), now), "now");
        assert_eq!(ago("soon", now), "soon");
        assert_eq!(left(&at(12), now + 60_000_000_000), Some("0.0 s".to_owned()));
        assert_eq!(left(&at(0), now - 60_000_000_000), Some("60 s".to_owned()));
        assert_eq!(left("soon", now), None);
        assert_eq!(short_time(&at(0)), "2027-01-15 08:00:00");
    }
}
