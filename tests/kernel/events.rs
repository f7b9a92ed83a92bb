//! What goes up to the agent: checkpoints and heads.

use aya::maps::{MapData, RingBuf};
use detector::source::kernel::object::ObjectConfig;
use detector_common::abi::{
    CheckpointEvent, EventKind, FIRST_PAYLOAD_BYTES, FirstPayloadEvent, STREAM_BYTES, program,
};
use detector_common::flow::{Checkpoint, Clock, Direction, FlowCounters, Plain, Recorded};
use detector_common::policy::Cached;
use detector_tests::frames;

use crate::bed::{Kernel, PROGRAMS, home, parsed, seen, small, upload};

/// An event in the ring, with the parts that tests look at.
#[derive(Debug, PartialEq, Eq)]
enum Seen {
    /// Kind of checkpoint, packets and outbound IP bytes of the copy.
    Checkpoint(u8, u64, u64),
    FirstPayload(Piece),
}

/// A piece of a payload.
#[derive(Debug, PartialEq, Eq)]
struct Piece {
    direction: u8,
    part: u8,
    payload: u32,
    sequence: u32,
    bytes: Vec<u8>,
}

fn drain(events: &mut RingBuf<MapData>, direction: Direction) -> Vec<Seen> {
    let mut seen = Vec::new();
    while let Some(record) = events.next() {
        let word =
            |offset: usize| u32::from_ne_bytes(record[offset..offset + 4].try_into().unwrap());
        let long =
            |offset: usize| u64::from_ne_bytes(record[offset..offset + 8].try_into().unwrap());
        if word(0) == EventKind::Checkpoint as u32 {
            assert_eq!(record.len(), size_of::<CheckpointEvent>());
            let half = std::mem::offset_of!(CheckpointEvent, counters)
                + std::mem::offset_of!(FlowCounters, halves)
                + direction as usize * 128;
            assert_eq!(record[5], direction as u8);
            seen.push(Seen::Checkpoint(record[4], long(half), long(half + 8)));
        } else {
            assert_eq!(word(0), EventKind::FirstPayload as u32);
            assert_eq!(record.len(), size_of::<FirstPayloadEvent>());
            let length = usize::from(u16::from_ne_bytes(record[6..8].try_into().unwrap()));
            let start = std::mem::offset_of!(FirstPayloadEvent, bytes);
            let bytes = record[start..start + length].to_vec();
            let (direction, part) = (record[4], record[5]);
            let (payload, sequence) = (word(8), word(12));
            seen.push(Seen::FirstPayload(Piece { direction, part, payload, sequence, bytes }));
        }
    }
    seen
}

fn pieces(seen: Vec<Seen>) -> Vec<Piece> {
    let piece = |seen| match seen {
        Seen::FirstPayload(piece) => Some(piece),
        Seen::Checkpoint(..) => None,
    };
    seen.into_iter().filter_map(piece).collect()
}

#[test]
#[ignore = "needs root: run cargo xtask test"]
fn checkpoints_arrive_with_the_counters_at_the_crossing() {
    let frame = upload(1_000);
    let packet = parsed(&frame);
    let size = u64::from(packet.ip_bytes);
    let mut expected = vec![Seen::Checkpoint(Checkpoint::Packets as u8, 7, 7 * size)];
    for checkpoint in [1_u64 << 14, 1 << 16, 1 << 18, 1 << 20] {
        let packets = checkpoint.div_ceil(size);
        expected.push(Seen::Checkpoint(Checkpoint::Bytes as u8, packets, packets * size));
    }
    for program in PROGRAMS {
        let config = ObjectConfig { first_payloads_per_second: 0, ..small() };
        let mut kernel = Kernel::load(&config);
        let mut events = kernel.events();
        kernel.run_as(program, &frame, None, 1_100);
        assert_eq!(drain(&mut events, packet.direction), expected, "{program}");
        assert_eq!(kernel.totals(program).events_lost, 0);
    }
}

