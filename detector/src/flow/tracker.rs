//! The tracker: observations in; verdicts, flow records and keys to delete out.

use std::collections::HashMap;
use std::sync::Arc;

use detector_common::abi::{Count, OverflowCounters, OverflowKey};
use detector_common::flow::{Direction, FlowCounters, FlowKey};
use detector_common::parse::Tunnel;

use super::Visitor;
use super::config::TrackerConfig;
use super::content::FirstPayload;
use super::content::conversations::{Beginning, Conversations};
use super::dns::names::Names;
use super::observation::{Cause, Observation, Piece, SECOND_NS, TimeBase};
use super::session::{DomainTable, OverflowPeer, Session, SessionTable};
use super::table::record::{FlowRecord, FlowView};
use super::table::{FlowTable, Handle, LiveFlow, Volume};
use crate::network::Address;

/// What the tracker holds and what it had to leave out.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct TrackerCounts {
    pub flows_live: u64,
    pub flows_opened: u64,
    /// Readings of new flows put off because the table was full; their counters come again.
    pub flows_deferred: u64,
    pub sessions_live: u64,
    pub sessions_opened: u64,
    /// Sessions ended early to make room.
    pub sessions_evicted: u64,
    /// Registered domains that a client asked for, and those ended early to make room.
    pub domains_live: u64,
    pub domains_opened: u64,
    pub domains_evicted: u64,
    /// Names that had to make room.
    pub names_evicted: u64,
    /// Announced FTP uploads, and hosts that asked for their own address, that had to make room.
    pub transfers_evicted: u64,
    pub askers_evicted: u64,
    /// Kinds of HTTP uploads that had no room in their session.
    pub upload_kinds_refused: u64,
    /// TLS hellos that were cut before their fingerprint was known.
    pub hellos_cut: u64,
    /// HTTP requests whose headers were cut.
    pub requests_cut: u64,
    /// Starts of connections that were read early: to make room, and because a part was missing.
    pub streams_evicted: u64,
    pub streams_with_gaps: u64,
    /// Starts of connections of which more was to come for a minute.
    pub streams_timed_out: u64,
    /// QUIC datagrams beyond those that are opened in a second, and Initials that did not open.
    pub quic_over_rate: u64,
    pub quic_refused: u64,
    /// Connections whose segments had other bytes in the same place.
    pub contradictions: u64,
    /// Protocols that a few bytes named and what followed refuted.
    pub refuted: u64,
    /// Payload samples taken in, and those whose flow could not be held.
    pub first_payloads: u64,
    pub first_payloads_refused: u64,
    /// IP bytes that internal hosts sent and that left, and those that came to them from hosts that
    /// are not internal.
    pub bytes_out: u64,
    pub bytes_in: u64,
    /// Packets and IP bytes of flows that are tunnels, by their kind: those that were not opened.
    pub tunnels: [Count; Tunnel::COUNT],
    /// IP bytes that internal hosts sent and that were dropped.
    pub bytes_stopped: u64,
}

impl TrackerCounts {
    /// Flows and sessions that were not followed to their end.
    #[must_use]
    pub fn untracked(&self) -> u64 {
        self.flows_deferred + self.sessions_evicted
    }

