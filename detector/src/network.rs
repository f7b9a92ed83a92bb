//! Network prefixes and addresses as people write them, in the form the kernel's maps hold them.
//!
//! IPv4 is kept as IPv4-mapped IPv6 throughout and shown as IPv4. Nothing here resolves a name.

use std::fmt;
use std::net::{IpAddr, Ipv6Addr};
use std::str::FromStr;

use anyhow::{Context as _, ensure};
use detector_common::policy::Prefix;
use serde::{Deserialize, Serialize};

/// An address as flows hold it, in the family it was sent in.
#[must_use]
pub fn ip(address: &[u8; 16]) -> IpAddr {
    Ipv6Addr::from(*address).to_canonical()
}

/// The form in which flows hold an address.
#[must_use]
pub fn octets(address: IpAddr) -> [u8; 16] {
    match address {
        IpAddr::V4(address) => address.to_ipv6_mapped().octets(),
        IpAddr::V6(address) => address.octets(),
    }
}

/// A prefix such as `10.0.0.0/8` or `fd00::/8`; a bare address is that address alone.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Network(Prefix);

impl Network {
    /// Builds from an address and the length of its prefix in the address's own family.
    ///
    /// # Errors
    ///
    /// A length beyond the family's, or address bits set beyond the length.
    pub fn new(address: IpAddr, length: u32) -> anyhow::Result<Self> {
        let (bits, offset) = if address.is_ipv4() { (32, 96) } else { (128, 0) };
        ensure!(length <= bits, "the prefix length is {length}, at most {bits} are possible");
        let prefix = Prefix { length: length + offset, address: octets(address) };
        let mask = u128::MAX.checked_shl(128 - prefix.length).unwrap_or(0);
        let start = u128::from_be_bytes(prefix.address) & mask;
        let network = ip(&start.to_be_bytes());
        ensure!(
            start.to_be_bytes() == prefix.address,
            "it has bits beyond its length: write {network}/{length}"
        );
        Ok(Self(prefix))
    }

    /// The network that `address` lies in, cut at `length` bits of its own family.
    ///
    /// # Errors
    ///
    /// A length beyond the family's.
    pub fn around(address: IpAddr, length: u32) -> anyhow::Result<Self> {
        let offset = if address.is_ipv4() { 96 } else { 0 };
        let mask = u128::MAX.checked_shl(128_u32.saturating_sub(length + offset)).unwrap_or(0);
        let start = u128::from_be_bytes(octets(address)) & mask;
        let network =
            if address.is_ipv4() { ip(&start.to_be_bytes()) } else { Ipv6Addr::from(start).into() };
        Self::new(network, length)
    }

    /// A prefix that is known to have no bits beyond its length.
    #[must_use]
    pub fn from_prefix(prefix: Prefix) -> Self {
        Self(prefix)
    }

    /// One address, as flows hold it.
    #[must_use]
    pub fn of(address: &[u8; 16]) -> Self {
        Self(Prefix::host(*address))
    }

    /// Whether all of `other` lies inside.
    #[must_use]
    pub fn covers(&self, other: &Self) -> bool {
        self.0.length <= other.0.length && self.0.contains(&other.0.address)
    }

    /// Whether the two have an address in common.
    #[must_use]
    pub fn overlaps(&self, other: &Self) -> bool {
        self.covers(other) || other.covers(self)
    }

    /// As people write it: a single address without its length.
    #[must_use]
    pub fn short(&self) -> String {
        if self.0.length == 128 { ip(&self.0.address).to_string() } else { self.to_string() }
    }

    /// The first and the last address inside, as flows hold them.
    #[must_use]
    pub fn bounds(&self) -> ([u8; 16], [u8; 16]) {
        let rest = u128::MAX.checked_shr(self.0.length).unwrap_or(0);
        let first = u128::from_be_bytes(self.0.address);
        (self.0.address, (first | rest).to_be_bytes())
    }

    /// The key of a longest-prefix map.
    #[must_use]
    pub fn prefix(&self) -> Prefix {
        self.0
    }

    /// Whether an address, as flows hold it, lies inside.
    #[must_use]
    pub fn contains(&self, address: &[u8; 16]) -> bool {
        self.0.contains(address)
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
        parse().with_context(|| format!("`{text}` is no network such as 10.0.0.0/8 or fd00::/8"))
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
        let address = ip(&self.0.address);
        let offset = if address.is_ipv4() && self.0.length >= 96 { 96 } else { 0 };
        if offset == 0 && address.is_ipv4() {
            return write!(formatter, "{}/{}", Ipv6Addr::from(self.0.address), self.0.length);
        }
        write!(formatter, "{address}/{}", self.0.length - offset)
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
    fn what_lies_inside() {
        let check = |network: &str, address: &str, expected: bool| {
            let network: Network = network.parse().unwrap();
            assert_eq!(
                network.contains(&octets(address.parse().unwrap())),
                expected,
                "{network} {address}"
            );
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
        check("example", "`example` is no network");
        check("10.0.0.0/x", "no valid length");
    }
}
