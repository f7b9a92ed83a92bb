//! The HTTP API: routes by resource, each with its place in the OpenAPI document.
//!
//! It asks the agent and the store and decides nothing itself. What a client may do is settled
//! before a handler runs, by the group that a route is in.

pub(crate) mod alerts;
mod allow;
mod audit;
mod auth;
mod blocks;
pub mod caller;
mod captures;
mod contacts;
mod doctor;
mod events;
mod explain;
pub mod extract;
mod hosts;
mod interfaces;
mod limits;
mod logs;
mod metrics;
mod middleware;
mod mode;
mod models;
mod notify;
mod openapi;
mod origin;
mod pieces;
mod predict;
pub mod problem;
mod request_parsing;
mod required;
mod routes;
pub mod server;
mod service;
mod session;
mod settings;
pub mod status;
mod tls;
mod tokens;
mod traffic;
mod ui;

use std::sync::{Arc, OnceLock, PoisonError, RwLock};
use std::time::Instant;

use anyhow::Context as _;
use axum::body::Bytes;
use tokio::sync::{mpsc, oneshot};

use crate::analysis::{Captures, Progress};
use crate::builtin_models;
use crate::config::Config;
use crate::config::reload::Current;
use crate::control::server::{Call, Peer};
use crate::control::{Answer, Reply, Request};
use crate::decompress::StopCounts;
use crate::features::Kind;
use crate::model::Model;
use crate::refusal::Refusal;
use crate::status::bus::{Bus, PageEvent, Topic};
use crate::store::{Store, captures as stored};
use auth::Access;
use predict::Scorer;
use problem::Problem;

pub use caller::Caller;
pub use request_parsing::{parse, parse_opt};
pub use routes::Routes;

/// The routes of every resource: a resource is a file and its line here.
fn all() -> Routes {
    service::routes()
        .and(openapi::routes())
        .and(session::routes())
        .and(tokens::routes())
        .and(status::routes())
        .and(events::routes())
        .and(metrics::routes())
        .and(blocks::routes())
        .and(allow::routes())
        .and(mode::routes())
        .and(explain::routes())
        .and(audit::routes())
        .and(doctor::routes())
        .and(settings::routes())
        .and(models::routes())
        .and(predict::routes())
        .and(alerts::routes())
        .and(traffic::routes())
        .and(hosts::routes())
        .and(interfaces::routes())
        .and(captures::routes())
        .and(contacts::routes())
        .and(notify::routes())
        .and(logs::routes())
}

/// What handlers share.
#[derive(Clone)]
pub struct App {
    /// As it was at the start: the server itself uses it.
    pub config: Arc<Config>,
    /// As it is in force now.
    pub current: Current,
    /// None where the database could not be opened.
    pub store: Option<Store>,
    /// None where no agent runs in this process.
    pub agent: Option<mpsc::Sender<Call>>,
    /// The live events, for every page.
    pub bus: Arc<Bus>,
    /// None without a store.
    captures: Option<Captures>,
    shared: Arc<Shared>,
}

struct Shared {
    started: Instant,
    scorer: RwLock<Scorer>,
    doctor: doctor::Latest,
    access: Access,
    /// Set when the routes are put together.
    document: OnceLock<Bytes>,
    /// Logs and captures that could not be expanded to their end.
    stops: StopCounts,
}

impl Shared {
    fn score(&self) -> Scorer {
        self.scorer.read().unwrap_or_else(PoisonError::into_inner).clone()
    }

    fn set_scorer(&self, model: Arc<Model>, config: &Config) -> anyhow::Result<()> {
        let scorer = Scorer::of(model, config)?;
        *self.scorer.write().unwrap_or_else(PoisonError::into_inner) = scorer;
        Ok(())
    }
}