    /// What was left out or forgotten, as summaries name it.
    #[must_use]
    pub fn left_out(&self) -> [(&'static str, u64); 17] {
        [
            ("flows_deferred", self.flows_deferred),
            ("sessions_evicted", self.sessions_evicted),
            ("domains_evicted", self.domains_evicted),
            ("names_evicted", self.names_evicted),
            ("payload_samples_without_flow", self.first_payloads_refused),
            ("ftp_uploads_evicted", self.transfers_evicted),
            ("ip_lookup_clients_evicted", self.askers_evicted),
            ("http_upload_kinds_refused", self.upload_kinds_refused),
            ("tls_hellos_cut", self.hellos_cut),
            ("http_requests_cut", self.requests_cut),
            ("payload_streams_evicted", self.streams_evicted),
            ("payload_streams_with_gaps", self.streams_with_gaps),
            ("payload_streams_timed_out", self.streams_timed_out),
            ("payload_streams_contradictory", self.contradictions),
            ("protocols_refuted", self.refuted),
            ("quic_initials_over_rate", self.quic_over_rate),
            ("quic_initials_refused", self.quic_refused),
        ]
    }
}

/// Where a tracker keeps a flow; a hint, see [`Tracker::latest`].
#[derive(Clone, Copy, Debug)]
pub struct FlowPlace(Handle);

impl FlowPlace {
    /// Nowhere: for a flow that the tracker does not know yet.
    pub const UNKNOWN: Self = Self(Handle::NONE);
}

/// Flows of a session that are read again where what it has carried by now is asked for.
const FLOWS_READ: usize = 256;

/// What a session has carried by now.
#[derive(Clone, Copy, Debug)]
pub struct CarriedNow {
    pub client: Address,
    /// From the client, and to it.
    pub up: Volume,
    pub down: Volume,
}

/// Follows flows and sessions of one source.
#[derive(Debug)]
pub struct Tracker {
    flows: FlowTable,
    sessions: SessionTable,
    domains: DomainTable,
    names: Names,
    conversations: Conversations,
    /// As many as the source's own overflow table holds.
    overflows: HashMap<OverflowKey, OverflowCounters>,
    expired: Vec<FlowKey>,
    now_ns: u64,
    first_payloads: u64,
    first_payloads_refused: u64,
    tunnels: [Count; Tunnel::COUNT],
    /// What internal hosts sent, dropped or not, and what was sent to them.
    outbound: Volume,
    inbound: Volume,
}

impl Tracker {
    #[must_use]
    pub fn new(config: &TrackerConfig) -> Self {
        Self {
            flows: FlowTable::new(config.max_flows, config.timeouts),
            sessions: SessionTable::new(config.max_sessions, config.session_window_secs),
            domains: DomainTable::new(config.max_domains, config.session_window_secs),
            names: Names::new(config.max_names),
            conversations: Conversations::new(config.max_stream_bytes),
            overflows: HashMap::new(),
            expired: Vec::new(),
            now_ns: 0,
            first_payloads: 0,
            first_payloads_refused: 0,
            tunnels: [Count::default(); Tunnel::COUNT],
            outbound: Volume::default(),
            inbound: Volume::default(),
        }
    }

    /// Takes in one observation.
    pub fn observe(
        &mut self,
        observation: &Observation<'_>,
        base: &TimeBase,
        visitor: &mut impl Visitor,
    ) {
        match *observation {
            Observation::Flow { key, counters, cause } => {
                self.flow(key, counters, base, visitor);
                if cause == Cause::Closed {
                    self.close(key, visitor);
                }
            }
            Observation::FirstPayload(piece) => {
                self.first_payload(&piece, base.ns(piece.now), visitor);
            }
            Observation::Overflow { key, counters, .. } => {
                self.overflow(key, counters, base, visitor);
            }
            Observation::Tick { now_ns } => self.tick(now_ns, visitor),
        }
    }

    /// Whether the tracker follows a flow of this key. A source that has a payload sample of a flow
    /// it does not know delivers the flow first, because the counters show who began it.
    #[must_use]
    pub fn knows(&self, key: &FlowKey) -> bool {
        self.flows.find(key).is_some()
    }

    /// Where the flow of the latest observation is kept. A source that remembers it spares a
    /// look-up by giving it to [`Tracker::expect`] before the flow's next observation.
    #[must_use]
    pub fn latest(&self) -> FlowPlace {
        FlowPlace(self.flows.latest.get())
    }

    /// The next observation is likely of the flow at `place`; it need not be.
    pub fn expect(&self, place: FlowPlace) {
        self.flows.latest.set(place.0);
    }

