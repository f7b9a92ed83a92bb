//! The threads that send: for the outbox one that makes messages of alerts, and one for each
//! channel; and as many that read no database, for what it does not take.
//!
//! Of several programs on one database only one empties the outbox: it holds a lock on a file
//! beside the database, which the system takes from it when it ends, however it ends.

use std::fs::{File, TryLockError};
use std::path::PathBuf;
use std::sync::{Arc, Condvar, Mutex, PoisonError};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use anyhow::Context as _;

use super::backoff;
use super::counters::channel_counters;
use super::direct::Direct;
use super::gather::{self, Desk, Paces};
use super::memory::{Memory, Message};
use super::pace::Pace;
use super::send::{Failure, Sender};
use crate::clock::now_ns;
use crate::config::notify::{Channel, Notify};
use crate::status::sinks::{Board, Counters};
use crate::store::Store;
use crate::store::outbox::{self, Outcome, Outgoing};

/// The longest time between two looks at the outbox: others write to it too.
const LOOK: Duration = Duration::from_secs(1);
/// How often what is over is forgotten.
const FORGET: Duration = Duration::from_secs(3_600);
/// How long an end waits for attempts that are under way.
const END: Duration = Duration::from_secs(5);
const DAY_SECS: u64 = 86_400;

/// Notifies people until it is dropped. Attempts that are under way then get a few seconds.
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

/// What a notifier works with, whatever its settings.
#[derive(Clone)]
pub struct Resources {
    /// None where nothing is stored.
    pub store: Option<Store>,
    pub memory: Arc<Memory>,
    /// Where each channel has its counters.
    pub board: Arc<Board>,
    /// What links begin with.
    pub base_url: String,
    pub hear: Hear,
}

/// Starts to notify people.
#[must_use]
pub fn start(resources: Resources, notify: Notify) -> Notifier {
    let signal = Arc::new(Signal::default());
    let own = Arc::clone(&signal);
    let thread = thread::spawn(move || run(&resources, &notify, &own));
    Notifier { signal, thread: Some(thread) }
}

fn run(resources: &Resources, notify: &Notify, signal: &Arc<Signal>) {
    let pace = |channel: &Channel| {
        let per_minute = channel.per_minute().unwrap_or(notify.per_minute);
        let pace = Pace::new(per_minute, now_ns());
        (channel.name().to_owned(), Arc::new(Mutex::new(pace)))
    };
    let paces: Paces = notify.channels.iter().map(pace).collect();
    let memory = || Source::Memory(Arc::clone(&resources.memory));
    thread::scope(|scope| {
        if !notify.channels.is_empty() {
            scope.spawn(|| run_lines(resources, notify, &paces, memory, signal));
            scope.spawn(|| send_directly(resources, notify, &paces, signal));
        }
        if let Some(store) = &resources.store {
            empty_outbox(resources, store, notify, &paces, signal);
        }
    });
}

/// Sends from the outbox, as soon as nobody else does.
fn empty_outbox(
    resources: &Resources,
    store: &Store,
    notify: &Notify,
    paces: &Paces,
    signal: &Signal,
) {
    let Some(lock) = lock(store, signal) else { return };
    let outbox = || Source::Outbox { store: store.clone(), unrecorded: None };
    thread::scope(|scope| {
        scope.spawn(|| run_lines(resources, notify, paces, outbox, signal));
        gather_all(resources, store, notify, paces, signal);
    });
    drop(lock);
}

/// Runs a thread for each channel until the end.
fn run_lines(
    resources: &Resources,
    notify: &Notify,
    paces: &Paces,
    source: impl Fn() -> Source,
    signal: &Signal,
) {
    thread::scope(|scope| {
        for channel in &notify.channels {
            let Some(pace) = paces.get(channel.name()) else { continue };
            let line = Line::new(resources, channel.clone(), notify, Arc::clone(pace), source());
            scope.spawn(|| line.run(signal));
        }
    });
}

