//! The rules that the policy state keeps, each with who asks for what.

use detector_common::policy::EntryCounters;

use super::example;
use super::*;
use crate::network::{Address, Network};
use crate::response::enforcer::DryRun;
use crate::response::policy::{ActionRule, police};
use crate::timestamp::Timestamp;
use crate::verdict::allow::Entry;

const SECOND: Duration = Duration::from_secs(1);
const MINUTE: Duration = Duration::from_secs(60);
/// Some time after the epoch.
const START: Timestamp = Timestamp::from_ns(1_000_000_000_000);

fn address(text: &str) -> Address {
    text.parse().unwrap()
}

fn network(text: &str) -> Network {
    text.parse().unwrap()
}

fn block_request(dst: &str) -> BlockRequest {
    example::block_request(dst.parse().unwrap())
}

fn backup() -> Entry {
    Entry { reason: "a backup".to_owned(), ..Entry::default() }
}

/// A policy state with its enforcer and a clock.
struct Desk {
    state: PolicyState,
    enforcer: DryRun,
    now: Timestamp,
}

impl Desk {
    fn new(mode: Mode, policy: Policy) -> Self {
        let mut enforcer = DryRun::default();
        enforcer.mode = mode;
        let mut state = PolicyState::new(policy, mode, START);
        state.set_home(vec![network("10.0.0.0/8"), network("fd00::/8")]);
        Self { state, enforcer, now: START }
    }

    fn blocking() -> Self {
        Self::new(Mode::Block, Policy::default())
    }

    fn request_block(&mut self, dst: &str) -> Outcome {
        self.respond(&block_request(dst))
    }

    fn respond(&mut self, block_request: &BlockRequest) -> Outcome {
        self.state.respond(block_request, self.now, &mut self.enforcer).unwrap()
    }

    fn add(&mut self, target: &str, ttl_secs: u64, confirm: Option<u64>) -> Result<Placed, String> {
        let add = Add {
            target: target.parse().unwrap(),
            effect: Effect::Drop,
            simulated: false,
            ttl: Some(Duration::from_secs(ttl_secs)),
            why: "a test".to_owned(),
        };
        let confirm = confirm.map(Duration::from_secs);
        let placed = self.state.add(&add, "uid 0 (root)", confirm, self.now, &mut self.enforcer);
        placed.map_err(|error| format!("{error:#}"))
    }

    fn allow(
        &mut self,
        destination: &str,
        ttl_secs: Option<u64>,
        confirm: Option<u64>,
    ) -> NowAllowed {
        let entry = Entry { destination: Some(network(destination)), ..backup() };
        let (ttl, confirm) = (ttl_secs.map(Duration::from_secs), confirm.map(Duration::from_secs));
        let (now, enforcer) = (self.now, &mut self.enforcer);
        self.state.allow(entry, ttl, "uid 0", confirm, now, enforcer).unwrap()
    }

    fn spare(&mut self, surroundings: &[(&str, ExceptionKind)]) {
        let all: Vec<_> = surroundings
            .iter()
            .map(|(text, kind)| (network(text), kind.clone(), String::new()))
            .collect();
        self.state.set_protected_peers(&all, self.now, &mut self.enforcer).unwrap();
    }

    fn pass(&mut self, length: Duration) {
        self.now += length;
        self.state.tick(self.now, &mut self.enforcer).unwrap();
    }

    /// Targets in force with the enforcer, in words.
    fn in_force(&self) -> Vec<String> {
        let orders = self.enforcer.orders.values();
        let live = orders.filter(|order| order.span.holds(self.now));
        live.map(|order| order.target.to_string()).collect()
    }

    fn actions(&mut self) -> Vec<&'static str> {
        self.state.take_changes().iter().map(|change| change.kind.name()).collect()
    }
}

