//! Spans of time that begin the indices of columns with about as many values as there are alerts.
//!
//! A value's place in such an index would be anywhere, so that each alert would have a page of it
//! written. Within the latest span it is in one of a few pages. Whoever searches looks into each span
//! that there is, which takes microseconds.

use rusqlite::{Connection, OptionalExtension as _, params};

use crate::verdict::AlertId;

/// A span's length is 2 to this power in nanoseconds, 73 minutes: the indices in migrations/2.sql are
/// made of it.
const BITS: u32 = 42;

/// As far as that which is flagged turns out to have begun earlier: five minutes, after which an idle
/// connection is another.
const MOVED_NS: i64 = 300_000_000_000;

/// The span of a column of times, as the indices have it.
pub(super) fn of(column: &str) -> String {
    format!("{column} >> {BITS}")
}

/// The spans in which alerts opened, the latest first.
pub(super) fn all(connection: &Connection) -> anyhow::Result<Vec<i64>> {
    let newest = |bound: &str| {
        format!("(SELECT key FROM alerts {bound} ORDER BY key DESC LIMIT 1) >> {BITS}")
    };
    read_all(connection, &newest(""), &newest(&format!("WHERE key < span << {BITS}")))
}

/// The same of when what they flag was first seen.
fn all_first_seen(connection: &Connection) -> anyhow::Result<Vec<i64>> {
    let span = of("first_seen_ns");
    let newest =
        |bound: &str| format!("(SELECT {span} FROM alerts {bound} ORDER BY {span} DESC LIMIT 1)");
    read_all(connection, &newest(""), &newest(&format!("WHERE {span} < spans.span")))
}

fn read_all(connection: &Connection, first: &str, next: &str) -> anyhow::Result<Vec<i64>> {
    let mut statement = connection.prepare_cached(&format!(
        "WITH RECURSIVE spans(span) AS (
            SELECT {first} UNION ALL SELECT {next} FROM spans WHERE span IS NOT NULL)
         SELECT span FROM spans WHERE span IS NOT NULL"
    ))?;
    let spans = statement.query_map([], |row| row.get(0))?;
    Ok(spans.collect::<rusqlite::Result<_>>()?)
}

/// The key of an alert.
pub fn key_of(connection: &Connection, id: AlertId) -> anyhow::Result<Option<i64>> {
    for span in all_first_seen(connection)? {
        if let Some(key) = key_in(connection, id, span)? {
            return Ok(Some(key));
        }
    }
    Ok(None)
}

/// The key of an alert about what was first seen then. That moves a little when a flow of it turns
/// out to be older.
pub(super) fn key_near(
    connection: &Connection,
    id: AlertId,
    first_seen_ns: u64,
) -> anyhow::Result<Option<i64>> {
    let first_seen_ns = first_seen_ns.cast_signed();
    let (from, to) = (first_seen_ns - MOVED_NS, first_seen_ns.saturating_add(MOVED_NS));
    for span in (from >> BITS)..=(to >> BITS) {
        if let Some(key) = key_in(connection, id, span)? {
            return Ok(Some(key));
        }
    }
    Ok(None)
}

fn key_in(connection: &Connection, id: AlertId, span: i64) -> anyhow::Result<Option<i64>> {
    let sql = format!(
        "SELECT key FROM alerts WHERE {} = ? AND id = ? AND analysis = ?",
        of("first_seen_ns")
    );
    let mut statement = connection.prepare_cached(&sql)?;
    let id = params![span, id.number.cast_signed(), id.analysis];
    Ok(statement.query_row(id, |row| row.get(0)).optional()?)
}
