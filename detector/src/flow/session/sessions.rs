//! The sessions that are alive, and when each is scored.
//!
//! A session ends when none of its flows carried a packet for the session window, so that no sum
//! ever reaches over a silence.

use std::sync::Arc;

use detector_common::parse::protocol;

use super::ip_lookup_clients::{IpLookupClients, tells_own_address};
use super::live_session::{LiveSession, Opening};
use super::transfer::{Transfer, Transfers};
use super::{OverflowPeer, Session, SessionKey};
use crate::flow::Visitor;
use crate::flow::content::FirstPayload;
use crate::flow::content::conversations::{Beginning, Conversations};
use crate::flow::content::ja4::Transport;
use crate::flow::dns::message::Message;
use crate::flow::dns::names::Names;
use crate::flow::dns::stream::Found;
use crate::flow::observation::SECOND_NS;
use crate::flow::table::index::Index;
use crate::flow::table::record::FlowView;
use crate::flow::table::{Delta, Handle, LiveFlow, Slab, Volume, Wheel};

/// The step in which sessions are booked, see [`Visitor::booked`].
const BOOKING_NS: u64 = SECOND_NS;

/// Live sessions by key, bounded.
#[derive(Debug)]
pub(crate) struct SessionTable {
    sessions: Slab<LiveSession>,
    index: Index,
    wheel: Wheel,
    window_ns: u64,
    due: Vec<Handle>,
    /// Sessions that carried packets since they were booked last, and when they are booked again.
    unbooked: Vec<Handle>,
    next_booking_ns: u64,
    pub(crate) ip_lookup_clients: IpLookupClients,
    pub(crate) transfers: Transfers,
    /// Sessions opened so far.
    pub(crate) opened: u64,
    /// Sessions ended early to make room.
    pub(crate) evicted: u64,
    /// Kinds of HTTP uploads that had no room in their session.
    pub(crate) upload_kinds_refused: u64,
    /// TLS hellos that were cut before their fingerprint was known.
    pub(crate) hellos_cut: u64,
    /// HTTP requests whose headers were cut.
    pub(crate) requests_cut: u64,
    /// Connections that contradicted themselves.
    pub(crate) contradictions: u64,
    /// Protocols that a few bytes named and what followed refuted, in sessions that are over.
    pub(crate) refuted: u64,
}

impl SessionTable {
    pub(crate) fn new(limit: u32, window_secs: u64) -> Self {
        Self {
            sessions: Slab::new(limit),
            index: Index::default(),
            wheel: Wheel::new(),
            window_ns: window_secs.max(1).saturating_mul(SECOND_NS),
            due: Vec::new(),
            unbooked: Vec::new(),
            next_booking_ns: 0,
            ip_lookup_clients: IpLookupClients::default(),
            transfers: Transfers::default(),
            opened: 0,
            evicted: 0,
            upload_kinds_refused: 0,
            hellos_cut: 0,
            requests_cut: 0,
            contradictions: 0,
            refuted: 0,
        }
    }

    pub(crate) fn len(&self) -> usize {
        self.sessions.len()
    }

    pub(crate) fn all(&self) -> impl Iterator<Item = &Session> {
        self.sessions.iter().map(|entry| &entry.session)
    }

    pub(crate) fn get(&self, handle: Handle) -> Option<&Session> {
        self.sessions.get(handle).map(|entry| &entry.session)
    }

    /// Reads the cache lines of a session that every reading of its flows changes.
    pub(crate) fn warm(&self, handle: Handle) -> u64 {
        self.sessions.get(handle).map_or(0, |entry| {
            let LiveSession { session, flow, .. } = entry;
            let sent = session.up.seen_packets ^ session.up.dropped_bytes;
            let received = session.down.seen_packets ^ session.down.dropped_bytes;
            sent ^ received ^ session.checkpoints.up_next_bytes ^ flow.last_seen_ns
        })
    }