#[test]
fn a_session_is_blocked_once_and_for_a_while() {
    let mut desk = Desk::blocking();
    let outcome = desk.request_block("192.0.2.1");
    let placed = Some("pair 10.0.0.7 192.0.2.1".to_owned());
    assert_eq!((outcome.action, outcome.note), (ActionTaken::Blocked, placed));
    assert_eq!(desk.in_force(), ["pair 10.0.0.7 192.0.2.1"]);
    let again = desk.request_block("192.0.2.1");
    assert_eq!((again.action, again.note), (ActionTaken::Blocked, None));
    desk.pass(600 * SECOND);
    assert!(desk.enforcer.orders.is_empty());
    assert_eq!(desk.actions(), ["placed", "expired"]);
}

#[test]
fn what_is_done_follows_mode_technique_and_score() {
    let rules = vec![
        ActionRule {
            technique: Some(Technique::SlowDrip),
            action: ActionKind::Police,
            bytes_per_second: Some(1_000),
            ..ActionRule::default()
        },
        ActionRule {
            at_least: Some(0.95),
            action: ActionKind::DropDestination,
            ..ActionRule::default()
        },
        ActionRule {
            technique: Some(Technique::Tunnel),
            action: ActionKind::DropFlow,
            ..ActionRule::default()
        },
        ActionRule {
            technique: Some(Technique::DnsTunnel),
            action: ActionKind::Observe,
            ..ActionRule::default()
        },
        ActionRule {
            technique: Some(Technique::ClearUpload),
            action: ActionKind::Mark,
            dscp: Some(8),
            ..ActionRule::default()
        },
    ];
    let check = |mode, technique, score, action, target: &[&str]| {
        let policy = Policy { rules: rules.clone(), ..Policy::default() };
        let mut desk = Desk::new(mode, policy);
        let block_request = BlockRequest { technique, score, ..block_request("192.0.2.1") };
        assert_eq!(desk.respond(&block_request).action, action, "{mode} {technique:?} {score}");
        assert_eq!(desk.in_force(), target);
    };
    let pair = &["pair 10.0.0.7 192.0.2.1"];
    let destination = &["destination 192.0.2.1"];
    let flow = &["flow 6 10.0.0.7:40000 192.0.2.1:443"];
    check(Mode::Observe, Technique::BulkUpload, 0.9, ActionTaken::None, &[]);
    check(Mode::Simulate, Technique::BulkUpload, 0.9, ActionTaken::Simulated, pair);
    check(Mode::Block, Technique::BulkUpload, 0.9, ActionTaken::Blocked, pair);
    check(Mode::Block, Technique::BulkUpload, 0.96, ActionTaken::Blocked, destination);
    check(Mode::Block, Technique::SlowDrip, 0.99, ActionTaken::Policed, pair);
    check(Mode::Block, Technique::Tunnel, 0.8, ActionTaken::Blocked, flow);
    check(Mode::Block, Technique::DnsTunnel, 0.8, ActionTaken::None, &[]);
    check(Mode::Block, Technique::ClearUpload, 0.8, ActionTaken::Marked, pair);
}

#[test]
fn repeaters_are_blocked_for_longer() {
    let mut desk = Desk::blocking();
    for times in 1..=3 {
        desk.request_block("192.0.2.1");
        let (_, standing) = desk.state.blocks().next().unwrap();
        assert_eq!((standing.times, standing.until.since(desk.now)), (times, times * 600 * SECOND));
        desk.pass(times * 600 * SECOND);
    }
    desk.pass(2 * OFFENCE_MEMORY);
    desk.request_block("192.0.2.1");
    assert_eq!(desk.state.blocks().next().unwrap().1.times, 1);
}

#[test]
fn a_block_is_extended_only_while_packets_come() {
    for (packets_come, expected) in [(true, true), (false, false)] {
        let mut desk = Desk::blocking();
        desk.request_block("192.0.2.1");
        let (number, _) = desk.state.blocks().next().unwrap();
        for second in 0..601 {
            let packets = if packets_come { second } else { 5 };
            desk.enforcer
                .entry_stats
                .insert(number, EntryCounters { packets, ..EntryCounters::default() });
            desk.pass(SECOND);
        }
        assert_eq!(!desk.in_force().is_empty(), expected, "packets come: {packets_come}");
        if packets_come {
            // And not for ever.
            for second in 601..15_000 {
                desk.enforcer
                    .entry_stats
                    .insert(number, EntryCounters { packets: second, ..EntryCounters::default() });
                desk.pass(SECOND);
            }
            assert!(desk.in_force().is_empty());
        }
    }
}

