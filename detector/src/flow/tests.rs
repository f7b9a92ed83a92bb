//! The tracker as a source and a verdict see it: counters in, verdicts and records out.

use std::collections::HashMap;

use detector_common::abi::{OverflowCounters, OverflowKey};
use detector_common::flow::{Direction, FlowCounters, FlowKey};
use detector_common::parse::protocol;

use super::{
    Cause, FlowEndReason, FlowRecord, FlowView, Observation, Piece, Session, SessionCheckpoint,
    Side, TimeBase, Tracker, TrackerConfig, Visitor,
};
use crate::flow::content::file::FileName;
use crate::flow::observation::SECOND_NS;
use crate::flow::session::transfer::FtpUpload;

const START_SECS: u64 = 1_000_000;
const BASE: TimeBase = TimeBase::PACKET_TIME;
const SYN: u16 = 0x02;
const ACK: u16 = 0x10;
const FIN: u16 = 0x01;

/// Remembers what it was given.
#[derive(Default)]
struct Notes {
    scored: Vec<(SessionCheckpoint, u64, u64)>,
    records: Vec<FlowRecord>,
    sessions: Vec<Session>,
}

impl Visitor for Notes {
    fn score(&mut self, session: &Session, _flow: &FlowView, cause: SessionCheckpoint, now: u64) {
        self.scored.push((cause, session.packets(), now / SECOND_NS));
    }

    fn flow_record(&mut self, record: &FlowRecord) {
        self.records.push(record.clone());
    }

    fn session_ended(&mut self, session: &Session) {
        self.sessions.push(session.clone());
    }
}

/// A tracker, its notes, and the flows it is given. The low end is home and the client.
struct Scene {
    tracker: Tracker,
    notes: Notes,
    /// Next sequence numbers.
    sequences: HashMap<(FlowKey, u8), u32>,
}

impl Scene {
    fn new(config: TrackerConfig) -> Self {
        Self { tracker: Tracker::new(&config), notes: Notes::default(), sequences: HashMap::new() }
    }

    fn flow(&mut self, key: &FlowKey, counters: &FlowCounters, cause: Cause) {
        let flow = Observation::Flow { key, counters, cause };
        self.tracker.observe(&flow, &BASE, &mut self.notes);
    }

    /// A packet whose payload begins with `bytes`, each behind the one before.
    fn first_payload(&mut self, key: &FlowKey, direction: Direction, bytes: &[u8], at_secs: u64) {
        let next = self.sequences.entry((*key, direction as u8)).or_default();
        let sequence = *next;
        *next += u32::try_from(bytes.len()).expect("short");
        self.segment(key, direction, sequence, bytes, at_secs);
    }

    fn segment(
        &mut self,
        key: &FlowKey,
        direction: Direction,
        sequence: u32,
        bytes: &[u8],
        at_secs: u64,
    ) {
        let payload_bytes = u32::try_from(bytes.len()).expect("short");
        let now = ticks(at_secs);
        let piece = Piece { key, direction, payload_bytes, offset: 0, sequence, bytes, now };
        self.tracker.observe(&Observation::FirstPayload(piece), &BASE, &mut self.notes);
    }

    fn tick(&mut self, at_secs: u64) -> Vec<FlowKey> {
        let tick = Observation::Tick { now_ns: (START_SECS + at_secs) * SECOND_NS };
        self.tracker.observe(&tick, &BASE, &mut self.notes);
        let mut expired = Vec::new();
        self.tracker.take_expired(&mut expired);
        expired
    }

    fn causes(&self) -> Vec<SessionCheckpoint> {
        self.notes.scored.iter().map(|scored| scored.0).collect()
    }
}

fn ticks(at_secs: u64) -> u64 {
    (START_SECS + at_secs) * 100
}

fn key(number: u8, client_port: u16, server_port: u16) -> FlowKey {
    let mut low = [0; 16];
    low[10..].copy_from_slice(&[0xff, 0xff, 10, 0, 0, number]);
    let mut high = low;
    high[12..].copy_from_slice(&[198, 51, 100, 7]);
    FlowKey {
        low,
        high,
        low_port: client_port.to_be_bytes(),
        high_port: server_port.to_be_bytes(),
        protocol: protocol::TCP,
        padding: [0; 3],
    }
}

