//! What people ask of the running agent, carried out between two packets' news.

use std::time::Duration;

use detector_common::FlowCounters;
use detector_common::policy::BudgetKey;

use super::Agent;
use crate::control::server::Call;
use crate::control::{
    AllowEffect, AllowLine, Answer, BlockLine, DomainLine, EffectWanted, Explanation, Pending,
    VerifiedHow, VerifyLine,
};
use crate::control::{Reply, Request};
use crate::network::{ip, octets};
use crate::refusal::Refusal;
use crate::response::policy::police;
use crate::response::policy_state::{ActiveBlock, Add, AllowSettled};
use crate::response::{ChangeKind, Effect, Enforcer as _, EntryNumber, Span, Target};
use crate::state::{Kept, KeptAllow, KeptRelease};
use crate::verdict::allow::Entry;

const SECOND: u64 = 1_000_000_000;
/// Budgets in one answer.
const MAX_BUDGETS: usize = 10_000;
/// Blocks that every flow is compared with at once: what traffic waits for meanwhile.
const MAX_VERIFIED: usize = 64;

impl Agent {
    /// Answers one call.
    pub(super) fn answer(&mut self, call: Call) {
        let Call { request, peer, reply } = call;
        let who = peer.to_string();
        let outcome = self.carry_out(&request, &who);
        if let Err(refusal) = &outcome {
            tracing::info!("{who} was refused: {refusal}");
            self.note_refusal(&request, &who, refusal);
        }
        self.note_changes();
        if request.is_change() {
            self.audit.flush();
        }
        if reply.send(Reply::from(outcome)).is_err() {
            tracing::debug!("{who} did not wait for the answer");
        }
    }

    fn carry_out(&mut self, request: &Request, who: &str) -> Result<Answer, Refusal> {
        let now_ns = self.now_ns()?;
        let confirm = request.confirm_within_secs().map(Duration::from_secs);
        match request {
            Request::BlocksList {} => Ok(Answer::Blocks { blocks: self.block_lines(now_ns)? }),
            Request::BlocksAdd { target, ttl_secs, effect, simulate, reason, .. } => {
                let add = Add {
                    target: *target,
                    effect: wanted(*effect),
                    simulated: *simulate,
                    ttl: ttl_secs.map(Duration::from_secs),
                    why: reason.clone(),
                };
                let placed = self.policy.add(&add, who, confirm, now_ns, &mut self.kernel)?;
                let pending = self.pending_line(placed.pending, now_ns);
                Ok(Answer::Placed { block: self.block_line(placed.number, now_ns)?, pending })
            }
            Request::BlocksRemove { target, number, .. } => {
                let number = self.policy.find(*number, target.as_ref())?;
                self.release(&[number], ChangeKind::Released, who, confirm, now_ns)
            }
            Request::BlocksFlush { .. } => {
                let all: Vec<EntryNumber> =
                    self.policy.blocks().map(|(number, _)| number).collect();
                self.release(&all, ChangeKind::Flushed, who, confirm, now_ns)
            }
            Request::BlocksVerify { target, number } => {
                let number = match (number, target) {
                    (None, None) => None,
                    _ => Some(self.policy.find(*number, target.as_ref())?),
                };
                Ok(Answer::Verified { blocks: self.verify(number)? })
            }
            Request::BlocksExport {} => {
                let line =
                    |(domain, block): (&str, &crate::response::policy_state::DomainBlock)| {
                        DomainLine {
                            domain: domain.to_owned(),
                            alert: Some(block.alert.to_string()),
                        }
                    };
                Ok(Answer::Domains { domains: self.policy.domains(now_ns).map(line).collect() })
            }
            Request::AllowList {} => Ok(Answer::Allow { allow: self.allow_lines(now_ns)? }),
            Request::AllowAdd { source, destination, name, port, reason, ttl_secs, .. } => {
                let entry = Entry {
                    source: *source,
                    destination: *destination,
                    name: name.clone(),
                    port: *port,
                    reason: reason.clone(),
                    expires: None,
                };
                self.allow(entry, ttl_secs.map(Duration::from_secs), who, confirm, now_ns)
            }
            Request::AllowRemove { id, .. } => self.disallow(id, who, confirm, now_ns),
            Request::Mode {} => Ok(Answer::Mode(self.mode_state(now_ns))),
            Request::SetMode { mode, .. } => {
                self.policy.set_mode(*mode, who, confirm, now_ns, &mut self.kernel)?;
                self.mode_changed();
                Ok(Answer::Mode(self.mode_state(now_ns)))
            }
            Request::Confirm { id } => self.confirm(*id, who, now_ns),
            Request::Explain { address } => Ok(self.explain(&octets(*address), now_ns)?),
            Request::Budgets {} => {
                let mut budgets = self.budget_lines(|_| true, now_ns)?;
                let more = budgets.len().saturating_sub(MAX_BUDGETS);
                budgets.truncate(MAX_BUDGETS);
                Ok(Answer::Budgets { budgets, more: more as u64 })
            }
            Request::BudgetsRaise { home, destination, bytes } => {
                let key = BudgetKey { home: octets(*home), destination: octets(*destination) };
                self.policy.raise_budget(&key, *bytes, who, &mut self.kernel)?;
                let budget = self.kernel.budget(&key)?;
                let budget = budget.ok_or_else(|| Refusal::not_found("the budget is gone"))?;
                Ok(Answer::Raised { budget: self.budget_line(&key, &budget, now_ns) })
            }
            Request::Status {} => Ok(self.status_reply(now_ns)?),
            Request::Sessions { sort, limit } => Ok(self.session_lines(*sort, *limit)?),
            Request::Baselines {} => Ok(self.baseline_lines()?),
            Request::Interfaces {} => Ok(self.interface_lines()?),
            Request::Watch { name } => Ok(self.say_interface(name, true)?),
            Request::Unwatch { name } => Ok(self.say_interface(name, false)?),
            Request::UseModel { hash } => Ok(self.use_model(hash)?),
            Request::Reload {} => self.reload(who),
        }
    }

