//! What people ask of the policy: blocks, exceptions, the mode, budgets, and why an address is
//! blocked.

use std::time::Duration;

use detector_common::policy::BudgetKey;

use super::Responder;
use crate::control::{
    AllowEffect, AllowLine, Answer, BlockLine, DomainLine, EffectWanted, Explanation, Pending,
    VerifiedHow, VerifyLine,
};
use crate::network::Address;
use crate::refusal::Refusal;
use crate::response::policy::police;
use crate::response::policy_state::{Add, DomainBlock, NowAllowed};
use crate::response::{ChangeKind, Effect, Enforcer, EntryNumber, Mode, Target};
use crate::timestamp::Timestamp;
use crate::verdict::allow::Entry;

/// Budgets in one answer.
const MAX_BUDGETS: usize = 10_000;
/// Blocks that every flow is compared with at once: what traffic waits for meanwhile.
const MAX_VERIFIED: usize = 64;

/// Who asks, when, and how long what is asked for may wait for its confirmation.
#[derive(Clone, Copy, Debug)]
pub(in crate::agent) struct Caller<'a> {
    pub(in crate::agent) who: &'a str,
    pub(in crate::agent) confirm: Option<Duration>,
    pub(in crate::agent) now: Timestamp,
}

/// A block and its target.
pub(in crate::agent) type Verified = (EntryNumber, Target);

impl Responder {
    pub(in crate::agent) fn blocks_answer(
        &self,
        now: Timestamp,
        enforcer: &mut dyn Enforcer,
    ) -> anyhow::Result<Answer> {
        Ok(Answer::Blocks { blocks: self.block_lines(now, enforcer)? })
    }

    pub(in crate::agent) fn add_block(
        &mut self,
        add: &Add,
        caller: Caller<'_>,
        enforcer: &mut dyn Enforcer,
    ) -> Result<Answer, Refusal> {
        let Caller { who, confirm, now } = caller;
        let placed = self.policy.add(add, who, confirm, now, enforcer)?;
        let pending = self.pending_line(placed.pending, now);
        Ok(Answer::Placed { block: self.block_line(placed.number, now, enforcer)?, pending })
    }

    pub(in crate::agent) fn remove_block(
        &mut self,
        number: Option<EntryNumber>,
        target: Option<&Target>,
        caller: Caller<'_>,
        enforcer: &mut dyn Enforcer,
    ) -> Result<Answer, Refusal> {
        let number = self.policy.find(number, target)?;
        self.release(&[number], ChangeKind::Released, caller, enforcer)
    }

    pub(in crate::agent) fn flush_blocks(
        &mut self,
        caller: Caller<'_>,
        enforcer: &mut dyn Enforcer,
    ) -> Result<Answer, Refusal> {
        let all: Vec<EntryNumber> = self.policy.blocks().map(|(number, _)| number).collect();
        self.release(&all, ChangeKind::Flushed, caller, enforcer)
    }

    fn release(
        &mut self,
        numbers: &[EntryNumber],
        kind: ChangeKind,
        caller: Caller<'_>,
        enforcer: &mut dyn Enforcer,
    ) -> Result<Answer, Refusal> {
        let Caller { who, confirm, now } = caller;
        let lines = numbers.iter().map(|number| self.block_line(*number, now, enforcer));
        let blocks = lines.collect::<anyhow::Result<Vec<_>>>()?;
        let pending = self.policy.release(numbers, kind, who, confirm, now, enforcer)?;
        self.keep_state(now);
        Ok(Answer::Removed { blocks, pending: self.pending_line(pending, now) })
    }

    /// The blocks that are meant, all where none is named.
    pub(in crate::agent) fn to_verify(
        &self,
        number: Option<EntryNumber>,
        target: Option<&Target>,
    ) -> Result<Vec<Verified>, Refusal> {
        let number = match (number, target) {
            (None, None) => None,
            _ => Some(self.policy.find(number, target)?),
        };
        let meant: Vec<Verified> = self
            .policy
            .blocks()
            .filter(|(known, _)| number.is_none_or(|number| number == *known))
            .map(|(number, standing)| (number, standing.order.target))
            .collect();
        if meant.len() > MAX_VERIFIED {
            return Err(Refusal::conflict(format!(
                "{} blocks are active, and at most {MAX_VERIFIED} can be verified at once: name \
                 one block by its number",
                meant.len()
            )));
        }
        Ok(meant)
    }

    /// What each block has dropped so far, and what of its flows has passed: two readings a while
    /// apart tell whether it holds.
    pub(in crate::agent) fn verified(
        &self,
        meant: Vec<Verified>,
        passed: Vec<u64>,
        enforcer: &mut dyn Enforcer,
    ) -> anyhow::Result<Answer> {
        let mut lines = Vec::with_capacity(meant.len());
        for ((number, target), passed_packets) in meant.into_iter().zip(passed) {
            lines.push(VerifyLine {
                number,
                target,
                how: VerifiedHow::DropCounters,
                holds: None,
                dropped_packets: enforcer.entry_stats(number)?.packets,
                passed_packets,
                text: String::new(),
            });
        }
        Ok(Answer::Verified { blocks: lines })
    }

    pub(in crate::agent) fn domains_answer(&self, now: Timestamp) -> Answer {
        let line = |(domain, block): (&str, &DomainBlock)| DomainLine {
            domain: domain.to_owned(),
            alert: Some(block.alert.to_string()),
        };
        Answer::Domains { domains: self.policy.domains(now).map(line).collect() }
    }

