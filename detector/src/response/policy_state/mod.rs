//! What is blocked and what must not be, until when and why: the one place that decides.
//!
//! It is handed an enforcer with every call and asks it for all that it keeps; what it
//! remembers besides is why. Every change is noted for the audit log, see
//! [`PolicyState::take_changes`].

mod allow;
mod budgets;
mod covered;
#[cfg(test)]
pub(crate) mod example;
mod exceptions;
mod explain;
mod operator;
mod pending;
#[cfg(test)]
mod tests;

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::Arc;
use std::time::Duration;

use anyhow::Context as _;
use detector_common::FlowKey;
use detector_common::policy::BudgetKey;

pub use allow::NowAllowed;
pub use budgets::BudgetVerdict;
pub use covered::FlaggedFlow;
pub use exceptions::{ExceptionKind, Exempted};
pub use operator::{Add, Placed};
pub use pending::Pending;

use super::change::{Change, ChangeKind};
use super::enforcer::{BlockSpec, Effect, Enforcer, EntryNumber, Span};
use super::mode::Mode;
use super::policy::{ActionKind, DesiredAction, Policy, police};
use super::target::Target;
use crate::network::{Address, Network};
use crate::timestamp::Timestamp;
use crate::verdict::{ActionTaken, AlertId, AllowList, Technique};
use exceptions::Exceptions;

/// Who made a change.
pub const AGENT: &str = "agent";

/// Pairs that were blocked before are remembered for so long after their last block.
const OFFENCE_MEMORY: Duration = Duration::from_secs(86_400);
/// Offences, releases and domains remembered, each; the oldest make room.
const MAX_MEMORIES: usize = 65_536;

/// What an open alert is about.
#[derive(Clone, Debug)]
pub struct BlockRequest {
    pub alert: AlertId,
    pub technique: Technique,
    pub score: f64,
    pub src: Address,
    pub dst: Address,
    pub dst_port: Option<u16>,
    /// Of whichever end serves.
    pub server_port: u16,
    pub dst_name: Option<Arc<str>>,
    /// The registered domain that data leaves through in DNS.
    pub domain: Option<Arc<str>>,
    /// `dst` answers `src` about other domains, too.
    pub resolves: bool,
    /// The flow table was full: `dst` is only the latest of possibly many.
    pub overflow: bool,
    /// All that leaves `src` for external hosts, and not what it exchanges with `dst` alone.
    pub all_of_sender: bool,
    /// The destination has answered. What nobody answers may have a forged source.
    pub answered: bool,
    pub flow: FlowKey,
}

/// What came of a block request.
#[derive(Clone, Debug, PartialEq)]
pub struct Outcome {
    pub action: ActionTaken,
    /// What was placed that was not active before, or what forbids it.
    pub note: Option<String>,
}

impl Outcome {
    fn of(action: ActionTaken) -> Self {
        Self { action, note: None }
    }

    fn refused(note: String) -> Self {
        Self { action: ActionTaken::Refused, note: Some(note) }
    }
}

/// An active block.
#[derive(Clone, Debug)]
pub struct ActiveBlock {
    pub order: BlockSpec,
    pub by: String,
    pub why: String,
    pub alert: Option<AlertId>,
    pub placed: Timestamp,
    /// When it ends if whatever waits for confirmation is confirmed.
    pub until: Timestamp,
    /// Which block of its pair this is, from 1.
    pub times: u32,
    pub pending: Option<u64>,
    /// Whom the alert flagged, and under which name: what an allowlist entry is compared with.
    pub parties: Option<Endpoints>,
    /// Packets it had dropped when its end came near.
    watched: Option<u64>,
}

/// The two ends of a block request.
#[derive(Clone, Debug, PartialEq)]
pub struct Endpoints {
    pub src: Address,
    pub dst: Address,
    pub server_port: u16,
    pub dst_name: Option<Arc<str>>,
    pub domain: Option<Arc<str>>,
}

/// The domain of a DNS tunnel, for a resolver to refuse.
#[derive(Clone, Debug, PartialEq)]
pub struct DomainBlock {
    pub alert: AlertId,
    pub until: Timestamp,
}

type Pair = (Address, Address);

#[derive(Clone, Copy, Debug)]
struct RepeatOffender {
    times: u32,
    last: Timestamp,
}