/// Counters of a flow from the low end: packets of 1,000 bytes up, of 100 down.
fn counters(up: u64, down: u64, first_secs: u64, last_secs: u64) -> FlowCounters {
    let mut counters = FlowCounters { home: FlowCounters::HOME_LOW, ..FlowCounters::default() };
    for (half, packets, size) in [(0, up, 1_000_u16), (1, down, 100)] {
        let half = &mut counters.halves[half];
        half.packets = packets;
        half.ip_bytes = packets * u64::from(size);
        half.payload_bytes = half.ip_bytes / 2;
        half.first_seen = ticks(first_secs);
        half.last_seen = ticks(last_secs);
        half.tcp_flags = SYN | ACK;
        half.size_min = size;
        half.size_max = size;
    }
    counters
}

#[test]
fn readings_add_up_once() {
    let mut scene = Scene::new(TrackerConfig::default());
    let key = key(1, 50_000, 443);
    scene.flow(&key, &counters(2, 1, 0, 0), Cause::Poll);
    scene.flow(&key, &counters(4, 3, 0, 1), Cause::Poll);
    // An event older than the poll, and a poll without news.
    scene.flow(&key, &counters(3, 2, 0, 0), Cause::Poll);
    scene.flow(&key, &counters(4, 3, 0, 1), Cause::Poll);
    scene.flow(&key, &counters(5, 3, 0, 2), Cause::Closed);
    scene.tracker.finish(&mut scene.notes);

    let [session] = &scene.notes.sessions[..] else { panic!("one session") };
    assert_eq!((session.up.packets(), session.down.packets()), (5, 3));
    assert_eq!((session.up.ip_bytes(), session.down.ip_bytes()), (5_000, 300));
    assert_eq!((session.up.size_min, session.down.size_max), (1_000, 100));
    assert_eq!((session.flows, session.flows_answered), (1, 1));
    assert!(session.client_home && !session.server_home);
    assert_eq!(session.key.server_port, 443);
    assert_eq!(session.duration_ns(), 2 * SECOND_NS);

    let [record] = &scene.notes.records[..] else { panic!("one record") };
    assert_eq!((record.forward.packets(), record.reverse.packets()), (5, 3));
    assert_eq!((record.source_port, record.destination_port), (50_000, 443));
    assert_eq!(record.end_reason, FlowEndReason::ForcedEnd);
    assert!(scene.tracker.is_empty());
}

#[test]
fn flows_of_one_service_are_one_session() {
    let mut scene = Scene::new(TrackerConfig::default());
    scene.flow(&key(1, 50_000, 443), &counters(2, 1, 0, 1), Cause::Poll);
    scene.flow(&key(1, 50_001, 443), &counters(2, 0, 0, 1), Cause::Poll);
    scene.flow(&key(1, 50_002, 80), &counters(2, 0, 0, 1), Cause::Poll);
    scene.flow(&key(2, 50_003, 443), &counters(2, 0, 0, 1), Cause::Poll);
    scene.tracker.finish(&mut scene.notes);
    let flows: Vec<_> = scene
        .notes
        .sessions
        .iter()
        .map(|session| (session.flows, session.flows_answered))
        .collect();
    assert_eq!(flows, [(2, 1), (1, 0), (1, 0)]);
}

#[test]
fn checkpoints_come_once_each() {
    let mut scene = Scene::new(TrackerConfig::default());
    let key = key(1, 50_000, 443);
    scene.flow(&key, &counters(5, 1, 0, 0), Cause::Poll);
    scene.flow(&key, &counters(6, 1, 0, 0), Cause::Poll);
    scene.tick(1);
    // 17,000 bytes, then beyond 256 KiB at once, past 64 KiB.
    scene.flow(&key, &counters(17, 1, 0, 2), Cause::Poll);
    scene.flow(&key, &counters(300, 1, 0, 3), Cause::Poll);
    scene.tick(3);
    scene.tick(5);
    scene.flow(&key, &counters(301, 1, 0, 6), Cause::Poll);
    scene.tick(30);
    scene.tracker.finish(&mut scene.notes);
    let sender = Side::Client;
    // At second 1, 5 and the end nothing was new.
    assert_eq!(
        scene.notes.scored,
        [
            (SessionCheckpoint::Packets, 7, START_SECS),
            (SessionCheckpoint::Bytes { sender }, 18, START_SECS + 2),
            (SessionCheckpoint::Bytes { sender }, 301, START_SECS + 3),
            (SessionCheckpoint::Seconds(30), 302, START_SECS + 30),
        ]
    );
}