/// Makes messages of what the database has not taken.
fn send_directly(resources: &Resources, notify: &Notify, paces: &Paces, signal: &Signal) {
    let Resources { store, memory, board, base_url, .. } = resources;
    let mut direct = Direct::new(memory, notify, base_url, paces, board, store.is_some());
    let mut seen = 0;
    while !signal.has_ended() {
        if direct.turn(now_ns()) {
            signal.wake();
        }
        note_promises(resources, notify);
        signal.wait(&mut seen, LOOK);
    }
}

/// Says of every channel whether what it sends would survive a crash.
fn note_promises(resources: &Resources, notify: &Notify) {
    let store = resources.store.as_ref();
    let failing = store.is_none_or(|store| store.health().state().failing.is_some());
    for channel in &notify.channels {
        let in_memory = failing || resources.memory.queued(channel.name()) != 0;
        let note = "the database is unavailable, so new messages are in memory only: a crash of \
            the agent loses them";
        let counters = channel_counters(&resources.board, channel.name());
        counters.set_note(in_memory.then_some(note));
    }
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
            Ok(None) if !told => {
                tracing::info!("another program sends the messages of this database")
            }
            Ok(None) => {}
            Err(error) if !told => tracing::error!("failed to start sending messages: {error:#}"),
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
    resources: &Resources,
    store: &Store,
    notify: &Notify,
    paces: &Paces,
    signal: &Signal,
) {
    let Resources { memory, base_url, hear, .. } = resources;
    let desk = Desk { store, memory, notify, base_url, paces };
    let (mut seen, mut failing) = (0, false);
    let mut forgotten: Option<Instant> = None;
    while !signal.has_ended() {
        let now = now_ns();
        let mut work = || {
            memory.set_rules(store.read(|connection| gather::known_rules(connection, notify))?);
            count_queued(resources, store, notify)?;
            let any = gather::gather(desk, now)?;
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
                tracing::error!("failed to compose messages: {error:#}");
            }
            Err(_) => {}
        }
        signal.wait(&mut seen, until_due(store, now_ns()));
    }
}

/// Says of every channel how much waits for it.
fn count_queued(resources: &Resources, store: &Store, notify: &Notify) -> anyhow::Result<()> {
    for channel in &notify.channels {
        let name = channel.name();
        let queued = store.read(|connection| outbox::queued(connection, name))?;
        let counters = channel_counters(&resources.board, name);
        counters.set_waiting(queued + resources.memory.queued(name));
    }
    Ok(())
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
            let why = format!("there is no channel `{channel}`");
            outbox::give_up(connection, &channel, before, &why, now_ns)?;
            outbox::hold(connection, &channel, &format!("held: {why}"))
        })?;
    }
    Ok(())
}

/// Where a channel's messages come from.
enum Source {
    Outbox {
        store: Store,
        /// What became of a message, where the database could not be written to: it is not sent
        /// again.
        unrecorded: Option<(i64, Outcome, u64)>,
    },
    Memory(Arc<Memory>),
}

/// A channel's thread: what it sends, and when it may.
struct Line {
    source: Source,
    name: String,
    sender: Sender,
    pace: Arc<Mutex<Pace>>,
    counters: Arc<Counters>,
    hear: Hear,
    longest_wait: Duration,
    give_up: Duration,
    /// Attempts in a row that the channel itself was at fault for.
    failures: u32,
    /// Nothing is tried before then.
    paused_until_ns: u64,
}

impl Line {
    fn new(
        resources: &Resources,
        channel: Channel,
        notify: &Notify,
        pace: Arc<Mutex<Pace>>,
        source: Source,
    ) -> Self {
        Self {
            source,
            name: channel.name().to_owned(),
            counters: channel_counters(&resources.board, channel.name()),
            sender: Sender::new(channel, Duration::from_secs(notify.timeout_secs)),
            pace,
            hear: Arc::clone(&resources.hear),
            longest_wait: Duration::from_secs(notify.max_wait_secs),
            give_up: Duration::from_secs(notify.give_up_secs),
            failures: 0,
            paused_until_ns: 0,
        }
    }

