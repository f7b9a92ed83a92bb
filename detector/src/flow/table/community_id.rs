//! Community ID version 1: one string for a flow that other tools compute alike
//! (<https://github.com/corelight/community-id-spec>).

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use detector_common::flow::{Direction, FlowKey};
use detector_common::parse::protocol;
use sha1::{Digest as _, Sha1};

/// Every tool's default; another seed is for sites that do not want their ids compared.
const SEED: [u8; 2] = [0, 0];
const IPV4_MAPPED: [u8; 12] = [0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff];

/// One endpoint as it is hashed: address and what replaces a port.
#[derive(Clone, Copy)]
struct Endpoint {
    address: [u8; 16],
    port: [u8; 2],
}

/// The id of a flow whose initiator sends in `initiator`. `icmp` is the type and code of the
/// initiator's first packet (`type << 8 | code`), 0 elsewhere.
#[must_use]
pub fn community_id(key: &FlowKey, initiator: Direction, icmp: u16) -> String {
    let (source_address, source_port) = key.source(initiator);
    let (destination_address, destination_port) = key.destination(initiator);
    let mut source = Endpoint { address: source_address, port: source_port };
    let mut destination = Endpoint { address: destination_address, port: destination_port };
    let mut one_way = false;
    if let Some(table) = counterparts(key.protocol) {
        let [kind, code] = icmp.to_be_bytes();
        let counterpart = table.iter().find(|pair| pair.0 == kind).map(|pair| pair.1);
        one_way = counterpart.is_none();
        source.port = [0, kind];
        destination.port = [0, counterpart.unwrap_or(code)];
    }
    let swap = (source.address, source.port) > (destination.address, destination.port);
    if swap && !one_way {
        (source, destination) = (destination, source);
    }
    let mut hash = Sha1::new();
    hash.update(SEED);
    hash.update(wire(&source.address));
    hash.update(wire(&destination.address));
    hash.update([key.protocol, 0]);
    if hashes_ports(key.protocol) {
        hash.update(source.port);
        hash.update(destination.port);
    }
    let mut id = String::from("1:");
    STANDARD.encode_string(hash.finalize(), &mut id);
    id
}

/// An address in its own family's length.
fn wire(address: &[u8; 16]) -> &[u8] {
    address.strip_prefix(&IPV4_MAPPED[..]).unwrap_or(&address[..])
}

/// The protocols whose ports are a part of the id: the specification has these and no others.
fn hashes_ports(number: u8) -> bool {
    matches!(
        number,
        protocol::TCP | protocol::UDP | protocol::SCTP | protocol::ICMP | protocol::ICMPV6
    )
}

/// Message types and the types that answer them; a type without an answer is one-way.
fn counterparts(number: u8) -> Option<&'static [(u8, u8)]> {
    match number {
        protocol::ICMP => Some(&[
            (8, 0),
            (0, 8),
            (13, 14),
            (14, 13),
            (15, 16),
            (16, 15),
            (10, 9),
            (9, 10),
            (17, 18),
            (18, 17),
        ]),
        protocol::ICMPV6 => Some(&[
            (128, 129),
            (129, 128),
            (133, 134),
            (134, 133),
            (135, 136),
            (136, 135),
            (130, 131),
            (131, 130),
            (139, 140),
            (140, 139),
            (144, 145),
            (145, 144),
        ]),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use std::net::IpAddr;

    use detector_common::flow::{Direction, FlowKey};

    use super::community_id;

    fn octets(address: &str) -> [u8; 16] {
        match address.parse::<IpAddr>().expect("an address") {
            IpAddr::V4(address) => address.to_ipv6_mapped().octets(),
            IpAddr::V6(address) => address.octets(),
        }
    }

    fn key(
        protocol: u8,
        source: ([u8; 16], u16),
        destination: ([u8; 16], u16),
    ) -> (FlowKey, Direction) {
        let in_order = source <= destination;
        let (low, high) = if in_order { (source, destination) } else { (destination, source) };
        let key = FlowKey {
            low: low.0,
            high: high.0,
            low_port: low.1.to_be_bytes(),
            high_port: high.1.to_be_bytes(),
            protocol,
            padding: [0; 3],
        };
        let direction = if in_order { Direction::FromLow } else { Direction::FromHigh };
        (key, direction)
    }

    /// Reference values of the specification's baseline; `first` and `second` are ports, or for
    /// ICMP type and code.
    #[track_caller]
    fn check(
        protocol: u8,
        (source, first): (&str, u16),
        (destination, second): (&str, u16),
        expected: &str,
    ) {
        let is_icmp = matches!(protocol, 1 | 58);
        let (ports, icmp) =
            if is_icmp { ((7, 7), first << 8 | second) } else { ((first, second), 0) };
        let (key, initiator) =
            key(protocol, (octets(source), ports.0), (octets(destination), ports.1));
        assert_eq!(community_id(&key, initiator, icmp), expected);
        if !is_icmp {
            assert_eq!(community_id(&key, initiator.reverse(), icmp), expected);
        }
    }

    #[test]
    fn reference_values_with_ports() {
        check(
            6,
            ("128.232.110.120", 34855),
            ("66.35.250.204", 80),
            "1:LQU9qZlK+B5F3KDmev6m5PMibrg=",
        );
        check(17, ("192.168.1.52", 54585), ("8.8.8.8", 53), "1:d/FP5EW3wiY1vCndhwleRRKHowQ=");
        check(132, ("192.168.170.8", 7), ("192.168.170.56", 80), "1:jQgCxbku+pNGw8WPbEc/TS/uTpQ=");
    }

    #[test]
    fn reference_values_of_icmp() {
        let (near, far) = ("192.168.0.89", "192.168.0.1");
        check(1, (near, 8), (far, 0), "1:X0snYXpgwiv9TZtqg64sgzUn6Dk=");
        check(1, (far, 0), (near, 0), "1:X0snYXpgwiv9TZtqg64sgzUn6Dk=");
        check(1, (near, 20), (far, 0), "1:3o2RFccXzUgjl7zDpqmY7yJi8rI=");
        check(1, (near, 20), (far, 1), "1:tz/fHIDUHs19NkixVVoOZywde+I=");
        let (near, far) = ("fe80::200:86ff:fe05:80da", "fe80::260:97ff:fe07:69ea");
        check(58, (near, 135), (far, 0), "1:dGHyGvjMfljg6Bppwm3bg0LO8TY=");
        check(58, (far, 136), (near, 0), "1:dGHyGvjMfljg6Bppwm3bg0LO8TY=");
        check(
            58,
            ("3ffe:507:0:1:260:97ff:fe07:69ea", 3),
            ("3ffe:507:0:1:200:86ff:fe05:80da", 0),
            "1:NdobDX8PQNJbAyfkWxhtL2Pqp5w=",
        );
    }

    #[test]
    fn reference_values_without_ports() {
        check(46, ("1.2.3.4", 0), ("5.6.7.8", 0), "1:ikv3kmf89luf73WPz1jOs49S768=");
    }
}
