//! The responder without a kernel: a dry run in its place, and a disk that can be made to hang.

use std::collections::BTreeSet;
use std::io;
use std::sync::mpsc::{Receiver, Sender, channel};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use super::peers::{Lookups, PeerScanner};
use super::writer::Disk;
use super::{Caller, Responder};
use crate::audit::Record;
use crate::config::Config;
use crate::control::{AllowKind, Answer};
use crate::flow::TimeBase;
use crate::refusal::{Refusal, RefusalKind};
use crate::response::policy_state::{Add, ExceptionKind, example};
use crate::response::{ChangeKind, DryRun, Effect, Mode, Outcome, Target};
use crate::state::{Kept, KeptAllow, KeptRelease};
use crate::timestamp::Timestamp;
use crate::verdict::ActionTaken;
use crate::verdict::allow::Entry;

const SECOND: Duration = Duration::from_secs(1);
/// Some time after the epoch.
const START: Timestamp = Timestamp::from_ns(1_000_000_000_000);
const WHO: &str = "uid 0 (root)";
/// Longer than any of this takes.
const LONG: Duration = Duration::from_secs(30);

/// What is on the disk of a test.
#[derive(Clone, Default)]
struct Written {
    records: Arc<Mutex<Vec<Record>>>,
    state: Arc<Mutex<Option<Kept>>>,
}

impl Written {
    fn actions(&self) -> Vec<&'static str> {
        self.records.lock().unwrap().iter().map(|record| record.action.name()).collect()
    }
}

/// A disk that takes a record or a state only when it is let. Without a gate it takes everything,
/// with `broken` nothing.
struct TestDisk {
    written: Written,
    gate: Option<Receiver<()>>,
    broken: bool,
}

impl TestDisk {
    fn pass(&self) -> io::Result<()> {
        if let Some(gate) = &self.gate {
            // A gate that is gone is open.
            let _open = gate.recv();
        }
        if self.broken { Err(io::ErrorKind::StorageFull.into()) } else { Ok(()) }
    }
}

impl Disk for TestDisk {
    fn append(&mut self, record: &Record) -> io::Result<()> {
        self.pass()?;
        self.written.records.lock().unwrap().push(record.clone());
        Ok(())
    }

    fn save(&mut self, state: &Kept) -> anyhow::Result<()> {
        self.pass()?;
        *self.written.state.lock().unwrap() = Some(state.clone());
        Ok(())
    }
}

const NOBODY: Lookups = Lookups {
    admin_peers: |_| Ok(BTreeSet::new()),
    own_addresses: || Ok(BTreeSet::new()),
    gateways: || Ok(BTreeSet::from([[10, 0, 0, 254].into()])),
    resolvers: |_| Ok(BTreeSet::new()),
};

/// A responder with everything around it, and a clock.
struct Desk {
    responder: Responder,
    enforcer: DryRun,
    written: Written,
    now: Timestamp,
}

impl Desk {
    fn new() -> Self {
        Self::with(None, false)
    }

    /// With a disk that waits for a word at each write.
    fn with_gate() -> (Self, Sender<()>) {
        let (open, gate) = channel();
        (Self::with(Some(gate), false), open)
    }

    fn with(gate: Option<Receiver<()>>, broken: bool) -> Self {
        let config = Config { mode: Mode::Block, ..Config::default() };
        let written = Written::default();
        let disk = TestDisk { written: written.clone(), gate, broken };
        let peers = PeerScanner::new(&config, NOBODY);
        let base = TimeBase { ticks_per_second: 1_000, tick_zero_ns: 0 };
        let mut responder = Responder::with(&config, peers, disk, base, START).unwrap();
        responder.set_home(&["10.0.0.0/8".parse().unwrap()]);
        let enforcer = DryRun::default();
        Self { responder, enforcer, written, now: START }
    }

    fn arm(&mut self, said_before: Kept) {
        self.responder.adopt_and_arm(said_before, self.now, &mut self.enforcer).unwrap();
    }