#[test]
fn ages_are_on_the_grid_of_ticks() {
    let mut scene = Scene::new(TrackerConfig::default());
    let key = key(1, 50_000, 443);
    for second in 0..200 {
        scene.flow(&key, &counters(second + 1, 0, 0, second), Cause::Poll);
        scene.tick(second + 1);
    }
    let ages: Vec<_> = scene
        .causes()
        .into_iter()
        .filter_map(|cause| match cause {
            SessionCheckpoint::Seconds(age) => Some(age),
            _ => None,
        })
        .collect();
    assert_eq!(ages, [1, 5, 30, 60, 120, 180]);
}

#[test]
fn a_silence_ends_the_session_and_its_gap_is_not_carried() {
    let mut scene = Scene::new(TrackerConfig::default());
    let key = key(1, 50_000, 443);
    scene.flow(&key, &counters(2, 1, 0, 1), Cause::Poll);
    for second in 1..=301 {
        scene.tick(second);
    }
    assert!(scene.notes.sessions.is_empty());
    scene.tick(302);
    assert_eq!(scene.notes.sessions.len(), 1);
    // The same flow continues after 1,000 s.
    let mut late = counters(3, 1, 0, 1_000);
    late.halves[0].gap_max = 99_900;
    late.halves[0].gap_square_sum = 99_900 * 99_900;
    late.halves[0].bursts = 1;
    scene.flow(&key, &late, Cause::Closed);
    scene.tracker.finish(&mut scene.notes);
    let second = &scene.notes.sessions[1];
    assert_eq!((second.up.packets(), second.flows, second.flows_answered), (1, 1, 0));
    assert_eq!((second.up.gap_max, second.up.gap_square_sum, second.up.bursts), (0, 0, 0));
    assert_eq!(second.duration_ns(), 0);
    assert_eq!(second.id, 2);
}

#[test]
fn idle_flows_are_offered_for_deletion_once() {
    let mut scene = Scene::new(TrackerConfig::default());
    let (open, closed) = (key(1, 50_000, 443), key(1, 50_001, 443));
    scene.flow(&open, &counters(2, 1, 0, 1), Cause::Poll);
    scene.flow(&closed, &counters(2, 1, 0, 1), Cause::Poll);
    let mut finished = counters(3, 2, 0, 2);
    for half in &mut finished.halves {
        half.tcp_flags |= FIN;
    }
    scene.flow(&closed, &finished, Cause::Poll);
    assert_eq!(scene.tick(11), []);
    assert_eq!(scene.tick(12), [closed]);
    assert_eq!(scene.tick(13), []);
    scene.flow(&closed, &finished, Cause::Closed);
    assert_eq!(scene.tick(299), []);
    assert_eq!(scene.tick(301), [open]);
    // It continues before it was deleted: a slice of it is reported, and it is offered again.
    scene.flow(&open, &counters(3, 1, 0, 400), Cause::Poll);
    assert_eq!(scene.tick(650), []);
    assert_eq!(scene.tick(700), [open]);
    scene.flow(&open, &counters(3, 1, 0, 400), Cause::Closed);
    let reasons: Vec<_> = scene.notes.records.iter().map(|record| record.end_reason).collect();
    // After the slice there was no packet, and so there is no record.
    assert_eq!(reasons, [FlowEndReason::EndOfFlow, FlowEndReason::ActiveTimeout]);
    let packets: u64 = scene.notes.records[1..]
        .iter()
        .map(|record| record.forward.packets() + record.reverse.packets())
        .sum();
    assert_eq!(packets, 4);
}

