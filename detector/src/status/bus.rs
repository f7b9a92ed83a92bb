//! The event bus of live pages: outputs and handlers publish, pages listen.
//!
//! Publishing never waits: a page that is too slow misses events and is asked to reload.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use serde::Serialize;
use tokio::sync::{OwnedSemaphorePermit, Semaphore, broadcast};
use utoipa::ToSchema;

use super::StatusBody;
use super::sinks::Board;

/// Events that a slow page may be behind.
const BEHIND: usize = 256;
/// Pages that listen at once.
const PAGES: usize = 64;
/// How long a status of the agent is valid.
const FRESH: Duration = Duration::from_secs(5);

/// An event of the stream that pages read, ready to be sent.
#[derive(Clone, Debug)]
pub struct PageEvent {
    pub name: &'static str,
    pub text: Arc<str>,
}

/// Something is no longer as it was
#[derive(Debug, Serialize, ToSchema)]
pub struct Change {
    what: Topic,
    /// Where it is a single thing
    id: Option<String>,
}

/// What may change; a page that shows it loads it again
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum Topic {
    Alerts,
    Blocks,
    Allow,
    Mode,
    Captures,
    Deliveries,
    Models,
    Contacts,
}

impl Topic {
    pub const ALL: [Self; 8] = [
        Self::Alerts,
        Self::Blocks,
        Self::Allow,
        Self::Mode,
        Self::Captures,
        Self::Deliveries,
        Self::Models,
        Self::Contacts,
    ];
}

impl PageEvent {
    /// An alert that opened, grew or changed, as the API lists it.
    #[must_use]
    pub fn alert(alert: &impl Serialize) -> Self {
        Self::of("alert", alert)
    }

    /// A capture and how far it is, as the API lists it.
    #[must_use]
    pub fn capture(capture: &impl Serialize) -> Self {
        Self::of("capture", capture)
    }

    #[must_use]
    pub fn change(what: Topic, id: Option<&str>) -> Self {
        Self::of("change", &Change { what, id: id.map(str::to_owned) })
    }

    fn of(name: &'static str, value: &impl Serialize) -> Self {
        // Our own types have nothing that JSON cannot hold.
        let text = serde_json::to_string(value).unwrap_or_default();
        Self { name, text: text.into() }
    }
}

/// Shared by outputs, handlers and pages.
#[derive(Debug)]
pub struct Bus {
    /// The agent's latest status, and when it came.
    published: Mutex<Option<(StatusBody, Instant)>>,
    /// That and what the database knows.
    status: Mutex<Arc<StatusBody>>,
    events: broadcast::Sender<PageEvent>,
    places: Arc<Semaphore>,
    alerts_changed: AtomicBool,
    sinks: Arc<Board>,
}

impl Default for Bus {
    fn default() -> Self {
        Self {
            published: Mutex::default(),
            status: Mutex::default(),
            events: broadcast::Sender::new(BEHIND),
            places: Arc::new(Semaphore::new(PAGES)),
            alerts_changed: AtomicBool::new(true),
            sinks: Arc::default(),
        }
    }
}

impl Bus {
    /// The counters of every output of this process.
    #[must_use]
    pub fn sinks(&self) -> &Arc<Board> {
        &self.sinks
    }

    /// Takes the agent's status, once a second. What the database knows (`alerts`, `store`) and the
    /// outputs' counters are added later.
    pub fn publish_status(&self, status: StatusBody) {
        *lock(&self.published) = Some((status, Instant::now()));
    }

    /// Sends an event to every page. Never waits.
    pub fn emit(&self, event: PageEvent) {
        // Without a page there is nobody to receive it.
        drop(self.events.send(event));
    }

    /// Pages load the alerts again, and so does whoever counts them.
    pub fn alerts_changed(&self, id: Option<&str>) {
        self.alerts_changed.store(true, Ordering::Relaxed);
        self.emit(PageEvent::change(Topic::Alerts, id));
    }

    /// Whether alerts have changed since this was asked last.
    pub fn take_alerts_changed(&self) -> bool {
        self.alerts_changed.swap(false, Ordering::Relaxed)
    }

    /// The latest status.
    #[must_use]
    pub fn status(&self) -> Arc<StatusBody> {
        Arc::clone(&lock(&self.status))
    }

    /// The agent's latest status; none where it is old, or there is no agent.
    #[must_use]
    pub fn published(&self) -> Option<StatusBody> {
        let published = lock(&self.published);
        let fresh = published.as_ref().filter(|(_, when)| when.elapsed() < FRESH);
        fresh.map(|(status, _)| status.clone())
    }

    /// Takes the status with everything that the database knows, and sends it to every page.
    pub fn set_status(&self, status: StatusBody) {
        let status = Arc::new(status);
        *lock(&self.status) = Arc::clone(&status);
        if self.events.receiver_count() != 0 {
            self.emit(PageEvent::of("status", &*status));
        }
    }

    /// A place among the pages that listen; none where there are too many.
    #[must_use]
    pub fn listen(&self) -> Option<(broadcast::Receiver<PageEvent>, OwnedSemaphorePermit)> {
        let place = Arc::clone(&self.places).try_acquire_owned().ok()?;
        Some((self.events.subscribe(), place))
    }

    /// Ends what every page listens to.
    pub fn close(&self) {
        self.places.close();
        drop(self.events.send(PageEvent { name: END, text: "".into() }));
    }
}

/// The event after which there are none.
pub const END: &str = "end";

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pages_hear_events_up_to_a_bound() {
        let bus = Bus::default();
        bus.emit(PageEvent::change(Topic::Mode, None));
        let (mut events, _place) = bus.listen().unwrap();
        bus.emit(PageEvent::change(Topic::Blocks, Some("4")));
        let event = events.try_recv().unwrap();
        assert_eq!((event.name, &*event.text), ("change", r#"{"what":"blocks","id":"4"}"#));
        let places: Vec<_> = std::iter::from_fn(|| bus.listen()).collect();
        assert_eq!(places.len(), PAGES - 1);
        drop(places);
        assert!(bus.listen().is_some());
        bus.close();
        assert!(bus.listen().is_none());
        assert_eq!(events.try_recv().map(|event| event.name), Ok(END));
    }
}
