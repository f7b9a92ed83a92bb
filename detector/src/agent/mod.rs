//! The agent is three things and their loop: the *sensor* turns kernel events and polls into
//! verdicts, the *responder* decides what is blocked, the *reporter* gives events to the outputs.
//!
//! One task runs all of it, so that a block follows the event that asks for it without a queue
//! between them. What is reported goes through bounded queues to threads of their own and is
//! dropped, counted, rather than waited for. Nothing here runs per packet.

mod acting;
mod bypasses;
mod reading;
mod reload;
mod reported;
mod reporter;
mod requests;
mod responder;
mod sensor;
mod wakeups;

use std::sync::Arc;
use std::time::Duration;

use crate::config::Config;
use crate::control::server::Call;
use crate::model::Model;
use crate::output::{Router, Summary, Unopened};
use crate::source::kernel::{Accounting, Start};
use crate::store::Store;
use crate::timestamp::Timestamp;
use acting::Acting;
use bypasses::{BypassCounts, Bypasses};
use reading::Readings;
pub use reload::Reloads;
use reported::ReportedAlerts;
use reporter::{Observed, PolicyStatus, Reporter};
use responder::Responder;
use sensor::{Act, Finding, Sensor, Wanted};
pub use wakeups::Signals;
use wakeups::{Wakeup, Wakeups};

/// Everything that runs.
pub struct Agent {
    sensor: Sensor,
    responder: Responder,
    reported: ReportedAlerts,
    reporter: Reporter,
    bypasses: Bypasses,
    /// The interfaces were not all followed.
    rescan_failed: bool,
    keep_enforcing: bool,
    poll_interval: Duration,
    reloads: Reloads,
    readings: Readings,
}