    /// Reads what the next observation of the flow at `place` will need, so that it is in the cache
    /// then. The value says nothing; it is there to be used.
    #[must_use]
    pub fn warm(&self, place: FlowPlace) -> u64 {
        let Some(flow) = self.flows.get(place.0) else {
            return 0;
        };
        flow.warm() ^ self.sessions.warm(flow.session)
    }

    /// Nothing is followed: no timer will come due.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.flows.len() == 0 && self.sessions.len() == 0 && self.domains.len() == 0
    }

    /// Moves the keys of flows that fell idle into `keys`: their entries may be deleted. Each is
    /// named once; the source answers with [`Cause::Closed`] when it has deleted one, or with
    /// newer counters if the flow continued.
    pub fn take_expired(&mut self, keys: &mut Vec<FlowKey>) {
        keys.append(&mut self.expired);
    }

    /// The source has ended, or its time starts again: reports all flows and ends all sessions.
    pub fn finish(&mut self, visitor: &mut impl Visitor) {
        for handle in self.flows.handles() {
            self.close_handle(handle, visitor);
        }
        self.domains.finish(self.now_ns, visitor);
        self.sessions.finish(self.now_ns, visitor);
        self.flows.restart();
        self.expired.clear();
        self.now_ns = 0;
    }

    /// The sessions that are alive.
    pub fn sessions(&self) -> impl Iterator<Item = &Session> {
        self.sessions.all()
    }

    /// What the session of a flow has carried by now, from its client and to it: what was read of it, and
    /// what `read` says of the newest counters of its flows, of 256 of them at most.
    pub fn carried_now<E>(
        &self,
        key: &FlowKey,
        mut read: impl FnMut(&FlowKey) -> Result<Option<FlowCounters>, E>,
    ) -> Result<Option<CarriedNow>, E> {
        let handle = self.flows.find(key).and_then(|flow| self.flows.get(flow));
        let Some(own) = handle else { return Ok(None) };
        let Some(session) = self.sessions.get(own.session) else { return Ok(None) };
        let mut now = CarriedNow { client: session.key.client, up: session.up, down: session.down };
        let mut take = |flow: &LiveFlow| -> Result<(), E> {
            let Some(counters) = read(&flow.view.key)? else { return Ok(()) };
            let unread = flow.unread(&counters);
            now.up.add(&unread.forward);
            now.down.add(&unread.reverse);
            Ok(())
        };
        if session.flows <= 1 {
            take(own)?;
        } else {
            let same = self.flows.all().filter(|flow| flow.session == own.session);
            same.take(FLOWS_READ).try_for_each(take)?;
        }
        Ok(Some(now))
    }

    #[must_use]
    pub fn counts(&self) -> TrackerCounts {
        let unread = self.conversations.unread;
        TrackerCounts {
            flows_live: self.flows.len() as u64,
            flows_opened: self.flows.opened,
            flows_deferred: self.flows.deferred,
            sessions_live: self.sessions.len() as u64,
            sessions_opened: self.sessions.opened,
            sessions_evicted: self.sessions.evicted,
            domains_live: self.domains.len() as u64,
            domains_opened: self.domains.opened,
            domains_evicted: self.domains.evicted,
            names_evicted: self.names.evictions,
            transfers_evicted: self.sessions.transfers.evictions,
            askers_evicted: self.sessions.ip_lookup_clients.evictions,
            upload_kinds_refused: self.sessions.upload_kinds_refused,
            hellos_cut: self.sessions.hellos_cut,
            requests_cut: self.sessions.requests_cut,
            streams_evicted: unread.evicted,
            streams_with_gaps: unread.with_gaps,
            streams_timed_out: unread.timed_out,
            quic_over_rate: unread.quic_over_rate,
            quic_refused: unread.quic_refused,
            contradictions: self.sessions.contradictions,
            refuted: self.sessions.refuted,
            first_payloads: self.first_payloads,
            first_payloads_refused: self.first_payloads_refused,
            bytes_out: self.outbound.ip_bytes(),
            bytes_in: self.inbound.ip_bytes(),
            bytes_stopped: self.outbound.dropped_bytes,
            tunnels: self.tunnels,
        }
    }

