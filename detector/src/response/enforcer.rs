//! Who carries out a decision: the kernel, or nobody while it is counted.
//!
//! The kernel's implementation lives with the maps it writes, in `source/kernel`.

use std::time::Duration;

use detector_common::FlowKey;

/// What became of a block.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Blocked {
    /// It stands until its deadline.
    Placed,
    /// There was one already; its deadline is the later of the two.
    Extended,
    /// Counted only.
    Simulated,
}

/// What a released block had done.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Released {
    pub dropped_packets: u64,
    pub dropped_bytes: u64,
}

/// Places and releases blocks.
pub trait Enforcer {
    /// Drops the flow's packets, both ways, for `ttl` from now. `reason` is kept beside the block:
    /// the low bits of the alert's id.
    ///
    /// # Errors
    ///
    /// When the block cannot be placed, as with a full map; nothing is evicted for it.
    fn block(&mut self, key: &FlowKey, ttl: Duration, reason: u32) -> anyhow::Result<Blocked>;

    /// Ends a block before its time; none when there was none.
    ///
    /// # Errors
    ///
    /// When the block stands and cannot be removed.
    fn release(&mut self, key: &FlowKey) -> anyhow::Result<Option<Released>>;
}

/// Touches nothing and counts what it was asked for.
#[derive(Clone, Copy, Debug, Default)]
pub struct DryRun {
    /// Blocks asked for, extensions included.
    pub blocks: u64,
}

impl Enforcer for DryRun {
    fn block(&mut self, _key: &FlowKey, _ttl: Duration, _reason: u32) -> anyhow::Result<Blocked> {
        self.blocks += 1;
        Ok(Blocked::Simulated)
    }

    fn release(&mut self, _key: &FlowKey) -> anyhow::Result<Option<Released>> {
        Ok(None)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_dry_run_counts() {
        let mut enforcer = DryRun::default();
        let key = FlowKey::default();
        for _ in 0..2 {
            assert_eq!(
                enforcer.block(&key, Duration::from_secs(1), 7).unwrap(),
                Blocked::Simulated
            );
        }
        assert_eq!(enforcer.blocks, 2);
        assert_eq!(enforcer.release(&key).unwrap(), None);
    }
}
