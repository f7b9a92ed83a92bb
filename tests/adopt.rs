//! What outlives the agent: blocks that hold and end without it, counters and flows that the next
//! one goes on with, and that all of it can be taken off.
#![expect(clippy::unwrap_used, reason = "a test that cannot go on fails")]

#[path = "netns/programs.rs"]
mod programs;

use std::fs;
use std::path::PathBuf;
use std::process::{Command, Output};
use std::time::{Duration, Instant};

use detector_tests::watch::{
    HOME, Report, START, TRAFFIC, Watch, detector, number, sink, traffic, wait_until_quiet,
};
use detector_tests::{Background, Namespace, Scratch, Topology, poll_until, run_checked};
use programs::programs_on;

const SERVER: &str = "203.0.113.10";
const DEVICE: &str = Topology::CLIENT_INTERFACE;

/// Where the agents of one test pin.
struct Ground(PathBuf);

impl Ground {
    /// With the folders of a first agent.
    fn new() -> (Self, Scratch) {
        let folders = Scratch::new("watch").unwrap();
        (Self(folders.join("run/bpf")), folders)
    }

    /// The pins of the one instance there is; none where there is none.
    fn pins(&self) -> Option<PathBuf> {
        let folders = fs::read_dir(&self.0).unwrap().map(|entry| entry.unwrap().path());
        let mut instances: Vec<PathBuf> = folders.filter(|path| path.is_dir()).collect();
        assert!(instances.len() <= 1, "{instances:?}");
        instances.pop()
    }
}

fn start(folders: Scratch, namespace: &Namespace, arguments: &[&str]) -> Watch {
    Watch::start_in(folders, namespace, &[DEVICE], arguments, HOME)
}

/// Stops it as a service manager does; what it pinned can be looked at then.
fn ended(mut watch: Watch) -> (Report, Scratch) {
    watch.process.terminate().unwrap();
    let status = watch.process.wait(START).unwrap();
    let text = watch.process.output();
    assert!(status.success(), "{status}: {text}");
    (Report::read(&text), watch.kill())
}

/// A command about an agent that has ended.
fn command(namespace: &Namespace, folders: &Scratch, verb: &str) -> Command {
    let mut command = namespace.command(detector());
    command.arg(verb).arg("--config").arg(folders.join("detector.toml"));
    command
}

fn refused(output: &Output, expected: &[&str]) {
    let text = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(1), "{text}");
    let errors: Vec<&str> = text.lines().filter(|line| line.starts_with("detector: ")).collect();
    assert_eq!(errors.len(), 1, "{text}");
    for part in expected {
        assert!(errors[0].contains(part), "no {part:?} in {text}");
    }
}

fn answers(topology: &Topology) -> bool {
    traffic(&topology.client, &["call", SERVER]).contains("answered")
}

/// A block holds until its time is over, also with nobody there, and not much longer.
fn ends_by_itself(topology: &Topology, placed: Instant, ttl: Duration) {
    assert!(!answers(topology), "the block does not hold");
    assert!(placed.elapsed() < ttl, "too slow to tell");
    poll_until(ttl * 3, || answers(topology).then_some(())).unwrap();
    let held = placed.elapsed();
    assert!(held >= ttl, "it ended after {held:?}");
}

#[test]
#[ignore = "needs root: run cargo xtask test"]
fn a_killed_agents_blocks_hold_and_end_by_themselves() {
    const TTL: Duration = Duration::from_secs(6);
    let (ground, folders) = Ground::new();
    let topology = Topology::simple().unwrap();
    let client = &topology.client;
    let _sink = sink(topology.server());
    let watch = start(folders, client, &["--mode", "block"]);
    assert!(answers(&topology));
    let placed = Instant::now();
    watch.ask(client, &["blocks", "add", &format!("destination {SERVER}"), "--ttl", "6s"]);
    assert!(!answers(&topology));
    let folders = watch.kill();
    let attached = programs_on(client, DEVICE);
    assert!(attached.contains("xdp") && attached.contains("tc_egress"), "{attached}");
    ends_by_itself(&topology, placed, TTL);

    // A start that takes nothing over finds a clean place, and leaves one.
    let watch = start(folders, client, &[]);
    let said = watch.process.output();
    assert!(said.contains("removed 2 links and 1 block of an earlier run"), "{said}");
    assert_eq!(watch.ask(client, &["blocks", "list", "--format", "json"]), "");
    assert!(answers(&topology));
    let (report, _folders) = ended(watch);
    report.assert_all_accounted();
    assert_eq!(programs_on(client, DEVICE), "");
    assert_eq!(ground.pins(), None);
}