    fn flow(
        &mut self,
        key: &FlowKey,
        counters: &FlowCounters,
        base: &TimeBase,
        visitor: &mut impl Visitor,
    ) {
        let Some((handle, mut delta)) = self.flows.read(key, counters, base) else {
            return;
        };
        let Some(flow) = self.flows.get_mut(handle) else {
            return;
        };
        if delta.packets() == 0 {
            return;
        }
        let now_ns = flow.view.last_seen_ns;
        self.now_ns = self.now_ns.max(now_ns);
        if let Some(tunnel) = Tunnel::of(key) {
            let bytes = delta.forward.seen_bytes + delta.reverse.seen_bytes;
            self.tunnels[tunnel as usize] += Count { packets: delta.packets(), bytes };
        }
        let (initiator_home, responder_home) = (flow.initiator_home(), flow.responder_home());
        if initiator_home {
            self.outbound.add(&delta.forward);
        } else if responder_home {
            self.inbound.add(&delta.forward);
        }
        if responder_home {
            self.outbound.add(&delta.reverse);
        } else if initiator_home {
            self.inbound.add(&delta.reverse);
        }
        let before = flow.session;
        let session = self.sessions.attach(flow, delta.resumed, &self.names, visitor);
        let Some(session) = session else {
            return;
        };
        if delta.resumed && session != before {
            // The gap before this reading belongs to no session.
            delta = delta.without_gaps();
        }
        self.sessions.add(session, flow, &delta, now_ns, visitor);
    }

    fn close(&mut self, key: &FlowKey, visitor: &mut impl Visitor) {
        if let Some(handle) = self.flows.find(key) {
            self.close_handle(handle, visitor);
        }
    }

    fn close_handle(&mut self, handle: Handle, visitor: &mut impl Visitor) {
        if let Some(flow) = self.flows.get(handle)
            && let Some(beginning) = self.conversations.remove(&flow.view.key)
        {
            self.sessions.finish_beginning(flow.session, beginning, self.now_ns, visitor);
        }
        if let Some(mut record) = self.flows.close(handle) {
            name(&mut record, &self.names);
            visitor.flow_record(&record);
        }
    }

    fn first_payload(&mut self, piece: &Piece<'_>, now_ns: u64, visitor: &mut impl Visitor) {
        let Piece { key, direction, payload_bytes, offset, sequence, bytes, .. } = *piece;
        self.first_payloads += u64::from(offset == 0);
        self.now_ns = self.now_ns.max(now_ns);
        let handle =
            self.flows.find(key).or_else(|| self.flows.open_by_payload(key, direction, now_ns));
        let Some(flow) = handle.and_then(|handle| self.flows.get_mut(handle)) else {
            self.first_payloads_refused += u64::from(offset == 0);
            return;
        };
        let resumed = !flow.is_fresh();
        let Some(session) = self.sessions.attach(flow, resumed, &self.names, visitor) else {
            return;
        };
        let from_client = direction == flow.view.initiator;
        let (is_first, is_sample) =
            if offset == 0 { flow.count_first_payload(from_client) } else { (false, false) };
        let payload = FirstPayload {
            bytes,
            payload_bytes,
            offset,
            sequence,
            from_client,
            from_home: if from_client { flow.initiator_home() } else { flow.responder_home() },
            is_first,
            is_sample,
            protocol: key.protocol,
            server_port: u16::from_be_bytes(key.destination(flow.view.initiator).1),
            echo: flow.echo(direction),
        };
        let found = flow.dns_messages(&payload);
        let view = flow.view;
        if offset == 0 {
            visitor.first_payload(&view, direction, payload_bytes, bytes);
        }
        self.sessions.first_payload(
            session,
            &view,
            (&payload, &found),
            now_ns,
            (&mut self.names, &mut self.conversations),
            visitor,
        );
        self.make_room(visitor);
        let Some(session) = self.sessions.get(session) else {
            return;
        };
        for message in &found.messages {
            self.domains.learn(session, &view, &payload, message, now_ns, visitor);
        }
    }