    fn release(
        &mut self,
        numbers: &[EntryNumber],
        kind: ChangeKind,
        who: &str,
        confirm: Option<Duration>,
        now_ns: u64,
    ) -> Result<Answer, Refusal> {
        let mut blocks = Vec::with_capacity(numbers.len());
        for number in numbers {
            blocks.push(self.block_line(*number, now_ns)?);
        }
        let pending = self.policy.release(numbers, kind, who, confirm, now_ns, &mut self.kernel)?;
        self.keep_state(now_ns);
        Ok(Answer::Removed { blocks, pending: self.pending_line(pending, now_ns) })
    }

    fn allow(
        &mut self,
        entry: Entry,
        ttl: Option<Duration>,
        who: &str,
        confirm: Option<Duration>,
        now_ns: u64,
    ) -> Result<Answer, Refusal> {
        entry.check().map_err(Refusal::malformed)?;
        if let Some(network) = entry.whole_network() {
            let default = Target::Destination(network);
            let whole = network.prefix().length == 0
                || self.policy.policy().home.iter().any(|home| network.covers(home));
            if whole {
                return Err(Refusal::conflict(format!(
                    "{default} is refused: it would spare the default route or a home network as a \
                     whole, and nothing could be blocked any more"
                ))
                .at("destination"));
            }
        }
        let id = self.next_allow_id();
        let until_ns = ttl.map_or(u64::MAX, |ttl| now_ns.saturating_add(ttl.as_nanos() as u64));
        let network = entry.whole_network();
        let covers = |standing: &ActiveBlock| {
            standing.parties.as_ref().is_some_and(|parties| {
                let name = parties.domain.as_deref().or(parties.dst_name.as_deref());
                entry.covers_ends(&parties.src, &parties.dst, parties.server_port, name)
            })
        };
        let before = self.policy.blocks().count();
        let span = Span { from_ns: 0, until_ns };
        let pending = self.policy.allow(
            &id,
            network,
            &entry.reason,
            span,
            &covers,
            who,
            confirm,
            now_ns,
            &mut self.kernel,
        )?;
        let released = before.saturating_sub(self.policy.blocks().count());
        let added = self.engine.allow_mut().add(id.clone(), entry, true);
        added.map_err(Refusal::malformed)?;
        if let Some(allowed) = self.engine.allow_mut().entry(&id) {
            allowed.by = who.to_owned();
            let confirmed = pending.and(confirm).map(|within| within.as_nanos() as u64);
            allowed.until_ns =
                confirmed.map_or(until_ns, |within| now_ns.saturating_add(within).min(until_ns));
        }
        if pending.is_none() {
            self.keep_state(now_ns);
        }
        let entry = self.allow_line_of(&id, now_ns)?;
        Ok(Answer::Allowed {
            entry,
            released: released as u64,
            pending: self.pending_line(pending, now_ns),
        })
    }

