//! The HTTP API: routes by resource, each with its place in the OpenAPI document.
//!
//! It asks the agent and the store and decides nothing itself. What a client may do is settled
//! before a handler runs, by the group that a route stands in.

pub mod contacts;
pub mod extract;
pub mod notify;
pub mod problem;
mod routes;

use std::sync::Arc;

use anyhow::Context as _;
use tokio::sync::{mpsc, oneshot};

use crate::config::Config;
use crate::control::server::{Call, Peer};
use crate::control::{Answer, Reply, Request};
use crate::store::Store;
use problem::Problem;

pub use routes::Routes;

/// What handlers share.
#[derive(Clone)]
pub struct App {
    pub config: Arc<Config>,
    /// None where the database could not be opened.
    pub store: Option<Store>,
    /// None where no agent runs in this process.
    pub agent: Option<mpsc::Sender<Call>>,
}

impl App {
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
