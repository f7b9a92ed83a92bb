//! Alerts in one file: an object a line, or comma-separated values. Pages are written as they are read,
//! so that an export has room for any number of alerts.

use std::io::{self, Write};

use super::{StoredAlert, columns};
use crate::text::CsvWriter;
use crate::verdict::Alert;

/// One JSON object a line.
pub fn write_lines(output: &mut impl Write, rows: &[StoredAlert]) -> anyhow::Result<()> {
    for row in rows {
        serde_json::to_writer(&mut *output, row)?;
        output.write_all(b"\n")?;
    }
    Ok(())
}

/// A row for each; `with_header` for the first of an export.
pub fn write_csv(
    output: &mut impl Write,
    rows: &[StoredAlert],
    with_header: bool,
) -> anyhow::Result<()> {
    let names = || Alert::CSV_FIELDS.iter().chain(&columns::STORED);
    let mut output = CsvWriter::new(output);
    if with_header {
        output.row(names())?;
    }
    for row in rows {
        output.row(columns::cells(row, names())?)?;
    }
    Ok(output.flush()?)
}

/// Whether an export ended because nobody reads it any more.
#[must_use]
pub fn is_unread(error: &anyhow::Error) -> bool {
    error.chain().any(|cause| {
        let kind = cause.downcast_ref::<io::Error>().map(io::Error::kind);
        let json =
            cause.downcast_ref::<serde_json::Error>().and_then(serde_json::Error::io_error_kind);
        kind.or(json) == Some(io::ErrorKind::BrokenPipe)
    })
}
