//! Which alerts lead to a block, and why others do not.
//!
//! A decision follows from the mode, the never-block networks and the flow alone; carrying it out
//! is the enforcer's.

use std::fmt;
use std::time::Duration;

use detector_common::FlowKey;
use serde::{Deserialize, Serialize};

use crate::network::{Network, ip};

/// How far the program may go.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Mode {
    /// Tell, touch nothing.
    #[default]
    Observe,
    /// Decide and count what would be blocked, touch nothing.
    Simulate,
    /// Block.
    Block,
}

impl fmt::Display for Mode {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(match self {
            Self::Observe => "observe",
            Self::Simulate => "simulate",
            Self::Block => "block",
        })
    }
}

/// What is to be done about one alert.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Action {
    None,
    /// Drop the packets of this flow in both directions, for so long.
    BlockFlow {
        key: FlowKey,
        ttl: Duration,
    },
}

/// Why a wanted block is not made.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Refusal {
    Source(Network),
    Destination(Network),
}

impl fmt::Display for Refusal {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Source(network) => write!(formatter, "source is in never_block {network}"),
            Self::Destination(network) => {
                write!(formatter, "destination is in never_block {network}")
            }
        }
    }
}

/// An action, or why there is none where one was wanted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Decision {
    pub action: Action,
    pub refusal: Option<Refusal>,
}

impl Decision {
    /// Nothing is wanted.
    pub const NOTHING: Self = Self { action: Action::None, refusal: None };
}

/// The rules an action must keep to.
#[derive(Clone, Debug)]
pub struct Policy {
    pub mode: Mode,
    pub never_block: Vec<Network>,
    pub ttl: Duration,
}

impl Default for Policy {
    fn default() -> Self {
        Self { mode: Mode::Observe, never_block: Vec::new(), ttl: Duration::from_secs(600) }
    }
}

impl Policy {
    /// Decides on an alert about `source`, an address as flows hold it, stealing over the flow
    /// `key`.
    #[must_use]
    pub fn decide(&self, key: &FlowKey, source: &[u8; 16]) -> Decision {
        if self.mode == Mode::Observe {
            return Decision::NOTHING;
        }
        let destination = if key.low == *source { &key.high } else { &key.low };
        let refusal = self
            .covers(destination)
            .map(Refusal::Destination)
            .or(self.covers(source).map(Refusal::Source));
        match refusal {
            Some(_) => Decision { refusal, ..Decision::NOTHING },
            None => {
                Decision { action: Action::BlockFlow { key: *key, ttl: self.ttl }, refusal: None }
            }
        }
    }

    fn covers(&self, address: &[u8; 16]) -> Option<Network> {
        self.never_block.iter().find(|network| network.contains(address)).copied()
    }
}

/// What a flow is called in messages.
#[must_use]
pub fn describe(key: &FlowKey) -> String {
    let port = |port: [u8; 2]| u16::from_be_bytes(port);
    format!(
        "{} port {} and {} port {}, protocol {}",
        ip(&key.low),
        port(key.low_port),
        ip(&key.high),
        port(key.high_port),
        key.protocol
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::network::octets;

    fn key(low: &str, high: &str) -> FlowKey {
        let address = |text: &str| octets(text.parse().unwrap());
        FlowKey { low: address(low), high: address(high), protocol: 6, ..FlowKey::default() }
    }

    fn check(mode: Mode, never_block: &[&str], source: &str, expected: &str) {
        let never_block = never_block.iter().map(|text| text.parse().unwrap()).collect();
        let policy = Policy { mode, never_block, ttl: Duration::from_secs(60) };
        let key = key("10.0.0.7", "192.0.2.1");
        let decision = policy.decide(&key, &octets(source.parse().unwrap()));
        let text = match (decision.action, decision.refusal) {
            (Action::BlockFlow { key: blocked, ttl }, None) => {
                assert_eq!(blocked, key);
                format!("block for {} s", ttl.as_secs())
            }
            (Action::None, Some(refusal)) => refusal.to_string(),
            (Action::None, None) => "nothing".to_owned(),
            (Action::BlockFlow { .. }, Some(_)) => "both".to_owned(),
        };
        assert_eq!(text, expected);
    }

    #[test]
    fn decisions() {
        check(Mode::Observe, &[], "10.0.0.7", "nothing");
        check(Mode::Observe, &["10.0.0.0/8"], "10.0.0.7", "nothing");
        check(Mode::Block, &[], "10.0.0.7", "block for 60 s");
        check(Mode::Simulate, &[], "10.0.0.7", "block for 60 s");
        check(
            Mode::Block,
            &["192.0.2.0/24"],
            "10.0.0.7",
            "destination is in never_block 192.0.2.0/24",
        );
        check(Mode::Block, &["192.0.2.0/24"], "192.0.2.1", "source is in never_block 192.0.2.0/24");
        check(Mode::Block, &["10.0.0.7"], "10.0.0.7", "source is in never_block 10.0.0.7/32");
        check(Mode::Block, &["fd00::/8", "198.51.100.0/24"], "10.0.0.7", "block for 60 s");
    }
}