    /// Reads the oldest conversations as far as they came, while all together take too much memory.
    fn make_room(&mut self, visitor: &mut impl Visitor) {
        while let Some((key, beginning)) = self.conversations.take_excess() {
            self.finish_beginning(&key, beginning, visitor);
        }
    }

    /// Reads what a flow began to say as far as it came.
    fn finish_beginning(
        &mut self,
        key: &FlowKey,
        beginning: Beginning,
        visitor: &mut impl Visitor,
    ) {
        let flow = self.flows.find(key).and_then(|handle| self.flows.get(handle));
        if let Some(flow) = flow {
            self.sessions.finish_beginning(flow.session, beginning, self.now_ns, visitor);
        }
    }

    fn overflow(
        &mut self,
        key: &OverflowKey,
        counters: &OverflowCounters,
        base: &TimeBase,
        visitor: &mut impl Visitor,
    ) {
        let latest = self.overflows.entry(*key).or_default();
        if counters.packets < latest.packets {
            // The entry was deleted and opened again.
            *latest = OverflowCounters::default();
        }
        let carried = Volume {
            seen_packets: counters.packets - latest.packets,
            seen_bytes: counters.ip_bytes.saturating_sub(latest.ip_bytes),
            seen_payload_bytes: counters.payload_bytes.saturating_sub(latest.payload_bytes),
            ..Volume::default()
        };
        if carried.seen_packets == 0 {
            return;
        }
        *latest = *counters;
        let view = overflow_view(key, counters, base);
        self.now_ns = self.now_ns.max(view.last_seen_ns);
        let peer = OverflowPeer {
            address: counters.peer.into(),
            port: u16::from_be_bytes(counters.peer_port),
            protocol: counters.protocol,
        };
        let outbound = key.outbound != 0;
        let Some(session) =
            self.sessions.attach_overflow(view, outbound, peer, &self.names, visitor)
        else {
            return;
        };
        (if outbound { &mut self.outbound } else { &mut self.inbound }).add(&carried);
        let (up, down) =
            if outbound { (carried, Volume::default()) } else { (Volume::default(), carried) };
        self.sessions.add_overflow(session, view, &up, &down, visitor);
    }

    fn tick(&mut self, now_ns: u64, visitor: &mut impl Visitor) {
        self.now_ns = self.now_ns.max(now_ns);
        let names = &self.names;
        self.flows.tick(now_ns, &mut self.expired, |mut record| {
            name(&mut record, names);
            visitor.flow_record(&record);
        });
        while let Some((key, beginning)) = self.conversations.take_late(now_ns / SECOND_NS) {
            self.finish_beginning(&key, beginning, visitor);
        }
        self.sessions.tick(now_ns, &self.names, visitor);
        self.domains.tick(now_ns, visitor);
    }
}

fn name(record: &mut FlowRecord, names: &Names) {
    let at_ns = record.start_ns;
    record.source_name = names.get(record.source_address, at_ns).map(Arc::clone);
    record.destination_name = names.get(record.destination_address, at_ns).map(Arc::clone);
}

/// A host's overflow as a flow from it to where it went last.
fn overflow_view(key: &OverflowKey, counters: &OverflowCounters, base: &TimeBase) -> FlowView {
    let low = key.address <= counters.peer;
    let now_ns = base.ns(counters.last_seen);
    FlowView {
        key: FlowKey {
            low: key.address.min(counters.peer),
            high: key.address.max(counters.peer),
            low_port: if low { [0; 2] } else { counters.peer_port },
            high_port: if low { counters.peer_port } else { [0; 2] },
            protocol: counters.protocol,
            padding: [0; 3],
        },
        initiator: if low { Direction::FromLow } else { Direction::FromHigh },
        icmp: 0,
        first_seen_ns: now_ns,
        last_seen_ns: now_ns,
    }
}
