//! The HTTP API: routes by resource, each with its place in the OpenAPI document.
//!
//! It asks the agent and the store and decides nothing itself. What a client may do is settled
//! before a handler runs, by the group that a route stands in.

mod auth;
pub mod caller;
mod events;
pub mod extract;
mod gate;
mod limits;
pub mod live;
mod openapi;
mod origin;
mod patience;
mod predict;
pub mod problem;
mod routes;
pub mod server;
mod service;
mod session;
pub mod status;
mod tls;
mod tokens;
mod ui;

use std::sync::{Arc, OnceLock};
use std::time::Instant;

use anyhow::Context as _;
use axum::body::Bytes;
use tokio::sync::{mpsc, oneshot};

use crate::config::Config;
use crate::control::server::{Call, Peer};
use crate::control::{Answer, Reply, Request};
use crate::store::Store;
use auth::Access;
use live::Live;
use predict::Judge;
use problem::Problem;

pub use caller::Caller;
pub use routes::Routes;

/// The routes of every resource: a resource is a file and its line here.
fn all() -> Routes {
    service::routes()
        .and(openapi::routes())
        .and(session::routes())
        .and(tokens::routes())
        .and(status::routes())
        .and(events::routes())
        .and(predict::routes())
}

/// What handlers share.
#[derive(Clone)]
pub struct App {
    pub config: Arc<Config>,
    /// None where the database could not be opened.
    pub store: Option<Store>,
    /// None where no agent runs in this process.
    pub agent: Option<mpsc::Sender<Call>>,
    /// What happens, for whoever looks at it.
    pub live: Arc<Live>,
    shared: Arc<Shared>,
}

struct Shared {
    started: Instant,
    judge: Judge,
    access: Access,
    /// Set when the routes are put together.
    document: OnceLock<Bytes>,
}

impl App {
    /// # Errors
    ///
    /// A model inside the program that does not fit it.
    pub fn new(
        config: Arc<Config>,
        store: Option<Store>,
        agent: Option<mpsc::Sender<Call>>,
        live: Arc<Live>,
    ) -> anyhow::Result<Self> {
        let shared = Shared {
            started: Instant::now(),
            judge: Judge::new(&config)?,
            access: Access::default(),
            document: OnceLock::new(),
        };
        Ok(Self { config, store, agent, live, shared: Arc::new(shared) })
    }

    /// The store.
    ///
    /// # Errors
    ///
    /// 409 where there is none.
    pub fn store(&self) -> Result<&Store, Problem> {
        self.store.as_ref().ok_or_else(|| {
            Problem::conflict(
                "nothing is stored here: the log says why the database was not opened",
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
        Ok(done.context("the work on the database was broken off")??)
    }

    /// Asks the agent in this process.
    ///
    /// # Errors
    ///
    /// 409 where there is none, or where it refuses.
    pub async fn ask(&self, request: Request, who: Peer) -> Result<Answer, Problem> {
        let Some(agent) = &self.agent else {
            return Err(Problem::conflict("no agent is running here: start `detector run`"));
        };
        let (reply, replied) = oneshot::channel();
        let stopping = || Problem::conflict("the detector is stopping");
        agent.send(Call { request, peer: who, reply }).await.map_err(|_| stopping())?;
        match replied.await.map_err(|_| stopping())? {
            Reply::Done(answer) => Ok(*answer),
            Reply::Refused(why) => Err(Problem::conflict(&why)),
        }
    }
}
