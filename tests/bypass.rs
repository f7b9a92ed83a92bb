//! The released program and what goes past it: a socket that its programs do not see raises an alert with
//! its process, and nothing else does. A program that is taken away is reported, and put back.
#![expect(clippy::unwrap_used, reason = "a test that cannot go on fails")]

#[path = "netns/programs.rs"]
mod programs;

use std::fs;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use detector_tests::watch::{HOME, Report, START, Watch, number, sink, traffic, wait_until_quiet};
use detector_tests::{Background, Namespace, Scratch, ServerSpec, Topology, poll_until};
use programs::programs_on;
use serde_json::Value;

const SOCKETS: &str = include_str!("bypass/sockets.py");
const TECHNIQUE: &str = "\"technique\":\"monitor_bypass\"";
const TAMPER: &str = include_str!("bypass/tamper.py");
const DEVICE: &str = Topology::CLIENT_INTERFACE;
const SERVER: &str = "203.0.113.10";
/// Within this an alert is there.
const AT_ONCE: Duration = Duration::from_secs(2);
/// Two polls, and the time that a busy machine takes.
const TWO_POLLS: Duration = Duration::from_secs(3);
/// What the script sends.
const FRAMES: u64 = 700;

fn topology() -> Topology {
    Topology::builder().server(ServerSpec::internet()).build().unwrap()
}

/// Runs a verb of the script to its end, and returns its process's number.
fn sockets(namespace: &Namespace, verb: &str) -> u32 {
    let text = namespace.run("python3", ["-c", SOCKETS, verb, DEVICE]).unwrap();
    text.trim().parse().unwrap()
}

fn alerts(report: &Report) -> Vec<&Value> {
    report.of("alert").filter(|alert| alert["technique"] == "monitor_bypass").collect()
}

#[test]
#[ignore = "needs root: run cargo xtask test"]
fn a_socket_past_the_programs_is_reported_at_once_with_its_process() {
    for (verb, past_tc, words) in
        [("bypass", FRAMES, "PACKET_QDISC_BYPASS"), ("ring", 0, "a ring of AF_XDP")]
    {
        let topology = topology();
        let client = &topology.client;
        let watch = Watch::start(client, &[DEVICE], &[], HOME);
        let far = Watch::start(&topology.gateway, &[Topology::GATEWAY_INNER], &[], HOME);
        let began = Instant::now();
        let pid = sockets(client, verb);
        watch.process.wait_for_line(TECHNIQUE, AT_ONCE).unwrap();
        assert!(began.elapsed() < AT_ONCE, "{:?}", began.elapsed());
        // Again within the minute: the alert of the day does not grow yet.
        sockets(client, verb);
        poll_until(START, || {
            let status = watch.ask(client, &["status", "--format", "json"]);
            let status: Value = serde_json::from_str(&status).unwrap();
            (status["counters"]["sockets_past_programs"] == 2).then_some(())
        })
        .unwrap();
        let audit = watch.ask(client, &["audit", "--format", "json"]);
        let (near, far) = (watch.stop(), far.stop());

        let alerts = alerts(&near);
        assert_eq!(alerts.len(), 1, "{}", near.text);
        let alert = alerts[0];
        let event = alert["monitor_event"].as_str().unwrap();
        assert!(event.starts_with(&format!("python3 (pid {pid}, uid 0) ")), "{event}");
        assert!(event.contains(words), "{event}");
        assert_eq!(alert["severity"], "high");
        assert_eq!((&alert["revision"], &alert["bytes_out"]), (&1.into(), &0.into()));
        assert!(near.text.contains(&format!("WARN {event}")), "{}", near.text);
        let bypassed: Vec<Value> = audit
            .lines()
            .map(|line| serde_json::from_str::<Value>(line).unwrap())
            .filter(|record| record["action"] == "bypassed")
            .collect();
        assert_eq!(bypassed.len(), 1, "{audit}");
        assert_eq!((&bypassed[0]["why"], &bypassed[0]["alert"]), (&event.into(), &alert["id"]));
        assert_eq!(near.summary()["counters"]["sockets_past_programs"], 2);
        // It did go past: the other end of the wire has seen frames that this one has not.
        let skipped = |report: &Report| report.summary()["skipped"]["not_ip"].as_u64().unwrap_or(0);
        assert_eq!((skipped(&near), skipped(&far)), (0, 2 * past_tc), "{verb}");
        // Of another network namespace: nothing goes past that agent.
        assert!(self::alerts(&far).is_empty(), "{}", far.text);
    }
}

