//! The agent is three things and their loop: the *sensor* turns kernel events and polls into
//! verdicts, the *responder* decides what is blocked, the *reporter* gives events to the outputs.
//!
//! One task runs all of it, so that a block follows the event that asks for it without a queue between
//! them. What is reported goes through bounded queues to threads of their own and is dropped, counted,
//! rather than waited for. Nothing here runs per packet.

mod reading;
mod reload;
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
use crate::output::{Router, Summary};
use crate::pipeline::Output;
use crate::source::kernel::{Accounting, Start};
use crate::store::Store;
use crate::timestamp::Timestamp;
use crate::verdict::ActionTaken;
use reading::Readings;
pub use reload::Reloads;
use reporter::{Observed, PolicyStatus, Reporter};
use responder::Responder;
use sensor::{Act, Finding, Sensor, Wanted};
pub use wakeups::Signals;
use wakeups::{Wakeup, Wakeups};

/// Everything that runs.
pub struct Agent {
    sensor: Sensor,
    responder: Responder,
    reporter: Reporter,
    keep_enforcing: bool,
    poll_interval: Duration,
    reloads: Reloads,
    readings: Readings,
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
        if let Some(store) = &store {
            reporter::recall(store, &mut sensor.pipeline);
        }
        let mut agent = Self {
            sensor,
            responder,
            reporter: Reporter::new(outputs, store, config, &model_hash),
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
    ///
    /// # Errors
    ///
    /// A data plane that cannot be read any more, which is taken off all the same; results that could
    /// not be written to standard output.
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
        let now = self.sensor.now()?;
        self.responder.tick(now, &mut self.sensor.kernel);
        self.follow_changes();
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
        let observed = observed(&self.sensor, &accounting, now);
        self.reporter.report_traffic(&observed);
        self.reporter.report_status(&observed, policy);
        Ok(())
    }

    /// Has the sensor look, and acts on what it finds.
    fn sense(
        &mut self,
        look: impl FnOnce(&mut Sensor, &mut Act<'_>) -> anyhow::Result<()>,
    ) -> anyhow::Result<()> {
        let Self { sensor, responder, reporter, .. } = self;
        look(sensor, &mut |sensor, finding| {
            match finding {
                Finding::BudgetSpent(key) => responder.budget_spent(key),
                Finding::Scored(output) => act(output, sensor, responder, reporter)?,
            }
            report_changes(responder, reporter);
            Ok(())
        })
    }

    /// Has everybody go by what the responder has changed.
    fn follow_changes(&mut self) {
        report_changes(&mut self.responder, &self.reporter);
        self.sensor.go_by(self.responder.mode(), self.responder.allowlist());
    }

    /// Detaches, reads the maps a last time, ends every flow, and sums up.
    fn finish(mut self) -> anyhow::Result<()> {
        if self.keep_enforcing {
            self.sensor.kernel.keep()?;
        } else {
            self.sensor.kernel.detach();
        }
        self.responder.end(self.keep_enforcing);
        // Programs that were running when their link went have ended by then.
        std::thread::sleep(Duration::from_millis(50));
        self.sense(Sensor::finish)?;
        let now = self.sensor.now()?;
        let accounting = self.sensor.kernel.accounting()?;
        let totals = &accounting.totals;
        let counts = self.sensor.pipeline.tracker().counts();
        for allowed in self.responder.allowlist().entries().filter(|allowed| allowed.hits() != 0) {
            let (hits, reason) = (allowed.hits(), &allowed.entry.reason);
            tracing::info!("{hits} sessions were left alone as allowed: {reason}");
        }
        let mut summary = Summary {
            source: None,
            packets: totals.frames.packets,
            bytes: totals.frames.bytes,
            flows: counts.flows_opened,
            alerts: self.sensor.pipeline.mode().alerts(),
            skipped: reporter::skipped(&accounting),
            overflow_bytes: totals.overflow.bytes,
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
            ("packets_seen_on_other_interfaces", totals.duplicates.packets),
            ("flows_moved_between_interfaces", totals.owner_moves),
            ("late_packets", totals.late.packets),
            ("fragments_without_first", totals.fragments_unknown.packets),
            ("packets_beyond_host_table", totals.overflow_rest.packets),
            ("events_lost", totals.events_lost),
            ("payload_samples_skipped", totals.first_payloads_refused),
        ]);
        summary.count(counts.left_out());
        summary.count(self.sensor.pipeline.told());
        self.reporter.finish(&observed(&self.sensor, &accounting, now), summary)
    }
}

/// What the reporter is shown.
fn observed<'a>(sensor: &'a Sensor, accounting: &'a Accounting, now: Timestamp) -> Observed<'a> {
    let counts = sensor.pipeline.tracker().counts();
    Observed { accounting, counts, pipeline: &sensor.pipeline, now }
}

/// Carries out and passes on what the sensor came to.
fn act(
    output: Output,
    sensor: &mut Sensor,
    responder: &mut Responder,
    reporter: &mut Reporter,
) -> anyhow::Result<()> {
    match output {
        Output::Alert { mut alert, block_request } => {
            let now = sensor.now()?;
            responder.respond(&mut alert, block_request.as_deref(), now, &mut sensor.kernel);
            // Before the alert, which says itself what was done about it at first.
            report_changes(responder, reporter);
            if let Some(block_request) = block_request
                && alert.action == ActionTaken::Blocked
            {
                let leaked = sensor.bytes_leaked(&alert, &block_request.flow)?;
                alert.bytes_leaked_before_block = Some(leaked.unwrap_or(alert.bytes_out));
            }
            reporter.alert(alert);
        }
        Output::Again(block_request) => {
            let now = sensor.now()?;
            responder.respond_again(&block_request, now, &mut sensor.kernel);
        }
        Output::Budget { src, dst, payload_bytes, budget_verdict } => {
            responder.scored((src, dst), payload_bytes, budget_verdict, &mut sensor.kernel);
        }
        Output::Flow(record) => reporter.flow(record),
        Output::Scored { score, totals } => reporter.scored(score, totals.as_deref()),
        Output::Ended(totals) => reporter.session_ended(&totals),
        // Nobody asks for rows.
        Output::Row(_) => {}
    }
    Ok(())
}

/// Passes on what the responder has changed.
fn report_changes(responder: &mut Responder, reporter: &Reporter) {
    responder.take_changes().into_iter().for_each(|change| reporter.change(change));
}
