//! A notifier that can be given other settings while it runs.
//!
//! Its threads are ended and others started: what waits is in the outbox, and nothing of it is lost
//! or sent twice on the way.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread;

use super::worker::{Hear, Notifier, start};
use crate::config::notify::Notify;
use crate::store::Store;

/// The notifier that runs at present.
#[derive(Clone)]
pub struct Switch(Arc<Inner>);

struct Inner {
    store: Store,
    base_url: String,
    hear: Hear,
    /// The settings that are to be in force.
    wanted: Mutex<Notify>,
    /// None while one ends and the next begins.
    running: Mutex<Option<Notifier>>,
    /// Held by whoever changes it, so that the last settings win.
    changing: Mutex<()>,
}

impl Switch {
    /// Starts to tell people, as [`start`] does.
    #[must_use]
    pub fn start(store: Store, notify: Notify, base_url: &str, hear: Hear) -> Self {
        let running = start(store.clone(), notify.clone(), base_url, Arc::clone(&hear));
        Self(Arc::new(Inner {
            store,
            base_url: base_url.to_owned(),
            hear,
            wanted: Mutex::new(notify),
            running: Mutex::new(Some(running)),
            changing: Mutex::new(()),
        }))
    }

    /// Says that there may be something new.
    pub fn wake(&self) {
        if let Some(notifier) = &*lock(&self.0.running) {
            notifier.wake();
        }
    }

    /// Tells people by other settings from now on. Does not wait: attempts under way are given a few
    /// seconds first, in a thread of their own.
    pub fn change(&self, notify: Notify) {
        *lock(&self.0.wanted) = notify;
        let inner = Arc::clone(&self.0);
        thread::spawn(move || inner.restart());
    }
}

impl Inner {
    fn restart(&self) {
        let _changing = lock(&self.changing);
        let before = lock(&self.running).take();
        drop(before);
        let wanted = lock(&self.wanted).clone();
        let next = start(self.store.clone(), wanted, &self.base_url, Arc::clone(&self.hear));
        *lock(&self.running) = Some(next);
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
