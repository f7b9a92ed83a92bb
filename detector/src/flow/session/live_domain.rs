//! One client's unit of one registered domain: a session that is filled from decoded messages
//! alone, whichever resolver and transport they take. Its server is the resolver asked last, its
//! volumes are those of the messages.

use std::hash::Hasher as _;

use detector_common::parse::protocol;

use super::Session;
use super::live_session::{LiveSession, Opening};
use crate::flow::Visitor;
use crate::flow::content::{FirstPayload, Protocol};
use crate::flow::dns::message::Message;
use crate::flow::observation::SECOND_NS;
use crate::flow::table::Volume;
use crate::flow::table::index::Key;
use crate::flow::table::record::FlowView;
use crate::network::Address;

/// Hundredths of a second, the step of gaps.
const GAP_STEP_NS: u64 = SECOND_NS / 100;

/// One client's unit of one domain.
#[derive(Debug)]
pub(super) struct LiveDomain {
    pub(super) live: LiveSession,
    pub(super) key: DomainKey,
    /// The latest message of the client, and of its resolvers.
    last_ns: [Option<u64>; 2],
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct DomainKey {
    pub(super) client: Address,
    /// A hash of the domain's name, which alone is no proof: see [`LiveDomain::is`].
    pub(super) name: u64,
}

impl Key for DomainKey {
    fn write(&self, state: &mut foldhash::fast::FoldHasher<'_>) {
        state.write(&self.client.octets());
        state.write_u64(self.name);
    }
}

/// A domain's bytes as they are reported: what is not ASCII is replaced.
fn shown(domain: &[u8]) -> impl Iterator<Item = u8> {
    domain.iter().map(|byte| if byte.is_ascii() { *byte } else { b'?' })
}

impl LiveDomain {
    /// The unit of `domain`, of which a message in `session` was the first to be heard.
    pub(super) fn open(
        session: &Session,
        flow: &FlowView,
        (key, domain): (DomainKey, &[u8]),
        now_ns: u64,
        id: u64,
    ) -> Self {
        let opening = Opening {
            key: session.key,
            client_home: session.client_home,
            server_home: session.server_home,
            flow: FlowView { last_seen_ns: now_ns, ..*flow },
            first_seen_ns: now_ns,
            overflow: None,
        };
        let mut live = LiveSession::open(opening, id);
        let name: String = shown(domain).map(char::from).collect();
        live.session.domain = Some(name.into());
        live.session.first_payloads.protocol = Some(Protocol::Dns);
        // Its checkpoints are messages, not packets.
        live.session.checkpoints.packets_done = true;
        Self { live, key, last_ns: [None; 2] }
    }

    /// Whether this is the unit of that client and domain.
    pub(super) fn is(&self, key: DomainKey, domain: &[u8]) -> bool {
        let name = self.live.session.domain.as_deref().unwrap_or_default();
        self.key == key && name.bytes().eq(shown(domain))
    }

    /// The resolver asked last, and how it was asked, are the unit's own.
    pub(super) fn follow(
        &mut self,
        session: &Session,
        flow: &FlowView,
        message: &Message,
        now_ns: u64,
    ) {
        let unit = &mut self.live.session;
        let another = self.live.flow.key != flow.key;
        if unit.flows == 0 || (another && !message.response) {
            unit.add_flow(now_ns);
        }
        unit.key = session.key;
        unit.name.clone_from(&session.name);
        unit.named_by_dns = session.named_by_dns;
        let answers = |session: &Session| {
            session.first_payloads.dns.as_deref().map_or(0, |dns| dns.responses)
        };
        unit.other_answers = answers(session).saturating_sub(answers(unit));
        self.live.flow = *flow;
        self.live.learn_home(session.client_home, session.server_home);
    }

    /// Adds the message's own volume and scores the unit if that crossed a checkpoint.
    pub(super) fn carry(
        &mut self,
        payload: &FirstPayload<'_>,
        message: &Message,
        now_ns: u64,
        visitor: &mut impl Visitor,
    ) {
        let volume = self.volume(payload, message, now_ns);
        let session = &mut self.live.session;
        session.last_seen_ns = session.last_seen_ns.max(now_ns);
        let dns = session.first_payloads.dns.get_or_insert_default();
        let (up, down) = if message.response {
            dns.responses += 1;
            dns.response_bytes += volume.payload_bytes();
            (Volume::default(), volume)
        } else {
            dns.queries += 1;
            dns.query_bytes += volume.payload_bytes();
            (volume, Volume::default())
        };
        session.flows_answered = dns.responses.min(session.flows);
        session.first_payloads.count += 1;
        session.first_payloads.decoded += 1;
        self.live.carry(&up, &down, now_ns, visitor);
        self.live.count_first_payload(now_ns, visitor);
    }

    /// A message as a packet: its payload behind headers without options.
    fn volume(&mut self, payload: &FirstPayload<'_>, message: &Message, now_ns: u64) -> Volume {
        if message.further {
            // The message's first question has its bytes.
            return Volume::default();
        }
        let (payload_bytes, transport) = match payload.protocol {
            protocol::TCP => (u64::from(message.message_bytes) + 2, 20),
            _ => (u64::from(payload.payload_bytes), 8),
        };
        let network = if self.key.client.is_ipv4() { 20 } else { 40 };
        let ip_bytes = network + transport + payload_bytes;
        let size = u16::try_from(ip_bytes).unwrap_or(u16::MAX);
        let last_ns = &mut self.last_ns[usize::from(message.response)];
        let gap = last_ns.map_or(0, |last| now_ns.saturating_sub(last) / GAP_STEP_NS);
        *last_ns = Some(now_ns);
        Volume {
            seen_packets: 1,
            seen_bytes: ip_bytes,
            seen_payload_bytes: payload_bytes,
            payload_packets: 1,
            size_square_sum: u64::from(size) * u64::from(size),
            gap_square_sum: gap.saturating_mul(gap),
            bursts: u64::from(gap >= SECOND_NS / GAP_STEP_NS),
            gap_max: u32::try_from(gap).unwrap_or(u32::MAX),
            size_min: size,
            size_max: size,
            ..Volume::default()
        }
    }
}

#[cfg(test)]
mod tests {
    use super::LiveDomain;
    use crate::flow::dns::{Dns, DnsNames};
    use crate::flow::session::inter_arrival::InterArrival;

    /// What packaging/detector.toml promises: with 128 labels of the sample, and a name of 253
    /// bytes.
    #[test]
    fn a_domain_takes_no_more_than_it_is_said_to() {
        let boxed = size_of::<Dns>() + size_of::<DnsNames>() + size_of::<InterArrival>();
        assert!(size_of::<LiveDomain>() + boxed + 128 * 16 + 253 <= 4 << 10);
    }
}
