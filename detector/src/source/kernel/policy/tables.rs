//! How full the tables of the policy are.

use detector_common::abi::map;

use super::super::KernelSource;
use super::super::memory::entries_bytes;

/// One table of the policy.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PolicyTable {
    pub name: &'static str,
    pub used: u32,
    pub capacity: u32,
    /// Kernel memory that it takes; tables of prefixes grow with what they hold.
    pub bytes: u64,
}

/// The kernel's own part of a trie's node, one for each prefix, and half as many again between
/// them.
const TRIE_NODE_BYTES: u64 = 40 + 20 + 4;

impl KernelSource {
    /// The tables of the policy, and how full they are.
    pub fn policy_tables(&mut self) -> anyhow::Result<Vec<PolicyTable>> {
        let budgets = u32::try_from(self.read_budgets()?.len()).unwrap_or(u32::MAX);
        let (entries_index, sizes) = (&self.entries_index, self.entries_index.sizes);
        let count = |length: usize| u32::try_from(length).unwrap_or(u32::MAX);
        let (prefixes, exceptions) =
            (count(entries_index.prefixes.len()), count(entries_index.exceptions.len()));
        let blocks = entries_index.blocks();
        let hash = |name: &str| entries_bytes(&self.object, name);
        let trie = |used: u32| u64::from(used) * TRIE_NODE_BYTES * 3 / 2;
        let entries = hash(map::POLICY)?.0 + hash(map::HITS)?.0;
        let (budget_bytes, budget_capacity) = hash(map::BUDGETS)?;
        let total = sizes.blocks + sizes.prefixes + sizes.exceptions + 1;
        Ok(vec![
            PolicyTable {
                name: "blocks",
                used: blocks,
                capacity: sizes.blocks,
                bytes: hash(map::BLOCKS)?.0,
            },
            PolicyTable {
                name: "prefixes",
                used: prefixes,
                capacity: sizes.prefixes,
                bytes: trie(prefixes),
            },
            PolicyTable {
                name: "exceptions",
                used: exceptions,
                capacity: sizes.exceptions,
                bytes: trie(exceptions),
            },
            PolicyTable {
                name: "entries",
                used: blocks + prefixes + exceptions,
                capacity: total - 1,
                bytes: entries,
            },
            PolicyTable {
                name: "budgets",
                used: budgets,
                capacity: budget_capacity,
                bytes: budget_bytes,
            },
        ])
    }
}
