//! What was sent in one direction: counters of a flow, and their sums over a session.
//!
//! Three numbers are kept apart: what was seen on its way, what of it was dropped, and what left,
//! which is the difference. Only what left counts as sent. The fields grow, and what left is computed
//! when it is asked for: a packet is counted as seen before it is counted as dropped.

use detector_common::flow::{Direction, FlowCounters};

/// What one end of a session has sent, summed over its flows.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Volume {
    /// Packets that left and packets that were dropped.
    pub seen_packets: u64,
    /// Their bytes from the IP header on.
    pub seen_bytes: u64,
    /// Their bytes of transport payload.
    pub seen_payload_bytes: u64,
    /// Those of them with payload.
    pub payload_packets: u64,
    /// TCP payload bytes sent again, those that were dropped included.
    pub retransmitted_bytes: u64,
    /// Sum of squares of the segments' IP sizes, in bytes squared.
    pub size_square_sum: u64,
    /// Sum of squares of the gaps between packets of one flow, in (10 ms) squared.
    pub gap_square_sum: u64,
    /// Silences of a second or more that ended, on any of the flows.
    pub bursts: u64,
    /// Packets that a block, a rate or a budget stopped; a part of those seen.
    pub dropped_packets: u64,
    pub dropped_bytes: u64,
    pub dropped_payload_bytes: u64,
    /// Longest gap between packets of one flow, in hundredths of a second.
    pub gap_max: u32,
    /// Smallest and largest IP size of a segment in bytes; `size_min` is 0 without packets.
    pub size_min: u16,
    pub size_max: u16,
    /// All TCP flags seen.
    pub tcp_flags: u16,
}

impl Volume {
    /// Packets that left.
    #[must_use]
    pub fn packets(&self) -> u64 {
        self.seen_packets.saturating_sub(self.dropped_packets)
    }

    /// IP bytes that left.
    #[must_use]
    pub fn ip_bytes(&self) -> u64 {
        self.seen_bytes.saturating_sub(self.dropped_bytes)
    }

    /// Payload bytes that left.
    #[must_use]
    pub fn payload_bytes(&self) -> u64 {
        self.seen_payload_bytes.saturating_sub(self.dropped_payload_bytes)
    }

    /// Adds what one direction of a flow carried since the last look. `size_min`, `size_max` and
    /// `tcp_flags` of `delta` are the flow's own since it began.
    pub fn add(&mut self, delta: &Self) {
        if delta.seen_packets != 0 {
            self.size_min = match self.size_min {
                0 => delta.size_min,
                smallest => smallest.min(delta.size_min),
            };
        }
        self.seen_packets += delta.seen_packets;
        self.seen_bytes += delta.seen_bytes;
        self.seen_payload_bytes += delta.seen_payload_bytes;
        self.payload_packets += delta.payload_packets;
        self.retransmitted_bytes += delta.retransmitted_bytes;
        self.size_square_sum = self.size_square_sum.saturating_add(delta.size_square_sum);
        self.gap_square_sum = self.gap_square_sum.saturating_add(delta.gap_square_sum);
        self.bursts += delta.bursts;
        self.dropped_packets += delta.dropped_packets;
        self.dropped_bytes += delta.dropped_bytes;
        self.dropped_payload_bytes += delta.dropped_payload_bytes;
        self.gap_max = self.gap_max.max(delta.gap_max);
        self.size_max = self.size_max.max(delta.size_max);
        self.tcp_flags |= delta.tcp_flags;
    }

    /// The totals of one direction of a flow.
    #[must_use]
    pub fn of(counters: &FlowCounters, direction: Direction) -> Self {
        let half = counters.half(direction);
        Self {
            seen_packets: half.packets,
            seen_bytes: half.ip_bytes,
            seen_payload_bytes: half.payload_bytes,
            payload_packets: half.payload_packets,
            retransmitted_bytes: half.retransmitted_bytes,
            size_square_sum: half.size_square_sum,
            gap_square_sum: half.gap_square_sum,
            bursts: u64::from(half.bursts),
            dropped_packets: half.dropped_packets,
            dropped_bytes: half.dropped_bytes,
            dropped_payload_bytes: counters.dropped_payload_bytes[direction as usize],
            gap_max: half.gap_max,
            size_min: half.size_min,
            size_max: half.size_max,
            tcp_flags: half.tcp_flags,
        }
    }

    /// What was added since `earlier`, a reading of the same direction of the same flow. A reading
    /// that is older than `earlier` adds nothing. `gap_max` is 0 unless it grew.
    #[must_use]
    pub fn since(&self, earlier: &Self) -> Self {
        Self {
            seen_packets: self.seen_packets.saturating_sub(earlier.seen_packets),
            seen_bytes: self.seen_bytes.saturating_sub(earlier.seen_bytes),
            seen_payload_bytes: self.seen_payload_bytes.saturating_sub(earlier.seen_payload_bytes),
            payload_packets: self.payload_packets.saturating_sub(earlier.payload_packets),
            retransmitted_bytes: self
                .retransmitted_bytes
                .saturating_sub(earlier.retransmitted_bytes),
            size_square_sum: self.size_square_sum.saturating_sub(earlier.size_square_sum),
            gap_square_sum: self.gap_square_sum.saturating_sub(earlier.gap_square_sum),
            bursts: self.bursts.saturating_sub(earlier.bursts),
            dropped_packets: self.dropped_packets.saturating_sub(earlier.dropped_packets),
            dropped_bytes: self.dropped_bytes.saturating_sub(earlier.dropped_bytes),
            dropped_payload_bytes: self
                .dropped_payload_bytes
                .saturating_sub(earlier.dropped_payload_bytes),
            gap_max: if self.gap_max > earlier.gap_max { self.gap_max } else { 0 },
            size_min: self.size_min,
            size_max: self.size_max,
            tcp_flags: self.tcp_flags,
        }
    }
}

#[cfg(test)]
mod tests {
    use detector_common::flow::Half;

    use super::*;

    fn counters(packets: u64, dropped: u64) -> FlowCounters {
        let half = Half {
            packets,
            ip_bytes: packets * 1_000,
            payload_bytes: packets * 960,
            dropped_packets: dropped,
            dropped_bytes: dropped * 1_000,
            ..Half::default()
        };
        FlowCounters {
            dropped_payload_bytes: [0, dropped * 960],
            halves: [Half::default(), half],
            ..FlowCounters::default()
        }
    }

    /// The sums of readings are those of the last, also where a packet was read before its drop was.
    #[test]
    fn what_was_dropped_did_not_leave() {
        let check = |readings: &[(u64, u64)], expected: u64| {
            let (mut sum, mut latest) = (Volume::default(), Volume::default());
            for (packets, dropped) in readings {
                let reading = Volume::of(&counters(*packets, *dropped), Direction::FromHigh);
                sum.add(&reading.since(&latest));
                latest = reading;
            }
            let left = (sum.packets(), sum.ip_bytes(), sum.payload_bytes());
            assert_eq!(left, (expected, expected * 1_000, expected * 960), "{readings:?}");
        };
        check(&[(5, 0)], 5);
        check(&[(5, 5)], 0);
        check(&[(5, 0), (9, 4)], 5);
        check(&[(5, 0), (6, 0), (6, 1), (8, 1)], 7);
        check(&[(101, 0), (101, 1), (103, 1)], 102);
    }
}