/// Everything that is active, and what is remembered of what was.
#[derive(Debug)]
pub struct PolicyState {
    policy: Policy,
    mode: Mode,
    mode_since: Timestamp,
    blocks: BTreeMap<EntryNumber, ActiveBlock>,
    numbers: HashMap<Target, EntryNumber>,
    exceptions: Exceptions,
    allowlist: Arc<AllowList>,
    offences: HashMap<Pair, RepeatOffender>,
    /// What a person released, and until when the agent leaves it alone.
    released: HashMap<Pair, Timestamp>,
    domains: BTreeMap<Arc<str>, DomainBlock>,
    pending: BTreeMap<u64, Pending>,
    last_pending: u64,
    changes: Vec<Change>,
    budgets_looked: Timestamp,
    /// Budgets that wait for a verdict.
    spent: BTreeSet<BudgetKey>,
}

impl PolicyState {
    #[must_use]
    pub fn new(policy: Policy, mode: Mode, now: Timestamp) -> Self {
        Self {
            policy,
            mode,
            mode_since: now,
            blocks: BTreeMap::new(),
            numbers: HashMap::new(),
            exceptions: Exceptions::default(),
            allowlist: Arc::default(),
            offences: HashMap::new(),
            released: HashMap::new(),
            domains: BTreeMap::new(),
            pending: BTreeMap::new(),
            last_pending: 0,
            changes: Vec::new(),
            budgets_looked: Timestamp::EPOCH,
            spent: BTreeSet::new(),
        }
    }

    #[must_use]
    pub fn mode(&self) -> Mode {
        self.mode
    }

    #[must_use]
    pub fn mode_since(&self) -> Timestamp {
        self.mode_since
    }

    #[must_use]
    pub fn policy(&self) -> &Policy {
        &self.policy
    }

    /// Decides by another policy from now on; the home networks stay as they are. What is active,
    /// stays active.
    pub fn set_policy(&mut self, policy: Policy) {
        let home = std::mem::take(&mut self.policy.home);
        self.policy = Policy { home, ..policy };
    }

    /// The networks that may not be blocked as a whole, as they are now.
    pub fn set_home(&mut self, home: Vec<Network>) {
        self.policy.home = home;
    }

    /// What is active, by number.
    pub fn blocks(&self) -> impl Iterator<Item = (EntryNumber, &ActiveBlock)> {
        self.blocks.iter().map(|(number, standing)| (*number, standing))
    }

    /// One block.
    #[must_use]
    pub fn block(&self, number: EntryNumber) -> Option<&ActiveBlock> {
        self.blocks.get(&number)
    }

    /// Domains for a resolver to refuse, in order.
    pub fn domains(&self, now: Timestamp) -> impl Iterator<Item = (&str, &DomainBlock)> {
        let live = move |(_, domain): &(&Arc<str>, &DomainBlock)| domain.until > now;
        self.domains.iter().filter(live).map(|(name, domain)| (&**name, domain))
    }

    /// Pairs that the agent leaves alone, and until when.
    pub fn releases(&self) -> impl Iterator<Item = (&Pair, Timestamp)> {
        self.released.iter().map(|(pair, until)| (pair, *until))
    }

    /// Takes what changed since the last call, in order.
    pub fn take_changes(&mut self) -> Vec<Change> {
        std::mem::take(&mut self.changes)
    }

    /// Does what the policy wants about an open alert, as far as it is allowed.
    pub fn respond(
        &mut self,
        block_request: &BlockRequest,
        now: Timestamp,
        enforcer: &mut dyn Enforcer,
    ) -> anyhow::Result<Outcome> {
        let wish = self.wish(block_request);
        self.note_domain(block_request, wish.ttl, now);
        if self.mode == Mode::Observe || wish.kind == ActionKind::Observe {
            return Ok(Outcome::of(ActionTaken::None));
        }
        if let Some(note) = self.forbidden(block_request, now) {
            return Ok(Outcome::refused(note));
        }
        let target = target(block_request, self.narrowed(block_request, wish.kind, now));
        if let Some(conflict) = self.conflict(&target, now) {
            return Ok(Outcome::refused(conflict));
        }
        if let Some(action) = self.stands(block_request, &wish, now, enforcer)? {
            return Ok(Outcome::of(action));
        }
        self.request_block(block_request, target, &wish, now, enforcer)?;
        let action =
            if self.mode == Mode::Simulate { ActionTaken::Simulated } else { taken(wish.effect) };
        Ok(Outcome { action, note: Some(target.to_string()) })
    }

