//! What values make no sense, each with what would do.

use anyhow::{Context as _, ensure};
use detector_common::policy::HOME_CLASSES;

use super::{Config, MAX_BLOCK_TTL_SECS};
use crate::network::Network;

/// One page: what the kernel asks of a ring buffer.
const MIN_RING_BUFFER_BYTES: u32 = 4_096;
/// As long as a host's name may be.
const MAX_SENSOR_BYTES: usize = 255;

impl Config {
    /// Sees that the values can be used together.
    ///
    /// # Errors
    ///
    /// The first key whose value cannot be used, with what would do.
    pub fn check(&self) -> anyhow::Result<()> {
        let block = &self.block;
        ensure!(block.ttl_secs > 0, "block.ttl_secs is 0: every block must expire, use at least 1");
        ensure!(
            block.max_ttl_secs <= MAX_BLOCK_TTL_SECS,
            "block.max_ttl_secs is {}: use at most {MAX_BLOCK_TTL_SECS}, a day",
            block.max_ttl_secs
        );
        ensure!(
            block.ttl_secs <= block.max_ttl_secs,
            "block.ttl_secs is {}: use at most block.max_ttl_secs, which is {}",
            block.ttl_secs,
            block.max_ttl_secs
        );
        for (index, rule) in block.rules.iter().enumerate() {
            let checked = rule.check(block.max_ttl_secs);
            checked
                .with_context(|| format!("block.rules has a wrong entry, number {}", index + 1))?;
        }
        self.check_budget()?;
        self.unexplained.check()?;
        self.explain.check()?;
        self.store.check()?;
        self.api.check()?;
        let expanded = &self.decompression;
        ensure!(expanded.max_bytes > 0, "decompression.max_bytes is 0: use at least 1");
        ensure!(expanded.max_ratio > 0, "decompression.max_ratio is 0: use at least 1");
        self.notify.check()?;
        let bytes = self.kernel.ring_buffer_bytes;
        ensure!(
            bytes.is_power_of_two() && bytes >= MIN_RING_BUFFER_BYTES,
            "kernel.ring_buffer_bytes is {bytes}: use a power of two of at least {MIN_RING_BUFFER_BYTES}"
        );
        let poll = self.kernel.poll_interval_ms;
        ensure!(
            (10..=60_000).contains(&poll),
            "kernel.poll_interval_ms is {poll}: use 10 to 60000"
        );
        self.allowlist()?;
        for (key, seconds) in self.durations() {
            ensure!(seconds > 0, "{key} is 0: use at least 1");
        }
        if let Some(threshold) = self.model.threshold {
            ensure!((0.0..=1.0).contains(&threshold), "model.threshold is {threshold}: use 0 to 1");
        }
        ensure!(
            self.sensor.len() <= MAX_SENSOR_BYTES && !self.sensor.contains(char::is_control),
            "sensor is {:?}: use at most {MAX_SENSOR_BYTES} bytes and no control characters",
            self.sensor
        );
        ensure!(
            self.interfaces.iter().all(|name| !name.is_empty()),
            "interfaces has an empty name"
        );
        Ok(())
    }

    fn check_budget(&self) -> anyhow::Result<()> {
        let budget = &self.budget;
        ensure!(
            (0.0..=1.0).contains(&budget.raise_below),
            "budget.raise_below is {}: use 0 to 1",
            budget.raise_below
        );
        ensure!(
            (1..=MAX_BLOCK_TTL_SECS).contains(&budget.hold_secs),
            "budget.hold_secs is {}: use 1 to {MAX_BLOCK_TTL_SECS}",
            budget.hold_secs
        );
        ensure!(budget.window_secs > 0, "budget.window_secs is 0: use at least 1");
        let homes = budget.rules.iter().filter_map(|rule| rule.home.as_ref());
        let mut distinct: Vec<&Network> = Vec::new();
        for home in homes {
            if !distinct.contains(&home) {
                distinct.push(home);
            }
        }
        ensure!(
            distinct.len() < HOME_CLASSES as usize,
            "budget.rules has {} home networks: use at most {}",
            distinct.len(),
            HOME_CLASSES - 1
        );
        Ok(())
    }

    fn durations(&self) -> [(&'static str, u64); 7] {
        [
            ("timeouts.active_secs", self.timeouts.active_secs),
            ("timeouts.tcp_idle_secs", self.timeouts.tcp_idle_secs),
            ("timeouts.udp_idle_secs", self.timeouts.udp_idle_secs),
            ("timeouts.icmp_idle_secs", self.timeouts.icmp_idle_secs),
            ("timeouts.other_idle_secs", self.timeouts.other_idle_secs),
            ("timeouts.tcp_closed_secs", self.timeouts.tcp_closed_secs),
            ("session.window_secs", self.session.window_secs),
        ]
    }
}
