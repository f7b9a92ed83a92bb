//! Alerts in one file: an object a line, or comma-separated values.

use super::{StoredAlert, columns};
use crate::text::CsvWriter;
use crate::verdict::Alert;

/// Rows of an export: more is for `detector db backup`.
pub const MOST: usize = 100_000;

/// One JSON object a line.
///
/// # Errors
///
/// An alert that is no JSON.
pub fn as_lines(rows: &[StoredAlert]) -> anyhow::Result<String> {
    let mut text = String::new();
    for row in rows {
        text.push_str(&serde_json::to_string(row)?);
        text.push('\n');
    }
    Ok(text)
}

/// A header and a row for each.
///
/// # Errors
///
/// An alert that is no JSON object.
pub fn as_csv(rows: &[StoredAlert]) -> anyhow::Result<String> {
    let names = || Alert::CSV_FIELDS.iter().chain(&columns::STORED);
    let mut text = Vec::new();
    let mut output = CsvWriter::new(&mut text);
    output.row(names())?;
    for row in rows {
        output.row(columns::cells(row, names())?)?;
    }
    drop(output);
    Ok(String::from_utf8(text)?)
}
