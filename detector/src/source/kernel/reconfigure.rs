//! What of the configuration can change while programs and maps stay as they are.

use super::KernelSource;
use super::object::ObjectConfig;
use super::watch::Change;
use crate::config::Config;

impl KernelSource {
    /// Goes by another configuration from now on: home networks, budgets, payload samples. Sizes,
    /// interfaces and what the programs were loaded with stay. Flows that are alive keep what they
    /// know of home.
    pub fn reconfigure(&mut self, config: &Config) -> anyhow::Result<Vec<Change>> {
        self.configured_home.clone_from(&config.home_networks);
        self.set_budget_rules(config)?;
        let first_payloads_per_second = ObjectConfig::of(config).first_payloads_per_second;
        self.object.change_control(|control| {
            control.first_payloads_per_second = first_payloads_per_second
        })?;
        self.rescan()
    }
}
