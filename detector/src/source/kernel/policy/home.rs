//! Home networks, and the classes that budgets distinguish them by.

use anyhow::{Context as _, ensure};
use detector_common::abi::map;
use detector_common::policy::HOME_CLASSES;

use super::super::KernelSource;
use super::key;
use crate::config::BudgetRule;
use crate::network::Network;

/// The home networks that budgets have rules of their own for. A network's class is its place plus
/// one; class 0 is everything else.
#[derive(Clone, Debug, Default)]
pub(in super::super) struct Classes(Vec<Network>);

impl Classes {
    pub(super) fn of(rules: &[BudgetRule]) -> anyhow::Result<Self> {
        let mut networks = Vec::new();
        for network in rules.iter().filter_map(|rule| rule.home) {
            if !networks.contains(&network) {
                networks.push(network);
            }
        }
        let most = HOME_CLASSES as usize - 1;
        ensure!(
            networks.len() <= most,
            "budget.rules has {} home networks, and the kernel can distinguish {most}: combine \
             some in one rule",
            networks.len()
        );
        Ok(Self(networks))
    }

    /// The class of the longest network around `network`.
    pub(super) fn of_network(&self, network: &Network) -> u32 {
        let around = (1..).zip(&self.0).filter(|(_, class)| class.covers(network));
        around.max_by_key(|(_, class)| class.prefix().length).map_or(0, |(class, _)| class)
    }

    /// Whether a rule for `home` is meant for the addresses of a class.
    pub(super) fn is_meant(&self, class: u32, home: Option<&Network>) -> bool {
        let Some(home) = home else { return true };
        let network = (class as usize).checked_sub(1).and_then(|place| self.0.get(place));
        network.is_some_and(|network| home.covers(network))
    }

    /// Home networks and, where a class is a part of one, that part, each with its class: the
    /// longest prefix around an address then shows the address's class.
    fn divide(&self, home: &[Network]) -> Vec<(Network, u32)> {
        let parts = self
            .0
            .iter()
            .filter(|class| !home.contains(class) && home.iter().any(|home| home.covers(class)));
        home.iter().chain(parts).map(|network| (*network, self.of_network(network))).collect()
    }
}

impl KernelSource {
    /// Adds to the home networks what is not there yet, and takes out what is no longer.
    pub(in super::super) fn set_home(&mut self, networks: &[Network]) -> anyhow::Result<()> {
        let wanted = self.classes.divide(networks);
        let mut trie = self.object.trie(map::HOME)?;
        for (network, class) in &wanted {
            trie.insert(&key(network), *class, 0).with_context(|| {
                format!("failed to add {network} to the home networks: the map holds 1024 prefixes")
            })?;
        }
        for (network, _) in self.prefixes(map::HOME)? {
            if !wanted.iter().any(|(wanted, _)| *wanted == network) {
                super::gone(self.object.trie(map::HOME)?.remove(&key(&network))).with_context(
                    || format!("failed to remove {network} from the home networks"),
                )?;
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parts_of_home_have_classes_of_their_own() {
        let networks = |texts: &[&str]| -> Vec<Network> {
            texts.iter().map(|text| text.parse().unwrap()).collect()
        };
        let classes = Classes(networks(&["10.1.0.0/16", "10.0.0.0/8", "192.0.2.0/24"]));
        let divided = classes.divide(&networks(&["10.0.0.0/8", "10.1.2.0/24", "fd00::/8"]));
        let shown: Vec<String> =
            divided.iter().map(|(network, class)| format!("{network} {class}")).collect();
        assert_eq!(shown, ["10.0.0.0/8 2", "10.1.2.0/24 1", "fd00::/8 0", "10.1.0.0/16 1"]);
    }

    #[test]
    fn there_are_fifteen_classes() {
        let rules = |count: u8| -> Vec<BudgetRule> {
            (0..count)
                .map(|third| BudgetRule {
                    home: Some(format!("10.0.{third}.0/24").parse().unwrap()),
                    ports: None,
                    destination: None,
                    bytes: 1,
                })
                .collect()
        };
        assert!(Classes::of(&rules(15)).is_ok());
        let error = Classes::of(&rules(16)).unwrap_err().to_string();
        assert!(error.contains("16 home networks"), "{error}");
    }
}
