//! What goes into the store: alerts, traffic, baselines. Written by a thread of its own.
//!
//! The agent never waits for a disk. What the store cannot take is tried again while there is room
//! to keep it; what there is no room for is counted and told.

use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::mpsc::{Receiver, RecvTimeoutError, SyncSender, sync_channel};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use crate::alerts::Origin;
use crate::clock;
use crate::flow::traffic_log::{MAX_LINES, TrafficBatch};
use crate::response::ChangeKind;
use crate::store::alerts::{NewAlert, TimelinePoint};
use crate::store::traffic::Carried;
use crate::store::upkeep::Retention;
use crate::store::{Connection, Failure, Store, alerts, baselines, traffic};
use crate::verdict::{Alert, AlertId};

/// Things that may wait for the disk: alerts take about 4 kB each.
const WAITING: usize = 4_096;
/// Lines of pages that may wait for the disk: four pages of the most sessions, some 40 MB.
const LINES_WAITING: usize = 4 * MAX_LINES;
/// Things that are written together.
const TOGETHER: usize = 1_024;
/// How long a store that does not take anything is left alone.
const PAUSE: Duration = Duration::from_secs(1);
/// At the end of a run, how often a last write is tried.
const LAST_TRIES: u32 = 3;
/// How often what is too old is looked for.
const UPKEEP: Duration = Duration::from_secs(60);

/// Something to be kept.
#[derive(Debug)]
pub(super) enum Entry {
    Alert(Box<Alert>),
    /// Something was done about an alert after it was told.
    Action {
        alert: AlertId,
        time_ns: u64,
        change: ChangeKind,
    },
    /// What was carried in a part of the minute that begins at `minute`.
    Traffic {
        minute: u64,
        carried: Carried,
        page: Box<TrafficBatch>,
    },
    /// The alerts that follow were judged by the model of this hash.
    Model(String),
    /// The alerts that follow were judged by the configuration of this hash, and all is kept for so
    /// long from now on.
    Settings {
        config_hash: String,
        retention: Retention,
    },
    /// What was learned about hosts.
    Baselines(Vec<([u8; 16], String)>),
}

impl Entry {
    fn kind(&self) -> &'static str {
        match self {
            Self::Alert(_) => "alerts",
            Self::Action { .. } => "actions",
            Self::Traffic { .. } => "minutes",
            Self::Model(_) => "models",
            Self::Settings { .. } => "settings",
            Self::Baselines(_) => "baselines",
        }
    }

    fn lines(&self) -> usize {
        match self {
            Self::Traffic { page, .. } => page.lines.len(),
            _ => 0,
        }
    }
}

/// What every alert of this run is stored with.
#[derive(Clone, Debug)]
pub(super) struct Marks {
    pub(super) model_hash: String,
    pub(super) config_hash: String,
}

/// The agent's end. Dropped, it waits until what it was given is written or given up.
#[derive(Debug)]
pub(super) struct Recorder {
    store: Store,
    /// Lines of the pages that it was given and that are not written yet.
    lines: Arc<AtomicUsize>,
    /// Taken at the end: that is how the thread learns of it when it waits.
    entries: Option<SyncSender<Entry>>,
    /// That is how it learns of it while it tries to write.
    ending: Arc<AtomicBool>,
    thread: Option<JoinHandle<()>>,
}

impl Drop for Recorder {
    fn drop(&mut self) {
        self.ending.store(true, Ordering::Relaxed);
        drop(self.entries.take());
        if let Some(Err(_)) = self.thread.take().map(JoinHandle::join) {
            tracing::error!("the writer of the store panicked");
        }
    }
}

impl Recorder {
    /// Writes to `store`; `told` is called after alerts were stored.
    pub(super) fn start(
        store: Store,
        marks: Marks,
        retention: Retention,
        state_dir: PathBuf,
        told: impl Fn(&[AlertId]) + Send + 'static,
    ) -> Self {
        let (entries, waiting) = sync_channel(WAITING);
        let ending = Arc::new(AtomicBool::new(false));
        let lines = Arc::new(AtomicUsize::new(0));
        let mut writer = Writing {
            store: store.clone(),
            marks,
            retention,
            lines: Arc::clone(&lines),
            ending: Arc::clone(&ending),
            state_dir,
        };
        let thread = thread::spawn(move || writer.run(&waiting, &told));
        Self { store, lines, entries: Some(entries), ending, thread: Some(thread) }
    }

    pub(super) fn store(&self) -> &Store {
        &self.store
    }

    /// Whether a page of so many lines may wait with the others.
    pub(super) fn has_room_for(&self, lines: usize) -> bool {
        self.lines.load(Ordering::Relaxed) + lines <= LINES_WAITING
    }

    /// Hands something over to be kept, or counts it where there is no room.
    pub(super) fn offer(&self, entry: Entry) {
        let (kind, lines) = (entry.kind(), entry.lines());
        self.lines.fetch_add(lines, Ordering::Relaxed);
        let taken = self.entries.as_ref().is_some_and(|entries| entries.try_send(entry).is_ok());
        if !taken {
            self.lines.fetch_sub(lines, Ordering::Relaxed);
            self.store.health().give_up(kind, 1);
        }
    }
}

