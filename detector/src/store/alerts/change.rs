//! What people say of alerts.

use rusqlite::{Connection, params};

use super::timeline::{TimelinePoint, note_action};
use crate::alerts::{Resolution, Status};

/// Marks an alert. False where it was marked so before.
///
/// # Errors
///
/// A database that cannot be written to.
pub fn mark(
    connection: &Connection,
    key: i64,
    status: Status,
    time_ns: u64,
) -> anyhow::Result<bool> {
    let changed = connection
        .prepare_cached("UPDATE alerts SET status = ?1 WHERE key = ?2 AND status <> ?1")?
        .execute(params![status.name(), key])?;
    if changed != 0 {
        note_action(connection, key, time_ns, TimelinePoint::Marked(status))?;
    }
    Ok(changed != 0)
}

/// Says what an alert was, closes it, and keeps its vector as a sample to train on.
///
/// # Errors
///
/// A database that cannot be written to.
pub fn resolve(
    connection: &Connection,
    key: i64,
    resolution: Resolution,
    who: &str,
    time_ns: u64,
) -> anyhow::Result<()> {
    mark(connection, key, Status::Closed, time_ns)?;
    connection.execute(
        "UPDATE alerts SET resolution = ? WHERE key = ?",
        params![resolution.name(), key],
    )?;
    connection.execute(
        "INSERT OR REPLACE INTO samples (time_ns, label, alert, column_set, vector, who)
         SELECT ?, ?, key, column_set, vector, ? FROM alert_evidence
         WHERE key = ? AND column_set IS NOT NULL",
        params![time_ns as i64, resolution == Resolution::Confirmed, who, key],
    )?;
    Ok(())
}

/// Adds a note to an alert.
///
/// # Errors
///
/// A database that cannot be written to.
pub fn add_note(
    connection: &Connection,
    key: i64,
    who: &str,
    text: &str,
    time_ns: u64,
) -> anyhow::Result<()> {
    connection.execute(
        "INSERT INTO alert_notes (alert, time_ns, who, text) VALUES (?, ?, ?, ?)",
        params![key, time_ns as i64, who, text],
    )?;
    Ok(())
}