    /// The session of a flow, opened if there is none or if it is over. `resumed` says that the
    /// flow is older than its session may be.
    pub(crate) fn attach(
        &mut self,
        flow: &mut LiveFlow,
        resumed: bool,
        names: &Names,
        visitor: &mut impl Visitor,
    ) -> Option<Handle> {
        if self.continues(flow.session, flow.view.last_seen_ns) {
            return Some(flow.session);
        }
        let opening = Opening {
            key: session_key(&flow.view),
            client_home: flow.initiator_home(),
            server_home: flow.responder_home(),
            flow: flow.view,
            first_seen_ns: if resumed { flow.view.last_seen_ns } else { flow.view.first_seen_ns },
            overflow: None,
        };
        let start_ns = opening.first_seen_ns;
        let handle = self.find_or_open(opening, flow.view.last_seen_ns, names, visitor)?;
        self.sessions.get_mut(handle)?.session.add_flow(start_ns);
        flow.session = handle;
        flow.carried = [false; 2];
        Some(handle)
    }

    /// The session of what a home host carried outside of flows. Where it went is known of what it
    /// sent alone.
    pub(crate) fn attach_overflow(
        &mut self,
        flow: FlowView,
        outbound: bool,
        peer: OverflowPeer,
        names: &Names,
        visitor: &mut impl Visitor,
    ) -> Option<Handle> {
        let opening = Opening {
            key: SessionKey { client: flow.end(flow.initiator).0, ..SessionKey::default() },
            client_home: outbound,
            server_home: false,
            flow,
            first_seen_ns: flow.last_seen_ns,
            overflow: Some(peer),
        };
        let handle = self.find_or_open(opening, flow.last_seen_ns, names, visitor)?;
        if outbound {
            let entry = self.sessions.get_mut(handle)?;
            entry.session.overflow = Some(peer);
            // What came in may have opened it, which says nothing about who is home.
            entry.learn_home(true, false);
        }
        Some(handle)
    }

    /// Whether a session is alive and not over at `now_ns`.
    fn continues(&self, handle: Handle, now_ns: u64) -> bool {
        self.sessions.get(handle).is_some_and(|entry| !entry.is_over(now_ns, self.window_ns))
    }

    fn find_or_open(
        &mut self,
        opening: Opening,
        now_ns: u64,
        names: &Names,
        visitor: &mut impl Visitor,
    ) -> Option<Handle> {
        let is_key =
            |slot| self.sessions.at(slot).is_some_and(|entry| entry.session.key == opening.key);
        let hash = self.index.hash(&opening.key);
        if let Some(slot) = self.index.find(hash, is_key) {
            let handle = self.sessions.handle(slot);
            if self.continues(handle, now_ns) {
                return Some(handle);
            }
            self.end(handle, now_ns, visitor);
        }
        self.open(opening, hash, now_ns, names, visitor)
    }

    fn open(
        &mut self,
        opening: Opening,
        hash: u64,
        now_ns: u64,
        names: &Names,
        visitor: &mut impl Visitor,
    ) -> Option<Handle> {
        while self.sessions.is_full() {
            let next = self.wheel.pop_next()?;
            if self.sessions.get(next).is_some() {
                self.evicted += 1;
                self.end(next, u64::MAX, visitor);
            }
        }
        self.opened += 1;
        let mut entry = LiveSession::open(opening, self.opened);
        entry.learn_names(names);
        entry.learn_askers(&self.ip_lookup_clients, now_ns);
        let handle = self.sessions.insert(entry).ok()?;
        let sessions = &self.sessions;
        self.index
            .insert(hash, handle.slot, |slot| sessions.at(slot).map(|entry| entry.session.key));
        self.schedule(handle);
        Some(handle)
    }

    fn schedule(&mut self, handle: Handle) {
        if let Some(entry) = self.sessions.get_mut(handle) {
            let due_ns = entry.due_ns(self.window_ns);
            entry.due_secs = self.wheel.schedule(due_ns.div_ceil(SECOND_NS), handle);
        }
    }

