//! What the responder keeps on disk: the audit log and the state file, written by a thread.
//!
//! Whoever hands something over never waits for the disk. A person's request is answered by the
//! thread, once everything that the request changed is on disk. Where the disk fails, or takes too
//! long, the answer says so.

use std::io;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc::{Receiver, RecvTimeoutError, SyncSender, sync_channel};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread;
use std::time::Duration;

use anyhow::Context as _;

use crate::audit::{AuditLog, Record};
use crate::state::{Kept, State};

/// Changes that wait for a slow disk.
const WAITING: usize = 16_384;
/// How long an answer waits for the disk.
pub(in crate::agent) const WRITTEN_WITHIN: Duration = Duration::from_secs(5);
/// How long the end of a run waits for the disk.
const END_WITHIN: Duration = Duration::from_secs(10);

/// Where records and state go.
pub(super) trait Disk: Send {
    /// Appends a record, and returns once it is on disk.
    fn append(&mut self, record: &Record) -> io::Result<()>;

    /// Puts a state in the place of the former one, and returns once it is on disk.
    fn save(&mut self, state: &Kept) -> anyhow::Result<()>;
}

/// The two files in the state directory.
pub(super) struct Files {
    pub(super) log: AuditLog,
    pub(super) state: State,
}

impl Disk for Files {
    fn append(&mut self, record: &Record) -> io::Result<()> {
        self.log.append(record)
    }

    fn save(&mut self, state: &Kept) -> anyhow::Result<()> {
        self.state.save(state)
    }
}

/// Called with what could not be written, none where all is on disk.
pub(in crate::agent) type Answer = Box<dyn FnOnce(Option<String>) + Send>;

/// An answer that waits for the disk. It is given once, by whoever is first.
#[derive(Clone)]
pub(in crate::agent) struct Waiting(Arc<Mutex<Option<Answer>>>);

impl Waiting {
    fn new(answer: Answer) -> Self {
        Self(Arc::new(Mutex::new(Some(answer))))
    }

    fn give(&self, unwritten: Option<String>) {
        let answer = self.0.lock().unwrap_or_else(PoisonError::into_inner).take();
        if let Some(answer) = answer {
            answer(unwritten);
        }
    }

    /// The disk took too long: the answer is given without it, if it was not given yet.
    pub(in crate::agent) fn give_up(&self) {
        let seconds = WRITTEN_WITHIN.as_secs();
        self.give(Some(format!(
            "the change is active, but not in the audit log yet: the disk was busy for {seconds} s"
        )));
    }
}

/// What one change is followed by.
#[derive(Default)]
pub(super) struct Batch {
    pub(super) records: Vec<Record>,
    pub(super) state: Option<Kept>,
}

impl Batch {
    fn is_empty(&self) -> bool {
        self.records.is_empty() && self.state.is_none()
    }
}

struct Job {
    records: Vec<Record>,
    waiting: Option<Waiting>,
}

/// The giving end. Dropped, it waits for a while until everything is written.
pub(super) struct Writer {
    /// None while it ends.
    jobs: Option<SyncSender<Job>>,
    /// The state to be written next: a later one takes the place of one that waits.
    state: Arc<Mutex<Option<Kept>>>,
    lost: Arc<AtomicU64>,
    /// Closed by the thread's end.
    ended: Receiver<()>,
}

impl Writer {
    pub(super) fn start(disk: impl Disk + 'static) -> anyhow::Result<Self> {
        let (jobs, waiting) = sync_channel(WAITING);
        let (ends, ended) = sync_channel::<()>(0);
        let (state, lost) = (Arc::default(), Arc::default());
        let mut thread = Thread { disk, state: Arc::clone(&state), lost: Arc::clone(&lost) };
        thread::Builder::new()
            .name("policy writer".to_owned())
            .spawn(move || {
                let _ends = ends;
                waiting.into_iter().for_each(|job| thread.write(job));
            })
            .context("failed to start the thread that writes the audit log")?;
        Ok(Self { jobs: Some(jobs), state, lost, ended })
    }

    /// Has everything in `batch` written, and then the answer given. What finds no room in the
    /// queue is counted as lost, and the answer says so at once.
    pub(super) fn write(&self, batch: &mut Batch, answer: Option<Answer>) -> Option<Waiting> {
        if batch.is_empty() && answer.is_none() {
            return None;
        }
        let Batch { records, state } = std::mem::take(batch);
        if let Some(state) = state {
            *self.state.lock().unwrap_or_else(PoisonError::into_inner) = Some(state);
        }
        let waiting = answer.map(Waiting::new);
        let count = records.len() as u64;
        let job = Job { records, waiting: waiting.clone() };
        if self.jobs.as_ref().is_none_or(|jobs| jobs.try_send(job).is_err()) {
            self.lost.fetch_add(count, Ordering::Relaxed);
            if let Some(waiting) = &waiting {
                waiting.give(Some(format!(
                    "the change is active, but not in the audit log: {WAITING} changes wait for \
                     the disk"
                )));
            }
        }
        waiting
    }

    /// Records that were not written.
    pub(super) fn lost(&self) -> u64 {
        self.lost.load(Ordering::Relaxed)
    }
}

impl Drop for Writer {
    fn drop(&mut self) {
        self.jobs = None;
        if self.ended.recv_timeout(END_WITHIN) == Err(RecvTimeoutError::Timeout) {
            tracing::error!(
                "the audit log lacks the last changes of policy: the disk was busy for {} s",
                END_WITHIN.as_secs()
            );
        }
    }
}

/// The taking end.
struct Thread<D> {
    disk: D,
    state: Arc<Mutex<Option<Kept>>>,
    lost: Arc<AtomicU64>,
}

impl<D: Disk> Thread<D> {
    fn write(&mut self, job: Job) {
        let Job { records, waiting } = job;
        let mut unwritten = self
            .save()
            .err()
            .map(|error| format!("the change is active, but a restart may lose it: {error:#}"));
        for record in &records {
            if let Err(error) = self.disk.append(record) {
                self.lost.fetch_add(1, Ordering::Relaxed);
                unwritten =
                    Some(format!("the change is active, but not in the audit log: {error}"));
            }
        }
        if let Some(waiting) = waiting {
            waiting.give(unwritten);
        }
    }

    fn save(&mut self) -> anyhow::Result<()> {
        let state = self.state.lock().unwrap_or_else(PoisonError::into_inner).take();
        let Some(state) = state else { return Ok(()) };
        let saved = self.disk.save(&state);
        if let Err(error) = &saved {
            tracing::error!("a restart may lose exceptions and unblocked pairs: {error:#}");
        }
        saved
    }
}
