//! What was learned about each host, between two runs.

use crate::network::Address;
use rusqlite::{Connection, params};

/// Keeps what was learned of hosts: an address and a text each.
///
/// # Errors
///
/// A database that cannot be written to.
pub fn keep(
    connection: &Connection,
    time: u64,
    learned: &[(Address, String)],
) -> anyhow::Result<()> {
    let mut statement =
        connection.prepare_cached("INSERT OR REPLACE INTO baselines VALUES (?, ?, ?)")?;
    for (address, learned) in learned {
        statement.execute(params![address, time, learned])?;
    }
    Ok(())
}

/// All that was kept, the latest first.
///
/// # Errors
///
/// A database that cannot be read.
pub fn all(connection: &Connection) -> anyhow::Result<Vec<(Address, String)>> {
    let mut statement =
        connection.prepare("SELECT address, learned FROM baselines ORDER BY time DESC")?;
    let rows = statement.query_map([], |row| Ok((row.get(0)?, row.get(1)?)))?;
    Ok(rows.collect::<rusqlite::Result<_>>()?)
}
