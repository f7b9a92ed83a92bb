//! Reading from disk away from the loop: a thread reads, and the loop takes up what was read once
//! it is there. One reading at a time.

use std::sync::Arc;
use std::sync::mpsc::sync_channel;
use std::thread;

use tokio::sync::mpsc::{Receiver, Sender, channel};

use super::Agent;
use crate::control::Answer;
use crate::refusal::Refusal;

/// Reads, away from the loop.
pub(super) type Reading = Box<dyn FnOnce() -> Result<TakeUp, Refusal> + Send>;

/// Has what was read take effect, on the loop.
pub(super) type TakeUp = Box<dyn FnOnce(&mut Agent) -> Result<Answer, Refusal> + Send>;

/// What follows from what was read, or from why it was not.
type Then = Box<dyn FnOnce(&mut Agent, Result<Answer, Refusal>) + Send>;

/// What the loop does once something was read.
pub(super) type Resume = Box<dyn FnOnce(&mut Agent) + Send>;

/// What is being read.
#[derive(Default)]
pub(super) struct Readings {
    /// None before the loop listens.
    done: Option<Sender<Resume>>,
    /// A second one exists while something is being read.
    token: Arc<()>,
    /// A signal asked for a reload meanwhile.
    pub(super) signal_waits: bool,
}

impl Readings {
    /// Where the loop hears of what was read.
    pub(super) fn listen(&mut self) -> Receiver<Resume> {
        let (done, resumes) = channel(1);
        self.done = Some(done);
        resumes
    }

    pub(super) fn is_busy(&self) -> bool {
        Arc::strong_count(&self.token) > 1
    }
}

impl Agent {
    /// Has something read, and `then` called with what came of it, on the loop.
    pub(super) fn read_away(
        &mut self,
        reading: Reading,
        then: impl FnOnce(&mut Self, Result<Answer, Refusal>) + Send + 'static,
    ) {
        if self.readings.is_busy() {
            let busy = "the agent is reading another configuration or model: try again in a moment";
            return then(self, Err(Refusal::unavailable(busy)));
        }
        let (done, token) = (self.readings.done.clone(), Arc::clone(&self.readings.token));
        // Handed over by the thread itself: what a thread that cannot start was given is gone.
        let (hand_over, handed_over) = sync_channel::<Then>(1);
        let started = thread::Builder::new().name("reading".to_owned()).spawn(move || {
            let Ok(then) = handed_over.recv() else { return };
            let read = reading();
            let resume: Resume = Box::new(move |agent| {
                let _until_taken_up = token;
                let outcome = read.and_then(|take_up| take_up(agent));
                then(agent, outcome);
            });
            if done.is_none_or(|done| done.blocking_send(resume).is_err()) {
                tracing::debug!("the agent stopped before it was read");
            }
        });
        match started {
            // There is room for one, and the thread waits for it.
            Ok(_) => drop(hand_over.send(Box::new(then))),
            Err(error) => {
                let text = format!("failed to start the thread that reads it: {error}");
                then(self, Err(Refusal::unavailable(text)));
            }
        }
    }

    /// Takes up what was read, and reads again for a signal that came meanwhile.
    pub(super) fn resume(&mut self, resume: Resume) {
        resume(self);
        if std::mem::take(&mut self.readings.signal_waits) {
            self.reload_by_signal();
        }
    }
}