/// How a run begins and ends.
#[derive(Clone, Copy, Debug, Default)]
pub struct RunOptions {
    /// Report every flow.
    pub flows: bool,
    /// Continue with what an earlier agent left in the kernel.
    pub adopt: bool,
    /// Leave the programs and their blocks in the kernel at the end.
    pub keep_enforcing: bool,
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
        outputs: Router,
        store: Option<Store>,
        mut reloads: Reloads,
    ) -> anyhow::Result<Self> {
        let model_hash = model.hash()?;
        reloads.model_serves(&model_hash);
        let wanted = Wanted { flow_records: options.flows, traffic: store.is_some() };
        let start = if options.adopt { Start::Adopt } else { Start::Fresh };
        let check_pinned = options.adopt || options.keep_enforcing;
        let mut sensor = Sensor::load(config, model, wanted, start, check_pinned)?;
        let now = sensor.now()?;
        let responder = Responder::new(config, sensor.time_base(), now)?;
        let bypasses = Bypasses::new(sensor.time_base(), sensor::name(config));
        if let Some(store) = &store {
            reporter::recall(store, &mut sensor.pipeline);
        }
        let mut agent = Self {
            sensor,
            responder,
            reported: ReportedAlerts::default(),
            reporter: Reporter::new(outputs, store, config, &model_hash),
            bypasses,
            rescan_failed: false,
            keep_enforcing: options.keep_enforcing,
            poll_interval: Duration::from_millis(config.kernel.poll_interval_ms),
            reloads,
            readings: Readings::default(),
        };
        // Before a packet is seen: what must not be cut off is not held up for a moment either.
        let said_before = responder::said_before(config);
        agent.responder.adopt_and_arm(said_before, now, &mut agent.sensor.kernel)?;
        agent.sensor.attach(config)?;
        agent.responder.set_home(agent.sensor.kernel.home());
        agent.responder.begin(config);
        agent.follow_changes();
        Ok(agent)
    }

    /// Runs until a signal to stop, then takes everything off, reads a last time and sums up.
    pub async fn run(
        mut self,
        signals: Signals,
        calls: tokio::sync::mpsc::Receiver<Call>,
    ) -> anyhow::Result<()> {
        let resumes = self.readings.listen();
        let kernel = &self.sensor.kernel;
        let mut wakeups = Wakeups::new(kernel, self.poll_interval, signals, calls, resumes)?;
        loop {
            match wakeups.next().await? {
                Wakeup::Stop => break,
                Wakeup::KernelEvent => self.sense(Sensor::take_events)?,
                Wakeup::Call(call) => self.answer(*call),
                Wakeup::Reload => self.reload_by_signal(),
                Wakeup::Read(resume) => self.resume(resume),
                Wakeup::Interfaces => self.rescan(),
                Wakeup::Poll => self.poll()?,
                Wakeup::PastPrograms => self.see_bypasses(),
            }
        }
        self.finish()
    }

    /// Follows the interfaces. What fails is tried again at the next poll.
    fn rescan(&mut self) {
        let rescanned = self.sensor.rescan();
        if let Err(error) = &rescanned
            && !self.rescan_failed
        {
            tracing::error!("failed to follow the interfaces, which is tried again: {error:#}");
        }
        self.rescan_failed = rescanned.is_err();
        self.responder.set_home(self.sensor.kernel.home());
    }

    fn poll(&mut self) -> anyhow::Result<()> {
        let now = self.sensor.now()?;
        if self.rescan_failed {
            self.rescan();
        }
        self.restore_programs(now);
        self.sense(Sensor::poll)?;
        let now = self.sensor.now()?;
        self.responder.tick(now, &mut self.sensor.kernel);
        self.report_bypasses(now);
        self.follow_changes();
        self.reported.tick(now);
        let held = self.reported.held();
        let Self { sensor, responder, reported, reporter, .. } = self;
        Acting { responder, reported, reporter }.amend(sensor, &held)?;
        self.report(now)
    }

    /// Gives the outputs the status of this second, and traffic when it is time.
    fn report(&mut self, now: Timestamp) -> anyhow::Result<()> {
        let accounting = self.sensor.kernel.accounting()?;
        let policy = PolicyStatus {
            reply: self.status_reply(now)?,
            blocks: self.responder.blocks() as u64,
            audit_records_lost: self.responder.records_lost(),
        };
        let passed = self.bypass_counts()?;
        let observed = observed(&self.sensor, &accounting, &self.reported, passed, now);
        self.reporter.report_traffic(&observed);
        self.reporter.report_status(&observed, policy);
        Ok(())
    }

    /// Has the sensor look, and acts on what it finds.
    fn sense(
        &mut self,
        look: impl FnOnce(&mut Sensor, &mut Act<'_>) -> anyhow::Result<()>,
    ) -> anyhow::Result<()> {
        let Self { sensor, responder, reported, reporter, .. } = self;
        let mut acting = Acting { responder, reported, reporter };
        look(sensor, &mut |sensor, finding| {
            match finding {
                Finding::BudgetSpent(key) => acting.budget_spent(key, sensor)?,
                Finding::Scored(output) => acting.act(output, sensor)?,
            }
            acting.report_changes(sensor)
        })
    }

    /// Has everybody go by what the responder has changed.
    fn follow_changes(&mut self) {
        let Self { sensor, responder, reported, reporter, .. } = self;
        if let Err(error) = (Acting { responder, reported, reporter }).report_changes(sensor) {
            tracing::error!("alerts do not show a change of blocks: {error:#}");
        }
        self.sensor.go_by(self.responder.mode(), self.responder.allowlist());
    }

    /// Detaches, reads the maps a last time, ends every flow, and sums up.
    fn finish(mut self) -> anyhow::Result<()> {
        if self.keep_enforcing {
            self.sensor.kernel.keep()?;
        } else {
            self.sensor.kernel.detach();
        }
        self.see_bypasses();
        self.responder.end(self.keep_enforcing);
        // Programs that were running when their link went have ended by then.
        std::thread::sleep(Duration::from_millis(50));
        self.sense(Sensor::finish)?;
        let now = self.sensor.now()?;
        if !self.keep_enforcing {
            for id in self.reported.stopped() {
                let ended = self.reported.amend(id, None, None, now);
                ended.into_iter().for_each(|alert| self.reporter.alert(alert));
            }
        }
        let accounting = self.sensor.kernel.accounting()?;
        let passed = self.bypass_counts()?;
        let totals = &accounting.totals;
        let counts = self.sensor.pipeline.tracker().counts();
        for allowed in self.responder.allowlist().entries().filter(|allowed| allowed.hits() != 0) {
            let (hits, reason) = (allowed.hits(), &allowed.entry.reason);
            tracing::info!(
                "the allowlist exempted {}: {reason}",
                crate::units::counted(hits, "session")
            );
        }
        let mut summary = Summary {
            source: None,
            packets: totals.frames.packets,
            bytes: totals.frames.bytes,
            flows: counts.flows_opened,
            alerts: self.sensor.pipeline.mode().alerts() + passed.alerts,
            skipped: reporter::skipped(&accounting),
            overflow_bytes: totals.overflow.bytes,
            outbound: self.sensor.pipeline.mode().ledger().sums(),
            unaccounted_bytes: accounting.unaccounted_bytes,
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
            ("alerts_not_followed", self.reported.forgotten()),
            ("packets_seen_on_other_interfaces", totals.duplicates.packets),
            ("late_packets", totals.late.packets),
            ("fragments_without_first", totals.fragments_unknown.packets),
            ("packets_beyond_host_table", totals.overflow_rest.packets),
            ("events_lost", totals.events_lost),
            ("payload_samples_skipped", totals.first_payloads_refused),
        ]);
        summary.count(passed.counters());
        summary.count(counts.left_out());
        let unopened = self.sensor.kernel.unopened()?;
        summary
            .leave(unopened.into_iter().map(|(number, count)| (Unopened::Frames(number), count)));
        summary.leave(Unopened::tunnels(&counts.tunnels));
        summary.count(self.sensor.pipeline.counters());
        let observed = observed(&self.sensor, &accounting, &self.reported, passed, now);
        self.reporter.finish(&observed, summary)
    }
}

/// What the reporter is shown.
fn observed<'a>(
    sensor: &'a Sensor,
    accounting: &'a Accounting,
    reported: &ReportedAlerts,
    bypasses: BypassCounts,
    now: Timestamp,
) -> Observed<'a> {
    let counts = sensor.pipeline.tracker().counts();
    let alerts_forgotten = reported.forgotten();
    let pipeline = &sensor.pipeline;
    Observed { accounting, counts, pipeline, now, alerts_forgotten, bypasses }
}
