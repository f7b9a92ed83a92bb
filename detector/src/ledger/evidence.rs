//! What speaks for a sender's bytes besides their number, and what is missing.
//!
//! What was not seen explains nothing. A port, a role, a name that the sender wrote itself and the first
//! bytes of a payload may choose the words of an alert; none of them explains volume.

use std::net::IpAddr;

use detector_common::parse::protocol;

use crate::flow::content::Protocol;
use crate::flow::session::Portion;
use crate::flow::{Session, Side};
use crate::network::Address;

use super::Class;

/// TCP's SYN flag.
const SYN: u16 = 0x02;
/// Payload bytes of a DNS query that any name needs: 12 of header, a name of ordinary length, type and
/// class, EDNS with a cookie (RFC 1035, 6891, 7873).
pub(super) const DNS_QUERY_BYTES: u64 = 72;
/// Payload bytes of queries of one sender in an hour: some 1,800 names.
pub(super) const DNS_BYTES: u64 = 128 << 10;
/// Queries that a resolver sends for one answer of its own: name servers are looked up on the way.
pub(super) const QUERIES_PER_ANSWER: u64 = 4;
/// Payload bytes of NTP in ten seconds: eight packets without extension fields (RFC 5905 section 7.3).
pub(super) const NTP_BYTES: u64 = 8 * 48;
/// Ports of multicast protocols that ordinary hosts speak on the link: DHCP, NetBIOS, NTP, SSDP, mDNS,
/// LLMNR, NAT-PMP, DHCPv6, WS-Discovery.
const LOCAL_PORTS: [u16; 12] = [67, 68, 123, 137, 138, 546, 547, 1900, 3702, 5353, 5355, 5350];
/// Bytes of one sender in ten seconds that the link explains: SSDP and mDNS send a few kilobytes when a host
/// wakes up.
pub(super) const LOCAL_BYTES: u64 = 64 << 10;

/// What is missing that ordinary traffic to an external host has.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Missing {
    /// The session's TCP handshake.
    pub start: bool,
    /// A protocol that its first payload names.
    pub protocol: bool,
    /// A DNS answer that named the receiver, although the sender asks a resolver that is seen.
    pub name: bool,
}

impl Missing {
    #[must_use]
    pub fn anything(self) -> bool {
        self.start || self.protocol || self.name
    }

    /// In words, for a sentence that lists them.
    #[must_use]
    pub fn words(self) -> String {
        let all = [
            (self.start, "no handshake was seen"),
            (self.protocol, "the protocol is unknown"),
            (self.name, "no DNS answer named the receiver"),
        ];
        let said: Vec<&str> =
            all.iter().filter(|(missing, _)| *missing).map(|(_, text)| *text).collect();
        said.join(", ")
    }
}

/// The receiver's address: that of the last packet where many were counted together.
pub(super) fn receiver(session: &Session, sender: Side) -> Address {
    match (sender, session.overflow) {
        (Side::Client, Some(peer)) => peer.address,
        (Side::Client, None) => session.key.server,
        (Side::Server, _) => session.key.client,
    }
}

pub(super) fn is_internal(session: &Session, sender: Side) -> bool {
    match sender {
        Side::Client => session.server_home,
        Side::Server => session.client_home,
    }
}

/// What is missing, where the sender's names are `resolved` by a resolver that is seen and the session
/// began while it was `watched`.
pub(super) fn missing(session: &Session, sender: Side, resolved: bool, watched: bool) -> Missing {
    let is_tcp = session.key.protocol == protocol::TCP;
    let named = match sender {
        Side::Client => session.named_by_dns,
        // Clients of a service have no names.
        Side::Server => true,
    };
    Missing {
        start: is_tcp && watched && session.up.tcp_flags & SYN == 0,
        protocol: !names_its_protocol(session),
        name: resolved && !named,
    }
}

fn names_its_protocol(session: &Session) -> bool {
    match session.key.protocol {
        protocol::TCP | protocol::UDP => {
            let ports = session.overflow.is_none() && session.key.server_port != 0;
            ports && session.first_payloads.protocol.is_some()
        }
        protocol::ICMP | protocol::ICMPV6 => session.first_payloads.icmp.is_some(),
        _ => false,
    }
}

pub(super) fn class(session: &Session, sender: Side, missing: Missing) -> Class {
    if is_internal(session, sender) {
        Class::Internal
    } else if missing.anything() {
        Class::Evidence
    } else {
        Class::New
    }
}

/// What must be explained of a portion: its payload, and all of it where the protocol has no payload of its
/// own. Packets without payload carry nothing as long as they answer what came in.
pub(super) fn cost(session: &Session, sent: &Portion, received: &Portion) -> u64 {
    if !matches!(session.key.protocol, protocol::TCP | protocol::UDP) || session.overflow.is_some()
    {
        return sent.ip_bytes;
    }
    let empty = sent.packets.saturating_sub(sent.payload_packets);
    let unasked = empty.saturating_sub(received.packets + 16);
    sent.payload_bytes + 20 * unasked
}

/// Whether a session asks a resolver for names and is answered.
pub(super) fn asks_names(session: &Session) -> bool {
    session.first_payloads.dns.as_deref().is_some_and(|dns| {
        dns.responses != 0 && dns.queries <= 2 * dns.responses && dns.undecoded == 0
    })
}

/// Whether a client asks a time server and is answered.
pub(super) fn asks_the_time(session: &Session, sender: Side) -> bool {
    sender == Side::Client
        && session.down.seen_packets != 0
        && session.key.protocol == protocol::UDP
        && session.key.server_port == 123
}

/// Whether what is sent stays on the link, as far as an address and a protocol of a known kind say.
pub(super) fn is_local(session: &Session, receiver: Address) -> bool {
    let (group, link) = match receiver.ip() {
        IpAddr::V4(address) => {
            (address.is_multicast() || address.is_broadcast(), address.is_link_local())
        }
        IpAddr::V6(address) => (address.is_multicast(), address.is_unicast_link_local()),
    };
    let known = match session.key.protocol {
        protocol::UDP => LOCAL_PORTS.contains(&session.key.server_port),
        protocol::TCP => false,
        // ICMPv6's neighbour discovery, IGMP.
        other => matches!(other, protocol::ICMPV6 | 2),
    };
    (group || link) && known
}

/// Whether the share of received bytes is that of QUIC.
pub(super) fn is_quic(session: &Session) -> bool {
    session.first_payloads.protocol == Some(Protocol::Quic)
}
