//! Carrying decisions out: orders, exceptions and budgets in the kernel's maps.
//!
//! An entry is written whole, its counters zeroed, before anything leads to it, and taken out the
//! other way round. Nothing here decides what is to be blocked.

mod budgets;
mod entries;
mod entry_index;
mod home;
mod numbers;
mod prefix_depth;
mod tables;

use anyhow::{Context as _, bail};
use aya::maps::lpm_trie::{Key, LpmTrie};
use aya::maps::{Array, HashMap, MapData, MapError};
use detector_common::abi::{Control, map};
use detector_common::policy::{self, Budget, BudgetKey, Entry, EntryCounters, Prefix, TargetKey};

use super::KernelSource;
use super::object::Object;
use crate::network::Network;
use crate::refusal::Refusal;
use crate::response::{BlockSpec, Enforcer, EntryNumber, Exception, Mode, Target};
use crate::timestamp::Timestamp;
pub(super) use entry_index::KernelEntryIndex;
pub(super) use home::Classes;
pub use tables::PolicyTable;

/// `BPF_NOEXIST` of include/uapi/linux/bpf.h.
const BPF_NOEXIST: u64 = 1;

fn full(table: &str, size: u32, key: &str) -> anyhow::Error {
    Refusal::conflict(format!("the table of {table} is full: it holds {size}, see {key}")).into()
}

/// How many entries of a table an order may find there: the agent's own leave an eighth to people, so that no
/// flood of alerts has their blocks refused.
fn room(size: u32, order: &BlockSpec) -> u32 {
    if order.by_agent { size - size / 8 } else { size }
}

fn key(network: &Network) -> Key<[u8; 16]> {
    let prefix = network.prefix();
    Key::new(prefix.length, prefix.address)
}

fn network(key: &Key<[u8; 16]>) -> Network {
    Network::from_prefix(Prefix { length: key.prefix_len(), address: key.data() })
}

fn mode_value(mode: Mode) -> u64 {
    match mode {
        Mode::Observe => policy::Mode::OBSERVE,
        Mode::Simulate => policy::Mode::SIMULATE,
        Mode::Block => policy::Mode::BLOCK,
    }
}

/// What the kernel says to a key too many: a hash map, then a trie.
fn is_full(error: &MapError) -> bool {
    matches!(error, MapError::SyscallError(error)
        if matches!(error.io_error.raw_os_error(), Some(libc::E2BIG | libc::ENOSPC)))
}

fn exists(error: &MapError) -> bool {
    matches!(error, MapError::SyscallError(error)
        if error.io_error.raw_os_error() == Some(libc::EEXIST))
}

/// Not being there is what was wanted.
fn gone(result: Result<(), MapError>) -> Result<(), MapError> {
    match result {
        Err(MapError::KeyNotFound) => Ok(()),
        Err(MapError::SyscallError(error))
            if error.io_error.raw_os_error() == Some(libc::ENOENT) =>
        {
            Ok(())
        }
        other => other,
    }
}

// The maps.

impl Object {
    fn blocks(&mut self) -> anyhow::Result<HashMap<&mut MapData, TargetKey, u32>> {
        Ok(HashMap::try_from(self.map_mut(map::BLOCKS)?)?)
    }

    fn trie(&mut self, name: &str) -> anyhow::Result<LpmTrie<&mut MapData, [u8; 16], u32>> {
        Ok(LpmTrie::try_from(self.map_mut(name)?)?)
    }

    fn entry(&mut self, number: EntryNumber) -> anyhow::Result<Entry> {
        let entries: Array<_, Entry> = Array::try_from(self.map_mut(map::POLICY)?)?;
        entries.get(&number, 0).with_context(|| format!("failed to read entry {number}"))
    }

    fn set_entry(&mut self, number: EntryNumber, entry: Entry) -> anyhow::Result<()> {
        let mut entries: Array<_, Entry> = Array::try_from(self.map_mut(map::POLICY)?)?;
        entries.set(number, entry, 0).with_context(|| format!("failed to write entry {number}"))
    }

    fn entry_stats(&mut self) -> anyhow::Result<Array<&mut MapData, EntryCounters>> {
        Ok(Array::try_from(self.map_mut(map::HITS)?)?)
    }

