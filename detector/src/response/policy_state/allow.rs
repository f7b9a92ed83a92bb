//! The allowlist: entries of the configuration, and those that people add at run time.
//!
//! This is the one place that changes it. Whoever scores by it gets the list as it is now, see
//! [`PolicyState::allowlist`]; the enforcer gets an exception for each entry that names a network
//! and nothing else.

use std::sync::Arc;
use std::time::Duration;

use super::exceptions::{ExceptionKind, Exempted};
use super::operator::detail;
use super::pending::Undo;
use super::{ActiveBlock, PolicyState};
use crate::network::Network;
use crate::refusal::Refusal;
use crate::response::change::{Change, ChangeKind};
use crate::response::enforcer::{Enforcer, EntryNumber, Span};
use crate::response::target::Target;
use crate::timestamp::Timestamp;
use crate::verdict::AllowList;
use crate::verdict::allow::{Allowed, Entry};

/// What became of an entry that somebody asks for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NowAllowed {
    pub id: String,
    /// Blocks that ended because of it.
    pub released: usize,
    pub pending: Option<u64>,
}

impl PolicyState {
    /// The list as it is now. A later one is another: compare with [`Arc::ptr_eq`].
    #[must_use]
    pub fn allowlist(&self) -> &Arc<AllowList> {
        &self.allowlist
    }

    /// Puts the configuration's entries in the place of those that it had. The networks of the
    /// former ones stay spared until the next call of [`PolicyState::set_protected_peers`].
    ///
    /// # Errors
    ///
    /// An entry that makes no sense; everything stays as it was then.
    pub fn configure_allowlist(&mut self, entries: &[Entry]) -> anyhow::Result<()> {
        Arc::make_mut(&mut self.allowlist).reconfigure(entries).map_err(anyhow::Error::msg)?;
        let list = Arc::clone(&self.allowlist);
        self.forget_allowed(|id| !list.entry(id).is_some_and(|known| known.at_run_time));
        Ok(())
    }

    /// Adds an entry for a person: spares its network where it names nothing else, and releases the
    /// blocks that it covers.
    pub fn allow(
        &mut self,
        entry: Entry,
        ttl: Option<Duration>,
        who: &str,
        confirm: Option<Duration>,
        now: Timestamp,
        enforcer: &mut dyn Enforcer,
    ) -> Result<NowAllowed, Refusal> {
        entry.check().map_err(Refusal::malformed)?;
        self.check_not_everything(&entry)?;
        self.room_for_pending(confirm)?;
        let ends = |after: Duration| now + after;
        let until = ttl.map_or(Timestamp::MAX, ends);
        let before = self.blocks.len();
        let id = self.allowlist.next_id();
        let allowed = Allowed::at_run_time(id.clone(), entry, who.to_owned(), until);
        let pending = self.put_in_force(allowed, confirm, now, enforcer)?;
        Ok(NowAllowed { id, released: before.saturating_sub(self.blocks.len()), pending })
    }

    /// Takes over an entry that was added in an earlier run, unless it has expired.
    pub fn allow_again(
        &mut self,
        allowed: Allowed,
        now: Timestamp,
        enforcer: &mut dyn Enforcer,
    ) -> anyhow::Result<()> {
        allowed.entry.check().map_err(anyhow::Error::msg)?;
        if allowed.until <= now {
            return Ok(());
        }
        self.put_in_force(allowed, None, now, enforcer).map(drop)
    }

    /// Has an entry take effect, for its own time or until its confirmation is due.
    fn put_in_force(
        &mut self,
        mut allowed: Allowed,
        confirm: Option<Duration>,
        now: Timestamp,
        enforcer: &mut dyn Enforcer,
    ) -> anyhow::Result<Option<u64>> {
        let confirm_by = confirm.map(|within| now + within);
        let span = Span::until(allowed.until);
        allowed.until = confirm_by.map_or(span.until, |due| due.min(span.until));
        let network = allowed.entry.whole_network();
        if let Some(network) = network {
            let kind = ExceptionKind::Allowed(allowed.id.clone());
            let span = Span { until: allowed.until, ..span };
            let mut sources = self.sources(&network);
            sources.push(Exempted { kind, why: allowed.entry.reason.clone(), span });
            self.set_sources(network, sources, now, enforcer)?;
        }
        let meant = self.covered_by(&allowed.entry, now);
        let mut change = Change {
            target: network.map(Target::Destination),
            why: allowed.entry.reason.clone(),
            until: (span.until != Timestamp::MAX).then_some(span.until),
            detail: Some(format!("entry {}, {} blocks released", allowed.id, meant.len())),
            ..Change::new(ChangeKind::Allowed, allowed.by.clone())
        };
        let pending = match confirm_by {
            None => {
                self.let_go(&meant, ChangeKind::Released, &allowed.by, now, enforcer)?;
                None
            }
            Some(until) => {
                let suspended = self.suspend(&meant, until, enforcer)?;
                change.detail = detail(false, confirm);
                let id = allowed.id.clone();
                let what = format!("allow {id}");
                let undo = Undo::Allowed { network, id, span, suspended };
                Some(self.wait(what, &allowed.by, until, undo))
            }
        };
        enforcer.commit()?;
        Arc::make_mut(&mut self.allowlist).add(allowed);
        self.changes.push(change);
        Ok(pending)
    }

