//! A session: the flows of one client, server, protocol and server port, added up.
//!
//! Plain data. [`SessionTable`] fills it; features and the verdict read it.

pub mod inter_arrival;
pub mod portion;
pub mod totals;
pub mod transfer;

mod domains;
#[cfg(test)]
pub(crate) mod example;
mod first_payloads;
mod ip_lookup_clients;
mod live_domain;
mod live_session;
mod sessions;

use std::hash::Hasher as _;
use std::sync::Arc;

use foldhash::fast::FoldHasher;

use crate::flow::Side;
use crate::flow::table::Volume;
use crate::flow::table::index::{Key, words};
use crate::network::Address;

pub(crate) use domains::DomainTable;
pub use domains::is_domain;
pub use first_payloads::FirstPayloads;
use inter_arrival::InterArrival;
pub use portion::{Booking, Portion};
pub(crate) use sessions::SessionTable;

/// What makes flows one session.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct SessionKey {
    /// The initiator of the session's flows.
    pub client: Address,
    /// The responder. All zero for a host's overflow, which has no one destination.
    pub server: Address,
    /// IANA protocol number.
    pub protocol: u8,
    /// The responder's port; 0 where the protocol has none, as in ICMP.
    pub server_port: u16,
}

impl Key for SessionKey {
    #[inline]
    fn write(&self, state: &mut FoldHasher<'_>) {
        let (a, b) = words(&self.client.octets());
        let (c, d) = words(&self.server.octets());
        state.write_u64(a);
        state.write_u64(b);
        state.write_u64(c);
        state.write_u64(d);
        state.write_u64(u64::from(self.server_port) << 8 | u64::from(self.protocol));
    }
}

/// The moments at which a session is scored.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SessionCheckpoint {
    /// It has seven packets or more, both directions together.
    Packets,
    /// What `sender` sent crossed 16 KiB × 4ⁿ IP bytes.
    Bytes { sender: Side },
    /// It is this many seconds old (1, 5, 30, 60, then every minute) and packets or payload samples
    /// came since it was last scored.
    Seconds(u32),
    /// A decoded DNS message, ICMP payload or payload sample: the first, second, fourth, eighth …
    /// of it.
    FirstPayload,
    /// It fell silent, had to make room, or the source ended, with packets or payload samples since
    /// it was last scored.
    End,
}

/// Which checkpoints come next.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Checkpoints {
    /// Whether the seven packets are behind it.
    pub packets_done: bool,
    /// IP bytes up and down of the next byte checkpoint; `u64::MAX` where that end is not scored.
    pub up_next_bytes: u64,
    pub down_next_bytes: u64,
    /// Age in seconds of the next seconds checkpoint.
    pub next_seconds: u32,
    /// Number of decoded payload samples of the next payload sample checkpoint: a power of two.
    pub next_first_payloads: u64,
    /// Packets seen, both directions, when it was last scored.
    pub scored_packets: u64,
    /// Payload samples when it was last scored.
    pub scored_first_payloads: u64,
    /// Times it was scored.
    pub scored: u64,
    /// It is over: nothing follows what there was.
    pub ended: bool,
}

/// Where a host's overflow went last: the only destination that is known of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct OverflowPeer {
    pub address: Address,
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
    /// Of a domain's unit: answers that the same server gave the client about other domains.
    pub other_answers: u64,
    /// The first frame of each of its flows went to a group of its link.
    pub to_group: bool,
    pub first_payloads: FirstPayloads,
    /// When its flows began; none before the second.
    pub inter_arrival: Option<Box<InterArrival>>,
    pub checkpoints: Checkpoints,
    /// Set where this is not a session but what a home host carried while the flow table was full:
    /// then `key.server` is all zero, and only packets, bytes and payload bytes are known.
    pub overflow: Option<OverflowPeer>,
}

impl Session {
    /// Whether what `side` sends leaves home and is scored. Where neither end is home, the client
    /// counts as home; where both are, each is scored.
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
    fn add_flow(&mut self, start_ns: u64) {
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

    /// Packets of both directions that were not dropped.
    #[must_use]
    pub fn packets(&self) -> u64 {
        self.up.packets() + self.down.packets()
    }

    /// Packets of both directions, whatever became of them.
    #[must_use]
    pub fn seen_packets(&self) -> u64 {
        self.up.seen_packets + self.down.seen_packets
    }

    /// Nanoseconds from the first to the last packet.
    #[must_use]
    pub fn duration_ns(&self) -> u64 {
        self.last_seen_ns.saturating_sub(self.first_seen_ns)
    }
}
