//! What people say of alerts.

use rusqlite::{Connection, params};

use super::row::unknown;
use super::span::key_of;
use super::timeline::{TimelinePoint, note_action};
use crate::alerts::{Resolution, Status};
use crate::verdict::AlertId;

/// Marks an alert. False where it was marked so before.
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

/// Marks alerts, each with the note where there is one. Returns those that were marked otherwise before.
pub fn mark_all(
    connection: &Connection,
    ids: &[AlertId],
    status: Status,
    note: Option<&str>,
    who: &str,
    time_ns: u64,
) -> anyhow::Result<Vec<AlertId>> {
    let mut changed = Vec::new();
    for id in ids {
        let key = key_of(connection, *id)?.ok_or_else(|| unknown(&id.to_string()))?;
        if mark(connection, key, status, time_ns)? {
            changed.push(*id);
        }
        if let Some(note) = note {
            add_note(connection, key, who, note, time_ns)?;
        }
    }
    Ok(changed)
}

/// Says what an alert was, closes it, and keeps its vector, where it has one, as a sample to train on.
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
         WHERE key = ? AND column_set IS NOT NULL AND length(vector) != 0",
        params![time_ns as i64, resolution == Resolution::Confirmed, who, key],
    )?;
    Ok(())
}

/// Adds a note to an alert.
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
