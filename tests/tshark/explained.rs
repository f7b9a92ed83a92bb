//! Why the detector and tshark may read a capture differently: a closed list, which `docs/tshark.md` has
//! for people.

use std::collections::BTreeSet;
use std::net::IpAddr;

use super::theirs::Facts;
use super::{Carried, End, Pair, Service};

const WIREGUARD_PORT: u16 = 51_820;

/// One disagreement.
#[derive(Debug)]
pub(crate) enum Difference {
    Carried {
        pair: Pair,
        ours: Option<Carried>,
        theirs: Option<Carried>,
    },
    DnsName {
        name: String,
        is_ours: bool,
    },
    /// `kind` of name.
    Named {
        kind: &'static str,
        service: Service,
        ours: BTreeSet<String>,
        theirs: BTreeSet<String>,
    },
}

pub(crate) fn explain(difference: &Difference, facts: &Facts) -> Option<&'static str> {
    match difference {
        Difference::Carried { pair, ours, theirs } => {
            carried(pair, ours.as_ref(), theirs.as_ref(), facts)
        }
        Difference::DnsName { name, .. } if name.contains(char::REPLACEMENT_CHARACTER) => {
            Some("a DNS name with bytes that are not UTF-8")
        }
        Difference::DnsName { name, is_ours: false } if facts.dns_elsewhere.contains(name) => {
            Some("DNS on a port that is not for it")
        }
        Difference::DnsName { name, is_ours: false } if facts.many_questions.contains(name) => {
            Some("a DNS message with more questions than are read")
        }
        Difference::DnsName { name, is_ours: false } if facts.late_names.contains(name) => {
            Some("mDNS and LLMNR beyond the first four datagrams of a flow")
        }
        Difference::DnsName { .. } => None,
        Difference::Named { kind: "HTTP host", service, ours, theirs } => {
            let is_address = |host: &String| host.parse::<IpAddr>().is_ok();
            match service.protocol {
                17 => Some("HTTP over UDP, which is SSDP"),
                _ if ours.is_empty() && theirs.iter().all(is_address) => {
                    Some("an address in the Host header is no name")
                }
                _ => None,
            }
        }
        Difference::Named { service, ours, theirs, .. } => {
            if ours.is_empty() && facts.old_quic.contains(service) {
                Some("QUIC of another version than 1 and 2")
            } else if ours.is_empty() && service.protocol == 17 && !is_internal(service.client) {
                Some("QUIC of a client that is not internal")
            } else if theirs.is_empty() && !facts.tls.contains(service) {
                Some("tshark does not expect TLS on this port")
            } else {
                None
            }
        }
    }
}

fn carried(
    pair: &Pair,
    ours: Option<&Carried>,
    theirs: Option<&Carried>,
    facts: &Facts,
) -> Option<&'static str> {
    match (ours, theirs) {
        // tshark says who sent which packet, and not who began.
        (Some(ours), Some(theirs))
            if (ours.packets, ours.ip_bytes) == (theirs.packets, theirs.ip_bytes) =>
        {
            answered_first(pair, ours.initiator?, theirs.initiator?)
        }
        _ if facts.oversized.contains(pair) => Some("captured before segmentation"),
        _ if facts.zero_length.contains(pair) => Some("a length of 0 in the IP header"),
        _ => None,
    }
}

/// By the default of `home_networks`, as far as these captures need it.
fn is_internal(address: IpAddr) -> bool {
    match address {
        IpAddr::V4(address) => address.is_private() || address.is_link_local(),
        IpAddr::V6(address) => address.is_unique_local() || address.is_unicast_link_local(),
    }
}

/// The first packet that was captured came from the one who was asked: its port is that of a service, and
/// lower, or it is an echo reply.
fn answered_first(pair: &Pair, ours: End, first: End) -> Option<&'static str> {
    let is_service =
        first.1 == WIREGUARD_PORT || first.1 < ours.1 && (first.1 < 1_024 || ours.1 >= 32_768);
    match pair.protocol {
        1 | 58 => Some("the first packet is an answer: ICMP"),
        6 | 17 if is_service => {
            Some("the first packet is an answer: it comes from a service's port")
        }
        _ => None,
    }
}
