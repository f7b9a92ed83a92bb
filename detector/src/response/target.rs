//! What a block is about: a flow, two hosts, a destination with or without its port, a host.

use std::fmt;
use std::str::FromStr;

use anyhow::{Context as _, anyhow, ensure};
use detector_common::FlowKey;
use detector_common::parse::protocol;
use detector_common::policy::{TargetKey, is_destination};
use serde::{Deserialize, Serialize};

use crate::network::{Address, Network};

/// What a block covers, both ways.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Target {
    /// One five-tuple; `destination` is the end that receives.
    Flow { key: FlowKey, destination: Address },
    /// Everything between a host and a destination.
    Pair { home: Address, destination: Address },
    /// One address or a prefix, as a destination of anybody at home.
    Destination(Network),
    /// One port of a destination, over any protocol that has ports.
    Service { destination: Address, port: u16 },
    /// Everything of one host.
    Host(Address),
}

impl Target {
    /// The key in the kernel's map of blocks; none for a prefix, which has a map of its own.
    #[must_use]
    pub fn key(&self) -> Option<TargetKey> {
        match self {
            Self::Flow { key, .. } => Some(TargetKey::flow(key)),
            Self::Pair { home, destination } => {
                let (low, high) = (home.min(destination), home.max(destination));
                Some(TargetKey::pair(low.octets(), high.octets()))
            }
            Self::Destination(_) => None,
            Self::Service { destination, port } => {
                Some(TargetKey::service(destination.octets(), port.to_be_bytes()))
            }
            Self::Host(address) => Some(TargetKey::host(address.octets())),
        }
    }

    /// The same for all targets that the kernel cannot distinguish: a flow whichever end receives.
    #[must_use]
    pub fn identity(&self) -> Self {
        match *self {
            Self::Flow { key, .. } => Self::Flow { key, destination: key.high.into() },
            Self::Pair { home, destination } => {
                Self::Pair { home: home.min(destination), destination: home.max(destination) }
            }
            other => other,
        }
    }

    /// The kind's name in commands, JSON and the audit log: a closed list.
    #[must_use]
    pub fn kind(&self) -> &'static str {
        match self {
            Self::Flow { .. } => "flow",
            Self::Pair { .. } => "pair",
            Self::Destination(_) => "destination",
            Self::Service { .. } => "service",
            Self::Host(_) => "host",
        }
    }

    /// The addresses that lose what passes between them: those that must not be cut off.
    #[must_use]
    pub fn destination(&self) -> Network {
        match *self {
            Self::Flow { destination, .. }
            | Self::Pair { destination, .. }
            | Self::Service { destination, .. }
            | Self::Host(destination) => Network::of(destination),
            Self::Destination(network) => network,
        }
    }

    /// Whether traffic of an address, or to it, is what this is about.
    #[must_use]
    pub fn concerns(&self, address: Address) -> bool {
        match self {
            Self::Pair { home, destination } => [*home, *destination].contains(&address),
            Self::Flow { key, .. } => [key.low, key.high].contains(&address.octets()),
            other => other.destination().contains(address),
        }
    }

    /// Whether a flow is covered; `home` has the bits of [`detector_common::FlowCounters::home`].
    #[must_use]
    pub fn covers(&self, flow: &FlowKey, home: u8) -> bool {
        let (low_home, high_home) = (home & 1 != 0, home & 2 != 0);
        let ends = [
            (Address::from(flow.low), flow.low_port, is_destination(low_home, high_home)),
            (Address::from(flow.high), flow.high_port, is_destination(high_home, low_home)),
        ];
        match self {
            Self::Flow { key, .. } => key == flow,
            Self::Pair { home, destination } => {
                let (low, high) = (home.min(destination), home.max(destination));
                flow.low == low.octets() && flow.high == high.octets()
            }
            Self::Destination(network) => ends
                .iter()
                .any(|(address, _, destination)| *destination && network.contains(*address)),
            Self::Service { destination, port } => {
                protocol::has_ports(flow.protocol)
                    && ends.iter().any(|(address, own, meant)| {
                        *meant && address == destination && *own == port.to_be_bytes()
                    })
            }
            Self::Host(host) => [flow.low, flow.high].contains(&host.octets()),
        }
    }
}

/// As commands take it: `flow 6 10.0.0.7:1234 192.0.2.1:443`, `pair 10.0.0.7 192.0.2.1`,
/// `destination 192.0.2.0/24`, `service 192.0.2.1:443`, `host 10.0.0.7`.
impl fmt::Display for Target {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let socket = |address: Address, port: u16| std::net::SocketAddr::new(address.ip(), port);
        match self {
            Self::Flow { key, destination } => {
                let low = socket(key.low.into(), u16::from_be_bytes(key.low_port));
                let high = socket(key.high.into(), u16::from_be_bytes(key.high_port));
                let (from, to) =
                    if key.low == destination.octets() { (high, low) } else { (low, high) };
                write!(formatter, "flow {} {from} {to}", key.protocol)
            }
            Self::Pair { home, destination } => {
                write!(formatter, "pair {home} {destination}")
            }
            Self::Destination(network) => write!(formatter, "destination {}", network.short()),
            Self::Service { destination, port } => {
                write!(formatter, "service {}", socket(*destination, *port))
            }
            Self::Host(address) => write!(formatter, "host {address}"),
        }
    }
}

impl FromStr for Target {
    type Err = anyhow::Error;

