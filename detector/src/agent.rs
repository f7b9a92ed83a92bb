//! The live loop: kernel news and polls in, judgements and blocks out.
//!
//! One task owns the data plane, the tracker and the engine, so that a block follows the event that
//! asks for it without a queue between them; what is told to people goes through a bounded queue to
//! a thread of its own and is dropped, counted, rather than waited for. Nothing here runs per
//! packet.

mod answers;
mod outlets;
mod protected_peers;
mod recorder;
mod reload;
mod reporter;
mod requests;
mod respond;
mod traffic;
mod views;

use std::collections::BTreeMap;
use std::os::fd::{AsRawFd, OwnedFd};
use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::Context as _;
use detector_common::abi::FIRST_PAYLOAD_BYTES;
use detector_common::flow::{Checkpoint, Direction, FlowCounters, FlowKey};
use detector_common::parse::Skip;
use tokio::io::unix::{AsyncFd, AsyncFdReadyGuard};
use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio::time::{Interval, MissedTickBehavior, interval};

use crate::audit::{AuditLog, Auditor};
use crate::config::Config;
use crate::control::server::Call;
use crate::engine::{Engine, EngineConfig};
use crate::flow::{Cause, FlowRecord, Observation, TimeBase, Tracker};
use crate::model::Model;
use crate::notify::Switch;
use crate::output::Summary;
use crate::output::queue::Queue;
use crate::response::{Mode, PolicyState};
use crate::source::kernel::interfaces::{Selection, Watcher};
use crate::source::kernel::{Accounting, Change, KernelEvent, KernelSource, Start};
use crate::state::State;
use crate::status::StatusLine;
use crate::status::bus::{Bus, PageEvent};
use crate::store::{Store, alerts};
use crate::verdict::{Alert, AlertId};
pub use outlets::Outlets;
use protected_peers::PeerScanner;
use recorder::{Entry, Recorder};
pub use reload::Reloads;
use traffic::Pages;
use views::Looks;

/// What the sinks are handed.
#[derive(Debug)]
pub enum Told {
    Alert(Box<Alert>),
    Flow(Box<FlowRecord>),
    Status(StatusLine),
    Summary(Box<Summary>),
}

/// Everything that runs.
pub struct Agent {
    kernel: KernelSource,
    tracker: Tracker,
    engine: Engine,
    base: TimeBase,
    policy: PolicyState,
    peer_scanner: PeerScanner,
    audit: Auditor,
    state: State,
    /// Budgets there can be; none where there are none at all.
    max_budgets: Option<usize>,
    keep_enforcing: bool,
    sink: Queue<Told>,
    poll_interval: Duration,
    started: Instant,
    /// The flow whose counters were last given to the tracker: what an alert that follows is about.
    latest: Option<(FlowKey, FlowCounters)>,
    changed: Vec<(FlowKey, FlowCounters)>,
    rate: Rate,
    looks: Looks,
    /// None where nothing is stored.
    recorder: Option<Recorder>,
    pages: Pages,
    bus: Arc<Bus>,
    reloads: Reloads,
}

/// How a run begins and ends.
#[derive(Clone, Copy, Debug, Default)]
pub struct RunOptions {
    /// Tell every flow.
    pub flows: bool,
    /// Go on with what an earlier agent left in the kernel.
    pub adopt: bool,
    /// Leave the programs and their blocks in the kernel at the end.
    pub keep_enforcing: bool,
}

/// What the previous status line was made from.
#[derive(Clone, Copy, Debug, Default)]
struct Rate {
    frames: u64,
    bytes: u64,
    /// IP bytes out and in.
    directions: (u64, u64),
}