    /// What the policy wants. A tunnel through the client's resolver is slowed down: a block would take the
    /// client's names away.
    fn wish(&self, block_request: &BlockRequest) -> DesiredAction {
        let wish = self.policy.wish(block_request.technique, block_request.score);
        if block_request.resolves && wish.effect == Effect::Drop {
            let effect = police(self.policy.police_bytes_per_second);
            return DesiredAction { kind: ActionKind::Police, effect, ..wish };
        }
        wish
    }

    /// A connection to a resolver, as for DNS over HTTPS, is dropped by itself: names are looked up
    /// there, too.
    fn narrowed(
        &self,
        block_request: &BlockRequest,
        kind: ActionKind,
        now: Timestamp,
    ) -> ActionKind {
        match kind {
            ActionKind::DropSession | ActionKind::DropDestination
                if self.is_resolver(block_request.dst, now) =>
            {
                ActionKind::DropFlow
            }
            kind => kind,
        }
    }

    /// Why nothing may be done although it is wanted.
    fn forbidden(&self, block_request: &BlockRequest, now: Timestamp) -> Option<String> {
        let BlockRequest { src, dst, domain, .. } = block_request;
        let until = self.released.get(&(*src, *dst)).copied().unwrap_or_default();
        if until > now {
            let minutes = now.seconds_until(until).div_ceil(60);
            return Some(format!(
                "an operator unblocked it: the agent does not block it for another {minutes} min"
            ));
        }
        let unexplained = block_request.technique == Technique::UnexplainedUpload;
        if unexplained && !block_request.all_of_sender && self.is_resolver(*dst, now) {
            return Some(format!("{dst} is a resolver, which others need"));
        }
        if !block_request.answered && !self.is_own(*src, now) {
            return Some(format!(
                "nobody answered {src}: somebody else may have written this address"
            ));
        }
        if block_request.overflow && !block_request.all_of_sender {
            return Some(format!(
                "the flow table was full, and {dst} is only the destination of the latest packet: \
                 raise kernel.max_flows"
            ));
        }
        // A resolver carries the innocent, too.
        let domain = domain.as_ref()?;
        self.is_resolver(*dst, now).then(|| {
            format!(
                "the tunnel uses the resolver {dst}, which other hosts need: let it refuse {domain} \
                 with `detector blocks export --format rpz`"
            )
        })
    }

    /// What an order in force does about it already, where that is as much as is wished for. One
    /// that only counts is made to act where the mode has changed since.
    fn stands(
        &mut self,
        block_request: &BlockRequest,
        wish: &DesiredAction,
        now: Timestamp,
        enforcer: &mut dyn Enforcer,
    ) -> anyhow::Result<Option<ActionTaken>> {
        let Some(number) = self.covering(block_request, wish.effect, now) else {
            return Ok(None);
        };
        let Some(standing) = self.blocks.get_mut(&number) else { return Ok(None) };
        if standing.order.by_agent && standing.order.simulated && self.mode == Mode::Block {
            let order = BlockSpec { simulated: false, ..standing.order };
            enforcer.change(number, &order)?;
            enforcer.commit()?;
            standing.order = order;
        }
        let BlockSpec { simulated, by_agent, effect, .. } = standing.order;
        let counts_only = simulated || (by_agent && self.mode != Mode::Block);
        Ok(Some(if counts_only { ActionTaken::Simulated } else { taken(effect) }))
    }

    /// The number of an order in force that covers the flagged flow and does at least `effect`.
    fn covering(
        &self,
        block_request: &BlockRequest,
        effect: Effect,
        now: Timestamp,
    ) -> Option<EntryNumber> {
        let BlockRequest { src, dst, dst_port, flow, .. } = block_request;
        let does = |standing: &ActiveBlock| {
            standing.order.span.holds(now) && strength(standing.order.effect) >= strength(effect)
        };
        if block_request.all_of_sender {
            let number = self.numbers.get(&Target::Host(*src).identity())?;
            return self.blocks.get(number).is_some_and(does).then_some(*number);
        }
        let flagged = FlaggedFlow { src: *src, dst: *dst, dst_port: *dst_port, flow: *flow };
        self.find_block(&flagged, does)
    }

