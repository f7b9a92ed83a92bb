//! One live session: what it has carried, and which checkpoints that crossed.

use std::sync::Arc;

use detector_common::abi::{CHECKPOINT_FIRST_BYTES, next_checkpoint};
use detector_common::flow::CHECKPOINT_PACKETS;

use super::ip_lookup_clients::IpLookupClients;
use super::{
    Booking, Checkpoints, FirstPayloads, OverflowPeer, Portion, Session, SessionCheckpoint,
    SessionKey,
};
use crate::flow::dns::names::Names;
use crate::flow::observation::SECOND_NS;
use crate::flow::table::Volume;
use crate::flow::table::record::FlowView;
use crate::flow::{Side, Visitor};

/// Ages in seconds at which a session is scored; after the last, every minute.
const AGES_SECS: [u32; 4] = [1, 5, 30, 60];

#[derive(Debug)]
pub(super) struct LiveSession {
    pub(super) session: Session,
    /// The flow that was heard of last.
    pub(super) flow: FlowView,
    /// The second at which its timer is looked at.
    pub(super) due_secs: u64,
    /// The table has it on the list of those that are booked next.
    pub(super) is_listed: bool,
    /// What was booked, up and down.
    booked: [Portion; 2],
}

/// What a session is opened with.
pub(super) struct Opening {
    pub(super) key: SessionKey,
    pub(super) client_home: bool,
    pub(super) server_home: bool,
    pub(super) flow: FlowView,
    pub(super) first_seen_ns: u64,
    pub(super) overflow: Option<OverflowPeer>,
}

impl LiveSession {
    pub(super) fn open(opening: Opening, id: u64) -> Self {
        let session = Session {
            key: opening.key,
            domain: None,
            id,
            client_home: opening.client_home,
            server_home: opening.server_home,
            up: Volume::default(),
            down: Volume::default(),
            flows: 0,
            flows_answered: 0,
            first_seen_ns: opening.first_seen_ns,
            last_seen_ns: opening.flow.last_seen_ns,
            name: None,
            named_by_dns: false,
            client_name: None,
            asked_own_address: false,
            other_answers: 0,
            to_group: opening.overflow.is_none(),
            first_payloads: FirstPayloads::default(),
            inter_arrival: None,
            checkpoints: Checkpoints {
                packets_done: false,
                up_next_bytes: 0,
                down_next_bytes: 0,
                next_seconds: AGES_SECS[0],
                next_first_payloads: 1,
                scored_packets: 0,
                scored_first_payloads: 0,
                scored: 0,
                ended: false,
            },
            overflow: opening.overflow,
        };
        let mut entry = Self {
            session,
            flow: opening.flow,
            due_secs: 0,
            is_listed: false,
            booked: Default::default(),
        };
        entry.set_byte_checkpoints();
        entry
    }

    fn set_byte_checkpoints(&mut self) {
        let next = |session: &Session, side| {
            if session.sends_out(side) {
                next_checkpoint(CHECKPOINT_FIRST_BYTES, session.sent(side).ip_bytes())
            } else {
                u64::MAX
            }
        };
        self.session.checkpoints.up_next_bytes = next(&self.session, Side::Client);
        self.session.checkpoints.down_next_bytes = next(&self.session, Side::Server);
    }

    /// A session that a payload sample opened does not know yet which ends are home.
    pub(super) fn learn_home(&mut self, client_home: bool, server_home: bool) {
        if (client_home, server_home) != (self.session.client_home, self.session.server_home) {
            self.session.client_home = client_home;
            self.session.server_home = server_home;
            self.set_byte_checkpoints();
        }
    }

    pub(super) fn learn_names(&mut self, names: &Names) {
        let session = &mut self.session;
        let server = match session.overflow {
            Some(peer) => peer.address,
            None => session.key.server,
        };
        if !session.named_by_dns
            && let Some(name) = names.get(server, session.last_seen_ns)
        {
            session.named_by_dns = true;
            session.name.get_or_insert_with(|| Arc::clone(name));
        }
        if session.client_name.is_none() {
            session.client_name = names.get(session.key.client, session.last_seen_ns).cloned();
        }
    }

    /// Whether an end at home asked for its own address lately.
    pub(super) fn learn_askers(&mut self, ip_lookup_clients: &IpLookupClients, now_ns: u64) {
        let session = &mut self.session;
        let asked = |home: bool, host| home && ip_lookup_clients.asked(host, now_ns);
        session.asked_own_address = session.asked_own_address
            || asked(session.client_home, session.key.client)
            || asked(session.server_home, session.key.server);
    }

