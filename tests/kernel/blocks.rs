//! Blocks and exceptions: who is meant, from when, until when, and who wins.

use aya::maps::MapData;
use detector::source::kernel::object::ObjectConfig;
use detector_common::abi::{Count, map, program};
use detector_common::flow::{Direction, FlowCounters, FlowKey};
use detector_common::policy::{Entry, MAX_NESTED, Mode, TargetKey};
use detector_tests::frames::{self, AWAY, AWAY_V6, HOME, HOME_V6};

use crate::bed::{
    FAR, FETCHING, INTERFACE, Kernel, PROGRAMS, Place, count, datagram, entry, exception, is_drop,
    mapped, parsed, prefix, skb_received_by, small, upload,
};

const PORT: u16 = 443;

/// A home host and a destination of each family.
fn families() -> [([u8; 16], [u8; 16]); 2] {
    [(mapped(HOME), mapped(AWAY)), (HOME_V6, AWAY_V6)]
}

/// Everything that covers a flow between `home` and `away`, by name.
fn covering(key: &FlowKey, home: [u8; 16], away: [u8; 16]) -> Vec<(&'static str, Place)> {
    let pair = TargetKey::pair(home.min(away), home.max(away));
    vec![
        ("flow", Place::Key(TargetKey::flow(key))),
        ("pair", Place::Key(pair)),
        ("service", Place::Key(TargetKey::service(away, PORT.to_be_bytes()))),
        ("host", Place::Key(TargetKey::host(home))),
        ("destination's host", Place::Key(TargetKey::host(away))),
        ("address", Place::prefix(away, 128)),
        ("network", Place::prefix(away, 113)),
    ]
}

/// What covers others only.
fn elsewhere(key: &FlowKey, home: [u8; 16], away: [u8; 16]) -> Vec<(&'static str, Place)> {
    let mut next = away;
    next[15] ^= 1;
    let other = FlowKey { low_port: [1, 2], ..*key };
    vec![
        ("another flow", Place::Key(TargetKey::flow(&other))),
        ("another protocol", Place::Key(TargetKey::flow(&FlowKey { protocol: 132, ..*key }))),
        ("another pair", Place::Key(TargetKey::pair(home.min(next), home.max(next)))),
        ("another port", Place::Key(TargetKey::service(away, [1, 187 ^ 1]))),
        ("a service of the client", Place::Key(TargetKey::service(home, [200, 0]))),
        ("another host", Place::Key(TargetKey::host(next))),
        ("another address", Place::prefix(next, 128)),
        ("the home host as a destination", Place::prefix(home, 128)),
    ]
}

/// The entry with its destination end named.
fn towards(destination: [u8; 16], key: &FlowKey, entry: Entry) -> Entry {
    let flags = if key.low == destination { Entry::DESTINATION_LOW } else { 0 };
    Entry { flags: entry.flags | flags, ..entry }
}

#[test]
#[ignore = "needs root: run cargo xtask test"]
fn every_kind_of_block_stops_both_ways() {
    for program in PROGRAMS.into_iter().chain(FETCHING) {
        let mut kernel = Kernel::load(&small());
        let mut port = 20_000;
        for (home, away) in families() {
            for known in [true, false] {
                for index in 0..7 {
                    port += 1;
                    let frame = datagram((home, port), (away, PORT), 100);
                    let answer = datagram((away, PORT), (home, port), 50);
                    let key = parsed(&frame).key;
                    let (name, place) = covering(&key, home, away)[index];
                    let what = format!("{program}, {name}, known: {known}");
                    if known {
                        assert!(!kernel.dropped(program, &frame), "{what}");
                    }
                    let before = kernel.totals(program).dropped;
                    let number = kernel.place(&place, towards(away, &key, entry(Entry::DROP)));
                    kernel.commit();
                    for _ in 0..3 {
                        assert!(kernel.dropped(program, &frame), "{what}");
                    }
                    assert!(kernel.dropped(program, &answer), "{what}: inbound");
                    let mut dropped = count(3, 3 * parsed(&frame).ip_bytes);
                    dropped += count(1, parsed(&answer).ip_bytes);
                    let hits = kernel.entry_stats(number);
                    assert_eq!(
                        Count { packets: hits.packets, bytes: hits.bytes },
                        dropped,
                        "{what}"
                    );
                    assert!(hits.last_hit != 0);
                    let totals = kernel.totals(program);
                    assert_eq!(totals.dropped.packets - before.packets, dropped.packets, "{what}");
                    assert_eq!(totals.dropped.bytes - before.bytes, dropped.bytes, "{what}");
                    assert_eq!(totals.unaccounted(), (0, 0));
                    let flow = kernel.flow(&key).unwrap();
                    let halves = flow.halves.map(|half| half.dropped_packets);
                    assert_eq!((flow.entry, halves.iter().sum::<u64>()), (number, 4), "{what}");
                    kernel.remove(&place);
                    kernel.commit();
                    assert!(!kernel.dropped(program, &frame), "{what}: released");
                }
            }
        }
    }
}