/// Inbound bytes cross no byte checkpoint.
#[test]
#[ignore = "needs root: run cargo xtask test"]
fn a_download_has_no_byte_checkpoints() {
    let packet = frames::V4::new(17).back().packet(&frames::udp((443, 51_000), &[0; 1_000]));
    let frame = frames::ethernet(&[], frames::IPV4, &packet);
    let config = ObjectConfig { first_payloads_per_second: 0, ..small() };
    let mut kernel = Kernel::load(&config);
    let mut events = kernel.events();
    kernel.run_as(program::XDP_INGRESS, &frame, None, 100);
    let seen = drain(&mut events, parsed(&frame).direction);
    assert_eq!(seen, [Seen::Checkpoint(Checkpoint::Packets as u8, 7, 7 * 1_028)]);
}

/// Heads of every length around the words and the bound of a copy.
#[test]
#[ignore = "needs root: run cargo xtask test"]
fn heads_carry_the_first_bytes() {
    let lengths = [1, 2, 3, 4, 5, 7, 8, 63, 64, 65, 255, 256, 257, 511, 512, 513, 1_400];
    for program in PROGRAMS {
        let mut kernel = Kernel::load(&small());
        let mut events = kernel.events();
        for length in lengths {
            let payload: Vec<u8> =
                frames::counting(length).iter().map(|byte| byte ^ 0xa5).collect();
            let port = 53_000 + u16::try_from(length).unwrap();
            let frame = frames::udp_frame((port, 443), &payload);
            kernel.run(program, &frame);
            let seen = pieces(drain(&mut events, parsed(&frame).direction));
            let parts: Vec<u8> = seen.iter().map(|piece| piece.part).collect();
            let expected: Vec<u8> = (0..length.div_ceil(FIRST_PAYLOAD_BYTES) as u8).collect();
            assert_eq!(parts, expected, "{program}, {length} bytes");
            assert!(seen.iter().all(|piece| piece.payload as usize == length), "{program}");
            let bytes: Vec<u8> = seen.into_iter().flat_map(|piece| piece.bytes).collect();
            assert_eq!(bytes, payload, "{program}, {length} bytes");
        }
    }
}

/// A dialogue in which segments of all sizes go back and forth: what comes up is what the host takes of
/// the same packets, byte for byte.
#[test]
#[ignore = "needs root: run cargo xtask test"]
fn the_kernel_hands_up_what_the_host_takes() {
    let lengths = [1_u16, 60, 1_400, 517, 3, 1_024, 1_399, 900, 512, 1_200, 40, 1_460];
    let ports = (54_000, 443);
    let frames: Vec<Vec<u8>> = (0..90_usize)
        .map(|place| {
            let length = lengths[place * 7 % lengths.len()];
            let payload: Vec<u8> =
                frames::counting(length.into()).iter().map(|byte| byte ^ place as u8).collect();
            let flags = if place < 2 { 0x02 } else { 0x18 };
            let back = place % 5 == 1 || place > 40 && place % 2 == 0;
            let ports = if back { (ports.1, ports.0) } else { ports };
            let segment = frames::tcp(ports, place as u32 * 2_000, flags, 5, &payload);
            let packet = frames::V4::new(6);
            let packet = if back { packet.back() } else { packet }.packet(&segment);
            frames::ethernet(&[], frames::IPV4, &packet)
        })
        .collect();
    for program in PROGRAMS {
        let mut kernel = Kernel::load(&small());
        let mut events = kernel.events();
        let mut flow = FlowCounters::default();
        let first = parsed(&frames[0]);
        flow.open(home(&first.key), Cached::pass(0), 0, first.direction as u8);
        let clock = Clock { now: 1, ticks_per_second: 100 };
        let (mut bytes, mut turns) = (0, 0);
        for (place, frame) in frames.iter().enumerate() {
            kernel.run(program, frame);
            let packet = parsed(frame);
            let Recorded::Counted(counted) = flow.record::<Plain>(&packet, seen(program), &clock)
            else {
                panic!("a duplicate");
            };
            let start = packet.payload_offset as usize;
            let taken = &frame[start..start + counted.sample_bytes as usize];
            let syn = u32::from(place < 2);
            let expected: Vec<Piece> = (0..)
                .zip(taken.chunks(FIRST_PAYLOAD_BYTES))
                .map(|(part, bytes)| Piece {
                    direction: packet.direction as u8,
                    part,
                    payload: packet.payload_bytes,
                    sequence: packet.sequence + syn,
                    bytes: bytes.to_vec(),
                })
                .collect();
            let seen = pieces(drain(&mut events, packet.direction));
            assert_eq!(seen, expected, "{program}, packet {place}");
            bytes += counted.sample_bytes;
            turns = flow.halves[0].turns + flow.halves[1].turns;
        }
        assert!(bytes > 4 * STREAM_BYTES && turns == 32, "{bytes} bytes, {turns} turns");
    }
}

