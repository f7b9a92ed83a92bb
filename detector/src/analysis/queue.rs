//! Uploaded captures: where their files are, and the queue in which they are analysed, one at a
//! time.
//!
//! The store knows how far each is, so that a run that ends leaves nothing half done: what waited
//! is taken up again by the next.

use std::collections::{HashMap, VecDeque};
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread;

use anyhow::{Context as _, bail};

use super::capture_file::Reading;
use super::job::{self, Target};
use crate::alerts::Origin;
use crate::clock;
use crate::config::reload::Current;
use crate::decompress::StopCounts;
use crate::model::Model;
use crate::store::Store;
use crate::store::captures::{self, Capture, Stage};

/// Captures that may wait.
const MAX_WAITING: usize = 1_000;

/// Called when a capture changes its state, and during its analysis.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Progress {
    /// This capture.
    Of(i64),
    /// Alerts were stored.
    Alerts,
}

type Tell = Arc<dyn Fn(Progress) + Send + Sync>;

/// Finds the model that is meant: by its hash, or the one in use.
type FindModel = Arc<dyn Fn(Option<&str>) -> anyhow::Result<Arc<Model>> + Send + Sync>;

/// The captures. Clones share them.
#[derive(Clone)]
pub struct Captures {
    shared: Arc<Shared>,
}

struct Shared {
    store: Store,
    config: Current,
    folder: PathBuf,
    tell: Tell,
    find_model: FindModel,
    stops: StopCounts,
    queue: Mutex<Queue>,
    changed: Condvar,
}

#[derive(Default)]
struct Queue {
    waiting: VecDeque<(i64, Option<String>)>,
    /// What is being uploaded or analysed.
    going: HashMap<i64, Arc<Reading>>,
}

/// A capture that is being uploaded: its file is written to by whoever receives it.
#[derive(Debug)]
pub struct Upload {
    pub id: i64,
    pub path: PathBuf,
    reading: Arc<Reading>,
}

impl Upload {
    /// Notes how much is here.
    pub fn note(&self, bytes: u64, expected: Option<u64>) {
        self.reading.note(bytes, expected.unwrap_or(bytes).max(bytes));
    }

    #[must_use]
    pub fn is_cancelled(&self) -> bool {
        self.reading.is_cancelled()
    }
}

impl Captures {
    /// Takes up what an earlier run left, and begins to analyse. `stops` counts the captures that could
    /// not be expanded to their end.
    pub fn start(
        store: Store,
        config: Current,
        find_model: FindModel,
        stops: StopCounts,
        tell: Tell,
    ) -> anyhow::Result<Self> {
        let folder = match store.path().parent() {
            Some(parent) => parent.join("captures"),
            None => PathBuf::from("captures"),
        };
        fs::create_dir_all(&folder)
            .with_context(|| format!("failed to make {}", folder.display()))?;
        let waiting = store.write(captures::take_up)?;
        let queue = Queue {
            waiting: waiting.into_iter().map(|id| (id, None)).collect(),
            going: HashMap::new(),
        };
        let shared = Shared {
            store,
            config,
            folder,
            tell,
            find_model,
            stops,
            queue: Mutex::new(queue),
            changed: Condvar::new(),
        };
        let captures = Self { shared: Arc::new(shared) };
        let worker = captures.clone();
        thread::Builder::new()
            .name("captures".to_owned())
            .spawn(move || worker.work())
            .context("failed to start a thread")?;
        Ok(captures)
    }

    /// Begins an upload.
    pub fn begin_upload(&self, name: &str) -> anyhow::Result<Upload> {
        let shared = &self.shared;
        let name = name.to_owned();
        let id = shared
            .store
            .write(move |connection| captures::begin_upload(connection, &name, clock::now_ns()))?;
        let reading = Arc::new(Reading::default());
        self.lock().going.insert(id, Arc::clone(&reading));
        (shared.tell)(Progress::Of(id));
        Ok(Upload { id, path: self.file(id), reading })
    }

    /// The upload is here whole: it is queued.
    pub fn end_upload(&self, upload: &Upload, bytes: u64, sha256: &str) -> anyhow::Result<()> {
        let (id, sha256) = (upload.id, sha256.to_owned());
        let noted = self
            .shared
            .store
            .write(move |connection| captures::end_upload(connection, id, bytes, &sha256));
        self.lock().going.remove(&id);
        noted?;
        self.put_in_queue(id, None)
    }

    /// The upload came to nothing: it leaves no file.
    pub fn fail_upload(&self, upload: &Upload, why: &str) {
        let stage = if upload.is_cancelled() { Stage::Cancelled } else { Stage::Failed };
        self.lock().going.remove(&upload.id);
        remove_file(&upload.path);
        self.note(upload.id, stage, Some(why));
    }

    /// Analyses a capture again, by the model of this hash.
    pub fn analyse(&self, id: i64, model: Option<&str>) -> anyhow::Result<()> {
        (self.shared.find_model)(model)?;
        anyhow::ensure!(
            self.file(id).exists(),
            "the file of capture {id} is gone: upload it again"
        );
        self.note(id, Stage::Queued, None);
        self.put_in_queue(id, model.map(str::to_owned))
    }

