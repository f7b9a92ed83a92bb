//! Who carries decisions out: the kernel, or memory where there is no kernel to ask.
//!
//! The kernel's implementation lives with the maps it writes, in `source/kernel`.

use std::collections::BTreeMap;

use anyhow::{Context as _, ensure};
use detector_common::policy::{Budget, BudgetKey, EntryCounters};

use super::{Mode, Target};
use crate::network::Network;
use crate::timestamp::Timestamp;

/// When something holds, on the clock that traffic is told by.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Span {
    pub from: Timestamp,
    pub until: Timestamp,
}

impl Span {
    /// From the first moment.
    #[must_use]
    pub const fn until(until: Timestamp) -> Self {
        Self { from: Timestamp::EPOCH, until }
    }

    #[must_use]
    pub fn holds(&self, now: Timestamp) -> bool {
        self.from <= now && now < self.until
    }
}

/// What is done to the packets of a target.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Effect {
    Drop,
    /// Outbound packets beyond so many IP bytes a second are dropped; so many may come at once.
    Police {
        bytes_per_second: u64,
        burst_bytes: u64,
    },
    /// The kernel sets this DSCP codepoint, 0 to 63, on outbound packets.
    Mark {
        dscp: u8,
    },
}

/// An entry as it was requested.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct BlockSpec {
    pub target: Target,
    pub effect: Effect,
    pub span: Span,
    /// Made by the agent: it follows the mode. A person's does what it says.
    pub by_agent: bool,
    /// Counts and does nothing.
    pub simulated: bool,
    /// The alert's id; 0 where a person asked.
    pub reason: u64,
}

/// What no order may touch.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Exception {
    pub network: Network,
    /// Only as a destination: this host's own addresses may be what leaks.
    pub as_destination: bool,
    pub span: Span,
}

/// The number of an order or an exception with whoever enforces it; never 0.
pub type EntryNumber = u32;

/// Places, changes and removes orders, exceptions and budgets. Nothing is evicted for what is new:
/// a full table is an error that names it and its size. Changes take effect with
/// [`Enforcer::commit`] at the latest, called once after a batch.
pub trait Enforcer {
    /// The orders that an earlier agent left, for one that takes them over.
    fn left_orders(&mut self) -> anyhow::Result<Vec<(EntryNumber, BlockSpec)>>;

    /// The exceptions that an earlier agent left.
    fn left_exceptions(&mut self) -> anyhow::Result<Vec<(EntryNumber, Exception)>>;

    fn place(&mut self, order: &BlockSpec) -> anyhow::Result<EntryNumber>;

    /// Gives an order another span, effect or simulation; its target stays, its counters continue.
    fn change(&mut self, number: EntryNumber, order: &BlockSpec) -> anyhow::Result<()>;

    fn remove(&mut self, number: EntryNumber, target: &Target) -> anyhow::Result<()>;

    fn spare(&mut self, exception: &Exception) -> anyhow::Result<EntryNumber>;

    /// Gives an exception another span.
    fn change_exception(
        &mut self,
        number: EntryNumber,
        exception: &Exception,
    ) -> anyhow::Result<()>;

    fn remove_exception(&mut self, number: EntryNumber, network: &Network) -> anyhow::Result<()>;

    /// What an order or an exception has done so far.
    fn entry_stats(&mut self, number: EntryNumber) -> anyhow::Result<EntryCounters>;

    /// How far agents' orders and budgets go from now on; `then`: from a time on another mode.
    fn set_mode(&mut self, mode: Mode, then: Option<(Timestamp, Mode)>) -> anyhow::Result<()>;

    fn budgets(&mut self) -> anyhow::Result<Vec<(BudgetKey, Budget)>>;

    fn budget(&mut self, key: &BudgetKey) -> anyhow::Result<Option<Budget>>;

    /// Gives a budget another limit, in payload bytes from its beginning; [`Budget::FREE`] for
    /// none.
    fn set_budget(&mut self, key: &BudgetKey, limit: u64) -> anyhow::Result<()>;

    /// Forgets a budget that nobody uses: the next packet opens it again.
    fn forget_budget(&mut self, key: &BudgetKey) -> anyhow::Result<()>;

