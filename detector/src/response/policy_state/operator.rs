//! What people ask for: blocks, releases, modes, each with or without confirmation.

use std::time::Duration;

use super::pending::Undo;
use super::{ActiveBlock, Endpoints, MAX_MEMORIES, PolicyState, make_room};
use crate::network::Address;
use crate::refusal::Refusal;
use crate::response::change::{Change, ChangeKind};
use crate::response::enforcer::{BlockSpec, Effect, Enforcer, EntryNumber, Span};
use crate::response::mode::Mode;
use crate::response::target::Target;
use crate::timestamp::Timestamp;

/// A block that somebody asks for.
#[derive(Clone, Debug)]
pub struct Add {
    pub target: Target,
    pub effect: Effect,
    pub simulated: bool,
    pub ttl: Option<Duration>,
    pub why: String,
}

/// What became of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Placed {
    pub number: EntryNumber,
    pub pending: Option<u64>,
}

impl PolicyState {
    /// Places a block for a person. One that is active on the same target is changed to what is
    /// asked.
    ///
    /// # Errors
    ///
    /// What it would cut off, a time to live out of bounds, a full table: named, with the remedy.
    pub fn add(
        &mut self,
        add: &Add,
        who: &str,
        confirm: Option<Duration>,
        now: Timestamp,
        enforcer: &mut dyn Enforcer,
    ) -> Result<Placed, Refusal> {
        let Add { target, effect, simulated, ttl, why } = add;
        let ttl = self.checked_ttl(*ttl)?;
        if let Some(conflict) = self.conflict(target, now) {
            return Err(Refusal::conflict(format!("{target} is refused: {conflict}")).at("target"));
        }
        self.room_for_pending(confirm)?;
        let until = now + ttl;
        let confirm_by = confirm.map(|within| now + within);
        let span = Span::until(confirm_by.unwrap_or(until).min(until));
        let order = BlockSpec {
            target: *target,
            effect: *effect,
            span,
            by_agent: false,
            simulated: *simulated,
            reason: 0,
        };
        let standing = ActiveBlock {
            order,
            by: who.to_owned(),
            why: why.clone(),
            alert: None,
            placed: now,
            until,
            times: 1,
            pending: None,
            parties: None,
            watched: None,
        };
        let mut change = Change::of_standing(ChangeKind::Placed, &standing);
        let number = self.enter(standing, now, enforcer)?;
        enforcer.commit()?;
        let pending = confirm_by
            .filter(|confirm| *confirm < until)
            .map(|until| self.wait(format!("block {target}"), who, until, Undo::Placed(number)));
        if let Some(standing) = self.blocks.get_mut(&number) {
            standing.pending = pending;
        }
        (change.number, change.ttl_secs) = (Some(number), Some(ttl.as_secs()));
        change.detail = detail(*simulated, confirm);
        self.changes.push(change);
        Ok(Placed { number, pending })
    }

    /// How long a block lasts that is to last so long, or as long as is configured.
    fn checked_ttl(&self, ttl: Option<Duration>) -> Result<Duration, Refusal> {
        let ttl = ttl.unwrap_or(self.policy.ttl);
        let max_secs = self.policy.max_ttl.as_secs();
        if ttl.is_zero() {
            let text = format!("the ttl is 0 s: use 1 s to {max_secs} s");
            return Err(Refusal::invalid("ttl_secs", text));
        }
        if ttl > self.policy.max_ttl {
            let secs = ttl.as_secs();
            let text = format!(
                "the ttl is {secs} s: use at most block.max_ttl_secs, which is {max_secs} s"
            );
            return Err(Refusal::invalid("ttl_secs", text));
        }
        Ok(ttl)
    }

    /// Finds a block by its number or its target.
    pub fn find(
        &self,
        number: Option<EntryNumber>,
        target: Option<&Target>,
    ) -> Result<EntryNumber, Refusal> {
        const LIST: &str = "`detector blocks list` shows the active ones";
        match (number, target) {
            (Some(number), _) if self.blocks.contains_key(&number) => Ok(number),
            (Some(number), _) => {
                Err(Refusal::not_found(format!("there is no block {number}: {LIST}")))
            }
            (None, Some(target)) => {
                self.numbers.get(&target.identity()).copied().ok_or_else(|| {
                    Refusal::not_found(format!("there is no block of {target}: {LIST}"))
                })
            }
            (None, None) => Err(Refusal::invalid("number", "give the block's number or target")),
        }
    }

