//! What is active, in the lines that people are shown: blocks, exceptions, budgets.

use std::collections::BTreeMap;

use anyhow::Context as _;
use detector_common::policy::{Budget, BudgetKey};

use super::Responder;
use crate::control::{
    AllowEffect, AllowKind, AllowLine, BlockLine, BlockState, BudgetLine, EffectWanted, ModeState,
    Pending, Reversion,
};
use crate::refusal::Refusal;
use crate::response::policy_state::{self, ActiveBlock, ExceptionKind};
use crate::response::{Effect, Enforcer, EntryNumber, Mode};
use crate::timestamp::Timestamp;
use crate::verdict::allow::Allowed;

impl Responder {
    pub(super) fn block_lines(
        &self,
        now: Timestamp,
        enforcer: &mut dyn Enforcer,
    ) -> anyhow::Result<Vec<BlockLine>> {
        let numbers = self.policy.blocks().map(|(number, _)| number);
        numbers.map(|number| self.block_line(number, now, enforcer)).collect()
    }

    pub(super) fn block_line(
        &self,
        number: EntryNumber,
        now: Timestamp,
        enforcer: &mut dyn Enforcer,
    ) -> anyhow::Result<BlockLine> {
        let hits = enforcer.entry_stats(number)?;
        let mode = self.policy.mode();
        let standing = self.policy.block(number);
        let standing = standing.context(Refusal::not_found("the block is gone"))?;
        let ActiveBlock { order, by, why, alert, placed, until, times, pending, .. } = standing;
        let span = order.span;
        let counts_only = order.simulated || (order.by_agent && mode != Mode::Block);
        let state = if span.from > now {
            BlockState::Suspended { until: span.from.to_string() }
        } else if span.until < *until {
            BlockState::Unconfirmed { until: span.until.to_string() }
        } else if counts_only {
            BlockState::CountsOnly
        } else {
            BlockState::InForce
        };
        Ok(BlockLine {
            number,
            target: order.target,
            effect: match order.effect {
                Effect::Drop => EffectWanted::Drop,
                Effect::Police { bytes_per_second, .. } => {
                    EffectWanted::Police { bytes_per_second }
                }
                Effect::Mark { dscp } => EffectWanted::Mark { dscp },
            },
            simulated: counts_only,
            by: by.clone(),
            reason: why.clone(),
            alert: alert.map(|alert| alert.to_string()),
            placed: placed.to_string(),
            ends: until.to_string(),
            remaining_secs: now.seconds_until(*until),
            times: *times,
            packets: hits.packets,
            bytes: hits.bytes,
            last_hit: (hits.last_hit != 0).then(|| self.base.time(hits.last_hit).to_string()),
            state,
            pending: *pending,
        })
    }

    /// Changes that wait for confirmation.
    pub(in crate::agent) fn pending_lines(&self, now: Timestamp) -> Vec<Pending> {
        let line = |(id, pending): (u64, &policy_state::Pending)| Pending {
            id,
            what: pending.what.clone(),
            in_secs: now.seconds_until(pending.until),
        };
        self.policy.pending().map(line).collect()
    }

    pub(super) fn pending_line(&self, id: Option<u64>, now: Timestamp) -> Option<Pending> {
        let id = id?;
        self.pending_lines(now).into_iter().find(|pending| pending.id == id)
    }

    pub(super) fn mode_state(&self, now: Timestamp) -> ModeState {
        let pending = self.policy.pending_mode().map(|(id, until, returns_to)| Reversion {
            id,
            returns_to,
            in_secs: now.seconds_until(until),
        });
        ModeState { mode: self.policy.mode(), since: self.policy.mode_since().to_string(), pending }
    }

