//! What a session has carried until now, between its two ends in the order in which they are shown.

use std::sync::Arc;

use super::Session;
use crate::flow::Side;
use crate::flow::table::Volume;
use crate::network::Address;

/// A session's two ends, the one at home first; where neither or both are, the one that opened it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct Ends {
    pub src: Address,
    pub dst: Address,
    pub protocol: u8,
    /// The server's.
    pub dst_port: u16,
}

/// IP bytes and packets that were not dropped.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Carried {
    pub bytes: u64,
    pub packets: u64,
}

impl Carried {
    fn of(volume: &Volume) -> Self {
        Self { bytes: volume.ip_bytes(), packets: volume.packets() }
    }

    /// What was added since `earlier`.
    #[must_use]
    pub fn since(&self, earlier: &Self) -> Self {
        Self {
            bytes: self.bytes.saturating_sub(earlier.bytes),
            packets: self.packets.saturating_sub(earlier.packets),
        }
    }
}

/// A session's sums, for whoever keeps account of them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SessionTotals {
    pub session_id: u64,
    pub ends: Ends,
    /// Which end is the first of `ends`.
    pub first: Side,
    pub src_home: bool,
    pub dst_home: bool,
    /// Of `dst`.
    pub name: Option<Arc<str>>,
    /// From the client to the server, and back.
    pub up: Carried,
    pub down: Carried,
    pub flows: u64,
}

impl SessionTotals {
    /// None for a domain: what it carried is a part of its resolver's session.
    #[must_use]
    pub fn of(session: &Session) -> Option<Self> {
        if session.domain.is_some() {
            return None;
        }
        let (ends, first) = home_first(session);
        let homes = (session.client_home, session.server_home);
        let ((src_home, dst_home), name) = match first {
            Side::Client => (homes, &session.name),
            Side::Server => ((homes.1, homes.0), &session.client_name),
        };
        Some(Self {
            session_id: session.id,
            ends,
            first,
            src_home,
            dst_home,
            name: name.clone(),
            up: Carried::of(&session.up),
            down: Carried::of(&session.down),
            flows: session.flows,
        })
    }
}

/// A session's ends in the order in which they are reported, and which of them comes first.
#[must_use]
pub fn home_first(session: &Session) -> (Ends, Side) {
    let key = &session.key;
    let (server, dst_port, protocol) = match session.overflow {
        Some(peer) => (peer.address, peer.port, peer.protocol),
        None => (key.server, key.server_port, key.protocol),
    };
    if session.server_home && !session.client_home {
        (Ends { src: server, dst: key.client, protocol, dst_port }, Side::Server)
    } else {
        (Ends { src: key.client, dst: server, protocol, dst_port }, Side::Client)
    }
}