    fn disallow(
        &mut self,
        id: &str,
        who: &str,
        confirm: Option<Duration>,
        now_ns: u64,
    ) -> Result<Answer, Refusal> {
        let known = self.engine.allow_mut().entry(id).map(|allowed| allowed.at_run_time);
        match known {
            Some(true) => {}
            Some(false) => {
                return Err(Refusal::conflict(format!(
                    "entry {id} stands in the configuration: take it out of there and restart"
                )));
            }
            None => {
                return Err(Refusal::not_found(format!(
                    "there is no entry {id} that was added at run time: `detector allow list` shows \
                     those there are"
                )));
            }
        }
        let entry = self.allow_line_of(id, now_ns)?;
        let pending = self.policy.disallow(id, who, confirm, now_ns, &mut self.kernel)?;
        match confirm {
            None => {
                self.engine.allow_mut().remove(id);
                self.keep_state(now_ns);
            }
            Some(within) => {
                if let Some(allowed) = self.engine.allow_mut().entry(id) {
                    allowed.from_ns = now_ns.saturating_add(within.as_nanos() as u64);
                }
            }
        }
        Ok(Answer::Disallowed { entry, pending: self.pending_line(pending, now_ns) })
    }

    fn confirm(&mut self, id: Option<u64>, who: &str, now_ns: u64) -> Result<Answer, Refusal> {
        let waiting: Vec<Pending> = self
            .policy
            .pending()
            .filter(|(waiting, _)| id.is_none_or(|id| id == *waiting))
            .map(|(id, pending)| Pending {
                id,
                what: pending.what.clone(),
                in_secs: pending.until_ns.saturating_sub(now_ns) / SECOND,
            })
            .collect();
        let (_, settled) = self.policy.confirm(id, who, now_ns, &mut self.kernel)?;
        for settled in settled {
            match settled {
                AllowSettled::Stays { id, until_ns } => {
                    if let Some(allowed) = self.engine.allow_mut().entry(&id) {
                        allowed.until_ns = until_ns;
                    }
                }
                AllowSettled::Goes(id) => {
                    self.engine.allow_mut().remove(&id);
                }
            }
        }
        self.keep_state(now_ns);
        Ok(Answer::Confirmed { confirmed: waiting })
    }

    fn explain(&mut self, address: &[u8; 16], now_ns: u64) -> anyhow::Result<Answer> {
        let home = self.policy.policy().home.iter().any(|home| home.contains(address));
        let mut sentences = self.policy.explain(address, now_ns);
        let allow: Vec<AllowLine> = self
            .allow_lines(now_ns)?
            .into_iter()
            .filter(|line| {
                let networks = [line.network, line.source, line.destination];
                networks.iter().flatten().any(|network| network.contains(address))
            })
            .collect();
        for line in allow.iter().filter(|line| line.effect == AllowEffect::NoAlerts) {
            sentences.push(format!("entry {} raises no alerts about it: {}", line.id, line.reason));
        }
        let lines = self.block_lines(now_ns)?.into_iter();
        let blocks: Vec<BlockLine> = lines.filter(|line| line.target.concerns(address)).collect();
        let budgets =
            self.budget_lines(|key| key.home == *address || key.destination == *address, now_ns)?;
        for line in budgets.iter().filter(|line| line.held_secs.is_some()) {
            sentences.push(format!(
                "payload from {} to {} is held: its budget is spent",
                line.home, line.destination
            ));
        }
        Ok(Answer::Explanation(Explanation {
            address: ip(address),
            home,
            sentences,
            blocks,
            allow,
            budgets,
        }))
    }

