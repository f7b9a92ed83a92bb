//! The domains that clients ask for: one unit for each client and registered domain.
//!
//! A unit is a [`Session`] of its own, filled from the decoded messages alone, whichever resolver
//! and transport they take: its server is the resolver asked last, its volumes are those of the
//! messages. It is judged at its first, second, fourth … message and at the bytes and ages at which
//! sessions are, and ends with the session window of silence.

use detector_common::parse::protocol;

use super::head::Protocol;
use super::head::dns::{Message, NAME_MAX_BYTES};
use super::heads::{DNS_PORT, Head};
use super::index::{Index, Key};
use super::live_session::{LiveSession, Opening};
use super::observation::SECOND_NS;
use super::queries::Asked;
use super::record::FlowView;
use super::resolvers::Resolvers;
use super::session::Session;
use super::slab::{Handle, Slab};
use super::wheel::Wheel;
use super::{Visitor, Volume, distinct, registered};

/// Where the numbers of domains start, so that they are never those of sessions.
const FIRST_ID: u64 = 1 << 63;
/// Hundredths of a second, the step of gaps.
const GAP_STEP_NS: u64 = SECOND_NS / 100;

/// One client's unit of one domain.
#[derive(Debug)]
struct LiveDomain {
    live: LiveSession,
    key: DomainKey,
    /// The latest message of the client, and of its resolvers.
    last_ns: [Option<u64>; 2],
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct DomainKey {
    client: [u8; 16],
    /// A hash of the domain's name.
    name: u64,
}

impl Key for DomainKey {
    fn write(&self, state: &mut foldhash::fast::FoldHasher<'_>) {
        use std::hash::Hasher as _;
        state.write(&self.client);
        state.write_u64(self.name);
    }
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

    /// Takes in a message that a head of `session` held; multicast DNS has no resolver to ask and
    /// no part in this.
    pub(crate) fn learn(
        &mut self,
        session: &Session,
        flow: &FlowView,
        head: &Head<'_>,
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
        let Some(handle) = self.find_or_open(session, flow, &lower[start..], now_ns, visitor)
        else {
            return;
        };
        let over_tcp = session.key.protocol == protocol::TCP;
        let elsewhere = !message.response
            && self.resolvers.asks_elsewhere(session.key.client, session.key.server);
        let Some(entry) = self.domains.get_mut(handle) else { return };
        entry.follow(session, flow, message, now_ns);
        let facts = entry.live.session.heads.dns.get_or_insert_default();
        let names = facts.names.get_or_insert_default();
        names.learn(message, lower, start, Asked { over_tcp, elsewhere });
        entry.carry(head, message, now_ns, visitor);
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
        if let Some(slot) = self.index.find(hash, |slot| self.key(slot) == Some(key)) {
            let handle = self.domains.handle(slot);
            let entry = self.domains.get(handle)?;
            if !entry.live.is_over(now_ns, self.window_ns) {
                return Some(handle);
            }
            self.end(handle, now_ns, visitor);
        }
        self.make_room(visitor)?;
        self.opened += 1;
        let live = open(session, flow, domain, now_ns, FIRST_ID + self.opened);
        let handle = self.domains.insert(LiveDomain { live, key, last_ns: [None; 2] }).ok()?;
        let domains = &self.domains;
        self.index.insert(hash, handle.slot, |slot| domains.at(slot).map(|entry| entry.key));
        self.resolvers.hold(key.client);
        self.schedule(handle);
        Some(handle)
    }