    /// Releases blocks, and leaves whom they were about alone for a while. With a confirmation
    /// they come back unless it comes in time.
    pub fn release(
        &mut self,
        numbers: &[EntryNumber],
        kind: ChangeKind,
        who: &str,
        confirm: Option<Duration>,
        now: Timestamp,
        enforcer: &mut dyn Enforcer,
    ) -> Result<Option<u64>, Refusal> {
        self.room_for_pending(confirm)?;
        let Some(within) = confirm else {
            self.let_go(numbers, kind, who, now, enforcer)?;
            enforcer.commit()?;
            return Ok(None);
        };
        let until = now + within;
        let suspended = self.suspend(numbers, until, enforcer)?;
        enforcer.commit()?;
        for number in &suspended {
            if let Some(standing) = self.blocks.get(number) {
                let mut change = Change::of_standing(ChangeKind::Suspended, standing);
                (change.who, change.number) = (who.to_owned(), Some(*number));
                change.detail = detail(false, confirm);
                self.changes.push(change);
            }
        }
        let what = match suspended.as_slice() {
            [number] => format!("remove block {number}"),
            numbers => format!("remove {}", crate::units::counted(numbers.len() as u64, "block")),
        };
        let id = self.wait(what, who, until, Undo::Suspended(suspended.clone()));
        for number in &suspended {
            if let Some(standing) = self.blocks.get_mut(number) {
                standing.pending = Some(id);
            }
        }
        Ok(Some(id))
    }

    /// Takes blocks out of force until a time at which they come back by themselves.
    pub(super) fn suspend(
        &mut self,
        numbers: &[EntryNumber],
        until: Timestamp,
        enforcer: &mut dyn Enforcer,
    ) -> anyhow::Result<Vec<EntryNumber>> {
        let mut suspended = Vec::new();
        for number in numbers {
            let Some(standing) = self.blocks.get_mut(number) else { continue };
            standing.order.span.from = until;
            enforcer.change(*number, &standing.order)?;
            suspended.push(*number);
        }
        Ok(suspended)
    }

    /// Ends blocks, whose flagged the agent then leaves alone.
    pub(super) fn let_go(
        &mut self,
        numbers: &[EntryNumber],
        kind: ChangeKind,
        who: &str,
        now: Timestamp,
        enforcer: &mut dyn Enforcer,
    ) -> anyhow::Result<()> {
        for number in numbers {
            self.leave_alone(*number, now);
            self.end(*number, kind, who, now, enforcer)?;
        }
        Ok(())
    }

    /// The agent does not block the flagged of this block again for a while.
    fn leave_alone(&mut self, number: EntryNumber, now: Timestamp) {
        let Some(standing) = self.blocks.get(&number) else { return };
        let pair = match (&standing.parties, standing.order.target) {
            (Some(Endpoints { src, dst, .. }), _) => (*src, *dst),
            (None, Target::Pair { home, destination }) => (home, destination),
            (None, Target::Flow { key, destination }) => {
                let other = if key.low == destination.octets() { key.high } else { key.low };
                (other.into(), destination)
            }
            _ => return,
        };
        let until = now + self.policy.released;
        self.keep_released(pair, until);
    }

    /// Remembers a release, also one from before a restart.
    pub fn keep_released(&mut self, pair: (Address, Address), until: Timestamp) {
        make_room(&mut self.released, |until| *until);
        if self.released.len() < MAX_MEMORIES {
            self.released.insert(pair, until);
        }
    }

    /// Changes how far the agent goes.
    pub fn set_mode(
        &mut self,
        mode: Mode,
        who: &str,
        confirm: Option<Duration>,
        now: Timestamp,
        enforcer: &mut dyn Enforcer,
    ) -> Result<Option<u64>, Refusal> {
        self.room_for_pending(confirm)?;
        // What an earlier change would return to is what this one returns to.
        let waiting = self.pending.iter().find_map(|(id, pending)| match pending.change {
            Undo::Mode { old } => Some((*id, old)),
            _ => None,
        });
        let old = waiting.map_or(self.mode, |(_, old)| old);
        let confirm_by = confirm.map(|within| now + within);
        enforcer.set_mode(mode, confirm_by.map(|until| (until, old)))?;
        enforcer.commit()?;
        if let Some((id, _)) = waiting {
            self.pending.remove(&id);
        }
        (self.mode, self.mode_since) = (mode, now);
        self.changes.push(Change {
            mode: Some(mode),
            why: format!("was {old}"),
            detail: detail(false, confirm),
            ..Change::new(ChangeKind::Mode, who)
        });
        Ok(confirm_by.map(|until| {
            self.wait(format!("mode {mode}, returns to {old}"), who, until, Undo::Mode { old })
        }))
    }
}

pub(super) fn detail(simulated: bool, confirm: Option<Duration>) -> Option<String> {
    match (simulated, confirm) {
        (true, _) => Some("counts only".to_owned()),
        (false, Some(within)) => Some(format!("must be confirmed within {} s", within.as_secs())),
        (false, None) => None,
    }
}