    pub(super) fn carry(
        &mut self,
        up: &Volume,
        down: &Volume,
        now_ns: u64,
        visitor: &mut impl Visitor,
    ) {
        self.session.up.add(up);
        self.session.down.add(down);
        self.session.last_seen_ns = self.session.last_seen_ns.max(self.flow.last_seen_ns);
        let up_bytes = self.session.up.ip_bytes();
        let down_bytes = self.session.down.ip_bytes();
        let packets = self.session.packets();
        let checkpoints = &mut self.session.checkpoints;
        let up_crossed = up_bytes >= checkpoints.up_next_bytes;
        let down_crossed = down_bytes >= checkpoints.down_next_bytes;
        if up_crossed {
            checkpoints.up_next_bytes = next_checkpoint(checkpoints.up_next_bytes, up_bytes);
        }
        if down_crossed {
            checkpoints.down_next_bytes = next_checkpoint(checkpoints.down_next_bytes, down_bytes);
        }
        let seventh = !checkpoints.packets_done && packets >= CHECKPOINT_PACKETS;
        checkpoints.packets_done |= seventh;
        if up_crossed || down_crossed {
            self.book(now_ns, visitor);
        }
        if up_crossed {
            let sender = Side::Client;
            self.score(SessionCheckpoint::Bytes { sender }, now_ns, visitor);
        }
        if down_crossed {
            let sender = Side::Server;
            self.score(SessionCheckpoint::Bytes { sender }, now_ns, visitor);
        }
        if seventh && !up_crossed && !down_crossed {
            self.score(SessionCheckpoint::Packets, now_ns, visitor);
        }
    }

    /// Hands on what each end sent since it was booked last. What a domain carried is a part of its
    /// resolver's session.
    pub(super) fn book(&mut self, now_ns: u64, visitor: &mut impl Visitor) {
        if self.session.domain.is_some() {
            return;
        }
        let left = [Portion::left(&self.session.up), Portion::left(&self.session.down)];
        let [up, down] = [0, 1].map(|way| left[way].since(&self.booked[way]));
        self.booked = left;
        let (session, flow) = (&self.session, &self.flow);
        for (sender, sent, received) in [(Side::Client, up, down), (Side::Server, down, up)] {
            if sent.packets + received.packets != 0 {
                visitor.booked(&Booking { session, flow, sender, sent, received, now_ns });
            }
        }
    }

    /// Scores the session at the latest age it has passed, if there is news of it.
    pub(super) fn age(&mut self, now_ns: u64, visitor: &mut impl Visitor) {
        let age_secs = now_ns.saturating_sub(self.session.first_seen_ns) / SECOND_NS;
        let age_secs = u32::try_from(age_secs).unwrap_or(u32::MAX);
        if age_secs < self.session.checkpoints.next_seconds {
            return;
        }
        let passed = last_age(age_secs);
        self.session.checkpoints.next_seconds = next_age(passed);
        if self.has_news() {
            self.score(SessionCheckpoint::Seconds(passed), now_ns, visitor);
        }
    }

    pub(super) fn score(
        &mut self,
        cause: SessionCheckpoint,
        now_ns: u64,
        visitor: &mut impl Visitor,
    ) {
        self.session.checkpoints.scored += 1;
        self.session.checkpoints.scored_packets = self.session.seen_packets();
        self.session.checkpoints.scored_first_payloads = self.session.first_payloads.count;
        visitor.score(&self.session, &self.flow, cause, now_ns);
    }

    /// Whether anything came in since it was last scored. Live, a payload sample may come after
    /// counters that hold its packet and all that followed: then the payload sample alone is the
    /// news.
    fn has_news(&self) -> bool {
        let Session { first_payloads, checkpoints, .. } = &self.session;
        self.session.seen_packets() > checkpoints.scored_packets
            || first_payloads.count > checkpoints.scored_first_payloads
    }

    /// A payload sample said something: scores the session at the first, second, fourth … of it.
    pub(super) fn count_first_payload(&mut self, now_ns: u64, visitor: &mut impl Visitor) {
        if self.session.first_payloads.decoded >= self.session.checkpoints.next_first_payloads {
            self.session.checkpoints.next_first_payloads *= 2;
            self.score(SessionCheckpoint::FirstPayload, now_ns, visitor);
        }
    }

    /// Scores the session a last time, if there is news of it, and takes leave of it.
    pub(super) fn end(&mut self, now_ns: u64, window_ns: u64, visitor: &mut impl Visitor) {
        self.session.checkpoints.ended = true;
        // That an echo message was the only one of its kind is known only now.
        if self.has_news() || self.session.first_payloads.icmp.is_some() {
            let silent_ns = self.session.last_seen_ns.saturating_add(window_ns);
            self.score(SessionCheckpoint::End, now_ns.min(silent_ns), visitor);
        }
        self.book(now_ns.min(self.session.last_seen_ns.saturating_add(window_ns)), visitor);
        visitor.session_ended(&self.session);
    }

    pub(super) fn is_over(&self, now_ns: u64, window_ns: u64) -> bool {
        now_ns > self.session.last_seen_ns.saturating_add(window_ns)
    }

    /// When its timer must be looked at: at its next age, or when it may be over.
    pub(super) fn due_ns(&self, window_ns: u64) -> u64 {
        let age_ns = u64::from(self.session.checkpoints.next_seconds) * SECOND_NS;
        let aged_ns = self.session.first_seen_ns.saturating_add(age_ns);
        let over_ns = self.session.last_seen_ns.saturating_add(window_ns + 1);
        aged_ns.min(over_ns)
    }
}

/// The latest checkpoint age at or below `age_secs`.
fn last_age(age_secs: u32) -> u32 {
    if age_secs >= 60 {
        return age_secs - age_secs % 60;
    }
    let passed = AGES_SECS.into_iter().filter(|&age| age <= age_secs);
    passed.max().unwrap_or(0)
}

fn next_age(age_secs: u32) -> u32 {
    let next = AGES_SECS.into_iter().find(|&age| age > age_secs);
    next.unwrap_or_else(|| (age_secs - age_secs % 60).saturating_add(60))
}
