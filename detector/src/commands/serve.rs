//! `detector serve`: what is stored, the API and the dashboard, without watching anything.
#![expect(clippy::print_stderr, reason = "the address is for people, whatever the log's level")]

use std::net::ToSocketAddrs as _;
use std::sync::Arc;

use anyhow::Context as _;
use tokio::signal::unix::{SignalKind, signal};

use crate::cli::serve::Serve as Args;
use crate::config::Config;
use crate::config::reload::Current;
use crate::notify::{self, Resources};
use crate::site::{self, Serve, Site};
use crate::status::bus::{Bus, PageEvent, Topic};
use crate::store::Store;

pub fn run(args: Args, mut config: Config, serve: Serve) -> anyhow::Result<()> {
    if let Some(path) = args.db {
        config.store.path = Some(path);
    }
    if let Some(listen) = &args.listen {
        config.api.listen = resolve(listen)?;
    }
    config.check()?;
    let store = Store::open(&config.database())?;
    let listener = site::listen(&config.api)?;
    // Links name the port that the kernel chose.
    config.api.listen = listener.local_addr().context("failed to read the socket's address")?;
    let bus = Arc::new(Bus::default());
    let heard = Arc::clone(&bus);
    let resources = Resources {
        store: Some(store.clone()),
        memory: Arc::default(),
        board: Arc::clone(bus.sinks()),
        base_url: config.api.base_url(),
        hear: Arc::new(move || heard.emit(PageEvent::change(Topic::Deliveries, None))),
    };
    let notifier = notify::start(resources, config.notify.clone());
    let config = Arc::new(config);
    let current = Current::new(Arc::clone(&config));
    let served = serve(Site { config, current, store: Some(store), agent: None, bus, listener })?;
    eprintln!("listening on {}", served.url());
    wait()?;
    drop(served);
    drop(notifier);
    Ok(())
}

/// `localhost:5000`: the first address that the name has, of version 4 where there is one.
fn resolve(listen: &str) -> anyhow::Result<std::net::SocketAddr> {
    let found = listen.to_socket_addrs().with_context(|| {
        format!("failed to find the address `{listen}`: write it as 127.0.0.1:5000")
    })?;
    let all: Vec<_> = found.collect();
    let first = all.iter().find(|address| address.is_ipv4()).or(all.first());
    first.copied().with_context(|| format!("`{listen}` has no address"))
}

/// Waits for Ctrl-C, or for a service manager that wants it to end.
fn wait() -> anyhow::Result<()> {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .context("failed to start the runtime")?;
    runtime.block_on(async {
        let mut interrupt = signal(SignalKind::interrupt()).context("failed to catch SIGINT")?;
        let mut terminate = signal(SignalKind::terminate()).context("failed to catch SIGTERM")?;
        tokio::select! {
            _ = interrupt.recv() => {}
            _ = terminate.recv() => {}
        }
        Ok(())
    })
}
