//! Changes that return to what was unless somebody confirms them.
//!
//! Each is put to the enforcer with the time at which the old state returns by itself, so that it
//! returns when the agent is gone, too. Here the policy state follows.

use std::time::Duration;

use super::exceptions::ALWAYS;
use super::{AGENT, PolicyState};
use crate::network::Network;
use crate::refusal::Refusal;
use crate::response::change::{Change, ChangeKind};
use crate::response::enforcer::{Enforcer, EntryNumber, Span};
use crate::response::mode::Mode;
use crate::timestamp::Timestamp;

/// Changes that wait for confirmation at once.
const MAX_PENDING: usize = 1_024;

/// A change that returns to what was unless it is confirmed.
#[derive(Clone, Debug)]
pub struct Pending {
    pub what: String,
    pub who: String,
    pub until: Timestamp,
    pub(super) change: Undo,
}

/// How to go back, and what to do when there is no going back any more.
#[derive(Clone, Debug)]
pub(super) enum Undo {
    Mode {
        old: Mode,
    },
    /// Was placed, and ends.
    Placed(EntryNumber),
    /// Were suspended, and come back.
    Suspended(Vec<EntryNumber>),
    /// Was allowed under this id, with the span it has if it is confirmed, and the blocks that it
    /// suspended.
    Allowed {
        network: Option<Network>,
        id: String,
        span: Span,
        suspended: Vec<EntryNumber>,
    },
    /// Was disallowed, and comes back.
    Disallowed {
        network: Option<Network>,
        id: String,
    },
}

impl Pending {
    /// Leaves a block out that has ended. True where nothing else is left to wait for.
    pub(super) fn forget(&mut self, number: EntryNumber) -> bool {
        match &mut self.change {
            Undo::Placed(placed) => *placed == number,
            Undo::Suspended(numbers) => {
                numbers.retain(|suspended| *suspended != number);
                numbers.is_empty()
            }
            Undo::Allowed { suspended, .. } => {
                suspended.retain(|suspended| *suspended != number);
                false
            }
            Undo::Mode { .. } | Undo::Disallowed { .. } => false,
        }
    }
}

impl PolicyState {
    pub(super) fn room_for_pending(&self, confirm: Option<Duration>) -> Result<(), Refusal> {
        const FIELD: &str = "confirm_within_secs";
        let Some(within) = confirm else { return Ok(()) };
        let (secs, max) = (within.as_secs(), self.policy.max_ttl);
        if within.is_zero() {
            let text = "the time to confirm is 0 s: use at least 1 s";
            return Err(Refusal::invalid(FIELD, text));
        }
        if within > max {
            let max_secs = max.as_secs();
            let text = format!("the time to confirm is {secs} s: use at most {max_secs} s");
            return Err(Refusal::invalid(FIELD, text));
        }
        if self.pending.len() >= MAX_PENDING {
            return Err(Refusal::conflict(format!(
                "{MAX_PENDING} changes wait for confirmation already: confirm them with `detector \
                 confirm`"
            )));
        }
        Ok(())
    }

    pub(super) fn wait(&mut self, what: String, who: &str, until: Timestamp, change: Undo) -> u64 {
        self.last_pending += 1;
        let pending = Pending { what, who: who.to_owned(), until, change };
        self.pending.insert(self.last_pending, pending);
        self.last_pending
    }

    /// Changes that wait for confirmation.
    pub fn pending(&self) -> impl Iterator<Item = (u64, &Pending)> {
        self.pending.iter().map(|(id, pending)| (*id, pending))
    }

    /// The mode that returns unless it is confirmed: id, when, and which.
    #[must_use]
    pub fn pending_mode(&self) -> Option<(u64, Timestamp, Mode)> {
        self.pending.iter().find_map(|(id, pending)| match pending.change {
            Undo::Mode { old } => Some((*id, pending.until, old)),
            _ => None,
        })
    }

    /// Whether an allowlist entry was added and waits for its confirmation.
    #[must_use]
    pub(super) fn is_allow_pending(&self, entry: &str) -> bool {
        self.pending
            .values()
            .any(|pending| matches!(&pending.change, Undo::Allowed { id, .. } if id == entry))
    }

