//! What keeps the database sound and within its bounds: retention, joining minutes into hours,
//! backup, check, vacuum.

use std::path::Path;

use anyhow::{Context as _, ensure};
use rusqlite::backup::{Backup, StepResult};
use rusqlite::{Connection, OpenFlags, params};

use super::Store;
use super::traffic::HOUR_SECS;

const DAY_SECS: u64 = 86_400;
/// Rows that are deleted at once, so that no writer waits for long.
const AT_ONCE: u32 = 5_000;
/// Pages that are copied at once, and the pause after.
const PAGES: std::ffi::c_int = 1_024;

/// For how long things are kept.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Retention {
    pub max_bytes: u64,
    pub alerts_days: u32,
    pub traffic_days: u32,
    pub minutes_days: u32,
}

/// What was forgotten.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Forgotten {
    /// For their age, or for room.
    pub sessions: u64,
    pub minutes: u64,
    pub alerts: u64,
    /// Sessions of a minute that were joined to those of an hour.
    pub joined: u64,
}

impl Store {
    /// Forgets what is too old, and the oldest where the database is too large: a bounded part at
    /// each call.
    pub fn keep_within(&self, retention: Retention, now: u64) -> anyhow::Result<Forgotten> {
        let (forgotten, for_room) = self.write(move |connection| {
            let mut forgotten = Forgotten {
                joined: join_minutes(connection, before(now, retention.minutes_days))?,
                ..Forgotten::default()
            };
            let oldest = before(now, retention.traffic_days);
            forgotten.sessions = forget_sessions(connection, oldest)?;
            forgotten.minutes = forget_minutes(connection, oldest)?;
            let oldest_ns = before(now, retention.alerts_days).saturating_mul(1_000_000_000);
            forgotten.alerts = forget_alerts(connection, Some(oldest_ns))?;
            let mut for_room = Forgotten::default();
            if used_bytes(connection)? > retention.max_bytes {
                for_room.sessions = forget_sessions(connection, u64::MAX >> 1)?;
                if for_room.sessions == 0 {
                    for_room.alerts = forget_alerts(connection, None)?;
                }
            }
            forgotten.sessions += for_room.sessions;
            forgotten.alerts += for_room.alerts;
            Ok((forgotten, for_room))
        })?;
        // What had its full time is over; what had not is a loss, and counted as one.
        self.health().give_up("sessions for room", for_room.sessions);
        self.health().give_up("alerts for room", for_room.alerts);
        Ok(forgotten)
    }

    /// Copies the database, as it is at one moment, to a new file.
    pub fn backup(&self, to: &Path) -> anyhow::Result<()> {
        backup(self.path(), to)
    }

    /// Bytes in use.
    pub fn used_bytes(&self) -> anyhow::Result<u64> {
        self.read(used_bytes)
    }
}

fn before(now: u64, days: u32) -> u64 {
    now.saturating_sub(u64::from(days) * DAY_SECS)
}

fn used_bytes(connection: &Connection) -> anyhow::Result<u64> {
    let pragma = |name: &str| connection.pragma_query_value(None, name, |row| row.get::<_, u64>(0));
    let pages = pragma("page_count")?.saturating_sub(pragma("freelist_count")?);
    Ok(pages * pragma("page_size")?)
}

/// Adds the sessions of minutes before `oldest` to those of their hour.
fn join_minutes(connection: &Connection, oldest: u64) -> anyhow::Result<u64> {
    let oldest = oldest / HOUR_SECS * HOUR_SECS;
    let hour: Option<u64> = connection
        .query_row(
            "SELECT min(start) FROM sessions WHERE span_secs < ?1 AND start < ?2",
            params![HOUR_SECS, oldest],
            |row| row.get(0),
        )
        .context("failed to find old minutes")?;
    let Some(hour) = hour.map(|start| start / HOUR_SECS * HOUR_SECS) else { return Ok(0) };
    connection.execute_batch("DROP TABLE IF EXISTS temp.hour")?;
    connection.execute(
        "CREATE TEMP TABLE hour AS
         SELECT src, dst, protocol, dst_port, max(name) AS name, sum(bytes_out) AS bytes_out,
                sum(bytes_in) AS bytes_in, sum(packets_out) AS packets_out,
                sum(packets_in) AS packets_in, max(flows) AS flows, max(score) AS score
         FROM sessions WHERE start >= ?1 AND start < ?1 + ?2 GROUP BY src, dst, protocol, dst_port",
        params![hour, HOUR_SECS],
    )?;
    let joined = connection.execute(
        "DELETE FROM sessions WHERE start >= ?1 AND start < ?1 + ?2",
        params![hour, HOUR_SECS],
    )?;
    connection.execute(
        "INSERT INTO sessions SELECT ?1, ?2, src, dst, protocol, dst_port, name, bytes_out, \
         bytes_in,
            packets_out, packets_in, flows, score FROM temp.hour",
        params![hour, HOUR_SECS],
    )?;
    connection.execute_batch("DROP TABLE temp.hour")?;
    Ok(joined as u64)
}

fn forget_sessions(connection: &Connection, oldest: u64) -> anyhow::Result<u64> {
    let deleted = connection.execute(
        "DELETE FROM sessions WHERE (start, src, dst, protocol, dst_port) IN (
            SELECT start, src, dst, protocol, dst_port FROM sessions WHERE start < ?
            ORDER BY start LIMIT ?)",
        params![oldest, AT_ONCE],
    )?;
    Ok(deleted as u64)
}

fn forget_minutes(connection: &Connection, oldest: u64) -> anyhow::Result<u64> {
    connection.execute("DELETE FROM probabilities WHERE minute < ?", [oldest])?;
    Ok(connection.execute("DELETE FROM minutes WHERE minute < ?", [oldest])? as u64)
}

