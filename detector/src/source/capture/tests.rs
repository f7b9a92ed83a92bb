//! Captures built byte by byte: every format, every way to be damaged, and that all is accounted.

use detector_common::parse::Skip;

use super::{CaptureConfig, CaptureErrorKind, CaptureSource, CaptureSummary, read_only};
use crate::flow::{
    FlowRecord, FlowView, Session, SessionCheckpoint, Tracker, TrackerConfig, Visitor,
};

const START_SECS: u32 = 1_000_000;
const ETHERNET: u16 = 1;
const RAW: u16 = 101;

#[derive(Default)]
struct Notes {
    records: Vec<FlowRecord>,
    sessions: Vec<Session>,
}

impl Visitor for Notes {
    fn score(&mut self, _: &Session, _: &FlowView, _: SessionCheckpoint, _: u64) {}

    fn flow_record(&mut self, record: &FlowRecord) {
        self.records.push(record.clone());
    }

    fn session_ended(&mut self, session: &Session) {
        self.sessions.push(session.clone());
    }
}

fn run_with(config: CaptureConfig, capture: &[u8]) -> (CaptureSummary, Notes) {
    let mut follower = (Tracker::new(&TrackerConfig::default()), Notes::default());
    let summary = CaptureSource::new(config).run(capture, &mut follower);
    let (tracker, notes) = follower;
    assert_eq!((summary.unaccounted_packets, summary.unaccounted_bytes), (0, 0));
    assert!(tracker.is_empty());
    (summary, notes)
}

fn run(capture: &[u8]) -> (CaptureSummary, Notes) {
    run_with(CaptureConfig::default(), capture)
}

/// An IPv4 packet of UDP from 10.0.0.1 with `payload` bytes.
fn udp(source_port: u16, payload: &[u8]) -> Vec<u8> {
    let length = u16::try_from(28 + payload.len()).expect("short");
    let mut packet = vec![0x45, 0];
    packet.extend(length.to_be_bytes());
    packet.extend([0, 7, 0, 0, 64, 17, 0, 0, 10, 0, 0, 1, 198, 51, 100, 7]);
    packet.extend(source_port.to_be_bytes());
    packet.extend([0x30, 0x39]);
    packet.extend((length - 20).to_be_bytes());
    packet.extend([0, 0]);
    packet.extend(payload);
    packet
}

fn ethernet(packet: &[u8]) -> Vec<u8> {
    [&[2, 0, 0, 0, 0, 1, 2, 0, 0, 0, 0, 2, 8, 0], packet].concat()
}

/// Byte order and width of one file's fields.
#[derive(Clone, Copy)]
struct Order(bool);

impl Order {
    const LITTLE: Self = Self(false);
    const BIG: Self = Self(true);

    fn u32(self, value: u32) -> [u8; 4] {
        if self.0 { value.to_be_bytes() } else { value.to_le_bytes() }
    }

    fn u16(self, value: u16) -> [u8; 2] {
        if self.0 { value.to_be_bytes() } else { value.to_le_bytes() }
    }
}

fn pcap_header(order: Order, magic: u32, link: u16) -> Vec<u8> {
    let mut header = order.u32(magic).to_vec();
    header.extend(order.u16(2));
    header.extend(order.u16(4));
    for word in [0, 0, 262_144, u32::from(link)] {
        header.extend(order.u32(word));
    }
    header
}

fn pcap_record(order: Order, (secs, fraction): (u32, u32), frame: &[u8]) -> Vec<u8> {
    let length = u32::try_from(frame.len()).expect("short");
    let mut record = Vec::new();
    for word in [START_SECS + secs, fraction, length, length] {
        record.extend(order.u32(word));
    }
    record.extend(frame);
    record
}

/// A capture of UDP packets at the given seconds, each of its own source port.
fn capture_at(seconds: &[u32]) -> Vec<u8> {
    let mut capture = pcap_header(Order::LITTLE, 0xa1b2_c3d4, ETHERNET);
    for (port, &second) in (40_000..).zip(seconds) {
        let frame = ethernet(&udp(port, b"some payload"));
        capture.extend(pcap_record(Order::LITTLE, (second, 0), &frame));
    }
    capture
}

