//! The router with real outputs: a slow one, a broken database, a file.

use std::fs::{self, File};
use std::io::Write as _;
use std::net::UdpSocket;
use std::path::Path;
use std::sync::Arc;
use std::sync::mpsc::{Receiver, Sender, channel};
use std::time::{Duration, Instant};

use super::*;
use crate::alerts::search::Filter;
use crate::notify::{Resources, Switch};
use crate::status::SinkState;
use crate::status::bus::Bus;
use crate::status::sinks::Board;
use crate::store::Store;
use crate::store::alerts::search;
use crate::store::rules::{RuleSpec, add_rule};
use crate::store::tests::Folder;
use crate::verdict::alert::example::alert;
use crate::verdict::{AlertId, Severity};

const SOON: Duration = Duration::from_secs(20);

/// Writes the ids of alerts to a file, one a line: what a new output takes.
struct AlertFile {
    file: File,
}

impl AlertFile {
    fn create(path: &Path) -> io::Result<Self> {
        Ok(Self { file: File::create(path)? })
    }
}

impl Sink for AlertFile {
    fn name(&self) -> &'static str {
        "file"
    }

    fn wants(&self) -> &'static [Kind] {
        &[Kind::Alert]
    }

    fn write(&mut self, events: &[Event], progress: &mut Progress) {
        progress.each(events, |event| {
            let Event::Alert(alert) = event else { return Ok(()) };
            Ok(writeln!(self.file, "{}", alert.id)?)
        });
    }
}

/// Takes as many events as somebody lets it, and says when it begins with some.
struct Slow {
    began: Sender<()>,
    allowed: Receiver<()>,
}

impl Sink for Slow {
    fn name(&self) -> &'static str {
        "slow"
    }

    fn wants(&self) -> &'static [Kind] {
        &[Kind::Alert, Kind::Summary]
    }

    fn queue_length(&self) -> usize {
        4
    }

    fn write(&mut self, events: &[Event], progress: &mut Progress) {
        let _nobody_waits_any_more = self.began.send(());
        progress.each(events, |_| Ok(self.allowed.recv()?));
    }
}

fn event(number: u64) -> Event {
    Event::Alert(Arc::new(Alert { id: AlertId::live(number), ..alert() }))
}

fn state(board: &Board, name: &str) -> SinkState {
    board.states().into_iter().find(|state| state.name == name).unwrap_or_default()
}

fn wait_for(mut what: impl FnMut() -> bool) {
    let start = Instant::now();
    while !what() {
        assert!(start.elapsed() < SOON, "it did not come");
        std::thread::sleep(Duration::from_millis(5));
    }
}

#[test]
fn a_slow_output_loses_only_its_own() {
    let folder = Folder::new("router-slow");
    let path = folder.0.join("alerts");
    let board = Arc::new(Board::default());
    let mut router = Router::new(Arc::clone(&board));
    let (allow, allowed) = channel();
    let (began, begins) = channel();
    router.add(Slow { began, allowed }).unwrap();
    router.add(AlertFile::create(&path).unwrap()).unwrap();
    router.give(&event(0));
    begins.recv_timeout(SOON).unwrap();
    for number in 1..100 {
        router.give(&event(number));
    }
    // One is in the writer's hands and four are in the queue; the others are gone.
    wait_for(|| state(&board, "file").sent == 100);
    let slow = state(&board, "slow");
    assert_eq!((slow.dropped, slow.queued, slow.sent), (95, 5, 0), "{slow:?}");
    (0..200).for_each(|_| allow.send(()).unwrap());
    assert!(router.finish(Summary::default()).is_empty());
    let (slow, file) = (state(&board, "slow"), state(&board, "file"));
    // The summary among them.
    assert_eq!((slow.sent + slow.dropped, slow.queued, slow.failed), (101, 0, 0));
    assert_eq!((file.sent, file.dropped, file.queued), (100, 0, 0));
    assert_eq!(fs::read_to_string(&path).unwrap().lines().count(), 100);
}

#[test]
fn a_failure_is_counted_and_returned_at_the_end() {
    let board = Arc::new(Board::default());
    let mut router = Router::new(Arc::clone(&board));
    let (allow, allowed) = channel();
    let (began, _begins) = channel();
    router.add(Slow { began, allowed }).unwrap();
    drop(allow);
    router.give(&event(1));
    let failures = router.finish(Summary::default());
    assert_eq!(failures.iter().map(|(name, _)| *name).collect::<Vec<_>>(), ["slow"]);
    let slow = state(&board, "slow");
    assert_eq!((slow.failed, slow.sent), (2, 0));
    assert!(slow.error.is_some());
}

#[test]
fn a_router_that_is_dropped_lets_its_outputs_finish() {
    let folder = Folder::new("router-dropped");
    let path = folder.0.join("alerts");
    let mut router = Router::new(Arc::default());
    router.add(AlertFile::create(&path).unwrap()).unwrap();
    (0..1_000).for_each(|number| router.give(&event(number)));
    drop(router);
    assert_eq!(fs::read_to_string(&path).unwrap().lines().count(), 1_000);
}