    fn request_block(
        &mut self,
        block_request: &BlockRequest,
        target: Target,
        wish: &DesiredAction,
        now: Timestamp,
        enforcer: &mut dyn Enforcer,
    ) -> anyhow::Result<()> {
        let pair = (block_request.src, block_request.dst);
        let times = self.times(&pair, now);
        let ttl = self.policy.ttl(wish.ttl, times);
        let until = now + ttl;
        let order = BlockSpec {
            target,
            effect: wish.effect,
            span: Span::until(until),
            by_agent: true,
            simulated: self.mode == Mode::Simulate,
            reason: block_request.alert.number,
        };
        let why =
            format!("{} with score {:.2}", block_request.technique.name(), block_request.score);
        let standing = ActiveBlock {
            order,
            by: AGENT.to_owned(),
            why,
            alert: Some(block_request.alert),
            placed: now,
            until,
            times: times + 1,
            pending: None,
            parties: Some(Endpoints {
                src: block_request.src,
                dst: block_request.dst,
                server_port: block_request.server_port,
                dst_name: block_request.dst_name.clone(),
                domain: block_request.domain.clone(),
            }),
            watched: None,
        };
        let mut change = Change::of_standing(ChangeKind::Placed, &standing);
        let number = self.enter(standing, now, enforcer)?;
        change.number = Some(number);
        change.ttl_secs = Some(ttl.as_secs());
        if order.simulated {
            change.detail = Some("counts only".to_owned());
        }
        enforcer.commit()?;
        make_room(&mut self.offences, |offence| offence.last);
        self.offences.insert(pair, RepeatOffender { times: times + 1, last: until });
        self.changes.push(change);
        Ok(())
    }

    /// Places what is not active yet. One on the same target that is over, or does less, makes
    /// room.
    fn enter(
        &mut self,
        standing: ActiveBlock,
        now: Timestamp,
        enforcer: &mut dyn Enforcer,
    ) -> anyhow::Result<EntryNumber> {
        let target = standing.order.target;
        if let Some(number) = self.numbers.get(&target.identity()).copied() {
            let over = self.blocks.get(&number).is_none_or(|old| old.order.span.until <= now);
            let kind = if over { ChangeKind::Expired } else { ChangeKind::Replaced };
            self.end(number, kind, AGENT, now, enforcer)?;
        }
        let number =
            enforcer.place(&standing.order).with_context(|| format!("failed to block {target}"))?;
        self.numbers.insert(target.identity(), number);
        self.blocks.insert(number, standing);
        Ok(number)
    }

    /// Takes a block out, with its counters into the audit log.
    fn end(
        &mut self,
        number: EntryNumber,
        kind: ChangeKind,
        who: &str,
        now: Timestamp,
        enforcer: &mut dyn Enforcer,
    ) -> anyhow::Result<()> {
        let Some(standing) = self.blocks.get(&number) else { return Ok(()) };
        let hits = enforcer.entry_stats(number)?;
        enforcer.remove(number, &standing.order.target)?;
        let mut change = Change::of_standing(kind, standing);
        change.who = who.to_owned();
        (change.number, change.hits, change.until) = (Some(number), Some(hits), Some(now));
        self.numbers.remove(&standing.order.target.identity());
        self.blocks.remove(&number);
        // Its number may be another's soon.
        self.pending.retain(|_, pending| !pending.forget(number));
        self.changes.push(change);
        Ok(())
    }

    /// How often a pair was blocked before, as far as is remembered.
    fn times(&self, pair: &Pair, now: Timestamp) -> u32 {
        let remembered = |offence: &&RepeatOffender| now < offence.last + OFFENCE_MEMORY;
        self.offences.get(pair).filter(remembered).map_or(0, |offence| offence.times)
    }

    fn note_domain(&mut self, block_request: &BlockRequest, ttl: Duration, now: Timestamp) {
        let Some(domain) = &block_request.domain else { return };
        let until = now + ttl.max(self.policy.ttl);
        if self.domains.len() >= MAX_MEMORIES {
            self.domains.retain(|_, domain| domain.until > now);
        }
        if self.domains.len() < MAX_MEMORIES {
            let block = DomainBlock { alert: block_request.alert, until };
            self.domains.insert(Arc::clone(domain), block);
        }
    }

    /// Lets time pass: what ended is taken out, what an attack continues against is extended, what
    /// was not confirmed returns.
    ///
    /// # Errors
    ///
    /// Those of the enforcer; what is left is done at the next call.
    pub fn tick(&mut self, now: Timestamp, enforcer: &mut dyn Enforcer) -> anyhow::Result<()> {
        self.expire_allowed(now);
        self.revert_unconfirmed(now, enforcer)?;
        self.extend_attacked(now, enforcer)?;
        let over: Vec<EntryNumber> = self
            .blocks
            .iter()
            .filter(|(_, standing)| standing.order.span.until <= now)
            .map(|(number, _)| *number)
            .collect();
        for number in &over {
            self.end(*number, ChangeKind::Expired, AGENT, now, enforcer)?;
        }
        if !over.is_empty() {
            enforcer.commit()?;
        }
        self.expire_exceptions(now, enforcer)?;
        self.released.retain(|_, until| *until > now);
        self.domains.retain(|_, domain| domain.until > now);
        Ok(())
    }

