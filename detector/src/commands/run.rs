//! `detector run`: watches interfaces until it is asked to stop.
//!
//! Results go to standard output, one calm line a second to standard error where that is a
//! terminal.

use std::io::{self, BufWriter};
use std::sync::Arc;

use anyhow::Context as _;
use tokio::sync::mpsc::Sender;

use crate::agent::{Agent, Reloads, RunOptions, Signals};
use crate::builtin_models;
use crate::cli::{LiveFormat, Run};
use crate::config::Config;
use crate::config::reload::{Current, Given};
use crate::control::server::{Call, Server};
use crate::features::Kind;
use crate::instance::instance_dir;
use crate::notify::{Resources, Switch};
use crate::output::{
    Confirmation, Form, JsonForm, LivePages, Notifications, OnStored, Router, StandardOutput,
    StoreSink, Style, TableForm,
};
use crate::site::{self, Serve, Served, Site};
use crate::status::bus::{Bus, PageEvent, Topic};
use crate::store::Store;

/// Commands that wait for the agent.
const CALLS: usize = 16;

/// # Errors
///
/// Whatever keeps a named interface from being watched, with the remedy; a data plane that cannot
/// be read; an output that cannot be written to.
pub fn run(args: Run, config: Config, serve: Serve) -> anyhow::Result<()> {
    let given =
        Given::new(args.config, args.interface, args.mode.map(Into::into), args.trace_kernel);
    let config = given.over(config)?;
    let store = open_store(&config);
    let model = builtin_models::in_use(Kind::Session, store.as_ref(), &config)?;
    let config = Arc::new(config);
    let current = Current::new(Arc::clone(&config));
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .context("failed to start the runtime")?;
    let bus = Arc::new(Bus::default());
    let notifier = notifier(&config, store.clone(), &bus);
    let form = form(args.format);
    let outputs = outputs(&config, form, store.clone(), &bus, &notifier)?;
    runtime.block_on(async {
        let signals = Signals::new()?;
        let options = RunOptions {
            flows: args.flows,
            adopt: args.adopt,
            keep_enforcing: args.keep_enforcing,
        };
        let reloads = Reloads::new(given, current.clone(), notifier.clone());
        let agent = Agent::start(&config, model, options, outputs, store.clone(), reloads)?;
        let (calls, received) = tokio::sync::mpsc::channel(CALLS);
        listen(&config, calls.clone());
        let served = serve_site(&config, current, store, calls, bus, serve);
        if let Some(served) = &served {
            tracing::info!("the dashboard is at {}", served.url());
        }
        tracing::info!("mode {}; stop with Ctrl-C", config.mode);
        let outcome = agent.run(signals, received).await;
        drop(served);
        notifier.end();
        outcome
    })
}

/// Where results go: an output is a file in `output/` and its line here.
fn outputs(
    config: &Config,
    form: Box<dyn Form + Send>,
    store: Option<Store>,
    bus: &Arc<Bus>,
    notifier: &Switch,
) -> anyhow::Result<Router> {
    let mut router = Router::new(Arc::clone(bus.sinks()));
    router.add(StandardOutput::new(form))?;
    router.add(LivePages::new(Arc::clone(bus)))?;
    router.add(Notifications::new(notifier.clone()))?;
    if let Some(store) = store {
        router.add(StoreSink::new(store, config.state_dir.clone(), on_stored(bus, notifier)))?;
    }
    Ok(router)
}

/// What sends messages to people; it needs no database.
fn notifier(config: &Config, store: Option<Store>, bus: &Arc<Bus>) -> Switch {
    let heard = Arc::clone(bus);
    let resources = Resources {
        store,
        memory: Arc::default(),
        board: Arc::clone(bus.sinks()),
        base_url: config.api.base_url(),
        hear: Arc::new(move || heard.emit(PageEvent::change(Topic::Deliveries, None))),
    };
    Switch::start(resources, config.notify.clone())
}

/// What follows once alerts are stored: pages may load them, and messages about them may go out.
fn on_stored(bus: &Arc<Bus>, notifier: &Switch) -> OnStored {
    let (bus, notifier) = (Arc::clone(bus), notifier.clone());
    Box::new(move |stored| {
        for Confirmation { id, revision } in stored {
            revision.iter().for_each(|revision| notifier.confirm(*id, *revision));
        }
        notifier.wake();
        let id = match stored {
            [one] => Some(one.id.to_string()),
            _ => None,
        };
        bus.alerts_changed(id.as_deref());
    })
}

/// How results are written to standard output.
fn form(format: LiveFormat) -> Box<dyn Form + Send> {
    let stdout = io::stdout();
    let style = Style::of(&stdout);
    let output = BufWriter::new(stdout);
    match format {
        LiveFormat::Json => Box::new(JsonForm::new(output)),
        LiveFormat::Table => Box::new(TableForm::new(output, style)),
    }
}

/// The database. Without it everything is still seen, scored and blocked, and it is said that
/// nothing is remembered.
fn open_store(config: &Config) -> Option<Store> {
    if !config.store.enabled {
        return None;
    }
    Store::open(&config.database())
        .inspect_err(|error| {
            tracing::error!("failed to open the database, so this run stores nothing: {error:#}")
        })
        .ok()
}

/// Where commands come from. Without a socket it watches and blocks all the same, and says that
/// nobody can give it commands.
fn listen(config: &Config, calls: Sender<Call>) {
    let server = Server::bind(&instance_dir(&config.runtime_dir), config.control.group.as_deref());
    if let Err(error) = server.and_then(|server| server.start(calls)) {
        tracing::warn!(
            "failed to open the command socket, so commands do not reach this agent: {error:#}"
        );
    }
}

/// The API and the dashboard. Without them it watches and blocks all the same.
fn serve_site(
    config: &Arc<Config>,
    current: Current,
    store: Option<Store>,
    calls: Sender<Call>,
    bus: Arc<Bus>,
    serve: Serve,
) -> Option<Served> {
    if !config.api.enabled {
        return None;
    }
    let served = site::listen(&config.api).and_then(|listener| {
        let mut config = Config::clone(config);
        config.api.listen = listener.local_addr()?;
        let (config, agent) = (Arc::new(config), Some(calls));
        serve(Site { config, current, store, agent, bus, listener })
    });
    served
        .inspect_err(|error| {
            tracing::warn!("failed to start the API, so this run has no dashboard: {error:#}")
        })
        .ok()
}
