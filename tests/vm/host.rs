//! What a host does to every process on it: a limit to its memory, a clock that is set.

use std::fs;
use std::process::Command;
use std::time::{Duration, Instant};

use detector_tests::watch::{HOME, START, Watch, detector, number};
use detector_tests::{Namespace, Scratch, run_checked};
use serde_json::Value;

use crate::Told;
use crate::stage::{CLIENT, INNER, Stage, V4, features, spawn, traffic};

const GROUP: &str = "/sys/fs/cgroup/detector";

/// A control group with a limit; processes started while it is entered stay in it.
struct Group;

impl Group {
    fn new(limit_bytes: u64) -> Self {
        fs::write("/sys/fs/cgroup/cgroup.subtree_control", "+memory").unwrap();
        fs::create_dir_all(GROUP).unwrap();
        fs::write(format!("{GROUP}/memory.max"), limit_bytes.to_string()).unwrap();
        Self
    }

    /// What is started in `start` is in the group, and this process is not any more afterwards.
    fn around<T>(&self, start: impl FnOnce() -> T) -> T {
        fs::write(format!("{GROUP}/cgroup.procs"), "0").unwrap();
        let started = start();
        fs::write("/sys/fs/cgroup/cgroup.procs", "0").unwrap();
        started
    }

    /// How often it has killed, or 0 where it does not tell.
    fn kills(&self) -> u64 {
        let events = fs::read_to_string(format!("{GROUP}/memory.events")).unwrap();
        let kills = events.lines().find_map(|line| line.strip_prefix("oom_kill "));
        kills.and_then(|count| count.parse().ok()).unwrap_or(0)
    }
}

impl Drop for Group {
    fn drop(&mut self) {
        // The last of its processes may be on its way out.
        std::thread::sleep(Duration::from_millis(200));
        fs::remove_dir(GROUP).ok();
    }
}

pub(crate) fn memory(told: &mut Told) {
    enough();
    if features().memory_by_group {
        too_little();
        return told.pass("memory limit");
    }
    told.not_here(
        "memory limit",
        "the agent's own memory is limited and that of the maps is not, which this kernel counts \
         against RLIMIT_MEMLOCK: the agent raises that",
    );
}

/// Within a limit that has room for the maps it works as without.
fn enough() {
    let stage = Stage::new();
    let group = Group::new(192 << 20);
    let config = format!("{HOME}[kernel]\nmax_flows = 16384\n");
    let watch = group.around(|| Watch::start(stage.client(), &[CLIENT], &[], &config));
    traffic(stage.client(), &["stream", V4, "300000"]);
    stage.quiet();
    assert_eq!(group.kills(), 0);
    let report = watch.stop();
    report.assert_all_accounted();
    assert!(report.sum("tcp", V4, "payload_out") >= 300_000, "{}", report.text);
}

/// Maps that do not fit are one clear line, and nothing is killed.
fn too_little() {
    let namespace = Namespace::new("small").unwrap();
    let group = Group::new(96 << 20);
    let folders = Scratch::new("small").unwrap();
    let (run, state) = (folders.join("run"), folders.join("state"));
    let text =
        format!("runtime_dir = {run:?}\nstate_dir = {state:?}\n[kernel]\nmax_flows = 262144\n");
    let config = folders.write("detector.toml", text).unwrap();
    let mut command = namespace.command(detector());
    command.args(["run", "--interface", "lo", "--config"]).arg(config);
    let output = group.around(|| command.output().unwrap());
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    assert_eq!(output.status.code(), Some(1), "{output:?}");
    assert!(said.contains("lower kernel.max_flows"), "{said}");
    assert_eq!(group.kills(), 0, "{said}");
}

/// Moves the wall clock; whoever counts by it is an hour off from then on.
fn move_clock(seconds: i64) {
    let now = run_checked(Command::new("date").arg("+%s")).unwrap();
    let then = now.trim().parse::<i64>().unwrap() + seconds;
    run_checked(Command::new("date").args(["-s", &format!("@{then}")])).unwrap();
}

/// An hour forward, two back: no flow ends by it, no block ends or stays, no rate leaps.
pub(crate) fn clock_step(told: &mut Told) {
    const TTL: Duration = Duration::from_secs(12);
    const OTHER: &str = "198.51.100.10";
    let stage = Stage::new();
    let gateway = stage.gateway();
    let watch = Watch::start(gateway, &[INNER], &[], HOME);
    let mut rain = spawn(stage.client(), &["drizzle", V4, "4000"]);
    rain.wait_for_line("port ", START).unwrap();
    stage.grows("datagrams ", START);
    assert!(stage.answers(OTHER));
    let placed = Instant::now();
    watch.ask(gateway, &["blocks", "add", "destination", OTHER, "--ttl", "12s"]);
    for seconds in [3_600, -7_200] {
        move_clock(seconds);
        assert!(!stage.answers(OTHER), "the block ended when the clock moved by {seconds} s");
        std::thread::sleep(Duration::from_millis(1_500));
    }
    let held = placed.elapsed();
    assert!(held < TTL, "too slow to tell: {held:?}");
    std::thread::sleep(TTL.saturating_sub(placed.elapsed()) + Duration::from_secs(1));
    assert!(stage.answers(OTHER), "the block did not end when its time was over");
    let ended = watch
        .process
        .output()
        .lines()
        .filter(|line| line.contains("\"type\":\"flow\"") && line.contains(V4))
        .count();
    assert_eq!(ended, 0, "a flow ended while it went on");
    move_clock(3_600);
    rain.kill().unwrap();
    let report = watch.stop();
    report.assert_all_accounted();
    let flows = report.of("flow").filter(|flow| flow["dst"] == V4 && flow["protocol"] == "udp");
    let flows: Vec<&Value> = flows.collect();
    assert_eq!(flows.len(), 1, "{}", report.text);
    assert!(number(flows[0], "packets_out") > 20, "{}", flows[0]);
    told.pass("clock moved by an hour");
}
