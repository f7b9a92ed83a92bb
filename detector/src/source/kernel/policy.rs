//! The policy maps: home networks, never-block prefixes, blocks. Written here, obeyed in the kernel.

use std::time::Duration;

use anyhow::{Context as _, bail};
use aya::maps::lpm_trie::{Key, LpmTrie};
use aya::maps::{HashMap, MapError};
use detector_common::abi::map;
use detector_common::flow::FlowKey;
use detector_common::policy::Block;

use super::KernelSource;
use crate::network::Network;
use crate::response::{Blocked, Enforcer, Released};

/// What an expired or released block had done.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Dropped {
    pub key: FlowKey,
    /// The low bits of the alert's id.
    pub reason: u32,
    pub packets: u64,
    pub bytes: u64,
}

impl KernelSource {
    /// Replaces the prefixes that no block may touch.
    ///
    /// # Errors
    ///
    /// More prefixes than the map holds.
    pub(super) fn set_never_block(&mut self, networks: &[Network]) -> anyhow::Result<()> {
        self.insert_prefixes(map::NEVER_BLOCK, networks)?;
        self.object.raise_generation().map(drop)
    }

    /// Adds to the home networks what is not there yet, and takes out what is no longer.
    ///
    /// # Errors
    ///
    /// More prefixes than the map holds.
    pub(super) fn set_home(&mut self, networks: Vec<Network>) -> anyhow::Result<()> {
        let gone: Vec<Network> =
            self.installed_home.iter().filter(|old| !networks.contains(old)).copied().collect();
        self.insert_prefixes(map::HOME, &networks)?;
        let mut trie = self.prefixes(map::HOME)?;
        for network in gone {
            trie.remove(&key(&network)).with_context(|| format!("failed to forget {network}"))?;
        }
        self.installed_home = networks;
        Ok(())
    }

    fn insert_prefixes(&mut self, name: &str, networks: &[Network]) -> anyhow::Result<()> {
        let mut trie = self.prefixes(name)?;
        for network in networks {
            trie.insert(&key(network), 1, 0).with_context(|| {
                format!("failed to add {network} to {name}: the map holds 1024 prefixes")
            })?;
        }
        Ok(())
    }

    fn prefixes(
        &mut self,
        name: &str,
    ) -> anyhow::Result<LpmTrie<&mut aya::maps::MapData, [u8; 16], u32>> {
        Ok(LpmTrie::try_from(self.object.map_mut(name)?)?)
    }

    fn blocks(&mut self) -> anyhow::Result<HashMap<&mut aya::maps::MapData, FlowKey, Block>> {
        Ok(HashMap::try_from(self.object.map_mut(map::BLOCKS)?)?)
    }

    /// Removes the blocks whose time has run out and says what each had dropped. They have not
    /// dropped since: the kernel looks at the deadline itself.
    ///
    /// # Errors
    ///
    /// Those of the system calls.
    pub fn take_expired_blocks(&mut self) -> anyhow::Result<Vec<Dropped>> {
        let now = self.now()?;
        let mut blocks = self.blocks()?;
        let mut expired = Vec::new();
        for entry in blocks.iter() {
            let (key, block) = entry.context("failed to read the blocks")?;
            if block.deadline <= now {
                let Block { packets, bytes, reason, .. } = block;
                expired.push(Dropped { key, reason, packets, bytes });
            }
        }
        for dropped in &expired {
            match blocks.remove(&dropped.key) {
                Ok(()) | Err(MapError::KeyNotFound) => {}
                Err(error) => return Err(error).context("failed to remove an expired block"),
            }
        }
        Ok(expired)
    }

    fn block_of(&mut self, key: &FlowKey) -> anyhow::Result<Option<Block>> {
        match self.blocks()?.get(key, 0) {
            Ok(block) => Ok(Some(block)),
            Err(MapError::KeyNotFound) => Ok(None),
            Err(error) => Err(error).context("failed to read a block"),
        }
    }
}

impl Enforcer for KernelSource {
    fn block(&mut self, key: &FlowKey, ttl: Duration, reason: u32) -> anyhow::Result<Blocked> {
        if ttl.is_zero() {
            bail!("a block needs an end: its ttl is 0");
        }
        let second = self.object.clock.ticks_per_second;
        let ticks =
            ttl.as_secs().saturating_mul(second) + u64::from(ttl.subsec_millis()) * second / 1_000;
        let deadline = self.now()?.saturating_add(ticks.max(1));
        let standing = self.block_of(key)?;
        let block = match standing {
            Some(block) => Block { deadline: block.deadline.max(deadline), ..block },
            None => Block { deadline, reason, ..Block::default() },
        };
        self.blocks()?
            .insert(key, block, 0)
            .context("failed to place a block: the map of blocks may be full")?;
        self.object.raise_generation()?;
        Ok(if standing.is_some() { Blocked::Extended } else { Blocked::Placed })
    }

    fn release(&mut self, key: &FlowKey) -> anyhow::Result<Option<Released>> {
        let Some(block) = self.block_of(key)? else { return Ok(None) };
        match self.blocks()?.remove(key) {
            Ok(()) | Err(MapError::KeyNotFound) => {}
            Err(error) => return Err(error).context("failed to release a block"),
        }
        self.object.raise_generation()?;
        Ok(Some(Released { dropped_packets: block.packets, dropped_bytes: block.bytes }))
    }
}

fn key(network: &Network) -> Key<[u8; 16]> {
    let prefix = network.prefix();
    Key::new(prefix.length, prefix.address)
}