    /// Extends the agent's blocks that still drop something shortly before their end, up to the
    /// longest a block may last.
    fn extend_attacked(
        &mut self,
        now: Timestamp,
        enforcer: &mut dyn Enforcer,
    ) -> anyhow::Result<()> {
        let mut extended = false;
        for (number, standing) in &mut self.blocks {
            let ActiveBlock { order, placed, .. } = standing;
            let left = order.span.until.since(now);
            let ttl = standing.until.since(*placed);
            let window = (ttl / 4).min(Duration::from_secs(30));
            if !order.by_agent || order.simulated || left.is_zero() || left > window {
                standing.watched = None;
                continue;
            }
            let packets = enforcer.entry_stats(*number)?.packets;
            let Some(watched) = standing.watched else {
                standing.watched = Some(packets);
                continue;
            };
            let latest = *placed + self.policy.max_ttl;
            if left > Duration::from_secs(2) || packets == watched || order.span.until >= latest {
                continue;
            }
            let until = (now + self.policy.ttl).min(latest).max(order.span.until);
            order.span.until = until;
            standing.until = until;
            enforcer.change(*number, order)?;
            standing.watched = None;
            extended = true;
            let mut change = Change::of_standing(ChangeKind::Extended, standing);
            change.number = Some(*number);
            change.detail = Some(crate::units::counted(packets - watched, "more packet"));
            self.changes.push(change);
        }
        if extended { enforcer.commit() } else { Ok(()) }
    }

    /// Takes over what an earlier agent left with the enforcer.
    pub fn adopt(
        &mut self,
        orders: impl IntoIterator<Item = (EntryNumber, BlockSpec)>,
        now: Timestamp,
    ) {
        for (number, order) in orders {
            let by = if order.by_agent { AGENT } else { "a person" };
            let standing = ActiveBlock {
                order,
                by: by.to_owned(),
                why: "adopted from an earlier run".to_owned(),
                alert: (order.reason != 0).then_some(AlertId::live(order.reason)),
                placed: now,
                until: order.span.until,
                times: 1,
                pending: None,
                parties: None,
                watched: None,
            };
            let mut change = Change::of_standing(ChangeKind::Adopted, &standing);
            change.number = Some(number);
            self.changes.push(change);
            self.numbers.insert(order.target.identity(), number);
            self.blocks.insert(number, standing);
        }
    }
}

impl Change {
    fn of_standing(kind: ChangeKind, standing: &ActiveBlock) -> Self {
        Self {
            target: Some(standing.order.target),
            why: standing.why.clone(),
            alert: standing.alert,
            until: Some(standing.until),
            ..Self::new(kind, standing.by.clone())
        }
    }
}

/// What an action of this kind is about. Marking and policing are of everything between the two.
fn target(block_request: &BlockRequest, kind: ActionKind) -> Target {
    let BlockRequest { src, dst, flow, .. } = block_request;
    match kind {
        ActionKind::DropDestination => Target::Destination(Network::of(*dst)),
        _ if block_request.all_of_sender => Target::Host(*src),
        ActionKind::DropFlow => Target::Flow { key: *flow, destination: *dst },
        _ => Target::Pair { home: *src, destination: *dst },
    }
}

fn taken(effect: Effect) -> ActionTaken {
    match effect {
        Effect::Drop => ActionTaken::Blocked,
        Effect::Police { .. } => ActionTaken::Policed,
        Effect::Mark { .. } => ActionTaken::Marked,
    }
}

/// Effects in order of how little they let through.
fn strength(effect: Effect) -> u8 {
    match effect {
        Effect::Drop => 3,
        Effect::Police { .. } => 2,
        Effect::Mark { .. } => 1,
    }
}

/// Drops the quarter of the memories whose time is the oldest once there are too many.
fn make_room<V>(memories: &mut HashMap<Pair, V>, time: impl Fn(&V) -> Timestamp) {
    if memories.len() < MAX_MEMORIES {
        return;
    }
    let mut times: Vec<Timestamp> = memories.values().map(&time).collect();
    let (_, cut, _) = times.select_nth_unstable(MAX_MEMORIES / 4);
    let cut = *cut;
    memories.retain(|_, value| time(value) > cut);
}