    fn caller(&self, confirm_secs: Option<u64>) -> Caller<'static> {
        let confirm = confirm_secs.map(Duration::from_secs);
        Caller { who: WHO, confirm, now: self.now }
    }

    fn add(&mut self, target: &str, confirm: Option<u64>) -> Result<Answer, Refusal> {
        let add = Add {
            target: target.parse().unwrap(),
            effect: Effect::Drop,
            simulated: false,
            ttl: Some(Duration::from_secs(600)),
            why: "a test".to_owned(),
        };
        self.responder.add_block(&add, self.caller(confirm), &mut self.enforcer)
    }

    fn remove(&mut self, target: &str, confirm: Option<u64>) -> Result<Answer, Refusal> {
        let (target, caller): (Target, _) = (target.parse().unwrap(), self.caller(confirm));
        self.responder.remove_block(None, Some(&target), caller, &mut self.enforcer)
    }

    fn allow(&mut self, destination: &str, confirm: Option<u64>) -> Result<Answer, Refusal> {
        let entry = Entry {
            destination: Some(destination.parse().unwrap()),
            reason: "a backup".to_owned(),
            ..Entry::default()
        };
        let caller = self.caller(confirm);
        self.responder.allow(entry, None, caller, &mut self.enforcer)
    }

    /// An alert about what 10.0.0.7 sends to `dst`.
    fn request_block(&mut self, dst: [u8; 4]) -> Outcome {
        let block_request = example::block_request(dst.into());
        let outcome =
            self.responder.policy.respond(&block_request, self.now, &mut self.enforcer).unwrap();
        self.responder.write();
        outcome
    }

    fn pass(&mut self, seconds: u64) {
        self.now += Duration::from_secs(seconds);
        self.responder.tick(self.now, &mut self.enforcer);
    }

    /// Targets in force, in words.
    fn in_force(&self) -> Vec<String> {
        let orders = self.enforcer.orders.values();
        let live = orders.filter(|order| order.span.holds(self.now));
        live.map(|order| order.target.to_string()).collect()
    }

    /// Asks for an answer, and hands out where it comes.
    fn answer(&mut self) -> (super::Waiting, Receiver<Option<String>>) {
        let (answer, answered) = channel();
        let waiting = self.responder.write_and_answer(move |unwritten| {
            answer.send(unwritten).unwrap();
        });
        (waiting.unwrap(), answered)
    }

    /// Waits until everything that happened so far is on disk.
    fn settle(&mut self) -> Vec<&'static str> {
        let (_, answered) = self.answer();
        assert_eq!(answered.recv_timeout(LONG), Ok(None));
        self.written.actions()
    }

    fn changes(&mut self) -> Vec<ChangeKind> {
        self.responder.take_changes().iter().map(|change| change.kind).collect()
    }
}

#[test]
fn an_alert_is_blocked_released_and_left_alone() {
    let mut desk = Desk::new();
    assert_eq!(desk.request_block([192, 0, 2, 1]).action, ActionTaken::Blocked);
    let pair = "pair 10.0.0.7 192.0.2.1";
    assert_eq!(desk.in_force(), [pair]);
    let Ok(Answer::Removed { blocks, pending: None }) = desk.remove(pair, None) else { panic!() };
    assert_eq!((blocks[0].target.to_string().as_str(), &*blocks[0].by), (pair, "agent"));
    assert!(desk.in_force().is_empty());
    assert_eq!(desk.request_block([192, 0, 2, 1]).action, ActionTaken::Refused);
    assert_eq!(desk.settle(), ["placed", "released"]);
    assert_eq!(desk.changes(), [ChangeKind::Placed, ChangeKind::Released]);
    // The release outlives a restart.
    let state = desk.written.state.lock().unwrap().clone().unwrap();
    assert_eq!((state.released.len(), &*state.released[0].destination), (1, "192.0.2.1"));
    let gone = desk.remove(pair, None).unwrap_err();
    assert_eq!(gone.kind, RefusalKind::NotFound);
}