    pub(in crate::agent) fn allow_answer(
        &self,
        now: Timestamp,
        enforcer: &mut dyn Enforcer,
    ) -> anyhow::Result<Answer> {
        Ok(Answer::Allow { allow: self.allow_lines(now, enforcer)? })
    }

    pub(in crate::agent) fn allow(
        &mut self,
        entry: Entry,
        ttl: Option<Duration>,
        caller: Caller<'_>,
        enforcer: &mut dyn Enforcer,
    ) -> Result<Answer, Refusal> {
        let Caller { who, confirm, now } = caller;
        let NowAllowed { id, released, pending } =
            self.policy.allow(entry, ttl, who, confirm, now, enforcer)?;
        if pending.is_none() {
            self.keep_state(now);
        }
        let entry = self.allow_line_of(&id, now, enforcer)?;
        let pending = self.pending_line(pending, now);
        Ok(Answer::Allowed { entry, released: released as u64, pending })
    }

    pub(in crate::agent) fn disallow(
        &mut self,
        id: &str,
        caller: Caller<'_>,
        enforcer: &mut dyn Enforcer,
    ) -> Result<Answer, Refusal> {
        let Caller { who, confirm, now } = caller;
        self.policy.removable(id)?;
        let entry = self.allow_line_of(id, now, enforcer)?;
        let pending = self.policy.disallow(id, who, confirm, now, enforcer)?;
        if pending.is_none() {
            self.keep_state(now);
        }
        Ok(Answer::Disallowed { entry, pending: self.pending_line(pending, now) })
    }

    pub(in crate::agent) fn mode_answer(&self, now: Timestamp) -> Answer {
        Answer::Mode(self.mode_state(now))
    }

    pub(in crate::agent) fn set_mode(
        &mut self,
        mode: Mode,
        caller: Caller<'_>,
        enforcer: &mut dyn Enforcer,
    ) -> Result<Answer, Refusal> {
        let Caller { who, confirm, now } = caller;
        self.policy.set_mode(mode, who, confirm, now, enforcer)?;
        Ok(self.mode_answer(now))
    }

    pub(in crate::agent) fn confirm(
        &mut self,
        id: Option<u64>,
        caller: Caller<'_>,
        enforcer: &mut dyn Enforcer,
    ) -> Result<Answer, Refusal> {
        let Caller { who, now, .. } = caller;
        let waiting: Vec<Pending> = self
            .policy
            .pending()
            .filter(|(waiting, _)| id.is_none_or(|id| id == *waiting))
            .map(|(id, pending)| Pending {
                id,
                what: pending.what.clone(),
                in_secs: pending.until.since(now).as_secs(),
            })
            .collect();
        self.policy.confirm(id, who, now, enforcer)?;
        self.keep_state(now);
        Ok(Answer::Confirmed { confirmed: waiting })
    }

    pub(in crate::agent) fn explain(
        &self,
        address: Address,
        now: Timestamp,
        enforcer: &mut dyn Enforcer,
    ) -> anyhow::Result<Answer> {
        let home = self.policy.policy().home.iter().any(|home| home.contains(address));
        let mut sentences = self.policy.explain(address, now);
        let allow: Vec<AllowLine> = self
            .allow_lines(now, enforcer)?
            .into_iter()
            .filter(|line| {
                let networks = [line.network, line.source, line.destination];
                networks.iter().flatten().any(|network| network.contains(address))
            })
            .collect();
        for line in allow.iter().filter(|line| line.effect == AllowEffect::NoAlerts) {
            sentences.push(format!("entry {} exempts it from alerts: {}", line.id, line.reason));
        }
        let lines = self.block_lines(now, enforcer)?.into_iter();
        let blocks: Vec<BlockLine> = lines.filter(|line| line.target.concerns(address)).collect();
        let meant = |key: &BudgetKey| [key.home, key.destination].contains(&address.octets());
        let budgets = self.budget_lines(meant, now, enforcer)?;
        for line in budgets.iter().filter(|line| line.held_secs.is_some()) {
            sentences.push(format!(
                "the kernel holds payload from {} to {}: the budget is used up",
                line.home, line.destination
            ));
        }
        Ok(Answer::Explanation(Explanation { address, home, sentences, blocks, allow, budgets }))
    }

    pub(in crate::agent) fn budgets_answer(
        &self,
        now: Timestamp,
        enforcer: &mut dyn Enforcer,
    ) -> anyhow::Result<Answer> {
        let mut budgets = self.budget_lines(|_| true, now, enforcer)?;
        let more = budgets.len().saturating_sub(MAX_BUDGETS);
        budgets.truncate(MAX_BUDGETS);
        Ok(Answer::Budgets { budgets, more: more as u64 })
    }

    pub(in crate::agent) fn raise_budget(
        &mut self,
        key: &BudgetKey,
        bytes: Option<u64>,
        caller: Caller<'_>,
        enforcer: &mut dyn Enforcer,
    ) -> Result<Answer, Refusal> {
        self.policy.raise_budget(key, bytes, caller.who, enforcer)?;
        let budget = enforcer.budget(key)?;
        let budget = budget.ok_or_else(|| Refusal::not_found("the budget is gone"))?;
        Ok(Answer::Raised { budget: self.budget_line(key, &budget, caller.now) })
    }
}

pub(in crate::agent) fn effect(wanted: EffectWanted) -> Effect {
    match wanted {
        EffectWanted::Drop => Effect::Drop,
        EffectWanted::Police { bytes_per_second } => police(bytes_per_second),
        EffectWanted::Mark { dscp } => Effect::Mark { dscp },
    }
}