struct Writing {
    store: Store,
    marks: Marks,
    retention: Retention,
    lines: Arc<AtomicUsize>,
    ending: Arc<AtomicBool>,
    /// Where the audit log is.
    state_dir: PathBuf,
}

impl Writing {
    fn run(&mut self, waiting: &Receiver<Entry>, told: &impl Fn(&[AlertId])) {
        let mut upkeep = Instant::now();
        loop {
            let batch = match waiting.recv_timeout(UPKEEP) {
                Ok(first) => {
                    let mut batch = vec![first];
                    batch.extend(waiting.try_iter().take(TOGETHER - 1));
                    batch
                }
                Err(RecvTimeoutError::Timeout) => Vec::new(),
                Err(RecvTimeoutError::Disconnected) => return,
            };
            if !batch.is_empty() {
                let alerts = alerts_of(&batch);
                let lines = batch.iter().map(Entry::lines).sum();
                self.write_in_turn(batch);
                self.lines.fetch_sub(lines, Ordering::Relaxed);
                if !alerts.is_empty() {
                    told(&alerts);
                }
            }
            if upkeep.elapsed() >= UPKEEP {
                upkeep = Instant::now();
                self.look_after();
            }
        }
    }

    /// Writes a batch in pieces, each of which was judged by one model and one configuration.
    fn write_in_turn(&mut self, batch: Vec<Entry>) {
        let mut piece = Vec::with_capacity(batch.len());
        for entry in batch {
            match entry {
                Entry::Model(hash) => {
                    self.write(std::mem::take(&mut piece));
                    self.marks.model_hash = hash;
                }
                Entry::Settings { config_hash, retention } => {
                    self.write(std::mem::take(&mut piece));
                    self.marks.config_hash = config_hash;
                    self.retention = retention;
                }
                entry => piece.push(entry),
            }
        }
        self.write(piece);
    }

    /// Writes a batch, again and again while the store may recover.
    fn write(&self, batch: Vec<Entry>) {
        if batch.is_empty() {
            return;
        }
        let (batch, marks) = (Arc::new(batch), Arc::new(self.marks.clone()));
        let mut tries = 0;
        loop {
            let (entries, marks) = (Arc::clone(&batch), Arc::clone(&marks));
            let written = self.store.write(move |connection| {
                entries.iter().try_for_each(|entry| put(connection, entry, &marks))
            });
            let Err(error) = written else { return };
            tries += 1;
            let kind = Failure::of(&error);
            let hopeless = matches!(kind, Failure::Damaged | Failure::Other);
            let last = tries >= LAST_TRIES && self.ending.load(Ordering::Relaxed);
            if kind == Failure::Other && batch.len() > 1 {
                // One of them is refused for what it is: the others shall not go with it.
                match Arc::try_unwrap(batch) {
                    Ok(entries) => entries.into_iter().for_each(|entry| self.write(vec![entry])),
                    Err(batch) => self.give_up(&batch, &error),
                }
                return;
            }
            if hopeless || last {
                return self.give_up(&batch, &error);
            }
            thread::sleep(PAUSE);
        }
    }

    fn give_up(&self, entries: &[Entry], error: &anyhow::Error) {
        tracing::error!("{} things could not be stored: {error:#}", entries.len());
        for entry in entries {
            self.store.health().give_up(entry.kind(), 1);
        }
    }

    fn look_after(&self) {
        if let Err(error) = self.store.follow_audit(&self.state_dir) {
            tracing::debug!("the audit log cannot be searched whole: {error:#}");
        }
        match self.store.keep_within(self.retention, clock::now_secs()) {
            Ok(forgotten) if forgotten.alerts != 0 => {
                tracing::info!("{} old alerts were forgotten", forgotten.alerts);
            }
            Ok(_) => {}
            Err(error) => tracing::warn!("failed to look after the database: {error:#}"),
        }
    }
}

/// The alerts in a batch, as many as pages can follow.
fn alerts_of(batch: &[Entry]) -> Vec<AlertId> {
    const TOLD: usize = 100;
    let alert = |entry: &Entry| match entry {
        Entry::Alert(alert) => Some(alert.id),
        Entry::Action { alert, .. } => Some(*alert),
        Entry::Traffic { .. } | Entry::Model(_) | Entry::Settings { .. } | Entry::Baselines(_) => {
            None
        }
    };
    batch.iter().filter_map(alert).take(TOLD).collect()
}

fn put(connection: &Connection, entry: &Entry, marks: &Marks) -> anyhow::Result<()> {
    match entry {
        Entry::Alert(alert) => {
            let Marks { model_hash, config_hash } = marks;
            let new = NewAlert { alert, origin: Origin::Live, model_hash, config_hash };
            alerts::insert(connection, &new).map(drop)
        }
        Entry::Action { alert, time_ns, change } => {
            let Some(key) = alerts::key_of(connection, *alert)? else { return Ok(()) };
            alerts::note_action(connection, key, *time_ns, TimelinePoint::Changed(*change))
        }
        Entry::Traffic { minute, carried, page } => {
            traffic::add(connection, *minute, carried, page)
        }
        // It is settled before anything is written.
        Entry::Model(_) | Entry::Settings { .. } => Ok(()),
        Entry::Baselines(learned) => baselines::keep(connection, clock::now_secs(), learned),
    }
}