    /// Adds what a flow carried and scores the session if that crossed a checkpoint.
    pub(crate) fn add(
        &mut self,
        handle: Handle,
        flow: &mut LiveFlow,
        delta: &Delta,
        now_ns: u64,
        visitor: &mut impl Visitor,
    ) {
        let Some(entry) = self.sessions.get_mut(handle) else {
            return;
        };
        let was_answered = flow.carried == [true; 2];
        flow.carried[0] |= delta.forward.seen_packets != 0;
        flow.carried[1] |= delta.reverse.seen_packets != 0;
        entry.session.flows_answered += u64::from(!was_answered && flow.carried == [true; 2]);
        if !delta.resumed {
            let first_seen_ns = &mut entry.session.first_seen_ns;
            *first_seen_ns = (*first_seen_ns).min(flow.view.first_seen_ns);
            entry.learn_home(flow.initiator_home(), flow.responder_home());
        }
        entry.session.to_group &= flow.to_group;
        entry.flow = flow.view;
        entry.carry(&delta.forward, &delta.reverse, now_ns, visitor);
        if !std::mem::replace(&mut entry.is_listed, true) {
            self.unbooked.push(handle);
        }
    }

    /// Adds what a home host carried outside of flows.
    pub(crate) fn add_overflow(
        &mut self,
        handle: Handle,
        flow: FlowView,
        up: &Volume,
        down: &Volume,
        visitor: &mut impl Visitor,
    ) {
        if let Some(entry) = self.sessions.get_mut(handle) {
            if up.seen_packets != 0 {
                entry.flow = flow;
            } else {
                entry.flow.last_seen_ns = entry.flow.last_seen_ns.max(flow.last_seen_ns);
            }
            entry.carry(up, down, flow.last_seen_ns, visitor);
            if !std::mem::replace(&mut entry.is_listed, true) {
                self.unbooked.push(handle);
            }
        }
    }