fn block(order: Order, kind: u32, content: &[u8]) -> Vec<u8> {
    let padding = content.len().next_multiple_of(4) - content.len();
    let length = u32::try_from(12 + content.len() + padding).expect("short");
    let mut block = order.u32(kind).to_vec();
    block.extend(order.u32(length));
    block.extend(content);
    block.extend(vec![0; padding]);
    block.extend(order.u32(length));
    block
}

fn section(order: Order) -> Vec<u8> {
    let mut content = order.u32(0x1a2b_3c4d).to_vec();
    content.extend(order.u16(1));
    content.extend(order.u16(0));
    content.extend([0xff; 8]);
    block(order, 0x0a0d_0d0a, &content)
}

/// An interface with the given `if_tsresol`.
fn interface(order: Order, link: u16, resolution: u8) -> Vec<u8> {
    let mut content = order.u16(link).to_vec();
    content.extend(order.u16(0));
    content.extend(order.u32(0));
    content.extend(order.u16(9));
    content.extend(order.u16(1));
    content.extend([resolution, 0, 0, 0]);
    content.extend([0; 4]);
    block(order, 1, &content)
}

fn enhanced(order: Order, number: u32, time: u64, frame: &[u8]) -> Vec<u8> {
    let length = u32::try_from(frame.len()).expect("short");
    let mut content = Vec::new();
    for word in [number, (time >> 32) as u32, time as u32, length, length] {
        content.extend(order.u32(word));
    }
    content.extend(frame);
    block(order, 6, &content)
}

#[test]
fn pcap_in_every_layout() {
    let frame = ethernet(&udp(40_000, b"some payload"));
    for (order, magic, fraction) in [
        (Order::LITTLE, 0xa1b2_c3d4, 250_000),
        (Order::BIG, 0xa1b2_c3d4, 250_000),
        (Order::LITTLE, 0xa1b2_3c4d, 250_000_000),
        (Order::BIG, 0xa1b2_3c4d, 250_000_000),
    ] {
        let mut capture = pcap_header(order, magic, ETHERNET);
        capture.extend(pcap_record(order, (0, fraction), &frame));
        capture.extend(pcap_record(order, (1, fraction), &frame));
        let (summary, notes) = run(&capture);
        assert_eq!(summary.error, None);
        assert_eq!((summary.packets, summary.bytes, summary.flows), (2, 108, 1));
        let start_ns = u64::from(START_SECS) * 1_000_000_000;
        assert_eq!(summary.first_ns, Some(start_ns + 250_000_000));
        assert_eq!(summary.last_ns, Some(start_ns + 1_250_000_000));
        assert_eq!(notes.records[0].forward.ip_bytes(), 80);
        assert_eq!(notes.sessions[0].first_payloads.count, 2);
        assert_eq!(read_only(&capture[..]), Ok(2));
    }
}

#[test]
fn pcapng_with_interfaces_of_their_own_link_and_clock() {
    let secs = u64::from(START_SECS);
    for order in [Order::LITTLE, Order::BIG] {
        let mut capture = section(order);
        capture.extend(interface(order, ETHERNET, 9));
        capture.extend(interface(order, RAW, 0x80 | 10));
        // A block of names, to be skipped.
        capture.extend(block(order, 4, &[0; 40]));
        let packet = udp(40_000, b"some payload");
        let nanos = secs * 1_000_000_000 + 500_000_000;
        capture.extend(enhanced(order, 0, nanos, &ethernet(&packet)));
        capture.extend(enhanced(order, 1, (secs + 1) * 1_024 + 512, &packet));
        // A simple packet has no time: the clock does not move.
        let mut simple = order.u32(54).to_vec();
        simple.extend(ethernet(&packet));
        capture.extend(block(order, 3, &simple));
        let (summary, notes) = run(&capture);
        assert_eq!(summary.error, None);
        assert_eq!((summary.packets, summary.flows), (3, 1));
        assert_eq!(summary.first_ns, Some(secs * 1_000_000_000 + 500_000_000));
        assert_eq!(summary.last_ns, Some((secs + 1) * 1_000_000_000 + 500_000_000));
        assert_eq!(notes.records[0].forward.packets(), 3);
    }
}

