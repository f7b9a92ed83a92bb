//! What is remembered of ordinary traffic, and of what hosts usually do.

use std::collections::VecDeque;
use std::time::{Duration, Instant};

use super::Agent;
use super::recorder::{Entry, Marks, Recorder};
use crate::clock;
use crate::config::Config;
use crate::store::traffic::Carried;
use crate::store::upkeep::Retention;
use crate::store::{Store, baselines};
use crate::verdict::AlertId;

/// How often what was carried is written down.
const PAGE: Duration = Duration::from_secs(10);
/// How often baselines are, and how many at once: each takes up to 0.2 ms.
const BASELINES: Duration = Duration::from_secs(600);
const BASELINES_AT_ONCE: usize = 16;
const MINUTE: u64 = 60;
const SECOND_NS: u64 = 1_000_000_000;

/// What was written down last.
#[derive(Debug)]
pub(super) struct Pages {
    page: Instant,
    carried: Carried,
    baselines: Instant,
    baselines_ns: u64,
    /// Hosts whose baselines are to be written.
    due: VecDeque<[u8; 16]>,
    /// Sessions that were written down together, without their addresses.
    joined: u64,
}

impl Default for Pages {
    fn default() -> Self {
        let now = Instant::now();
        Self {
            page: now,
            carried: Carried::default(),
            baselines: now,
            baselines_ns: 0,
            due: VecDeque::new(),
            joined: 0,
        }
    }
}

/// For how long, and how much, is kept.
pub(super) fn retention(config: &Config) -> Retention {
    let kept = &config.store;
    Retention {
        max_bytes: kept.max_bytes,
        alerts_days: kept.alerts_days,
        traffic_days: kept.traffic_days,
        minutes_days: kept.minutes_days,
    }
}

/// What writes to `store`, with what every alert of this run is stored with.
pub(super) fn recorder(
    store: Store,
    config: &Config,
    model_hash: &str,
    told: impl Fn(&[AlertId]) + Send + 'static,
) -> Recorder {
    let retention = retention(config);
    let marks = Marks { model_hash: model_hash.to_owned(), config_hash: config.hash() };
    Recorder::start(store, marks, retention, config.state_dir.clone(), told)
}

impl Agent {
    /// What earlier runs have learned about hosts.
    pub(super) fn recall(&mut self, store: &Store) {
        let kept = store.read(baselines::all).unwrap_or_else(|error| {
            tracing::error!("what was learned in earlier runs is not known: {error:#}");
            Vec::new()
        });
        let known = kept.len();
        let mut failed = 0;
        for (address, learned) in kept {
            if let Err(error) = self.sensor.engine.history_mut().recall(address, &learned) {
                tracing::debug!("{error:#}");
                failed += 1;
            }
        }
        if known != 0 {
            tracing::info!("what was learned about {} hosts goes on", known - failed);
        }
        if failed != 0 {
            tracing::warn!("the baselines of {failed} hosts are learned anew");
        }
    }

    /// Writes down what was carried, and some of what was learned, when it is time.
    pub(super) fn record_traffic(&mut self) -> anyhow::Result<()> {
        if self.recorder.is_none() {
            return Ok(());
        }
        if self.pages.page.elapsed() >= PAGE {
            self.write_page()?;
        }
        if self.pages.baselines.elapsed() >= BASELINES {
            self.pages.baselines = Instant::now();
            self.list_baselines();
        }
        self.write_baselines(BASELINES_AT_ONCE);
        Ok(())
    }

    /// At the end: all that was not written yet.
    pub(super) fn record_last(&mut self) -> anyhow::Result<()> {
        if self.recorder.is_none() {
            return Ok(());
        }
        self.write_page()?;
        self.list_baselines();
        self.write_baselines(usize::MAX);
        Ok(())
    }

    /// Waits until what was handed over is stored or given up; what was given up, by name.
    pub(super) fn end_recording(&mut self) -> Vec<(&'static str, u64)> {
        let Some(recorder) = self.recorder.take() else { return Vec::new() };
        let store = recorder.store().clone();
        drop(recorder);
        let name = |kind: &str| match kind {
            "alerts" => "alerts_not_stored",
            "actions" => "actions_not_stored",
            "minutes" => "minutes_not_stored",
            "baselines" => "baselines_not_stored",
            "sessions for room" => "sessions_forgotten_for_room",
            "alerts for room" => "alerts_forgotten_for_room",
            _ => "others_not_stored",
        };
        let state = store.health().state();
        let given_up = state.not_stored.iter().map(|(kind, count)| (name(kind), *count));
        given_up.chain([("sessions_recorded_together", self.pages.joined)]).collect()
    }

    fn write_page(&mut self) -> anyhow::Result<()> {
        self.pages.page = Instant::now();
        let totals = self.sensor.kernel.accounting()?;
        let counts = self.sensor.tracker.counts();
        let now = Carried {
            bytes_out: counts.bytes_out,
            bytes_in: counts.bytes_in,
            packets: totals.totals.frames.packets,
            seen_bytes: totals.totals.frames.bytes,
            unaccounted_bytes: totals.unaccounted_bytes.unsigned_abs(),
            alerts: self.sensor.engine.counts().alerts,
        };
        let before = std::mem::replace(&mut self.pages.carried, now);
        let carried = Carried {
            bytes_out: now.bytes_out.saturating_sub(before.bytes_out),
            bytes_in: now.bytes_in.saturating_sub(before.bytes_in),
            packets: now.packets.saturating_sub(before.packets),
            seen_bytes: now.seen_bytes.saturating_sub(before.seen_bytes),
            unaccounted_bytes: now.unaccounted_bytes.saturating_sub(before.unaccounted_bytes),
            alerts: now.alerts.saturating_sub(before.alerts),
        };
        let mut page = Box::new(self.sensor.engine.take_page());
        if self.recorder.as_ref().is_some_and(|recorder| !recorder.has_room_for(page.lines.len())) {
            page.join();
        }
        self.pages.joined += page.joined;
        let minute = self.sensor.now_ns()? / SECOND_NS / MINUTE * MINUTE;
        self.keep(Entry::Traffic { minute, carried, page });
        Ok(())
    }

    /// Notes which hosts were seen since their baselines were written last.
    fn list_baselines(&mut self) {
        let since_ns = self.pages.baselines_ns;
        self.pages.due = self.sensor.engine.history().seen_since(since_ns).collect();
        self.pages.baselines_ns = clock::now_ns();
    }

    fn write_baselines(&mut self, most: usize) {
        let most = most.min(self.pages.due.len());
        if most == 0 {
            return;
        }
        let history = self.sensor.engine.history();
        let learned = self.pages.due.drain(..most);
        let learned = learned.filter_map(|address| Some((address, history.learned(&address)?)));
        let learned = learned.collect();
        self.keep(Entry::Baselines(learned));
    }

    fn keep(&self, entry: Entry) {
        if let Some(recorder) = &self.recorder {
            recorder.offer(entry);
        }
    }
}