/// Forgets alerts that opened before `oldest_ns`; without it the oldest that are closed.
fn forget_alerts(connection: &Connection, oldest_ns: Option<u64>) -> anyhow::Result<u64> {
    let which = match oldest_ns {
        Some(oldest_ns) => format!("key < {oldest_ns}"),
        None => "status = 'closed'".to_owned(),
    };
    let keys = format!("SELECT key FROM alerts WHERE {which} ORDER BY key LIMIT {AT_ONCE}");
    for (table, column) in [
        ("alert_words", "rowid"),
        ("alert_evidence", "key"),
        ("alert_points", "alert"),
        ("alert_notes", "alert"),
    ] {
        connection.execute(&format!("DELETE FROM {table} WHERE {column} IN ({keys})"), [])?;
    }
    let deleted = connection.execute(&format!("DELETE FROM alerts WHERE key IN ({keys})"), [])?;
    Ok(deleted as u64)
}

/// Copies the database at `from` to a new file, also while it is being written to.
pub fn backup(from: &Path, to: &Path) -> anyhow::Result<()> {
    ensure!(!to.exists(), "{} exists already: use another file", to.display());
    let copy = || -> anyhow::Result<()> {
        let source = super::open_for_reading(from)?;
        let mut target = Connection::open(to)?;
        let backup = Backup::new(&source, &mut target)?;
        while backup.step(PAGES)? != StepResult::Done {
            std::thread::sleep(std::time::Duration::from_millis(5));
        }
        Ok(())
    };
    copy().with_context(|| format!("failed to copy {} to {}", from.display(), to.display()))
}

/// Looks for damage. What is found is reported line by line; nothing: the database is sound.
pub fn check(path: &Path) -> anyhow::Result<Vec<String>> {
    let flags = OpenFlags::SQLITE_OPEN_READ_ONLY;
    let connection = Connection::open_with_flags(path, flags)
        .with_context(|| format!("failed to open {}", path.display()))?;
    connection.busy_timeout(super::BUSY)?;
    let mut found = Vec::new();
    for pragma in ["integrity_check", "foreign_key_check"] {
        let mut statement = connection.prepare(&format!("PRAGMA {pragma}"))?;
        let mut rows = statement.query([])?;
        while let Some(row) = rows.next()? {
            let text: String = row.get(0)?;
            if text != "ok" {
                found.push(format!("{pragma}: {text}"));
            }
        }
    }
    Ok(found)
}

/// Gives unused room back to the file system. Needs as much again while it works.
pub fn vacuum(path: &Path) -> anyhow::Result<()> {
    let connection = super::open_for_writing(path)?;
    connection
        .execute_batch("VACUUM; PRAGMA wal_checkpoint(TRUNCATE)")
        .with_context(|| format!("failed to vacuum {}", path.display()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::tests::Folder;
    use crate::store::traffic::log::{Ends, SessionUsage, TrafficBatch};
    use crate::store::traffic::{self, Carried};

    const NOW: u64 = 100 * DAY_SECS;
    const RETENTION: Retention =
        Retention { max_bytes: u64::MAX, alerts_days: 30, traffic_days: 20, minutes_days: 2 };

    fn add(store: &Store, minute: u64, bytes_out: u64) {
        store
            .write(move |connection| {
                let line = SessionUsage { bytes_out, src_home: true, ..SessionUsage::default() };
                let lines = vec![(Ends::default(), line)];
                let page = TrafficBatch { lines, ..TrafficBatch::default() };
                traffic::add(connection, minute, &Carried::default(), &page)
            })
            .unwrap();
    }

    fn sum(store: &Store) -> (u64, u64) {
        store
            .read(|connection| {
                Ok(connection.query_row(
                    "SELECT count(*), coalesce(sum(bytes_out), 0) FROM sessions",
                    [],
                    |row| Ok((row.get(0)?, row.get(1)?)),
                )?)
            })
            .unwrap()
    }

    #[test]
    fn old_minutes_become_hours_and_old_hours_go() {
        let folder = Folder::new("upkeep");
        let store = Store::open(&folder.database()).unwrap();
        let hour = NOW - 5 * DAY_SECS;
        for minute in 0..60 {
            add(&store, hour + minute * 60, 7);
        }
        add(&store, NOW - 60, 1);
        add(&store, NOW - 50 * DAY_SECS, 1_000);
        let joined = store.keep_within(RETENTION, NOW).unwrap();
        assert_eq!(joined.sessions, 1);
        while store.keep_within(RETENTION, NOW).unwrap().joined != 0 {}
        assert_eq!(sum(&store), (2, 421));
    }

    #[test]
    fn a_full_database_forgets_the_oldest() {
        let folder = Folder::new("full");
        let store = Store::open(&folder.database()).unwrap();
        add(&store, NOW - 60, 1);
        let tight = Retention { max_bytes: 1, ..RETENTION };
        assert_eq!(store.keep_within(tight, NOW).unwrap().sessions, 1);
        assert_eq!(sum(&store).0, 0);
        assert_eq!(store.health().state().not_stored.get("sessions for room"), Some(&1));
    }

    #[test]
    fn a_copy_is_sound_and_never_takes_anothers_place() {
        let folder = Folder::new("backup");
        let store = Store::open(&folder.database()).unwrap();
        add(&store, NOW, 5);
        let copy = folder.0.join("copy.db");
        store.backup(&copy).unwrap();
        assert_eq!(check(&copy).unwrap(), [""; 0]);
        assert!(store.backup(&copy).unwrap_err().to_string().contains("exists already"));
        drop(store);
        vacuum(&copy).unwrap();
        assert_eq!(sum(&Store::open(&copy).unwrap()), (1, 5));
    }
}
