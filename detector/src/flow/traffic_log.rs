//! What each session carried lately, and how it scored: what is remembered of ordinary traffic.
//!
//! Sessions are judged at least once a minute while they carry anything, and once at their end, so
//! the differences between judgements add up to all that they carried. Bounded: what has no room is
//! added up in one line without addresses.

use std::collections::HashMap;
use std::sync::Arc;

use foldhash::fast::RandomState;

use super::{Session, Side, Volume};

/// Sessions told apart between two takings.
pub const MAX_LINES: usize = 65_536;

/// A session's two ends, the one at home first; where neither or both are, the one that opened it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct Ends {
    pub src: [u8; 16],
    pub dst: [u8; 16],
    pub protocol: u8,
    /// The server's.
    pub dst_port: u16,
}

/// What a session carried since the last taking.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct SessionUsage {
    pub name: Option<Arc<str>>,
    pub src_home: bool,
    pub dst_home: bool,
    /// From `src` to `dst`: IP bytes.
    pub bytes_out: u64,
    pub bytes_in: u64,
    pub packets_out: u64,
    pub packets_in: u64,
    /// Flows of the session so far.
    pub flows: u64,
    /// The highest.
    pub score: f64,
}

/// The scores given since the last taking.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Scores {
    pub count: u64,
    pub highest: f64,
    pub total: f64,
}

/// Everything since the last taking.
#[derive(Debug, Default)]
pub struct TrafficBatch {
    /// One for any two ends.
    pub lines: Vec<(Ends, SessionUsage)>,
    pub scores: Scores,
    /// Sessions that had no room, together in the line without addresses.
    pub joined: u64,
}

impl TrafficBatch {
    /// Adds all sessions up in the line without addresses, where there is no room to tell them apart.
    pub fn join(&mut self) {
        let Self { lines, joined, .. } = self;
        let mut all = SessionUsage::default();
        for (ends, line) in std::mem::take(lines) {
            *joined += u64::from(ends != Ends::default());
            all.bytes_out += line.bytes_out;
            all.bytes_in += line.bytes_in;
            all.packets_out += line.packets_out;
            all.packets_in += line.packets_in;
            all.flows = all.flows.max(line.flows);
            all.score = all.score.max(line.score);
        }
        lines.push((Ends::default(), all));
    }
}

/// What was carried when it was last looked at.
#[derive(Clone, Copy, Debug, Default)]
struct Mark {
    up: (u64, u64),
    down: (u64, u64),
}

/// What the sessions carry, page by page. Its memory is bounded by the sessions that are alive and by
/// [`MAX_LINES`].
#[derive(Debug, Default)]
pub struct TrafficLog {
    marks: HashMap<u64, Mark, RandomState>,
    /// Stays as large as it had to be: a page that grew anew each minute would leave holes in the heap.
    lines: HashMap<Ends, SessionUsage, RandomState>,
    scores: Scores,
    joined: u64,
}

impl TrafficLog {
    /// A session was judged, with this score for one of its senders.
    pub fn judged(&mut self, session: &Session, score: f64) {
        let scores = &mut self.scores;
        scores.count += 1;
        scores.total += score;
        scores.highest = scores.highest.max(score);
        if let Some(line) = self.note(session) {
            line.score = line.score.max(score);
        }
    }

    /// A session is over.
    pub fn ended(&mut self, session: &Session) {
        self.note(session);
        self.marks.remove(&session.id);
    }

    /// Takes the page and begins a new one.
    pub fn take(&mut self) -> TrafficBatch {
        TrafficBatch {
            lines: self.lines.drain().collect(),
            scores: std::mem::take(&mut self.scores),
            joined: std::mem::take(&mut self.joined),
        }
    }

    fn note(&mut self, session: &Session) -> Option<&mut SessionUsage> {
        // What a domain carried is a part of its resolver's session.
        if session.domain.is_some() {
            return None;
        }
        let counted = |volume: &Volume| (volume.ip_bytes, volume.packets);
        let now = Mark { up: counted(&session.up), down: counted(&session.down) };
        let before = self.marks.insert(session.id, now).unwrap_or_default();
        let (ends, home_side) = home_first(session);
        let told_apart = self.lines.len() < MAX_LINES || self.lines.contains_key(&ends);
        self.joined += u64::from(!told_apart);
        let line = self.lines.entry(if told_apart { ends } else { Ends::default() }).or_default();
        let since = |now: (u64, u64), before: (u64, u64)| {
            (now.0.saturating_sub(before.0), now.1.saturating_sub(before.1))
        };
        let (up, down) = (since(now.up, before.up), since(now.down, before.down));
        let client_first = home_side == Side::Client;
        let (out, back) = if client_first { (up, down) } else { (down, up) };
        line.bytes_out += out.0;
        line.packets_out += out.1;
        line.bytes_in += back.0;
        line.packets_in += back.1;
        line.flows = line.flows.max(session.flows);
        if !told_apart {
            // It is of many hosts: none's home, and nobody's name.
            return Some(line);
        }
        let homes = (session.client_home, session.server_home);
        (line.src_home, line.dst_home) = if client_first { homes } else { (homes.1, homes.0) };
        let name = if client_first { &session.name } else { &session.client_name };
        if name.is_some() {
            line.name.clone_from(name);
        }
        Some(line)
    }
}

