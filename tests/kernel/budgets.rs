//! Byte budgets: what may be sent before somebody has looked.

use aya::maps::{MapData, RingBuf};
use aya::programs::{TestRun as _, TestRunOptions, Xdp};
use detector::source::kernel::object::{ObjectConfig, xdp};
use detector_common::abi::{BudgetEvent, EventKind, map, program};
use detector_common::policy::{Budget, BudgetKey, Entry, Mode, PortClass, Prefix, budget_rule};
use detector_tests::frames::{AWAY, AWAY_V6, HOME, HOME_V6};

use crate::bed::{
    FAR, FETCHING, Kernel, PROGRAMS, Place, datagram, entry, exception, home_prefixes, mapped,
    parsed, prefix, small,
};

const LIMIT: u64 = 65_536;

/// A kernel in which everything but what is private may have [`LIMIT`] bytes.
pub(crate) fn bed(config: &ObjectConfig) -> Kernel {
    let mut kernel = Kernel::load(config);
    for class in 0..2 {
        for ports in [PortClass::Other, PortClass::Web, PortClass::Mail, PortClass::Dns] {
            set_rule(&mut kernel, budget_rule(class, ports, false), LIMIT);
        }
    }
    kernel.commit_with(|control| {
        control.mode = Mode::BLOCK;
        control.budgets = 1;
        control.budget_hold_ticks = u64::MAX;
        control.first_payloads_per_second = 0;
    });
    kernel
}

fn set_rule(kernel: &mut Kernel, rule: u32, bytes: u64) {
    kernel.array(map::BUDGET_RULES).set(rule, bytes, 0).unwrap();
}

fn budget(kernel: &mut Kernel, key: &BudgetKey) -> Option<Budget> {
    kernel.hash(map::BUDGETS).get(key, 0).ok()
}

fn set_limit(kernel: &mut Kernel, key: &BudgetKey, limit: u64) {
    let frame = [&key.home[..], &key.destination[..], &limit.to_ne_bytes()[..]].concat();
    assert_eq!(kernel.run(program::SET_BUDGET, &frame), 0);
}

pub(crate) fn v4() -> BudgetKey {
    BudgetKey { home: mapped(HOME), destination: mapped(AWAY) }
}

fn families() -> [BudgetKey; 2] {
    [v4(), BudgetKey { home: HOME_V6, destination: AWAY_V6 }]
}

pub(crate) fn out(key: &BudgetKey, port: u16, payload: usize) -> Vec<u8> {
    datagram((key.home, port), (key.destination, 443), payload)
}

/// The events about budgets, and how often others came.
fn drain(events: &mut RingBuf<MapData>) -> Vec<BudgetEvent> {
    let mut seen = Vec::new();
    while let Some(record) = events.next() {
        if record[..4] == (EventKind::Budget as u32).to_ne_bytes() {
            assert_eq!(record.len(), size_of::<BudgetEvent>());
            let key = |start: usize| record[start..start + 16].try_into().unwrap();
            let long =
                |start: usize| u64::from_ne_bytes(record[start..start + 8].try_into().unwrap());
            let start = std::mem::offset_of!(BudgetEvent, budget);
            let flow = std::mem::offset_of!(BudgetEvent, flow);
            seen.push(BudgetEvent {
                kind: EventKind::Budget as u32,
                reserved: 0,
                now: long(std::mem::offset_of!(BudgetEvent, now)),
                flow: detector_common::FlowKey {
                    low: key(flow),
                    high: key(flow + 16),
                    ..Default::default()
                },
                budget: BudgetKey { home: key(start), destination: key(start + 16) },
                limit: long(std::mem::offset_of!(BudgetEvent, limit)),
            });
        }
    }
    seen
}

/// Over one flow and over twenty, of both families, by every program.
#[test]
#[ignore = "needs root: run cargo xtask test"]
fn no_more_than_the_budget_passes() {
    for program in PROGRAMS.into_iter().chain(FETCHING) {
        let mut kernel = bed(&small());
        let mut events = kernel.events();
        let mut held = 0;
        for (case, (flows, payload)) in [(1, 1_000), (20, 1_000), (20, 1_337)].iter().enumerate() {
            for mut key in families() {
                key.destination[15] = 100 + case as u8;
                held += spend(&mut kernel, &mut events, program, &key, *flows, *payload);
            }
        }
        let totals = kernel.totals(program);
        assert_eq!((totals.held, totals.held.packets), (totals.dropped, held), "{program}");
        assert_eq!(totals.unaccounted(), (0, 0));
    }
}

