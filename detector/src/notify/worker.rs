//! The threads that empty the outbox: one that makes messages of alerts, and one for each channel.
//!
//! Of several programs on one database only one sends: it holds a lock on a file beside the
//! database, which the system takes from it when it ends, however it ends.

use std::fs::{File, TryLockError};
use std::path::PathBuf;
use std::sync::{Arc, Condvar, Mutex, PoisonError};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use anyhow::Context as _;

use super::backoff;
use super::gather::{self, Paces};
use super::pace::Pace;
use super::send::{Failure, Sender};
use crate::clock::now_ns;
use crate::config::notify::{Channel, Notify};
use crate::store::Store;
use crate::store::outbox::{self, Outcome, Outgoing};

/// The longest time between two looks at the outbox: others write to it too.
const LOOK: Duration = Duration::from_secs(1);
/// How often what is over is forgotten.
const FORGET: Duration = Duration::from_secs(3_600);
/// How long an end waits for attempts that are under way.
const END: Duration = Duration::from_secs(5);
const DAY_SECS: u64 = 86_400;

/// Tells people until it is dropped. Attempts that are under way then get a few seconds.
#[derive(Debug)]
pub struct Notifier {
    signal: Arc<Signal>,
    thread: Option<JoinHandle<()>>,
}

impl Notifier {
    /// Says that there may be something new. Cheap, from any thread.
    pub fn wake(&self) {
        self.signal.wake();
    }
}

impl Drop for Notifier {
    fn drop(&mut self) {
        self.signal.stop();
        let Some(thread) = self.thread.take() else { return };
        let end = Instant::now() + END;
        while !thread.is_finished() && Instant::now() < end {
            thread::sleep(Duration::from_millis(10));
        }
        // A thread that still waits for a server is left to the end of the process: what it was
        // sending stays in the outbox.
        if thread.is_finished() && thread.join().is_err() {
            tracing::error!("the notifier panicked");
        }
    }
}

/// Wakes all threads, or ends them.
#[derive(Debug, Default)]
struct Signal {
    state: Mutex<SignalState>,
    changed: Condvar,
}

#[derive(Clone, Copy, Debug, Default)]
struct SignalState {
    /// Grows each time that there may be something new.
    news: u64,
    ended: bool,
}

impl Signal {
    fn wake(&self) {
        self.lock().news += 1;
        self.changed.notify_all();
    }

    fn stop(&self) {
        self.lock().ended = true;
        self.changed.notify_all();
    }

    fn has_ended(&self) -> bool {
        self.lock().ended
    }