#[test]
fn heads_are_judged_at_powers_of_two() {
    let mut scene = Scene::new(TrackerConfig::default());
    let key = key(1, 50_000, 80);
    scene.flow(&key, &counters(1, 0, 0, 0), Cause::Poll);
    for _ in 0..9 {
        let request = b"POST /in HTTP/1.1\r\nHost: Drop.example\r\n\r\n";
        scene.first_payload(&key, Direction::FromLow, request, 0);
        scene.first_payload(&key, Direction::FromHigh, b"HTTP/1.1 200 OK\r\n\r\n", 0);
    }
    assert_eq!(scene.causes(), [SessionCheckpoint::FirstPayload; 4]);
    scene.tracker.finish(&mut scene.notes);
    let session = &scene.notes.sessions[0];
    assert_eq!(session.name.as_deref(), Some("drop.example"));
    assert!(!session.named_by_dns);
}

/// A request whose header never ends is read when the flow is over, and when others need the room.
#[test]
fn half_a_request_is_read_when_no_more_will_come() {
    let cut = b"PUT /x HTTP/1.1\r\nHost: 198.51.100.7\r\nUser-Agent: cu";
    for (max_stream_bytes, evicted) in [(1 << 20, 0), (1, 1)] {
        let mut scene = Scene::new(TrackerConfig { max_stream_bytes, ..TrackerConfig::default() });
        let key = key(1, 50_000, 80);
        scene.flow(&key, &counters(1, 0, 0, 0), Cause::Poll);
        scene.first_payload(&key, Direction::FromLow, cut, 0);
        scene.flow(&key, &counters(2, 0, 0, 1), Cause::Closed);
        scene.tracker.finish(&mut scene.notes);
        let http = scene.notes.sessions[0].first_payloads.http.as_deref().expect("read");
        assert_eq!((http.uploads, http.requests_cut, http.bare_host), (1, 1, true));
        let counts = scene.tracker.counts();
        assert_eq!((counts.streams_evicted, counts.requests_cut), (evicted, 1));
    }
}

/// A session may be over before its flow: what waits is read while there is somebody to tell.
#[test]
fn half_a_request_is_read_after_a_minute() {
    let mut scene = Scene::new(TrackerConfig::default());
    let key = key(1, 50_000, 80);
    scene.flow(&key, &counters(1, 0, 0, 0), Cause::Poll);
    scene.first_payload(&key, Direction::FromLow, b"PUT /x HTTP/1.1\r\nHost: a.example\r\n", 0);
    scene.tick(59);
    assert!(!scene.causes().contains(&SessionCheckpoint::FirstPayload));
    scene.tick(61);
    assert!(scene.causes().contains(&SessionCheckpoint::FirstPayload));
    assert_eq!(scene.tracker.counts().streams_timed_out, 1);
}

/// What was read of a connection that contradicts itself explains nothing of its session.
#[test]
fn a_contradiction_is_a_fact_of_the_session() {
    let mut scene = Scene::new(TrackerConfig::default());
    let key = key(1, 50_000, 80);
    scene.flow(&key, &counters(1, 0, 0, 0), Cause::Poll);
    let get = b"GET / HTTP/1.1\r\nHost: good.example\r\n\r\n";
    scene.segment(&key, Direction::FromLow, 7, get, 0);
    scene.segment(&key, Direction::FromLow, 7, &[b'x'; 40], 0);
    scene.segment(&key, Direction::FromLow, 47, get, 0);
    scene.tracker.finish(&mut scene.notes);
    let payloads = &scene.notes.sessions[0].first_payloads;
    assert_eq!((payloads.contradictions, payloads.protocol), (1, None));
    assert_eq!(scene.tracker.counts().contradictions, 1);
}

#[test]
fn a_flow_known_by_its_head_alone_learns_the_rest_later() {
    let mut scene = Scene::new(TrackerConfig::default());
    let key = key(1, 50_000, 443);
    assert!(!scene.tracker.knows(&key));
    scene.first_payload(&key, Direction::FromHigh, b"\x17\x03\x03\x00\x10 a server's answer", 0);
    assert!(scene.tracker.knows(&key));
    scene.flow(&key, &counters(20, 1, 0, 1), Cause::Poll);
    scene.tracker.finish(&mut scene.notes);
    let [session] = &scene.notes.sessions[..] else { panic!("one session") };
    assert!(session.client_home && session.first_payloads.tls);
    assert_eq!((session.up.packets(), session.first_payloads.down_entropy.count), (20, 1));
    assert_eq!(scene.causes(), [SessionCheckpoint::Bytes { sender: Side::Client }]);
}