    fn run(mut self, signal: &Signal) {
        let mut seen = 0;
        while !signal.has_ended() {
            match self.send_next() {
                Ok(true) => {}
                // The store reports its own failures; here they are a reason to wait.
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
        if now < self.paused_until_ns || self.pace().available(now) == 0 {
            return Ok(false);
        }
        let Some(message) = self.next(now)? else { return Ok(false) };
        // The channel's other thread may have been faster: one over the pace is not one too many.
        self.pace().take(now);
        let sent = self.sender.send(&message);
        let outcome = self.assess(&message, sent);
        self.count(&outcome);
        self.settle(message, outcome);
        self.record()?;
        (self.hear)();
        Ok(true)
    }

    fn pace(&self) -> std::sync::MutexGuard<'_, Pace> {
        self.pace.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn next(&self, now_ns: u64) -> anyhow::Result<Option<Outgoing>> {
        match &self.source {
            Source::Outbox { store, .. } => {
                store.read(|connection| outbox::next(connection, &self.name, now_ns))
            }
            Source::Memory(memory) => Ok(memory.pop(&self.name, now_ns)),
        }
    }

    fn count(&self, outcome: &Outcome) {
        match outcome {
            Outcome::Sent => self.counters.write(1),
            Outcome::Again { error, .. } => self.counters.retry(error),
            Outcome::Failed { error } => self.counters.fail(1, error),
        }
    }

    /// Notes what became of a message; one that is to be tried again waits.
    fn settle(&mut self, message: Outgoing, outcome: Outcome) {
        match &mut self.source {
            Source::Outbox { unrecorded, .. } => {
                *unrecorded = Some((message.id, outcome, now_ns()));
            }
            Source::Memory(memory) => {
                let Outcome::Again { at_ns, error } = outcome else { return };
                let outgoing = Outgoing { attempts: message.attempts + 1, ..message };
                if !memory.push(&self.name, Message { at_ns, outgoing }) {
                    self.counters.fail(1, &error);
                }
            }
        }
    }

    /// Writes down what became of the last message of the outbox.
    fn record(&mut self) -> anyhow::Result<()> {
        let Source::Outbox { store, unrecorded } = &mut self.source else { return Ok(()) };
        let Some((id, outcome, time_ns)) = unrecorded.clone() else { return Ok(()) };
        let (name, failures) = (self.name.clone(), self.failures);
        let give_up = u64::try_from(self.give_up.as_nanos()).unwrap_or(u64::MAX);
        let given_up = store.write(move |connection| {
            outbox::record(connection, id, &outcome, time_ns)?;
            // Those behind it have not been tried and would not have gone out either.
            let (Outcome::Failed { error } | Outcome::Again { error, .. }, 1..) =
                (&outcome, failures)
            else {
                return Ok((0, String::new()));
            };
            let before = time_ns.saturating_sub(give_up);
            let given_up = outbox::give_up(connection, &name, before, error, time_ns)?;
            Ok((given_up, error.clone()))
        })?;
        *unrecorded = None;
        if let (given_up @ 1.., error) = given_up {
            self.counters.fail(given_up as u64, &error);
        }
        Ok(())
    }

    fn assess(&mut self, message: &Outgoing, sent: Result<(), Failure>) -> Outcome {
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
                tracing::warn!("channel {}: the server refused a message: {error}", self.name);
                return Outcome::Failed { error };
            }
            Failure::Channel { wait: wished, .. } => {
                self.failures += 1;
                if self.failures == 1 {
                    tracing::warn!("channel {} fails, and its messages wait: {error}", self.name);
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
            tracing::warn!("channel {}: gave up a message: {error}", self.name);
            return Outcome::Failed { error: format!("given up: {error}") };
        }
        Outcome::Again { at_ns: now + nanos(wait), error }
    }
}

fn nanos(duration: Duration) -> u64 {
    u64::try_from(duration.as_nanos()).unwrap_or(u64::MAX)
}
