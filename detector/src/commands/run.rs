//! `detector run`: watches interfaces until it is told to stop.
//!
//! Results go to standard output, one calm line a second to standard error where that is a terminal.
#![expect(clippy::print_stderr, reason = "the status line is for people at a terminal")]

use std::io::{self, BufWriter, IsTerminal as _, Write as _};
use std::sync::{Arc, mpsc};
use std::thread;

use anyhow::{Context as _, anyhow};
use tokio::sync::mpsc::Sender;

use crate::agent::{Agent, Outlets, Reloads, RunOptions, Signals, Told};
use crate::api::{App, server};
use crate::builtin_models;
use crate::cli::{LiveFormat, Run};
use crate::config::Config;
use crate::config::reload::{Current, Given};
use crate::control::server::{Call, Server};
use crate::features::Kind;
use crate::instance::instance_dir;
use crate::notify;
use crate::output::{JsonSink, Sink, Style, TableSink, queue};
use crate::status::StatusLine as Status;
use crate::status::bus::{Bus, PageEvent, Topic};
use crate::store::Store;

/// Alerts, records and status lines that wait for a slow reader of standard output.
const QUEUE_LENGTH: usize = 16_384;
/// Commands that wait for the agent.
const CALLS: usize = 16;

/// # Errors
///
/// Whatever keeps a named interface from being watched, with the remedy; a data plane that cannot
/// be read; an output that cannot be written to.
pub fn run(args: Run, config: Config) -> anyhow::Result<()> {
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
    let notifier = store.clone().map(|store| {
        let bus = Arc::clone(&bus);
        let hear = Arc::new(move || bus.emit(PageEvent::change(Topic::Deliveries, None)));
        let (notify, base_url) = (config.notify.clone(), config.api.base_url());
        notify::Switch::start(store, notify, &base_url, hear)
    });
    let (queue, told) = queue::bounded(QUEUE_LENGTH);
    let format = args.format;
    let printer = thread::spawn(move || print(told, format));
    let outcome = runtime.block_on(async {
        let signals = Signals::new()?;
        let options = RunOptions {
            flows: args.flows,
            adopt: args.adopt,
            keep_enforcing: args.keep_enforcing,
        };
        let outlets = Outlets {
            sink: queue.clone(),
            store: store.clone(),
            bus: Arc::clone(&bus),
            notifier: notifier.clone(),
            reloads: Reloads::new(given, current.clone()),
        };
        let agent = Agent::start(&config, model, options, outlets)?;
        let (calls, received) = tokio::sync::mpsc::channel(CALLS);
        listen(&config, calls.clone());
        let served = serve(&config, current, store, calls, bus);
        if let Some(served) = &served {
            tracing::info!("the dashboard is at {}", served.url());
        }
        tracing::info!("mode {}; stop with Ctrl-C", config.mode);
        let summary = agent.run(signals, received).await;
        drop(served);
        summary
    });
    let summary = outcome.map(|summary| queue.offer(Told::Summary(Box::new(summary))));
    drop(queue);
    let printed = printer.join().map_err(|_| anyhow!("the writer of results panicked"))?;
    summary?;
    printed.context("failed to write results")
}

/// The database. Without it everything is still seen, judged and blocked, and it is said that nothing
/// is remembered.
fn open_store(config: &Config) -> Option<Store> {
    if !config.store.enabled {
        return None;
    }
    Store::open(&config.database())
        .inspect_err(|error| tracing::error!("nothing is remembered of this run: {error:#}"))
        .ok()
}

/// Where commands come from. Without a socket it watches and blocks all the same, and says that nobody
/// can give it commands.
fn listen(config: &Config, calls: Sender<Call>) {
    let server = Server::bind(&instance_dir(&config.runtime_dir), config.control.group.as_deref());
    if let Err(error) = server.and_then(|server| server.start(calls)) {
        tracing::warn!("no commands can be given while it runs: {error:#}");
    }
}

/// The API and the dashboard. Without them it watches and blocks all the same.
fn serve(
    config: &Arc<Config>,
    current: Current,
    store: Option<Store>,
    calls: Sender<Call>,
    bus: Arc<Bus>,
) -> Option<server::Handle> {
    if !config.api.enabled {
        return None;
    }
    let served = server::bind(&config.api).and_then(|listener| {
        let mut config = Config::clone(config);
        config.api.listen = listener.local_addr()?;
        let app = App::new(Arc::new(config), current, store, Some(calls), bus)?;
        server::start(app, listener)
    });
    served
        .inspect_err(|error| tracing::warn!("there is no dashboard while it runs: {error:#}"))
        .ok()
}

/// Writes what comes until there is no more to come. A line that finds the disk full is lost, said
/// once and told at the end; those after it are tried. Nothing more is written once nobody reads.
fn print(told: mpsc::Receiver<Told>, format: LiveFormat) -> io::Result<()> {
    let stdout = io::stdout();
    let style = Style::of(&stdout);
    let output = BufWriter::new(stdout);
    let mut sink: Box<dyn Sink> = match format {
        LiveFormat::Json => Box::new(JsonSink::new(output)),
        LiveFormat::Table => Box::new(TableSink::new(output, style)),
    };
    let mut line = StatusLine::new();
    let mut failed = None;
    for item in told {
        if let Told::Status(status) = &item {
            line.show(status);
            continue;
        }
        if matches!(item, Told::Alert(_) | Told::Summary(_)) {
            line.clear();
        }
        let Err(error) = put(&mut *sink, &item) else { continue };
        if failed.is_none() {
            tracing::error!("results cannot be written to standard output: {error}");
        }
        if error.kind() == io::ErrorKind::BrokenPipe {
            return Err(error);
        }
        failed = Some(error);
    }
    failed.map_or(Ok(()), Err)
}

fn put(sink: &mut dyn Sink, item: &Told) -> io::Result<()> {
    match item {
        Told::Status(_) => return Ok(()),
        Told::Alert(alert) => sink.alert(alert)?,
        Told::Flow(record) => sink.flow(record)?,
        Told::Summary(summary) => sink.summary(summary)?,
    }
    // What people wait for must not stand in a buffer.
    sink.flush()
}

/// The line at the bottom of a terminal that is written over every second.
struct StatusLine {
    terminal: bool,
    shown: bool,
}

impl StatusLine {
    fn new() -> Self {
        Self { terminal: io::stderr().is_terminal(), shown: false }
    }

    fn show(&mut self, status: &Status) {
        if self.terminal {
            eprint!("\r\x1b[2K{status}");
            self.flush();
            self.shown = true;
        }
    }

    fn clear(&mut self) {
        if self.shown {
            eprint!("\r\x1b[2K");
            self.flush();
            self.shown = false;
        }
    }

    fn flush(&self) {
        if let Err(error) = io::stderr().flush() {
            tracing::debug!("failed to show the status line: {error}");
        }
    }
}
