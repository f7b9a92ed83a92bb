//! What a source delivers: the state of a flow, the start of a payload, the passing of time.
//!
//! The kernel and the capture reader deliver the same observations, on ticks of their own clock; a
//! [`TimeBase`] turns those into time. Counters are always the flow's totals since it was opened,
//! so that an observation that is lost or late delays and never loses.

use detector_common::abi::{OverflowCounters, OverflowKey};
use detector_common::flow::{Checkpoint, Direction, FlowCounters, FlowKey};

use crate::timestamp::Timestamp;

/// Nanoseconds in a second.
pub const SECOND_NS: u64 = 1_000_000_000;

/// Why a flow's counters are delivered now.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Cause {
    /// The regular reading of what changed.
    Poll,
    /// The data plane saw it cross a checkpoint; the counters are those at the crossing.
    Checkpoint(Checkpoint),
    /// The last sight of it: its entry was deleted, or the capture ended.
    Closed,
}

/// One piece of news from a source.
///
/// A source keeps an order: a key that [`super::Tracker::knows`] nothing of has its `Flow`
/// delivered before its first `FirstPayload`, and flows that changed in a second are delivered
/// before the `Tick` that ends it.
#[derive(Clone, Copy, Debug)]
pub enum Observation<'a> {
    Flow {
        key: &'a FlowKey,
        counters: &'a FlowCounters,
        cause: Cause,
    },
    FirstPayload(Piece<'a>),
    /// What a home host carried while the flow table was full.
    Overflow {
        key: &'a OverflowKey,
        counters: &'a OverflowCounters,
        now: u64,
    },
    /// A second of the source's time has begun: nanoseconds since the Unix epoch.
    Tick {
        now_ns: u64,
    },
}

/// A piece of one packet's payload: its first bytes, or what follows the piece before.
#[derive(Clone, Copy, Debug)]
pub struct Piece<'a> {
    pub key: &'a FlowKey,
    pub direction: Direction,
    /// Payload bytes of the packet; `bytes` may be fewer.
    pub payload_bytes: u32,
    /// Where in the payload `bytes` begin.
    pub offset: u32,
    /// The TCP sequence number of the payload's first byte.
    pub sequence: u32,
    pub bytes: &'a [u8],
    /// The packet's tick.
    pub now: u64,
}

/// Relates a source's ticks to time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TimeBase {
    pub ticks_per_second: u64,
    /// Nanoseconds since the Unix epoch at tick 0; negative only for a clock that is wrong.
    pub tick_zero_ns: i64,
}

impl TimeBase {
    /// Hundredths of a second since the Unix epoch: the clock of captures.
    pub const PACKET_TIME: Self = Self { ticks_per_second: 100, tick_zero_ns: 0 };

    /// All times are rounded down to this many nanoseconds, so that the length of a kernel's tick
    /// is not a feature.
    pub const GRAIN_NS: u64 = 10_000_000;

    /// Nanoseconds since the Unix epoch, rounded down to 10 ms.
    #[must_use]
    pub fn ns(&self, tick: u64) -> u64 {
        let since_zero =
            i128::from(tick) * i128::from(SECOND_NS) / i128::from(self.ticks_per_second.max(1));
        let ns = (since_zero + i128::from(self.tick_zero_ns)).clamp(0, i128::from(u64::MAX));
        let ns = u64::try_from(ns).unwrap_or(u64::MAX);
        ns - ns % Self::GRAIN_NS
    }

    /// The same as a moment.
    #[must_use]
    pub fn time(&self, tick: u64) -> Timestamp {
        Timestamp::from_ns(self.ns(tick))
    }
}

#[cfg(test)]
mod tests {
    use super::{SECOND_NS, TimeBase};

    #[test]
    fn ticks_become_time_rounded_down() {
        assert_eq!(TimeBase::PACKET_TIME.ns(123), 1_230_000_000);
        let jiffies = TimeBase { ticks_per_second: 250, tick_zero_ns: 1_000_000_001 };
        // 3 jiffies are 12 ms.
        assert_eq!(jiffies.ns(3), 1_010_000_000);
        assert_eq!(jiffies.ns(0), SECOND_NS);
    }

    #[test]
    fn a_wrong_clock_saturates() {
        let before = TimeBase { ticks_per_second: 100, tick_zero_ns: i64::MIN };
        assert_eq!(before.ns(1), 0);
        assert_eq!(TimeBase::PACKET_TIME.ns(u64::MAX), u64::MAX - u64::MAX % TimeBase::GRAIN_NS);
    }
}
