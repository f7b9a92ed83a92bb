//! A session: the flows of one client, server, protocol and server port, added up.
//!
//! Plain data. [`super::sessions::SessionTable`] fills it; features and the verdict read it.

use std::sync::Arc;

use detector_common::flow::Half;

pub use super::echo::Icmp;
pub use super::facts::{Dns, DnsNames, Heads, Mean};
use super::inter_arrival::InterArrival;
pub use super::web::Http;

/// What makes flows one session. Addresses as in [`detector_common::FlowKey`]: IPv4 as
/// IPv4-mapped.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct SessionKey {
    /// The initiator of the session's flows.
    pub client: [u8; 16],
    /// The responder. All zero for a host's overflow, which has no one destination.
    pub server: [u8; 16],
    /// IANA protocol number.
    pub protocol: u8,
    /// The responder's port; 0 where the protocol has none, as in ICMP.
    pub server_port: u16,
}

/// One of a session's two ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Side {
    Client,
    Server,
}

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

/// The moments at which a session is judged.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SessionCheckpoint {
    /// It has seven packets or more, both directions together.
    Packets,
    /// What `sender` sent crossed 16 KiB × 4ⁿ IP bytes.
    Bytes { sender: Side },
    /// It is this many seconds old (1, 5, 30, 60, then every minute) and packets or heads came since
    /// it was last judged.
    Seconds(u32),
    /// A decoded DNS message, ICMP payload or head: the first, second, fourth, eighth … of it.
    Head,
    /// It fell silent, had to make room, or the source ended, with packets or heads since it was last
    /// judged.
    End,
}

/// Which checkpoints come next.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Checkpoints {
    /// Whether the seven packets are behind it.
    pub packets_done: bool,
    /// IP bytes up and down of the next byte checkpoint; `u64::MAX` where that end is not judged.
    pub up_next_bytes: u64,
    pub down_next_bytes: u64,
    /// Age in seconds of the next seconds checkpoint.
    pub next_seconds: u32,
    /// Number of decoded heads of the next head checkpoint: a power of two.
    pub next_heads: u64,
    /// Packets, both directions, when it was last judged.
    pub judged_packets: u64,
    /// Heads when it was last judged.
    pub judged_heads: u64,
    /// Times it was judged.
    pub judged: u64,
    /// It is over: nothing follows what there was.
    pub ended: bool,
}

/// Where a host's overflow went last: the only destination that is known of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct OverflowPeer {
    pub address: [u8; 16],
    pub port: u16,
    /// IANA protocol number.
    pub protocol: u8,
}

/// Flows of one client, server, protocol and server port, without a silence longer than the
/// session window.
#[derive(Clone, Debug)]
pub struct Session {
    pub key: SessionKey,
    /// Set where this is not a whole session but its DNS queries for one registered domain: then
    /// the volumes are those of the decoded messages.
    pub domain: Option<Arc<str>>,
    /// Counts up from 1 over all sessions of a tracker: two sessions of one key differ in it.
    pub id: u64,
    pub client_home: bool,
    pub server_home: bool,
    /// From the client to the server.
    pub up: Volume,
    /// From the server to the client.
    pub down: Volume,
    /// Flows that carried packets in this session.
    pub flows: u64,
    /// Those in which both directions have carried packets.
    pub flows_answered: u64,
    /// Nanoseconds since the Unix epoch, in steps of 10 ms.
    pub first_seen_ns: u64,
    pub last_seen_ns: u64,
    /// The server's name: from its TLS server name or HTTP host, else from a DNS answer.
    pub name: Option<Arc<str>>,
    /// Whether a DNS answer named the server's address.
    pub named_by_dns: bool,
    /// The client's name, from a DNS answer.
    pub client_name: Option<Arc<str>>,
    /// One of its ends at home asked what its own public address is, by name, within ten minutes of
    /// the session.
    pub asked_own_address: bool,
    pub heads: Heads,
    /// When its flows began; none before the second.
    pub inter_arrival: Option<Box<InterArrival>>,
    pub checkpoints: Checkpoints,
    /// Set where this is not a session but what a home host carried while the flow table was full:
    /// then `key.server` is all zero, and only packets, bytes and payload bytes are known.
    pub overflow: Option<OverflowPeer>,
}

impl Session {
    /// Whether what `side` sends leaves home and is judged. Where neither end is home, the client
    /// counts as home; where both are, each is judged.
    #[must_use]
    pub fn sends_out(&self, side: Side) -> bool {
        match side {
            Side::Client => self.client_home || !self.server_home,
            Side::Server => self.server_home,
        }
    }

    /// What `side` sent.
    #[must_use]
    pub fn sent(&self, side: Side) -> &Volume {
        match side {
            Side::Client => &self.up,
            Side::Server => &self.down,
        }
    }

    /// What `side` received.
    #[must_use]
    pub fn received(&self, side: Side) -> &Volume {
        match side {
            Side::Client => &self.down,
            Side::Server => &self.up,
        }
    }

    /// Another flow belongs to it from now on, which began at `start_ns`.
    pub(super) fn add_flow(&mut self, start_ns: u64) {
        self.flows += 1;
        match &mut self.inter_arrival {
            Some(inter_arrival) => inter_arrival.note(start_ns),
            None if self.flows > 1 => {
                let inter_arrival =
                    self.inter_arrival.insert(Box::new(InterArrival::new(self.first_seen_ns)));
                inter_arrival.note(start_ns);
            }
            None => {}
        }
    }

    /// Packets of both directions.
    #[must_use]
    pub fn packets(&self) -> u64 {
        self.up.packets + self.down.packets
    }

    /// Nanoseconds from the first to the last packet.
    #[must_use]
    pub fn duration_ns(&self) -> u64 {
        self.last_seen_ns.saturating_sub(self.first_seen_ns)
    }
}
