//! Sessions whose payload samples were learned from payloads, for tests.

use detector_common::flow::{Direction, FlowKey};
use detector_common::parse::protocol;

use super::live_session::{LiveSession, Opening};
use super::{Session, SessionKey};
use crate::flow::Side;
use crate::flow::content::{Echo, FirstPayload};
use crate::flow::dns::stream::Found;
use crate::flow::table::record::FlowView;

/// A session of which nothing is known but its key. The client is home.
pub(crate) fn session(key: SessionKey) -> Session {
    let flow = FlowView {
        key: FlowKey::default(),
        initiator: Direction::FromLow,
        icmp: 0,
        first_seen_ns: 0,
        last_seen_ns: 0,
    };
    let opening = Opening {
        key,
        client_home: true,
        server_home: false,
        flow,
        first_seen_ns: 0,
        overflow: None,
    };
    LiveSession::open(opening, 1).session
}

/// Takes in a payload from `side` as if it were the first bytes of a packet of `payload_bytes`.
pub(crate) fn learn(session: &mut Session, side: Side, bytes: &[u8], payload_bytes: u32) {
    let from_client = side == Side::Client;
    let icmp = matches!(session.key.protocol, protocol::ICMP | protocol::ICMPV6);
    let echo = if from_client { Echo::Request } else { Echo::Reply };
    let payload = FirstPayload {
        bytes: bytes.get(..512).unwrap_or(bytes),
        payload_bytes,
        from_client,
        is_first: true,
        protocol: session.key.protocol,
        server_port: session.key.server_port,
        echo: icmp.then_some(echo),
    };
    session.first_payloads.learn(&payload, &Found::default());
    let volume = if from_client { &mut session.up } else { &mut session.down };
    volume.packets += 1;
    volume.payload_packets += 1;
    volume.payload_bytes += u64::from(payload_bytes);
    volume.ip_bytes += u64::from(payload_bytes) + 40;
}

/// The same where the payload sample has all of it.
pub(crate) fn say(session: &mut Session, side: Side, bytes: &[u8]) {
    learn(session, side, bytes, u32::try_from(bytes.len()).unwrap_or(u32::MAX));
}
