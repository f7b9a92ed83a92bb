//! What stays unopened: frames that are no IP packet, links that are not read, and tunnels that the
//! configuration leaves closed. Names them, and says what to do where they are more than a little.

use std::fmt;

use detector_common::abi::Count;
use detector_common::parse::{Tunnel, number};

/// One kind of what stays unopened.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Unopened {
    /// Frames, by the number of what they are.
    Frames(u32),
    /// Packets of a link type, by its pcap number.
    Link(u32),
    /// Packets of a tunnel, by the option that opens it.
    Tunnel(&'static str),
}

/// Common EtherTypes that are no IP (IEEE's list), and why they stay unopened.
const ETHERTYPES: [(u32, &str); 13] = [
    (0x6003, "DECnet"),
    (0x8137, "IPX"),
    (0x8808, "Ethernet flow control"),
    (0x8809, "link aggregation"),
    (0x8847, "MPLS that carries no IP"),
    (0x8863, "PPPoE discovery"),
    (0x888e, "802.1X"),
    (0x8892, "PROFINET"),
    (0x88a2, "ATA over Ethernet"),
    (0x88cc, "LLDP"),
    (0x88e5, "MACsec, encrypted"),
    (0x8906, "Fibre Channel over Ethernet"),
    (0x8915, "RDMA over Ethernet"),
];

impl Unopened {
    /// What became of the tunnels that a tracker saw.
    pub fn tunnels(tunnels: &[Count; Tunnel::COUNT]) -> impl Iterator<Item = (Self, Count)> {
        Tunnel::OPTIONS.into_iter().map(Self::Tunnel).zip(*tunnels)
    }

    /// What to tell of this kind when it has this share of all bytes.
    #[must_use]
    pub fn hint(&self, percent: u64) -> String {
        match self {
            Self::Tunnel(option) => format!(
                "{percent} % of the bytes are in {self}: set decapsulation.{option} = true to count \
                 the packets inside"
            ),
            Self::Frames(_) | Self::Link(_) => {
                format!("{percent} % of the bytes stay unopened: {self}")
            }
        }
    }
}

impl fmt::Display for Unopened {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match *self {
            Self::Link(link) => write!(formatter, "link type {link}"),
            Self::Tunnel(option) => {
                write!(formatter, "{} tunnels", option.to_uppercase().replace('_', "-"))
            }
            Self::Frames(number::WIRELESS_ENCRYPTED) => formatter.write_str("802.11, encrypted"),
            Self::Frames(number::WIRELESS_MANAGEMENT) => {
                formatter.write_str("802.11, management and control")
            }
            Self::Frames(number::WIRELESS_AGGREGATE) => {
                formatter.write_str("802.11, several packets in a frame")
            }
            Self::Frames(number::CONTINUATION) => {
                formatter.write_str("802.3br, the rest of interrupted frames")
            }
            Self::Frames(number::NO_VERSION) => formatter.write_str("neither IPv4 nor IPv6"),
            Self::Frames(frames) if frames & number::PPP != 0 => {
                write!(formatter, "PPP protocol {:#06x}", frames & 0xffff)
            }
            Self::Frames(service @ 0..0x600) => write!(formatter, "LLC service {service:#04x}"),
            Self::Frames(ethertype) => {
                write!(formatter, "EtherType {ethertype:#06x}")?;
                let name = ETHERTYPES.iter().find(|(known, _)| *known == ethertype);
                name.map_or(Ok(()), |(_, name)| write!(formatter, " ({name})"))
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_kind_has_a_name() {
        for (kind, expected) in [
            (Unopened::Link(220), "link type 220"),
            (Unopened::Tunnel("gtp_u"), "GTP-U tunnels"),
            (Unopened::Tunnel("ip_in_ip"), "IP-IN-IP tunnels"),
            (Unopened::Frames(0x88e5), "EtherType 0x88e5 (MACsec, encrypted)"),
            (Unopened::Frames(0x88b5), "EtherType 0x88b5"),
            (Unopened::Frames(0x42), "LLC service 0x42"),
            (Unopened::Frames(number::PPP | 0xc021), "PPP protocol 0xc021"),
            (Unopened::Frames(number::WIRELESS_ENCRYPTED), "802.11, encrypted"),
            (Unopened::Frames(number::NO_VERSION), "neither IPv4 nor IPv6"),
        ] {
            assert_eq!(kind.to_string(), expected);
        }
    }

    #[test]
    fn a_hint_names_the_option() {
        assert_eq!(
            Unopened::Tunnel("gre").hint(12),
            "12 % of the bytes are in GRE tunnels: set decapsulation.gre = true to count the packets \
             inside"
        );
    }
}
