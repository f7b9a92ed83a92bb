//! Budgets: what a home host may send to a destination before somebody has looked at it.

use anyhow::{Context as _, ensure};
use aya::maps::{Array, HashMap, MapData, MapError};
use detector_common::abi::{BUDGET_RULES, map, program};
use detector_common::policy::{
    Budget, BudgetKey, HOME_CLASSES, PORT_CLASSES, PortClass, budget_rule,
};

use super::super::KernelSource;
use super::super::object::Object;
use super::home::Classes;
use crate::config::{self, BudgetRule, DestinationClassName, HoldEnd, PortClassName};

impl Object {
    fn budgets(&mut self) -> anyhow::Result<HashMap<&mut MapData, BudgetKey, Budget>> {
        Ok(HashMap::try_from(self.map_mut(map::BUDGETS)?)?)
    }
}

impl KernelSource {
    pub(super) fn read_budgets(&mut self) -> anyhow::Result<Vec<(BudgetKey, Budget)>> {
        let mut budgets = Vec::new();
        self.budgets.restart();
        while let Some((keys, values)) =
            self.budgets.next_entries().context("failed to read the budgets")?
        {
            budgets.extend(keys.iter().copied().zip(values.iter().copied()));
        }
        Ok(budgets)
    }

    pub(super) fn read_budget(&mut self, key: &BudgetKey) -> anyhow::Result<Option<Budget>> {
        match self.object.budgets()?.get(key, 0) {
            Ok(budget) => Ok(Some(budget)),
            Err(MapError::KeyNotFound) => Ok(None),
            Err(error) => Err(error).context("failed to read a budget"),
        }
    }

    /// Through a program, so that what is charged meanwhile is not written over.
    pub(super) fn write_limit(&mut self, key: &BudgetKey, limit: u64) -> anyhow::Result<()> {
        let mut frame = Vec::with_capacity(size_of::<BudgetKey>() + size_of::<u64>());
        frame.extend(key.home);
        frame.extend(key.destination);
        frame.extend(limit.to_ne_bytes());
        self.object.run_classifier(program::SET_BUDGET, &frame, 1)
    }

    pub(super) fn remove_budget(&mut self, key: &BudgetKey) -> anyhow::Result<()> {
        super::gone(self.object.budgets()?.remove(key)).context("failed to remove a budget")
    }

    /// Sets what new flows are given, by what they come from and where they go.
    pub(in super::super) fn set_budget_rules(
        &mut self,
        config: &config::Config,
    ) -> anyhow::Result<()> {
        let hold_secs = hold_secs(config);
        let config = &config.budget;
        let classes = Classes::of(&config.rules)?;
        let mut rules: Array<_, u64> = Array::try_from(self.object.map_mut(map::BUDGET_RULES)?)?;
        ensure!(rules.len() == BUDGET_RULES, "the table of budgets has another size");
        let mut any = false;
        for (place, bytes) in rule_table(config, &classes) {
            any |= bytes != 0;
            rules.set(place, bytes, 0).context("failed to write a budget's size")?;
        }
        self.classes = classes;
        let hold_ticks = hold_secs.saturating_mul(self.object.clock.ticks_per_second);
        self.object.change_control(|control| {
            control.budgets = u64::from(any);
            control.budget_hold_ticks = hold_ticks;
        })
    }
}

/// How long payload is held without a verdict, also when there is nobody to give one.
fn hold_secs(config: &config::Config) -> u64 {
    match config.budget.then {
        HoldEnd::Open => config.budget.hold_secs,
        HoldEnd::Closed => config.budget.hold_secs.saturating_add(config.block.ttl_secs),
    }
}

const PORTS: [PortClass; 6] = [
    PortClass::Other,
    PortClass::Web,
    PortClass::Mail,
    PortClass::Dns,
    PortClass::Remote,
    PortClass::File,
];

const _: () = assert!(PORTS.len() <= PORT_CLASSES as usize);

/// What each place of BUDGET_RULES holds: the first rule that fits, else what is given to all.
fn rule_table<'a>(
    config: &'a config::Budget,
    classes: &'a Classes,
) -> impl Iterator<Item = (u32, u64)> + 'a {
    let places = (0..HOME_CLASSES).flat_map(|home| {
        PORTS.into_iter().flat_map(move |ports| [(home, ports, false), (home, ports, true)])
    });
    places.map(|(home, ports, private)| {
        let fits = |rule: &&BudgetRule| {
            classes.is_meant(home, rule.home.as_ref())
                && rule.ports.is_none_or(|name| port_class(name) == ports)
                && rule
                    .destination
                    .is_none_or(|name| (name == DestinationClassName::Private) == private)
        };
        let bytes = config.rules.iter().find(fits).map_or(config.bytes, |rule| rule.bytes);
        (budget_rule(home, ports, private), bytes)
    })
}

fn port_class(name: PortClassName) -> PortClass {
    match name {
        PortClassName::Other => PortClass::Other,
        PortClassName::Web => PortClass::Web,
        PortClassName::Mail => PortClass::Mail,
        PortClassName::Dns => PortClass::Dns,
        PortClassName::Remote => PortClass::Remote,
        PortClassName::File => PortClass::File,
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;

    fn rule(
        home: Option<&str>,
        ports: Option<PortClassName>,
        private: Option<bool>,
        bytes: u64,
    ) -> BudgetRule {
        BudgetRule {
            home: home.map(|home| home.parse().unwrap()),
            ports,
            destination: private.map(|private| {
                if private { DestinationClassName::Private } else { DestinationClassName::Public }
            }),
            bytes,
        }
    }

    #[test]
    fn the_first_rule_that_fits_wins() {
        let config = config::Budget {
            bytes: 7,
            rules: vec![
                rule(None, None, Some(true), 0),
                rule(Some("10.1.0.0/16"), None, None, 100),
                rule(None, Some(PortClassName::Mail), None, 200),
                rule(Some("10.0.0.0/8"), Some(PortClassName::Web), None, 300),
            ],
            ..config::Budget::default()
        };
        let classes = Classes::of(&config.rules).unwrap();
        let table: BTreeMap<u32, u64> = rule_table(&config, &classes).collect();
        let check = |home: &str, ports, private, expected| {
            let class = classes.of_network(&home.parse().unwrap());
            assert_eq!(table[&budget_rule(class, ports, private)], expected, "{home} {ports:?}");
        };
        check("10.1.2.0/24", PortClass::Mail, true, 0);
        check("10.1.2.0/24", PortClass::Mail, false, 100);
        check("10.1.0.0/16", PortClass::Web, false, 100);
        check("10.0.0.0/8", PortClass::Web, false, 300);
        check("10.2.0.0/16", PortClass::Mail, false, 200);
        check("10.2.0.0/16", PortClass::Other, false, 7);
        check("192.168.0.0/16", PortClass::Web, false, 7);
        check("fd00::/8", PortClass::Mail, false, 200);
        assert_eq!(table.len(), (HOME_CLASSES as usize) * PORTS.len() * 2);
    }
}
