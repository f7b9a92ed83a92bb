//! What happens, for whoever looks at it as it does: the agent tells, pages listen.
//!
//! Who tells never waits: a page that is too slow misses events and is told to look anew.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use serde::Serialize;
use tokio::sync::{OwnedSemaphorePermit, Semaphore, broadcast};
use tokio::time::{MissedTickBehavior, interval};

use super::App;
use super::status::{self, StatusBody, Stored};

/// Events that a slow page may be behind.
const BEHIND: usize = 256;
/// Pages that listen at once.
const PAGES: usize = 64;
const TICK: Duration = Duration::from_secs(1);
/// How long what the agent said of itself holds.
const FRESH: Duration = Duration::from_secs(5);
/// How often the database is asked how many alerts there are, though nobody said that they changed.
const LOOK_AGAIN: Duration = Duration::from_secs(15);

/// What is told, ready to be sent.
#[derive(Clone, Debug)]
pub struct Event {
    pub(super) name: &'static str,
    pub(super) text: Arc<str>,
}

/// What may change; a page that shows it looks anew.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
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

    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Alerts => "alerts",
            Self::Blocks => "blocks",
            Self::Allow => "allow",
            Self::Mode => "mode",
            Self::Captures => "captures",
            Self::Deliveries => "deliveries",
            Self::Models => "models",
            Self::Contacts => "contacts",
        }
    }
}

impl Event {
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

    /// Something is no longer as it was; `id` where it is a single thing.
    #[must_use]
    pub fn change(what: Topic, id: Option<&str>) -> Self {
        Self::of("change", &serde_json::json!({ "what": what.name(), "id": id }))
    }

    fn of(name: &'static str, value: &impl Serialize) -> Self {
        // Our own types have nothing that JSON cannot hold.
        let text = serde_json::to_string(value).unwrap_or_default();
        Self { name, text: text.into() }
    }
}

/// Shared by the agent and the pages.
#[derive(Debug)]
pub struct Live {
    /// What the agent said last, and when.
    said: Mutex<Option<(StatusBody, Instant)>>,
    /// That and what the database says.
    status: Mutex<Arc<StatusBody>>,
    events: broadcast::Sender<Event>,
    places: Arc<Semaphore>,
    alerts_changed: AtomicBool,
}

impl Default for Live {
    fn default() -> Self {
        Self {
            said: Mutex::default(),
            status: Mutex::default(),
            events: broadcast::Sender::new(BEHIND),
            places: Arc::new(Semaphore::new(PAGES)),
            alerts_changed: AtomicBool::new(true),
        }
    }
}

impl Live {
    /// Takes what the agent says of itself, once a second. What the database knows (`alerts`,
    /// `store`) is filled in here.
    pub fn publish_status(&self, status: StatusBody) {
        *lock(&self.said) = Some((status, Instant::now()));
    }

    /// Tells every page. Never waits.
    pub fn emit(&self, event: Event) {
        if event.name == "alert" || event.text.contains(r#""what":"alerts""#) {
            self.alerts_changed.store(true, Ordering::Relaxed);
        }
        // Without a page there is nobody to tell.
        drop(self.events.send(event));
    }

    /// The latest status.
    #[must_use]
    pub fn status(&self) -> Arc<StatusBody> {
        Arc::clone(&lock(&self.status))
    }

    /// A place among the pages that listen; none where there are too many.
    pub(super) fn listen(&self) -> Option<(broadcast::Receiver<Event>, OwnedSemaphorePermit)> {
        let place = Arc::clone(&self.places).try_acquire_owned().ok()?;
        Some((self.events.subscribe(), place))
    }

    /// Ends what every page listens to.
    pub(super) fn close(&self) {
        self.places.close();
        drop(self.events.send(Event { name: END, text: "".into() }));
    }

    fn said(&self) -> Option<StatusBody> {
        let said = lock(&self.said);
        said.as_ref().filter(|(_, when)| when.elapsed() < FRESH).map(|(status, _)| status.clone())
    }

    fn set(&self, status: StatusBody) {
        let status = Arc::new(status);
        *lock(&self.status) = Arc::clone(&status);
        if self.events.receiver_count() != 0 {
            self.emit(Event::of("status", &*status));
        }
    }
}

/// The event after which there are none.
pub(super) const END: &str = "end";

/// Joins, once a second, what the agent says with what the database knows.
pub(super) async fn tick(app: App) {
    let mut ticks = interval(TICK);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let mut stored = Stored::default();
    let mut asked: Option<Instant> = None;
    loop {
        ticks.tick().await;
        let changed = app.live.alerts_changed.swap(false, Ordering::Relaxed);
        if changed || asked.is_none_or(|asked| asked.elapsed() >= LOOK_AGAIN) {
            match status::stored(&app).await {
                Ok(found) => stored = found,
                Err(problem) => tracing::debug!("no count of alerts: {problem}"),
            }
            asked = Some(Instant::now());
        }
        let said = app.live.said();
        let body = said.unwrap_or_else(|| status::without_agent(&app));
        app.live.set(body.with_stored(&app, &stored));
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn who_listens_hears_and_there_are_so_many_at_most() {
        let live = Live::default();
        live.emit(Event::change(Topic::Mode, None));
        let (mut events, _place) = live.listen().unwrap();
        live.emit(Event::change(Topic::Blocks, Some("4")));
        let event = events.try_recv().unwrap();
        assert_eq!((event.name, &*event.text), ("change", r#"{"id":"4","what":"blocks"}"#));
        let places: Vec<_> = std::iter::from_fn(|| live.listen()).collect();
        assert_eq!(places.len(), PAGES - 1);
        drop(places);
        assert!(live.listen().is_some());
        live.close();
        assert!(live.listen().is_none());
        assert_eq!(events.try_recv().map(|event| event.name), Ok(END));
    }
}
