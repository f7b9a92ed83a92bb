//! What explains outbound bytes besides what the program knows by itself.

use std::sync::Arc;

use anyhow::{Context as _, ensure};
use serde::{Deserialize, Serialize};

use super::Config;
use crate::ledger::{KnownServices, check_name};
use crate::network::Network;

/// Services of the operator's own.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Explain {
    pub services: Vec<String>,
    pub collectors: Vec<Network>,
    /// 0: no service explains anything.
    pub service_bytes_per_day: u64,
}

impl Default for Explain {
    fn default() -> Self {
        let KnownServices { names, collectors, bytes_per_day, .. } = KnownServices::default();
        Self { services: names, collectors, service_bytes_per_day: bytes_per_day }
    }
}

/// Names beyond these are a domain's, and the allowlist is for domains.
const MAX_SERVICES: usize = 1_000;

impl Explain {
    pub(super) fn check(&self) -> anyhow::Result<()> {
        for (index, name) in self.services.iter().enumerate() {
            let checked = check_name(name).map_err(anyhow::Error::msg);
            checked.with_context(|| format!("explain.services has a wrong entry {}", index + 1))?;
        }
        ensure!(
            self.services.len() <= MAX_SERVICES,
            "explain.services has {} entries: use at most {MAX_SERVICES}",
            self.services.len()
        );
        Ok(())
    }
}

impl Config {
    pub(super) fn services(&self) -> Arc<KnownServices> {
        Arc::new(KnownServices {
            names: self.explain.services.clone(),
            resolvers: self.block.resolvers.clone(),
            collectors: self.explain.collectors.clone(),
            bytes_per_day: self.explain.service_bytes_per_day,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn services_are_exact_names() {
        let check = |text: &str, expected: &str| {
            let parsed = Config::parse(&format!("[explain]\n{text}"));
            let error = parsed.err().map(|error| format!("{error:#}")).unwrap_or_default();
            assert!(error.contains(expected), "{text}: {error}");
            assert_eq!(error.is_empty(), expected.is_empty(), "{text}: {error}");
        };
        check("services = [\"updates.example.com\"]", "");
        check("collectors = [\"192.0.2.0/24\"]", "");
        check("services = [\"a.example.com\", \"*.example.com\"]", "wrong entry 2");
        check("services = [\"https://example.com/\"]", "updates.example.com");
    }
}
