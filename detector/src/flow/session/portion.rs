//! What one end of a session sent between two bookings, and left.

use crate::flow::table::Volume;

/// Sums of packets that left: what a block dropped is not among them.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Portion {
    pub packets: u64,
    /// Packets with payload.
    pub payload_packets: u64,
    /// Bytes from the IP header on.
    pub ip_bytes: u64,
    /// Bytes of transport payload.
    pub payload_bytes: u64,
}

impl Portion {
    /// What of a volume left. Of the payload of dropped packets only their IP bytes are known: the
    /// payload is taken in proportion.
    pub(super) fn left(volume: &Volume) -> Self {
        let ip_bytes = volume.ip_bytes.saturating_sub(volume.dropped_bytes);
        let in_part = |amount: u64| {
            if volume.dropped_bytes == 0 {
                return amount;
            }
            let part =
                u128::from(amount) * u128::from(ip_bytes) / u128::from(volume.ip_bytes.max(1));
            u64::try_from(part).unwrap_or(amount)
        };
        Self {
            packets: volume.packets.saturating_sub(volume.dropped_packets),
            payload_packets: in_part(volume.payload_packets),
            ip_bytes,
            payload_bytes: in_part(volume.payload_bytes),
        }
    }

    /// What was added since `earlier`.
    pub(super) fn since(&self, earlier: &Self) -> Self {
        Self {
            packets: self.packets.saturating_sub(earlier.packets),
            payload_packets: self.payload_packets.saturating_sub(earlier.payload_packets),
            ip_bytes: self.ip_bytes.saturating_sub(earlier.ip_bytes),
            payload_bytes: self.payload_bytes.saturating_sub(earlier.payload_bytes),
        }
    }
}