    /// Takes in a payload sample of one of the session's flows.
    pub(crate) fn first_payload(
        &mut self,
        handle: Handle,
        flow: &FlowView,
        (payload, found): (&FirstPayload<'_>, &Found),
        now_ns: u64,
        (names, conversations): (&mut Names, &mut Conversations),
        visitor: &mut impl Visitor,
    ) {
        let Some(entry) = self.sessions.get_mut(handle) else {
            return;
        };
        entry.flow = *flow;
        let first_payloads = &mut entry.session.first_payloads;
        let mut told = first_payloads.learn(payload, found);
        let transport = transport(payload.protocol);
        conversations.read(&flow.key, payload, now_ns / SECOND_NS, &mut |saying| {
            told |= first_payloads.hear(saying, transport);
        });
        if let Some(name) = entry.session.first_payloads.name() {
            entry.session.name = Some(Arc::clone(name));
        }
        if payload.from_client && asks_own_address(entry, &found.messages) {
            self.ip_lookup_clients.note(entry.session.key.client, now_ns);
        }
        entry.learn_askers(&self.ip_lookup_clients, now_ns);
        link_transfer(entry, &mut self.transfers, now_ns);
        for message in &found.messages {
            if !payload.from_client {
                names.learn(message, now_ns);
            }
            visitor.dns_message(&entry.session, message, payload.from_client, now_ns);
        }
        if told {
            entry.count_first_payload(now_ns, visitor);
        }
    }

    /// Takes in what waited at the start of one of the session's flows: no more of it will come.
    pub(crate) fn finish_beginning(
        &mut self,
        handle: Handle,
        mut beginning: Beginning,
        now_ns: u64,
        visitor: &mut impl Visitor,
    ) {
        let Some(entry) = self.sessions.get_mut(handle).filter(|_| beginning.is_pending()) else {
            return;
        };
        let mut told = false;
        let transport = transport(entry.session.key.protocol);
        let first_payloads = &mut entry.session.first_payloads;
        beginning.finish(&mut |saying| told |= first_payloads.hear(saying, transport));
        if let Some(name) = first_payloads.name() {
            entry.session.name = Some(Arc::clone(name));
        }
        if told {
            entry.count_first_payload(now_ns, visitor);
        }
    }

    /// Scores the sessions whose age asks for it and ends the silent ones.
    pub(crate) fn tick(&mut self, now_ns: u64, names: &Names, visitor: &mut impl Visitor) {
        let now_secs = now_ns / SECOND_NS;
        let mut due = std::mem::take(&mut self.due);
        self.wheel.advance(now_secs, &mut due);
        for handle in due.drain(..) {
            let Some(entry) = self.sessions.get_mut(handle) else {
                continue;
            };
            if entry.due_secs > now_secs {
                continue;
            }
            if entry.is_over(now_ns, self.window_ns) {
                self.end(handle, now_ns, visitor);
                continue;
            }
            entry.learn_names(names);
            entry.learn_askers(&self.ip_lookup_clients, now_ns);
            entry.age(now_ns, visitor);
            self.schedule(handle);
        }
        self.due = due;
        self.book(now_ns, visitor);
    }

    /// Every second: hands on what sessions carried since.
    fn book(&mut self, now_ns: u64, visitor: &mut impl Visitor) {
        if now_ns < self.next_booking_ns {
            return;
        }
        self.next_booking_ns = now_ns - now_ns % BOOKING_NS + BOOKING_NS;
        for handle in self.unbooked.drain(..) {
            if let Some(entry) = self.sessions.get_mut(handle) {
                entry.is_listed = false;
                entry.book(now_ns, visitor);
            }
        }
        visitor.all_booked(now_ns);
    }

    /// Ends all sessions. Time may start again anywhere afterwards.
    pub(crate) fn finish(&mut self, now_ns: u64, visitor: &mut impl Visitor) {
        for handle in self.sessions.handles() {
            self.end(handle, now_ns, visitor);
        }
        self.unbooked.clear();
        self.next_booking_ns = 0;
        self.wheel = Wheel::new();
        self.ip_lookup_clients.restart();
        self.transfers.restart();
    }

    fn end(&mut self, handle: Handle, now_ns: u64, visitor: &mut impl Visitor) {
        let Some(mut entry) = self.sessions.remove(handle) else {
            return;
        };
        let hash = self.index.hash(&entry.session.key);
        self.index.remove(hash, handle.slot);
        let http = entry.session.first_payloads.http.as_deref();
        self.upload_kinds_refused += http.map_or(0, |http| http.shapes_refused);
        self.requests_cut += http.map_or(0, |http| http.requests_cut);
        self.hellos_cut += u64::from(entry.session.first_payloads.hellos_cut);
        self.contradictions += u64::from(entry.session.first_payloads.contradictions);
        self.refuted += u64::from(entry.session.first_payloads.refuted);
        entry.end(now_ns, self.window_ns, visitor);
    }
}

/// Whether a client has just named a service that shows it its own public address: in a DNS query,
/// or as the server it contacts.
fn asks_own_address(entry: &LiveSession, messages: &[Message]) -> bool {
    let spoken = entry.session.first_payloads.name();
    spoken.is_some_and(|name| tells_own_address(name.as_bytes()))
        || messages.iter().any(|message| tells_own_address(message.name.as_bytes()))
}

/// Tells the transfers of one that a control connection has begun, and a data connection which of them
/// it carries.
fn link_transfer(entry: &mut LiveSession, transfers: &mut Transfers, now_ns: u64) {
    let session = &mut entry.session;
    if let Some(control) = &mut session.first_payloads.control {
        if let Some(announced) = control.take_begun(&session.key) {
            transfers.announce(&announced, now_ns);
        }
    } else if session.key.protocol == protocol::TCP && !session.first_payloads.is_transfer() {
        match transfers.find(&session.key, now_ns) {
            Some(Transfer::Upload(upload)) => session.first_payloads.ftp_upload = Some(upload),
            Some(Transfer::Download(it)) => session.first_payloads.ftp_download = Some(it),
            None => {}
        }
    }
}

/// What a hello of this protocol comes over.
fn transport(number: u8) -> Transport {
    if number == protocol::UDP { Transport::Quic } else { Transport::Tcp }
}

/// The session that a flow belongs to.
fn session_key(flow: &FlowView) -> SessionKey {
    let (client, _) = flow.end(flow.initiator);
    let (server, port) = flow.end(flow.initiator.reverse());
    let has_ports = protocol::has_ports(flow.key.protocol);
    SessionKey {
        client,
        server,
        protocol: flow.key.protocol,
        server_port: if has_ports { port } else { 0 },
    }
}