    /// Blocks whose flagged an entry covers, or that an exception now forbids.
    fn covered_by(&self, entry: &Entry, now: Timestamp) -> Vec<EntryNumber> {
        let covers = |block: &ActiveBlock| {
            block.parties.as_ref().is_some_and(|parties| {
                let name = parties.domain.as_deref().or(parties.dst_name.as_deref());
                entry.covers_ends(parties.src, parties.dst, parties.server_port, name)
            })
        };
        let meant = self.blocks.iter().filter(|(_, block)| {
            covers(block) || self.conflict(&block.order.target, now).is_some()
        });
        meant.map(|(number, _)| *number).collect()
    }

    /// An entry may not spare so much that nothing could be blocked any more.
    fn check_not_everything(&self, entry: &Entry) -> Result<(), Refusal> {
        let Some(network) = entry.whole_network() else { return Ok(()) };
        let whole = network.prefix().length == 0
            || self.policy.home.iter().any(|home| network.covers(home));
        if whole {
            let default = Target::Destination(network);
            return Err(Refusal::conflict(format!(
                "{default} is refused: it covers the default route or a whole home network, so \
                 nothing could be blocked"
            ))
            .at("destination"));
        }
        Ok(())
    }

    /// An entry that a person may take out again.
    pub fn removable(&self, id: &str) -> Result<&Allowed, Refusal> {
        match self.allowlist.entry(id) {
            Some(allowed) if allowed.at_run_time => Ok(allowed),
            Some(_) => Err(Refusal::conflict(format!(
                "entry {id} comes from the configuration file: remove it there and restart"
            ))),
            None => Err(Refusal::not_found(format!(
                "there is no entry {id} that was added at run time: `detector allow list` shows \
                 the entries"
            ))),
        }
    }

    /// Takes an entry out, and spares its network no longer because of it; with a confirmation,
    /// until it returns.
    pub fn disallow(
        &mut self,
        id: &str,
        who: &str,
        confirm: Option<Duration>,
        now: Timestamp,
        enforcer: &mut dyn Enforcer,
    ) -> Result<Option<u64>, Refusal> {
        self.removable(id)?;
        self.room_for_pending(confirm)?;
        let confirm_by = confirm.map(|within| now + within);
        let network = self.allowed_network(id);
        if let Some(network) = network {
            let mut sources = self.sources(&network);
            match confirm_by {
                None => sources.retain(|source| !source.is_entry(id)),
                Some(confirm_by) => {
                    for source in sources.iter_mut().filter(|source| source.is_entry(id)) {
                        source.span.from = confirm_by;
                    }
                }
            }
            self.set_sources(network, sources, now, enforcer)?;
            enforcer.commit()?;
        }
        let list = Arc::make_mut(&mut self.allowlist);
        match confirm_by {
            None => drop(list.remove(id)),
            Some(confirm_by) => {
                if let Some(allowed) = list.entry_mut(id) {
                    allowed.from = confirm_by;
                }
            }
        }
        self.changes.push(Change {
            target: network.map(Target::Destination),
            why: "by request".to_owned(),
            detail: Some(format!("entry {id}")),
            ..Change::new(ChangeKind::Disallowed, who)
        });
        Ok(confirm_by.map(|until| {
            let undo = Undo::Disallowed { network, id: id.to_owned() };
            self.wait(format!("no longer allow {id}"), who, until, undo)
        }))
    }

    /// The entry was confirmed: it stays until its own end.
    pub(super) fn allow_until(&mut self, id: &str, until: Timestamp) {
        if let Some(allowed) = Arc::make_mut(&mut self.allowlist).entry_mut(id) {
            allowed.until = until;
        }
    }

    /// The removal of the entry was confirmed.
    pub(super) fn remove_allowed(&mut self, id: &str) {
        Arc::make_mut(&mut self.allowlist).remove(id);
    }

    /// Takes out the entries whose time is over.
    pub(super) fn expire_allowed(&mut self, now: Timestamp) {
        // Looked at first: a change makes a copy of the list.
        if self.allowlist.has_expired(now) {
            Arc::make_mut(&mut self.allowlist).expire(now);
        }
    }

    /// Entries added at run time that are to outlive a restart: none that waits for its confirmation.
    pub fn entries_to_keep(&self, now: Timestamp) -> impl Iterator<Item = &Allowed> {
        self.allowlist
            .entries()
            .filter(move |allowed| allowed.at_run_time && allowed.until > now)
            .filter(|allowed| !self.is_allow_pending(&allowed.id))
    }

    /// The network that is spared for an entry.
    fn allowed_network(&self, id: &str) -> Option<Network> {
        let mut exceptions = self.exceptions();
        exceptions.find(|(_, _, source)| source.is_entry(id)).map(|(network, ..)| *network)
    }
}