#[test]
fn a_second_section_has_interfaces_of_its_own() {
    let packet = udp(40_000, b"some payload");
    let micros = u64::from(START_SECS) * 1_000_000;
    let mut capture = section(Order::LITTLE);
    capture.extend(interface(Order::LITTLE, RAW, 6));
    capture.extend(enhanced(Order::LITTLE, 0, micros, &packet));
    capture.extend(section(Order::BIG));
    let offset = capture.len() as u64;
    capture.extend(enhanced(Order::BIG, 0, micros, &packet));
    let (summary, _) = run(&capture);
    assert_eq!(summary.packets, 1);
    let error = summary.error.expect("an interface that is not described");
    assert_eq!((error.offset, error.kind), (offset, CaptureErrorKind::UnknownInterface(0)));
}

#[test]
fn a_capture_cut_anywhere_is_accounted_up_to_there() {
    let whole = capture_at(&[0, 1, 2]);
    let mut ng = section(Order::LITTLE);
    ng.extend(interface(Order::LITTLE, ETHERNET, 6));
    let described = ng.len();
    let micros = u64::from(START_SECS) * 1_000_000;
    for port in 0..3 {
        ng.extend(enhanced(Order::LITTLE, 0, micros, &ethernet(&udp(port, b"payload"))));
    }
    // Before its interface is described, a pcapng file may end after its section header.
    for (capture, start, header) in [(whole, 24, 24), (ng, described, 28)] {
        let record = (capture.len() - start) / 3;
        for end in 1..capture.len() {
            let (summary, _) = run(&capture[..end]);
            let records = end.saturating_sub(start) / record;
            assert_eq!(summary.packets, records as u64, "cut at {end}");
            let at_a_boundary = end >= start && (end - start).is_multiple_of(record);
            assert_eq!(summary.error.is_none(), at_a_boundary || end == header, "cut at {end}");
            if end > start && !at_a_boundary {
                let offset = start + records * record;
                assert_eq!(summary.error.map(|error| error.offset), Some(offset as u64));
            }
        }
    }
}

#[test]
fn damaged_bytes_are_an_error_and_never_a_panic() {
    let secs = u64::from(START_SECS) * 1_000_000;
    let mut ng = section(Order::LITTLE);
    ng.extend(interface(Order::LITTLE, ETHERNET, 6));
    ng.extend(enhanced(Order::LITTLE, 0, secs, &ethernet(&udp(1, b"payload"))));
    for capture in [capture_at(&[0, 1]), ng] {
        for position in 0..capture.len() {
            for value in [0, 1, 0x7f, 0x80, 0xff] {
                let mut damaged = capture.clone();
                damaged[position] = value;
                let (summary, _) = run(&damaged);
                assert!(summary.packets <= 2);
            }
        }
    }
}

#[test]
fn what_cannot_be_read_says_why() {
    let check = |capture: &[u8], expected: CaptureErrorKind, says: &str| {
        let error = run(capture).0.error.expect("an error");
        assert_eq!(error.kind, expected);
        assert!(error.to_string().contains(says), "{error}");
    };
    check(b"", CaptureErrorKind::Empty, "empty");
    check(&[7; 100], CaptureErrorKind::Unrecognised, "editcap");
    check(&[0x1f, 0x8b, 8, 0], CaptureErrorKind::Compressed("gzip"), "gzip -dc");
    let unknown = pcap_header(Order::LITTLE, 0xa1b2_c3d4, 220);
    check(&unknown, CaptureErrorKind::UnknownLink(220), "link type 220");
    let mut ng = section(Order::LITTLE);
    ng.extend(interface(Order::LITTLE, 220, 6));
    ng.extend(enhanced(Order::LITTLE, 0, 0, &[0; 64]));
    check(&ng, CaptureErrorKind::UnknownLink(220), "link type 220");
    let mut long = pcap_header(Order::LITTLE, 0xa1b2_c3d4, ETHERNET);
    long.extend([0; 8]);
    long.extend([0xff; 8]);
    check(&long, CaptureErrorKind::RecordTooLong(u32::MAX), "at byte 24");
}

