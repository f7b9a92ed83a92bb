//! What becomes of packets whose flow is being deleted, has no room or is seen twice.

use std::collections::BTreeSet;

use detector::source::kernel::object::ObjectConfig;
use detector_common::abi::{Count, EventKind, INTERFACE_INDEX_SLOTS, Interface, map, program};
use detector_common::frame::LinkType;
use detector_common::parse::Packet;
use detector_common::policy::{Cached, Entry, TargetKey};
use detector_tests::frames;

use crate::bed::{INTERFACE, Kernel, Place, SLOT, entry, parsed, skb_received_by, small, upload};

#[test]
#[ignore = "needs root: run cargo xtask test"]
fn packets_of_a_closing_flow_are_late() {
    let keys: Vec<Vec<u8>> =
        (0..5).map(|port| frames::udp_frame((52_000 + port, 443), b"closing")).collect();
    let mut kernel = Kernel::load(&small());
    for frame in &keys {
        kernel.run(program::XDP_INGRESS, frame);
    }
    let marks: Vec<u8> = keys[..4].iter().flat_map(|frame| parsed(frame).key.to_bytes()).collect();
    kernel.run_as(program::CLOSE_FLOWS, &marks, None, 4);
    for frame in &keys {
        let closing = Cached(kernel.flow(&parsed(frame).key).unwrap().policy).is_closing();
        assert_eq!(closing, frame != &keys[4]);
        assert!(!kernel.dropped(program::XDP_INGRESS, frame));
    }
    let bytes = keys[0].len() as u64 - 14;
    let totals = kernel.totals(program::XDP_INGRESS);
    assert_eq!(totals.late, Count { packets: 4, bytes: 4 * bytes });
    assert_eq!(totals.flows, Count { packets: 6, bytes: 6 * bytes });
    // What is deleted had counted all that its total says; the flow that is not closing stays.
    let all: Vec<u8> = keys.iter().flat_map(|frame| parsed(frame).key.to_bytes()).collect();
    kernel.run_as(program::REMOVE_FLOWS, &all, None, 5);
    let removed: Count = kernel.array(map::REMOVED).get(&0, 0).unwrap();
    assert_eq!(removed, Count { packets: 4, bytes: 4 * bytes });
    assert_eq!(kernel.flows().len(), 1);
    let left = kernel.flow(&parsed(&keys[4]).key).unwrap();
    assert_eq!(removed.packets + left.halves.map(|half| half.packets).iter().sum::<u64>(), 6);
    // Once more changes nothing.
    kernel.run_as(program::REMOVE_FLOWS, &all, None, 5);
    assert_eq!(kernel.array::<Count>(map::REMOVED).get(&0, 0).unwrap(), removed);
    kernel.run(program::XDP_INGRESS, &keys[0]);
    let totals = kernel.totals(program::XDP_INGRESS);
    assert_eq!(totals.flows.packets, 7, "a deleted flow opens again");
    assert_eq!(totals.unaccounted(), (0, 0));
}