    /// What each block has dropped so far, and what of its flows has passed: two readings a while
    /// apart tell whether it holds.
    fn verify(&mut self, number: Option<EntryNumber>) -> Result<Vec<VerifyLine>, Refusal> {
        let mut lines = Vec::new();
        let meant: Vec<(EntryNumber, Target)> = self
            .policy
            .blocks()
            .filter(|(known, _)| number.is_none_or(|number| number == *known))
            .map(|(number, standing)| (number, standing.order.target))
            .collect();
        if meant.len() > MAX_VERIFIED {
            return Err(Refusal::conflict(format!(
                "{} blocks stand, at most {MAX_VERIFIED} are verified at once: name one by its number",
                meant.len()
            )));
        }
        let mut passed = vec![0_u64; meant.len()];
        self.kernel.each_flow(|key, counters| {
            for ((_, target), passed) in meant.iter().zip(&mut passed) {
                if target.covers(key, counters.home) {
                    *passed += passed_packets(counters);
                }
            }
        })?;
        for ((number, target), passed_packets) in meant.into_iter().zip(passed) {
            let dropped_packets = self.kernel.entry_stats(number)?.packets;
            lines.push(VerifyLine {
                number,
                target,
                how: VerifiedHow::DropCounters,
                holds: None,
                dropped_packets,
                passed_packets,
                text: String::new(),
            });
        }
        Ok(lines)
    }

    /// The next free id of an entry added at run time.
    fn next_allow_id(&self) -> String {
        let taken = |id: &str| self.engine.allow().entries().any(|allowed| allowed.id == id);
        (1_u64..).map(|number| format!("o{number}")).find(|id| !taken(id)).unwrap_or_default()
    }

    /// Writes down what a person said, for the next start.
    pub(super) fn keep_state(&mut self, now_ns: u64) {
        let waiting = |id: &str| self.policy.is_allow_pending(id);
        let entries = self.engine.allow().entries();
        let allow: Vec<KeptAllow> = entries
            .filter(|allowed| allowed.at_run_time && allowed.until_ns > now_ns)
            .filter(|allowed| !waiting(&allowed.id))
            .map(|allowed| KeptAllow {
                id: allowed.id.clone(),
                source: allowed.entry.source,
                destination: allowed.entry.destination,
                name: allowed.entry.name.clone(),
                port: allowed.entry.port,
                reason: allowed.entry.reason.clone(),
                by: allowed.by.clone(),
                until_ns: (allowed.until_ns != u64::MAX).then_some(allowed.until_ns),
            })
            .collect();
        let released = self
            .policy
            .releases()
            .map(|((source, destination), until_ns)| KeptRelease {
                source: ip(source).to_string(),
                destination: ip(destination).to_string(),
                until_ns,
            })
            .collect();
        if let Err(error) = self.state.save(&Kept { allow, released, ..Kept::default() }) {
            tracing::error!("what was said at run time may be forgotten by a restart: {error:#}");
        }
    }
}

fn passed_packets(counters: &FlowCounters) -> u64 {
    counters.halves.iter().map(|half| half.packets.saturating_sub(half.dropped_packets)).sum()
}

fn wanted(effect: EffectWanted) -> Effect {
    match effect {
        EffectWanted::Drop => Effect::Drop,
        EffectWanted::Police { bytes_per_second } => police(bytes_per_second),
        EffectWanted::Mark { dscp } => Effect::Mark { dscp },
    }
}