#[test]
#[ignore = "needs root: run cargo xtask test"]
fn others_are_not_meant() {
    let mut kernel = Kernel::load(&small());
    for (home, away) in families() {
        let frame = datagram((home, 51_200), (away, PORT), 100);
        let key = parsed(&frame).key;
        for (name, place) in elsewhere(&key, home, away) {
            let number = kernel.place(&place, entry(Entry::DROP));
            kernel.commit();
            assert!(!kernel.dropped(program::XDP_INGRESS, &frame), "{name}");
            assert_eq!(kernel.entry_stats(number).packets, 0, "{name}");
            kernel.remove(&place);
        }
    }
    // A home host is a destination for others at home.
    let (own, other) = (mapped(HOME), mapped([10, 0, 0, 8]));
    let inside = datagram((own, 51_200), (other, PORT), 100);
    for place in [Place::prefix(other, 128), Place::Key(TargetKey::service(other, [1, 187]))] {
        kernel.place(&place, entry(Entry::DROP));
        kernel.commit();
        assert!(kernel.dropped(program::XDP_INGRESS, &inside));
        let outside = datagram((other, PORT), (mapped(AWAY), 51_200), 100);
        assert!(!kernel.dropped(program::XDP_INGRESS, &outside));
        kernel.remove(&place);
    }
}

/// Later fragments whose first was never seen have no ports, and yet meet what is about addresses.
#[test]
#[ignore = "needs root: run cargo xtask test"]
fn fragments_without_ports_meet_addresses() {
    let header = frames::V4 { fragment: 100, identification: 0x7777, ..frames::V4::new(17) };
    let frame = frames::ethernet(&[], frames::IPV4, &header.packet(&frames::counting(200)));
    let (home, away) = (mapped(HOME), mapped(AWAY));
    let key = parsed(&datagram((home, 51_200), (away, PORT), 100)).key;
    let mut kernel = Kernel::load(&small());
    for (name, place) in covering(&key, home, away) {
        kernel.place(&place, towards(away, &key, entry(Entry::DROP)));
        kernel.commit();
        let meant = !["flow", "service"].contains(&name);
        assert_eq!(kernel.dropped(program::TC_EGRESS, &frame), meant, "{name}");
        kernel.remove(&place);
    }
    assert!(kernel.totals(program::TC_EGRESS).fragments_unknown.packets == 7);
}

/// Nobody writes to a map while an entry begins and ends, as after the death of the agent.
#[test]
#[ignore = "needs root: run cargo xtask test"]
fn an_entry_begins_and_ends_by_the_kernels_clock() {
    let frame = upload(100);
    let key = parsed(&frame).key;
    for program in [program::XDP_INGRESS, program::TC_EGRESS] {
        let mut kernel = Kernel::load(&small());
        kernel.ready(program);
        let quarter = kernel.second() / 4;
        let begins = kernel.now() + quarter;
        let ends = begins + quarter;
        let times = Entry { not_before: begins, deadline: ends, ..entry(Entry::DROP) };
        kernel.place(&Place::Key(TargetKey::flow(&key)), times);
        kernel.commit();
        let mut dropped = 0;
        let mut passed_after = 0;
        loop {
            let before = kernel.now();
            let drop = kernel.dropped(program, &frame);
            let after = kernel.now();
            dropped += u32::from(drop);
            // Between two readings of the clock the answer is either's.
            let could_drop = before < ends && after >= begins;
            let could_pass = before < begins || after >= ends;
            assert!(if drop { could_drop } else { could_pass }, "{before}..{after}: {drop}");
            if before > ends {
                passed_after += 1;
                if passed_after > 10 {
                    break;
                }
            }
        }
        assert!(dropped > 10, "{program}: {dropped} dropped");
        // A new flow does not meet the expired entry either.
        kernel.hash::<FlowKey, FlowCounters>(map::FLOWS).remove(&key).unwrap();
        assert!(!kernel.dropped(program, &frame));
    }
}

