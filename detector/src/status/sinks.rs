//! Counters of outputs, by name: every output of the process has one row on the [`Board`].
//!
//! Whoever writes counts, whoever reports reads; neither waits for the other.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use super::{SinkHealth, SinkState};

/// What one output was given, and what became of that.
#[derive(Debug, Default)]
pub struct Counters {
    taken: AtomicU64,
    dropped: AtomicU64,
    written: AtomicU64,
    failed: AtomicU64,
    retried: AtomicU64,
    waiting: AtomicU64,
    /// The latest attempt failed.
    failing: AtomicBool,
    error: Mutex<Option<String>>,
    note: Mutex<Option<String>>,
}

impl Counters {
    /// There was room for so many more.
    pub fn take(&self, count: u64) {
        self.taken.fetch_add(count, Ordering::Relaxed);
    }

    /// So many of those taken are dropped: there was no room after all.
    pub fn drop_taken(&self, count: u64) {
        self.taken.fetch_sub(count, Ordering::Relaxed);
        self.dropped.fetch_add(count, Ordering::Relaxed);
    }

    /// So many wait elsewhere, in an outbox.
    pub fn set_waiting(&self, count: u64) {
        self.waiting.store(count, Ordering::Relaxed);
    }

    /// So many are written.
    pub fn write(&self, count: u64) {
        self.written.fetch_add(count, Ordering::Relaxed);
        self.failing.store(false, Ordering::Relaxed);
    }

    /// So many are given up.
    pub fn fail(&self, count: u64, error: &str) {
        self.failed.fetch_add(count, Ordering::Relaxed);
        self.note_failure(error);
    }

    /// An attempt failed and will be made again.
    pub fn retry(&self, error: &str) {
        self.retried.fetch_add(1, Ordering::Relaxed);
        self.note_failure(error);
    }

    /// Says which promise cannot be kept at present; none: all are.
    pub fn set_note(&self, note: Option<&str>) {
        *lock(&self.note) = note.map(str::to_owned);
    }

    #[must_use]
    pub fn dropped(&self) -> u64 {
        self.dropped.load(Ordering::Relaxed)
    }

    /// Written or given up.
    #[must_use]
    pub fn finished(&self) -> u64 {
        self.written.load(Ordering::Relaxed) + self.failed.load(Ordering::Relaxed)
    }

    /// Taken, and neither written nor given up yet.
    #[must_use]
    pub fn queued(&self) -> u64 {
        let waiting = self.waiting.load(Ordering::Relaxed);
        self.taken.load(Ordering::Relaxed).saturating_sub(self.finished()) + waiting
    }

    /// All of it, as it is reported.
    #[must_use]
    pub fn state(&self, name: &str) -> SinkState {
        let (failed, dropped) = (self.failed.load(Ordering::Relaxed), self.dropped());
        let state = match () {
            () if self.failing.load(Ordering::Relaxed) => SinkHealth::Failing,
            () if failed != 0 || dropped != 0 => SinkHealth::Losing,
            () => SinkHealth::Ok,
        };
        SinkState {
            name: name.to_owned(),
            state,
            queued: self.queued(),
            sent: self.written.load(Ordering::Relaxed),
            failed,
            dropped,
            retried: self.retried.load(Ordering::Relaxed),
            error: lock(&self.error).clone(),
            note: lock(&self.note).clone(),
        }
    }

    fn note_failure(&self, error: &str) {
        self.failing.store(true, Ordering::Relaxed);
        *lock(&self.error) = Some(error.to_owned());
    }
}

/// The counters of all outputs.
#[derive(Debug, Default)]
pub struct Board(Mutex<BTreeMap<String, Arc<Counters>>>);

impl Board {
    /// The counters under this name, which are the same as before where there were any.
    #[must_use]
    pub fn register(&self, name: &str) -> Arc<Counters> {
        Arc::clone(lock(&self.0).entry(name.to_owned()).or_default())
    }

    /// Takes the output off: it is no longer configured.
    pub fn remove(&self, name: &str) {
        lock(&self.0).remove(name);
    }

    /// What was dropped by the output of this name.
    #[must_use]
    pub fn dropped(&self, name: &str) -> u64 {
        lock(&self.0).get(name).map_or(0, |counters| counters.dropped())
    }

    /// How every output is doing, by name.
    #[must_use]
    pub fn states(&self) -> Vec<SinkState> {
        lock(&self.0).iter().map(|(name, counters)| counters.state(name)).collect()
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_output_is_failing_until_it_works_again() {
        let board = Board::default();
        let counters = board.register("file");
        let state = || board.states()[0].clone();
        counters.take(3);
        assert_eq!((state().queued, state().state), (3, SinkHealth::Ok));
        counters.retry("disk full");
        assert_eq!((state().queued, state().state), (3, SinkHealth::Failing));
        counters.write(2);
        assert_eq!((state().queued, state().state), (1, SinkHealth::Ok));
        assert_eq!(state().error.as_deref(), Some("disk full"));
        counters.fail(1, "refused");
        counters.write(0);
        assert_eq!((state().queued, state().state), (0, SinkHealth::Losing));
        board.register("file").take(2);
        board.register("file").drop_taken(2);
        assert_eq!((state().dropped, board.dropped("file")), (2, 2));
        board.remove("file");
        assert!(board.states().is_empty());
    }
}