/// Sends over the budget, then raises it and takes it away. Returns how many packets were held.
fn spend(
    kernel: &mut Kernel,
    events: &mut RingBuf<MapData>,
    program: &str,
    key: &BudgetKey,
    flows: u16,
    payload: u64,
) -> u64 {
    let packet = |port: u16, payload: u64| out(key, 50_000 + port, payload as usize);
    let passes = |kernel: &mut Kernel, payload| !kernel.dropped(program, &packet(0, payload));
    let mut held = 0;
    for number in 0..200 {
        held += u64::from(kernel.dropped(program, &packet(number % flows, payload)));
    }
    let passed = (200 - held) * payload;
    assert_eq!(passed, LIMIT / payload * payload, "{program}");
    let state = budget(kernel, key).unwrap();
    assert_eq!((state.limit, state.charged), (LIMIT, passed), "{program}");
    assert_eq!((state.held_packets, state.held_bytes), (held, held * payload));
    assert!(state.held_since >= state.opened && state.last_seen >= state.held_since);
    let seen = drain(events);
    let [event] = seen.as_slice() else { panic!("{program}: {} events", seen.len()) };
    assert_eq!((event.budget, event.limit, event.now), (*key, LIMIT, state.held_since));
    let flow = parsed(&packet(0, payload)).key;
    assert_eq!((event.flow.low, event.flow.high), (flow.low, flow.high));
    // What is smaller than what is left passes, to the last byte and not beyond.
    let left = LIMIT - passed;
    assert!(!passes(kernel, left + 1) && passes(kernel, left) && !passes(kernel, 1));
    // Without payload, or from the other side, everything passes.
    let answer = datagram((key.destination, 443), (key.home, 50_000), 1_000);
    assert!(passes(kernel, 0) && !kernel.dropped(program, &answer));
    // A verdict raises it, frees it and takes it away again.
    set_limit(kernel, key, LIMIT + 1_000);
    assert_eq!(budget(kernel, key).unwrap().held_since, 0);
    assert!(passes(kernel, 1_000) && !passes(kernel, 1));
    set_limit(kernel, key, Budget::FREE);
    assert_eq!(kernel.passed(program, &packet(0, 1_400), 100), 100);
    set_limit(kernel, key, 0);
    assert!(!passes(kernel, 1));
    // Once for each limit under which something was held.
    assert_eq!(drain(events).len(), 2, "{program}");
    held + 4
}

/// Two processors draw on one budget at once: to the byte where additions return the old value, else
/// to a packet for each.
#[test]
#[ignore = "needs root: run cargo xtask test"]
fn a_budget_holds_between_processors() {
    const PAYLOAD: u64 = 1_000;
    let full = LIMIT / PAYLOAD * PAYLOAD;
    for (name, most) in [(program::XDP_INGRESS_FETCH, full), (program::XDP_INGRESS, full + PAYLOAD)]
    {
        let mut kernel = bed(&small());
        kernel.ready(name);
        let keys: Vec<BudgetKey> = (0..100)
            .map(|host| BudgetKey { home: mapped(HOME), destination: mapped([203, 0, 114, host]) })
            .collect();
        let together = std::sync::Barrier::new(2);
        let xdp: &Xdp = xdp(&mut kernel.object.ebpf, name).unwrap();
        let send = |port: u16| {
            for key in &keys {
                let frame = out(key, port, PAYLOAD as usize);
                let options =
                    TestRunOptions { data_in: Some(&frame), repeat: 200, ..TestRunOptions::new() };
                together.wait();
                xdp.test_run(options).unwrap();
            }
        };
        std::thread::scope(|scope| {
            scope.spawn(|| send(50_000));
            scope.spawn(|| send(50_001));
        });
        for key in &keys {
            let state = budget(&mut kernel, key).unwrap();
            assert!((full..=most).contains(&state.charged), "{name}: {state:?}");
            assert_eq!(state.held_packets, 400 - state.charged / PAYLOAD, "{name}");
        }
    }
}

#[test]
#[ignore = "needs root: run cargo xtask test"]
fn a_limit_may_come_before_the_first_packet() {
    let mut kernel = bed(&small());
    set_limit(&mut kernel, &v4(), 10);
    assert!(!kernel.dropped(program::XDP_INGRESS, &out(&v4(), 50_000, 10)));
    assert!(kernel.dropped(program::XDP_INGRESS, &out(&v4(), 50_000, 1)));
}