impl Agent {
    /// Loads the data plane and attaches it to every interface that is meant.
    ///
    /// # Errors
    ///
    /// Whatever keeps even one named interface from being watched: nothing stays attached then.
    pub fn start(
        config: &Config,
        model: Arc<Model>,
        options: RunOptions,
        outlets: Outlets,
    ) -> anyhow::Result<Self> {
        let Outlets { sink, store, bus, notifier, mut reloads } = outlets;
        let selection = Selection::new(&config.interfaces)?;
        let model_hash = model.hash()?;
        reloads.begin(&model_hash, notifier.clone());
        let engine = Engine::new(
            model,
            EngineConfig {
                respond: config.mode != Mode::Observe,
                budgets: config.has_budgets(),
                threshold: config.model.threshold,
                flows: options.flows,
                rows: false,
                heads: store.is_some(),
                traffic_log: store.is_some(),
                history: config.history(),
                allow: config.allow.clone(),
            },
        )?;
        let start = if options.adopt { Start::Adopt } else { Start::Fresh };
        let mut kernel = KernelSource::load(config, selection, start)?;
        if options.adopt || options.keep_enforcing {
            kernel.check_pinned()?;
        }
        kernel.check_selection()?;
        let base = kernel.time_base();
        let policy = PolicyState::new(config.policy(), config.mode, base.ns(kernel.now()?));
        let mut agent = Self {
            base,
            kernel,
            tracker: Tracker::new(&config.tracker()),
            engine,
            policy,
            peer_scanner: PeerScanner::new(config),
            audit: Auditor::start(AuditLog::open(&config.state_dir)),
            state: State::new(&config.state_dir),
            max_budgets: config.has_budgets().then(|| config.budget.max_entries.get() as usize),
            keep_enforcing: options.keep_enforcing,
            sink,
            poll_interval: Duration::from_millis(config.kernel.poll_interval_ms),
            started: Instant::now(),
            latest: None,
            changed: Vec::new(),
            rate: Rate::default(),
            looks: Looks::default(),
            recorder: None,
            pages: Pages::default(),
            bus,
            reloads,
        };
        if let Some(store) = store {
            agent.recall(&store);
            let told = told(store.clone(), Arc::clone(&agent.bus), notifier);
            agent.recorder = Some(traffic::recorder(store, config, &model_hash, told));
        }
        // Before a packet is seen: what must not be cut off is not held up for a moment either.
        agent.adopt_and_arm(config)?;
        agent.attach(config)?;
        agent.begin(config);
        Ok(agent)
    }

    fn attach(&mut self, config: &Config) -> anyhow::Result<()> {
        for change in self.kernel.rescan()? {
            match change {
                Change::Failed { name, error } => {
                    return Err(error.context(format!("failed to watch {name}")));
                }
                other => tell(&other),
            }
        }
        self.kernel.check_attached()?;
        self.policy.set_home(self.kernel.home().to_vec());
        if config.kernel.print_memory {
            let bytes = self.kernel.map_memory_bytes()?;
            tracing::info!(
                "kernel maps take {} for up to {} flows",
                crate::units::bytes(bytes),
                config.kernel.max_flows
            );
        }
        Ok(())
    }

    /// Runs until a signal to stop, then takes everything off, reads a last time and sums up.
    ///
    /// # Errors
    ///
    /// A data plane that cannot be read any more. It is taken off all the same.
    pub async fn run(
        mut self,
        signals: Signals,
        calls: tokio::sync::mpsc::Receiver<Call>,
    ) -> anyhow::Result<Summary> {
        let mut wakeups = Wakeups::new(&self.kernel, self.poll_interval, signals, calls)?;
        loop {
            match wakeups.next().await? {
                Wakeup::Stop => break,
                Wakeup::KernelEvent => self.take_news()?,
                Wakeup::Call(call) => self.answer(*call),
                Wakeup::Reload => self.reload_by_signal(),
                Wakeup::Interfaces => self.rescan()?,
                Wakeup::Poll => {
                    self.poll()?;
                    self.record_traffic()?;
                    let status = self.status()?;
                    self.publish(&status)?;
                    self.sink.offer(Told::Status(status));
                }
            }
        }
        self.finish()
    }

