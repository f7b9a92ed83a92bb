//! Byte budgets: who may continue, who may not, and which are forgotten.
//!
//! The kernel opens, charges and holds them by itself; a verdict raises or ends them.

use std::collections::BTreeSet;
use std::time::Duration;

use detector_common::policy::{Budget, BudgetKey};

use super::{AGENT, PolicyState};
use crate::network::Address;
use crate::refusal::Refusal;
use crate::response::change::{Change, ChangeKind};
use crate::response::enforcer::Enforcer;
use crate::response::mode::Mode;
use crate::response::target::Target;
use crate::timestamp::Timestamp;

/// A raised budget is this many times the old one: a verdict at each power, as with checkpoints.
const RAISE: u64 = 4;
/// How often idle budgets are looked for.
const LOOK: Duration = Duration::from_secs(60);

/// What a verdict of a session means for its budget.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum BudgetVerdict {
    /// An alert is open.
    Flagged,
    /// Allowed, or a baseline of its host.
    Known,
    /// No explanation fits at least half of what was sent. That nothing speaks against it is none.
    Unexplained,
    /// Most of it is explained: the score decides.
    Scored(f64),
}

impl PolicyState {
    /// The kernel holds what goes between these two. It says so after everything else that it had
    /// to say about what passed: verdicts that come now rest on all of that.
    pub fn budget_spent(&mut self, key: BudgetKey) {
        self.spent.insert(key);
    }

    /// Whether the kernel holds what goes between these two until its budget is raised.
    pub fn holds(&self, key: &BudgetKey, enforcer: &mut dyn Enforcer) -> anyhow::Result<bool> {
        if self.mode != Mode::Block {
            return Ok(false);
        }
        let budget = enforcer.budget(key)?;
        Ok(budget.is_some_and(|budget| budget.limit != Budget::FREE && budget.held_since != 0))
    }

    /// Raises the budget of a pair whose bytes are explained and whose session looks ordinary, once it is spent and the verdict
    /// rests on at least half of what it allowed. An earlier one knows only the beginning of what the
    /// kernel has let pass by then.
    pub fn scored(
        &mut self,
        (home, destination): (Address, Address),
        payload_bytes: u64,
        budget_verdict: BudgetVerdict,
        enforcer: &mut dyn Enforcer,
    ) -> anyhow::Result<()> {
        let key = BudgetKey { home: home.octets(), destination: destination.octets() };
        let Some(budget) = enforcer.budget(&key)? else { return Ok(()) };
        let limit = match budget_verdict {
            _ if budget.limit == Budget::FREE => return Ok(()),
            BudgetVerdict::Flagged | BudgetVerdict::Unexplained => return Ok(()),
            BudgetVerdict::Known => Budget::FREE,
            BudgetVerdict::Scored(score)
                if score < self.policy.raise_below
                    && payload_bytes >= budget.limit / 2
                    && self.spent.contains(&key) =>
            {
                budget.limit.saturating_mul(RAISE)
            }
            BudgetVerdict::Scored(_) => return Ok(()),
        };
        enforcer.set_budget(&key, limit)?;
        self.spent.remove(&key);
        let why = match budget_verdict {
            BudgetVerdict::Known => "allowed or known receiver".to_owned(),
            BudgetVerdict::Scored(score) => format!("score {score:.2}"),
            BudgetVerdict::Flagged | BudgetVerdict::Unexplained => String::new(),
        };
        self.note_budget(&key, &budget, limit, AGENT, why);
        Ok(())
    }

    /// Gives a budget another limit because a person says so.
    pub fn raise_budget(
        &mut self,
        key: &BudgetKey,
        bytes: Option<u64>,
        who: &str,
        enforcer: &mut dyn Enforcer,
    ) -> Result<(), Refusal> {
        let Some(budget) = enforcer.budget(key)? else {
            return Err(Refusal::not_found(format!(
                "{} has no budget to {}: `detector budgets list` shows the budgets",
                Address::from(key.home),
                Address::from(key.destination)
            )));
        };
        let limit = bytes.map_or(Budget::FREE, |more| budget.charged.saturating_add(more));
        enforcer.set_budget(key, limit)?;
        self.note_budget(key, &budget, limit, who, "by request".to_owned());
        Ok(())
    }

    fn note_budget(&mut self, key: &BudgetKey, old: &Budget, limit: u64, who: &str, why: String) {
        let until = match limit {
            Budget::FREE => "unlimited".to_owned(),
            bytes => crate::units::bytes(bytes),
        };
        self.changes.push(Change {
            target: Some(Target::Pair {
                home: key.home.into(),
                destination: key.destination.into(),
            }),
            why,
            detail: Some(format!(
                "{} passed, {} were held; the limit is now {until}",
                crate::units::bytes(old.charged),
                crate::units::bytes(old.held_bytes)
            )),
            ..Change::new(ChangeKind::BudgetRaised, who)
        });
    }

    /// Forgets budgets that nobody used for long; where `capacity` is nearly reached, those idle
    /// longest go early. `time_of` turns the kernel's ticks into time.
    pub fn forget_budgets(
        &mut self,
        now: Timestamp,
        capacity: usize,
        time_of: impl Fn(u64) -> Timestamp,
        enforcer: &mut dyn Enforcer,
    ) -> anyhow::Result<()> {
        if now < self.budgets_looked + LOOK {
            return Ok(());
        }
        self.budgets_looked = now;
        let mut idle: Vec<(Duration, BudgetKey)> = Vec::new();
        let budgets = enforcer.budgets()?;
        let crowded = budgets.len() > capacity / 10 * 9;
        for (key, budget) in &budgets {
            let silent = now.since(time_of(budget.last_seen.max(budget.opened)));
            if silent >= self.policy.budget_window || (crowded && silent >= LOOK) {
                idle.push((silent, *key));
            }
        }
        let known: BTreeSet<&BudgetKey> = budgets.iter().map(|(key, _)| key).collect();
        self.spent.retain(|key| known.contains(key));
        idle.sort_unstable();
        let early = if crowded { capacity / 4 } else { idle.len() };
        for (_, key) in idle.iter().rev().take(early) {
            enforcer.forget_budget(key)?;
        }
        Ok(())
    }
}