    /// Changes the control word so that no packet sees the new generation with the rest as it was:
    /// it would remember the wrong answer under the new generation.
    pub(super) fn change_control(&mut self, change: impl Fn(&mut Control)) -> anyhow::Result<()> {
        let mut control = self.control()?;
        let before = control;
        change(&mut control);
        if control != before {
            self.set_control(control)?;
        }
        self.raise_generation().map(drop)
    }
}

impl KernelSource {
    fn take_number(&mut self, entry: Entry) -> anyhow::Result<EntryNumber> {
        let number = self.entries_index.numbers.take().context(
            "all entry numbers are in use: try again, removed ones are free with the next change",
        )?;
        self.object
            .entry_stats()?
            .set(number, EntryCounters::default(), 0)
            .with_context(|| format!("failed to zero the counters of entry {number}"))?;
        self.object.set_entry(number, entry)?;
        Ok(number)
    }

    fn give_back(&mut self, number: EntryNumber) -> anyhow::Result<()> {
        self.object.set_entry(number, Entry::default())?;
        self.entries_index.numbers.give_back(number);
        Ok(())
    }

    fn place_prefix(&mut self, network: &Network, entry: Entry) -> anyhow::Result<EntryNumber> {
        let (entries_index, size) = (&self.entries_index, self.entries_index.sizes.prefixes);
        let full = || full("prefixes", size, "block.max_prefixes");
        if entries_index.prefixes.get(network).is_some() {
            bail!("there is already a block of {}", Target::Destination(*network));
        }
        if entries_index.prefixes.len() >= size as usize {
            return Err(full());
        }
        entries_index.prefixes.check(network)?;
        let number = self.take_number(entry)?;
        if let Err(error) = self.object.trie(map::PREFIXES)?.insert(&key(network), number, 0) {
            self.give_back(number)?;
            if is_full(&error) {
                return Err(full());
            }
            return Err(error).with_context(|| format!("failed to add prefix {network}"));
        }
        self.entries_index.prefixes.insert(network, number);
        Ok(number)
    }

    fn place_key(&mut self, order: &BlockSpec, key: &TargetKey) -> anyhow::Result<EntryNumber> {
        let (target, entry) = (&order.target, entries::of_order(&self.time_base(), order));
        let size = room(self.entries_index.sizes.blocks, order);
        let full = || full("blocks", size, "block.max_blocks");
        // The kernel's own limit lets some more in, one for each processor.
        if self.entries_index.blocks() >= size {
            return Err(full());
        }
        let number = self.take_number(entry)?;
        if let Err(error) = self.object.blocks()?.insert(key, number, BPF_NOEXIST) {
            self.give_back(number)?;
            if is_full(&error) {
                return Err(full());
            }
            if exists(&error) {
                bail!("there is already a block of {target}");
            }
            return Err(error).with_context(|| format!("failed to block {target}"));
        }
        Ok(number)
    }
}

impl Enforcer for KernelSource {
    fn left_orders(&mut self) -> anyhow::Result<Vec<(EntryNumber, BlockSpec)>> {
        self.read_orders()
    }

    fn left_exceptions(&mut self) -> anyhow::Result<Vec<(EntryNumber, Exception)>> {
        self.read_exceptions()
    }

    fn place(&mut self, order: &BlockSpec) -> anyhow::Result<EntryNumber> {
        let number = match order.target.key() {
            Some(key) => self.place_key(order, &key)?,
            None => {
                let entry = entries::of_order(&self.time_base(), order);
                self.place_prefix(&order.target.destination(), entry)?
            }
        };
        *self.entries_index.kind(&order.target) += 1;
        Ok(number)
    }

    fn change(&mut self, number: EntryNumber, order: &BlockSpec) -> anyhow::Result<()> {
        let entry = entries::of_order(&self.time_base(), order);
        self.object.set_entry(number, entry)
    }