    fn from_str(text: &str) -> anyhow::Result<Self> {
        let words: Vec<&str> = text.split_whitespace().collect();
        let parsed = match *words.as_slice() {
            ["flow", protocol, from, to] => flow(protocol, from, to),
            ["pair", home, destination] => {
                let (home, destination) = (address(home)?, address(destination)?);
                ensure!(
                    home != destination,
                    "a pair needs two different addresses, not {home} twice"
                );
                ensure!(
                    home.is_ipv4() == destination.is_ipv4(),
                    "a pair needs two addresses of one family"
                );
                Ok(Self::Pair { home, destination })
            }
            ["destination", network] => network.parse().map(Self::Destination),
            ["service", socket] => {
                let (destination, port) = endpoint(socket)?;
                ensure!(port != 0, "`{socket}` has port 0: use 1 to 65535");
                Ok(Self::Service { destination, port })
            }
            ["host", host] => address(host).map(Self::Host),
            _ => Err(anyhow!("unknown kind of target")),
        };
        parsed.with_context(|| {
            format!(
                "`{text}` is not a target: write `flow 6 10.0.0.7:1234 192.0.2.1:443`, `pair \
                 10.0.0.7 192.0.2.1`, `destination 192.0.2.0/24`, `service 192.0.2.1:443` or \
                 `host 10.0.0.7`"
            )
        })
    }
}

fn flow(number: &str, from: &str, to: &str) -> anyhow::Result<Target> {
    let protocol = protocol::by_name(number).or_else(|| number.parse().ok());
    let protocol = protocol.with_context(|| format!("`{number}` is not a protocol number"))?;
    let ((from, from_port), (to, to_port)) = (endpoint(from)?, endpoint(to)?);
    ensure!(from.is_ipv4() == to.is_ipv4(), "a flow needs two addresses of one family");
    let ((low, low_port), (high, high_port)) =
        ((from, from_port).min((to, to_port)), (from, from_port).max((to, to_port)));
    let (low_port, high_port) = (low_port.to_be_bytes(), high_port.to_be_bytes());
    let (low, high) = (low.octets(), high.octets());
    let key = FlowKey { low, high, low_port, high_port, protocol, ..FlowKey::default() };
    Ok(Target::Flow { key, destination: to })
}

fn address(text: &str) -> anyhow::Result<Address> {
    text.parse().with_context(|| format!("`{text}` is not an address"))
}

fn endpoint(text: &str) -> anyhow::Result<(Address, u16)> {
    let socket: std::net::SocketAddr = text.parse().with_context(|| {
        format!("`{text}` is not an address with a port: write it as 192.0.2.1:443")
    })?;
    Ok((socket.ip().into(), socket.port()))
}

impl Serialize for Target {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for Target {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        text.parse().map_err(|error| serde::de::Error::custom(format!("{error:#}")))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn targets_are_shown_as_they_are_written() {
        for text in [
            "flow 6 10.0.0.7:1234 192.0.2.1:443",
            "flow 17 [2001:db8::1]:53 [fd00::7]:5353",
            "pair 10.0.0.7 192.0.2.1",
            "pair fd00::7 2001:db8::1",
            "destination 192.0.2.0/24",
            "destination 2001:db8::1",
            "service [2001:db8::1]:443",
            "host 10.0.0.7",
        ] {
            assert_eq!(text.parse::<Target>().unwrap().to_string(), text);
        }
    }

    #[test]
    fn a_malformed_target_says_what_is_wrong() {
        let check = |text: &str, expected: &str| {
            let error = format!("{:#}", text.parse::<Target>().unwrap_err());
            assert!(error.contains(expected), "{error}");
        };
        check("10.0.0.7", "write `flow");
        check("destination 192.0.2.1/24", "write 192.0.2.0/24");
        check("destination 192.0.2.0/40", "at most 32");
        check("pair 10.0.0.7 10.0.0.7", "two different addresses");
        check("pair 10.0.0.7 2001:db8::1", "one family");
        check("service 192.0.2.1", "not an address with a port");
        check("service 192.0.2.1:0", "port 0");
        check("flow ip 10.0.0.7:1 192.0.2.1:2", "`ip` is not a protocol");
        check("host here", "`here` is not an address");
    }

    #[test]
    fn what_is_covered() {
        let flow = "flow tcp 10.0.0.7:1234 192.0.2.1:443".parse().unwrap();
        let Target::Flow { key, .. } = flow else { panic!("{flow}") };
        let check = |text: &str, home: u8, expected: bool| {
            assert_eq!(
                text.parse::<Target>().unwrap().covers(&key, home),
                expected,
                "{text} {home}"
            );
        };
        check("flow 6 192.0.2.1:443 10.0.0.7:1234", 1, true);
        check("flow 17 10.0.0.7:1234 192.0.2.1:443", 1, false);
        check("pair 192.0.2.1 10.0.0.7", 1, true);
        check("pair 192.0.2.1 10.0.0.8", 1, false);
        check("destination 192.0.2.0/24", 1, true);
        check("service 192.0.2.1:443", 1, true);
        check("service 192.0.2.1:80", 1, false);
        check("service 10.0.0.7:1234", 1, false);
        check("host 10.0.0.7", 1, true);
        // A home host is a destination for others at home only.
        check("destination 10.0.0.7", 1, false);
        check("destination 10.0.0.7", 3, true);
    }
}