#[test]
fn idle_flows_leave_and_time_may_jump() {
    // Two flows, a silence, three flows, a step back of more than a minute, three flows.
    let times = [0, 1, 80_000, 80_001, 80_002, 50_000, 50_001, 50_002];
    let (summary, notes) = run(&capture_at(&times));
    assert_eq!((summary.packets, summary.flows, summary.gaps), (8, 8, 1));
    assert_eq!((summary.backwards, summary.restarts), (1, 1));
    let mut starts: Vec<_> = notes
        .records
        .iter()
        .map(|record| record.start_ns / 1_000_000_000 - u64::from(START_SECS))
        .collect();
    starts.sort_unstable();
    assert_eq!(starts, [0, 1, 50_000, 50_001, 50_002, 80_000, 80_001, 80_002]);
    assert_eq!(notes.sessions.len(), 3);
    assert!(notes.sessions.iter().all(|session| session.duration_ns() <= 2_000_000_000));
}

#[test]
fn a_packet_out_of_order_does_not_turn_the_clock_back() {
    let (summary, notes) = run(&capture_at(&[10, 9, 11]));
    assert_eq!((summary.backwards, summary.restarts), (1, 0));
    assert_eq!(notes.sessions.len(), 1);
    assert_eq!(notes.sessions[0].flows, 3);
}

#[test]
fn a_full_table_accounts_to_the_home_host() {
    let config = CaptureConfig { max_flows: 2, ..CaptureConfig::default() };
    let (summary, notes) = run_with(config, &capture_at(&[0; 10]));
    assert_eq!((summary.packets, summary.flows), (10, 2));
    assert_eq!(summary.overflow_bytes, 8 * 40);
    let overflow: Vec<_> =
        notes.sessions.iter().filter(|session| session.overflow.is_some()).collect();
    assert_eq!(overflow.len(), 1);
    assert_eq!(overflow[0].up.packets(), 8);
}

#[test]
fn skips_and_short_captures_are_counted() {
    let mut capture = capture_at(&[0]);
    let mut arp = ethernet(&[0; 28]);
    arp[13] = 6;
    capture.extend(pcap_record(Order::LITTLE, (0, 0), &arp));
    let mut short = pcap_record(Order::LITTLE, (0, 0), &ethernet(&udp(40_000, &[0; 100])));
    // 60 of 142 bytes were captured.
    short.truncate(16 + 60);
    short[8..12].copy_from_slice(&60_u32.to_le_bytes());
    capture.extend(short);
    let (summary, notes) = run(&capture);
    assert_eq!((summary.packets, summary.truncated_packets), (3, 1));
    let skipped: Vec<_> = summary.skipped().collect();
    let [(reason, count)] = skipped[..] else { panic!("one reason: {skipped:?}") };
    assert_eq!((reason, count.packets), (Skip::NAMES[Skip::Arp as usize], 1));
    assert_eq!(notes.records[0].forward.ip_bytes(), 40 + 128);
}

#[test]
fn later_fragments_join_their_first() {
    let mut first = udp(40_000, &[0; 64]);
    first[6] = 0x20;
    let mut later = udp(0, &[0; 64]);
    later[7] = 9;
    let mut stray = later.clone();
    stray[5] = 8;
    let mut capture = pcap_header(Order::LITTLE, 0xa1b2_c3d4, RAW);
    for packet in [&first, &later, &stray] {
        capture.extend(pcap_record(Order::LITTLE, (0, 0), packet));
    }
    let (summary, notes) = run(&capture);
    assert_eq!(summary.flows, 2);
    assert_eq!(summary.totals.fragments_unknown.packets, 1);
    assert_eq!(notes.records[0].forward.packets(), 2);
    assert_eq!(notes.records[1].source_port, 0);
}

