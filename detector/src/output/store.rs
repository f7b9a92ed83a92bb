//! The database as an output: alerts, what was done about them, traffic, baselines.
//!
//! What the database cannot take is tried again while there is room to keep it; what there is no
//! room for is counted by what it was.

use std::path::PathBuf;
use std::sync::Arc;
use std::thread;
use std::time::{Duration, Instant};

use super::{Event, Kind, OnDrop, Progress, Settings, Sink};
use crate::alerts::Origin;
use crate::clock;
use crate::store::alerts::{NewAlert, TimelinePoint};
use crate::store::kept::{self, Kept};
use crate::store::upkeep::Retention;
use crate::store::{Connection, Failure, Store, alerts, traffic};
use crate::verdict::AlertId;

/// How long a database that does not take anything is left alone.
const PAUSE: Duration = Duration::from_secs(1);
/// At the end of a run, how often a last write is tried.
const LAST_TRIES: u32 = 3;
/// How often what is too old is looked for.
const UPKEEP: Duration = Duration::from_secs(60);

/// An alert that is on the disk.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Confirmation {
    pub id: AlertId,
    /// None: what was done about it changed, not the alert.
    pub revision: Option<u32>,
}

/// Called after alerts were stored. It must not wait.
pub type OnStored = Box<dyn Fn(&[Confirmation]) + Send>;

/// Writes to the database.
pub struct StoreSink {
    store: Store,
    /// None until the first settings came.
    settings: Option<Arc<Settings>>,
    /// Where the audit log is.
    state_dir: PathBuf,
    on_stored: OnStored,
    upkeep: Instant,
}

impl StoreSink {
    #[must_use]
    pub fn new(store: Store, state_dir: PathBuf, on_stored: OnStored) -> Self {
        Self { store, settings: None, state_dir, on_stored, upkeep: Instant::now() }
    }

    /// Writes events that were scored by the same settings, again and again while the database may
    /// recover.
    fn write_alike(&self, events: &[Event], progress: &mut Progress) {
        if events.is_empty() {
            return;
        }
        let mut tries = 0;
        loop {
            let (shared, settings) = (events.to_vec(), self.settings.clone());
            let written = self.store.write(move |connection| {
                shared.iter().try_for_each(|event| put(connection, event, settings.as_deref()))
            });
            let Err(error) = written else {
                progress.written(events.len());
                return self.report(events);
            };
            tries += 1;
            let kind = Failure::of(&error);
            if kind == Failure::Other && events.len() > 1 {
                // One of them is refused for what it is: the others shall not go with it.
                return events.chunks(1).for_each(|one| self.write_alike(one, progress));
            }
            let hopeless = matches!(kind, Failure::Damaged | Failure::Other);
            if hopeless || (tries >= LAST_TRIES && progress.is_ending()) {
                for event in events {
                    self.store.health().give_up(what(event.kind()), 1);
                }
                return progress.failed(events.len(), error);
            }
            progress.retry(&error);
            thread::sleep(PAUSE);
        }
    }

    fn report(&self, events: &[Event]) {
        let stored: Vec<Confirmation> = events.iter().filter_map(stored_alert).collect();
        if !stored.is_empty() {
            (self.on_stored)(&stored);
        }
    }

    fn look_after(&self, retention: Retention) {
        if let Err(error) = self.store.follow_audit(&self.state_dir) {
            tracing::debug!(
                "failed to read the whole audit log, so a search is incomplete: {error:#}"
            );
        }
        match self.store.keep_within(retention, clock::now_secs()) {
            Ok(forgotten) if forgotten.alerts != 0 => {
                tracing::info!("deleted {}", crate::units::counted(forgotten.alerts, "old alert"));
            }
            Ok(_) => {}
            Err(error) => tracing::warn!("failed to maintain the database: {error:#}"),
        }
    }
}