    /// Waits for something newer than `seen`, the end, or so long.
    fn wait(&self, seen: &mut u64, at_most: Duration) {
        let state = self.lock();
        let last = *seen;
        let waited = self
            .changed
            .wait_timeout_while(state, at_most, |state| !state.ended && state.news == last);
        *seen = waited.unwrap_or_else(PoisonError::into_inner).0.news;
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, SignalState> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Who is to hear that something became of messages. It must not wait.
pub type Hear = Arc<dyn Fn() + Send + Sync>;

/// Starts to tell people. `base_url` is what links begin with.
#[must_use]
pub fn start(store: Store, notify: Notify, base_url: &str, hear: Hear) -> Notifier {
    let signal = Arc::new(Signal::default());
    let base_url = base_url.to_owned();
    let own = Arc::clone(&signal);
    let thread = thread::spawn(move || run(&store, &notify, &base_url, &hear, &own));
    Notifier { signal, thread: Some(thread) }
}

fn run(store: &Store, notify: &Notify, base_url: &str, hear: &Hear, signal: &Arc<Signal>) {
    let Some(lock) = lock(store, signal) else { return };
    let paces: Paces = notify
        .channels
        .iter()
        .map(|channel| {
            let per_minute = channel.per_minute().unwrap_or(notify.per_minute);
            let pace = Pace::new(per_minute, now_ns());
            (channel.name().to_owned(), Arc::new(Mutex::new(pace)))
        })
        .collect();
    let lines: Vec<JoinHandle<()>> = notify
        .channels
        .iter()
        .filter_map(|channel| {
            let pace = Arc::clone(paces.get(channel.name())?);
            let line = Line::new(store.clone(), channel.clone(), notify, pace, Arc::clone(hear));
            let signal = Arc::clone(signal);
            Some(thread::spawn(move || line.run(&signal)))
        })
        .collect();
    gather_all(store, notify, base_url, &paces, hear, signal);
    for line in lines {
        if line.join().is_err() {
            tracing::error!("a channel's thread panicked");
        }
    }
    drop(lock);
}

/// Waits until nobody else sends from this database; none where the end comes first.
fn lock(store: &Store, signal: &Signal) -> Option<File> {
    let mut path = store.path().as_os_str().to_owned();
    path.push("-notify");
    let path = PathBuf::from(path);
    let mut seen = 0;
    let mut told = false;
    while !signal.has_ended() {
        match try_lock(&path) {
            Ok(Some(file)) => return Some(file),
            Ok(None) if !told => tracing::info!("another program sends from this database"),
            Ok(None) => {}
            Err(error) if !told => tracing::error!("nothing can be sent yet: {error:#}"),
            Err(_) => {}
        }
        told = true;
        signal.wait(&mut seen, LOOK);
    }
    None
}

fn try_lock(path: &PathBuf) -> anyhow::Result<Option<File>> {
    let open = || File::options().create(true).truncate(false).write(true).open(path);
    let file = open().with_context(|| format!("failed to open {}", path.display()))?;
    match file.try_lock() {
        Ok(()) => Ok(Some(file)),
        Err(TryLockError::WouldBlock) => Ok(None),
        Err(TryLockError::Error(error)) => {
            Err(error).with_context(|| format!("failed to lock {}", path.display()))
        }
    }
}

fn gather_all(
    store: &Store,
    notify: &Notify,
    base_url: &str,
    paces: &Paces,
    hear: &Hear,
    signal: &Signal,
) {
    let (mut seen, mut failing) = (0, false);
    let mut forgotten: Option<Instant> = None;
    while !signal.has_ended() {
        let now = now_ns();
        let mut work = || {
            let any = gather::gather(store, notify, base_url, paces, now)?;
            hold_unconfigured(store, notify, now)?;
            if forgotten.is_none_or(|at| at.elapsed() >= FORGET) {
                let keep = Duration::from_secs(u64::from(notify.keep_days) * DAY_SECS);
                store.write(move |connection| outbox::forget(connection, keep, now))?;
                forgotten = Some(Instant::now());
            }
            anyhow::Ok(any)
        };
        match work() {
            Ok(any) => {
                failing = false;
                if any {
                    hear();
                    signal.wake();
                }
            }
            // Once, not every second: the store's health says the rest.
            Err(error) if !failing => {
                failing = true;
                tracing::error!("failed to put messages together: {error:#}");
            }
            Err(_) => {}
        }
        signal.wait(&mut seen, until_due(store, now_ns()));
    }
}

/// Until the next alert is due, no longer than [`LOOK`].
fn until_due(store: &Store, now_ns: u64) -> Duration {
    let next = store.read(|connection| outbox::next_due(connection, now_ns)).ok().flatten();
    next.map_or(LOOK, |next| Duration::from_nanos(next.saturating_sub(now_ns)).min(LOOK))
}

/// What no thread here will send: why, and after a while the end of it.
fn hold_unconfigured(store: &Store, notify: &Notify, now_ns: u64) -> anyhow::Result<()> {
    for channel in store.read(outbox::waiting_channels)? {
        if notify.channel(&channel).is_some() {
            continue;
        }
        let before = now_ns.saturating_sub(notify.give_up_secs.saturating_mul(1_000_000_000));
        store.write(move |connection| {
            let why = format!("no channel `{channel}` is configured");
            outbox::give_up(connection, &channel, before, &why, now_ns)?;
            outbox::hold(connection, &channel, &format!("held: {why}"))
        })?;
    }
    Ok(())
}

/// A channel's thread: what it sends, and when it may.
struct Line {
    store: Store,
    name: String,
    sender: Sender,
    pace: Arc<Mutex<Pace>>,
    hear: Hear,
    longest_wait: Duration,
    give_up: Duration,
    /// Attempts in a row that the channel itself was at fault for.
    failures: u32,
    /// Nothing is tried before then.
    paused_until_ns: u64,
    /// What became of a message, where the database could not be written to: it is not sent again.
    unrecorded: Option<(i64, Outcome, u64)>,
}

impl Line {
    fn new(
        store: Store,
        channel: Channel,
        notify: &Notify,
        pace: Arc<Mutex<Pace>>,
        hear: Hear,
    ) -> Self {
        Self {
            store,
            name: channel.name().to_owned(),
            sender: Sender::new(channel, Duration::from_secs(notify.timeout_secs)),
            pace,
            hear,
            longest_wait: Duration::from_secs(notify.max_wait_secs),
            give_up: Duration::from_secs(notify.give_up_secs),
            failures: 0,
            paused_until_ns: 0,
            unrecorded: None,
        }
    }

    fn run(mut self, signal: &Signal) {
        let mut seen = 0;
        while !signal.has_ended() {
            match self.send_next() {
                Ok(true) => {}
                // The store tells of its own failures; here they are a reason to wait.
                Ok(false) | Err(_) => signal.wait(&mut seen, self.until_next()),
            }
        }
    }

    fn until_next(&self) -> Duration {
        let pause = Duration::from_nanos(self.paused_until_ns.saturating_sub(now_ns()));
        if pause.is_zero() { LOOK } else { pause.min(LOOK) }
    }

    /// Sends one message, if there is one whose time has come.
    fn send_next(&mut self) -> anyhow::Result<bool> {
        self.record()?;
        let now = now_ns();
        if now < self.paused_until_ns {
            return Ok(false);
        }
        let next = self.store.read(|connection| outbox::next(connection, &self.name, now))?;
        let Some(message) = next else { return Ok(false) };
        if !self.pace.lock().unwrap_or_else(PoisonError::into_inner).take(now) {
            return Ok(false);
        }
        let sent = self.sender.send(&message);
        let outcome = self.judge(&message, sent);
        self.unrecorded = Some((message.id, outcome, now_ns()));
        self.record()?;
        (self.hear)();
        Ok(true)
    }

    /// Writes down what became of the last message.
    fn record(&mut self) -> anyhow::Result<()> {
        let Some((id, outcome, time_ns)) = self.unrecorded.clone() else { return Ok(()) };
        let (name, failures) = (self.name.clone(), self.failures);
        let give_up = u64::try_from(self.give_up.as_nanos()).unwrap_or(u64::MAX);
        self.store.write(move |connection| {
            outbox::record(connection, id, &outcome, time_ns)?;
            // Those behind it have not been tried and would not have gone out either.
            if let (Outcome::Failed { error } | Outcome::Again { error, .. }, 1..) =
                (&outcome, failures)
            {
                let before = time_ns.saturating_sub(give_up);
                outbox::give_up(connection, &name, before, error, time_ns)?;
            }
            Ok(())
        })?;
        self.unrecorded = None;
        Ok(())
    }

    fn judge(&mut self, message: &Outgoing, sent: Result<(), Failure>) -> Outcome {
        let now = now_ns();
        let Err(failure) = sent else {
            if self.failures != 0 {
                tracing::info!("channel {} works again", self.name);
            }
            self.failures = 0;
            return Outcome::Sent;
        };
        let error = failure.error().to_owned();
        let mut wait = backoff::wait(message.attempts + 1, &message.mark, self.longest_wait);
        match failure {
            Failure::Refused(_) => {
                tracing::warn!("channel {}: a message was refused: {error}", self.name);
                return Outcome::Failed { error };
            }
            Failure::Channel { wait: wished, .. } => {
                self.failures += 1;
                if self.failures == 1 {
                    tracing::warn!("channel {} fails, messages wait: {error}", self.name);
                }
                let own = backoff::wait(self.failures, &self.name, self.longest_wait);
                let pause = own.max(wished.unwrap_or_default().min(self.longest_wait));
                self.paused_until_ns = now + nanos(pause);
                wait = wait.min(pause);
            }
            Failure::Later(_) => {}
        }
        let age = Duration::from_nanos(now.saturating_sub(message.time_ns));
        if age >= self.give_up {
            tracing::warn!("channel {}: a message was given up: {error}", self.name);
            return Outcome::Failed { error: format!("given up: {error}") };
        }
        Outcome::Again { at_ns: now + nanos(wait), error }
    }
}

fn nanos(duration: Duration) -> u64 {
    u64::try_from(duration.as_nanos()).unwrap_or(u64::MAX)
}
