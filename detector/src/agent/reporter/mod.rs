//! The reporter: what the agent found, and how it is doing, as events for the outputs.
//!
//! It decides nothing and waits for nobody; it holds no part of the data plane and is shown what it
//! reports on ([`Observed`]).

pub(super) mod outbound;
mod status;
mod traffic;

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

use detector_common::parse::Skip;

use super::bypasses::BypassCounts;
use crate::clock;
use crate::config::Config;
use crate::flow::session::totals::SessionTotals;
use crate::flow::{FlowRecord, TrackerCounts};
use crate::output::{Changed, Event, Router, Settings, StandardOutput, Summary, not_stored};
use crate::pipeline::{Pipeline, Scoring};
use crate::response::Change;
use crate::source::kernel::Accounting;
use crate::store::Store;
use crate::timestamp::Timestamp;
use crate::verdict::Alert;
pub(super) use status::PolicyStatus;
use traffic::TrafficReport;
pub(super) use traffic::recall;

/// What is reported on.
pub(super) struct Observed<'a> {
    pub(super) accounting: &'a Accounting,
    pub(super) counts: TrackerCounts,
    pub(super) pipeline: &'a Pipeline<Scoring>,
    pub(super) now: Timestamp,
    /// Alerts to which a later block is not added.
    pub(super) alerts_forgotten: u64,
    pub(super) bypasses: BypassCounts,
}

impl Observed<'_> {
    /// Alerts opened so far: about sessions, and about the monitor.
    fn alerts(&self) -> u64 {
        self.pipeline.mode().alerts() + self.bypasses.alerts
    }
}

/// Gives events to the outputs.
pub(super) struct Reporter {
    outputs: Router,
    /// None where nothing is stored.
    store: Option<Store>,
    settings: Settings,
    started: Instant,
    interval: Duration,
    /// What the previous status was made from.
    previous: Previous,
    traffic: TrafficReport,
}

#[derive(Clone, Copy, Debug, Default)]
struct Previous {
    frames: u64,
    bytes: u64,
    bytes_out: u64,
    bytes_in: u64,
    bytes_stopped: u64,
}

impl Reporter {
    pub(super) fn new(
        outputs: Router,
        store: Option<Store>,
        config: &Config,
        model_hash: &str,
    ) -> Self {
        let reporter = Self {
            outputs,
            store,
            settings: settings(config, model_hash),
            started: Instant::now(),
            interval: Duration::from_millis(config.kernel.poll_interval_ms),
            previous: Previous::default(),
            traffic: TrafficReport::default(),
        };
        reporter.give_settings();
        reporter
    }

    /// Where alerts, traffic and models are kept; none where nothing is stored.
    pub(super) fn store(&self) -> Option<&Store> {
        self.store.as_ref()
    }

    pub(super) fn alert(&self, alert: Arc<Alert>) {
        self.outputs.give(&Event::Alert(alert));
    }

    pub(super) fn flow(&self, record: Box<FlowRecord>) {
        self.outputs.give(&Event::Flow(Arc::from(record)));
    }

    /// A sender was scored, and what its session has carried until now.
    pub(super) fn scored(&mut self, score: f64, totals: Option<&SessionTotals>) {
        self.traffic.log.scored(score, totals);
    }

    pub(super) fn session_ended(&mut self, totals: &SessionTotals) {
        self.traffic.log.ended(totals);
    }

    pub(super) fn change(&self, change: Change) {
        let time_ns = clock::now_ns();
        self.outputs.give(&Event::Change(Arc::new(Changed { time_ns, change })));
    }

    /// The alerts that follow are scored by this model.
    pub(super) fn model_changed(&mut self, hash: &str) {
        hash.clone_into(&mut self.settings.model_hash);
        self.give_settings();
    }

    /// The alerts that follow are scored by this configuration.
    pub(super) fn config_changed(&mut self, config: &Config) {
        self.settings = settings(config, &self.settings.model_hash);
        self.give_settings();
    }

    fn give_settings(&self) {
        self.outputs.give(&Event::Settings(Arc::new(self.settings.clone())));
    }

    /// Lines that standard output was too slow for.
    pub(super) fn output_lines_dropped(&self) -> u64 {
        self.outputs.board().dropped(StandardOutput::NAME)
    }

    /// Ends every output; `summary` goes out last, with what became of everything else. Returns the
    /// last failure to write to standard output.
    pub(super) fn finish(
        mut self,
        observed: &Observed<'_>,
        mut summary: Summary,
    ) -> anyhow::Result<()> {
        self.report_last_traffic(observed);
        self.outputs.drain();
        summary.seconds = self.started.elapsed().as_secs_f64();
        summary.count([("output_lines_dropped", self.output_lines_dropped())]);
        summary.count(self.store.iter().flat_map(not_stored));
        summary.count([("sessions_recorded_together", self.traffic.joined())]);
        summary.outputs = self.outputs.board().states();
        let failures = self.outputs.finish(summary).into_iter();
        let mut own = failures.filter(|(name, _)| *name == StandardOutput::NAME);
        own.next().map_or(Ok(()), |(_, error)| Err(error))
    }
}

fn settings(config: &Config, model_hash: &str) -> Settings {
    Settings {
        model_hash: model_hash.to_owned(),
        config_hash: config.hash(),
        retention: traffic::retention(config),
    }
}

/// Frames that belong to no flow, by reason.
pub(super) fn skipped(accounting: &Accounting) -> BTreeMap<&'static str, u64> {
    Skip::NAMES
        .into_iter()
        .zip(accounting.totals.skipped)
        .filter(|(_, count)| count.packets != 0)
        .map(|(name, count)| (name, count.packets))
        .collect()
}