    /// Events wake the agent; each is judged, and acted on, before the next is read.
    fn take_news(&mut self) -> anyhow::Result<()> {
        while let Some(news) = self.kernel.next_news() {
            match news {
                KernelEvent::Checkpoint(event) => {
                    let checkpoint = if event.checkpoint == Checkpoint::Packets as u8 {
                        Checkpoint::Packets
                    } else {
                        Checkpoint::Bytes
                    };
                    self.observe_flow(&event.key, &event.counters, Cause::Checkpoint(checkpoint))?;
                }
                KernelEvent::FirstPayload(event) => {
                    if !self.tracker.knows(&event.key)
                        && let Some(counters) = self.kernel.lookup(&event.key)?
                    {
                        self.observe_flow(&event.key, &counters, Cause::Poll)?;
                    }
                    let length = usize::from(event.length).min(FIRST_PAYLOAD_BYTES);
                    let direction = if event.direction == Direction::FromLow as u8 {
                        Direction::FromLow
                    } else {
                        Direction::FromHigh
                    };
                    self.observe(Observation::FirstPayload {
                        key: &event.key,
                        direction,
                        payload_bytes: event.payload_bytes,
                        bytes: &event.bytes[..length],
                        now: event.now,
                    })?;
                }
                KernelEvent::Overflow(event) => {
                    let (key, counters, now) = (&event.key, &event.counters, event.now);
                    self.observe(Observation::Overflow { key, counters, now })?;
                }
                KernelEvent::Budget(event) => self.budget_spent(event.budget, &event.flow)?,
            }
        }
        Ok(())
    }

    fn observe_flow(
        &mut self,
        key: &FlowKey,
        counters: &FlowCounters,
        cause: Cause,
    ) -> anyhow::Result<()> {
        self.latest = Some((*key, *counters));
        self.observe(Observation::Flow { key, counters, cause })
    }

    fn observe(&mut self, observation: Observation<'_>) -> anyhow::Result<()> {
        self.tracker.observe(&observation, &self.base, &mut self.engine);
        self.act()
    }

    /// Reads what changed, tells the tracker that time has passed, deletes what is over.
    fn poll(&mut self) -> anyhow::Result<()> {
        for (key, counters) in self.kernel.take_closed()? {
            self.observe_flow(&key, &counters, Cause::Closed)?;
        }
        self.kernel.begin_poll()?;
        let mut changed = std::mem::take(&mut self.changed);
        while self.kernel.next_changed(&mut changed)? {
            for (key, counters) in &changed {
                self.observe_flow(key, counters, Cause::Poll)?;
            }
            // A large map must not keep events waiting.
            self.take_news()?;
        }
        self.changed = changed;
        let now = self.kernel.now()?;
        self.poll_overflow(now)?;
        self.observe(Observation::Tick { now_ns: self.base.ns(now) })?;
        let mut expired = Vec::new();
        self.tracker.take_expired(&mut expired);
        expired.extend(self.kernel.under_pressure()?);
        self.kernel.close(&expired)?;
        self.look_after_policy()
    }

    fn poll_overflow(&mut self, now: u64) -> anyhow::Result<()> {
        for (key, counters) in self.kernel.overflow()? {
            self.observe(Observation::Overflow { key: &key, counters: &counters, now })?;
        }
        Ok(())
    }

    fn rescan(&mut self) -> anyhow::Result<()> {
        for change in self.kernel.rescan()? {
            tell(&change);
        }
        self.policy.set_home(self.kernel.home().to_vec());
        Ok(())
    }

