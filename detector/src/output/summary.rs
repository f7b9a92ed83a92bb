//! What a run amounts to, once it is over.

use std::collections::BTreeMap;

use crate::ledger::Sums;
use crate::status::SinkState;

/// Sums over captures, or over one live run.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Summary {
    /// What was read, where that is worth telling: a file's name.
    pub source: Option<String>,
    /// Frames and their bytes.
    pub packets: u64,
    pub bytes: u64,
    pub flows: u64,
    /// Alerts by id.
    pub alerts: u64,
    /// Frames that belong to no flow, by reason.
    pub skipped: BTreeMap<&'static str, u64>,
    pub overflow_bytes: u64,
    /// What else was counted, by reason; what is 0 is left out.
    pub counters: BTreeMap<&'static str, u64>,
    /// What became of everything that each output was given; empty where nothing ran live.
    pub outputs: Vec<SinkState>,
    /// Outbound bytes by explanation, and those without one.
    pub outbound: Sums,
    /// Bytes that no counter explains: 0, or a fault.
    pub unaccounted_bytes: i64,
    /// Seconds of packet time.
    pub seconds: f64,
}

impl Summary {
    /// Notes counters of the data plane and of the tracker, those that are not 0.
    pub fn count(&mut self, counters: impl IntoIterator<Item = (&'static str, u64)>) {
        for (reason, count) in counters {
            if count != 0 {
                *self.counters.entry(reason).or_default() += count;
            }
        }
    }

    /// Adds another run to this one.
    pub fn add(&mut self, other: &Self) {
        self.packets += other.packets;
        self.bytes += other.bytes;
        self.flows += other.flows;
        self.alerts += other.alerts;
        for (reason, count) in &other.skipped {
            *self.skipped.entry(reason).or_default() += count;
        }
        self.count(other.counters.iter().map(|(reason, count)| (*reason, *count)));
        self.outbound = self.outbound.plus(&other.outbound);
        self.overflow_bytes += other.overflow_bytes;
        self.unaccounted_bytes += other.unaccounted_bytes;
        self.seconds += other.seconds;
    }
}