/// Entries that are over or not yet in force.
fn asleep(action: u8) -> [Entry; 3] {
    let action = entry(action);
    [
        Entry { deadline: 1, ..action },
        Entry { not_before: FAR - 1, ..action },
        Entry { not_before: FAR, deadline: 1, ..action },
    ]
}

#[test]
#[ignore = "needs root: run cargo xtask test"]
fn what_is_not_in_force_hides_nothing() {
    let frame = upload(100);
    let away = mapped(AWAY);
    for asleep in asleep(Entry::DROP) {
        let mut kernel = Kernel::load(&small());
        let key = parsed(&frame).key;
        let (home, _) = families()[0];
        for (name, place) in covering(&key, home, away) {
            kernel.place(&place, asleep);
            kernel.commit();
            assert!(!kernel.dropped(program::XDP_INGRESS, &frame), "{name}");
            kernel.remove(&place);
        }
        // The longest prefixes sleep, the shortest does not.
        let lengths = (129 - MAX_NESTED as u32..=128).rev();
        for length in lengths.clone() {
            kernel.place(&Place::prefix(away, length), asleep);
        }
        kernel.commit();
        assert!(!kernel.dropped(program::XDP_INGRESS, &frame));
        for length in lengths {
            let place = Place::prefix(away, length);
            let number = kernel.place(&place, entry(Entry::DROP));
            kernel.commit();
            assert!(kernel.dropped(program::XDP_INGRESS, &frame), "{length}");
            assert_eq!(kernel.entry_stats(number).packets, 1);
            kernel.place(&place, asleep);
        }
    }
}

#[test]
#[ignore = "needs root: run cargo xtask test"]
fn exceptions_come_before_everything() {
    let asleep = asleep(Entry::NEVER);
    for (home, away) in families() {
        let frame = datagram((home, 51_200), (away, PORT), 100);
        let key = parsed(&frame).key;
        // What is spared, by which flags, where what covers the flow is meant for `away`.
        let check = |kernel: &mut Kernel,
                     spared: [u8; 16],
                     length: u32,
                     never: Entry,
                     by_other: bool| {
            let exception = prefix(spared, length);
            let number = kernel.except(&exception, never);
            for (name, place) in covering(&key, home, away) {
                let blocking = kernel.place(&place, towards(away, &key, entry(Entry::DROP)));
                kernel.commit();
                let before = kernel.entry_stats(number).packets;
                let full = never.flags & Entry::AS_DESTINATION == 0;
                // The block on the home host is about the home host.
                let about = if name == "host" { home } else { away };
                let meant = full || exception.contains(&about);
                let spares = meant && never.in_force(1_000);
                for program in [PROGRAMS[0], PROGRAMS[2]] {
                    let dropped = kernel.dropped(program, &frame);
                    assert_eq!(dropped, !spares && !by_other, "{name}, {never:?}, {exception:?}");
                }
                assert_eq!(
                    kernel.entry_stats(number).packets - before,
                    u64::from(spares),
                    "{name}"
                );
                assert_eq!(
                    kernel.entry_stats(blocking).packets != 0,
                    !spares && !by_other,
                    "{name}"
                );
                kernel.remove(&place);
            }
            kernel.remove_exception(&exception);
        };
        let mut kernel = Kernel::load(&small());
        for spared in [home, away] {
            for length in [128, 120] {
                for flags in [0, Entry::AS_DESTINATION] {
                    check(&mut kernel, spared, length, exception(flags), false);
                }
                for sleeping in asleep {
                    check(&mut kernel, spared, length, sleeping, false);
                    // A longer one that sleeps, or has another role, does not hide a shorter one.
                    let shorter = prefix(spared, 97);
                    kernel.except(&shorter, exception(0));
                    check(&mut kernel, spared, length, sleeping, true);
                    kernel.remove_exception(&shorter);
                }
            }
        }
    }
}

