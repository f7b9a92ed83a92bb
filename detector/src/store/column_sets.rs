//! The columns that stored vectors have.

use rusqlite::{Connection, params};

use crate::features::{ColumnSet, Kind};

/// What a set is called in the rows that have a vector of it.
#[must_use]
pub(super) fn name(columns: &ColumnSet) -> String {
    format!("{:016x}", columns.hash())
}

/// Keeps the columns that this program computes, before any vector of them is stored.
pub(super) fn register(connection: &Connection) -> anyhow::Result<()> {
    for kind in Kind::ALL {
        let columns = kind.column_set();
        // Looked for first: a database that has them is not waited for.
        let known = connection
            .prepare_cached("SELECT 1 FROM column_sets WHERE hash = ?")?
            .exists([name(columns)])?;
        if !known {
            connection.execute(
                "INSERT OR IGNORE INTO column_sets VALUES (?, ?, ?)",
                params![name(columns), kind.schema_name(), serde_json::to_string(columns)?],
            )?;
        }
    }
    Ok(())
}

/// A set as it is kept.
pub(super) fn read(text: &str) -> serde_json::Result<ColumnSet> {
    serde_json::from_str(text)
}
