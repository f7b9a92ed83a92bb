//! What each session carried lately, and how it scored: what is remembered of ordinary traffic.
//!
//! Sessions are scored at least once a minute while they carry anything, and once at their end, so
//! the differences between verdicts add up to all that they carried. Bounded: what has no room is
//! added up in one line without addresses.

use std::collections::HashMap;
use std::sync::Arc;

use foldhash::fast::RandomState;

use crate::flow::Side;
pub use crate::flow::session::totals::Ends;
use crate::flow::session::totals::{Carried, SessionTotals};

/// Sessions distinguished between two takings.
pub const MAX_LINES: usize = 65_536;

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
    /// The highest score.
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
    /// Adds all sessions up in the line without addresses, where there is no room to tell them
    /// apart.
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

/// What was carried when it was last looked at, up and down.
type Mark = (Carried, Carried);

/// What the sessions carry, page by page. Its memory is bounded by the sessions that are alive and
/// by [`MAX_LINES`].
#[derive(Debug, Default)]
pub struct TrafficLog {
    marks: HashMap<u64, Mark, RandomState>,
    /// Stays as large as it had to be: a page that grew from nothing each minute would leave holes
    /// in the heap.
    lines: HashMap<Ends, SessionUsage, RandomState>,
    scores: Scores,
    joined: u64,
}

impl TrafficLog {
    /// A sender was scored; its session has carried so much, where it has sums of its own.
    pub fn scored(&mut self, score: f64, totals: Option<&SessionTotals>) {
        let scores = &mut self.scores;
        scores.count += 1;
        scores.total += score;
        scores.highest = scores.highest.max(score);
        if let Some(totals) = totals {
            let line = self.note(totals);
            line.score = line.score.max(score);
        }
    }

    /// A session is over.
    pub fn ended(&mut self, totals: &SessionTotals) {
        self.note(totals);
        self.marks.remove(&totals.session_id);
    }

    /// Takes the page and begins a new one.
    pub fn take(&mut self) -> TrafficBatch {
        TrafficBatch {
            lines: self.lines.drain().collect(),
            scores: std::mem::take(&mut self.scores),
            joined: std::mem::take(&mut self.joined),
        }
    }

    fn note(&mut self, totals: &SessionTotals) -> &mut SessionUsage {
        let now = (totals.up, totals.down);
        let before = self.marks.insert(totals.session_id, now).unwrap_or_default();
        let told_apart = self.lines.len() < MAX_LINES || self.lines.contains_key(&totals.ends);
        self.joined += u64::from(!told_apart);
        let ends = if told_apart { totals.ends } else { Ends::default() };
        let line = self.lines.entry(ends).or_default();
        let (up, down) = (now.0.since(&before.0), now.1.since(&before.1));
        let (out, back) = if totals.first == Side::Client { (up, down) } else { (down, up) };
        line.bytes_out += out.bytes;
        line.packets_out += out.packets;
        line.bytes_in += back.bytes;
        line.packets_in += back.packets;
        line.flows = line.flows.max(totals.flows);
        // What is of many hosts is of none at home, and has nobody's name.
        if told_apart {
            (line.src_home, line.dst_home) = (totals.src_home, totals.dst_home);
            if totals.name.is_some() {
                line.name.clone_from(&totals.name);
            }
        }
        line
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::flow::session::example;
    use crate::flow::{Session, SessionKey, Volume};

    fn session(client_home: bool, server_home: bool) -> Session {
        let key = SessionKey {
            client: [10, 0, 0, 7].into(),
            server: [192, 0, 2, 1].into(),
            protocol: 6,
            server_port: 443,
        };
        Session { client_home, server_home, ..example::session(key) }
    }

    fn totals(session: &Session) -> Option<SessionTotals> {
        SessionTotals::of(session)
    }

    fn carry(session: &mut Session, up: u64, down: u64) {
        session.up = Volume { seen_packets: 1, seen_bytes: up, ..Volume::default() };
        session.down = Volume { seen_packets: 1, seen_bytes: down, ..Volume::default() };
    }

    #[test]
    fn differences_add_up_to_what_was_carried() {
        let mut traffic_log = TrafficLog::default();
        let mut session = session(true, false);
        let (mut out, mut back) = (0, 0);
        for (up, down) in [(100, 10), (150, 10), (150, 70), (900, 80)] {
            carry(&mut session, up, down);
            traffic_log.scored(0.25, totals(&session).as_ref());
            let page = traffic_log.take();
            assert_eq!((page.lines.len(), page.scores.count), (1, 1));
            out += page.lines.iter().map(|(_, line)| line.bytes_out).sum::<u64>();
            back += page.lines.iter().map(|(_, line)| line.bytes_in).sum::<u64>();
        }
        traffic_log.ended(&totals(&session).unwrap());
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
            session.key.client = number.to_be_bytes().into();
            session.name = Some("a.example".into());
            carry(&mut session, 100, 10);
            traffic_log.scored(0.5, totals(&session).as_ref());
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
            traffic_log.scored(0.5, totals(&session).as_ref());
            let page = traffic_log.take();
            let (ends, line) = page.lines.first().unwrap();
            assert_eq!((ends.src, line.bytes_out), (src.into(), bytes_out));
            assert_eq!(ends.dst_port, 443);
        };
        check(true, false, [10, 0, 0, 7], 100);
        check(true, true, [10, 0, 0, 7], 100);
        check(false, true, [192, 0, 2, 1], 10);
        check(false, false, [10, 0, 0, 7], 100);
    }
}