    fn status(&mut self) -> anyhow::Result<StatusLine> {
        let accounting = self.kernel.accounting()?;
        let totals = &accounting.totals;
        let seconds = self.poll_interval.as_secs_f64();
        let per_second = |now: u64, before: u64| (now.saturating_sub(before)) as f64 / seconds;
        let baselines = self.engine.baselines();
        let status = StatusLine {
            packets_per_second: per_second(totals.frames.packets, self.rate.frames),
            bytes_per_second: per_second(totals.frames.bytes, self.rate.bytes),
            flows: u64::from(accounting.live_flows),
            alerts: self.engine.counts().alerts,
            baselines_ready: baselines.hosts_ready,
            baselines_learning: baselines.hosts_learning,
            days_left: baselines.days_left,
            interfaces: self.kernel.watched().count() as u64,
            overflow_bytes: totals.overflow.bytes,
            events_lost: totals.events_lost,
            first_payloads_refused: totals.first_payloads_refused,
            skipped: skipped(&accounting).values().sum(),
            dropped_packets: totals.dropped.packets,
            simulated_packets: totals.simulated.packets,
            held_packets: totals.held.packets,
            output_lines_dropped: self.sink.dropped(),
        };
        (self.rate.frames, self.rate.bytes) = (totals.frames.packets, totals.frames.bytes);
        Ok(status)
    }

    /// Detaches, reads the maps a last time, ends every flow, and sums up.
    fn finish(mut self) -> anyhow::Result<Summary> {
        self.shutdown()?;
        // Programs that were running when their link went have ended by then.
        std::thread::sleep(Duration::from_millis(50));
        self.take_news()?;
        self.poll()?;
        self.tracker.finish(&mut self.engine);
        self.act()?;
        self.record_last()?;
        let accounting = self.kernel.accounting()?;
        let totals = &accounting.totals;
        if self.kernel.records_unknown() != 0 {
            tracing::error!("{} events were of no known kind", self.kernel.records_unknown());
        }
        let counts = self.tracker.counts();
        for allowed in self.engine.allow().entries().filter(|allowed| allowed.hits != 0) {
            let (hits, reason) = (allowed.hits, &allowed.entry.reason);
            tracing::info!("{hits} sessions were left alone as allowed: {reason}");
        }
        let mut summary = Summary {
            source: None,
            packets: totals.frames.packets,
            bytes: totals.frames.bytes,
            flows: counts.flows_opened,
            alerts: self.engine.counts().alerts,
            skipped: skipped(&accounting),
            overflow_bytes: totals.overflow.bytes,
            unaccounted_bytes: accounting.unaccounted_bytes,
            seconds: self.started.elapsed().as_secs_f64(),
            ..Summary::default()
        };
        summary.count([
            ("unaccounted_packets", accounting.unaccounted_packets.unsigned_abs()),
            ("dropped_packets", totals.dropped.packets),
            ("policed_packets", totals.policed.packets),
            ("held_packets", totals.held.packets),
            ("marked_packets", totals.marked.packets),
            ("simulated_packets", totals.simulated.packets),
            ("budgets_refused", totals.budgets_refused),
            ("budgets_timed_out", totals.budgets_timed_out),
            ("audit_records_lost", self.audit.failed()),
            ("packets_seen_elsewhere_too", totals.duplicates.packets),
            ("flows_that_changed_interface", totals.owner_moves),
            ("late_packets", totals.late.packets),
            ("fragments_without_a_first", totals.fragments_unknown.packets),
            ("packets_over_the_host_table", totals.overflow_rest.packets),
            ("events_lost", totals.events_lost),
            ("heads_over_budget", totals.first_payloads_refused),
            ("output_lines_dropped", self.sink.dropped()),
        ]);
        summary.count(counts.left_out());
        summary.count(self.engine.told());
        summary.count(self.end_recording());
        Ok(summary)
    }
}

/// What is done once alerts are stored: pages and the notifier hear of it.
fn told(
    store: Store,
    bus: Arc<Bus>,
    notifier: Option<Switch>,
) -> impl Fn(&[AlertId]) + Send + 'static {
    move |ids| {
        if let Some(notifier) = &notifier {
            notifier.wake();
        }
        let rows = store.read(|connection| {
            ids.iter().map(|id| alerts::find(connection, *id)).collect::<anyhow::Result<Vec<_>>>()
        });
        match rows {
            Ok(rows) => {
                rows.iter().flatten().for_each(|row| bus.emit(PageEvent::alert(row)));
            }
            Err(error) => tracing::debug!("pages do not hear of an alert: {error:#}"),
        }
    }
}

