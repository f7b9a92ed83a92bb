//! What a message tells of an alert: its row, and why.

use anyhow::Context as _;
use rusqlite::{Connection, OptionalExtension as _};

use crate::store::alerts::{AlertRow, COLUMNS, ReasonLine};

/// An alert that is to be told.
#[derive(Clone, Debug, PartialEq)]
pub struct ToldAlert {
    pub row: AlertRow,
    pub reasons: Vec<ReasonLine>,
}

/// Reads the alert with this key; none where it is gone.
///
/// # Errors
///
/// A database that cannot be read, a row that makes no sense.
pub fn load(connection: &Connection, key: i64) -> anyhow::Result<Option<ToldAlert>> {
    let query = format!("SELECT {COLUMNS} FROM alerts a WHERE a.key = ?");
    let mut statement = connection.prepare_cached(&query)?;
    let Some(row) = statement.query_row([key], AlertRow::read).optional()? else {
        return Ok(None);
    };
    let reasons: Option<String> = connection
        .prepare_cached("SELECT reasons FROM alert_evidence WHERE key = ?")?
        .query_row([key], |row| row.get(0))
        .optional()?;
    let reasons = reasons.map_or(Ok(Vec::new()), |reasons| serde_json::from_str(&reasons));
    let reasons =
        reasons.with_context(|| format!("failed to read the reasons of alert {}", row.id))?;
    Ok(Some(ToldAlert { row, reasons }))
}
