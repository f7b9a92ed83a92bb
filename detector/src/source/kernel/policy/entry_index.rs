//! What is in the kernel's maps: remembered by the agent that placed it, read by one that takes
//! over.

use std::collections::BTreeSet;

use anyhow::Context as _;
use detector_common::abi::map;
use detector_common::policy::TargetKey;

use super::super::KernelSource;
use super::super::object::ObjectConfig;
use super::numbers::Numbers;
use super::prefix_depth::PrefixDepth;
use super::{entries, gone, key, network};
use crate::network::Network;
use crate::response::{BlockSpec, EntryNumber, Exception, Target};

/// What is in the kernel's maps of entries.
#[derive(Debug)]
pub(in super::super) struct KernelEntryIndex {
    pub(super) numbers: Numbers,
    /// Keys in BLOCKS of each kind, and prefixes.
    pub(super) kinds: [u32; KINDS],
    pub(super) prefixes: PrefixDepth,
    pub(super) exceptions: PrefixDepth,
    pub(super) sizes: Sizes,
}

const KINDS: usize = TargetKey::PREFIX as usize + 1;

/// Entries that the maps have room for.
#[derive(Clone, Copy, Debug)]
pub(super) struct Sizes {
    pub(super) blocks: u32,
    pub(super) prefixes: u32,
    pub(super) exceptions: u32,
}

impl KernelEntryIndex {
    pub(in super::super) fn new(config: &ObjectConfig) -> Self {
        Self {
            numbers: Numbers::new(config.max_entries(), &BTreeSet::new()),
            kinds: [0; KINDS],
            prefixes: PrefixDepth::default(),
            exceptions: PrefixDepth::default(),
            sizes: Sizes {
                blocks: config.max_blocks,
                prefixes: config.max_prefixes,
                exceptions: config.max_exceptions,
            },
        }
    }

    pub(super) fn blocks(&self) -> u32 {
        self.kinds[..usize::from(TargetKey::PREFIX)].iter().sum()
    }

    /// The bits of [`Control::targets`].
    pub(super) fn targets(&self) -> u64 {
        (0..KINDS).filter(|kind| self.kinds[*kind] != 0).map(|kind| 1 << kind).sum()
    }

    pub(super) fn kind(&mut self, target: &Target) -> &mut u32 {
        let kind = target.key().map_or(TargetKey::PREFIX, |key| key.kind);
        &mut self.kinds[usize::from(kind)]
    }
}

impl KernelSource {
    /// The orders in the kernel's maps.
    pub(super) fn read_orders(&mut self) -> anyhow::Result<Vec<(EntryNumber, BlockSpec)>> {
        let base = self.time_base();
        let mut orders = Vec::new();
        for (key, number) in self.block_keys()? {
            let entry = self.object.entry(number)?;
            let target = entries::target(&key, &entry);
            orders.extend(
                target
                    .and_then(|target| entries::order(&base, target, &entry))
                    .map(|order| (number, order)),
            );
        }
        for (network, number) in self.prefixes(map::PREFIXES)? {
            let entry = self.object.entry(number)?;
            let order = entries::order(&base, Target::Destination(network), &entry);
            orders.extend(order.map(|order| (number, order)));
        }
        Ok(orders)
    }

    /// The exceptions in the kernel's maps.
    pub(super) fn read_exceptions(&mut self) -> anyhow::Result<Vec<(EntryNumber, Exception)>> {
        let base = self.time_base();
        let mut exceptions = Vec::new();
        for (network, number) in self.prefixes(map::NEVER_BLOCK)? {
            let entry = self.object.entry(number)?;
            let exception = entries::exception(&base, network, &entry);
            exceptions.extend(exception.map(|exception| (number, exception)));
        }
        Ok(exceptions)
    }

    /// Learns what is in maps that another agent has filled. A key whose entry was not written
    /// whole, or is of no kind that this agent knows, is taken out.
    pub(in super::super) fn read_entries(&mut self, config: &ObjectConfig) -> anyhow::Result<()> {
        let mut entries_index = KernelEntryIndex::new(config);
        let mut used = BTreeSet::new();
        for (number, order) in self.read_orders()? {
            used.insert(number);
            *entries_index.kind(&order.target) += 1;
            if let Target::Destination(network) = &order.target {
                entries_index.prefixes.insert(network, number);
            }
        }
        for (number, exception) in self.read_exceptions()? {
            used.insert(number);
            entries_index.exceptions.insert(&exception.network, number);
        }
        for (key, number) in self.block_keys()? {
            if !used.contains(&number) {
                gone(self.object.blocks()?.remove(&key))
                    .context("failed to remove an unknown key")?;
            }
        }
        for name in [map::PREFIXES, map::NEVER_BLOCK] {
            for (network, number) in self.prefixes(name)? {
                if !used.contains(&number) {
                    gone(self.object.trie(name)?.remove(&key(&network))).with_context(|| {
                        format!("failed to remove the unknown prefix {network}")
                    })?;
                }
            }
        }
        entries_index.numbers = Numbers::new(config.max_entries(), &used);
        self.entries_index = entries_index;
        Ok(())
    }

    fn block_keys(&mut self) -> anyhow::Result<Vec<(TargetKey, EntryNumber)>> {
        let blocks = self.object.blocks()?;
        blocks.iter().collect::<Result<_, _>>().context("failed to read the blocks")
    }

    pub(super) fn prefixes(&mut self, name: &str) -> anyhow::Result<Vec<(Network, EntryNumber)>> {
        let trie = self.object.trie(name)?;
        trie.iter()
            .map(|entry| entry.map(|(key, number)| (network(&key), number)))
            .collect::<Result<_, _>>()
            .with_context(|| format!("failed to read {name}"))
    }
}