#[test]
fn a_block_runs_out() {
    let mut desk = Desk::new();
    desk.add("host 10.0.0.9", None).unwrap();
    desk.request_block([192, 0, 2, 1]);
    desk.pass(599);
    assert_eq!(desk.in_force().len(), 2);
    desk.pass(1);
    assert!(desk.enforcer.orders.is_empty());
    assert_eq!(desk.settle(), ["placed", "placed", "expired", "expired"]);
    let end = desk.written.records.lock().unwrap()[2].clone();
    assert_eq!((end.packets, end.bytes), (Some(0), Some(0)), "with what it has dropped");
}

#[test]
fn a_change_returns_unless_it_is_confirmed() {
    for confirmed in [true, false] {
        let mut desk = Desk::new();
        let Ok(Answer::Placed { pending: Some(pending), .. }) = desk.add("host 10.0.0.9", Some(60))
        else {
            panic!("nothing waits");
        };
        let Ok(Answer::Allowed { .. }) = desk.allow("192.0.2.0/24", Some(60)) else { panic!() };
        assert!(desk.written.state.lock().unwrap().is_none(), "what may return is not kept");
        if confirmed {
            let caller = desk.caller(None);
            let answer = desk.responder.confirm(None, caller, &mut desk.enforcer).unwrap();
            let Answer::Confirmed { confirmed } = answer else { panic!() };
            assert_eq!((confirmed.len(), confirmed[0].id), (2, pending.id));
        }
        desk.pass(60);
        assert_eq!(desk.in_force().len(), usize::from(confirmed));
        assert_eq!(desk.responder.allowlist().entries().count(), usize::from(confirmed));
        let actions = desk.settle();
        let last = if confirmed { "confirmed" } else { "reverted" };
        assert_eq!(actions.iter().filter(|action| **action == last).count(), 2, "{actions:?}");
        let kept = desk.written.state.lock().unwrap().clone().unwrap_or_default();
        assert_eq!(kept.allow.len(), usize::from(confirmed));
    }
}

#[test]
fn what_is_allowed_ends_its_block_and_is_kept() {
    let mut desk = Desk::new();
    desk.request_block([192, 0, 2, 1]);
    let before = Arc::clone(desk.responder.allowlist());
    let Ok(Answer::Allowed { entry, released, pending: None }) = desk.allow("192.0.2.1", None)
    else {
        panic!("not allowed");
    };
    assert_eq!((entry.id.as_str(), entry.kind, released), ("o1", AllowKind::Operator, 1));
    assert!(desk.in_force().is_empty());
    assert!(!Arc::ptr_eq(desk.responder.allowlist(), &before), "who scores gets another list");
    assert_eq!(desk.request_block([192, 0, 2, 1]).action, ActionTaken::Refused);
    desk.settle();
    assert_eq!(desk.written.state.lock().unwrap().clone().unwrap().allow[0].id, "o1");

    let caller = desk.caller(None);
    desk.responder.disallow("o1", caller, &mut desk.enforcer).unwrap();
    assert_eq!(desk.settle(), ["placed", "released", "allowed", "disallowed"]);
    assert_eq!(desk.written.state.lock().unwrap().clone().unwrap().allow, []);
    let unknown = desk.responder.disallow("o1", caller, &mut desk.enforcer).unwrap_err();
    assert_eq!(unknown.kind, RefusalKind::NotFound);
}

