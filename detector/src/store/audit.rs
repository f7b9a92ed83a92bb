//! The audit log's records, where they can be searched and paged.
//!
//! The file is the log: it takes one write, and outlives a database that is full or damaged. What
//! is here follows it, and can be read again from it.

use std::fs;
use std::io;
use std::os::unix::fs::MetadataExt as _;
use std::path::Path;

use anyhow::Context as _;
use rusqlite::{Connection, OptionalExtension as _, params};

use super::Store;
use crate::audit::{FILE, Part, Record, read_part};

/// Lines that are taken over in one transaction.
const AT_ONCE: usize = 4_096;

/// Which records are wanted; what is none does not matter.
#[derive(Clone, Debug, Default)]
pub struct Filter {
    /// As [`crate::audit::Action`] is written in the log.
    pub action: Option<String>,
    pub alert: Option<String>,
    /// Text anywhere in the record.
    pub text: Option<String>,
    /// Not before this time, as records have it.
    pub since: Option<String>,
}

/// A record with its place among the others.
#[derive(Clone, Debug, PartialEq)]
pub struct Entry {
    pub key: i64,
    pub record: Record,
}

/// How far a log was read.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct Place {
    inode: u64,
    bytes: u64,
    damaged: u64,
}

impl Store {
    /// Takes over what was written to the log in `state_dir` since the last time.
    ///
    /// # Errors
    ///
    /// A log that cannot be read, a database that cannot be written to. No log is no error: before
    /// the first change there is none.
    pub fn follow_audit(&self, state_dir: &Path) -> anyhow::Result<()> {
        let path = state_dir.join(FILE);
        let (inode, bytes) = match fs::metadata(&path) {
            Ok(file) => (file.ino(), file.len()),
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
            Err(error) => {
                return Err(error).with_context(|| format!("failed to read {}", path.display()));
            }
        };
        let mut place = self.read(read_place)?.filter(|place| place.inode == inode);
        // Another file, or one that was cut: it is read again, and what is known is not added
        // twice.
        if place.is_some_and(|place| bytes < place.bytes) {
            place = None;
        }
        let mut place = place.unwrap_or(Place { inode, ..Place::default() });
        while place.bytes < bytes {
            let part = read_part(&path, place.bytes, AT_ONCE)
                .with_context(|| format!("failed to read {}", path.display()))?;
            let is_last = part.is_last;
            if part.end == place.bytes {
                break;
            }
            place.bytes = part.end;
            place.damaged += part.history.damaged;
            self.write(move |connection| take_over(connection, &part, place))?;
            if is_last {
                break;
            }
        }
        Ok(())
    }
}

fn read_place(connection: &Connection) -> anyhow::Result<Option<Place>> {
    let row = |row: &rusqlite::Row<'_>| {
        Ok(Place { inode: row.get(0)?, bytes: row.get(1)?, damaged: row.get(2)? })
    };
    let select = "SELECT inode, bytes, damaged FROM audit_place";
    Ok(connection.query_row(select, [], row).optional()?)
}

fn take_over(connection: &Connection, part: &Part, place: Place) -> anyhow::Result<()> {
    let mut insert = connection.prepare_cached(
        "INSERT OR IGNORE INTO audit (time, who, action, alert, record) VALUES (?, ?, ?, ?, ?)",
    )?;
    for record in &part.history.records {
        let line = serde_json::to_string(record)?;
        let Record { time, who, action, alert, .. } = record;
        insert.execute(params![time, who, action.name(), alert, line])?;
    }
    connection.execute(
        "INSERT OR REPLACE INTO audit_place (one, inode, bytes, damaged) VALUES (1, ?, ?, ?)",
        params![place.inode, place.bytes, place.damaged],
    )?;
    Ok(())
}