/// A session's ends in the order in which they are told, and which of them comes first.
#[must_use]
pub fn home_first(session: &Session) -> (Ends, Side) {
    let key = &session.key;
    let (server, dst_port, protocol) = match session.overflow {
        Some(peer) => (peer.address, peer.port, peer.protocol),
        None => (key.server, key.server_port, key.protocol),
    };
    if session.server_home && !session.client_home {
        (Ends { src: server, dst: key.client, protocol, dst_port }, Side::Server)
    } else {
        (Ends { src: key.client, dst: server, protocol, dst_port }, Side::Client)
    }
}

#[cfg(test)]
mod tests {
    use super::super::SessionKey;
    use super::*;
    use crate::flow::session::example;
    use crate::network::octets;

    fn session(client_home: bool, server_home: bool) -> Session {
        let key = SessionKey {
            client: octets([10, 0, 0, 7].into()),
            server: octets([192, 0, 2, 1].into()),
            protocol: 6,
            server_port: 443,
        };
        Session { client_home, server_home, ..example::session(key) }
    }

    fn carry(session: &mut Session, up: u64, down: u64) {
        session.up = Volume { packets: 1, ip_bytes: up, ..Volume::default() };
        session.down = Volume { packets: 1, ip_bytes: down, ..Volume::default() };
    }

    #[test]
    fn differences_add_up_to_what_was_carried() {
        let mut traffic_log = TrafficLog::default();
        let mut session = session(true, false);
        let (mut out, mut back) = (0, 0);
        for (up, down) in [(100, 10), (150, 10), (150, 70), (900, 80)] {
            carry(&mut session, up, down);
            traffic_log.judged(&session, 0.25);
            let page = traffic_log.take();
            assert_eq!((page.lines.len(), page.scores.count), (1, 1));
            out += page.lines.iter().map(|(_, line)| line.bytes_out).sum::<u64>();
            back += page.lines.iter().map(|(_, line)| line.bytes_in).sum::<u64>();
        }
        traffic_log.ended(&session);
        assert_eq!((out, back), (900, 80));
        assert!(traffic_log.marks.is_empty());
    }

    #[test]
    fn what_has_no_room_is_of_no_host() {
        let mut traffic_log = TrafficLog::default();
        let sessions = MAX_LINES as u32 + 2;
        for number in 0..sessions {
            let mut session = session(true, false);
            session.id = u64::from(number);
            session.key.client = octets(number.to_be_bytes().into());
            session.name = Some("a.example".into());
            carry(&mut session, 100, 10);
            traffic_log.judged(&session, 0.5);
        }
        let page = traffic_log.take();
        assert_eq!(page.joined, 2);
        assert_eq!(
            page.lines.iter().map(|(_, line)| line.bytes_out).sum::<u64>(),
            100 * u64::from(sessions)
        );
        let mut joined = page.lines.iter().filter(|(ends, _)| *ends == Ends::default());
        let (_, joined) = joined.next().unwrap();
        let expected = SessionUsage {
            bytes_out: 200,
            bytes_in: 20,
            packets_out: 2,
            packets_in: 2,
            ..joined.clone()
        };
        assert_eq!(*joined, expected);
        assert_eq!(
            (joined.name.as_deref(), joined.src_home, joined.dst_home),
            (None, false, false)
        );
    }

    #[test]
    fn a_page_that_finds_no_room_keeps_what_was_carried() {
        let line = SessionUsage {
            bytes_out: 100,
            bytes_in: 10,
            packets_out: 2,
            packets_in: 1,
            ..SessionUsage::default()
        };
        let ends = |dst_port| Ends { dst_port, ..Ends::default() };
        let lines = [0, 80, 443].map(|port| (ends(port), line.clone()));
        let mut page = TrafficBatch { lines: lines.into(), joined: 5, ..TrafficBatch::default() };
        page.join();
        let carried =
            SessionUsage { bytes_out: 300, bytes_in: 30, packets_out: 6, packets_in: 3, ..line };
        assert_eq!(page.lines, [(Ends::default(), carried)]);
        // The line without addresses was no session of its own.
        assert_eq!(page.joined, 7);
    }

    #[test]
    fn the_end_at_home_comes_first() {
        let check = |client_home, server_home, src: [u8; 4], bytes_out| {
            let mut traffic_log = TrafficLog::default();
            let mut session = session(client_home, server_home);
            carry(&mut session, 100, 10);
            traffic_log.judged(&session, 0.5);
            let page = traffic_log.take();
            let (ends, line) = page.lines.first().unwrap();
            assert_eq!((ends.src, line.bytes_out), (octets(src.into()), bytes_out));
            assert_eq!(ends.dst_port, 443);
        };
        check(true, false, [10, 0, 0, 7], 100);
        check(true, true, [10, 0, 0, 7], 100);
        check(false, true, [192, 0, 2, 1], 10);
        check(false, false, [10, 0, 0, 7], 100);
    }
}
