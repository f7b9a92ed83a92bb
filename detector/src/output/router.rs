//! Hands every event to the outputs that want it. Handing over never waits: an output that is too
//! slow misses events, which its counters say, and the others miss none.
//!
//! Shutdown is in two steps. First every output that does not wait for the summary writes what it
//! was given and ends ([`Router::drain`]), so that the summary can say what became of all of it;
//! then the others get the summary and end ([`Router::finish`]). An output that makes no progress
//! for [`STUCK`] is left behind: a pipe that nobody reads must not keep the program from ending.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{Receiver, RecvTimeoutError, SyncSender, TrySendError, sync_channel};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use anyhow::Context as _;

use super::{Event, Kind, Summary};
use crate::status::sinks::{Board, Counters};
use crate::units;

/// Events that are written together.
const TOGETHER: usize = 1_024;
/// The longest time between two calls of [`Sink::idle`].
const IDLE: Duration = Duration::from_secs(60);
/// Outputs recurse into nothing: a quarter of the usual stack leaves room where memory is scarce.
const STACK_BYTES: usize = 512 << 10;
/// An output that writes nothing for so long at the end of a run is given up.
const STUCK: Duration = Duration::from_secs(30);
/// How often the end looks whether an output is done.
const LOOK: Duration = Duration::from_millis(5);

/// Somewhere that events go to. Its methods run on a thread of their own and may wait.
pub trait Sink: Send {
    /// As counters, status and metrics show it.
    fn name(&self) -> &'static str;

    /// The kinds of event that it is given.
    fn wants(&self) -> &'static [Kind];

    /// Events that may wait for it.
    fn queue_length(&self) -> usize {
        4_096
    }

    /// Writes events that waited together, in their order, and reports on each of them.
    fn write(&mut self, events: &[Event], progress: &mut Progress);

    /// Called between writes, at least once a minute.
    fn idle(&mut self) {}

    /// Called by the giving side with every event that there was no room for. It must not wait.
    fn on_drop(&self) -> Option<OnDrop> {
        None
    }
}

/// What else is done about an event that was dropped.
pub type OnDrop = Box<dyn Fn(&Event) + Send>;

/// What became of the events that a sink was given.
#[derive(Debug)]
pub struct Progress {
    name: &'static str,
    counters: Arc<Counters>,
    ending: Arc<AtomicBool>,
    error: Option<anyhow::Error>,
}

impl Progress {
    /// So many events are written.
    pub fn written(&self, events: usize) {
        self.counters.write(events as u64);
    }

    /// So many events are given up. The first failure is logged, the last is kept.
    pub fn failed(&mut self, events: usize, error: anyhow::Error) {
        if self.error.is_none() {
            tracing::error!("failed to write results to {}: {error:#}", self.name);
        }
        self.counters.fail(events as u64, &format!("{error:#}"));
        self.error = Some(error);
    }

    /// A write failed and will be tried again.
    pub fn retry(&self, error: &anyhow::Error) {
        self.counters.retry(&format!("{error:#}"));
    }

    /// Whether the run is ending: a write that fails now must not be tried forever.
    #[must_use]
    pub fn is_ending(&self) -> bool {
        self.ending.load(Ordering::Relaxed)
    }

    /// Writes events one by one; one that fails does not keep the next from being tried.
    pub fn each(&mut self, events: &[Event], mut write: impl FnMut(&Event) -> anyhow::Result<()>) {
        for event in events {
            match write(event) {
                Ok(()) => self.written(1),
                Err(error) => self.failed(1, error),
            }
        }
    }
}

/// The giving end. Dropped, it lets every output write what it was given.
#[derive(Debug)]
pub struct Router {
    outputs: Vec<Output>,
    board: Arc<Board>,
}

/// A sink behind its queue.
struct Output {
    name: &'static str,
    wants: &'static [Kind],
    on_drop: Option<OnDrop>,
    counters: Arc<Counters>,
    /// Dropped at the end: that is how a thread that waits learns of it.
    queue: Option<SyncSender<Event>>,
    /// That is how it learns of it while it writes.
    ending: Arc<AtomicBool>,
    thread: Option<JoinHandle<Option<anyhow::Error>>>,
}

impl Router {
    /// A router whose outputs have their counters on `board`.
    #[must_use]
    pub fn new(board: Arc<Board>) -> Self {
        Self { outputs: Vec::new(), board }
    }

    /// Registers an output and starts its thread.
    pub fn add(&mut self, sink: impl Sink + 'static) -> anyhow::Result<()> {
        let (queue, events) = sync_channel(sink.queue_length());
        let (name, wants, on_drop) = (sink.name(), sink.wants(), sink.on_drop());
        let counters = self.board.register(name);
        let ending = Arc::new(AtomicBool::new(false));
        let progress = Progress {
            name,
            counters: Arc::clone(&counters),
            ending: Arc::clone(&ending),
            error: None,
        };
        let thread = thread::Builder::new()
            .name(name.to_owned())
            .stack_size(STACK_BYTES)
            .spawn(move || run(sink, &events, progress))
            .with_context(|| format!("failed to start the thread of the output {name}"))?;
        let (queue, thread) = (Some(queue), Some(thread));
        self.outputs.push(Output { name, wants, on_drop, counters, queue, ending, thread });
        Ok(())
    }

