//! What is remembered of ordinary traffic and of hosts' baselines, as events every few seconds.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::{Duration, Instant};

use super::{Observed, Reporter};
use crate::clock;
use crate::config::Config;
use crate::network::Address;
use crate::output::{Event, LedgerTexts, TrafficBacklog};
use crate::pipeline::{Pipeline, Scoring};
use crate::store::Store;
use crate::store::kept::{self, Kept};
use crate::store::traffic::Carried;
use crate::store::traffic::log::TrafficLog;
use crate::store::upkeep::Retention;
use crate::units::counted;

/// How often what was carried is given away.
const BATCH: Duration = Duration::from_secs(10);
/// How often accounts of the ledger are.
const ACCOUNTS: Duration = Duration::from_secs(60);
/// How often baselines are, and how many at once: each takes up to 0.2 ms.
const BASELINES: Duration = Duration::from_secs(600);
const BASELINES_AT_ONCE: usize = 16;
const MINUTE: u64 = 60;
const SECOND_NS: u64 = 1_000_000_000;

/// What was given away last.
#[derive(Debug)]
pub(super) struct TrafficReport {
    backlog: TrafficBacklog,
    batch: Instant,
    pub(super) log: TrafficLog,
    carried: Carried,
    accounts: Instant,
    accounts_ns: u64,
    baselines: Instant,
    baselines_ns: u64,
    /// Hosts whose baselines are due.
    due: VecDeque<Address>,
    /// Sessions that were counted together, without their addresses.
    joined: u64,
}