#[test]
fn nothing_of_this_is_ever_blocked() {
    let mut desk = Desk::blocking();
    desk.spare(&[
        ("10.0.0.1", ExceptionKind::Own),
        ("10.0.0.254", ExceptionKind::Gateway),
        ("10.0.0.53", ExceptionKind::Resolver),
        ("198.51.100.9", ExceptionKind::Administrator),
        ("192.0.2.0/24", ExceptionKind::Configured),
    ]);
    let check = |desk: &mut Desk, target: &str, expected: &str| {
        let refused = desk.add(target, 60, None).unwrap_err();
        assert!(refused.contains(expected), "{target}: {refused}");
    };
    check(&mut desk, "destination 192.0.2.7", "192.0.2.0/24 is in never_block");
    check(&mut desk, "destination 192.0.0.0/16", "192.0.2.0/24 is in never_block");
    check(&mut desk, "pair 10.0.0.7 192.0.2.7", "in never_block");
    check(&mut desk, "flow tcp 10.0.0.7:1 192.0.2.7:2", "in never_block");
    check(&mut desk, "service 10.0.0.53:53", "a resolver of this host");
    check(&mut desk, "host 198.51.100.9", "administrative connection");
    check(&mut desk, "pair 198.51.100.9 203.0.113.1", "administrative connection");
    check(&mut desk, "destination 10.0.0.254", "a gateway of this host");
    check(&mut desk, "host 10.0.0.1", "an address of this host");
    check(&mut desk, "pair 10.0.0.7 10.0.0.1", "an address of this host");
    check(&mut desk, "destination 10.0.0.0/8", "the whole home network 10.0.0.0/8");
    check(&mut desk, "destination 0.0.0.0/0", "the default route");
    check(&mut desk, "destination ::/0", "the default route");
    // What leaks from this host itself is another matter.
    desk.add("pair 10.0.0.1 203.0.113.1", 60, None).unwrap();
    let outcome = desk.request_block("192.0.2.1");
    assert_eq!(outcome.action, ActionTaken::Refused);
    assert!(outcome.note.unwrap().contains("never_block"));
}

#[test]
fn a_ttl_has_bounds() {
    let mut desk = Desk::blocking();
    let check = |desk: &mut Desk, ttl, expected: &str| {
        let refused = desk.add("host 10.0.0.7", ttl, None).unwrap_err();
        assert!(refused.contains(expected), "{refused}");
    };
    check(&mut desk, 0, "the ttl is 0");
    check(&mut desk, 14_401, "which is 14400 s");
    desk.enforcer.capacity = 0;
    check(&mut desk, 60, "full");
    assert_eq!(desk.state.blocks().count(), 0);
}

#[test]
fn what_is_spared_later_is_released_at_once() {
    let mut desk = Desk::blocking();
    desk.request_block("192.0.2.1");
    desk.spare(&[("192.0.2.1", ExceptionKind::Administrator)]);
    assert!(desk.in_force().is_empty());
    assert_eq!(desk.request_block("192.0.2.1").action, ActionTaken::Refused);
    desk.spare(&[]);
    assert!(desk.enforcer.exceptions.is_empty());
    assert_eq!(desk.request_block("192.0.2.1").action, ActionTaken::Blocked);
}

#[test]
fn several_sources_are_one_exception() {
    let mut desk = Desk::blocking();
    desk.spare(&[("10.0.0.1", ExceptionKind::Own), ("10.0.0.1", ExceptionKind::Gateway)]);
    assert_eq!(desk.enforcer.exceptions.len(), 1);
    assert!(!desk.enforcer.exceptions.values().next().unwrap().as_destination);
    desk.spare(&[("10.0.0.1", ExceptionKind::Own)]);
    assert!(desk.enforcer.exceptions.values().next().unwrap().as_destination);
}

