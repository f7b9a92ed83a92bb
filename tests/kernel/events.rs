//! What goes up to the agent: checkpoints and heads.

use aya::maps::{MapData, RingBuf};
use detector::source::kernel::object::ObjectConfig;
use detector_common::abi::{
    CheckpointEvent, EventKind, FIRST_PAYLOAD_BYTES, FirstPayloadEvent, program,
};
use detector_common::flow::{Checkpoint, Direction, FlowCounters};
use detector_tests::frames;

use crate::bed::{Kernel, PROGRAMS, parsed, small, upload};

/// An event in the ring, with the parts that tests look at.
#[derive(Debug, PartialEq, Eq)]
enum Seen {
    /// Kind of checkpoint, packets and outbound IP bytes of the copy.
    Checkpoint(u8, u64, u64),
    FirstPayload {
        payload: u32,
        bytes: Vec<u8>,
    },
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
            seen.push(Seen::FirstPayload { payload: word(8), bytes });
        }
    }
    seen
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
            let bytes = payload[..length.min(FIRST_PAYLOAD_BYTES)].to_vec();
            // The plain XDP program copies in words, Linux below 5.18 having nothing else.
            let whole =
                if program == program::XDP_INGRESS { bytes.len() / 4 * 4 } else { bytes.len() };
            let seen = drain(&mut events, parsed(&frame).direction);
            let [Seen::FirstPayload { payload, bytes: head }] = seen.as_slice() else {
                panic!("{program}, {length} bytes: {seen:?}");
            };
            assert_eq!(*payload as usize, length, "{program}");
            assert!(head.len() >= whole, "{program}, {length} bytes: {} handed up", head.len());
            assert_eq!(head[..], bytes[..head.len()], "{program}, {length} bytes");
        }
    }
}

#[test]
#[ignore = "needs root: run cargo xtask test"]
fn heads_last_as_long_as_the_story_may() {
    const REPEATS: usize = 40;
    let udp = |ports| frames::udp_frame(ports, b"message");
    let tcp = |ports| frames::tcp_frame(ports, 1, 0x18, b"message");
    let ping = frames::icmp(8, 0, 7, b"message");
    let ping = frames::ethernet(&[], frames::IPV4, &frames::V4::new(1).packet(&ping));
    for (frame, expected) in [
        (udp((54_000, 443)), 4),
        (udp((54_000, 53)), REPEATS),
        (udp((53, 54_000)), REPEATS),
        (tcp((54_000, 443)), 4),
        (tcp((54_000, 8080)), 12),
        (tcp((587, 54_000)), 32),
        (tcp((54_000, 21)), REPEATS),
        (ping, 32),
    ] {
        for program in PROGRAMS {
            let mut kernel = Kernel::load(&small());
            let mut events = kernel.events();
            kernel.run_as(program, &frame, None, REPEATS as u32);
            let heads = drain(&mut events, parsed(&frame).direction)
                .into_iter()
                .filter(|seen| matches!(seen, Seen::FirstPayload { .. }));
            assert_eq!(heads.count(), expected, "{program}, {frame:?}");
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
    let seen = drain(&mut events, parsed(&frame).direction);
    let heads = seen.iter().filter(|seen| matches!(seen, Seen::FirstPayload { .. })).count() as u64;
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
