//! Addresses and ports as userspace holds them. The records of the kernel keep arrays of octets.

use std::fmt;
use std::net::{AddrParseError, IpAddr, Ipv6Addr, SocketAddr};
use std::str::FromStr;

use serde::{Deserialize, Deserializer, Serialize, Serializer};
use utoipa::ToSchema;

/// An IPv4 or IPv6 address, shown in its own family.
#[derive(Clone, Copy, Default, PartialEq, Eq, Hash, PartialOrd, Ord, ToSchema)]
#[schema(value_type = String)]
pub struct Address(
    // IPv4 as IPv4-mapped IPv6.
    [u8; 16],
);

impl Address {
    /// As records of the kernel, keys of its maps and the store hold it.
    #[must_use]
    pub const fn octets(self) -> [u8; 16] {
        self.0
    }

    /// In the family it was sent in.
    #[must_use]
    pub const fn ip(self) -> IpAddr {
        Ipv6Addr::from_octets(self.0).to_canonical()
    }

    #[must_use]
    pub const fn is_ipv4(self) -> bool {
        self.ip().is_ipv4()
    }

    #[must_use]
    pub const fn is_loopback(self) -> bool {
        self.ip().is_loopback()
    }

    /// All zero, in either family: the address of nobody.
    #[must_use]
    pub const fn is_unspecified(self) -> bool {
        self.ip().is_unspecified()
    }

    /// Multicast and broadcast, which name no one host.
    #[must_use]
    pub const fn is_group(self) -> bool {
        match self.ip() {
            IpAddr::V4(address) => address.is_multicast() || address.is_broadcast(),
            IpAddr::V6(address) => address.is_multicast(),
        }
    }

    /// `192.0.2.1:443`, `[2001:db8::1]:443`, or the address alone.
    #[must_use]
    pub fn with_port(self, port: Option<u16>) -> String {
        match port {
            Some(port) => SocketAddr::new(self.ip(), port).to_string(),
            None => self.to_string(),
        }
    }
}

impl From<[u8; 16]> for Address {
    fn from(octets: [u8; 16]) -> Self {
        Self(octets)
    }
}

impl From<[u8; 4]> for Address {
    fn from(octets: [u8; 4]) -> Self {
        IpAddr::from(octets).into()
    }
}

impl From<[u16; 8]> for Address {
    fn from(groups: [u16; 8]) -> Self {
        IpAddr::from(groups).into()
    }
}

impl From<IpAddr> for Address {
    fn from(address: IpAddr) -> Self {
        match address {
            IpAddr::V4(address) => Self(address.to_ipv6_mapped().octets()),
            IpAddr::V6(address) => Self(address.octets()),
        }
    }
}

impl From<Address> for Ipv6Addr {
    fn from(address: Address) -> Self {
        address.0.into()
    }
}

impl FromStr for Address {
    type Err = AddrParseError;

    fn from_str(text: &str) -> Result<Self, AddrParseError> {
        text.parse().map(|address: IpAddr| address.into())
    }
}

impl fmt::Display for Address {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(&self.ip(), formatter)
    }
}

impl fmt::Debug for Address {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, formatter)
    }
}

impl Serialize for Address {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for Address {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        IpAddr::deserialize(deserializer).map(Self::from)
    }
}

#[cfg(test)]
mod tests {
    use super::Address;

    #[test]
    fn an_address_is_shown_in_the_family_it_was_sent_in() {
        let check = |text: &str, expected: &str, ipv4: bool| {
            let address: Address = text.parse().unwrap();
            assert_eq!((address.to_string().as_str(), address.is_ipv4()), (expected, ipv4));
            assert_eq!(Address::from(address.octets()), address);
            let json = serde_json::to_string(&address).unwrap();
            assert_eq!(json, format!("\"{expected}\""));
            assert_eq!(serde_json::from_str::<Address>(&json).unwrap(), address);
        };
        check("192.0.2.7", "192.0.2.7", true);
        check("::ffff:192.0.2.7", "192.0.2.7", true);
        check("2001:db8::1", "2001:db8::1", false);
        check("::1", "::1", false);
        assert!("192.0.2".parse::<Address>().is_err());
        assert_eq!(Address::from([192, 0, 2, 7]), "192.0.2.7".parse().unwrap());
    }

    #[test]
    fn groups_are_no_host() {
        let check = |text: &str, expected: bool| {
            assert_eq!(text.parse::<Address>().unwrap().is_group(), expected, "{text}");
        };
        check("224.0.0.251", true);
        check("255.255.255.255", true);
        check("ff02::fb", true);
        check("192.0.2.255", false);
        check("::", false);
    }

    #[test]
    fn an_address_with_its_port() {
        let check = |text: &str, port, expected: &str| {
            assert_eq!(text.parse::<Address>().unwrap().with_port(port), expected);
        };
        check("192.0.2.1", Some(443), "192.0.2.1:443");
        check("2001:db8::1", Some(443), "[2001:db8::1]:443");
        check("192.0.2.1", None, "192.0.2.1");
    }
}