#[test]
#[ignore = "needs root: run cargo xtask test"]
fn heads_last_as_long_as_the_story_may() {
    const REPEATS: usize = 40;
    let udp = |ports| frames::udp_frame(ports, b"message");
    let tcp = |ports| frames::tcp_frame(ports, 1, 0x18, &[7; 1_400]);
    let ping = frames::icmp(8, 0, 7, b"message");
    let ping = frames::ethernet(&[], frames::IPV4, &frames::V4::new(1).packet(&ping));
    for (frame, expected) in [
        (udp((54_000, 443)), 4),
        (udp((54_000, 53)), REPEATS),
        (udp((53, 54_000)), REPEATS),
        // Three packets with three records each, and one more of each packet that is told anyway.
        (tcp((54_000, 443)), 9 + 1),
        (tcp((54_000, 8080)), 9 + 1),
        (tcp((587, 54_000)), 9 + 29),
        (tcp((54_000, 21)), 9 + REPEATS - 3),
        (tcp((54_000, 53)), REPEATS),
        (frames::tcp_frame((54_000, 443), 1, 0x18, b"message"), REPEATS),
        (ping, 32),
    ] {
        for program in PROGRAMS {
            let mut kernel = Kernel::load(&small());
            let mut events = kernel.events();
            kernel.run_as(program, &frame, None, REPEATS as u32);
            let records = pieces(drain(&mut events, parsed(&frame).direction)).len();
            assert_eq!(records, expected, "{program}, {frame:?}");
        }
    }
}

/// All frames run on one processor within one second, or within two: the budget is per second.
#[test]
#[ignore = "needs root: run cargo xtask test"]
fn heads_beyond_the_budget_are_refused_and_counted() {
    let config = ObjectConfig { first_payloads_per_second: 10, ..small() };
    let mut kernel = Kernel::load(&config);
    let mut events = kernel.events();
    let frame = frames::udp_frame((55_000, 53), b"query");
    kernel.run_as(program::XDP_INGRESS, &frame, None, 100);
    let heads = pieces(drain(&mut events, parsed(&frame).direction)).len() as u64;
    assert!(heads == 10 || heads == 20, "{heads} heads");
    assert_eq!(kernel.totals(program::XDP_INGRESS).first_payloads_refused, 100 - heads);
}

#[test]
#[ignore = "needs root: run cargo xtask test"]
fn events_without_room_are_counted() {
    let config = ObjectConfig { ring_buffer_bytes: 4_096, ..small() };
    let mut kernel = Kernel::load(&config);
    let mut events = kernel.events();
    let frame = frames::udp_frame((55_000, 53), b"query");
    kernel.run_as(program::TC_INGRESS, &frame, None, 50);
    let seen = drain(&mut events, parsed(&frame).direction).len() as u64;
    // Fifty heads and the seventh packet's checkpoint.
    assert_eq!(kernel.totals(program::TC_INGRESS).events_lost, 51 - seen);
    assert!((1..20).contains(&seen), "{seen} events");
}
