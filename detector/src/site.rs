//! What the API and the dashboard are served from, and how they are started: `main` hands the
//! commands that way, so that no command knows of HTTP.

use std::any::Any;
use std::net::TcpListener;
use std::sync::Arc;

use anyhow::Context as _;
use tokio::sync::mpsc::Sender;

use crate::config::Config;
use crate::config::api::Api;
use crate::config::reload::Current;
use crate::control::server::Call;
use crate::status::bus::Bus;
use crate::store::Store;

/// What is served.
pub struct Site {
    /// As it was at the start.
    pub config: Arc<Config>,
    /// As it is in force now.
    pub current: Current,
    /// None where the database could not be opened.
    pub store: Option<Store>,
    /// None where no agent runs in this process.
    pub agent: Option<Sender<Call>>,
    pub bus: Arc<Bus>,
    pub listener: TcpListener,
}

/// A server that runs until this is dropped.
pub struct Served {
    url: String,
    _server: Box<dyn Any + Send>,
}

impl Served {
    #[must_use]
    pub fn new(url: String, server: impl Any + Send) -> Self {
        Self { url, _server: Box::new(server) }
    }

    /// `http://127.0.0.1:5000`.
    #[must_use]
    pub fn url(&self) -> &str {
        &self.url
    }
}

/// Starts a server.
pub type Serve = fn(Site) -> anyhow::Result<Served>;

/// Opens the socket. Nobody is served yet.
pub fn listen(config: &Api) -> anyhow::Result<TcpListener> {
    let address = config.listen;
    let listener = TcpListener::bind(address).with_context(|| {
        format!("failed to listen on {address}: choose another address in api.listen or --listen")
    })?;
    listener.set_nonblocking(true).context("failed to configure the socket")?;
    Ok(listener)
}
