//! What outlives a run: alerts, traffic by the minute, contacts, messages, captures. The home of
//! SQLite.
//!
//! One thread writes, and joins what waits into one transaction; readers have connections of their
//! own and never wait for it. A write returns once it is on the disk. What cannot be written is an
//! error for whoever asked, is counted by reason, and never stops anything else.

pub mod alerts;
pub mod audit;
pub mod captures;
mod column_sets;
pub mod contacts;
pub mod counts;
mod health;
pub mod kept;
mod migrations;
pub mod models;
pub mod outbox;
pub mod rules;
mod sql;
pub mod tokens;
pub mod traffic;
pub mod upkeep;
mod writer;

use std::fs;
use std::io::Read as _;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use anyhow::{Context as _, bail};
pub use rusqlite::Connection;
use rusqlite::{OpenFlags, Transaction};

pub use health::{Failure, Health, State};
use writer::Writer;

/// How long another program may hold the database before a write fails.
const BUSY: Duration = Duration::from_secs(5);
/// Readers that are kept open.
const READERS: usize = 4;
/// A reader's share of memory, in KiB, negative as SQLite wants it.
const READER_CACHE: i32 = -4_096;
/// The writer's, which holds what the indices of a busy hour write to.
const WRITER_CACHE: i32 = -16_384;
/// Pages of the write-ahead log that go to the database together: one that was written to often in
/// between is written once.
const LOG_PAGES: i32 = 4_000;

/// An open database. Clones share it.
#[derive(Clone, Debug)]
pub struct Store {
    shared: Arc<Shared>,
}

#[derive(Debug)]
struct Shared {
    path: PathBuf,
    readers: Mutex<Vec<Connection>>,
    writer: Writer,
    health: Health,
}

impl Store {
    /// Opens the database at `path`, and makes it where there is none. One that was found to be
    /// damaged is put aside under another name and a new one begun, which is said.
    pub fn open(path: &Path) -> anyhow::Result<Self> {
        Self::try_open(path).with_context(|| format!("failed to open {}", path.display()))
    }

    /// Opens the database at `path`, which is there: for those who only look in while an agent may
    /// be using it.
    pub fn open_existing(path: &Path) -> anyhow::Result<Self> {
        if !path.exists() {
            bail!(
                "there is no database {}: `detector run` or `detector serve` creates it",
                path.display()
            );
        }
        let connection =
            open_for_writing(path).with_context(|| format!("failed to open {}", path.display()))?;
        Ok(Self::with(connection, path))
    }

    fn with(connection: Connection, path: &Path) -> Self {
        let health = Health::new(path);
        let writer = Writer::start(connection, health.clone());
        let path = path.to_owned();
        Self { shared: Arc::new(Shared { path, readers: Mutex::default(), writer, health }) }
    }

    fn try_open(path: &Path) -> anyhow::Result<Self> {
        if let Some(folder) = path.parent().filter(|folder| !folder.as_os_str().is_empty()) {
            fs::create_dir_all(folder)
                .with_context(|| format!("failed to make {}", folder.display()))?;
        }
        health::put_damaged_aside(path)?;
        let connection = match open_for_writing(path) {
            Err(error) if Failure::of(&error) == Failure::Damaged && health::is_ours(path) => {
                health::put_aside(path)?;
                open_for_writing(path)?
            }
            opened => opened?,
        };
        Ok(Self::with(connection, path))
    }

    #[must_use]
    pub fn path(&self) -> &Path {
        &self.shared.path
    }

    #[must_use]
    pub fn health(&self) -> &Health {
        &self.shared.health
    }

    /// Runs `work` in a transaction of its own within the next commit, and returns what it gave
    /// once that is on the disk. Blocks: not for an asynchronous task.
    ///
    /// # Errors
    ///
    /// What `work` says, which then has written nothing; a database that cannot be written to.
    pub fn write<T, F>(&self, work: F) -> anyhow::Result<T>
    where
        T: Send + 'static,
        F: FnOnce(&Connection) -> anyhow::Result<T> + Send + 'static,
    {
        self.shared.writer.write(work)
    }

    /// Runs `work` on one state of the database. Blocks: not for an asynchronous task.
    pub fn read<T>(
        &self,
        work: impl FnOnce(&Connection) -> anyhow::Result<T>,
    ) -> anyhow::Result<T> {
        let kept = self.lock_readers().pop();
        let mut connection = match kept {
            Some(connection) => connection,
            None => open_for_reading(self.path())?,
        };
        let outcome = read_once(&mut connection, work);
        if let Err(error) = &outcome {
            self.shared.health.note_reading(error);
        }
        let mut readers = self.lock_readers();
        if readers.len() < READERS {
            readers.push(connection);
        }
        outcome
    }

    fn lock_readers(&self) -> std::sync::MutexGuard<'_, Vec<Connection>> {
        self.shared.readers.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Whether the file is a database of SQLite, by what it begins with (its file format, section 1.3).
#[must_use]
pub fn is_database(path: &Path) -> bool {
    let mut first = [0; 16];
    let read = fs::File::open(path).and_then(|mut file| file.read_exact(&mut first));
    read.is_ok() && first == *b"SQLite format 3\0"
}

fn read_once<T>(
    connection: &mut Connection,
    work: impl FnOnce(&Connection) -> anyhow::Result<T>,
) -> anyhow::Result<T> {
    let transaction =
        Transaction::new_unchecked(connection, rusqlite::TransactionBehavior::Deferred)?;
    let result = work(&transaction)?;
    transaction.finish()?;
    Ok(result)
}

fn open_for_writing(path: &Path) -> anyhow::Result<Connection> {
    let mut connection = Connection::open(path)?;
    connection.busy_timeout(BUSY)?;
    let mode: String =
        connection.pragma_update_and_check(None, "journal_mode", "wal", |row| row.get(0))?;
    if mode != "wal" {
        bail!(
            "its file system does not support the shared memory of a write-ahead log: use another \
            one"
        );
    }
    connection.pragma_update(None, "synchronous", "full")?;
    connection.pragma_update(None, "foreign_keys", true)?;
    connection.pragma_update(None, "journal_size_limit", 64 << 20)?;
    connection.pragma_update(None, "wal_autocheckpoint", LOG_PAGES)?;
    // What savepoints keep needs no disk.
    connection.pragma_update(None, "temp_store", "memory")?;
    connection.pragma_update(None, "cache_size", WRITER_CACHE)?;
    migrations::migrate(&mut connection)?;
    column_sets::register(&connection)?;
    Ok(connection)
}

fn open_for_reading(path: &Path) -> anyhow::Result<Connection> {
    let flags = OpenFlags::SQLITE_OPEN_READ_ONLY | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let connection = Connection::open_with_flags(path, flags)?;
    connection.busy_timeout(BUSY)?;
    connection.pragma_update(None, "cache_size", READER_CACHE)?;
    Ok(connection)
}

#[cfg(test)]
pub(crate) mod tests;