/// As when the agent reads counters that are ahead of the events.
#[test]
fn a_head_behind_the_counters_is_judged_later() {
    let late = |at_secs: &[u64]| {
        let mut scene = Scene::new(TrackerConfig::default());
        let key = key(1, 50_000, 4444);
        scene.flow(&key, &counters(20, 1, 0, 0), Cause::Poll);
        scene.first_payload(&key, Direction::FromLow, b"\x01\x02 in no known protocol", 0);
        at_secs.iter().for_each(|&secs| drop(scene.tick(secs)));
        scene.tracker.finish(&mut scene.notes);
        scene.causes()
    };
    let bytes = SessionCheckpoint::Bytes { sender: Side::Client };
    assert_eq!(late(&[]), [bytes, SessionCheckpoint::End]);
    assert_eq!(late(&[2, 6]), [bytes, SessionCheckpoint::Seconds(1)]);
}

#[test]
fn a_full_flow_table_delays_and_never_loses() {
    let config = TrackerConfig { max_flows: 1, ..TrackerConfig::default() };
    let mut scene = Scene::new(config);
    let (first, second) = (key(1, 50_000, 443), key(1, 50_001, 443));
    scene.flow(&first, &counters(2, 1, 0, 1), Cause::Poll);
    scene.flow(&second, &counters(5, 1, 0, 1), Cause::Poll);
    assert_eq!(scene.tracker.counts().flows_deferred, 1);
    scene.flow(&first, &counters(2, 1, 0, 1), Cause::Closed);
    scene.flow(&second, &counters(6, 1, 0, 2), Cause::Poll);
    scene.tracker.finish(&mut scene.notes);
    assert_eq!(scene.notes.sessions[0].up.packets(), 8);
}

#[test]
fn a_full_session_table_ends_the_session_that_is_due_next() {
    let config = TrackerConfig { max_sessions: 1, ..TrackerConfig::default() };
    let mut scene = Scene::new(config);
    scene.flow(&key(1, 50_000, 443), &counters(2, 1, 0, 1), Cause::Poll);
    scene.flow(&key(2, 50_001, 443), &counters(5, 1, 0, 1), Cause::Poll);
    assert_eq!(scene.notes.sessions.len(), 1);
    assert_eq!(scene.causes(), [SessionCheckpoint::End]);
    // Its flow continues in a session of its own.
    scene.flow(&key(1, 50_000, 443), &counters(3, 1, 0, 2), Cause::Poll);
    scene.tracker.finish(&mut scene.notes);
    let packets: Vec<_> = scene.notes.sessions.iter().map(Session::packets).collect();
    assert_eq!(packets, [3, 6, 1]);
    assert_eq!(scene.tracker.counts().sessions_evicted, 2);
}

#[test]
fn overflow_is_a_session_of_its_host() {
    let mut scene = Scene::new(TrackerConfig::default());
    let host = key(1, 0, 0);
    let key = OverflowKey { address: host.low, outbound: 1, reserved: 0 };
    for packets in [10, 30] {
        let counters = OverflowCounters {
            packets,
            ip_bytes: packets * 1_000,
            last_seen: ticks(1),
            peer: host.high,
            peer_port: 443_u16.to_be_bytes(),
            protocol: protocol::TCP,
            ..OverflowCounters::default()
        };
        let overflow = Observation::Overflow { key: &key, counters: &counters, now: ticks(1) };
        scene.tracker.observe(&overflow, &BASE, &mut scene.notes);
    }
    let sender = Side::Client;
    assert_eq!(scene.causes(), [SessionCheckpoint::Packets, SessionCheckpoint::Bytes { sender }]);
    scene.tracker.finish(&mut scene.notes);
    let session = &scene.notes.sessions[0];
    assert_eq!((session.up.ip_bytes(), session.key.client), (30_000, host.low.into()));
    assert_eq!(session.overflow.map(|peer| peer.port), Some(443));
}