#[test]
fn addresses_without_home_are_told() {
    let config = CaptureConfig { home: Vec::new(), ..CaptureConfig::default() };
    let (summary, notes) = run_with(config, &capture_at(&[0, 1]));
    assert_eq!((summary.flows, summary.flows_without_home), (2, 2));
    let session = &notes.sessions[0];
    assert!(!session.client_home && session.sends_out(crate::flow::Side::Client));
}

/// A fragment of an ICMP echo request from 10.0.0.1; `place` is its offset in units of 8 bytes.
fn echo_fragment(more: bool, place: u8, body: &[u8]) -> Vec<u8> {
    let length = u16::try_from(20 + body.len()).expect("short");
    let mut packet = vec![0x45, 0];
    packet.extend(length.to_be_bytes());
    packet.extend([0, 9, if more { 0x20 } else { 0 }, place, 64, 1, 0, 0]);
    packet.extend([10, 0, 0, 1, 198, 51, 100, 7]);
    packet.extend(body);
    packet
}

#[test]
fn a_later_fragment_is_no_first_payload() {
    // A ping of 56 bytes in three fragments; a payload read from its middle would be unusual.
    let mut message = vec![8, 0, 0, 0, 0, 77, 0, 1];
    message.extend([0x5a; 16]);
    message.extend(16..56);
    let mut capture = pcap_header(Order::LITTLE, 0xa1b2_c3d4, RAW);
    for (more, place) in [(true, 0), (true, 3), (false, 6)] {
        let start = usize::from(place) * 8;
        let end = if more { start + 24 } else { message.len() };
        let packet = echo_fragment(more, place, &message[start..end]);
        capture.extend(pcap_record(Order::LITTLE, (0, 0), &packet));
    }
    let (summary, notes) = run(&capture);
    assert_eq!((summary.packets, summary.flows), (3, 1));
    let icmp = notes.sessions[0].first_payloads.icmp.as_deref().expect("one payload");
    assert_eq!((icmp.requests, icmp.unusual, icmp.others), (1, 0, 0));
}

/// TCP from 10.0.0.1 to 198.51.100.7, or back, with flags, sequence number and payload bytes.
fn tcp(back: bool, flags: u8, sequence: u32, payload: usize) -> Vec<u8> {
    let (mut addresses, mut ports) = ([[10, 0, 0, 1], [198, 51, 100, 7]], [40_000_u16, 40_001]);
    if back {
        addresses.reverse();
        ports.reverse();
    }
    let length = u16::try_from(40 + payload).expect("short");
    let mut packet = vec![0x45, 0];
    packet.extend(length.to_be_bytes());
    packet.extend([0, 7, 0, 0, 64, 6, 0, 0]);
    packet.extend(addresses.concat());
    packet.extend(ports.map(u16::to_be_bytes).concat());
    packet.extend(sequence.to_be_bytes());
    packet.extend([0, 0, 0, 0, 0x50, flags, 0xff, 0xff, 0, 0, 0, 0]);
    packet.resize(40 + payload, 7);
    packet
}

/// A capture of these packets, a hundredth of a second apart.
fn capture_of(packets: &[Vec<u8>]) -> Vec<u8> {
    let mut capture = pcap_header(Order::LITTLE, 0xa1b2_c3d4, RAW);
    for (number, packet) in (0..).zip(packets) {
        capture.extend(pcap_record(Order::LITTLE, (0, number * 10_000), packet));
    }
    capture
}

const SYN: u8 = 2;
const ACK: u8 = 16;
const FIN: u8 = 1;
const RST: u8 = 4;

#[test]
fn who_began_is_told_by_the_flags_in_any_order() {
    let syn = tcp(false, SYN, 100, 0);
    let answer = tcp(true, SYN | ACK, 500, 0);
    let rest = [tcp(false, ACK, 101, 0), tcp(false, ACK, 101, 700), tcp(true, ACK, 501, 0)];
    for first in [[syn.clone(), answer.clone()], [answer, syn]] {
        let (_, notes) = run(&capture_of(&[&first[..], &rest].concat()));
        let [record] = &notes.records[..] else { panic!("one flow") };
        assert_eq!((record.source_port, record.forward.payload_bytes()), (40_000, 700));
    }
}