    /// Stops what is in progress with a capture. False where nothing was.
    #[must_use]
    pub fn cancel(&self, id: i64) -> bool {
        let mut queue = self.lock();
        if let Some(reading) = queue.going.get(&id) {
            reading.cancel();
            return true;
        }
        let before = queue.waiting.len();
        queue.waiting.retain(|(waiting, _)| *waiting != id);
        let waited = queue.waiting.len() != before;
        drop(queue);
        if waited {
            self.note(id, Stage::Cancelled, Some("cancelled"));
        }
        waited
    }

    /// Forgets a capture with its alerts and its file. False where there is none.
    pub fn remove(&self, id: i64) -> anyhow::Result<bool> {
        if self.cancel(id) {
            tracing::info!("removing capture {id} during its analysis");
        }
        let removed =
            self.shared.store.write(move |connection| captures::remove(connection, id))?;
        remove_file(&self.file(id));
        (self.shared.tell)(Progress::Of(id));
        Ok(removed)
    }

    /// Bytes that may still be uploaded.
    pub fn room(&self) -> anyhow::Result<u64> {
        let used = self.shared.store.read(captures::total_bytes)?;
        Ok(self.shared.config.get().store.captures_max_bytes.saturating_sub(used))
    }

    /// A capture with how far it is.
    #[must_use]
    pub fn with_progress(&self, mut capture: Capture) -> Capture {
        if let Some(reading) = self.lock().going.get(&capture.id) {
            capture.progress = reading.progress();
        }
        capture
    }

    /// Writes the vectors of a capture.
    pub fn write_features(
        &self,
        id: i64,
        name: &str,
        output: impl std::io::Write,
    ) -> anyhow::Result<()> {
        let model = (self.shared.find_model)(None)?;
        job::write_features(&self.file(id), name, &self.shared.config.get(), model, output)
    }

    fn file(&self, id: i64) -> PathBuf {
        self.shared.folder.join(format!("{id}.pcap"))
    }

    fn put_in_queue(&self, id: i64, model: Option<String>) -> anyhow::Result<()> {
        let mut queue = self.lock();
        if queue.waiting.len() >= MAX_WAITING {
            drop(queue);
            self.note(id, Stage::Failed, Some("the queue is full"));
            bail!("the queue is full: {MAX_WAITING} captures wait; try again when one is done");
        }
        queue.waiting.push_back((id, model));
        drop(queue);
        self.shared.changed.notify_one();
        (self.shared.tell)(Progress::Of(id));
        Ok(())
    }

    fn note(&self, id: i64, stage: Stage, error: Option<&str>) {
        let error = error.map(str::to_owned);
        let noted = self
            .shared
            .store
            .write(move |connection| captures::set_stage(connection, id, stage, error.as_deref()));
        if let Err(error) = noted {
            tracing::error!("failed to store that capture {id} is {}: {error:#}", stage.name());
        }
        (self.shared.tell)(Progress::Of(id));
    }

    fn lock(&self) -> MutexGuard<'_, Queue> {
        self.shared.queue.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn work(&self) {
        loop {
            let (id, model, reading) = self.next();
            let outcome = self.analyse_now(id, model.as_deref(), &reading);
            self.lock().going.remove(&id);
            match outcome {
                _ if reading.is_cancelled() => {
                    self.note(id, Stage::Cancelled, Some("cancelled"));
                }
                Ok(None) => self.note(id, Stage::Done, None),
                Ok(Some(damage)) => self.note(id, Stage::Failed, Some(&damage)),
                Err(error) => {
                    tracing::warn!("failed to analyse capture {id}: {error:#}");
                    self.note(id, Stage::Failed, Some(&format!("{error:#}")));
                }
            }
        }
    }

    fn next(&self) -> (i64, Option<String>, Arc<Reading>) {
        let mut queue = self.lock();
        loop {
            if let Some((id, model)) = queue.waiting.pop_front() {
                let reading = Arc::new(Reading::default());
                queue.going.insert(id, Arc::clone(&reading));
                return (id, model, reading);
            }
            queue = self.shared.changed.wait(queue).unwrap_or_else(PoisonError::into_inner);
        }
    }

    /// Returns what is wrong with the capture, where something is.
    fn analyse_now(
        &self,
        capture: i64,
        model: Option<&str>,
        reading: &Arc<Reading>,
    ) -> anyhow::Result<Option<String>> {
        let Shared { store, config, tell, find_model, stops, .. } = &*self.shared;
        let config = &config.get();
        let model = find_model(model)?;
        let model_hash: Arc<str> = model.hash()?.into();
        let hash = Arc::clone(&model_hash);
        let analysis = store.write(move |connection| {
            captures::begin_analysis(connection, capture, &hash, clock::now_ns())
        })?;
        tell(Progress::Of(capture));
        let told = || tell(Progress::Alerts);
        let target = Target {
            store,
            origin: Origin::Capture { capture, analysis },
            model_hash,
            config_hash: config.hash().into(),
            stops,
            told: &told,
        };
        let outcome =
            job::analyse(&self.file(capture), config, model, &target, Arc::clone(reading));
        let outcome = outcome.unwrap_or_else(|error| captures::Outcome {
            error: Some(format!("{error:#}")),
            skipped: "{}".to_owned(),
            ..captures::Outcome::default()
        });
        let damage = outcome.error.clone();
        store.write(move |connection| captures::end_analysis(connection, analysis, &outcome))?;
        Ok(damage)
    }
}

fn remove_file(path: &Path) {
    if let Err(error) = fs::remove_file(path)
        && error.kind() != std::io::ErrorKind::NotFound
    {
        tracing::warn!("failed to remove {}: {error}", path.display());
    }
}