    fn remove(&mut self, number: EntryNumber, target: &Target) -> anyhow::Result<()> {
        let removed = match target.key() {
            Some(key) => self.object.blocks()?.remove(&key),
            None => self.object.trie(map::PREFIXES)?.remove(&key(&target.destination())),
        };
        gone(removed).with_context(|| format!("failed to unblock {target}"))?;
        if let Target::Destination(network) = target {
            self.entries_index.prefixes.remove(network);
        }
        let kind = self.entries_index.kind(target);
        *kind = kind.saturating_sub(1);
        self.give_back(number)
    }

    fn spare(&mut self, exception: &Exception) -> anyhow::Result<EntryNumber> {
        let network = &exception.network;
        let (entries_index, size) = (&self.entries_index, self.entries_index.sizes.exceptions);
        let full = || full("exceptions", size, "block.max_exceptions");
        if entries_index.exceptions.get(network).is_some() {
            bail!("there is already an exception for {}", network.short());
        }
        if entries_index.exceptions.len() >= size as usize {
            return Err(full());
        }
        entries_index.exceptions.check(network)?;
        let number = self.take_number(entries::of_exception(&self.time_base(), exception))?;
        if let Err(error) = self.object.trie(map::NEVER_BLOCK)?.insert(&key(network), number, 0) {
            self.give_back(number)?;
            if is_full(&error) {
                return Err(full());
            }
            return Err(error)
                .with_context(|| format!("failed to add an exception for {}", network.short()));
        }
        self.entries_index.exceptions.insert(network, number);
        Ok(number)
    }

    fn change_exception(
        &mut self,
        number: EntryNumber,
        exception: &Exception,
    ) -> anyhow::Result<()> {
        let entry = entries::of_exception(&self.time_base(), exception);
        self.object.set_entry(number, entry)
    }

    fn remove_exception(&mut self, number: EntryNumber, network: &Network) -> anyhow::Result<()> {
        gone(self.object.trie(map::NEVER_BLOCK)?.remove(&key(network)))
            .with_context(|| format!("failed to remove the exception for {}", network.short()))?;
        self.entries_index.exceptions.remove(network);
        self.give_back(number)
    }

    fn entry_stats(&mut self, number: EntryNumber) -> anyhow::Result<EntryCounters> {
        let hits = self.object.entry_stats()?;
        hits.get(&number, 0)
            .with_context(|| format!("failed to read the counters of entry {number}"))
    }

    fn set_mode(&mut self, mode: Mode, then: Option<(Timestamp, Mode)>) -> anyhow::Result<()> {
        let base = self.time_base();
        self.object.change_control(|control| {
            control.mode = mode_value(mode);
            // Tick 0 would mean for good.
            control.mode_until = then.map_or(0, |(time, _)| entries::tick_from(&base, time).max(1));
            control.mode_after = then.map_or(0, |(_, mode)| mode_value(mode));
        })
    }

    fn budgets(&mut self) -> anyhow::Result<Vec<(BudgetKey, Budget)>> {
        self.read_budgets()
    }

    fn budget(&mut self, key: &BudgetKey) -> anyhow::Result<Option<Budget>> {
        self.read_budget(key)
    }

    fn set_budget(&mut self, key: &BudgetKey, limit: u64) -> anyhow::Result<()> {
        self.write_limit(key, limit)
    }

    fn forget_budget(&mut self, key: &BudgetKey) -> anyhow::Result<()> {
        self.remove_budget(key)
    }

    fn commit(&mut self) -> anyhow::Result<()> {
        let targets = self.entries_index.targets();
        self.object.change_control(|control| control.targets = targets)?;
        self.entries_index.numbers.settle();
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::room;
    use crate::response::{BlockSpec, Effect, Span};
    use crate::timestamp::Timestamp;

    #[test]
    fn an_eighth_of_the_blocks_is_for_people() {
        for (size, by_agent, expected) in
            [(65_536, true, 57_344), (65_536, false, 65_536), (16, true, 14), (7, true, 7)]
        {
            let order = BlockSpec {
                target: "host 10.0.0.7".parse().unwrap(),
                effect: Effect::Drop,
                span: Span::until(Timestamp::MAX),
                by_agent,
                simulated: false,
                reason: 0,
            };
            assert_eq!(room(size, &order), expected, "{size} {by_agent}");
        }
    }
}