#[test]
#[ignore = "needs root: run cargo xtask test"]
fn a_shorter_exception_holds_where_a_longer_one_has_another_role() {
    let (home, away) = families()[0];
    let frame = datagram((home, 51_200), (away, PORT), 100);
    let mut kernel = Kernel::load(&small());
    kernel.place(&Place::prefix(away, 128), entry(Entry::DROP));
    let longer = kernel.except(&prefix(home, 128), exception(Entry::AS_DESTINATION));
    kernel.commit();
    assert!(kernel.dropped(program::XDP_INGRESS, &frame));
    let shorter = kernel.except(&prefix(home, 112), exception(0));
    kernel.commit();
    assert!(!kernel.dropped(program::XDP_INGRESS, &frame));
    assert_eq!((kernel.entry_stats(longer).packets, kernel.entry_stats(shorter).packets), (0, 1));
    // Of two that spare from everything the longer one is told.
    let between = kernel.except(&prefix(home, 120), exception(0));
    kernel.commit();
    assert!(!kernel.dropped(program::XDP_INGRESS, &frame));
    assert_eq!((kernel.entry_stats(between).packets, kernel.entry_stats(shorter).packets), (1, 1));
}

/// An exception that ends lets the block through again, without the agent.
#[test]
#[ignore = "needs root: run cargo xtask test"]
fn an_exception_ends_by_the_kernels_clock() {
    let frame = upload(100);
    let mut kernel = Kernel::load(&small());
    kernel.ready(program::TC_INGRESS);
    let ends = kernel.now() + kernel.second() / 4;
    kernel.place(&Place::prefix(mapped(AWAY), 128), entry(Entry::DROP));
    kernel.except(&prefix(mapped(AWAY), 128), Entry { deadline: ends, ..exception(0) });
    kernel.commit();
    let mut passed = 0;
    while !kernel.dropped(program::TC_INGRESS, &frame) {
        passed += 1;
        assert!(kernel.now() <= ends + 5, "the exception outlived its time");
    }
    assert!(passed > 10 && kernel.now() >= ends);
}

/// Of everything that covers a flow the strongest wins, whatever kind it is of.
#[test]
#[ignore = "needs root: run cargo xtask test"]
fn the_strongest_wins() {
    let frame = upload(100);
    let (home, away) = families()[0];
    let key = parsed(&frame).key;
    let by_agent = |action| Entry { flags: Entry::BY_AGENT, ..entry(action) };
    let mark = Entry { dscp: 8, ..entry(Entry::MARK) };
    let simulated = Entry { flags: Entry::SIMULATED, ..entry(Entry::DROP) };
    // In order of strength, in any mode.
    let drop = entry(Entry::DROP);
    let police = Entry { burst_bytes: 1 << 30, ..entry(Entry::POLICE) };
    let ranks = [simulated, mark, police, drop];
    let places = covering(&key, home, away);
    let mut kernel = Kernel::load(&small());
    for (stronger, weaker) in [(3, 2), (3, 1), (3, 0), (2, 1), (2, 0), (1, 0)] {
        for (name, place) in &places {
            for (other, second) in places.iter().filter(|(other, _)| other != name) {
                kernel.place(place, towards(away, &key, ranks[weaker]));
                let number = kernel.place(second, towards(away, &key, ranks[stronger]));
                kernel.commit();
                kernel.run(program::XDP_INGRESS, &frame);
                let flow = kernel.flow(&key).unwrap();
                assert_eq!(flow.entry, number, "{name} {weaker}, {other} {stronger}");
                kernel.remove(place);
                kernel.remove(second);
            }
        }
    }
    // What the agent asked for follows the mode, what a person did does not.
    let place = Place::prefix(away, 128);
    for (mode, agents, simulates) in
        [(Mode::OBSERVE, false, 0), (Mode::SIMULATE, false, 1), (Mode::BLOCK, true, 0)]
    {
        for (entry, dropped, simulated) in
            [(by_agent(Entry::DROP), agents, simulates), (drop, true, 0)]
        {
            let before = kernel.totals(program::XDP_INGRESS).simulated;
            kernel.place(&place, entry);
            kernel.commit_with(|control| control.mode = mode);
            assert_eq!(kernel.dropped(program::XDP_INGRESS, &frame), dropped, "{mode} {entry:?}");
            let after = kernel.totals(program::XDP_INGRESS).simulated;
            assert_eq!(after.packets - before.packets, simulated, "{mode} {entry:?}");
            kernel.remove(&place);
        }
    }
    // An agent's longer prefix that its mode keeps from acting hides no person's shorter one.
    kernel.place(&place, by_agent(Entry::DROP));
    kernel.place(&Place::prefix(away, 120), drop);
    kernel.commit_with(|control| control.mode = Mode::OBSERVE);
    assert!(kernel.dropped(program::XDP_INGRESS, &frame));
}