#[test]
fn a_tunnel_through_a_resolver_is_for_the_resolver() {
    let mut desk = Desk::blocking();
    desk.spare(&[("10.0.0.53", ExceptionKind::Resolver)]);
    for resolver in ["10.0.0.53", "8.8.8.8"] {
        let block_request =
            BlockRequest { domain: Some("tunnel.example".into()), ..block_request(resolver) };
        let outcome = desk.respond(&block_request);
        assert_eq!(outcome.action, ActionTaken::Refused);
        assert!(outcome.note.unwrap().contains("--format rpz"));
    }
    let domains: Vec<&str> = desk.state.domains(desk.now).map(|(name, _)| name).collect();
    assert_eq!(domains, ["tunnel.example"]);
    // A server that is nobody's resolver is blocked.
    let own =
        BlockRequest { domain: Some("tunnel.example".into()), ..block_request("203.0.113.5") };
    assert_eq!(desk.respond(&own).action, ActionTaken::Blocked);
    // One that answers about other domains, too, is slowed down: names must still be looked up.
    let resolver = BlockRequest { resolves: true, ..block_request("203.0.113.6") };
    let resolver = BlockRequest { domain: Some("tunnel.example".into()), ..resolver };
    assert_eq!(desk.respond(&resolver).action, ActionTaken::Policed);
}

/// An address that nobody answered may be anybody's; one of this host's own is not.
#[test]
fn what_nobody_answers_is_not_acted_upon() {
    let mut desk = Desk::blocking();
    let request = BlockRequest { answered: false, ..block_request("192.0.2.1") };
    let outcome = desk.respond(&request);
    assert_eq!(outcome.action, ActionTaken::Refused);
    assert!(outcome.note.unwrap().contains("nobody answered 10.0.0.7"));
    desk.spare(&[("10.0.0.7", ExceptionKind::Own)]);
    assert_eq!(desk.respond(&request).action, ActionTaken::Blocked);
}

#[test]
fn unexplained_bytes_are_slowed_down() {
    let technique = Technique::UnexplainedUpload;
    let request = |dst| BlockRequest { technique, ..block_request(dst) };
    let mut desk = Desk::blocking();
    assert_eq!(desk.respond(&request("9.9.9.9")).action, ActionTaken::Refused, "a resolver");
    assert_eq!(desk.respond(&request("192.0.2.1")).action, ActionTaken::Policed);
    assert_eq!(desk.in_force(), ["pair 10.0.0.7 192.0.2.1"]);
    // Also where it names the destination to which the sender is slowed down already.
    let many = BlockRequest { all_of_sender: true, ..request("192.0.2.1") };
    assert_eq!(desk.respond(&many).action, ActionTaken::Policed);
    assert_eq!(desk.in_force(), ["pair 10.0.0.7 192.0.2.1", "host 10.0.0.7"]);
    assert_eq!(desk.respond(&many).action, ActionTaken::Policed);
    assert_eq!(desk.in_force().len(), 2);
}

#[test]
fn what_is_not_known_well_enough_is_blocked_narrowly_or_not() {
    let mut desk = Desk::blocking();
    assert_eq!(desk.request_block("1.1.1.1").action, ActionTaken::Blocked);
    assert_eq!(desk.in_force(), ["flow 6 10.0.0.7:40000 1.1.1.1:443"]);
    let outcome = desk.respond(&BlockRequest { overflow: true, ..block_request("192.0.2.1") });
    assert_eq!(outcome.action, ActionTaken::Refused);
    assert!(outcome.note.unwrap().contains("kernel.max_flows"));
}

#[test]
fn what_a_person_released_is_left_alone() {
    let mut desk = Desk::blocking();
    desk.request_block("192.0.2.1");
    let number = desk.state.find(None, Some(&"pair 192.0.2.1 10.0.0.7".parse().unwrap())).unwrap();
    let (now, enforcer) = (desk.now, &mut desk.enforcer);
    desk.state.release(&[number], ChangeKind::Released, "uid 0", None, now, enforcer).unwrap();
    assert!(desk.in_force().is_empty());
    assert_eq!(desk.request_block("192.0.2.1").action, ActionTaken::Refused);
    desk.pass(3_601 * SECOND);
    assert_eq!(desk.request_block("192.0.2.1").action, ActionTaken::Blocked);
}

