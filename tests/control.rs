//! The commands and the socket between them and the running agent: who may ask, what it costs to
//! ask in vain, and that what a block does is told as it is.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on fails")]

use std::fs;
use std::os::unix::fs::chown;
use std::os::unix::net::UnixListener;
use std::path::{Path, PathBuf};
use std::process::Command;

use detector_tests::watch::{HOME, START, Watch, detector, sink, traffic};
use detector_tests::{Namespace, Scratch, Topology, poll_until};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use serde_json::Value;

const SERVER: &str = "203.0.113.10";

fn start(topology: &Topology) -> Watch {
    Watch::start(&topology.client, &[Topology::CLIENT_INTERFACE], &[], HOME)
}

/// The objects of an answer that has nothing else.
fn objects(watch: &Watch, namespace: &Namespace, arguments: &[&str]) -> Vec<Value> {
    let text = watch.ask(namespace, &[arguments, &["--format", "json"]].concat());
    text.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

/// The agent's socket: there is one beside its configuration.
fn socket(watch: &Watch, namespace: &Namespace) -> PathBuf {
    let command = watch.command(namespace, &[]);
    let config = Path::new(command.get_args().last().unwrap());
    let folders = fs::read_dir(config.with_file_name("run")).unwrap().flatten();
    let mut sockets = folders.map(|folder| folder.path().join("detector.sock"));
    sockets.find(|path| path.exists()).expect("a socket")
}

/// The one line in which a command fails.
fn failure(command: &mut Command) -> String {
    let output = command.output().unwrap();
    assert_eq!(output.status.code(), Some(1), "{output:?}");
    let text = String::from_utf8(output.stderr).unwrap();
    let lines: Vec<&str> = text.lines().filter(|line| line.starts_with("detector: ")).collect();
    assert_eq!(lines.len(), 1, "{text}");
    lines[0].to_owned()
}

#[test]
#[ignore = "needs root: run cargo xtask test"]
fn a_finding_names_what_it_rests_on() {
    let topology = Topology::simple().unwrap();
    let client = &topology.client;
    let watch = start(&topology);
    let verify = || {
        let lines = objects(&watch, client, &["blocks", "verify"]);
        assert_eq!(lines.len(), 1, "{lines:?}");
        lines[0].clone()
    };
    assert!(objects(&watch, client, &["blocks", "verify"]).is_empty());

    // Nothing comes by: a probe does.
    watch.ask(client, &["blocks", "add", SERVER, "--ttl", "5m", "--reason", "trial"]);
    let finding = verify();
    assert_eq!((&finding["how"], &finding["holds"]), (&"probe".into(), &true.into()), "{finding}");

    // Traffic of its own tells more than a probe.
    let _pings = client.spawn("ping", ["-i", "0.05", SERVER]).unwrap();
    let finding =
        poll_until(START, || Some(verify()).filter(|line| line["how"] == "drop counters"))
            .expect("traffic is seen");
    assert_eq!(finding["holds"], true, "{finding}");

    // What only counts holds nothing up, and is not said to.
    watch.ask(client, &["blocks", "flush"]);
    watch.ask(client, &["blocks", "add", SERVER, "--simulate"]);
    let finding = verify();
    assert_eq!(finding["holds"], Value::Null, "{finding}");
    assert!(finding["text"].as_str().unwrap().contains("counts only"), "{finding}");
}

#[test]
#[ignore = "needs root: run cargo xtask test"]
fn every_change_is_in_the_log_with_who_and_why() {
    let topology = Topology::simple().unwrap();
    let client = &topology.client;
    let watch = start(&topology);
    let _sink = sink(topology.server());
    watch.ask(client, &["mode", "simulate"]);
    watch.ask(client, &["blocks", "add", SERVER, "--ttl", "5m", "--reason", "trial"]);
    watch.refused(client, &["blocks", "add", "0.0.0.0/0"]);
    let _lost = traffic(client, &["datagrams", SERVER, "5"]);
    watch.ask(client, &["blocks", "remove", "destination", SERVER]);
    watch.ask(client, &["allow", "add", SERVER, "--reason", "backup"]);

    let records = objects(&watch, client, &["audit"]);
    let of = |action: &str| {
        let found = records.iter().find(|record| record["action"] == action);
        found.unwrap_or_else(|| panic!("no {action} in {records:?}"))
    };
    assert_eq!(of("mode")["mode"], "simulate");
    let placed = of("placed");
    assert_eq!((&placed["who"], &placed["why"]), (&"uid 0 (root)".into(), &"trial".into()));
    assert_eq!(
        (&placed["ttl_secs"], &placed["target"]),
        (&300.into(), &format!("destination {SERVER}").into())
    );
    assert!(of("refused")["why"].as_str().unwrap().contains("default route"));
    assert!(of("released")["packets"].as_u64().unwrap() >= 5, "{}", of("released"));
    assert_eq!(of("allowed")["who"], "uid 0 (root)");
    assert_eq!(objects(&watch, client, &["audit", "--limit", "1"]).len(), 1);
    assert!(objects(&watch, client, &["audit", "--since", "2100-01-01T00:00:00Z"]).is_empty());
}

#[test]
#[ignore = "needs root: run cargo xtask test"]
fn who_asks_in_vain_is_told_why_in_one_line() {
    let topology = Topology::simple().unwrap();
    let client = &topology.client;
    let scratch = Scratch::new("control").unwrap();
    let theirs = scratch.join("theirs.sock");
    // Where somebody without rights can reach it.
    let program = scratch.join("detector");
    fs::copy(detector(), &program).unwrap();
    let watch = start(&topology);
    let socket = socket(&watch, client);

    let mut stranger = client.command("setpriv");
    stranger.args(["--reuid=65534", "--regid=65534", "--clear-groups"]).arg(&program);
    stranger.args(["status", "--socket"]).arg(&socket);
    let line = failure(&mut stranger);
    assert!(line.ends_with("belongs to user root: run this as that user or root"), "{line}");

    let _listener = UnixListener::bind(&theirs).unwrap();
    chown(&theirs, Some(65_534), None).unwrap();
    let line = failure(client.command(detector()).args(["status", "--socket"]).arg(&theirs));
    assert!(line.contains("neither root nor you: refusing to trust it"), "{line}");

    let pid = Pid::from_raw(i32::try_from(watch.process.id()).unwrap());
    kill(pid, Signal::SIGSTOP).unwrap();
    let line = watch.refused(client, &["mode"]);
    assert!(
        line.ends_with("does not answer: check that it is running and not suspended"),
        "{line}"
    );
    kill(pid, Signal::SIGCONT).unwrap();

    let mut mode = watch.command(client, &["mode"]);
    let folders = watch.kill();
    assert!(socket.exists(), "a killed agent leaves its socket");
    let line = failure(&mut mode);
    assert!(line.contains("no agent runs here: start `detector run`"), "{line}");
    // The next one takes its place.
    let interfaces = [Topology::CLIENT_INTERFACE];
    let watch = Watch::start_in(folders, client, &interfaces, &[], HOME);
    assert_eq!(objects(&watch, client, &["mode"])[0]["mode"], "observe");
    watch.stop();
    assert!(!socket.exists(), "a stopped agent leaves no socket");
}