    /// Confirms one change, or all. Returns which.
    pub fn confirm(
        &mut self,
        id: Option<u64>,
        who: &str,
        now: Timestamp,
        enforcer: &mut dyn Enforcer,
    ) -> Result<Vec<String>, Refusal> {
        let ids: Vec<u64> = match id {
            Some(id) => {
                if !self.pending.contains_key(&id) {
                    return Err(Refusal::not_found(format!(
                        "no change {id} waits for confirmation: it was already confirmed or undone"
                    )));
                }
                vec![id]
            }
            None => self.pending.keys().copied().collect(),
        };
        let mut confirmed = Vec::new();
        for id in ids {
            let Some(pending) = self.pending.remove(&id) else { continue };
            self.keep(&pending, who, now, enforcer)?;
            self.changes.push(Change {
                why: pending.what.clone(),
                ..Change::new(ChangeKind::Confirmed, who)
            });
            confirmed.push(pending.what);
        }
        enforcer.commit()?;
        Ok(confirmed)
    }

    fn keep(
        &mut self,
        pending: &Pending,
        who: &str,
        now: Timestamp,
        enforcer: &mut dyn Enforcer,
    ) -> anyhow::Result<()> {
        match &pending.change {
            Undo::Mode { .. } => enforcer.set_mode(self.mode, None)?,
            Undo::Placed(number) => {
                if let Some(standing) = self.blocks.get_mut(number) {
                    standing.order.span.until = standing.until;
                    standing.pending = None;
                    enforcer.change(*number, &standing.order)?;
                }
            }
            Undo::Suspended(numbers) => {
                self.let_go(numbers, ChangeKind::Released, who, now, enforcer)?
            }
            Undo::Allowed { network, id, span, suspended } => {
                if let Some(network) = network {
                    let mut sources = self.sources(network);
                    for source in sources.iter_mut().filter(|source| source.is_entry(id)) {
                        source.span = *span;
                    }
                    self.set_sources(*network, sources, now, enforcer)?;
                }
                self.let_go(suspended, ChangeKind::Released, who, now, enforcer)?;
                self.allow_until(id, span.until);
            }
            Undo::Disallowed { network, id } => {
                if let Some(network) = network {
                    let mut sources = self.sources(network);
                    sources.retain(|source| !source.is_entry(id));
                    self.set_sources(*network, sources, now, enforcer)?;
                }
                self.remove_allowed(id);
            }
        }
        Ok(())
    }

    /// Returns to the old state what nobody confirmed in time. The enforcer has done so already.
    pub(super) fn revert_unconfirmed(
        &mut self,
        now: Timestamp,
        enforcer: &mut dyn Enforcer,
    ) -> anyhow::Result<()> {
        let over: Vec<u64> = self
            .pending
            .iter()
            .filter(|(_, pending)| pending.until <= now)
            .map(|(id, _)| *id)
            .collect();
        for id in &over {
            let Some(pending) = self.pending.remove(id) else { continue };
            self.revert(&pending, now, enforcer)?;
            self.changes.push(Change {
                why: format!("{}: not confirmed in time", pending.what),
                ..Change::new(ChangeKind::Reverted, pending.who)
            });
        }
        if over.is_empty() { Ok(()) } else { enforcer.commit() }
    }

    fn revert(
        &mut self,
        pending: &Pending,
        now: Timestamp,
        enforcer: &mut dyn Enforcer,
    ) -> anyhow::Result<()> {
        match &pending.change {
            Undo::Mode { old } => {
                enforcer.set_mode(*old, None)?;
                (self.mode, self.mode_since) = (*old, now);
            }
            Undo::Placed(number) => {
                if let Some(standing) = self.blocks.get_mut(number) {
                    standing.pending = None;
                }
                self.end(*number, ChangeKind::Expired, AGENT, now, enforcer)?;
            }
            Undo::Suspended(numbers) => self.resume(numbers, enforcer)?,
            Undo::Allowed { network, id, suspended, .. } => {
                if let Some(network) = network {
                    let mut sources = self.sources(network);
                    sources.retain(|source| !source.is_entry(id));
                    self.set_sources(*network, sources, now, enforcer)?;
                }
                self.resume(suspended, enforcer)?;
            }
            Undo::Disallowed { network, id } => {
                if let Some(network) = network {
                    let mut sources = self.sources(network);
                    for source in sources.iter_mut().filter(|source| source.is_entry(id)) {
                        source.span.from = ALWAYS.from;
                    }
                    self.set_sources(*network, sources, now, enforcer)?;
                }
            }
        }
        Ok(())
    }

    fn resume(
        &mut self,
        numbers: &[EntryNumber],
        enforcer: &mut dyn Enforcer,
    ) -> anyhow::Result<()> {
        for number in numbers {
            if let Some(standing) = self.blocks.get_mut(number) {
                standing.order.span.from = Timestamp::EPOCH;
                standing.pending = None;
                enforcer.change(*number, &standing.order)?;
            }
        }
        Ok(())
    }
}
