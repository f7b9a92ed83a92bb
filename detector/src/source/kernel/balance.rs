//! Whether what the totals counted is what the flows hold, while packets keep coming.
//!
//! The flows are read one after the other. What they hold must lie between the totals before the walk
//! and those after it. What lies outside is a loss for certain; what lies between may be a packet that
//! came meanwhile, and no more of it is claimed. Pure.

use detector_common::abi::{Count, Totals};

/// By how much the accounts are short, negative where the flows hold more: packets and bytes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Shortfall {
    pub(super) packets: i64,
    pub(super) bytes: i64,
}

/// How much is missing at least and at most.
#[derive(Clone, Copy, Debug)]
struct Range {
    low: i64,
    high: i64,
}

impl Range {
    const UNKNOWN: Self = Self { low: i64::MIN, high: i64::MAX };

    fn meet(self, other: Self) -> Self {
        Self { low: self.low.max(other.low), high: self.high.min(other.high) }
    }

    /// What is missing for certain.
    fn missing(self) -> i64 {
        match self {
            Self { low: 1.., high } if high >= self.low => self.low,
            Self { low, high: ..0 } if low <= self.high => self.high,
            _ => 0,
        }
    }
}

/// The walk that is under way, which may go through the flows several times, and what the latest found.
#[derive(Clone, Copy, Debug)]
pub(super) struct Balance {
    packets: Range,
    bytes: Range,
    /// What stands in no counter of the totals, in all readings so far.
    own: Option<Shortfall>,
    latest: Shortfall,
    shown: Shortfall,
}

impl Default for Balance {
    fn default() -> Self {
        let (latest, shown) = (Shortfall::default(), Shortfall::default());
        Self { packets: Range::UNKNOWN, bytes: Range::UNKNOWN, own: None, latest, shown }
    }
}

impl Balance {
    /// Takes in the totals before and after the flows were read, and what they held, deleted ones
    /// included.
    pub(super) fn note(&mut self, before: &Totals, after: &Totals, flows: Count) {
        let range = |before: u64, after: u64, flows: u64| Range {
            low: before as i64 - flows as i64,
            high: after as i64 - flows as i64,
        };
        let (before_flows, after_flows) = (before.flows, after.flows);
        let packets = range(before_flows.packets, after_flows.packets, flows.packets);
        let bytes = range(before_flows.bytes, after_flows.bytes, flows.bytes);
        self.packets = self.packets.meet(packets);
        self.bytes = self.bytes.meet(bytes);
        for totals in [before, after] {
            let (packets, bytes) = totals.unaccounted();
            let known = self.own.unwrap_or(Shortfall { packets, bytes });
            self.own = Some(Shortfall {
                packets: lasting(known.packets, packets),
                bytes: lasting(known.bytes, bytes),
            });
        }
    }

    /// Whether reading the flows once more may tell more.
    pub(super) fn is_open(&self) -> bool {
        self.packets.low < self.packets.high
    }

    /// The walk is over.
    pub(super) fn settle(&mut self) {
        let own = self.own.unwrap_or_default();
        let found = Shortfall {
            packets: own.packets + self.packets.missing(),
            bytes: own.bytes + self.bytes.missing(),
        };
        let shown = Shortfall {
            packets: lasting(self.latest.packets, found.packets),
            bytes: lasting(self.latest.bytes, found.bytes),
        };
        *self = Self { latest: found, shown, ..Self::default() };
    }

    /// What the last two walks both found. A packet that was between two counters at one of them is not
    /// at the other.
    pub(super) fn shown(&self) -> Shortfall {
        self.shown
    }

    /// What the last walk found: exact where nothing comes any more.
    pub(super) fn latest(&self) -> Shortfall {
        self.latest
    }
}

/// What two readings agree on.
fn lasting(first: i64, second: i64) -> i64 {
    match (first.signum(), second.signum()) {
        (1, 1) => first.min(second),
        (-1, -1) => first.max(second),
        _ => 0,
    }
}

/// Reads the totals again while they do not add up, a few times: a packet that is being counted stands in
/// one counter and not yet in the other.
pub(super) fn settled(mut read: impl FnMut() -> anyhow::Result<Totals>) -> anyhow::Result<Totals> {
    const READINGS: usize = 8;
    let mut best = read()?;
    for _ in 1..READINGS {
        if best.unaccounted() == (0, 0) {
            break;
        }
        let again = read()?;
        if again.unaccounted().1.abs() <= best.unaccounted().1.abs() {
            best = again;
        }
    }
    Ok(best)
}

