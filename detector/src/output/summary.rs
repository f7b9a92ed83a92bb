//! What a run amounts to, once it is over.

use std::collections::BTreeMap;

use detector_common::abi::Count;

use super::unopened::Unopened;
use crate::ledger::Sums;
use crate::status::SinkState;

/// Sums over captures, or over one live run.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Summary {
    /// What was read, where that is worth reporting: a file's name.
    pub source: Option<String>,
    /// Frames and their bytes.
    pub packets: u64,
    pub bytes: u64,
    pub flows: u64,
    /// Alerts by id.
    pub alerts: u64,
    /// Frames that belong to no flow, by reason.
    pub skipped: BTreeMap<&'static str, u64>,
    /// What was not opened, in frames, links and tunnels.
    pub unopened: BTreeMap<Unopened, Count>,
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

    /// Notes what was not opened, where there is any.
    pub fn leave(&mut self, kinds: impl IntoIterator<Item = (Unopened, Count)>) {
        for (kind, count) in kinds.into_iter().filter(|(_, count)| count.packets != 0) {
            *self.unopened.entry(kind).or_default() += count;
        }
    }

    /// What to say of that which is more than a hundredth of all bytes.
    pub fn hints(&self) -> impl Iterator<Item = String> + '_ {
        self.unopened.iter().filter_map(|(kind, count)| {
            let percent = u128::from(count.bytes) * 100 / u128::from(self.bytes.max(1));
            let is_much = u128::from(count.bytes) * 100 > u128::from(self.bytes);
            is_much.then(|| kind.hint(u64::try_from(percent).unwrap_or(100)))
        })
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
        self.leave(other.unopened.iter().map(|(kind, count)| (*kind, *count)));
        self.count(other.counters.iter().map(|(reason, count)| (*reason, *count)));
        self.outbound = self.outbound.plus(&other.outbound);
        self.overflow_bytes += other.overflow_bytes;
        self.unaccounted_bytes += other.unaccounted_bytes;
        self.seconds += other.seconds;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_hint_is_given_above_one_percent() {
        let check = |bytes: u64, expected: &[&str]| {
            let mut summary = Summary { bytes: 10_000, ..Summary::default() };
            summary.leave([(Unopened::Frames(0x88cc), Count { packets: 1, bytes })]);
            summary.leave([(Unopened::Link(220), Count::default())]);
            assert_eq!(summary.hints().collect::<Vec<_>>(), expected);
        };
        check(100, &[]);
        check(101, &["1 % of the bytes stay unopened: EtherType 0x88cc (LLDP)"]);
        check(5_000, &["50 % of the bytes stay unopened: EtherType 0x88cc (LLDP)"]);
    }
}