#[test]
#[ignore = "needs root: run cargo xtask test"]
fn blocks_can_be_left_to_run_out() {
    const TTL: Duration = Duration::from_secs(8);
    let (ground, folders) = Ground::new();
    let topology = Topology::simple().unwrap();
    let client = &topology.client;
    let _sink = sink(topology.server());
    let watch = start(folders, client, &["--keep-enforcing"]);
    let placed = Instant::now();
    watch.ask(client, &["blocks", "add", &format!("destination {SERVER}"), "--ttl", "8s"]);
    let (_, folders) = ended(watch);
    ends_by_itself(&topology, placed, TTL);
    assert_ne!(programs_on(client, DEVICE), "");
    let said = run_checked(&mut command(client, &folders, "detach")).unwrap();
    assert_eq!(said, "removed 2 programs and 1 block\n");
    assert_eq!(programs_on(client, DEVICE), "");
    assert_eq!(ground.pins(), None);
    let said = run_checked(&mut command(client, &folders, "detach")).unwrap();
    assert_eq!(said, "nothing to remove: no program was attached\n");
}

fn spawn(namespace: &Namespace, arguments: &[&str]) -> Background {
    namespace.spawn("python3", [&["-c", TRAFFIC], arguments].concat()).unwrap()
}

/// An agent is killed under load, twice, and the next takes over: what the last one has counted is
/// what the other end of the wire has.
#[test]
#[ignore = "needs root: run cargo xtask test"]
fn a_restart_under_load_loses_no_byte_and_no_block() {
    let (_ground, folders) = Ground::new();
    let topology = Topology::simple().unwrap();
    let client = &topology.client;
    let _sink = sink(topology.server());
    let mut watch = start(folders, client, &["--mode", "block"]);
    // The peer's own hook sees each frame of the wire.
    let far = Watch::start(&topology.gateway, &[Topology::GATEWAY_INNER], &[], HOME);
    watch.ask(client, &["blocks", "add", "destination 198.51.100.10", "--ttl", "10m"]);
    for network in ["203.0.113.0/24", "2001:db8::/32"] {
        watch.ask(client, &["allow", "add", network, "--reason", "load", "--ttl", "10m"]);
    }
    let mut load = [
        spawn(client, &["trickle", SERVER, "20000000", "4"]),
        spawn(client, &["drizzle", "2001:db8::10", "200000"]),
    ];
    let refused_by_block = || {
        let sent = traffic(client, &["call", "198.51.100.10"]);
        assert!(sent.contains("no answer"), "{sent}");
    };
    for _ in 0..2 {
        std::thread::sleep(Duration::from_millis(700));
        let folders = watch.kill();
        refused_by_block();
        watch = start(folders, client, &["--mode", "block", "--adopt"]);
        refused_by_block();
        let blocks = watch.ask(client, &["blocks", "list", "--format", "json"]);
        assert!(blocks.contains("destination 198.51.100.10"), "{blocks}");
    }
    std::thread::sleep(Duration::from_millis(700));
    for sender in &mut load {
        sender.kill().unwrap();
    }
    wait_until_quiet(client, DEVICE);
    let (near, far) = (watch.stop(), far.stop());
    near.assert_all_accounted();
    far.assert_all_accounted();
    let blocked = |line: &String| line.contains("198.51.100.10");
    let (mut near_flows, mut far_flows) = (near.agreed(), far.agreed());
    // What was dropped on its way out never came to the wire.
    near_flows.retain(|line| !blocked(line));
    far_flows.retain(|line| !blocked(line));
    assert_eq!(far_flows, near_flows, "{}\n{}", near.text, far.text);
    assert!(near.sum("tcp", SERVER, "payload_out") > 20_000_000, "{}", near.text);
    assert!(near.sum("tcp", "198.51.100.10", "dropped_out") > 0, "{}", near.text);
    assert!(number(near.summary(), "packets") > 10_000, "{}", near.summary());
}