#[cfg(test)]
mod tests {
    use super::*;

    const PACKET: u64 = 1_500;

    /// Totals after so many packets, of which `lost` stand in no counter.
    fn totals(packets: u64, lost: u64) -> Totals {
        let count = |packets| Count { packets, bytes: packets * PACKET };
        Totals { frames: count(packets), flows: count(packets - lost), ..Totals::default() }
    }

    fn flows(packets: u64) -> Count {
        Count { packets, bytes: packets * PACKET }
    }

    /// The walks as packets seen before, after, lost from the totals, and held by the flows; and what is
    /// shown after each.
    #[track_caller]
    fn check(walks: &[(u64, u64, u64, u64)], expected: &[i64]) {
        let mut balance = Balance::default();
        let mut shown = Vec::new();
        for (before, after, lost, held) in walks {
            balance.note(&totals(*before, *lost), &totals(*after, *lost), flows(*held));
            balance.settle();
            let found = balance.shown();
            assert_eq!(found.bytes, found.packets * PACKET as i64);
            shown.push(found.packets);
        }
        assert_eq!(shown, expected);
    }

    #[test]
    fn what_came_during_the_walk_is_no_loss() {
        check(&[(100, 100, 0, 100)], &[0]);
        // 24 Gbit/s: two million packets a second, and a walk of five milliseconds.
        let fast = |second: u64| (second * 2_000_000, second * 2_000_000 + 10_000);
        let walks: Vec<_> = (1..20)
            .map(|second| {
                let (before, after) = fast(second);
                (before, after, 0, before + second * 500)
            })
            .collect();
        check(&walks, &[0; 19]);
        // A packet stands in its flow and not in the totals yet, once.
        check(&[(100, 100, 0, 101), (200, 200, 0, 200)], &[0, 0]);
    }

    #[test]
    fn a_slow_leak_is_shown_from_the_second_walk() {
        let leak = |lost: u64| (100 * lost, 100 * lost + 20, lost, 100 * lost + 5 - lost);
        check(&[leak(1), leak(2), leak(3), leak(4)], &[0, 1, 2, 3]);
        // Out of the flows, where no packet comes during the walk.
        check(&[(10, 10, 0, 9), (20, 20, 0, 18), (30, 30, 0, 27)], &[0, 1, 2]);
        // Beneath traffic, as soon as it is more than what can have come meanwhile.
        let beneath = |lost: u64| (1_000 * lost, 1_000 * lost + 3, 0, 1_000 * lost + 2 - lost);
        check(&[beneath(1), beneath(2), beneath(3), beneath(4), beneath(5)], &[0, 0, 0, 1, 2]);
        // Flows that hold more than was counted.
        check(&[(10, 10, 0, 12), (20, 20, 0, 22)], &[0, -2]);
        // It came back: no loss.
        check(&[(10, 10, 0, 9), (20, 20, 0, 18), (30, 30, 0, 30)], &[0, 1, 0]);
    }

    /// Each reading leaves a range, and what is missing lies in all of them.
    #[test]
    fn readings_close_in_on_what_is_missing() {
        let mut balance = Balance::default();
        for second in 1..=3_u64 {
            let base = second * 1_000_000;
            for (before, after, held) in [(0, 900, 700), (1_000, 1_400, 999), (2_000, 2_300, 2_298)]
            {
                let held = flows(base + held - second);
                balance.note(&totals(base + before, 0), &totals(base + after, 0), held);
            }
            assert!(balance.is_open());
            balance.settle();
            // Two packets short at least from the second on, and that for two walks.
            assert_eq!(balance.latest().packets, second as i64 + 1, "{balance:?}");
        }
        assert_eq!(balance.shown().packets, 3);
    }

    #[test]
    fn totals_are_read_until_they_settle() {
        let check = |shortfalls: &[u64], expected: (i64, usize)| {
            let mut readings = 0;
            let best = settled(|| {
                readings += 1;
                Ok(totals(100, shortfalls[(readings - 1).min(shortfalls.len() - 1)]))
            });
            assert_eq!((best.unwrap().unaccounted().0, readings), expected, "{shortfalls:?}");
        };
        check(&[0], (0, 1));
        check(&[2, 1, 0], (0, 3));
        check(&[3, 1, 2], (1, 8));
    }
}