#[test]
#[ignore = "needs root: run cargo xtask test"]
fn a_full_map_overflows_by_home_host() {
    let config = ObjectConfig { max_flows: 8, max_overflow_entries: 2, ..small() };
    let mut kernel = Kernel::load(&config);
    let from = |host: u8, port: u16| {
        let header = frames::V4 { source: [10, 0, 0, host], ..frames::V4::new(17) };
        let packet = header.packet(&frames::udp((port, 443), &frames::counting(1_000)));
        frames::ethernet(&[], frames::IPV4, &packet)
    };
    for host in 1..=4 {
        for port in 0..50 {
            kernel.run(program::TC_EGRESS, &from(host, 1_000 + port));
        }
    }
    let bytes = from(1, 1).len() as u64 - 14;
    let totals = kernel.totals(program::TC_EGRESS);
    let flows = kernel.flows();
    let entries = kernel.overflow();
    let counted: u64 = entries.values().map(|entry| entry.packets).sum();
    // The kernel may keep a few more entries than asked for, per processor.
    assert!((8..100).contains(&flows.len()), "{} flows", flows.len());
    assert_eq!(totals.flows.packets, flows.len() as u64);
    assert_eq!(totals.overflow.packets, 200 - flows.len() as u64);
    assert_eq!(totals.overflow.bytes, totals.overflow.packets * bytes);
    assert_eq!(totals.overflow_rest.packets, totals.overflow.packets - counted);
    assert_eq!(totals.overflow_rest.bytes, totals.overflow_rest.packets * bytes);
    assert!(totals.overflow_rest.packets > 0, "{entries:?}");
    assert_eq!(totals.unaccounted(), (0, 0));
    assert!(entries.keys().all(|key| key.outbound == 1 && key.address[12..15] == [10, 0, 0]));
    // The theft that starts after the flood crosses a checkpoint of its own.
    let mut events = kernel.events();
    let mut kinds = BTreeSet::new();
    while let Some(record) = events.next() {
        kinds.insert(u32::from_ne_bytes(record[..4].try_into().unwrap()));
    }
    assert!(kinds.contains(&(EventKind::OverflowCheckpoint as u32)), "{kinds:?}");
    // A block holds without a flow, too.
    let key = parsed(&from(1, 1_049)).key;
    let number = kernel.place(&Place::Key(TargetKey::flow(&key)), entry(Entry::DROP));
    kernel.commit();
    assert!(kernel.flow(&key).is_none());
    assert!(kernel.dropped(program::TC_EGRESS, &from(1, 1_049)));
    assert_eq!(kernel.entry_stats(number).packets, 1);
}

#[test]
#[ignore = "needs root: run cargo xtask test"]
fn a_packet_is_counted_once_a_way() {
    const WATCHED: u32 = 70_000;
    const ABOVE: u32 = 5;
    const UNKNOWN: u32 = 6;
    // The same low bits as another that counts.
    const ALIKE: u32 = WATCHED + INTERFACE_INDEX_SLOTS;
    let frame = upload(100);
    let Packet { key, direction, .. } = parsed(&frame);
    let counts = Interface::COUNTS | Interface::COVERS;
    // The role of the interface, then packets: by which program and, at egress, who received it; and
    // how many count in the end.
    let (received, sent) = (program::XDP_INGRESS, program::TC_EGRESS);
    for (name, role, packets, expected) in [
        ("the host's own", counts, &[(sent, 0), (sent, 0)][..], 2),
        ("routed", counts, &[(received, 0), (sent, WATCHED), (received, 0), (sent, WATCHED)], 2),
        ("bridged", counts, &[(received, 0), (sent, ABOVE)], 1),
        ("from where nobody counts", counts, &[(sent, UNKNOWN), (sent, ALIKE)], 2),
        ("behind NAT", counts, &[(sent, WATCHED), (sent, WATCHED)], 2),
        // One packet by another interface hides none: it comes in twice.
        ("a decoy first", counts, &[(received, 0), (sent, 0), (sent, UNKNOWN), (received, 0)], 4),
        ("above what counts", Interface::COVERS, &[(received, 0), (sent, 0)], 0),
        ("a wire's other end", counts | Interface::SEEN_BY_PEER, &[(received, 0), (sent, 0)], 1),
    ] {
        let mut kernel = Kernel::load(&small());
        kernel.set_role(INTERFACE, SLOT + 1, LinkType::Ethernet, role);
        kernel.set_role(WATCHED, SLOT + 2, LinkType::Ethernet, counts);
        kernel.set_role(ABOVE, 0, LinkType::Ethernet, Interface::COVERS);
        for (program, from) in packets {
            let context = (*program == sent).then(|| skb_received_by(*from));
            kernel.run_as(program, &frame, context.as_deref(), 1);
        }
        let flow = kernel.flow(&key);
        let counted = flow.map_or(0, |flow| flow.half(direction).packets);
        assert_eq!(counted, expected, "{name}");
        let points = [received, sent].map(|program| kernel.totals(program));
        let [flows, duplicates] = [
            points.iter().map(|totals| totals.flows.packets).sum::<u64>(),
            points.iter().map(|totals| totals.duplicates.packets).sum(),
        ];
        assert_eq!((flows, duplicates), (expected, packets.len() as u64 - expected), "{name}");
        assert!(points.iter().all(|totals| totals.unaccounted() == (0, 0)), "{name}");
    }
}