#[test]
#[ignore = "needs root: run cargo xtask test"]
fn what_cannot_be_taken_over_is_one_clear_line() {
    let (ground, folders) = Ground::new();
    let topology = Topology::simple().unwrap();
    let client = &topology.client;
    let adopt = |folders: &Scratch| {
        command(client, folders, "run").args(["--adopt", "--interface", DEVICE]).output().unwrap()
    };

    // With nothing there it starts afresh.
    let watch = start(folders, client, &["--adopt"]);
    assert!(watch.process.output().contains("an earlier run left nothing"));
    watch.ask(client, &["blocks", "add", &format!("destination {SERVER}"), "--ttl", "10m"]);
    one_at_a_time(client, &watch);
    let folders = watch.kill();

    let pins = ground.pins().unwrap();
    let marker = |version: u32| pins.join(format!("abi-{version}"));
    let version = (1..100).find(|version| marker(*version).exists()).unwrap();
    fs::remove_dir(marker(version)).unwrap();
    fs::create_dir(marker(version - 1)).unwrap();
    let text = format!("has ABI version {}", version - 1);
    refused(&adopt(&folders), &[&text, "`detector detach`, which ends 1 block"]);
    fs::remove_dir(marker(version - 1)).unwrap();
    fs::create_dir(marker(version)).unwrap();

    let config = folders.join("detector.toml");
    let usual = fs::read_to_string(&config).unwrap();
    fs::write(&config, format!("{usual}[kernel]\nmax_flows = 1024\n")).unwrap();
    let parts = ["FLOWS holds 262144 entries, and kernel.max_flows is 1024", "`detector detach`"];
    refused(&adopt(&folders), &parts);
    fs::write(&config, format!("{usual}[kernel]\npin = false\n")).unwrap();
    refused(&adopt(&folders), &["--adopt needs kernel.pin = true"]);
    fs::write(&config, usual).unwrap();
    assert!(!answers(&topology), "what was refused was left as it was");
    assert_ne!(programs_on(client, DEVICE), "");

    // Killed while it was made: nothing to go on with.
    fs::remove_dir(marker(version)).unwrap();
    let watch = start(folders, client, &["--adopt"]);
    let said = watch.process.output();
    assert!(said.contains("an earlier run left nothing"), "{said}");
    let (_, _folders) = ended(watch);
    assert_eq!(programs_on(client, DEVICE), "");
    assert_eq!(ground.pins(), None);
}

/// While one agent runs no other does in the same place, and nobody takes its programs away.
fn one_at_a_time(client: &Namespace, watch: &Watch) {
    let pid = watch.process.id();
    let run = |interface: &str| {
        watch.command(client, &["run", "--interface", interface]).output().unwrap()
    };
    refused(&run(DEVICE), &["another agent watches lan0"]);
    refused(&run("lo"), &[&format!("another agent (pid {pid}) runs here"), "runtime_dir"]);
    let detach = watch.command(client, &["detach"]).output().unwrap();
    refused(&detach, &[&format!("an agent (pid {pid}) runs here")]);
    assert_ne!(programs_on(client, DEVICE), "");
}

/// What an agent in a namespace left that is gone is removed by the next start anywhere.
#[test]
#[ignore = "needs root: run cargo xtask test"]
fn pins_of_namespaces_that_are_gone_are_swept() {
    let (ground, folders) = Ground::new();
    let gone = Topology::simple().unwrap();
    let folders = start(folders, &gone.client, &[]).kill();
    let left = ground.pins().unwrap();
    drop(gone);
    assert!(left.exists());
    let topology = Topology::simple().unwrap();
    // Interfaces of a namespace go some time after its last process.
    poll_until(START, || {
        run_checked(&mut command(&topology.client, &folders, "detach")).unwrap();
        (!left.exists()).then_some(())
    })
    .unwrap();
}
