//! What is kept, for how long, and how much of it.

use std::path::PathBuf;

use anyhow::ensure;
use serde::{Deserialize, Serialize};

/// The database's name in the state directory.
pub const FILE: &str = "detector.db";

/// The database, and the captures that were uploaded.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Store {
    pub enabled: bool,
    /// None: `detector.db` in `state_dir`.
    pub path: Option<PathBuf>,
    pub max_bytes: u64,
    pub alerts_days: u32,
    pub traffic_days: u32,
    /// How long sessions are kept by the minute; then they are joined by the hour.
    pub minutes_days: u32,
    /// Room for uploaded captures.
    pub captures_max_bytes: u64,
}

impl Default for Store {
    fn default() -> Self {
        Self {
            enabled: true,
            path: None,
            max_bytes: 4 << 30,
            alerts_days: 365,
            traffic_days: 90,
            minutes_days: 7,
            captures_max_bytes: 16 << 30,
        }
    }
}

impl Store {
    pub(super) fn check(&self) -> anyhow::Result<()> {
        const LEAST: u64 = 16 << 20;
        ensure!(
            self.max_bytes >= LEAST,
            "store.max_bytes is {}: use at least {LEAST}",
            self.max_bytes
        );
        for (key, days) in [
            ("store.alerts_days", self.alerts_days),
            ("store.traffic_days", self.traffic_days),
            ("store.minutes_days", self.minutes_days),
        ] {
            ensure!(days > 0, "{key} is 0: use at least 1");
        }
        Ok(())
    }
}
