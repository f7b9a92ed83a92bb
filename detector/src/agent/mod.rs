//! The agent is three things and their loop: the *sensor* turns kernel events and polls into
//! judgements, the *responder* decides what is blocked, and the rest reports.
//!
//! One task runs all of it, so that a block follows the event that asks for it without a queue between
//! them; what is told to people goes through a bounded queue to a thread of its own and is dropped,
//! counted, rather than waited for. Nothing here runs per packet.

mod outlets;
mod recorder;
mod reload;
mod reporter;
mod requests;
mod responder;
mod sensor;
mod traffic;
mod wakeups;

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

use detector_common::parse::Skip;

use crate::clock;
use crate::config::Config;
use crate::control::server::Call;
use crate::engine::Output;
use crate::flow::FlowRecord;
use crate::model::Model;
use crate::notify::Switch;
use crate::output::Summary;
use crate::output::queue::Queue;
use crate::source::kernel::{Accounting, Start};
use crate::status::StatusLine;
use crate::status::bus::{Bus, PageEvent};
use crate::store::{Store, alerts};
use crate::verdict::{ActionTaken, Alert, AlertId};
pub use outlets::Outlets;
use recorder::{Entry, Recorder};
pub use reload::Reloads;
use responder::Responder;
use sensor::{Act, Finding, Sensor, Wanted};
use traffic::Pages;
pub use wakeups::Signals;
use wakeups::{Wakeup, Wakeups};

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
    sensor: Sensor,
    responder: Responder,
    keep_enforcing: bool,
    sink: Queue<Told>,
    poll_interval: Duration,
    started: Instant,
    rate: Rate,
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
        let model_hash = model.hash()?;
        reloads.begin(&model_hash, notifier.clone());
        let wanted = Wanted { flow_records: options.flows, traffic: store.is_some() };
        let start = if options.adopt { Start::Adopt } else { Start::Fresh };
        let check_pinned = options.adopt || options.keep_enforcing;
        let mut sensor = Sensor::load(config, model, wanted, start, check_pinned)?;
        let now_ns = sensor.now_ns()?;
        let responder = Responder::new(config, sensor.time_base(), now_ns)?;
        let mut agent = Self {
            sensor,
            responder,
            keep_enforcing: options.keep_enforcing,
            sink,
            poll_interval: Duration::from_millis(config.kernel.poll_interval_ms),
            started: Instant::now(),
            rate: Rate::default(),
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
        let said_before = responder::said_before(config);
        agent.responder.adopt_and_arm(said_before, now_ns, &mut agent.sensor.kernel)?;
        agent.sensor.attach(config)?;
        agent.responder.set_home(agent.sensor.kernel.home());
        agent.responder.begin(config);
        agent.follow_changes();
        Ok(agent)
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
        let kernel = &self.sensor.kernel;
        let mut wakeups = Wakeups::new(kernel, self.poll_interval, signals, calls)?;
        loop {
            match wakeups.next().await? {
                Wakeup::Stop => break,
                Wakeup::KernelEvent => self.sense(Sensor::take_events)?,
                Wakeup::Call(call) => self.answer(*call),
                Wakeup::Reload => self.reload_by_signal(),
                Wakeup::Interfaces => {
                    self.sensor.rescan()?;
                    self.responder.set_home(self.sensor.kernel.home());
                }
                Wakeup::Poll => self.poll()?,
            }
        }
        self.finish()
    }

    fn poll(&mut self) -> anyhow::Result<()> {
        self.sense(Sensor::poll)?;
        let now_ns = self.sensor.now_ns()?;
        self.responder.tick(now_ns, &mut self.sensor.kernel);
        self.follow_changes();
        self.record_traffic()?;
        let status = self.status()?;
        self.publish(&status)?;
        self.sink.offer(Told::Status(status));
        Ok(())
    }

    /// Has the sensor look, and acts on what it finds.
    fn sense(
        &mut self,
        look: impl FnOnce(&mut Sensor, &mut Act<'_>) -> anyhow::Result<()>,
    ) -> anyhow::Result<()> {
        let Self { sensor, responder, sink, recorder, bus, .. } = self;
        look(sensor, &mut |sensor, finding| {
            match finding {
                Finding::BudgetSpent(key) => responder.budget_spent(key),
                Finding::Judged(output) => {
                    act(output, sensor, responder, sink, recorder.as_ref(), bus)?;
                }
            }
            report_changes(responder, recorder.as_ref(), bus);
            Ok(())
        })
    }

    /// Has everybody go by what the responder has changed.
    fn follow_changes(&mut self) {
        report_changes(&mut self.responder, self.recorder.as_ref(), &self.bus);
        self.sensor.go_by(self.responder.mode(), self.responder.allowlist());
    }

    fn status(&mut self) -> anyhow::Result<StatusLine> {
        let accounting = self.sensor.kernel.accounting()?;
        let totals = &accounting.totals;
        let seconds = self.poll_interval.as_secs_f64();
        let per_second = |now: u64, before: u64| (now.saturating_sub(before)) as f64 / seconds;
        let baselines = self.sensor.engine.baselines();
        let status = StatusLine {
            packets_per_second: per_second(totals.frames.packets, self.rate.frames),
            bytes_per_second: per_second(totals.frames.bytes, self.rate.bytes),
            flows: u64::from(accounting.live_flows),
            alerts: self.sensor.engine.counts().alerts,
            baselines_ready: baselines.hosts_ready,
            baselines_learning: baselines.hosts_learning,
            days_left: baselines.days_left,
            interfaces: self.sensor.kernel.watched().count() as u64,
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
        if self.keep_enforcing {
            self.sensor.kernel.keep()?;
        } else {
            self.sensor.kernel.detach();
        }
        self.responder.end(self.keep_enforcing);
        // Programs that were running when their link went have ended by then.
        std::thread::sleep(Duration::from_millis(50));
        self.sense(Sensor::finish)?;
        self.record_last()?;
        let accounting = self.sensor.kernel.accounting()?;
        let totals = &accounting.totals;
        let counts = self.sensor.tracker.counts();
        for allowed in self.responder.allowlist().entries().filter(|allowed| allowed.hits() != 0) {
            let (hits, reason) = (allowed.hits(), &allowed.entry.reason);
            tracing::info!("{hits} sessions were left alone as allowed: {reason}");
        }
        let mut summary = Summary {
            source: None,
            packets: totals.frames.packets,
            bytes: totals.frames.bytes,
            flows: counts.flows_opened,
            alerts: self.sensor.engine.counts().alerts,
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
            ("audit_records_lost", self.responder.records_lost()),
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
        summary.count(self.sensor.engine.told());
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

/// Carries out and passes on what the sensor came to.
fn act(
    output: Output,
    sensor: &mut Sensor,
    responder: &mut Responder,
    sink: &Queue<Told>,
    recorder: Option<&Recorder>,
    bus: &Bus,
) -> anyhow::Result<()> {
    match output {
        Output::Alert { mut alert, accusation } => {
            let now_ns = sensor.now_ns()?;
            responder.respond(&mut alert, accusation.as_deref(), now_ns, &mut sensor.kernel);
            // Before the alert, which says itself what was done about it at first.
            report_changes(responder, recorder, bus);
            if let Some(accusation) = accusation
                && alert.action == ActionTaken::Blocked
            {
                let leaked = sensor.bytes_leaked(&alert, &accusation.flow)?;
                alert.bytes_leaked_before_block = Some(leaked.unwrap_or(alert.bytes_out));
            }
            if let Some(recorder) = recorder {
                recorder.offer(Entry::Alert(alert.clone()));
            }
            sink.offer(Told::Alert(alert));
        }
        Output::Again(accusation) => {
            let now_ns = sensor.now_ns()?;
            responder.respond_again(&accusation, now_ns, &mut sensor.kernel);
        }
        Output::Judged { src, dst, payload_bytes, standpoint } => {
            responder.judged((src, dst), payload_bytes, standpoint, &mut sensor.kernel);
        }
        Output::Flow(record) => sink.offer(Told::Flow(record)),
    }
    Ok(())
}

/// Passes on what the responder has changed.
fn report_changes(responder: &mut Responder, recorder: Option<&Recorder>, bus: &Bus) {
    for change in responder.take_changes() {
        reporter::say_changed(bus, change.kind);
        if let (Some(recorder), Some(alert)) = (recorder, change.alert) {
            let (time_ns, change) = (clock::now_ns(), change.kind);
            recorder.offer(Entry::Action { alert, time_ns, change });
        }
    }
}