/// A mode for a time: the change needs no agent.
#[test]
#[ignore = "needs root: run cargo xtask test"]
fn a_mode_ends_by_the_kernels_clock() {
    let frame = upload(100);
    for (mode, after) in [(Mode::BLOCK, Mode::OBSERVE), (Mode::OBSERVE, Mode::BLOCK)] {
        let mut kernel = Kernel::load(&small());
        kernel.ready(program::XDP_INGRESS);
        let until = kernel.now() + kernel.second() / 4;
        let agents = Entry { flags: Entry::BY_AGENT, ..entry(Entry::DROP) };
        kernel.place(&Place::prefix(mapped(AWAY), 128), agents);
        kernel.commit_with(|control| {
            (control.mode, control.mode_until, control.mode_after) = (mode, until, after);
        });
        let mut seen = 0;
        while kernel.dropped(program::XDP_INGRESS, &frame) == (mode == Mode::BLOCK) {
            seen += 1;
            assert!(kernel.now() <= until + 5, "{mode} outlived its time");
        }
        assert!(seen > 10 && kernel.now() >= until);
    }
}

#[test]
#[ignore = "needs root: run cargo xtask test"]
fn what_is_simulated_passes_and_is_counted() {
    let (home, away) = families()[0];
    let frame = datagram((home, 51_200), (away, PORT), 100);
    let answer = datagram((away, PORT), (home, 51_200), 100);
    let bytes = u64::from(parsed(&frame).ip_bytes);
    let police = Entry { burst_bytes: 2 * bytes, ..entry(Entry::POLICE) };
    let mark = Entry { dscp: 8, ..entry(Entry::MARK) };
    // Packets that the entry counts and that count as simulated, of five there and five back.
    for (action, hit, simulated) in [(entry(Entry::DROP), 10, 10), (police, 3, 3), (mark, 5, 0)] {
        for program in PROGRAMS {
            let mut kernel = Kernel::load(&small());
            let entry = Entry { flags: Entry::SIMULATED, ..action };
            let number = kernel.place(&Place::prefix(away, 128), entry);
            kernel.commit();
            for frame in [&frame, &answer] {
                for _ in 0..5 {
                    let (dropped, out) = kernel.returned(program, frame);
                    assert!(!dropped && out == *frame, "{program}");
                }
            }
            let (hits, totals) = (kernel.entry_stats(number), kernel.totals(program));
            assert_eq!((hits.packets, hits.bytes), (hit, hit * bytes), "{program} {entry:?}");
            assert_eq!(
                (totals.simulated.packets, totals.simulated.bytes),
                (simulated, simulated * bytes)
            );
            assert_eq!((totals.dropped, totals.policed, totals.marked), Default::default());
            assert_eq!(kernel.flow(&parsed(&frame).key).unwrap().halves[0].dropped_packets, 0);
        }
    }
}

/// A packet that another point counts is dropped all the same and charged to nobody twice.
#[test]
#[ignore = "needs root: run cargo xtask test"]
fn a_duplicate_is_dropped_and_charged_once() {
    let frame = upload(100);
    let key = parsed(&frame).key;
    let mut kernel = Kernel::load(&small());
    let forwarded = skb_received_by(INTERFACE);
    let dropped_on_its_way = |kernel: &mut Kernel| {
        is_drop(program::TC_EGRESS, kernel.run_as(program::TC_EGRESS, &frame, Some(&forwarded), 1))
    };
    kernel.run(program::XDP_INGRESS, &frame);
    let number = kernel.place(&Place::Key(TargetKey::flow(&key)), entry(Entry::DROP));
    kernel.commit();
    assert!(dropped_on_its_way(&mut kernel));
    assert!(kernel.dropped(program::XDP_INGRESS, &frame));
    assert_eq!(kernel.entry_stats(number).packets, 1);
    for program in [program::XDP_INGRESS, program::TC_EGRESS] {
        assert_eq!(kernel.totals(program).dropped.packets, 1, "{program}");
    }
    let half = *kernel.flow(&key).unwrap().half(Direction::FromLow);
    assert_eq!((half.packets, half.dropped_packets), (2, 1));
    // A rate and a budget are the business of the point that counts.
    let policed = Entry { burst_bytes: 200, ..entry(Entry::POLICE) };
    let number = kernel.place(&Place::Key(TargetKey::flow(&key)), policed);
    kernel.commit();
    assert!((0..5).all(|_| !dropped_on_its_way(&mut kernel)));
    assert_eq!(kernel.entry_stats(number).passed_packets, 0);
    assert_eq!(kernel.passed(program::XDP_INGRESS, &frame, 5), 1);
}

