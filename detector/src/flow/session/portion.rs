//! What one end of a session sent between two bookings, and left.

use super::Session;
use crate::flow::Side;
use crate::flow::table::Volume;
use crate::flow::table::record::FlowView;

/// What one end of a session sent, and received, since the session was booked last.
#[derive(Clone, Copy, Debug)]
pub struct Booking<'a> {
    pub session: &'a Session,
    /// The flow that carried packets last.
    pub flow: &'a FlowView,
    pub sender: Side,
    pub sent: Portion,
    pub received: Portion,
    /// Nanoseconds since the Unix epoch.
    pub now_ns: u64,
}

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
    /// What of a volume left. Dropped packets are not counted by whether they had payload: of those with
    /// payload a part left that is that of all packets.
    pub(super) fn left(volume: &Volume) -> Self {
        let packets = volume.packets();
        let payload_packets = if volume.dropped_packets == 0 {
            volume.payload_packets
        } else {
            let part = u128::from(volume.payload_packets) * u128::from(packets)
                / u128::from(volume.seen_packets.max(1));
            u64::try_from(part).unwrap_or(volume.payload_packets)
        };
        Self {
            packets,
            payload_packets,
            ip_bytes: volume.ip_bytes(),
            payload_bytes: volume.payload_bytes(),
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