/// Live pages and notifications beside a store.
struct Bed {
    bus: Arc<Bus>,
    router: Router,
    notifier: Switch,
    receiver: UdpSocket,
}

impl Bed {
    fn new(store: Option<Store>, folder: &Folder) -> Self {
        let receiver = UdpSocket::bind("127.0.0.1:0").unwrap();
        receiver.set_read_timeout(Some(SOON)).unwrap();
        let address = receiver.local_addr().unwrap();
        let text = format!(
            "channels = [{{ kind = \"syslog\", name = \"log\", address = \"{address}\" }}]"
        );
        let bus = Arc::new(Bus::default());
        let resources = Resources {
            store: store.clone(),
            memory: Arc::default(),
            board: Arc::clone(bus.sinks()),
            base_url: "https://detector.example".to_owned(),
            hear: Arc::new(|| {}),
        };
        let notifier = Switch::start(resources, toml::from_str(&text).unwrap());
        let mut router = Router::new(Arc::clone(bus.sinks()));
        router.add(LivePages::new(Arc::clone(&bus))).unwrap();
        router.add(Notifications::new(notifier.clone())).unwrap();
        if let Some(store) = store {
            let confirm = notifier.clone();
            let on_stored: OnStored = Box::new(move |stored| {
                for Confirmation { id, revision } in stored {
                    revision.iter().for_each(|revision| confirm.confirm(*id, *revision));
                }
                confirm.wake();
            });
            router.add(StoreSink::new(store, folder.0.clone(), on_stored)).unwrap();
        }
        Self { bus, router, notifier, receiver }
    }

    fn message(&self) -> String {
        let mut bytes = [0; 4_096];
        let length = self.receiver.recv(&mut bytes).unwrap();
        String::from_utf8_lossy(&bytes[..length]).into_owned()
    }

    fn has_no_message(&self) -> bool {
        self.receiver.set_read_timeout(Some(Duration::from_secs(3))).unwrap();
        self.receiver.recv(&mut [0; 1]).is_err()
    }
}

fn rule(channel: &str) -> RuleSpec {
    RuleSpec {
        name: "all".into(),
        enabled: true,
        channel: channel.into(),
        group: None,
        min_severity: Severity::Low,
        techniques: Vec::new(),
        host: None,
        digest_secs: 0,
        repeat_secs: 0,
    }
}

fn stored(store: &Store) -> usize {
    store.read(|connection| search(connection, &Filter::default(), None, 10)).unwrap().rows.len()
}

#[test]
fn without_a_store_pages_move_and_messages_go_out() {
    let folder = Folder::new("router-storeless");
    let bed = Bed::new(None, &folder);
    let (mut events, _place) = bed.bus.listen().unwrap();
    bed.router.give(&event(7));
    assert!(bed.message().contains("10.0.0.7"), "the message is about another alert");
    let event = events.try_recv().unwrap();
    assert_eq!(event.name, "alert");
    assert!(event.text.contains("\"id\":\"0000000000000007\""), "{}", event.text);
    wait_for(|| state(bed.bus.sinks(), "notify log").sent == 1);
    let channel = state(bed.bus.sinks(), "notify log");
    assert!(channel.note.is_some_and(|note| note.contains("crash")));
    bed.notifier.end();
}

#[test]
fn a_store_that_takes_nothing_silences_nobody_and_nothing_is_sent_twice() {
    let folder = Folder::new("router-locked");
    let store = Store::open(&folder.database()).unwrap();
    store.write(|connection| add_rule(connection, &rule("log"))).unwrap();
    let bed = Bed::new(Some(store.clone()), &folder);
    // The rules are read before the database is taken away.
    wait_for(|| state(bed.bus.sinks(), "notify log").note.is_none());
    std::thread::sleep(Duration::from_millis(1_500));
    let lock = folder.lock();
    let (mut events, _place) = bed.bus.listen().unwrap();
    bed.router.give(&event(7));
    assert!(bed.message().contains("10.0.0.7"));
    assert_eq!(events.try_recv().unwrap().name, "alert");
    assert_eq!(stored(&store), 0);
    drop(lock);
    // The database works again: the alert is stored, and not sent once more.
    wait_for(|| stored(&store) == 1);
    assert!(bed.has_no_message());
    let known = store.read(|connection| crate::store::alerts::find(connection, AlertId::live(7)));
    assert_eq!(known.unwrap().unwrap().alert.revision, alert().revision);
    bed.notifier.end();
}

#[test]
fn with_a_store_that_works_the_outbox_sends_once() {
    let folder = Folder::new("router-stored");
    let store = Store::open(&folder.database()).unwrap();
    store.write(|connection| add_rule(connection, &rule("log"))).unwrap();
    let bed = Bed::new(Some(store.clone()), &folder);
    bed.router.give(&event(7));
    assert!(bed.message().contains("10.0.0.7"));
    assert_eq!(stored(&store), 1);
    assert!(bed.has_no_message());
    wait_for(|| state(bed.bus.sinks(), "notify log").sent == 1);
    assert_eq!(state(bed.bus.sinks(), "store").sent, 1);
    bed.notifier.end();
}