/// A packet without a flow, for want of room or because its flow is being deleted.
#[test]
#[ignore = "needs root: run cargo xtask test"]
fn packets_without_a_flow_meet_everything() {
    let (home, away) = families()[0];
    let full = ObjectConfig { max_flows: 1, ..small() };
    for program in PROGRAMS {
        let mut kernel = Kernel::load(&full);
        // Until the table refuses: it has some places more than asked for.
        let mut port = 1_000;
        while kernel.totals(program).overflow.packets == 0 {
            kernel.run(program, &datagram((home, port), (away, PORT), 10));
            port += 1;
        }
        let stranger = datagram((home, 60_000), (away, PORT), 100);
        let late = datagram((home, 1_000), (away, PORT), 100);
        kernel.run(program::CLOSE_FLOWS, &parsed(&late).key.to_bytes());
        for frame in [stranger, late] {
            let key = parsed(&frame).key;
            let answer = datagram((away, PORT), (home, u16::from_be_bytes(key.low_port)), 10);
            for (name, place) in covering(&key, home, away) {
                let number = kernel.place(&place, towards(away, &key, entry(Entry::DROP)));
                kernel.commit();
                for frame in [&frame, &frame, &answer] {
                    assert!(kernel.dropped(program, frame), "{program}, {name}");
                }
                assert_eq!(kernel.entry_stats(number).packets, 3, "{name}");
                let mark = Entry { dscp: 46, ..entry(Entry::MARK) };
                kernel.place(&place, towards(away, &key, mark));
                kernel.commit();
                let (dropped, out) = kernel.returned(program, &frame);
                assert_eq!((dropped, out[15]), (false, 46 << 2), "{program}, {name}");
                kernel.remove(&place);
                kernel.commit();
                assert!(!kernel.dropped(program, &frame), "{program}, {name}");
            }
            let exception = prefix(away, 128);
            kernel.place(&Place::prefix(away, 128), entry(Entry::DROP));
            kernel.except(&exception, crate::bed::exception(0));
            kernel.commit();
            assert!(!kernel.dropped(program, &frame));
            kernel.remove_exception(&exception);
            kernel.remove(&Place::prefix(away, 128));
        }
        let totals = kernel.totals(program);
        assert!(totals.late.packets > 20 && totals.overflow.packets > 20);
        assert_eq!(totals.unaccounted(), (0, 0), "{program}");
    }
}

/// A flow that nothing touches caches the word that costs one comparison.
#[test]
#[ignore = "needs root: run cargo xtask test"]
fn a_flow_that_nothing_matches_is_as_cheap_as_without_policy() {
    use detector_common::policy::Cached;
    let frame = upload(100);
    let mut kernel = Kernel::load(&small());
    let mut elsewhere = mapped(AWAY);
    elsewhere[12] ^= 1;
    for kind in 0..4 {
        let key = TargetKey { kind, ..TargetKey::host(elsewhere) };
        kernel.place(&Place::Key(key), entry(Entry::DROP));
    }
    kernel.place(&Place::prefix(elsewhere, 120), entry(Entry::DROP));
    kernel.except(&prefix(mapped(HOME), 128), Entry { deadline: FAR, ..exception(0) });
    kernel.commit();
    kernel.run(program::XDP_INGRESS, &frame);
    let generation = kernel.object.control().unwrap().generation;
    let flow = kernel.flow(&parsed(&frame).key).unwrap();
    assert_eq!((Cached(flow.policy), flow.deadline), (Cached::pass(generation), 0));
}

/// Entries stand in maps with the sizes that the agent asks for.
#[test]
#[ignore = "needs root: run cargo xtask test"]
fn a_full_map_of_blocks_refuses() {
    let config = ObjectConfig { max_blocks: 16, ..small() };
    let mut kernel = Kernel::load(&config);
    let mut blocks: aya::maps::HashMap<&mut MapData, TargetKey, u32> = kernel.hash(map::BLOCKS);
    let refused = (0..2_000_u32).find(|number| {
        let mut address = [0xfd; 16];
        address[12..].copy_from_slice(&number.to_be_bytes());
        blocks.insert(TargetKey::host(address), number, 0).is_err()
    });
    assert!(refused.is_some_and(|number| number >= 16), "{refused:?}");
}