#[test]
fn what_an_earlier_agent_left_is_taken_over() {
    let mut earlier = Desk::new();
    earlier.arm(Kept::default());
    earlier.request_block([192, 0, 2, 1]);
    earlier.allow("198.51.100.0/24", None).unwrap();
    earlier.settle();

    let mut desk = Desk::new();
    (desk.enforcer, desk.now) = (earlier.enforcer, START + SECOND);
    let mut said_before = earlier.written.state.lock().unwrap().clone().unwrap();
    said_before.allow.push(KeptAllow {
        id: "o2".to_owned(),
        until_ns: Some(START.ns()),
        ..said_before.allow[0].clone()
    });
    said_before.released.push(KeptRelease {
        source: "10.0.0.7".to_owned(),
        destination: "203.0.113.1".to_owned(),
        until_ns: u64::MAX,
    });
    desk.arm(said_before);
    assert_eq!(desk.in_force(), ["pair 10.0.0.7 192.0.2.1"]);
    let ids: Vec<&str> = desk.responder.allowlist().entries().map(|entry| &*entry.id).collect();
    assert_eq!(ids, ["o1"], "the time of the other is over");
    let networks = desk.responder.policy.exceptions();
    let sources: Vec<_> = networks.map(|(_, _, source)| source.kind.clone()).collect();
    assert_eq!(sources.len(), 2, "{sources:?}");
    assert!(sources.contains(&ExceptionKind::Gateway));
    assert_eq!(
        desk.request_block([203, 0, 113, 1]).action,
        ActionTaken::Refused,
        "released before"
    );
    assert_eq!(desk.request_block([192, 0, 2, 1]).note, None, "it is blocked already");
    assert_eq!(desk.enforcer.mode, Mode::Block);
    desk.pass(600);
    assert!(desk.in_force().is_empty());
}

#[test]
fn a_full_table_is_said_and_evicts_nothing() {
    let mut desk = Desk::new();
    desk.enforcer.capacity = 1;
    desk.add("host 10.0.0.9", None).unwrap();
    let refusal = desk.add("host 10.0.0.8", None).unwrap_err();
    assert!(refusal.text.contains("full"), "{refusal}");
    assert_eq!(desk.in_force(), ["host 10.0.0.9"]);
    assert_eq!(desk.settle(), ["placed"]);
}

#[test]
fn what_must_not_be_cut_off_is_not() {
    let mut desk = Desk::new();
    desk.arm(Kept::default());
    let refusal = desk.add("destination 10.0.0.254", None).unwrap_err();
    assert_eq!(refusal.kind, RefusalKind::Conflict);
    assert!(refusal.text.contains("a gateway of this host"), "{refusal}");
}

/// The disk hangs: blocks are placed, the loop continues, and the operator's answer comes when the
/// disk is back, or says that there is no record.
#[test]
fn a_disk_that_hangs_holds_nobody_up() {
    let (mut desk, open) = Desk::with_gate();
    desk.request_block([192, 0, 2, 1]);
    desk.add("host 10.0.0.9", None).unwrap();
    let (first, first_answered) = desk.answer();
    desk.remove("host 10.0.0.9", None).unwrap();
    let (_second, second_answered) = desk.answer();
    for host in 10..20 {
        desk.request_block([192, 0, 2, host]);
        desk.pass(1);
    }
    assert_eq!(desk.in_force().len(), 11);
    assert!(desk.written.actions().is_empty());
    assert!(first_answered.try_recv().is_err() && second_answered.try_recv().is_err());

    // Too late for the first: the answer says so, once.
    first.give_up();
    let unwritten = first_answered.recv_timeout(LONG).unwrap().unwrap();
    assert!(unwritten.contains("not in the audit log yet"), "{unwritten}");

    // The disk is back: the second is answered with everything on it.
    drop(open);
    assert_eq!(second_answered.recv_timeout(LONG), Ok(None));
    assert_eq!(desk.written.actions()[..3], ["placed", "placed", "released"]);
    assert!(desk.written.state.lock().unwrap().is_some());
    assert_eq!(desk.settle().len(), 13);
    first.give_up();
    assert!(first_answered.recv_timeout(LONG).is_err(), "answered twice");
    assert_eq!(desk.responder.records_lost(), 0);
}

#[test]
fn a_broken_disk_is_said_with_the_answer() {
    let mut desk = Desk::with(None, true);
    desk.add("host 10.0.0.9", None).unwrap();
    let (_, answered) = desk.answer();
    let unwritten = answered.recv_timeout(LONG).unwrap().unwrap();
    assert!(
        unwritten.starts_with("the change is active, but not in the audit log: "),
        "{unwritten}"
    );
    assert_eq!((desk.responder.records_lost(), desk.in_force().len()), (1, 1));
}