/// Each change with a confirmation, and what is active in the end.
#[test]
fn what_is_not_confirmed_returns() {
    for confirmed in [true, false] {
        let mut desk = Desk::blocking();
        desk.add("host 10.0.0.8", 600, None).unwrap();
        let old = desk.state.find(None, Some(&"host 10.0.0.8".parse().unwrap())).unwrap();
        let minute = Some(Duration::from_secs(60));
        let placed = desk.add("host 10.0.0.9", 600, Some(60)).unwrap();
        assert!(placed.pending.is_some());
        let (now, enforcer) = (desk.now, &mut desk.enforcer);
        let pending = desk
            .state
            .release(&[old], ChangeKind::Released, "uid 0", minute, now, enforcer)
            .unwrap();
        assert!(pending.is_some());
        desk.state.set_mode(Mode::Simulate, "uid 0", minute, now, enforcer).unwrap();
        desk.allow("192.0.2.0/24", None, Some(60));
        // The enforcer knows when each returns, for when the agent is gone.
        assert_eq!(desk.in_force(), ["host 10.0.0.9"]);
        let later = desk.now + MINUTE;
        let ends: Vec<bool> =
            desk.enforcer.orders.values().map(|order| order.span.holds(later)).collect();
        assert_eq!(ends, [true, false]);
        assert_eq!(desk.enforcer.then, Some((later, Mode::Block)));
        assert!(!desk.enforcer.exceptions.values().next().unwrap().span.holds(later));
        if confirmed {
            let (now, enforcer) = (desk.now, &mut desk.enforcer);
            assert_eq!(desk.state.confirm(None, "uid 0", now, enforcer).unwrap().len(), 4);
        }
        desk.pass(MINUTE);
        let expected = if confirmed { "host 10.0.0.9" } else { "host 10.0.0.8" };
        assert_eq!(desk.in_force(), [expected]);
        let mode = if confirmed { Mode::Simulate } else { Mode::Block };
        assert_eq!((desk.state.mode(), desk.enforcer.mode, desk.enforcer.then), (mode, mode, None));
        assert_eq!(desk.enforcer.exceptions.len(), usize::from(confirmed));
        assert_eq!(desk.state.allowlist().entries().count(), usize::from(confirmed));
        assert_eq!(desk.state.pending().count(), 0);
    }
}

/// One block of a flush that ends by itself takes the change that waits for the others with it no
/// more, nor does another block that gets its number end with them.
#[test]
fn a_block_that_ends_leaves_the_others_waiting() {
    let mut desk = Desk::blocking();
    desk.add("host 10.0.0.8", 30, None).unwrap();
    desk.add("host 10.0.0.9", 600, None).unwrap();
    let all: Vec<EntryNumber> = desk.state.blocks().map(|(number, _)| number).collect();
    let minute = Some(Duration::from_secs(60));
    let (now, enforcer) = (desk.now, &mut desk.enforcer);
    let waits =
        desk.state.release(&all, ChangeKind::Flushed, "uid 0", minute, now, enforcer).unwrap();
    desk.pass(40 * SECOND);
    assert_eq!(desk.state.pending().map(|(id, _)| id).collect::<Vec<_>>(), [waits.unwrap()]);
    let (now, enforcer) = (desk.now, &mut desk.enforcer);
    desk.state.confirm(waits, "uid 0", now, enforcer).unwrap();
    assert_eq!(desk.state.blocks().count(), 0);
}

#[test]
fn surroundings_that_change_add_no_source_twice() {
    let mut desk = Desk::blocking();
    let configured = ("192.0.2.0/24", ExceptionKind::Allowed("c1".to_owned()));
    for administrator in ["198.51.100.1", "198.51.100.2", "198.51.100.3"] {
        desk.spare(&[configured.clone(), (administrator, ExceptionKind::Administrator)]);
        assert_eq!(desk.state.exceptions().count(), 2);
    }
}