    /// The counters of all outputs.
    #[must_use]
    pub fn board(&self) -> &Board {
        &self.board
    }

    /// Hands an event to every output that wants it. Never waits.
    pub fn give(&self, event: &Event) {
        let kind = event.kind();
        for output in self.outputs.iter().filter(|output| output.wants.contains(&kind)) {
            output.give(event);
        }
    }

    /// Lets every output that does not want the summary write what it was given, and ends it.
    pub fn drain(&mut self) {
        let (waiting, mut others): (Vec<Output>, Vec<Output>) = std::mem::take(&mut self.outputs)
            .into_iter()
            .partition(|output| output.wants.contains(&Kind::Summary));
        self.outputs = waiting;
        drop(end(&mut others));
    }

    /// Hands the summary to the outputs that want it, lets them write everything, and ends them.
    /// Returns the last failure of each output that had one, by name.
    pub fn finish(mut self, summary: Summary) -> Vec<(&'static str, anyhow::Error)> {
        self.drain();
        let summary = Event::Summary(Arc::new(summary));
        for output in &self.outputs {
            output.give_last(&summary);
        }
        end(&mut self.outputs)
    }
}

impl Drop for Router {
    fn drop(&mut self) {
        drop(end(&mut self.outputs));
    }
}

impl std::fmt::Debug for Output {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.debug_struct("Output").field("name", &self.name).finish_non_exhaustive()
    }
}

impl Output {
    fn give(&self, event: &Event) {
        // Counted first: the thread may have written it before this continues.
        self.counters.take(1);
        let taken = self.queue.as_ref().is_some_and(|queue| queue.try_send(event.clone()).is_ok());
        if !taken {
            self.counters.drop_taken(1);
            if let Some(on_drop) = &self.on_drop {
                on_drop(event);
            }
        }
    }

    /// Waits for room, as long as the output makes progress.
    fn give_last(&self, event: &Event) {
        let Some(queue) = &self.queue else { return };
        let mut patience = Patience::new(&self.counters);
        let mut waiting = event.clone();
        self.counters.take(1);
        loop {
            match queue.try_send(waiting) {
                Ok(()) => return,
                Err(TrySendError::Full(event)) if patience.lasts() => {
                    waiting = event;
                    thread::sleep(LOOK);
                }
                Err(_) => return self.counters.drop_taken(1),
            }
        }
    }
}

/// Ends outputs side by side and waits for each. Returns their last failures.
fn end(outputs: &mut Vec<Output>) -> Vec<(&'static str, anyhow::Error)> {
    for output in outputs.iter_mut() {
        output.ending.store(true, Ordering::Relaxed);
        output.queue = None;
    }
    outputs.drain(..).filter_map(|output| Some((output.name, join(output)?))).collect()
}

fn join(mut output: Output) -> Option<anyhow::Error> {
    let thread = output.thread.take()?;
    let mut patience = Patience::new(&output.counters);
    while !thread.is_finished() && patience.lasts() {
        thread::sleep(LOOK);
    }
    if !thread.is_finished() {
        let left = output.counters.queued();
        output.counters.drop_taken(left);
        return Some(given_up(
            &output,
            format!(
                "the output took no event for {STUCK:?}: {} lost",
                units::counted(left, "event")
            ),
        ));
    }
    thread.join().unwrap_or_else(|_| Some(given_up(&output, "its thread panicked".to_owned())))
}

/// Says why an output did not end by itself: nobody but standard output's reader looks at failures.
fn given_up(output: &Output, why: String) -> anyhow::Error {
    tracing::error!("gave up the output {}: {why}", output.name);
    anyhow::Error::msg(why)
}

/// Lasts while an output makes progress.
struct Patience<'a> {
    counters: &'a Counters,
    finished: u64,
    since: Instant,
}

impl<'a> Patience<'a> {
    fn new(counters: &'a Counters) -> Self {
        Self { counters, finished: counters.finished(), since: Instant::now() }
    }

    fn lasts(&mut self) -> bool {
        let finished = self.counters.finished();
        if finished != self.finished {
            (self.finished, self.since) = (finished, Instant::now());
        }
        self.since.elapsed() < STUCK
    }
}

fn run(
    mut sink: impl Sink,
    events: &Receiver<Event>,
    mut progress: Progress,
) -> Option<anyhow::Error> {
    loop {
        match events.recv_timeout(IDLE) {
            Ok(first) => {
                let mut together = vec![first];
                together.extend(events.try_iter().take(TOGETHER - 1));
                sink.write(&together, &mut progress);
            }
            Err(RecvTimeoutError::Timeout) => {}
            Err(RecvTimeoutError::Disconnected) => return progress.error,
        }
        sink.idle();
    }
}