/// The packets of each flow that these are counted in.
#[track_caller]
fn check_flows(packets: &[Vec<u8>], expected: &[u64]) {
    let (summary, notes) = run(&capture_of(packets));
    let flows =
        notes.records.iter().map(|record| record.forward.packets() + record.reverse.packets());
    assert_eq!(flows.collect::<Vec<_>>(), expected);
    assert_eq!(summary.flows, expected.len() as u64);
}

#[test]
fn a_syn_after_the_end_is_another_flow() {
    let talk = |sequence: u32, end: u8| {
        [
            tcp(false, SYN, sequence, 0),
            tcp(true, SYN | ACK, 500, 0),
            tcp(false, ACK, sequence + 1, 90),
            tcp(false, end | ACK, sequence + 91, 0),
        ]
    };
    for end in [FIN, RST] {
        check_flows(&[talk(100, end), talk(90_000, end)].concat(), &[4, 4]);
        check_flows(&[talk(90_000, end), talk(100, end)].concat(), &[4, 4]);
        // The other end begins the next one.
        let answer = [tcp(true, SYN, 70_000, 0), tcp(false, SYN | ACK, 9, 0)];
        check_flows(&[&talk(100, end)[..], &answer].concat(), &[4, 2]);
        // The first SYN again is no other connection, and neither is one without an end.
        check_flows(&[&talk(100, end)[..], &talk(100, end)[..1]].concat(), &[5]);
    }
    check_flows(&[talk(100, 0), talk(90_000, 0)].concat(), &[8]);
}

#[test]
fn no_record_is_without_a_packet() {
    // Longer than a slice, then nothing more.
    let mut capture = pcap_header(Order::LITTLE, 0xa1b2_c3d4, RAW);
    for second in 0..310 {
        let packet = tcp(false, ACK, second * 10, 10);
        capture.extend(pcap_record(Order::LITTLE, (second, 0), &packet));
    }
    for second in [900, 901, 902] {
        capture.extend(pcap_record(Order::LITTLE, (second, 0), &udp(5, b"later")));
    }
    let (_, notes) = run(&capture);
    assert!(notes.records.len() > 2);
    for record in &notes.records {
        assert_ne!(record.forward.packets() + record.reverse.packets(), 0, "{record:?}");
    }
}

#[test]
fn what_was_cut_without_saying_so_is_counted_by_its_header() {
    let whole = ethernet(&tcp(false, ACK, 100, 1_000));
    let mut capture = pcap_header(Order::LITTLE, 0xa1b2_c3d4, ETHERNET);
    for kept in [42, 54, 64, 96, whole.len()] {
        capture.extend(pcap_record(Order::LITTLE, (0, 0), &whole[..kept]));
    }
    let (summary, notes) = run(&capture);
    assert_eq!((summary.flows, summary.sliced_packets), (1, 4));
    assert_eq!(notes.records[0].forward.ip_bytes(), 5 * 1_040);
    assert_eq!(summary.bytes, 5 * 1_054);
}

#[test]
fn what_stays_unopened_is_counted_by_what_it_is() {
    let mut capture = capture_at(&[0]);
    for (ethertype, size) in [(0x88cc_u16, 50), (0x88cc, 30), (0x88e5, 20)] {
        let mut frame = ethernet(&vec![0xff; size]);
        frame[12..14].copy_from_slice(&ethertype.to_be_bytes());
        capture.extend(pcap_record(Order::LITTLE, (0, 0), &frame));
    }
    let (summary, _) = run(&capture);
    let unopened: Vec<_> = summary
        .unopened
        .iter()
        .map(|(number, count)| (*number, count.packets, count.bytes))
        .collect();
    assert_eq!(unopened, [(0x88cc, 2, 108), (0x88e5, 1, 34)]);
}