impl Default for TrafficReport {
    fn default() -> Self {
        let now = Instant::now();
        Self {
            backlog: TrafficBacklog::default(),
            batch: now,
            log: TrafficLog::default(),
            carried: Carried::default(),
            accounts: now,
            accounts_ns: 0,
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

/// Continues what earlier runs have learned about hosts, and what they know of today's senders.
pub(in crate::agent) fn recall(store: &Store, pipeline: &mut Pipeline<Scoring>) {
    let (continued, failed) = recall_each(store, Kept::Baselines, |address, learned| {
        pipeline.history_mut().recall(address, learned).map(|()| true)
    });
    if continued != 0 {
        tracing::info!(
            "loaded the baselines of {} from an earlier run",
            counted(continued, "host")
        );
    }
    if failed != 0 {
        tracing::warn!(
            "failed to load the stored baselines of {}: the agent learns them again",
            counted(failed, "host")
        );
    }
    let now_ns = clock::now_ns();
    let (continued, failed) = recall_each(store, Kept::Accounts, |address, account| {
        pipeline.mode_mut().recall_account(address, account, now_ns)
    });
    if continued != 0 {
        tracing::info!(
            "loaded today's outbound bytes of {} from an earlier run",
            counted(continued, "sender")
        );
    }
    if failed != 0 {
        tracing::warn!(
            "failed to load today's outbound bytes of {}: the agent counts them from 0",
            counted(failed, "sender")
        );
    }
    let (continued, failed) = recall_each(store, Kept::Services, |address, learned| {
        pipeline.mode_mut().recall_services(address, learned)
    });
    if continued != 0 {
        let hosts = counted(continued, "internal server");
        tracing::info!("loaded the usual answers of {hosts} from an earlier run");
    }
    if failed != 0 {
        let hosts = counted(failed, "internal server");
        tracing::warn!("failed to load the usual answers of {hosts}: the agent learns them again");
    }
}

/// Hands on all that was kept of a kind. Returns how many continue and how many failed.
fn recall_each(
    store: &Store,
    kind: Kept,
    mut continues: impl FnMut(Address, &str) -> anyhow::Result<bool>,
) -> (u64, u64) {
    let all = store.read(|connection| kept::all(connection, kind)).unwrap_or_else(|error| {
        tracing::error!("failed to read the {} of earlier runs: {error:#}", kind.name());
        Vec::new()
    });
    let (mut continued, mut failed) = (0, 0);
    for (address, text) in all {
        match continues(address, &text) {
            Ok(does) => continued += u64::from(does),
            Err(error) => {
                tracing::debug!("{error:#}");
                failed += 1;
            }
        }
    }
    (continued, failed)
}

impl TrafficReport {
    pub(super) fn joined(&self) -> u64 {
        self.joined
    }

    /// What was carried since the last batch.
    fn batch(&mut self, observed: &Observed<'_>) -> Event {
        self.batch = Instant::now();
        let carried = self.carried(observed);
        let mut batch = self.log.take();
        if !self.backlog.has_room_for(batch.lines.len()) {
            batch.join();
        }
        self.joined += batch.joined;
        let minute = observed.now.ns() / SECOND_NS / MINUTE * MINUTE;
        self.backlog.event(minute, carried, batch)
    }

    fn carried(&mut self, observed: &Observed<'_>) -> Carried {
        let frames = &observed.accounting.totals.frames;
        let now = Carried {
            bytes_out: observed.counts.bytes_out,
            bytes_in: observed.counts.bytes_in,
            packets: frames.packets,
            seen_bytes: frames.bytes,
            unaccounted_bytes: observed.accounting.unaccounted_bytes.unsigned_abs(),
            alerts: observed.alerts(),
        };
        let before = std::mem::replace(&mut self.carried, now);
        Carried {
            bytes_out: now.bytes_out.saturating_sub(before.bytes_out),
            bytes_in: now.bytes_in.saturating_sub(before.bytes_in),
            packets: now.packets.saturating_sub(before.packets),
            seen_bytes: now.seen_bytes.saturating_sub(before.seen_bytes),
            unaccounted_bytes: now.unaccounted_bytes.saturating_sub(before.unaccounted_bytes),
            alerts: now.alerts.saturating_sub(before.alerts),
        }
    }

    /// The ledger's accounts that changed since they were given away last.
    fn accounts(&mut self, observed: &Observed<'_>) -> Event {
        self.accounts = Instant::now();
        let since_ns = std::mem::replace(&mut self.accounts_ns, observed.now.ns());
        // What was sent before that may have been booked after it.
        let since_ns = since_ns.saturating_sub(BATCH.as_secs() * SECOND_NS);
        let ledger = observed.pipeline.mode().ledger();
        let accounts = ledger.changed_since(since_ns).collect();
        let services = ledger.services_changed_since(since_ns).collect();
        Event::Accounts(Arc::new(LedgerTexts { accounts, services }))
    }

    /// Notes which hosts were seen since their baselines were given away last.
    fn list_baselines(&mut self, pipeline: &Pipeline<Scoring>) {
        self.baselines = Instant::now();
        self.due = pipeline.history().seen_since(self.baselines_ns).collect();
        self.baselines_ns = clock::now_ns();
    }

    /// Some of the baselines that are due; none where none is.
    fn baselines(&mut self, pipeline: &Pipeline<Scoring>, most: usize) -> Option<Event> {
        let most = most.min(self.due.len());
        let history = pipeline.history();
        let learned = self.due.drain(..most);
        let learned = learned.filter_map(|address| Some((address, history.learned(address)?)));
        (most != 0).then(|| Event::Baselines(Arc::new(learned.collect())))
    }
}

impl Reporter {
    /// Gives away what was carried, and some of what was learned, when it is time.
    pub(in crate::agent) fn report_traffic(&mut self, observed: &Observed<'_>) {
        if self.store.is_none() {
            return;
        }
        if self.traffic.batch.elapsed() >= BATCH {
            self.outputs.give(&self.traffic.batch(observed));
        }
        if self.traffic.accounts.elapsed() >= ACCOUNTS {
            self.outputs.give(&self.traffic.accounts(observed));
        }
        if self.traffic.baselines.elapsed() >= BASELINES {
            self.traffic.list_baselines(observed.pipeline);
        }
        if let Some(event) = self.traffic.baselines(observed.pipeline, BASELINES_AT_ONCE) {
            self.outputs.give(&event);
        }
    }

    /// At the end: all that was not given away yet.
    pub(super) fn report_last_traffic(&mut self, observed: &Observed<'_>) {
        if self.store.is_none() {
            return;
        }
        self.outputs.give(&self.traffic.batch(observed));
        self.outputs.give(&self.traffic.accounts(observed));
        self.traffic.list_baselines(observed.pipeline);
        if let Some(event) = self.traffic.baselines(observed.pipeline, usize::MAX) {
            self.outputs.give(&event);
        }
    }
}