    pub(super) fn allow_lines(
        &self,
        now: Timestamp,
        enforcer: &mut dyn Enforcer,
    ) -> anyhow::Result<Vec<AllowLine>> {
        let mut lines = Vec::new();
        let mut hits_of_entry = BTreeMap::new();
        for (network, number, source) in self.policy.exceptions() {
            let hits = enforcer.entry_stats(number)?.packets;
            if let ExceptionKind::Allowed(id) = &source.kind {
                hits_of_entry.insert(id.clone(), hits);
                continue;
            }
            lines.push(AllowLine {
                id: format!("n{number}"),
                kind: kind(&source.kind),
                network: Some(*network),
                source: None,
                destination: None,
                name: None,
                port: None,
                reason: if source.why.is_empty() {
                    source.kind.name().to_owned()
                } else {
                    source.why.clone()
                },
                expires: None,
                hits,
                sessions: 0,
                effect: AllowEffect::NeverBlocked,
            });
        }
        let live = self.policy.allowlist().entries().filter(|allowed| allowed.until > now);
        lines.extend(live.map(|allowed| allow_line(allowed, hits_of_entry.get(&allowed.id))));
        Ok(lines)
    }

    pub(super) fn allow_line_of(
        &self,
        id: &str,
        now: Timestamp,
        enforcer: &mut dyn Enforcer,
    ) -> anyhow::Result<AllowLine> {
        let mut lines = self.allow_lines(now, enforcer)?.into_iter();
        let gone = || Refusal::not_found(format!("entry {id} is gone"));
        lines.find(|line| line.id == id).with_context(gone)
    }

    pub(super) fn budget_lines(
        &self,
        meant: impl Fn(&BudgetKey) -> bool,
        now: Timestamp,
        enforcer: &mut dyn Enforcer,
    ) -> anyhow::Result<Vec<BudgetLine>> {
        let mut budgets = enforcer.budgets()?;
        budgets.retain(|(key, _)| meant(key));
        // Those that are held, then those that sent most.
        budgets.sort_by_key(|(key, budget)| {
            (budget.held_since == 0, std::cmp::Reverse(budget.charged), *key)
        });
        Ok(budgets.iter().map(|(key, budget)| self.budget_line(key, budget, now)).collect())
    }

    pub(super) fn budget_line(
        &self,
        key: &BudgetKey,
        budget: &Budget,
        now: Timestamp,
    ) -> BudgetLine {
        let held = (budget.held_since != 0 && budget.limit != Budget::FREE)
            .then(|| now.seconds_since(self.base.time(budget.held_since)));
        let state = match (held, budget.limit, budget.timed_out) {
            (Some(_), ..) => "held",
            (None, Budget::FREE, 0) => "free",
            (None, Budget::FREE, _) => "unlimited: no verdict in time",
            (None, ..) => "open",
        };
        BudgetLine {
            home: key.home.into(),
            destination: key.destination.into(),
            limit: (budget.limit != Budget::FREE).then_some(budget.limit),
            charged: budget.charged,
            held_packets: budget.held_packets,
            held_bytes: budget.held_bytes,
            held_secs: held,
            state: state.to_owned(),
        }
    }
}

fn kind(kind: &ExceptionKind) -> AllowKind {
    match kind {
        ExceptionKind::Own => AllowKind::Own,
        ExceptionKind::Gateway => AllowKind::Gateway,
        ExceptionKind::Resolver => AllowKind::Resolver,
        ExceptionKind::Administrator => AllowKind::Administrator,
        ExceptionKind::Messages => AllowKind::Messages,
        ExceptionKind::Configured => AllowKind::Configured,
        ExceptionKind::Allowed(_) => AllowKind::Operator,
    }
}

fn allow_line(allowed: &Allowed, hits: Option<&u64>) -> AllowLine {
    let Allowed { id, entry, at_run_time, until, .. } = allowed;
    AllowLine {
        id: id.clone(),
        kind: if *at_run_time { AllowKind::Operator } else { AllowKind::Configured },
        network: entry.whole_network(),
        source: entry.source,
        destination: entry.destination,
        name: entry.name.clone(),
        port: entry.port,
        reason: entry.reason.clone(),
        expires: (*until != Timestamp::MAX).then(|| until.to_string()),
        hits: hits.copied().unwrap_or(0),
        sessions: allowed.hits(),
        // One of the configuration with an end is no exception of the kernel's.
        effect: if hits.is_some() { AllowEffect::NeverBlocked } else { AllowEffect::NoAlerts },
    }
}