    fn key(&self, slot: u32) -> Option<DomainKey> {
        self.domains.at(slot).map(|entry| entry.key)
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

    /// Judges the domains whose age asks for it and ends the silent ones.
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

fn open(session: &Session, flow: &FlowView, domain: &[u8], now_ns: u64, id: u64) -> LiveSession {
    let opening = Opening {
        key: session.key,
        client_home: session.client_home,
        server_home: session.server_home,
        flow: FlowView { last_seen_ns: now_ns, ..*flow },
        first_seen_ns: now_ns,
        overflow: None,
    };
    let mut live = LiveSession::open(opening, id);
    let domain = if domain.is_empty() { registered::ROOT.as_bytes() } else { domain };
    live.session.domain = Some(String::from_utf8_lossy(domain).into());
    live.session.heads.protocol = Some(Protocol::Dns);
    // Its checkpoints are messages, not packets.
    live.session.checkpoints.packets_done = true;
    live
}

impl LiveDomain {
    /// The resolver asked last, and how it was asked, are the unit's own.
    fn follow(&mut self, session: &Session, flow: &FlowView, message: &Message, now_ns: u64) {
        let unit = &mut self.live.session;
        let another = self.live.flow.key != flow.key;
        if unit.flows == 0 || (another && !message.response) {
            unit.add_flow(now_ns);
        }
        unit.key = session.key;
        unit.name.clone_from(&session.name);
        unit.named_by_dns = session.named_by_dns;
        self.live.flow = *flow;
        self.live.learn_home(session.client_home, session.server_home);
    }

    /// Adds the message's own volume and judges the unit if that crossed a checkpoint.
    fn carry(
        &mut self,
        head: &Head<'_>,
        message: &Message,
        now_ns: u64,
        visitor: &mut impl Visitor,
    ) {
        let volume = self.volume(head, message, now_ns);
        let session = &mut self.live.session;
        session.last_seen_ns = session.last_seen_ns.max(now_ns);
        let dns = session.heads.dns.get_or_insert_default();
        let (up, down) = if message.response {
            dns.responses += 1;
            dns.response_bytes += volume.payload_bytes;
            (Volume::default(), volume)
        } else {
            dns.queries += 1;
            dns.query_bytes += volume.payload_bytes;
            (volume, Volume::default())
        };
        session.flows_answered = dns.responses.min(session.flows);
        session.heads.count += 1;
        session.heads.decoded += 1;
        self.live.carry(&up, &down, now_ns, visitor);
        self.live.count_head(now_ns, visitor);
    }

    /// A message as a packet: its payload behind headers without options.
    fn volume(&mut self, head: &Head<'_>, message: &Message, now_ns: u64) -> Volume {
        let (payload_bytes, transport) = match head.protocol {
            protocol::TCP => (u64::from(message.message_bytes) + 2, 20),
            _ => (u64::from(head.payload_bytes), 8),
        };
        let network = if is_ipv4(&self.key.client) { 20 } else { 40 };
        let ip_bytes = network + transport + payload_bytes;
        let size = u16::try_from(ip_bytes).unwrap_or(u16::MAX);
        let last_ns = &mut self.last_ns[usize::from(message.response)];
        let gap = last_ns.map_or(0, |last| now_ns.saturating_sub(last) / GAP_STEP_NS);
        *last_ns = Some(now_ns);
        Volume {
            packets: 1,
            ip_bytes,
            payload_bytes,
            payload_packets: 1,
            size_square_sum: u64::from(size) * u64::from(size),
            gap_square_sum: gap.saturating_mul(gap),
            bursts: u64::from(gap >= SECOND_NS / GAP_STEP_NS),
            gap_max: u32::try_from(gap).unwrap_or(u32::MAX),
            size_min: size,
            size_max: size,
            ..Volume::default()
        }
    }
}

fn is_ipv4(address: &[u8; 16]) -> bool {
    address.starts_with(&[0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff])
}

#[cfg(test)]
mod tests {
    use super::super::facts::{Dns, DnsNames};
    use super::super::rhythm::Rhythm;
    use super::LiveDomain;

    /// What packaging/detector.toml promises: with 128 labels of the sample, and a name of 253 bytes.
    #[test]
    fn a_domain_takes_no_more_than_it_is_said_to() {
        let boxed = size_of::<Dns>() + size_of::<DnsNames>() + size_of::<Rhythm>();
        assert!(size_of::<LiveDomain>() + boxed + 128 * 16 + 253 <= 4 << 10);
    }
}
