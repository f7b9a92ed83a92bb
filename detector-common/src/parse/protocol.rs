//! IP protocols by number: those the code tells apart, what they are called and which have ports.
//!
//! A protocol with ports is one row here. The parser reads its ports, blocks and sessions use them,
//! and every output names them.

macro_rules! protocols {
    ($($constant:ident = $number:literal $(, $name:literal $(, ports in $header_bytes:literal)?)?;)+) => {
        $(pub const $constant: u8 = $number;)+

        /// The numbers that have a name, and their names.
        const NAMES: &[(u8, &str)] = &[$($(($number, $name),)?)+];

        /// The least bytes of a transport header that begins with two ports (source, destination); 0
        /// where a protocol has no ports.
        #[inline(always)]
        #[must_use]
        pub const fn port_header_bytes(number: u8) -> u32 {
            match number {
                $($($($number => $header_bytes,)?)?)+
                _ => 0,
            }
        }
    };
}

// IANA's numbers; a name and the transport header's least size where there are.
protocols! {
    HOP_BY_HOP = 0;
    ICMP = 1, "icmp";
    IPV4 = 4;
    TCP = 6, "tcp", ports in 20;
    UDP = 17, "udp", ports in 8;
    // RFC 4340; the header is longer where its data offset says so.
    DCCP = 33, "dccp", ports in 12;
    IPV6 = 41;
    ROUTING = 43;
    FRAGMENT = 44;
    GRE = 47, "gre";
    ESP = 50, "esp";
    AUTHENTICATION = 51, "ah";
    ICMPV6 = 58, "icmpv6";
    NO_NEXT_HEADER = 59;
    DESTINATION_OPTIONS = 60;
    SCTP = 132, "sctp", ports in 12;
    MOBILITY = 135;
    // RFC 3828.
    UDP_LITE = 136, "udplite", ports in 8;
    HIP = 139;
    SHIM6 = 140;
}

/// Whether the two numbers that flows keep for ports are ports; in ICMP they are an identifier.
#[inline(always)]
#[must_use]
pub const fn has_ports(number: u8) -> bool {
    port_header_bytes(number) != 0
}

/// A protocol's lower-case name, where it has one here.
#[must_use]
pub fn name(number: u8) -> Option<&'static str> {
    NAMES.iter().find(|(known, _)| *known == number).map(|(_, name)| *name)
}

/// The protocol of this name.
#[must_use]
pub fn by_name(name: &str) -> Option<u8> {
    NAMES.iter().find(|(_, known)| *known == name).map(|(number, _)| *number)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_read_back() {
        for number in 0..=u8::MAX {
            assert!(name(number).is_none_or(|name| by_name(name) == Some(number)));
            assert!(!has_ports(number) || name(number).is_some(), "{number} has ports and no name");
        }
        assert_eq!((name(TCP), by_name("sctp"), by_name("ip")), (Some("tcp"), Some(132), None));
    }

    #[test]
    fn protocols_with_ports() {
        let with_ports: [u8; 5] = [TCP, UDP, DCCP, SCTP, UDP_LITE];
        for number in 0..=u8::MAX {
            assert_eq!(has_ports(number), with_ports.contains(&number), "{number}");
        }
    }
}