fn skipped(accounting: &Accounting) -> BTreeMap<&'static str, u64> {
    Skip::NAMES
        .into_iter()
        .zip(accounting.totals.skipped)
        .filter(|(_, count)| count.packets != 0)
        .map(|(name, count)| (name, count.packets))
        .collect()
}

fn tell(change: &Change) {
    match change {
        Change::Attached { name, how, reasons } => {
            tracing::info!("watching {name}: {how}");
            for reason in reasons {
                tracing::info!("{name}: {reason}");
            }
        }
        Change::Gone { name } => tracing::warn!("{name} went away"),
        Change::Failed { name, error } => tracing::error!("failed to watch {name}: {error:#}"),
    }
}

/// What the agent waits for.
struct Wakeups {
    events: AsyncFd<OwnedFd>,
    watcher: AsyncFd<Watcher>,
    signals: Signals,
    poll: Interval,
    calls: tokio::sync::mpsc::Receiver<Call>,
}

/// The signals that end a run, or ask for a reload. Listened to before anything is attached, so that
/// one that comes while the kernel checks the programs is heeded as soon as they run.
pub struct Signals {
    interrupt: Signal,
    terminate: Signal,
    hangup: Signal,
}

impl Signals {
    /// Starts listening. Needs a runtime.
    ///
    /// # Errors
    ///
    /// When the handlers cannot be installed.
    pub fn new() -> anyhow::Result<Self> {
        Ok(Self {
            interrupt: signal(SignalKind::interrupt()).context("failed to listen for signals")?,
            terminate: signal(SignalKind::terminate()).context("failed to listen for signals")?,
            hangup: signal(SignalKind::hangup()).context("failed to listen for signals")?,
        })
    }
}

enum Wakeup {
    Stop,
    Reload,
    KernelEvent,
    Interfaces,
    Poll,
    Call(Box<Call>),
}

impl Wakeups {
    #[expect(
        deprecated,
        reason = "what replaces it is unsafe, for the sake of types that lend their descriptor out; \
                  both types here own theirs"
    )]
    fn new(
        kernel: &KernelSource,
        poll_interval: Duration,
        signals: Signals,
        calls: tokio::sync::mpsc::Receiver<Call>,
    ) -> anyhow::Result<Self> {
        let events = kernel.events_fd()?;
        let mut poll = interval(poll_interval);
        poll.set_missed_tick_behavior(MissedTickBehavior::Delay);
        Ok(Self {
            events: AsyncFd::new(events).context("failed to wait for events")?,
            watcher: AsyncFd::new(Watcher::new()?).context("failed to wait for interfaces")?,
            signals,
            poll,
            calls,
        })
    }

    /// A signal goes before everything else, events before polls.
    async fn next(&mut self) -> anyhow::Result<Wakeup> {
        tokio::select! {
            biased;
            _ = self.signals.interrupt.recv() => Ok(Wakeup::Stop),
            _ = self.signals.terminate.recv() => Ok(Wakeup::Stop),
            _ = self.signals.hangup.recv() => Ok(Wakeup::Reload),
            ready = self.events.readable() => {
                // Cleared before reading: an event that comes meanwhile wakes again.
                clear(ready)?;
                Ok(Wakeup::KernelEvent)
            }
            ready = self.watcher.readable() => {
                clear(ready)?;
                self.watcher.get_ref().drain().context("failed to hear of interfaces")?;
                Ok(Wakeup::Interfaces)
            }
            _ = self.poll.tick() => Ok(Wakeup::Poll),
            Some(call) = self.calls.recv() => Ok(Wakeup::Call(Box::new(call))),
        }
    }
}

fn clear<T: AsRawFd>(ready: std::io::Result<AsyncFdReadyGuard<'_, T>>) -> anyhow::Result<()> {
    ready.context("failed to wait")?.clear_ready();
    Ok(())
}
