//! What stands, in the lines that people are shown: blocks, exceptions, budgets, the agent itself.

use std::collections::BTreeMap;

use anyhow::Context as _;
use detector_common::policy::{Budget, BudgetKey};

use super::Agent;
use crate::control::{
    AllowEffect, AllowKind, AllowLine, Answer, BlockLine, BlockState, BudgetLine, EffectWanted,
    ModeState, Pending, Reversion, StatusReply, TableUse,
};
use crate::network::{Network, ip};
use crate::refusal::Refusal;
use crate::response::policy_state::{ActiveBlock, ExceptionKind, Exempted};
use crate::response::{Effect, Enforcer as _, EntryNumber, Mode};
use crate::units::rfc3339;
use crate::verdict::allow::Allowed;

const SECOND: u64 = 1_000_000_000;

impl Agent {
    pub(super) fn block_lines(&mut self, now_ns: u64) -> anyhow::Result<Vec<BlockLine>> {
        let numbers: Vec<EntryNumber> = self.policy.blocks().map(|(number, _)| number).collect();
        numbers.into_iter().map(|number| self.block_line(number, now_ns)).collect()
    }

    pub(super) fn block_line(
        &mut self,
        number: EntryNumber,
        now_ns: u64,
    ) -> anyhow::Result<BlockLine> {
        let hits = self.kernel.entry_stats(number)?;
        let mode = self.policy.mode();
        let standing = self.policy.block(number);
        let standing = standing.context(Refusal::not_found("the block is gone"))?;
        let ActiveBlock { order, by, why, alert, placed_ns, until_ns, times, pending, .. } =
            standing;
        let span = order.span;
        let counts_only = order.simulated || (order.by_agent && mode != Mode::Block);
        let state = if span.from_ns > now_ns {
            BlockState::Suspended { until: rfc3339(span.from_ns) }
        } else if span.until_ns < *until_ns {
            BlockState::Unconfirmed { until: rfc3339(span.until_ns) }
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
            placed: rfc3339(*placed_ns),
            ends: rfc3339(*until_ns),
            remaining_secs: until_ns.saturating_sub(now_ns).div_ceil(SECOND),
            times: *times,
            packets: hits.packets,
            bytes: hits.bytes,
            last_hit: (hits.last_hit != 0).then(|| rfc3339(self.base.ns(hits.last_hit))),
            state,
            pending: *pending,
        })
    }

    pub(super) fn pending_line(&self, id: Option<u64>, now_ns: u64) -> Option<Pending> {
        let id = id?;
        let (_, pending) = self.policy.pending().find(|(known, _)| *known == id)?;
        Some(Pending {
            id,
            what: pending.what.clone(),
            in_secs: pending.until_ns.saturating_sub(now_ns).div_ceil(SECOND),
        })
    }

    pub(super) fn mode_state(&self, now_ns: u64) -> ModeState {
        let pending = self.policy.pending_mode().map(|(id, until_ns, returns_to)| Reversion {
            id,
            returns_to,
            in_secs: until_ns.saturating_sub(now_ns).div_ceil(SECOND),
        });
        ModeState { mode: self.policy.mode(), since: rfc3339(self.policy.mode_since_ns()), pending }
    }

    pub(super) fn allow_lines(&mut self, now_ns: u64) -> anyhow::Result<Vec<AllowLine>> {
        let spared: Vec<(Network, EntryNumber, Exempted)> = self
            .policy
            .exceptions()
            .map(|(network, number, source)| (*network, number, source.clone()))
            .collect();
        let mut lines = Vec::new();
        let mut hits_of_entry = BTreeMap::new();
        for (network, number, source) in spared {
            let hits = self.kernel.entry_stats(number)?.packets;
            if let ExceptionKind::Allowed(id) = &source.kind {
                hits_of_entry.insert(id.clone(), hits);
                continue;
            }
            lines.push(AllowLine {
                id: format!("n{number}"),
                kind: kind(&source.kind),
                network: Some(network),
                source: None,
                destination: None,
                name: None,
                port: None,
                reason: if source.why.is_empty() {
                    source.kind.name().to_owned()
                } else {
                    source.why
                },
                expires: None,
                hits,
                sessions: 0,
                effect: AllowEffect::NeverBlocked,
            });
        }
        let list = self.engine.allow();
        let live = list.entries().filter(|allowed| allowed.until_ns > now_ns);
        lines.extend(live.map(|allowed| allow_line(allowed, hits_of_entry.get(&allowed.id))));
        Ok(lines)
    }

    pub(super) fn allow_line_of(&mut self, id: &str, now_ns: u64) -> anyhow::Result<AllowLine> {
        let mut lines = self.allow_lines(now_ns)?.into_iter();
        let gone = || Refusal::not_found(format!("entry {id} is gone"));
        lines.find(|line| line.id == id).with_context(gone)
    }

    pub(super) fn budget_lines(
        &mut self,
        meant: impl Fn(&BudgetKey) -> bool,
        now_ns: u64,
    ) -> anyhow::Result<Vec<BudgetLine>> {
        let mut budgets = self.kernel.budgets()?;
        budgets.retain(|(key, _)| meant(key));
        // Those that are held, then those that sent most.
        budgets.sort_by_key(|(key, budget)| {
            (budget.held_since == 0, std::cmp::Reverse(budget.charged), *key)
        });
        Ok(budgets.iter().map(|(key, budget)| self.budget_line(key, budget, now_ns)).collect())
    }

    pub(super) fn budget_line(&self, key: &BudgetKey, budget: &Budget, now_ns: u64) -> BudgetLine {
        let held = (budget.held_since != 0 && budget.limit != Budget::FREE)
            .then(|| now_ns.saturating_sub(self.base.ns(budget.held_since)) as f64 / 1e9);
        let state = match (held, budget.limit, budget.timed_out) {
            (Some(_), ..) => "held",
            (None, Budget::FREE, 0) => "free",
            (None, Budget::FREE, _) => "free: no verdict came in time",
            (None, ..) => "open",
        };
        BudgetLine {
            home: ip(&key.home),
            destination: ip(&key.destination),
            limit: (budget.limit != Budget::FREE).then_some(budget.limit),
            charged: budget.charged,
            held_packets: budget.held_packets,
            held_bytes: budget.held_bytes,
            held_secs: held,
            state: state.to_owned(),
        }
    }

    pub(super) fn status_reply(&mut self, now_ns: u64) -> anyhow::Result<Answer> {
        let accounting = self.kernel.accounting()?;
        let totals = &accounting.totals;
        let counters = [
            ("packets", totals.frames.packets),
            ("bytes", totals.frames.bytes),
            ("flows", u64::from(accounting.live_flows)),
            ("alerts", self.engine.counts().alerts),
            ("dropped_packets", totals.dropped.packets),
            ("dropped_bytes", totals.dropped.bytes),
            ("policed_packets", totals.policed.packets),
            ("held_packets", totals.held.packets),
            ("marked_packets", totals.marked.packets),
            ("simulated_packets", totals.simulated.packets),
            ("budgets_refused", totals.budgets_refused),
            ("budgets_timed_out", totals.budgets_timed_out),
            ("overflow_bytes", totals.overflow.bytes),
            ("events_lost", totals.events_lost),
            ("heads_over_budget", totals.first_payloads_refused),
            ("output_lines_dropped", self.sink.dropped()),
            ("audit_records_lost", self.audit.failed()),
        ];
        let tables = self.kernel.policy_tables()?;
        let when_full = |name: &str| match name {
            "BUDGETS" => "new pairs pass without a budget, counted as budgets_refused",
            _ => "what is new is refused; nothing is evicted",
        };
        Ok(Answer::Status(StatusReply {
            pid: std::process::id(),
            version: env!("CARGO_PKG_VERSION").to_owned(),
            mode: self.policy.mode(),
            interfaces: self
                .kernel
                .watched()
                .map(|watched| watched.interface.name.clone())
                .collect(),
            tables: tables
                .into_iter()
                .map(|table| TableUse {
                    name: table.name.to_owned(),
                    used: u64::from(table.used),
                    capacity: u64::from(table.capacity),
                    bytes: table.bytes,
                    when_full: when_full(table.name).to_owned(),
                })
                .collect(),
            counters: counters.iter().map(|(name, count)| ((*name).to_owned(), *count)).collect(),
            pending: self
                .policy
                .pending()
                .map(|(id, pending)| Pending {
                    id,
                    what: pending.what.clone(),
                    in_secs: pending.until_ns.saturating_sub(now_ns).div_ceil(SECOND),
                })
                .collect(),
        }))
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
    let Allowed { id, entry, at_run_time, until_ns, hits: sessions, .. } = allowed;
    AllowLine {
        id: id.clone(),
        kind: if *at_run_time { AllowKind::Operator } else { AllowKind::Configured },
        network: entry.whole_network(),
        source: entry.source,
        destination: entry.destination,
        name: entry.name.clone(),
        port: entry.port,
        reason: entry.reason.clone(),
        expires: (*until_ns != u64::MAX).then(|| rfc3339(*until_ns)),
        hits: hits.copied().unwrap_or(0),
        sessions: *sessions,
        // One of the configuration with an end is no exception of the kernel's.
        effect: if hits.is_some() { AllowEffect::NeverBlocked } else { AllowEffect::NoAlerts },
    }
}