#[test]
#[ignore = "needs root: run cargo xtask test"]
fn an_ordinary_socket_is_left_alone() {
    let topology = topology();
    let client = &topology.client;
    let watch = Watch::start(client, &[DEVICE], &[], HOME);
    sockets(client, "ordinary");
    // Seen by now, had it been one: the next is.
    sockets(client, "ring");
    watch.process.wait_for_line(TECHNIQUE, AT_ONCE).unwrap();
    let report = watch.stop();
    assert_eq!(report.summary()["counters"]["sockets_past_programs"], 1, "{}", report.text);
    assert_eq!(alerts(&report).len(), 1, "{}", report.text);
    assert_eq!(report.summary()["skipped"]["not_ip"], FRAMES);
}

#[test]
#[ignore = "needs root: run cargo xtask test"]
fn who_asks_without_end_is_one_alert_and_holds_up_nothing() {
    const ASKED: u64 = 100_000;
    let topology = topology();
    let client = &topology.client;
    let watch = Watch::start(client, &[DEVICE], &[], HOME);
    sockets(client, "flood");
    watch.process.wait_for_line(TECHNIQUE, AT_ONCE).unwrap();
    // It answers, and has counted each.
    poll_until(START, || {
        let status = watch.ask(client, &["status", "--format", "json"]);
        let status: Value = serde_json::from_str(&status).unwrap();
        let count = |name| number(&status["counters"], name);
        let counted = count("sockets_past_programs") + count("sockets_past_programs_not_reported");
        (counted == ASKED).then_some(())
    })
    .unwrap();
    let report = watch.stop();
    assert_eq!(alerts(&report).len(), 1, "{}", report.text);
}

/// The pins of links below a folder.
fn link_pins(folder: &Path) -> Vec<PathBuf> {
    let instances = fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path());
    let pins = instances
        .filter(|path| path.is_dir())
        .flat_map(|instance| fs::read_dir(instance).unwrap().map(|entry| entry.unwrap().path()));
    let is_link = |path: &PathBuf| path.file_name().unwrap().to_string_lossy().starts_with("link-");
    let mut pins: Vec<_> = pins.filter(is_link).collect();
    pins.sort();
    pins
}

/// Does something to a client's programs, whose pins are in a folder. Held while the rest is looked at.
type Tamper = fn(&Namespace, &Path) -> Option<Background>;

fn detach(client: &Namespace, _pins: &Path) -> Option<Background> {
    let text = client.run("python3", ["-c", TAMPER, "detach", DEVICE]).unwrap();
    assert_eq!(text.lines().count(), 2, "{text}");
    None
}

fn unpin(_client: &Namespace, pins: &Path) -> Option<Background> {
    let pins = link_pins(pins);
    assert_eq!(pins.len(), 2, "{pins:?}");
    pins.iter().for_each(|pin| fs::remove_file(pin).unwrap());
    None
}

/// With the pins of maps.
fn unpin_all(client: &Namespace, pins: &Path) -> Option<Background> {
    unpin(client, pins);
    let instances = fs::read_dir(pins).unwrap().map(|entry| entry.unwrap().path());
    for instance in instances.filter(|path| path.is_dir()) {
        fs::remove_dir_all(instance).unwrap();
    }
    None
}

fn go_first(client: &Namespace, _pins: &Path) -> Option<Background> {
    let other = client.spawn("python3", ["-c", TAMPER, "first", DEVICE, "egress"]).unwrap();
    other.wait_for_line("first", START).unwrap();
    Some(other)
}

/// The program is refused by the kernel, and nothing has happened.
fn xdp_off(client: &Namespace, _pins: &Path) -> Option<Background> {
    client.ip(&format!("link set dev {DEVICE} xdp off")).unwrap_err();
    None
}