/// The latest `limit` records before the one of key `before`, the latest first.
pub fn search(
    connection: &Connection,
    filter: &Filter,
    before: Option<i64>,
    limit: u32,
) -> anyhow::Result<Vec<Entry>> {
    let mut statement = connection.prepare_cached(
        "SELECT key, record FROM audit
         WHERE key < ?1 AND (?2 IS NULL OR action = ?2) AND (?3 IS NULL OR alert = ?3)
           AND (?4 IS NULL OR instr(lower(record), lower(?4)) > 0)
           AND (?5 IS NULL OR time >= ?5)
         ORDER BY key DESC LIMIT ?6",
    )?;
    let Filter { action, alert, text, since } = filter;
    let wanted = params![before.unwrap_or(i64::MAX), action, alert, text, since, limit];
    let mut rows = statement.query(wanted)?;
    let mut found = Vec::new();
    while let Some(row) = rows.next()? {
        let line: String = row.get(1)?;
        let record = serde_json::from_str(&line).context("a record of the audit log")?;
        found.push(Entry { key: row.get(0)?, record });
    }
    Ok(found)
}

/// Number of damaged lines in the log.
pub fn damaged(connection: &Connection) -> anyhow::Result<u64> {
    Ok(read_place(connection)?.map_or(0, |place| place.damaged))
}

#[cfg(test)]
mod tests {
    use std::fs::OpenOptions;
    use std::io::Write as _;

    use super::*;
    use crate::audit::{Action, AuditLog};
    use crate::store::tests::Folder;

    fn record(second: u32, action: Action, alert: Option<&str>) -> Record {
        Record {
            time: format!("2027-01-31T00:00:{second:02}.000000Z"),
            who: "uid 0 (root)".into(),
            action,
            alert: alert.map(str::to_owned),
            detail: Some(format!("number {second}, 100% 'sure'")),
            ..Record::default()
        }
    }

    fn seconds(store: &Store, filter: &Filter, before: Option<i64>) -> Vec<String> {
        let found = store.read(|connection| search(connection, filter, before, 3)).unwrap();
        found.iter().map(|entry| entry.record.time[17..19].to_owned()).collect()
    }

    #[test]
    fn the_database_follows_the_log() {
        let folder = Folder::new("follow-audit");
        let store = Store::open(&folder.database()).unwrap();
        let dir = folder.0.clone();
        // No log, no records.
        store.follow_audit(&dir).unwrap();
        let mut log = AuditLog::open(&dir);
        for second in 0..4 {
            log.record(&record(second, Action::Placed, None));
        }
        log.record(&record(4, Action::Alert, Some("a1")));
        store.follow_audit(&dir).unwrap();
        store.follow_audit(&dir).unwrap();
        let all = Filter::default();
        assert_eq!(seconds(&store, &all, None), ["04", "03", "02"]);
        let page = store.read(|connection| search(connection, &all, None, 3)).unwrap();
        assert_eq!(seconds(&store, &all, Some(page[2].key)), ["01", "00"]);
        let filters = [
            (Filter { action: Some("alert".into()), ..Filter::default() }, 1),
            (Filter { alert: Some("a1".into()), ..Filter::default() }, 1),
            (Filter { text: Some("NUMBER 2".into()), ..Filter::default() }, 1),
            (Filter { text: Some("% 's".into()), ..Filter::default() }, 3),
            (Filter { text: Some("_".into()), ..Filter::default() }, 0),
            (Filter { since: Some("2027-01-31T00:00:03".into()), ..Filter::default() }, 2),
        ];
        for (filter, count) in filters {
            assert_eq!(seconds(&store, &filter, None).len(), count, "{filter:?}");
        }

        // A line that is still being written waits; a damaged one is counted.
        let path = dir.join(FILE);
        let line = serde_json::to_string(&record(5, Action::Mode, None)).unwrap();
        let mut file = OpenOptions::new().append(true).open(&path).unwrap();
        write!(file, "nonsense\n{line}").unwrap();
        store.follow_audit(&dir).unwrap();
        assert_eq!(seconds(&store, &all, None)[0], "04");
        writeln!(file).unwrap();
        store.follow_audit(&dir).unwrap();
        assert_eq!(seconds(&store, &all, None)[0], "05");
        assert_eq!(store.read(damaged).unwrap(), 1);

        // Begun again: what was known stays, and nothing is there twice.
        fs::write(&path, format!("{line}\n")).unwrap();
        AuditLog::open(&dir).record(&record(6, Action::Mode, None));
        store.follow_audit(&dir).unwrap();
        assert_eq!(seconds(&store, &all, None), ["06", "05", "04"]);
    }
}
