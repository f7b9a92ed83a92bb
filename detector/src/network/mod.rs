//! Network prefixes and addresses as people write them, in the form the kernel's maps hold them.
//!
//! IPv4 is kept as IPv4-mapped IPv6 throughout and shown as IPv4. Nothing here resolves a name.

mod address;

use std::cmp::Ordering;
use std::fmt;
use std::net::{IpAddr, Ipv6Addr};
use std::str::FromStr;

use anyhow::{Context as _, ensure};
use detector_common::policy::Prefix;
use ipnet::Ipv6Net;
use serde::{Deserialize, Serialize};

pub use address::Address;

/// A prefix such as `10.0.0.0/8` or `fd00::/8`; a bare address is that address alone. No bit is set
/// beyond its length.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Network(Ipv6Net);

impl Network {
    /// Builds from an address and the length of its prefix in the address's own family.
    pub fn new(address: IpAddr, length: u8) -> anyhow::Result<Self> {
        let network = Self::around(address, length)?;
        ensure!(
            network.0.addr() == Ipv6Addr::from(Address::from(address)),
            "it has bits beyond its prefix length: write {network}"
        );
        Ok(network)
    }

    /// The network that `address` lies in, cut at `length` bits of its own family.
    pub fn around(address: IpAddr, length: u8) -> anyhow::Result<Self> {
        let bits = if address.is_ipv4() { 32 } else { 128 };
        ensure!(length <= bits, "the prefix length is {length}: use at most {bits}");
        let network = Ipv6Net::new(Address::from(address).into(), length + (128 - bits))?;
        Ok(Self(network.trunc()))
    }

    /// The network of a longest-prefix map's key.
    #[must_use]
    pub fn from_prefix(prefix: Prefix) -> Self {
        let length = u8::try_from(prefix.length).unwrap_or(u8::MAX).min(128);
        Self(Ipv6Net::new_assert(prefix.address.into(), length).trunc())
    }

    /// One address alone.
    #[must_use]
    pub fn of(address: Address) -> Self {
        Self(Ipv6Addr::from(address).into())
    }

    /// Whether all of `other` lies inside.
    #[must_use]
    pub fn covers(&self, other: &Self) -> bool {
        self.0.contains(&other.0)
    }

    /// Whether the two have an address in common.
    #[must_use]
    pub fn overlaps(&self, other: &Self) -> bool {
        self.covers(other) || other.covers(self)
    }

    /// As people write it: a single address without its length.
    #[must_use]
    pub fn short(&self) -> String {
        if self.0.prefix_len() == 128 {
            self.0.addr().to_canonical().to_string()
        } else {
            self.to_string()
        }
    }

    /// The first and the last address inside.
    #[must_use]
    pub fn bounds(&self) -> (Address, Address) {
        let [first, last] = [self.0.network(), self.0.broadcast()].map(|it| it.octets().into());
        (first, last)
    }

    /// The key of a longest-prefix map.
    #[must_use]
    pub fn prefix(&self) -> Prefix {
        Prefix { length: self.0.prefix_len().into(), address: self.0.addr().octets() }
    }

    #[must_use]
    pub fn contains(&self, address: Address) -> bool {
        self.0.contains(&Ipv6Addr::from(address))
    }
}

/// Wider networks come first: where there is no room for all, those are placed.
impl Ord for Network {
    fn cmp(&self, other: &Self) -> Ordering {
        let place = |network: &Self| (network.0.prefix_len(), network.0.addr());
        place(self).cmp(&place(other))
    }
}

impl PartialOrd for Network {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl FromStr for Network {
    type Err = anyhow::Error;

    fn from_str(text: &str) -> anyhow::Result<Self> {
        let parse = || {
            let (address, length) = match text.split_once('/') {
                Some((address, length)) => (address, Some(length)),
                None => (text, None),
            };
            let address: IpAddr = address.parse().context("it has no valid address")?;
            let whole = if address.is_ipv4() { 32 } else { 128 };
            let length = length.map_or(Ok(whole), str::parse).context("it has no valid length")?;
            Self::new(address, length)
        };
        parse().with_context(|| {
            format!("`{text}` is not a network: write it as 10.0.0.0/8 or fd00::/8")
        })
    }
}

impl TryFrom<String> for Network {
    type Error = String;

    fn try_from(text: String) -> Result<Self, String> {
        text.parse().map_err(|error| format!("{error:#}"))
    }
}

impl From<Network> for String {
    fn from(network: Network) -> Self {
        network.to_string()
    }
}

impl fmt::Display for Network {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match (self.0.addr().to_canonical(), self.0.prefix_len()) {
            (IpAddr::V4(address), length @ 96..) => write!(formatter, "{address}/{}", length - 96),
            _ => self.0.fmt(formatter),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn networks_are_shown_as_they_are_written() {
        for text in
            ["10.0.0.0/8", "0.0.0.0/0", "192.0.2.7/32", "fd00::/8", "::/0", "2001:db8::1/128"]
        {
            let network: Network = text.parse().unwrap();
            assert_eq!(network.to_string(), text);
        }
        assert_eq!("192.0.2.7".parse::<Network>().unwrap().to_string(), "192.0.2.7/32");
        let around = Network::around("192.0.2.7".parse().unwrap(), 24).unwrap();
        assert_eq!(around.to_string(), "192.0.2.0/24");
    }

    #[test]
    fn a_network_is_the_key_of_a_map() {
        for text in ["10.0.0.0/8", "0.0.0.0/0", "::/0", "2001:db8::1/128"] {
            let prefix = text.parse::<Network>().unwrap().prefix();
            assert_eq!(Network::from_prefix(prefix).prefix(), prefix, "{text}");
        }
        let network: Network = "192.0.2.0/30".parse().unwrap();
        let [first, last] = ["192.0.2.0", "192.0.2.3"].map(|ip| ip.parse().unwrap());
        assert_eq!(network.bounds(), (first, last));
        assert!("10.0.0.0/8".parse::<Network>().unwrap() < network);
    }

    #[test]
    fn what_lies_inside() {
        let check = |network: &str, address: &str, expected: bool| {
            let network: Network = network.parse().unwrap();
            assert_eq!(network.contains(address.parse().unwrap()), expected, "{network} {address}");
        };
        check("10.0.0.0/8", "10.255.0.1", true);
        check("10.0.0.0/8", "11.0.0.1", false);
        check("0.0.0.0/0", "192.0.2.1", true);
        check("0.0.0.0/0", "2001:db8::1", false);
        check("fd00::/8", "fdab::1", true);
        check("::/0", "192.0.2.1", true);
    }

    #[test]
    fn a_malformed_network_says_what_is_wrong() {
        let check = |text: &str, expected: &str| {
            let error = format!("{:#}", text.parse::<Network>().unwrap_err());
            assert!(error.contains(expected), "{error}");
        };
        check("10.0.0.0/33", "at most 32");
        check("10.0.0.1/8", "write 10.0.0.0/8");
        check("fd00::1/8", "write fd00::/8");
        check("example", "`example` is not a network");
        check("10.0.0.0/x", "no valid length");
        check("10.0.0.0/256", "no valid length");
        check("fd00::/129", "at most 128");
    }
}