#[test]
#[ignore = "needs root: run cargo xtask test"]
fn who_has_a_budget() {
    let (home, away) = (mapped(HOME), mapped(AWAY));
    let other = mapped([10, 0, 0, 8]);
    let private = mapped([192, 168, 3, 4]);
    let mut class_one = mapped([10, 9, 0, 1]);
    let mut kernel = bed(&small());
    let nine = Prefix { length: 112, address: mapped([10, 9, 0, 0]) };
    kernel
        .trie(map::HOME)
        .insert(&aya::maps::lpm_trie::Key::new(nine.length, nine.address), 1, 0)
        .unwrap();
    set_rule(&mut kernel, budget_rule(1, PortClass::Web, false), 100);
    set_rule(&mut kernel, budget_rule(0, PortClass::Mail, false), 200);
    set_rule(&mut kernel, budget_rule(0, PortClass::Dns, true), 300);
    class_one[15] = 2;
    let mut port = 30_000;
    let mut check = |kernel: &mut Kernel, from, to, service, expected: Option<u64>| {
        let key = BudgetKey { home: from, destination: to };
        port += 1;
        assert!(!kernel.dropped(program::TC_EGRESS, &datagram((from, port), (to, service), 10)));
        let limit = budget(kernel, &key).map(|budget| budget.limit);
        assert_eq!(limit, expected, "{key:?} {service}");
        if limit.is_some() {
            kernel.hash::<BudgetKey, Budget>(map::BUDGETS).remove(&key).unwrap();
        }
    };
    for (from, to, service, expected) in [
        (home, away, 443, Some(LIMIT)),
        (home, away, 25, Some(200)),
        (home, away, 22, None),
        (home, private, 443, None),
        (home, private, 53, Some(300)),
        (class_one, away, 443, Some(100)),
        (class_one, away, 9_999, Some(LIMIT)),
        // Both ends at home, and neither.
        (home, other, 443, None),
        (away, private, 443, None),
    ] {
        check(&mut kernel, from, to, service, expected);
    }
    // Whoever opens the flow, what goes out of it is charged.
    kernel.run(program::TC_EGRESS, &datagram((away, 443), (home, 40_000), 10));
    assert_eq!(budget(&mut kernel, &v4()), None, "a stranger's packet takes no room");
    kernel.run(program::TC_EGRESS, &datagram((home, 40_000), (away, 443), 10));
    assert_eq!(budget(&mut kernel, &v4()).unwrap().charged, 10);
    kernel.hash::<BudgetKey, Budget>(map::BUDGETS).remove(&v4()).unwrap();
    // An exception for either end spares from it, one for destinations only does not.
    for address in [home, away] {
        let exempt = prefix(address, 120);
        for (flags, expected) in [(0, None), (Entry::AS_DESTINATION, Some(LIMIT))] {
            kernel.except(&exempt, exception(flags));
            kernel.commit();
            check(&mut kernel, home, away, 443, expected);
        }
        kernel.remove_exception(&exempt);
    }
    // Switched off, or nobody acting.
    for (budgets, mode) in [(0, Mode::BLOCK), (1, Mode::OBSERVE)] {
        kernel.commit_with(|control| (control.budgets, control.mode) = (budgets, mode));
        check(&mut kernel, home, away, 443, None);
    }
    assert_eq!(home_prefixes().len(), 2);
}

/// In a known flow as in a new one, by a generation or by the kernel's clock.
#[test]
#[ignore = "needs root: run cargo xtask test"]
fn a_flow_gets_its_budget_when_the_mode_begins() {
    let key = v4();
    let mut kernel = bed(&small());
    kernel.ready(program::XDP_INGRESS);
    let until = kernel.now() + kernel.second() / 4;
    kernel.commit_with(|control| {
        (control.mode, control.mode_until, control.mode_after) =
            (Mode::OBSERVE, until, Mode::BLOCK);
    });
    let frame = out(&key, 50_000, 1_000);
    let mut passed = 0;
    while !kernel.dropped(program::XDP_INGRESS, &frame) {
        passed += 1;
        assert!(passed < 1_000_000);
    }
    assert!(kernel.now() >= until && passed > 65);
    assert_eq!(budget(&mut kernel, &key).unwrap().charged, 65_000);
}

