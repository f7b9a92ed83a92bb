//! The line between the client and the internet, and what the client's card does to frames. A theft and
//! its paired controls draw from the same few lines, so that neither distance nor frame size tells them apart.

use anyhow::Result;
use detector_tests::Topology;

use super::random::Random;

/// Lines that a theft and its paired controls share; run N has line N modulo this.
const LINES: u64 = 2;
/// Ethernet, a tunnel under way, and a data centre's own network.
const MTUS_BYTES: [u32; 5] = [1500, 1500, 1500, 1400, 9000];

/// How long the line is, one way and of the average host, and how wide.
#[derive(Clone, Copy, Debug)]
pub(super) struct Line {
    pub(super) delay_ms: f64,
    pub(super) jitter_ms: f64,
    pub(super) loss: f64,
    pub(super) rate_mbit: f64,
    pub(super) mtu_bytes: u32,
    /// Segmentation and checksums are left to the card, so that recordings hold what it was given.
    pub(super) offload: bool,
}

impl Line {
    /// From a neighbouring city to another continent, at 20 to 400 Mbit/s.
    pub(super) fn draw(seed: u64, group: &str, run: u64) -> Self {
        let purpose = format!("line {} of {group}", run % LINES);
        let mut random = Random::new(seed, &purpose);
        let delay_ms = random.log_uniform(1.5, 45.0);
        let loss = if random.chance(0.3) { random.log_uniform(0.0001, 0.003) } else { 0.0 };
        Self {
            delay_ms,
            jitter_ms: delay_ms * random.uniform(0.0, 0.15),
            loss,
            rate_mbit: random.log_uniform(20.0, 400.0),
            mtu_bytes: *random.pick(&MTUS_BYTES),
            offload: random.chance(0.3),
        }
    }

    /// Gives the client's link its card's offloads back, where the line says so.
    pub(super) fn apply(&self, network: &Topology) -> Result<()> {
        if !self.offload {
            return Ok(());
        }
        let ends = [
            (&network.client, Topology::CLIENT_INTERFACE),
            (&network.gateway, Topology::GATEWAY_INNER),
        ];
        for (namespace, interface) in ends {
            let features = ["tx", "tso", "gso", "gro"].into_iter().flat_map(|name| [name, "on"]);
            namespace.run("ethtool", ["-K", interface].into_iter().chain(features))?;
        }
        Ok(())
    }
}