/// What came in says where it went to: to the host itself. It may be heard of first.
#[test]
fn what_overflowed_inbound_hides_no_sender() {
    let mut scene = Scene::new(TrackerConfig::default());
    let host = key(1, 0, 0);
    for (outbound, peer, bytes) in
        [(0, host.low, 2_000), (1, host.high, 20_000), (0, host.low, 4_000), (1, host.high, 70_000)]
    {
        let key = OverflowKey { address: host.low, outbound, reserved: 0 };
        let counters = OverflowCounters {
            packets: bytes / 1_000,
            ip_bytes: bytes,
            last_seen: ticks(1),
            peer,
            peer_port: 443_u16.to_be_bytes(),
            protocol: protocol::TCP,
            ..OverflowCounters::default()
        };
        let overflow = Observation::Overflow { key: &key, counters: &counters, now: ticks(1) };
        scene.tracker.observe(&overflow, &BASE, &mut scene.notes);
    }
    let bytes = SessionCheckpoint::Bytes { sender: Side::Client };
    assert_eq!(scene.causes(), [bytes, bytes]);
    scene.tracker.finish(&mut scene.notes);
    let session = &scene.notes.sessions[0];
    assert!(session.client_home);
    assert_eq!((session.up.ip_bytes(), session.down.ip_bytes()), (70_000, 4_000));
    assert_eq!(session.overflow.map(|peer| peer.address), Some(host.high.into()));
}

#[test]
fn time_may_start_again() {
    let mut scene = Scene::new(TrackerConfig::default());
    scene.flow(&key(1, 50_000, 443), &counters(2, 1, 5_000, 5_001), Cause::Poll);
    scene.tick(5_002);
    scene.tracker.finish(&mut scene.notes);
    scene.flow(&key(1, 50_000, 443), &counters(8, 1, 0, 1), Cause::Poll);
    scene.tick(2);
    assert_eq!(scene.notes.scored.last().map(|scored| scored.2), Some(START_SECS + 1));
    assert_eq!(scene.tick(301), [key(1, 50_000, 443)]);
}

/// An ICMP flow between the usual two ends; `identifier` replaces both ports.
fn icmp_key(number: u8, identifier: u16) -> FlowKey {
    FlowKey { protocol: number, ..key(1, identifier, identifier) }
}

/// Requests, replies and other messages of the one session.
#[track_caller]
fn check_icmp(scene: &mut Scene, expected: (u64, u64, u64)) {
    scene.tracker.finish(&mut scene.notes);
    let [session] = &scene.notes.sessions[..] else { panic!("one session") };
    let icmp = session.first_payloads.icmp.as_deref().expect("decoded");
    assert_eq!((icmp.requests, icmp.replies, icmp.others), expected);
}

#[test]
fn the_first_message_back_is_told_by_the_key() {
    for (number, request) in [(protocol::ICMP, 8), (protocol::ICMPV6, 128)] {
        let mut scene = Scene::new(TrackerConfig::default());
        let key = icmp_key(number, 77);
        let mut counters = counters(1, 0, 0, 0);
        counters.halves[0].icmp = request << 8;
        scene.flow(&key, &counters, Cause::Poll);
        scene.first_payload(&key, Direction::FromLow, b"abcdefghijklmnopqrstuvw", 0);
        // Its counters have not come yet.
        scene.first_payload(&key, Direction::FromHigh, b"abcdefghijklmnopqrstuvw", 0);
        check_icmp(&mut scene, (1, 1, 0));
    }
}

#[test]
fn errors_are_no_echo_whichever_way_they_go() {
    for (number, unreachable) in [(protocol::ICMP, 3), (protocol::ICMPV6, 1)] {
        let mut scene = Scene::new(TrackerConfig::default());
        let key = icmp_key(number, 0);
        let mut counters = counters(1, 0, 0, 0);
        counters.halves[0].icmp = unreachable << 8 | 3;
        scene.flow(&key, &counters, Cause::Poll);
        scene.first_payload(&key, Direction::FromLow, b"the datagram that failed", 0);
        scene.first_payload(&key, Direction::FromHigh, b"another one that failed", 0);
        check_icmp(&mut scene, (0, 0, 2));
    }
}

/// A DNS flow over UDP between the usual two ends, which are client and resolver.
fn dns_key(number: u8, client_port: u16, resolver: u8) -> FlowKey {
    let mut key = FlowKey { protocol: protocol::UDP, ..key(number, client_port, 53) };
    key.high[15] = resolver;
    key
}

