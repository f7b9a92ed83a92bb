//! What was sent in one direction: counters of a flow, and their sums over a session.

use detector_common::flow::Half;

/// What one end of a session has sent, summed over its flows.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Volume {
    pub packets: u64,
    /// Bytes from the IP header on.
    pub ip_bytes: u64,
    /// Bytes of transport payload.
    pub payload_bytes: u64,
    /// Packets with payload.
    pub payload_packets: u64,
    /// TCP payload bytes sent again.
    pub retransmitted_bytes: u64,
    /// Sum of squares of the segments' IP sizes, in bytes squared.
    pub size_square_sum: u64,
    /// Sum of squares of the gaps between packets of one flow, in (10 ms) squared.
    pub gap_square_sum: u64,
    /// Silences of a second or more that ended, on any of the flows.
    pub bursts: u64,
    /// Packets that a block dropped; also in `packets`.
    pub dropped_packets: u64,
    /// IP bytes that a block dropped; also in `ip_bytes`.
    pub dropped_bytes: u64,
    /// Longest gap between packets of one flow, in hundredths of a second.
    pub gap_max: u32,
    /// Smallest and largest IP size of a segment in bytes; `size_min` is 0 without packets.
    pub size_min: u16,
    pub size_max: u16,
    /// All TCP flags seen.
    pub tcp_flags: u16,
}

impl Volume {
    /// Adds what one direction of a flow carried since the last look. `size_min`, `size_max` and
    /// `tcp_flags` of `delta` are the flow's own since it began.
    pub fn add(&mut self, delta: &Self) {
        if delta.packets != 0 {
            self.size_min = match self.size_min {
                0 => delta.size_min,
                smallest => smallest.min(delta.size_min),
            };
        }
        self.packets += delta.packets;
        self.ip_bytes += delta.ip_bytes;
        self.payload_bytes += delta.payload_bytes;
        self.payload_packets += delta.payload_packets;
        self.retransmitted_bytes += delta.retransmitted_bytes;
        self.size_square_sum = self.size_square_sum.saturating_add(delta.size_square_sum);
        self.gap_square_sum = self.gap_square_sum.saturating_add(delta.gap_square_sum);
        self.bursts += delta.bursts;
        self.dropped_packets += delta.dropped_packets;
        self.dropped_bytes += delta.dropped_bytes;
        self.gap_max = self.gap_max.max(delta.gap_max);
        self.size_max = self.size_max.max(delta.size_max);
        self.tcp_flags |= delta.tcp_flags;
    }

    /// The totals of one direction of a flow.
    #[must_use]
    pub fn of(half: &Half) -> Self {
        Self {
            packets: half.packets,
            ip_bytes: half.ip_bytes,
            payload_bytes: half.payload_bytes,
            payload_packets: half.payload_packets,
            retransmitted_bytes: half.retransmitted_bytes,
            size_square_sum: half.size_square_sum,
            gap_square_sum: half.gap_square_sum,
            bursts: u64::from(half.bursts),
            dropped_packets: half.dropped_packets,
            dropped_bytes: half.dropped_bytes,
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
            packets: self.packets.saturating_sub(earlier.packets),
            ip_bytes: self.ip_bytes.saturating_sub(earlier.ip_bytes),
            payload_bytes: self.payload_bytes.saturating_sub(earlier.payload_bytes),
            payload_packets: self.payload_packets.saturating_sub(earlier.payload_packets),
            retransmitted_bytes: self
                .retransmitted_bytes
                .saturating_sub(earlier.retransmitted_bytes),
            size_square_sum: self.size_square_sum.saturating_sub(earlier.size_square_sum),
            gap_square_sum: self.gap_square_sum.saturating_sub(earlier.gap_square_sum),
            bursts: self.bursts.saturating_sub(earlier.bursts),
            dropped_packets: self.dropped_packets.saturating_sub(earlier.dropped_packets),
            dropped_bytes: self.dropped_bytes.saturating_sub(earlier.dropped_bytes),
            gap_max: if self.gap_max > earlier.gap_max { self.gap_max } else { 0 },
            size_min: self.size_min,
            size_max: self.size_max,
            tcp_flags: self.tcp_flags,
        }
    }
}