impl Sink for StoreSink {
    fn name(&self) -> &'static str {
        "store"
    }

    fn wants(&self) -> &'static [Kind] {
        &[Kind::Alert, Kind::Change, Kind::Traffic, Kind::Baselines, Kind::Accounts, Kind::Settings]
    }

    /// Writes in pieces, each of which was scored by the same settings.
    fn write(&mut self, events: &[Event], progress: &mut Progress) {
        for piece in events.chunk_by(|_, next| next.kind() != Kind::Settings) {
            let rest = match piece {
                [Event::Settings(settings), rest @ ..] => {
                    self.settings = Some(Arc::clone(settings));
                    progress.written(1);
                    rest
                }
                all => all,
            };
            self.write_alike(rest, progress);
        }
    }

    fn idle(&mut self) {
        let Some(settings) = &self.settings else { return };
        if self.upkeep.elapsed() >= UPKEEP {
            self.upkeep = Instant::now();
            self.look_after(settings.retention);
        }
    }

    fn on_drop(&self) -> Option<OnDrop> {
        let health = self.store.health().clone();
        Some(Box::new(move |event| health.give_up(what(event.kind()), 1)))
    }
}

/// What an event is called where it could not be stored.
fn what(kind: Kind) -> &'static str {
    match kind {
        Kind::Alert => "alerts",
        Kind::Change => "actions",
        Kind::Traffic => "minutes",
        Kind::Baselines => Kept::Baselines.name(),
        Kind::Accounts => Kept::Accounts.name(),
        Kind::Settings => "settings",
        Kind::Flow | Kind::Status | Kind::Summary => "others",
    }
}

/// What was given up, as a summary counts it.
pub fn not_stored(store: &Store) -> impl Iterator<Item = (&'static str, u64)> {
    let name = |kind: &str| match kind {
        "alerts" => "alerts_not_stored",
        "actions" => "actions_not_stored",
        "minutes" => "minutes_not_stored",
        "baselines" => "baselines_not_stored",
        "ledger accounts" => "ledger_accounts_not_stored",
        "sessions for room" => "sessions_forgotten_for_room",
        "alerts for room" => "alerts_forgotten_for_room",
        _ => "others_not_stored",
    };
    store.health().state().not_stored.into_iter().map(move |(kind, count)| (name(kind), count))
}

fn stored_alert(event: &Event) -> Option<Confirmation> {
    let of = |id: AlertId, revision| Confirmation { id, revision };
    match event {
        Event::Alert(alert) => Some(of(alert.id, Some(alert.revision))),
        Event::Change(changed) => changed.change.alert.map(|alert| of(alert, None)),
        _ => None,
    }
}

fn put(connection: &Connection, event: &Event, settings: Option<&Settings>) -> anyhow::Result<()> {
    match event {
        Event::Alert(alert) => {
            let hashes = settings.map(|settings| (&*settings.model_hash, &*settings.config_hash));
            let (model_hash, config_hash) = hashes.unwrap_or_default();
            let new = NewAlert { alert, origin: Origin::Live, model_hash, config_hash };
            alerts::insert(connection, &new).map(drop)
        }
        Event::Change(changed) => {
            let Some(alert) = changed.change.alert else { return Ok(()) };
            let Some(key) = alerts::key_of(connection, alert)? else { return Ok(()) };
            let point = TimelinePoint::Changed(changed.change.kind);
            alerts::note_action(connection, key, changed.time_ns, point)
        }
        Event::Traffic(minute) => {
            traffic::add(connection, minute.minute, &minute.carried, &minute.batch)
        }
        Event::Baselines(learned) => {
            kept::keep(connection, Kept::Baselines, clock::now_secs(), learned)
        }
        Event::Accounts(texts) => {
            let now_secs = clock::now_secs();
            kept::keep(connection, Kept::Accounts, now_secs, &texts.accounts)?;
            kept::keep(connection, Kept::Services, now_secs, &texts.services)
        }
        Event::Flow(_) | Event::Status(_) | Event::Settings(_) | Event::Summary(_) => Ok(()),
    }
}