/// A query for an address, or the response that there is none.
fn dns(name: &str, response: bool) -> Vec<u8> {
    let flags = if response { 0x8183_u16 } else { 0x0100 };
    let mut wire: Vec<u8> =
        [7, flags, 1, 0, 0, 0].iter().flat_map(|word: &u16| word.to_be_bytes()).collect();
    for label in name.split('.') {
        wire.push(u8::try_from(label.len()).expect("short"));
        wire.extend(label.as_bytes());
    }
    wire.extend([0, 0, 1, 0, 1]);
    wire
}

/// The sessions that are units of a domain, by its name.
fn domains(scene: &mut Scene) -> Vec<(String, Session)> {
    scene.tracker.finish(&mut scene.notes);
    let of = |session: &Session| Some((session.domain.as_deref()?.to_owned(), session.clone()));
    let mut domains: Vec<_> = scene.notes.sessions.iter().filter_map(of).collect();
    domains.sort_by(|a, b| a.0.cmp(&b.0));
    domains
}

#[test]
fn a_domain_is_one_unit_whoever_is_asked() {
    let mut scene = Scene::new(TrackerConfig::default());
    for (count, resolver) in [(1, 53), (2, 53), (3, 53), (4, 54)] {
        let key = dns_key(1, 40_000 + count, resolver);
        scene.first_payload(
            &key,
            Direction::FromLow,
            &dns("Www.Site.Example", false),
            u64::from(count),
        );
        scene.first_payload(
            &key,
            Direction::FromHigh,
            &dns("www.site.example", true),
            u64::from(count),
        );
    }
    scene.first_payload(
        &dns_key(2, 40_000, 53),
        Direction::FromLow,
        &dns("a.site.example", false),
        5,
    );
    scene.first_payload(&dns_key(1, 40_009, 53), Direction::FromLow, &dns("other.test", false), 5);
    let domains = domains(&mut scene);
    let names: Vec<&str> = domains.iter().map(|(name, _)| name.as_str()).collect();
    assert_eq!(names, ["other.test", "site.example", "site.example"]);
    let site = domains.iter().find(|(_, session)| session.up.packets() == 4).expect("asked by one");
    let (_, site) = site;
    assert_eq!((site.key.server.octets()[15], site.key.server_port), (54, 53));
    assert_eq!((site.flows, site.flows_answered), (4, 4));
    assert_eq!((site.up.payload_bytes(), site.up.ip_bytes()), (4 * 34, 4 * (34 + 28)));
    assert_eq!((site.down.packets(), site.up.gap_max, site.up.bursts), (4, 100, 3));
    assert_eq!(site.duration_ns(), 3 * SECOND_NS);
    let dns = site.first_payloads.dns.as_deref().expect("facts");
    let facts = dns.names.as_deref().expect("names");
    assert_eq!((dns.queries, dns.responses), (4, 4));
    assert_eq!((facts.name_bytes, facts.a, facts.nxdomain, facts.uppercase), (12, 4, 4, 4));
    assert_eq!((facts.other_resolver, facts.tcp_queries), (1, 0));
    assert!(facts.distinct.count() < 1.5);
    // The session of the resolver counts messages and leaves the names to the domains.
    let whole = scene.notes.sessions.iter().find(|session| session.domain.is_none());
    let whole = whole.and_then(|session| session.first_payloads.dns.as_deref()).expect("a session");
    assert!(whole.names.is_none() && whole.queries > 0);
}

#[test]
fn multicast_dns_has_no_domains() {
    let mut scene = Scene::new(TrackerConfig::default());
    let key = FlowKey { high_port: 5353_u16.to_be_bytes(), ..dns_key(1, 5353, 251) };
    scene.first_payload(&key, Direction::FromLow, &dns("printer.local", false), 0);
    assert_eq!(domains(&mut scene).len(), 0);
}