#[test]
#[ignore = "needs root: run cargo xtask test"]
fn a_program_that_is_taken_away_is_reported_and_put_back() {
    let off = "was taken off; it is back";
    let cases: [(&str, Tamper, &[&str]); 8] = [
        ("", detach, &["XDP with fragments program on lan0 for received", off, off]),
        ("pin = false", detach, &["tcx program on lan0 for sent packets was taken", off, off]),
        ("xdp = \"tc\"", detach, &["tcx program on lan0 for received packets was taken", off, off]),
        ("xdp = \"generic\"", detach, &["generic XDP program on lan0 for received", off, off]),
        ("", unpin, &["the pin of the tcx program", "the pin of the native XDP"]),
        ("", unpin_all, &["the pin of the tcx program", "the pin of the native XDP"]),
        (
            "pin = false",
            go_first,
            &[
                "another program was put before the tcx program on lan0 for sent packets; it is back",
            ],
        ),
        ("", xdp_off, &[]),
    ];
    for (keys, tamper, expected) in cases {
        let topology = topology();
        let client = &topology.client;
        let _sink = sink(topology.server());
        let folders = Scratch::new("watch").unwrap();
        let pins = folders.join("run/bpf");
        let config = format!("{HOME}[kernel]\n{keys}\n");
        let watch = Watch::start_in(folders, client, &[DEVICE], &[], &config);
        let (before, pinned) = (programs_on(client, DEVICE), keys != "pin = false");
        let pins_before = if pinned { link_pins(&pins) } else { Vec::new() };
        let other = tamper(client, &pins);
        let back = if expected.is_empty() {
            Ok(String::new())
        } else {
            watch.process.wait_for_line("it is back", TWO_POLLS)
        };
        back.unwrap();
        poll_until(TWO_POLLS, || (programs_on(client, DEVICE).contains(&before)).then_some(()))
            .unwrap_or_else(|_| panic!("{keys:?}: {before}; {}", programs_on(client, DEVICE)));
        if pinned {
            assert_eq!(link_pins(&pins), pins_before, "{keys:?}");
        }
        const STREAM: u64 = 300_001;
        traffic(client, &["stream", SERVER, &STREAM.to_string()]);
        wait_until_quiet(client, DEVICE);
        let report = watch.stop();
        drop(other);
        report.assert_all_accounted();
        let again = report.sum("tcp", SERVER, "retransmitted_out");
        assert_eq!(report.sum("tcp", SERVER, "payload_out") - again, STREAM, "{}", report.text);
        let alerts = alerts(&report);
        let events: Vec<&str> =
            alerts.iter().map(|alert| alert["monitor_event"].as_str().unwrap()).collect();
        for words in expected {
            assert!(events.iter().any(|event| event.contains(words)), "{words}: {events:?}");
        }
        let places = if expected.len() > 1 { 2 } else { expected.len() };
        assert_eq!(events.len(), places, "{keys:?}: {events:?}");
        let counted = report.summary()["counters"]["programs_out_of_place"].as_u64();
        assert_eq!(counted.unwrap_or(0), places as u64, "{}", report.text);
    }
}

#[test]
#[ignore = "needs root: run cargo xtask test"]
fn the_program_that_sees_sockets_is_put_back_too() {
    let topology = topology();
    let client = &topology.client;
    let watch = Watch::start(client, &[DEVICE], &[], HOME);
    let status = watch.ask(client, &["status", "--format", "json"]);
    let pid = number(&serde_json::from_str(&status).unwrap(), "pid").to_string();
    let text = client.run("python3", ["-c", TAMPER, "blind", &pid]).unwrap();
    assert_eq!(text.lines().count(), 1, "{text}");
    let back = "the program that sees sockets was taken off; it is back";
    watch.process.wait_for_line(back, TWO_POLLS).unwrap();
    sockets(client, "bypass");
    watch.process.wait_for_line("PACKET_QDISC_BYPASS", AT_ONCE).unwrap();
    let report = watch.stop();
    assert_eq!(alerts(&report).len(), 2, "{}", report.text);
    assert_eq!(report.summary()["counters"]["programs_out_of_place"], 1);
}