#[test]
fn what_is_allowed_no_longer_returns_unless_confirmed() {
    for confirmed in [true, false] {
        let mut desk = Desk::blocking();
        assert_eq!(desk.allow("192.0.2.0/24", None, None).id, "o1");
        let minute = Some(Duration::from_secs(60));
        let (now, enforcer) = (desk.now, &mut desk.enforcer);
        desk.state.disallow("o1", "uid 0", minute, now, enforcer).unwrap();
        assert_eq!(desk.request_block("192.0.2.1").action, ActionTaken::Blocked);
        if confirmed {
            let (now, enforcer) = (desk.now, &mut desk.enforcer);
            desk.state.confirm(None, "uid 0", now, enforcer).unwrap();
        }
        desk.pass(MINUTE);
        assert_eq!(desk.enforcer.exceptions.len(), usize::from(!confirmed));
        let live = desk.state.allowlist().entries().filter(|entry| entry.from <= desk.now);
        assert_eq!(live.count(), usize::from(!confirmed));
    }
}

#[test]
fn an_allowed_destination_ends_its_blocks() {
    let mut desk = Desk::blocking();
    desk.request_block("192.0.2.1");
    desk.request_block("203.0.113.1");
    assert_eq!(desk.allow("192.0.2.0/24", Some(60), None).released, 1);
    let entry = Entry { destination: Some(network("203.0.113.1")), port: Some(443), ..backup() };
    let (now, enforcer) = (desk.now, &mut desk.enforcer);
    let allowed = desk.state.allow(entry, None, "uid 0", None, now, enforcer).unwrap();
    assert_eq!((allowed.id.as_str(), allowed.released), ("o2", 1));
    assert!(desk.in_force().is_empty());
    assert_eq!(desk.enforcer.exceptions.len(), 1, "one names a port, too");
    desk.pass(MINUTE);
    assert!(desk.enforcer.exceptions.is_empty());
    let ids: Vec<&str> = desk.state.allowlist().entries().map(|entry| &*entry.id).collect();
    assert_eq!(ids, ["o2"]);
    assert_eq!(
        desk.actions(),
        ["placed", "placed", "released", "allowed", "released", "allowed", "disallowed"]
    );
}

#[test]
fn a_simulated_block_becomes_real_only_by_a_new_judgement() {
    let mut desk = Desk::new(Mode::Simulate, Policy::default());
    desk.request_block("192.0.2.1");
    let (now, enforcer) = (desk.now, &mut desk.enforcer);
    desk.state.set_mode(Mode::Block, "uid 0", None, now, enforcer).unwrap();
    assert!(desk.enforcer.orders.values().all(|order| order.simulated));
    assert_eq!(desk.request_block("192.0.2.1").action, ActionTaken::Blocked);
    assert!(desk.enforcer.orders.values().all(|order| !order.simulated));
}

#[test]
fn a_stronger_action_replaces_a_weaker_one() {
    let rules = vec![ActionRule {
        technique: Some(Technique::SlowDrip),
        action: ActionKind::Police,
        bytes_per_second: Some(1_000),
        ..ActionRule::default()
    }];
    let mut desk = Desk::new(Mode::Block, Policy { rules, ..Policy::default() });
    let drip = BlockRequest { technique: Technique::SlowDrip, ..block_request("192.0.2.1") };
    assert_eq!(desk.respond(&drip).action, ActionTaken::Policed);
    assert_eq!(desk.enforcer.orders.values().next().unwrap().effect, police(1_000));
    assert_eq!(desk.request_block("192.0.2.1").action, ActionTaken::Blocked);
    assert_eq!(desk.enforcer.orders.len(), 1);
    assert_eq!(desk.respond(&drip).action, ActionTaken::Blocked);
}