#[test]
fn a_domain_is_judged_at_powers_of_two_and_ends_in_silence() {
    let mut scene = Scene::new(TrackerConfig::default());
    for count in 0..9 {
        let key = dns_key(1, 40_000 + count, 53);
        scene.first_payload(&key, Direction::FromLow, &dns("www.site.example", false), 0);
    }
    // Each message brings its session and its domain to a checkpoint: 1, 2, 4, 8.
    assert_eq!(scene.causes(), [SessionCheckpoint::FirstPayload; 8]);
    scene.tick(1);
    assert_eq!(scene.notes.scored.last().map(|scored| scored.1), Some(9));
    scene.tick(300);
    assert_eq!(scene.tracker.counts().domains_live, 1);
    scene.tick(301);
    assert_eq!(scene.tracker.counts().domains_live, 0);
    let key = dns_key(1, 40_000, 53);
    scene.first_payload(&key, Direction::FromLow, &dns("www.site.example", false), 900);
    let ids: Vec<u64> = domains(&mut scene).iter().map(|(_, session)| session.id).collect();
    assert_eq!(ids.len(), 2);
    assert!(ids[0] != ids[1] && ids.iter().all(|id| *id > 1 << 63));
    assert!(scene.tracker.is_empty());
}

#[test]
fn a_full_table_of_domains_ends_what_is_due_next() {
    let config = TrackerConfig { max_domains: 2, ..TrackerConfig::default() };
    let mut scene = Scene::new(config);
    for (count, name) in
        (0..).zip(["a.one.example", "a.two.example", "b.one.example", "a.three.example"])
    {
        let key = dns_key(1, 40_000 + count, 53);
        scene.first_payload(&key, Direction::FromLow, &dns(name, false), u64::from(count));
    }
    let counts = scene.tracker.counts();
    assert_eq!((counts.domains_live, counts.domains_opened, counts.domains_evicted), (2, 3, 1));
    let queries: u64 = domains(&mut scene).iter().map(|(_, session)| session.up.packets()).sum();
    assert_eq!(queries, 4);
}

#[test]
fn an_ftp_data_connection_learns_what_it_is() {
    let mut scene = Scene::new(TrackerConfig::default());
    let (control, data) = (key(1, 50_000, 21), key(1, 50_001, 49_166));
    let (client, server) = (Direction::FromLow, Direction::FromHigh);
    scene.flow(&control, &counters(4, 4, 0, 0), Cause::Poll);
    scene.first_payload(&control, client, b"PASV\r\n", 0);
    scene.first_payload(
        &control,
        server,
        b"227 Entering Passive Mode (198,51,100,7,192,14).\r\n",
        0,
    );
    scene.flow(&data, &counters(2, 1, 0, 0), Cause::Poll);
    scene.first_payload(&control, client, b"STOR loot.zip\r\n", 1);
    scene.first_payload(&data, client, b"PK\x03\x04", 1);
    scene.tracker.finish(&mut scene.notes);
    let uploads: Vec<_> = scene
        .notes
        .sessions
        .iter()
        .map(|session| (session.key.server_port, session.first_payloads.ftp_upload))
        .collect();
    let upload = FtpUpload { by_client: true, file: FileName::Archive };
    assert!(uploads.contains(&(21, None)));
    assert!(uploads.contains(&(49_166, Some(upload))));
}

#[test]
fn who_asked_for_its_own_address_is_known_for_ten_minutes() {
    let mut scene = Scene::new(TrackerConfig::default());
    let open = |scene: &mut Scene, host, port, at_secs| {
        scene.flow(&key(host, port, 587), &counters(1, 1, at_secs, at_secs), Cause::Poll);
    };
    let web = key(1, 50_000, 80);
    scene.flow(&web, &counters(1, 1, 0, 0), Cause::Poll);
    let request = b"GET / HTTP/1.1\r\nHost: checkip.dyndns.org\r\n\r\n";
    scene.first_payload(&web, Direction::FromLow, request, 0);
    open(&mut scene, 1, 50_001, 500);
    open(&mut scene, 2, 50_002, 500);
    scene.tick(501);
    open(&mut scene, 1, 50_003, 2_000);
    scene.tracker.finish(&mut scene.notes);
    let asked: Vec<_> = scene
        .notes
        .sessions
        .iter()
        .filter(|session| session.key.server_port == 587)
        .map(|session| (session.key.client.octets()[15], session.asked_own_address))
        .collect();
    assert_eq!(asked.len(), 3);
    assert_eq!(asked.iter().filter(|(host, asked)| *host == 1 && *asked).count(), 1);
    assert!(asked.contains(&(2, false)));
}