    /// Makes flows look at what was changed.
    fn commit(&mut self) -> anyhow::Result<()>;
}

/// Remembers its orders and touches no traffic.
#[derive(Clone, Debug)]
pub struct DryRun {
    pub orders: BTreeMap<EntryNumber, BlockSpec>,
    pub exceptions: BTreeMap<EntryNumber, Exception>,
    pub entry_stats: BTreeMap<EntryNumber, EntryCounters>,
    pub budgets: BTreeMap<BudgetKey, Budget>,
    pub mode: Mode,
    pub then: Option<(Timestamp, Mode)>,
    /// Orders it takes, beyond which it is full.
    pub capacity: usize,
    next: EntryNumber,
}

impl Default for DryRun {
    fn default() -> Self {
        Self {
            orders: BTreeMap::new(),
            exceptions: BTreeMap::new(),
            entry_stats: BTreeMap::new(),
            budgets: BTreeMap::new(),
            mode: Mode::Observe,
            then: None,
            capacity: usize::MAX,
            next: 1,
        }
    }
}

impl DryRun {
    fn number(&mut self) -> EntryNumber {
        self.next += 1;
        self.next - 1
    }
}

impl Enforcer for DryRun {
    fn left_orders(&mut self) -> anyhow::Result<Vec<(EntryNumber, BlockSpec)>> {
        Ok(self.orders.iter().map(|(number, order)| (*number, *order)).collect())
    }

    fn left_exceptions(&mut self) -> anyhow::Result<Vec<(EntryNumber, Exception)>> {
        Ok(self.exceptions.iter().map(|(number, exception)| (*number, *exception)).collect())
    }

    fn place(&mut self, order: &BlockSpec) -> anyhow::Result<EntryNumber> {
        ensure!(self.orders.len() < self.capacity, "the table of blocks is full");
        let taken = self.orders.values().any(|standing| standing.target == order.target);
        ensure!(!taken, "there is already a block of {}", order.target);
        let number = self.number();
        self.orders.insert(number, *order);
        Ok(number)
    }

    fn change(&mut self, number: EntryNumber, order: &BlockSpec) -> anyhow::Result<()> {
        *self.orders.get_mut(&number).context("there is no such block")? = *order;
        Ok(())
    }

    fn remove(&mut self, number: EntryNumber, _target: &Target) -> anyhow::Result<()> {
        self.orders.remove(&number);
        Ok(())
    }

    fn spare(&mut self, exception: &Exception) -> anyhow::Result<EntryNumber> {
        let number = self.number();
        self.exceptions.insert(number, *exception);
        Ok(number)
    }

    fn change_exception(
        &mut self,
        number: EntryNumber,
        exception: &Exception,
    ) -> anyhow::Result<()> {
        *self.exceptions.get_mut(&number).context("there is no such exception")? = *exception;
        Ok(())
    }

    fn remove_exception(&mut self, number: EntryNumber, _network: &Network) -> anyhow::Result<()> {
        self.exceptions.remove(&number);
        Ok(())
    }

    fn entry_stats(&mut self, number: EntryNumber) -> anyhow::Result<EntryCounters> {
        Ok(self.entry_stats.get(&number).copied().unwrap_or_default())
    }

    fn set_mode(&mut self, mode: Mode, then: Option<(Timestamp, Mode)>) -> anyhow::Result<()> {
        (self.mode, self.then) = (mode, then);
        Ok(())
    }

    fn budgets(&mut self) -> anyhow::Result<Vec<(BudgetKey, Budget)>> {
        Ok(self.budgets.iter().map(|(key, budget)| (*key, *budget)).collect())
    }

    fn budget(&mut self, key: &BudgetKey) -> anyhow::Result<Option<Budget>> {
        Ok(self.budgets.get(key).copied())
    }

    fn set_budget(&mut self, key: &BudgetKey, limit: u64) -> anyhow::Result<()> {
        let budget = self.budgets.entry(*key).or_default();
        (budget.limit, budget.held_since) = (limit, 0);
        Ok(())
    }

    fn forget_budget(&mut self, key: &BudgetKey) -> anyhow::Result<()> {
        self.budgets.remove(key);
        Ok(())
    }

    fn commit(&mut self) -> anyhow::Result<()> {
        Ok(())
    }
}
