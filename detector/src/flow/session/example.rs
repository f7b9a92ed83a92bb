//! Sessions whose payload samples were learned from payloads, for tests.

use detector_common::flow::{Direction, FlowKey};
use detector_common::parse::protocol;

use super::live_session::{LiveSession, Opening};
use super::{Session, SessionKey};
use crate::flow::Side;
use crate::flow::content::conversation::{Conversation, Saying};
use crate::flow::content::ja4::Transport;
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
        offset: 0,
        sequence: 0,
        from_client,
        from_home: from_client,
        is_first: true,
        is_sample: true,
        protocol: session.key.protocol,
        server_port: session.key.server_port,
        echo: icmp.then_some(echo),
    };
    session.first_payloads.learn(&payload, &Found::default());
    if from_client && session.key.protocol == protocol::TCP && !payload.is_dns() {
        hear(session, payload.bytes);
    }
    let volume = if from_client { &mut session.up } else { &mut session.down };
    volume.seen_packets += 1;
    volume.payload_packets += 1;
    volume.seen_payload_bytes += u64::from(payload_bytes);
    volume.seen_bytes += u64::from(payload_bytes) + 40;
}

/// What the client's stream says, if it begins and ends with these bytes; what starts no message is the
/// body of the one before.
fn hear(session: &mut Session, bytes: &[u8]) {
    let first_payloads = &mut session.first_payloads;
    let mut began = false;
    let mut tell = |saying: &Saying<'_>| {
        began = true;
        first_payloads.hear(saying, Transport::Tcp);
    };
    let mut conversation = Conversation::default();
    conversation.read(0, bytes, &mut tell);
    conversation.finish(&mut tell);
    if !began {
        first_payloads.hear(&Saying::Body(bytes), Transport::Tcp);
    }
}

/// The same where the payload sample has all of it.
pub(crate) fn say(session: &mut Session, side: Side, bytes: &[u8]) {
    learn(session, side, bytes, u32::try_from(bytes.len()).unwrap_or(u32::MAX));
}