impl App {
    pub fn new(
        config: Arc<Config>,
        current: Current,
        store: Option<Store>,
        agent: Option<mpsc::Sender<Call>>,
        bus: Arc<Bus>,
    ) -> anyhow::Result<Self> {
        let shared = Shared {
            started: Instant::now(),
            scorer: RwLock::new(Scorer::new(store.as_ref(), &config)?),
            doctor: doctor::Latest::default(),
            access: Access::default(),
            document: OnceLock::new(),
            stops: StopCounts::default(),
        };
        let captures = match &store {
            Some(store) => Some(start_captures(store.clone(), &current, &shared.stops, &bus)?),
            None => None,
        };
        Ok(Self { config, current, store, agent, bus, captures, shared: Arc::new(shared) })
    }

    /// The store.
    ///
    /// # Errors
    ///
    /// 409 without a store.
    pub fn store(&self) -> Result<&Store, Problem> {
        self.store.as_ref().ok_or_else(|| {
            Problem::conflict(
                "there is no database: set store.enabled = true, or see the agent's log for the \
                 error at its start",
            )
        })
    }

    /// Runs `work` with the store, away from the tasks that serve others.
    ///
    /// # Errors
    ///
    /// What `work` says; 409 where there is no store.
    pub async fn with_store<T, F>(&self, work: F) -> Result<T, Problem>
    where
        T: Send + 'static,
        F: FnOnce(&Store) -> anyhow::Result<T> + Send + 'static,
    {
        let store = self.store()?.clone();
        let done = tokio::task::spawn_blocking(move || work(&store)).await;
        Ok(done.context("the database's work was interrupted: try again")??)
    }

    /// Asks the agent in this process, unless the request is wrong whatever the agent says.
    ///
    /// # Errors
    ///
    /// 422 for a value out of its bounds, 409 where there is no agent, and what it refuses.
    pub async fn ask(&self, request: Request, who: Peer) -> Result<Answer, Problem> {
        request.check()?;
        let Some(agent) = &self.agent else {
            return Err(Problem::conflict("no agent runs here: start `detector run`"));
        };
        let (reply, replied) = oneshot::channel();
        let stopping = || Refusal::unavailable("the agent is stopping");
        agent.send(Call { request, peer: who, reply }).await.map_err(|_| stopping())?;
        match replied.await.map_err(|_| stopping())? {
            Reply::Done { answer, warning } => {
                if let Some(warning) = warning {
                    tracing::warn!("a change over the API: {warning}");
                }
                Ok(*answer)
            }
            Reply::Refused(refusal) => Err(refusal.into()),
        }
    }
}

/// Begins to analyse captures that wait; pages hear of it.
fn start_captures(
    store: Store,
    config: &Current,
    stops: &StopCounts,
    bus: &Arc<Bus>,
) -> anyhow::Result<Captures> {
    let (of_store, of_config) = (store.clone(), config.clone());
    let find_model = move |hash: Option<&str>| {
        let Some(hash) = hash else {
            return builtin_models::in_use(Kind::Session, Some(&of_store), &of_config.get());
        };
        let model = of_store.read(|connection| builtin_models::find(connection, hash))?;
        let model = model.ok_or_else(|| {
            Refusal::invalid(
                "model",
                format!("model: there is no model with the hash `{}`", hash.escape_debug()),
            )
        })?;
        let fits = builtin_models::check(Kind::Session, &model);
        fits.map_err(|error| Refusal::invalid("model", format!("model: {error:#}")))?;
        Ok(model)
    };
    let (of_store, bus) = (store.clone(), Arc::clone(bus));
    let tell = move |progress| match progress {
        Progress::Alerts => bus.alerts_changed(None),
        Progress::Of(id) => match of_store.read(|connection| stored::capture(connection, id)) {
            Ok(Some(capture)) => bus.emit(PageEvent::capture(&capture)),
            Ok(None) => bus.emit(PageEvent::change(Topic::Captures, Some(&id.to_string()))),
            Err(error) => tracing::debug!("failed to read capture {id}: {error:#}"),
        },
    };
    Captures::start(store, config.clone(), Arc::new(find_model), stops.clone(), Arc::new(tell))
}
