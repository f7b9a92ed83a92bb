//! A notifier that can be given other settings while it runs.
//!
//! Its threads are ended and others started: what waits is in the outbox, and nothing of it is lost
//! or sent twice on the way.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

use super::counters::channel_row;
use super::worker::{Notifier, Resources, start};
use crate::clock;
use crate::config::notify::Notify;
use crate::verdict::{Alert, AlertId};

/// How long the end waits for what is in memory only.
const LAST: Duration = Duration::from_secs(5);

/// The notifier that runs at present.
#[derive(Clone)]
pub struct Switch(Arc<Inner>);

struct Inner {
    resources: Resources,
    /// The settings that are to be in force.
    wanted: Mutex<Notify>,
    /// None while one ends and the next begins.
    running: Mutex<Option<Notifier>>,
    /// Held by whoever changes it, so that the last settings win.
    changing: Mutex<()>,
}

impl Switch {
    /// Starts to notify people, as [`start`] does.
    #[must_use]
    pub fn start(resources: Resources, notify: Notify) -> Self {
        let running = start(resources.clone(), notify.clone());
        Self(Arc::new(Inner {
            resources,
            wanted: Mutex::new(notify),
            running: Mutex::new(Some(running)),
            changing: Mutex::new(()),
        }))
    }

    /// Takes an alert that somebody may want to know of. Returns whether there was room for it. It
    /// is sent by the outbox once it is stored, and without the database where it is not stored
    /// soon.
    #[must_use]
    pub fn offer(&self, alert: &Arc<Alert>) -> bool {
        if lock(&self.0.wanted).channels.is_empty() {
            return true;
        }
        let taken = self.0.resources.memory.offer(alert, clock::now_ns());
        if self.0.resources.store.is_none() {
            self.wake();
        }
        taken
    }

    /// Says that this alert is stored, up to this revision.
    pub fn confirm(&self, id: AlertId, revision: u32) {
        self.0.resources.memory.confirm(id, revision);
    }

    /// Says that there may be something new.
    pub fn wake(&self) {
        if let Some(notifier) = &*lock(&self.0.running) {
            notifier.wake();
        }
    }

    /// Ends it. What is in memory only, and attempts under way, are given a few seconds.
    pub fn end(&self) {
        self.0.resources.memory.hurry();
        self.wake();
        let end = Instant::now() + LAST;
        while !self.0.resources.memory.is_empty() && Instant::now() < end {
            thread::sleep(Duration::from_millis(10));
        }
        let _changing = lock(&self.0.changing);
        drop(lock(&self.0.running).take());
    }

    /// Notifies people by other settings from now on. Does not wait: attempts under way are given a
    /// few seconds first, in a thread of their own.
    pub fn change(&self, notify: Notify) {
        let before = std::mem::replace(&mut *lock(&self.0.wanted), notify.clone());
        for channel in before.channels.iter().map(|channel| channel.name()) {
            if notify.channel(channel).is_none() {
                self.0.resources.board.remove(&channel_row(channel));
            }
        }
        let inner = Arc::clone(&self.0);
        let started = thread::Builder::new()
            .name("notifier restart".to_owned())
            .spawn(move || inner.restart());
        if let Err(error) = started {
            tracing::error!(
                "failed to start a thread for the new notify settings, so the old ones stay \
                 active: {error}"
            );
        }
    }
}

impl Inner {
    fn restart(&self) {
        let _changing = lock(&self.changing);
        let before = lock(&self.running).take();
        drop(before);
        let wanted = lock(&self.wanted).clone();
        let next = start(self.resources.clone(), wanted);
        *lock(&self.running) = Some(next);
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