#[test]
fn a_verdict_raises_a_budget_or_does_not() {
    use detector_common::policy::{Budget, BudgetKey};
    let pair = (address("10.0.0.7"), address("192.0.2.1"));
    let key = BudgetKey { home: pair.0.octets(), destination: pair.1.octets() };
    let check = |budget_verdict, spent: bool, looked_at, expected: u64| {
        let mut desk = Desk::blocking();
        let budget = Budget { limit: 65_536, charged: 65_536, ..Budget::default() };
        desk.enforcer.budgets.insert(key, budget);
        if spent {
            desk.state.budget_spent(key);
        }
        desk.state.scored(pair, looked_at, budget_verdict, &mut desk.enforcer).unwrap();
        assert_eq!(desk.enforcer.budgets[&key].limit, expected, "{budget_verdict:?} {looked_at}");
    };
    check(BudgetVerdict::Scored(0.01), true, 40_000, 262_144);
    // All of it has passed, and only a part was looked at.
    check(BudgetVerdict::Scored(0.01), false, 40_000, 65_536);
    check(BudgetVerdict::Scored(0.01), true, 10_000, 65_536);
    check(BudgetVerdict::Scored(0.3), true, 65_536, 65_536);
    check(BudgetVerdict::Flagged, true, 65_536, 65_536);
    check(BudgetVerdict::Known, false, 10, Budget::FREE);
}

#[test]
fn an_address_is_explained() {
    let mut desk = Desk::blocking();
    desk.spare(&[("10.0.0.1", ExceptionKind::Own)]);
    desk.request_block("192.0.2.1");
    let explained = desk.state.explain(address("192.0.2.1"), desk.now);
    assert_eq!(explained[0], "192.0.2.1 is blocked, in part or whole");
    assert!(explained[1].contains("pair 10.0.0.7 192.0.2.1) is active: by agent"), "{explained:?}");
    let explained = desk.state.explain(address("10.0.0.1"), desk.now);
    assert_eq!(explained[0], "10.0.0.1 is not blocked: no active block covers it");
    assert!(explained[1].contains("(10.0.0.1) exempts it: own"), "{explained:?}");
}

#[test]
fn the_allowlist_has_one_owner_and_copies() {
    let mut desk = Desk::blocking();
    desk.state.configure_allowlist(&[Entry { port: Some(22), ..backup() }]).unwrap();
    let before = Arc::clone(desk.state.allowlist());
    desk.allow("192.0.2.0/24", None, None);
    // Who scores by the former list counts all the same.
    before.entry("c1").unwrap().hit();
    let list = Arc::clone(desk.state.allowlist());
    let seen: Vec<_> = list.entries().map(|entry| (&*entry.id, entry.hits())).collect();
    assert_eq!(seen, [("c1", 1), ("o1", 0)]);
    assert_eq!(before.entries().count(), 1);
    // Nothing changes: the list is the same one.
    desk.pass(SECOND);
    assert!(Arc::ptr_eq(desk.state.allowlist(), &list));
    desk.state.configure_allowlist(&[]).unwrap();
    let kept: Vec<&str> = desk.state.entries_to_keep(desk.now).map(|entry| &*entry.id).collect();
    assert_eq!(kept, ["o1"]);
    let refused = desk.state.configure_allowlist(&[Entry::default()]).unwrap_err();
    assert!(format!("{refused:#}").contains("allow entry 1"));
}

#[test]
fn an_entry_must_leave_something_to_block() {
    let mut desk = Desk::blocking();
    let mut check = |destination: &str| {
        let entry = Entry { destination: Some(network(destination)), ..backup() };
        let (now, enforcer) = (desk.now, &mut desk.enforcer);
        let refused = desk.state.allow(entry, None, "uid 0", None, now, enforcer).unwrap_err();
        assert!(format!("{refused:#}").contains("nothing could be blocked"), "{destination}");
    };
    check("0.0.0.0/0");
    check("10.0.0.0/8");
    check("::/0");
    assert!(desk.enforcer.exceptions.is_empty());
    assert_eq!(desk.state.allowlist().entries().count(), 0);
}
