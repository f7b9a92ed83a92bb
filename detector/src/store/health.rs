//! How the database is doing: why writes fail, what was not stored, and what becomes of a damaged
//! one.

use std::collections::BTreeMap;
use std::fs;
use std::io::Read as _;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};

use anyhow::Context as _;
use rusqlite::ErrorCode;

/// What every SQLite file begins with (the file format's section 1.3.1).
const MAGIC: &[u8; 16] = b"SQLite format 3\0";

/// Why the database cannot be used.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Failure {
    /// No room on the disk, or none allowed.
    Full,
    /// Another program holds it.
    Locked,
    /// What is read makes no sense.
    Damaged,
    /// The disk, or leave to use it.
    Disk,
    /// Not the database: what was asked of it.
    Other,
}

impl Failure {
    /// What kind of failure an error is.
    #[must_use]
    pub fn of(error: &anyhow::Error) -> Self {
        let code = error.chain().find_map(|cause| {
            cause.downcast_ref::<rusqlite::Error>().and_then(rusqlite::Error::sqlite_error_code)
        });
        match code {
            Some(ErrorCode::DiskFull) => Self::Full,
            Some(ErrorCode::DatabaseBusy | ErrorCode::DatabaseLocked) => Self::Locked,
            Some(ErrorCode::DatabaseCorrupt | ErrorCode::NotADatabase) => Self::Damaged,
            Some(
                ErrorCode::SystemIoFailure
                | ErrorCode::CannotOpen
                | ErrorCode::ReadOnly
                | ErrorCode::PermissionDenied,
            ) => Self::Disk,
            _ => Self::Other,
        }
    }

    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Full => "disk full",
            Self::Locked => "locked",
            Self::Damaged => "damaged",
            Self::Disk => "disk",
            Self::Other => "other",
        }
    }
}

/// Shared by whoever reads and writes.
#[derive(Clone, Debug)]
pub struct Health {
    state: Arc<Mutex<State>>,
    path: Arc<Path>,
}

/// A moment of the database's life.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct State {
    /// The last write failed, and why; none: all is well.
    pub failing: Option<String>,
    /// Writes that failed, by reason.
    pub failed: BTreeMap<&'static str, u64>,
    /// What was given up, by what it was: `alerts`, `minutes`, `sessions`.
    pub not_stored: BTreeMap<&'static str, u64>,
}

impl Health {
    pub(super) fn new(path: &Path) -> Self {
        Self { state: Arc::default(), path: path.into() }
    }

    #[must_use]
    pub fn state(&self) -> State {
        self.lock().clone()
    }

    /// Counts what could not be stored and is given up.
    pub fn give_up(&self, what: &'static str, count: u64) {
        if count != 0 {
            *self.lock().not_stored.entry(what).or_default() += count;
        }
    }

    pub(super) fn note_writing(&self, failure: Option<&anyhow::Error>) {
        let mut state = self.lock();
        let Some(error) = failure else {
            if state.failing.take().is_some() {
                tracing::info!("writing to the database works again");
            }
            return;
        };
        let kind = Failure::of(error);
        *state.failed.entry(kind.name()).or_default() += 1;
        let text = format!("{error:#}");
        if state.failing.as_ref() != Some(&text) {
            tracing::error!("failed to write to the database ({}): {text}", kind.name());
        }
        state.failing = Some(text);
        drop(state);
        self.mark_damaged(kind);
    }

    pub(super) fn note_reading(&self, error: &anyhow::Error) {
        self.mark_damaged(Failure::of(error));
    }

    fn mark_damaged(&self, kind: Failure) {
        let mark = damage_mark(&self.path);
        if kind == Failure::Damaged && !mark.exists() {
            tracing::error!(
                "{} is damaged: the next start creates a new database",
                self.path.display()
            );
            if let Err(error) = fs::write(&mark, b"") {
                tracing::error!("failed to write {}: {error}", mark.display());
            }
        }
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Is beside a database in which damage was found.
fn damage_mark(path: &Path) -> PathBuf {
    beside(path, "damaged")
}

fn beside(path: &Path, suffix: &str) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push("-");
    name.push(suffix);
    name.into()
}

/// Puts a database aside in which damage was found by the run before.
pub(super) fn put_damaged_aside(path: &Path) -> anyhow::Result<()> {
    if damage_mark(path).exists() { put_aside(path) } else { Ok(()) }
}

/// Whether the file was a database once: another's file is not touched.
pub(super) fn is_ours(path: &Path) -> bool {
    let mut start = [0; MAGIC.len()];
    fs::File::open(path).and_then(|mut file| file.read_exact(&mut start)).is_ok() && start == *MAGIC
}

/// Renames a database with its log, so that nothing is lost that might be rescued by hand.
pub(super) fn put_aside(path: &Path) -> anyhow::Result<()> {
    let seconds = crate::clock::now_secs();
    let aside = beside(path, &format!("damaged-{seconds}"));
    for suffix in ["wal", "shm"] {
        let log = beside(path, suffix);
        if log.exists() {
            fs::rename(&log, beside(&aside, suffix))
                .with_context(|| format!("failed to rename {}", log.display()))?;
        }
    }
    if path.exists() {
        fs::rename(path, &aside).with_context(|| format!("failed to rename {}", path.display()))?;
        tracing::error!(
            "the database was damaged: renamed it to {} and created a new one",
            aside.display()
        );
    }
    let mark = damage_mark(path);
    if mark.exists() {
        fs::remove_file(&mark).with_context(|| format!("failed to remove {}", mark.display()))?;
    }
    Ok(())
}