/// Fails open by the kernel's own clock, with nobody there.
#[test]
#[ignore = "needs root: run cargo xtask test"]
fn a_time_limit_frees() {
    let key = v4();
    let frame = out(&key, 50_000, 1_000);
    let mut kernel = bed(&small());
    let hold = kernel.second() / 4;
    kernel.commit_with(|control| control.budget_hold_ticks = hold);
    assert_eq!(kernel.passed(program::TC_EGRESS, &frame, 70), 65);
    let held_since = budget(&mut kernel, &key).unwrap().held_since;
    while kernel.dropped(program::TC_EGRESS, &frame) {
        assert!(kernel.now() <= held_since + hold + 5, "held for longer than asked for");
    }
    assert!(kernel.now() >= held_since + hold);
    let state = budget(&mut kernel, &key).unwrap();
    assert_eq!((state.limit, state.timed_out), (Budget::FREE, 1));
    assert_eq!(kernel.totals(program::TC_EGRESS).budgets_timed_out, 1);
    assert_eq!(kernel.passed(program::TC_EGRESS, &frame, 100), 100);
    // A verdict has the last word.
    set_limit(&mut kernel, &key, 1_000);
    assert!(kernel.dropped(program::TC_EGRESS, &frame));
    assert_eq!(budget(&mut kernel, &key).unwrap().timed_out, 0);
}

#[test]
#[ignore = "needs root: run cargo xtask test"]
fn a_simulated_budget_counts_and_passes() {
    let key = v4();
    let frame = out(&key, 50_000, 1_000);
    let mut kernel = bed(&small());
    kernel.commit_with(|control| control.mode = Mode::SIMULATE);
    let mut events = kernel.events();
    assert_eq!(kernel.passed(program::TC_EGRESS, &frame, 100), 100);
    let state = budget(&mut kernel, &key).unwrap();
    assert_eq!((state.charged, state.held_packets, state.held_bytes), (100_000, 0, 0));
    let totals = kernel.totals(program::TC_EGRESS);
    assert_eq!((totals.simulated.packets, totals.dropped.packets), (35, 0));
    assert_eq!(drain(&mut events).len(), 1);
}

#[test]
#[ignore = "needs root: run cargo xtask test"]
fn what_finds_no_room_passes_and_is_counted() {
    let mut kernel = bed(&ObjectConfig { max_budgets: 4, ..small() });
    let mut refused = 0;
    for host in 0..500_u16 {
        let [upper, lower] = host.to_be_bytes();
        let key = BudgetKey { home: mapped(HOME), destination: mapped([203, 0, upper, lower]) };
        assert!(!kernel.dropped(program::XDP_INGRESS, &out(&key, 50_000, 1_000)));
        if budget(&mut kernel, &key).is_none() {
            refused += 1;
            assert_eq!(kernel.passed(program::XDP_INGRESS, &out(&key, 50_000, 1_000), 70), 70);
        }
    }
    assert!(refused > 300, "{refused}");
    assert_eq!(kernel.totals(program::XDP_INGRESS).budgets_refused, refused);
}

/// A blocked flow draws on no budget, a policed and a marked one do.
#[test]
#[ignore = "needs root: run cargo xtask test"]
fn budgets_beside_other_entries() {
    let key = v4();
    let frame = out(&key, 50_000, 1_000);
    let place = Place::prefix(key.destination, 128);
    let police = Entry { burst_bytes: 20_000, ..entry(Entry::POLICE) };
    let mark = Entry { dscp: 8, ..entry(Entry::MARK) };
    let simulated = Entry { flags: Entry::SIMULATED, ..entry(Entry::DROP) };
    for (entry, charged, passed) in [
        (entry(Entry::DROP), None, 0),
        (police, Some(19_000), 19),
        (mark, Some(65_000), 65),
        (simulated, Some(65_000), 65),
        (Entry { deadline: 1, ..entry(Entry::DROP) }, Some(65_000), 65),
        (Entry { not_before: FAR, ..entry(Entry::DROP) }, Some(65_000), 65),
    ] {
        let mut kernel = bed(&small());
        kernel.place(&place, entry);
        kernel.commit();
        assert_eq!(kernel.passed(program::TC_INGRESS, &frame, 100), passed, "{entry:?}");
        assert_eq!(budget(&mut kernel, &key).map(|budget| budget.charged), charged, "{entry:?}");
        assert_eq!(parsed(&frame).payload_bytes, 1_000);
    }
}

/// Packets without a flow are charged to the same budget.
#[test]
#[ignore = "needs root: run cargo xtask test"]
fn a_full_flow_table_is_no_way_around() {
    let key = v4();
    let mut kernel = bed(&ObjectConfig { max_flows: 1, ..small() });
    let mut passed = 0;
    for port in 0..500 {
        passed += kernel.passed(program::TC_EGRESS, &out(&key, 10_000 + port, 1_000), 1);
    }
    assert!(kernel.totals(program::TC_EGRESS).overflow.packets > 300);
    assert_eq!(passed, 65);
}
