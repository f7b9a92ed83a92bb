//! The domains that clients ask for: one unit for each client and registered domain.
//!
//! A unit is a [`Session`] of its own, see [`super::live_domain`]. It is scored at its first, second,
//! fourth … message and at the bytes and ages at which sessions are, and ends with the session window
//! of silence. Where there is no room the unit that is due next ends early, counted.

use detector_common::parse::protocol;

use super::Session;
use super::live_domain::{DomainKey, LiveDomain};
use crate::flow::Visitor;
use crate::flow::content::{DNS_PORT, FirstPayload, distinct};
use crate::flow::dns::message::{Message, NAME_MAX_BYTES};
use crate::flow::dns::{Asked, Resolvers, registered};
use crate::flow::observation::SECOND_NS;
use crate::flow::table::index::Index;
use crate::flow::table::record::FlowView;
use crate::flow::table::{Handle, Slab, Wheel};

/// Where the numbers of domains start, so that they are never those of sessions.
const FIRST_ID: u64 = 1 << 63;

/// Whether a session's number is that of a domain's unit.
#[must_use]
pub fn is_domain(id: u64) -> bool {
    id >= FIRST_ID
}

/// Domains by client, bounded.
#[derive(Debug)]
pub(crate) struct DomainTable {
    domains: Slab<LiveDomain>,
    index: Index,
    wheel: Wheel,
    resolvers: Resolvers,
    window_ns: u64,
    due: Vec<Handle>,
    /// Domains opened so far.
    pub(crate) opened: u64,
    /// Domains ended early to make room.
    pub(crate) evicted: u64,
}

impl DomainTable {
    pub(crate) fn new(limit: u32, window_secs: u64) -> Self {
        Self {
            domains: Slab::new(limit),
            index: Index::default(),
            wheel: Wheel::new(),
            resolvers: Resolvers::default(),
            window_ns: window_secs.max(1).saturating_mul(SECOND_NS),
            due: Vec::new(),
            opened: 0,
            evicted: 0,
        }
    }

    pub(crate) fn len(&self) -> usize {
        self.domains.len()
    }

    /// Takes in a message that a payload sample of `session` held; multicast DNS has no resolver to
    /// ask and no part in this.
    pub(crate) fn learn(
        &mut self,
        session: &Session,
        flow: &FlowView,
        payload: &FirstPayload<'_>,
        message: &Message,
        now_ns: u64,
        visitor: &mut impl Visitor,
    ) {
        if session.key.server_port != DNS_PORT {
            return;
        }
        let mut lower = [0; NAME_MAX_BYTES];
        let name = message.name.as_bytes();
        let Some(lower) = lower.get_mut(..name.len()) else { return };
        lower.copy_from_slice(name);
        lower.make_ascii_lowercase();
        let start = registered::domain_start(lower);
        let domain = match lower.get(start..) {
            Some(domain) if !domain.is_empty() => domain,
            _ => registered::ROOT.as_bytes(),
        };
        let Some(handle) = self.find_or_open(session, flow, domain, now_ns, visitor) else {
            return;
        };
        let over_tcp = session.key.protocol == protocol::TCP;
        let elsewhere = !message.response
            && self.resolvers.asks_elsewhere(session.key.client, session.key.server);
        let Some(entry) = self.domains.get_mut(handle) else { return };
        entry.follow(session, flow, message, now_ns);
        let facts = entry.live.session.first_payloads.dns.get_or_insert_default();
        let names = facts.names.get_or_insert_default();
        names.learn(message, lower, start, Asked { over_tcp, elsewhere });
        entry.carry(payload, message, now_ns, visitor);
    }

    fn find_or_open(
        &mut self,
        session: &Session,
        flow: &FlowView,
        domain: &[u8],
        now_ns: u64,
        visitor: &mut impl Visitor,
    ) -> Option<Handle> {
        let key =
            DomainKey { client: session.key.client, name: distinct::hash(domain.iter().copied()) };
        let hash = self.index.hash(&key);
        let is_domain = |slot| self.domains.at(slot).is_some_and(|entry| entry.is(key, domain));
        if let Some(slot) = self.index.find(hash, is_domain) {
            let handle = self.domains.handle(slot);
            let entry = self.domains.get(handle)?;
            if !entry.live.is_over(now_ns, self.window_ns) {
                return Some(handle);
            }
            self.end(handle, now_ns, visitor);
        }
        self.make_room(visitor)?;
        self.opened += 1;
        let id = FIRST_ID + self.opened;
        let entry = LiveDomain::open(session, flow, (key, domain), now_ns, id);
        let handle = self.domains.insert(entry).ok()?;
        let domains = &self.domains;
        self.index.insert(hash, handle.slot, |slot| domains.at(slot).map(|entry| entry.key));
        self.resolvers.hold(key.client);
        self.schedule(handle);
        Some(handle)
    }

    /// Ends the domains that are due next until there is room for another.
    fn make_room(&mut self, visitor: &mut impl Visitor) -> Option<()> {
        while self.domains.is_full() {
            let next = self.wheel.pop_next()?;
            if self.domains.get(next).is_some() {
                self.evicted += 1;
                self.end(next, u64::MAX, visitor);
            }
        }
        Some(())
    }

    fn schedule(&mut self, handle: Handle) {
        if let Some(entry) = self.domains.get_mut(handle) {
            let due_ns = entry.live.due_ns(self.window_ns);
            entry.live.due_secs = self.wheel.schedule(due_ns.div_ceil(SECOND_NS), handle);
        }
    }

    /// Scores the domains whose age asks for it and ends the silent ones.
    pub(crate) fn tick(&mut self, now_ns: u64, visitor: &mut impl Visitor) {
        let now_secs = now_ns / SECOND_NS;
        let mut due = std::mem::take(&mut self.due);
        self.wheel.advance(now_secs, &mut due);
        for handle in due.drain(..) {
            let Some(entry) = self.domains.get_mut(handle) else { continue };
            if entry.live.due_secs > now_secs {
                continue;
            }
            if entry.live.is_over(now_ns, self.window_ns) {
                self.end(handle, now_ns, visitor);
                continue;
            }
            entry.live.age(now_ns, visitor);
            self.schedule(handle);
        }
        self.due = due;
    }

    /// Ends all domains. Time may start again anywhere afterwards.
    pub(crate) fn finish(&mut self, now_ns: u64, visitor: &mut impl Visitor) {
        for handle in self.domains.handles() {
            self.end(handle, now_ns, visitor);
        }
        self.wheel = Wheel::new();
    }

    fn end(&mut self, handle: Handle, now_ns: u64, visitor: &mut impl Visitor) {
        let Some(mut entry) = self.domains.remove(handle) else { return };
        self.index.remove(self.index.hash(&entry.key), handle.slot);
        self.resolvers.release(entry.key.client);
        entry.live.end(now_ns, self.window_ns, visitor);
    }
}
