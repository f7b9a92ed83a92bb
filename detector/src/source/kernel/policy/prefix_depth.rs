//! The prefixes in one longest-prefix map, and how deep they lie in each other.
//!
//! The kernel passes by at most [`MAX_NESTED`] prefixes that are not in force, so no address may
//! lie in more.

use std::collections::BTreeMap;

use anyhow::bail;
use detector_common::policy::{MAX_NESTED, Prefix};

use crate::network::Network;
use crate::response::EntryNumber;

/// Prefixes by their first address and length: those inside one follow it.
#[derive(Debug, Default)]
pub(super) struct PrefixDepth(BTreeMap<([u8; 16], u32), EntryNumber>);

fn place(network: &Network) -> ([u8; 16], u32) {
    let prefix = network.prefix();
    (prefix.address, prefix.length)
}

fn network(&(address, length): &([u8; 16], u32)) -> Network {
    Network::from_prefix(Prefix { length, address })
}

impl PrefixDepth {
    pub(super) fn len(&self) -> usize {
        self.0.len()
    }

    pub(super) fn get(&self, network: &Network) -> Option<EntryNumber> {
        self.0.get(&place(network)).copied()
    }

    pub(super) fn insert(&mut self, network: &Network, number: EntryNumber) {
        self.0.insert(place(network), number);
    }

    pub(super) fn remove(&mut self, network: &Network) {
        self.0.remove(&place(network));
    }

    /// Sees that no address would lie in too many prefixes with `new` among them.
    pub(super) fn check(&self, new: &Network) -> anyhow::Result<()> {
        let mut chain = self.around(new);
        chain.extend(self.deepest_inside(new));
        if chain.len() < MAX_NESTED {
            return Ok(());
        }
        let names: Vec<String> = chain.iter().map(Network::short).collect();
        bail!(
            "{} would be number {} of nested prefixes, and at most {MAX_NESTED} may be nested: \
             {}; remove one of them first",
            new.short(),
            chain.len() + 1,
            names.join(", ")
        )
    }

    /// The prefixes that `inner` lies in, the longest last.
    fn around(&self, inner: &Network) -> Vec<Network> {
        let (address, length) = place(inner);
        let start = u128::from_be_bytes(address);
        (0..length)
            .filter_map(|length| {
                let mask = u128::MAX.checked_shl(128 - length).unwrap_or(0);
                let outer = ((start & mask).to_be_bytes(), length);
                self.0.contains_key(&outer).then(|| network(&outer))
            })
            .collect()
    }

    /// The longest chain of prefixes in each other that lies inside `outer`.
    fn deepest_inside(&self, outer: &Network) -> Vec<Network> {
        let mut open: Vec<Network> = Vec::new();
        let mut deepest = Vec::new();
        for (key, _) in self.0.range(place(outer)..) {
            let inner = network(key);
            if !outer.covers(&inner) {
                break;
            }
            if inner == *outer {
                continue;
            }
            while open.last().is_some_and(|last| !last.covers(&inner)) {
                open.pop();
            }
            open.push(inner);
            if open.len() > deepest.len() {
                deepest.clone_from(&open);
            }
        }
        deepest
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn nest(networks: &[&str]) -> PrefixDepth {
        let mut nest = PrefixDepth::default();
        for (number, network) in (1..).zip(networks) {
            nest.insert(&network.parse().unwrap(), number);
        }
        nest
    }

    #[test]
    fn at_most_eight_prefixes_lie_in_each_other() {
        let chain: Vec<String> = (8..16).map(|length| format!("10.0.0.0/{length}")).collect();
        let chain: Vec<&str> = chain.iter().map(String::as_str).collect();
        let check = |networks: &[&str], new: &str, expected: bool| {
            let checked = nest(networks).check(&new.parse().unwrap());
            assert_eq!(checked.is_ok(), expected, "{new} among {networks:?}: {checked:?}");
        };
        check(&[], "0.0.0.0/0", true);
        check(&chain[..7], "10.0.0.0/24", true);
        check(&chain, "10.0.0.1", false);
        check(&chain, "0.0.0.0/0", false);
        check(&chain[1..], "10.0.0.0/8", true);
        // Beside the chain, and in its upper part only.
        check(&chain, "11.0.0.1", true);
        check(&chain, "10.128.0.1", true);
        check(&chain, "2001:db8::1", true);
        // In the middle of one.
        check(&[&chain[..4], &chain[5..], &["10.0.0.0/24"]].concat(), chain[4], false);
        // Many that lie beside each other are no chain.
        let beside: Vec<String> = (0..100).map(|last| format!("10.0.0.{last}")).collect();
        let beside: Vec<&str> = beside.iter().map(String::as_str).collect();
        check(&beside, "10.0.0.0/24", true);
    }

    #[test]
    fn the_refusal_names_the_prefixes() {
        let chain: Vec<String> = (8..16).map(|length| format!("10.0.0.0/{length}")).collect();
        let chain: Vec<&str> = chain.iter().map(String::as_str).collect();
        let error = nest(&chain).check(&"10.0.0.1".parse().unwrap()).unwrap_err().to_string();
        assert!(error.contains("10.0.0.1") && error.contains("10.0.0.0/15"), "{error}");
    }
}
