//! Blocks, budgets and exceptions with real programs between network namespaces: what the receiver
//! counts says whether a block holds.
#![expect(clippy::unwrap_used, reason = "a test that cannot go on fails")]

#[path = "response/followed.rs"]
mod followed;
#[path = "response/programs.rs"]
mod programs;
#[path = "response/ssh.rs"]
mod ssh;

use std::time::{Duration, Instant};

use detector_tests::watch::{HOME, Report, START, TRAFFIC, Watch, sink, traffic};
use detector_tests::{Background, Namespace, ServerSpec, Topology, poll_until};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use serde_json::Value;
use ssh::Session;

const V4: &str = "203.0.113.10";
const V6: &str = "2001:db8::10";
const CLIENT_V4: &str = "10.66.1.10";
const CLIENT_V6: &str = "fd66:1::a";

/// The last number after `prefix` among the lines of a sink.
fn counted(sink: &Background, prefix: &str) -> u64 {
    let text = sink.output();
    let last = text.lines().rev().find_map(|line| line.strip_prefix(prefix)?.trim().parse().ok());
    last.unwrap_or(0)
}

/// Waits until the receiver has counted more than before.
fn grows(sink: &Background, prefix: &str, limit: Duration) -> Duration {
    let (before, started) = (counted(sink, prefix), Instant::now());
    poll_until(limit, || (counted(sink, prefix) > before).then_some(()))
        .unwrap_or_else(|error| panic!("{prefix:?} stands at {before}: {error:#}"));
    started.elapsed()
}

fn spawn(namespace: &Namespace, arguments: &[&str]) -> Background {
    namespace.spawn("python3", [&["-c", TRAFFIC], arguments].concat()).unwrap()
}

fn port(sender: &Background) -> String {
    let line = sender.wait_for_line("port ", START).unwrap();
    line.trim_start_matches("port ").to_owned()
}

fn socket(address: &str, port: &str) -> String {
    if address.contains(':') { format!("[{address}]:{port}") } else { format!("{address}:{port}") }
}

/// Every kind of block, both families, at XDP and at tc, on flows in progress and on new ones: the
/// receiver counts nothing more, and everything again once it is released.
#[test]
#[ignore = "needs root: run cargo xtask test"]
fn every_kind_of_block_holds_and_lets_go() {
    // At the gateway packets of the client come in through XDP; at the client they leave through tc.
    for at_gateway in [true, false] {
        let topology = Topology::simple().unwrap();
        let sink = sink(topology.server());
        let (place, device) = if at_gateway {
            (&topology.gateway, Topology::GATEWAY_INNER)
        } else {
            (&topology.client, Topology::CLIENT_INTERFACE)
        };
        let watch = Watch::start(place, &[device], &[], HOME);
        for (server, client, wide) in
            [(V4, CLIENT_V4, "203.0.113.0/24"), (V6, CLIENT_V6, "2001:db8::/64")]
        {
            let stream = spawn(&topology.client, &["trickle", server, "20000"]);
            let rain = spawn(&topology.client, &["drizzle", server, "20000"]);
            let (tcp, udp) = (port(&stream), port(&rain));
            let sum = format!("at {server} sum ");
            grows(&sink, &sum, START);
            grows(&sink, "datagrams ", START);
            let flow = |protocol: &str, port: &str| {
                format!("flow {protocol} {} {}", socket(client, port), socket(server, "9000"))
            };
            // At the client its own address must stay within reach: it is not a target there.
            let host = if at_gateway { format!("host {client}") } else { String::new() };
            for (target, everything) in [
                (format!("pair {client} {server}"), true),
                (format!("destination {server}"), true),
                (format!("destination {wide}"), true),
                (format!("service {}", socket(server, "9000")), true),
                (host, true),
                (flow("udp", &udp), false),
                (flow("tcp", &tcp), false),
            ] {
                if target.is_empty() {
                    continue;
                }
                let what = format!("{target} at {device}");
                watch.ask(place, &["blocks", "add", &target, "--ttl", "1m"]);
                // What was in flight arrives; then nothing.
                std::thread::sleep(Duration::from_millis(100));
                let before = (counted(&sink, &sum), counted(&sink, "datagrams "));
                let answer = traffic(&topology.client, &["call", server]);
                let said = watch.process.output();
                assert_eq!(answer.contains("no answer"), everything, "{what}: {answer}\n{said}");
                std::thread::sleep(Duration::from_millis(400));
                let after = (counted(&sink, &sum), counted(&sink, "datagrams "));
                if everything || target.starts_with("flow tcp") {
                    assert_eq!(after.0, before.0, "{what}: bytes over TCP after the block");
                }
                if everything || target.starts_with("flow udp") {
                    assert_eq!(after.1, before.1, "{what}: bytes over UDP after the block");
                }
                let list = watch.ask(place, &["blocks", "list", "--format", "json"]);
                let block: Value = serde_json::from_str(list.trim()).unwrap();
                assert!(block["packets"].as_u64().unwrap() > 0, "{what}: {block}");
                assert_eq!(block["state"], "in force", "{what}: {block}");
                watch.ask(place, &["blocks", "remove", &target]);
                let again = grows(&sink, "datagrams ", Duration::from_secs(5));
                assert!(again < Duration::from_secs(1), "{what}: it took {again:?} to come back");
                let answer = traffic(&topology.client, &["call", server]);
                assert!(answer.contains("answered"), "{what}: {answer}");
                grows(&sink, &sum, START);
            }
        }
        watch.stop().assert_all_accounted();
    }
}

/// An upload by curl is blocked as a session: a new connection to the same place is, too, and other
/// places stay within reach.
#[test]
#[ignore = "needs root: run cargo xtask test"]
fn a_theft_is_stopped_and_does_not_come_back() {
    let topology = Topology::simple().unwrap();
    let sink = sink(topology.server());
    let inner = [Topology::GATEWAY_INNER];
    let watch = Watch::start(&topology.gateway, &inner, &["--mode", "block"], HOME);
    let _theft = spawn(&topology.client, &["stream", V4, "400000000"]);
    let alert = watch.recognised();
    assert_eq!(alert["action"], "blocked", "{alert}");
    assert_eq!(alert["action_note"], format!("pair {CLIENT_V4} {V4}"), "{alert}");
    std::thread::sleep(Duration::from_millis(100));
    let sum = format!("at {V4} sum ");
    let stood = counted(&sink, &sum);
    assert!(traffic(&topology.client, &["call", V4]).contains("no answer"));
    assert!(traffic(&topology.client, &["call", "203.0.113.11"]).contains("answered"));
    assert_eq!(counted(&sink, &sum), stood, "bytes came after the verdict");
    let leaked = alert["bytes_leaked_before_block"].as_u64().unwrap();
    assert!(leaked >= stood, "{leaked} said, {stood} came");

    // A person lets it go: it is left alone, and the audit log says who and how much.
    let gateway = &topology.gateway;
    watch.ask(gateway, &["blocks", "remove", "pair", CLIENT_V4, V4]);
    grows(&sink, &sum, START);
    std::thread::sleep(Duration::from_millis(1_500));
    let list = watch.ask(gateway, &["blocks", "list", "--format", "json"]);
    assert_eq!(list.trim(), "", "blocked again after a release");
    let audit = watch.ask(gateway, &["audit", "--format", "json"]);
    let records: Vec<Value> =
        audit.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    let find = |action: &str| {
        let record = records.iter().find(|record| record["action"] == action);
        record.unwrap_or_else(|| panic!("no {action} in {audit}"))
    };
    assert_eq!(find("placed")["who"], "agent");
    assert_eq!(find("placed")["alert"], alert["id"]);
    let released = find("released");
    assert_eq!(released["who"], "uid 0 (root)");
    assert!(released["packets"].as_u64().unwrap() > 0, "{released}");
    watch.stop().assert_all_accounted();
}

/// Bytes without an explanation are slowed down: to their destination first, and all of the sender's when
/// they go elsewhere. Downloads continue.
#[test]
#[ignore = "needs root: run cargo xtask test"]
fn unexplained_bytes_are_slowed_down() {
    let internet = ServerSpec::internet();
    let topology = Topology::builder().server(internet).build().unwrap();
    let sink = sink(topology.server());
    let (client, gateway) = (&topology.client, &topology.gateway);
    // Nothing is recognised.
    let config = format!("{HOME}[model]\nthreshold = 1.0\n");
    let inner = [Topology::GATEWAY_INNER];
    let mut watch = Watch::start(gateway, &inner, &["--mode", "block"], &config);
    const LIMIT: Duration = Duration::from_secs(4);
    const LEAK: u64 = 1_000_000;
    let came = |server: &str| counted(&sink, &format!("at {server} sum "));
    let _first = spawn(client, &["stream", V4, "400000000"]);
    let line = watch.process.wait_for_line("\"type\":\"alert\"", START).unwrap();
    let alert: Value = serde_json::from_str(&line).unwrap();
    assert_eq!(alert["technique"], "unexplained_upload", "{alert}");
    assert_eq!(alert["action"], "policed", "{alert}");
    assert_eq!(alert["action_note"], format!("pair {CLIENT_V4} {V4}"), "{alert}");
    let before = came(V4);
    std::thread::sleep(LIMIT);
    assert!(came(V4) < before + LEAK, "{} bytes came after {before}", came(V4));
    let elsewhere = "203.0.113.30";
    let _second = spawn(client, &["stream", elsewhere, "400000000"]);
    let host = format!("host {CLIENT_V4}");
    poll_until(START, || {
        watch.ask(gateway, &["blocks", "list", "--format", "json"]).contains(&host).then_some(())
    })
    .unwrap();
    let before = came(elsewhere);
    std::thread::sleep(LIMIT);
    assert!(came(elsewhere) < before + LEAK, "{} bytes came after {before}", came(elsewhere));
    assert!(traffic(client, &["call", "203.0.113.31"]).contains("answered"));
    // The day continues after a restart.
    drop((_first, _second));
    watch.process.terminate().unwrap();
    assert!(watch.process.wait(START).unwrap().success());
    let said = watch.process.output();
    Report::read(&said).assert_all_accounted();
    let watch = Watch::start_in(watch.kill(), gateway, &inner, &["--mode", "block"], &config);
    let bytes = poll_until(START, || {
        let status = watch.ask(gateway, &["status", "--format", "json"]);
        let status: Value = serde_json::from_str(&status).unwrap();
        let senders = status["outbound"]["senders"].as_array().unwrap();
        let meant =
            |sender: &&Value| sender["class"] == "evidence" && sender["address"] == CLIENT_V4;
        senders.iter().find(meant).map(|sender| sender["bytes"].as_u64().unwrap())
    });
    let said = watch.process.output();
    let bytes = bytes.unwrap_or_else(|error| panic!("{error:#}\n{said}"));
    assert!(bytes > 1_900_000, "{bytes}");
    watch.stop();
}

/// In mode simulate the kernel counts what it would have dropped and lets everything pass.
#[test]
#[ignore = "needs root: run cargo xtask test"]
fn a_simulation_counts_in_the_kernel_and_drops_nothing() {
    let topology = Topology::simple().unwrap();
    let sink = sink(topology.server());
    let inner = [Topology::GATEWAY_INNER];
    let watch = Watch::start(&topology.gateway, &inner, &["--mode", "simulate"], HOME);
    const SIZE: u64 = 40_000_000;
    let mut theft = spawn(&topology.client, &["stream", V4, &SIZE.to_string()]);
    assert!(theft.wait(START).unwrap().success());
    assert_eq!(counted(&sink, "total "), SIZE);
    let list = watch.ask(&topology.gateway, &["blocks", "list", "--format", "json"]);
    let block: Value = serde_json::from_str(list.trim()).unwrap();
    assert_eq!(block["state"], "counts only");
    assert!(block["bytes"].as_u64().unwrap() > SIZE / 2, "{block}");
    let report = watch.stop();
    report.assert_all_accounted();
    assert_eq!(report.sum("tcp", V4, "dropped_out"), 0);
}

// Never locked out.

/// An operator's mistakes of every kind: each is refused and names the conflict, and the operator's
/// own session goes on.
#[test]
#[ignore = "needs root: run cargo xtask test"]
fn the_operator_is_never_locked_out() {
    let topology = Topology::simple().unwrap();
    let session = Session::open(&topology);
    let (client, gateway) = (&topology.client, &topology.gateway);
    assert!(session.lives(client));
    let config =
        format!("{HOME}[block]\nnever_block = [\"198.51.100.0/24\", \"2001:db8:5::/48\"]\n");
    let arguments = ["--mode", "block"];
    let watch = Watch::start(gateway, &[Topology::GATEWAY_INNER], &arguments, &config);
    for (mistake, expected) in [
        ("host 10.66.1.10", "10.66.1.10 is the peer of an administrative connection"),
        ("pair 10.66.1.10 203.0.113.10", "administrative connection"),
        ("pair 10.66.1.10 10.66.1.1", "never blocked"),
        ("destination 10.66.1.10", "administrative connection"),
        ("destination 10.66.1.0/24", "the whole home network 10.66.1.0/24"),
        ("destination 10.66.0.0/16", "the whole home network 10.66.1.0/24"),
        ("destination 10.66.1.1", "an address of this host"),
        ("service 10.66.1.1:22", "an address of this host"),
        ("host 10.66.1.1", "an address of this host"),
        ("flow tcp 10.66.1.10:1 10.66.1.1:22", "never blocked"),
        ("destination 198.51.100.7", "198.51.100.0/24 is in never_block"),
        ("destination 198.51.0.0/16", "198.51.100.0/24 is in never_block"),
        ("destination 2001:db8::/32", "2001:db8:5::/48 is in never_block"),
        ("destination 0.0.0.0/0", "the default route"),
        ("destination ::/0", "the default route"),
        ("destination fd66:1::/64", "the whole home network fd66:1::/64"),
        ("destination 203.0.113.1/24", "write 203.0.113.0/24"),
        ("destination 203.0.113.0/33", "at most 32"),
        ("everything", "is not a target"),
    ] {
        let refusal = watch.refused(gateway, &["blocks", "add", mistake]);
        assert!(refusal.contains(expected), "{mistake}: {refusal}");
        assert!(session.lives(client), "{mistake} cut the session off");
    }
    for (arguments, expected) in [
        (&["blocks", "add", "host", "10.66.1.9", "--ttl", "0"][..], "ttl"),
        (&["blocks", "add", "host", "10.66.1.9", "--ttl", "5h"], "which is 14400 s"),
        (&["blocks", "remove", "host", "10.66.1.9"], "there is no block of host 10.66.1.9"),
        (&["blocks", "remove", "77"], "there is no block 77"),
        (&["confirm", "5"], "no change 5 waits"),
        (&["allow", "remove", "o9"], "there is no entry o9"),
        (&["allow", "add", "0.0.0.0/0", "--reason", "x"], "nothing could be blocked"),
    ] {
        let refusal = watch.refused(gateway, arguments);
        assert!(refusal.contains(expected), "{arguments:?}: {refusal}");
    }
    let explained = watch.ask(gateway, &["explain", "10.66.1.10"]);
    assert!(explained.contains("is not blocked"), "{explained}");
    assert!(explained.contains("administrator"), "{explained}");
    assert!(session.lives(client));
    // A theft by the administrator's own host is told and not blocked.
    let _sink = sink(topology.server());
    let _theft = spawn(client, &["stream", V4, "40000000"]);
    let alert = watch.recognised();
    assert_eq!(alert["action"], "refused", "{alert}");
    assert!(alert["action_note"].as_str().unwrap().contains("administrative"), "{alert}");
    assert!(session.lives(client));
    watch.stop().assert_all_accounted();
}

/// What is not confirmed returns, also when the agent cannot do anything about it.
#[test]
#[ignore = "needs root: run cargo xtask test"]
fn what_is_not_confirmed_returns_without_the_agent() {
    let topology = Topology::simple().unwrap();
    let sink = sink(topology.server());
    let (client, gateway) = (&topology.client, &topology.gateway);
    let watch = Watch::start(gateway, &[Topology::GATEWAY_INNER], &[], HOME);
    let _rain = spawn(client, &["drizzle", V4, "20000"]);
    grows(&sink, "datagrams ", START);
    let still = |limit: u64| {
        std::thread::sleep(Duration::from_millis(100));
        let before = counted(&sink, "datagrams ");
        std::thread::sleep(Duration::from_millis(limit));
        counted(&sink, "datagrams ") == before
    };
    let agent = |signal| {
        let pids = gateway.processes().unwrap();
        for pid in pids {
            let name = std::fs::read_to_string(format!("/proc/{pid}/comm")).unwrap_or_default();
            if name.trim() == "detector" {
                kill(Pid::from_raw(pid), signal).unwrap();
            }
        }
    };
    let target = format!("destination {V4}");

    // A block that is not confirmed ends.
    watch.ask(gateway, &["blocks", "add", &target, "--confirm-within", "2s"]);
    agent(Signal::SIGSTOP);
    assert!(still(500), "the block does not hold");
    std::thread::sleep(Duration::from_secs(2));
    assert!(!still(500), "the block did not return");
    agent(Signal::SIGCONT);

    // One that is confirmed stays; its removal, not confirmed, is undone.
    watch.ask(gateway, &["blocks", "add", &target, "--confirm-within", "2s"]);
    watch.ask(gateway, &["confirm"]);
    std::thread::sleep(Duration::from_secs(2));
    assert!(still(500), "the confirmed block is gone");
    watch.ask(gateway, &["blocks", "remove", &target, "--confirm-within", "2s"]);
    agent(Signal::SIGSTOP);
    assert!(!still(500), "the block still holds");
    std::thread::sleep(Duration::from_secs(2));
    assert!(still(500), "the block did not come back");
    agent(Signal::SIGCONT);

    // An exception that is not confirmed goes, and the block it suspended is back.
    let allow = ["allow", "add", V4, "--reason", "a mistake", "--confirm-within", "2s"];
    watch.ask(gateway, &allow);
    agent(Signal::SIGSTOP);
    assert!(!still(500), "what is allowed does not pass");
    std::thread::sleep(Duration::from_secs(2));
    assert!(still(500), "the exception did not go");
    agent(Signal::SIGCONT);

    let mode = |expected: &str| {
        let state = watch.ask(gateway, &["mode", "--format", "json"]);
        assert!(state.contains(&format!("\"mode\":\"{expected}\"")), "{state}");
    };
    watch.ask(gateway, &["mode", "block", "--confirm-within", "2s"]);
    mode("block");
    poll_until(START, || {
        let state = watch.ask(gateway, &["mode", "--format", "json"]);
        state.contains("\"mode\":\"observe\"").then_some(())
    })
    .unwrap();
    watch.ask(gateway, &["mode", "simulate", "--confirm-within", "2s"]);
    watch.ask(gateway, &["confirm"]);
    std::thread::sleep(Duration::from_secs(3));
    mode("simulate");
    watch.stop().assert_all_accounted();
}

// Budgets.

/// What each connection pattern may send at most: the budget, as payload.
const BUDGET: u64 = 65_536;
/// Rate in bytes a second, connections, and the address that stands for the case.
const PATTERNS: [(&str, &str, &str); 4] = [
    ("1000000000", "1", "203.0.113.21"),
    ("1000000000", "20", "203.0.113.22"),
    ("1000", "1", "203.0.113.23"),
    ("1000", "20", "203.0.113.24"),
];

#[derive(Clone, Copy, Debug, PartialEq)]
enum AgentIs {
    Running,
    Stopped,
    Killed,
}

/// The receiver never gets more than the budget, at any rate, over one connection and over many, with
/// the agent there or not.
#[test]
#[ignore = "needs root: run cargo xtask test"]
fn a_budget_is_never_exceeded() {
    std::thread::scope(|scope| {
        for agent in [AgentIs::Running, AgentIs::Stopped, AgentIs::Killed] {
            scope.spawn(move || budgets_hold(agent));
        }
    });
}

fn budgets_hold(agent: AgentIs) {
    let topology = Topology::simple().unwrap();
    let sink = sink(topology.server());
    let (client, gateway) = (&topology.client, &topology.gateway);
    // No verdict raises a budget here, and nobody is given up on.
    let config = format!(
        "{HOME}[budget]\nbytes = {BUDGET}\nraise_below = 0.0\nhold_secs = 600\n[block]\n\
         action = \"observe\"\n"
    );
    let mut watch =
        Watch::start(gateway, &[Topology::GATEWAY_INNER], &["--mode", "block"], &config);
    if agent == AgentIs::Stopped {
        for pid in gateway.processes().unwrap() {
            kill(Pid::from_raw(pid), Signal::SIGSTOP).unwrap();
        }
    } else if agent == AgentIs::Killed {
        watch.process.kill().unwrap();
    }
    let _senders: Vec<Background> = PATTERNS
        .iter()
        .map(|(rate, connections, server)| spawn(client, &["trickle", server, rate, connections]))
        .collect();
    for (rate, connections, server) in PATTERNS {
        let sum = format!("at {server} sum ");
        let what = format!("{agent:?}, {rate} B/s over {connections}");
        // At 1 kB/s it takes 66 seconds to spend it.
        poll_until(Duration::from_secs(150), || {
            (counted(&sink, &sum) > BUDGET - 2_000).then_some(())
        })
        .unwrap_or_else(|error| panic!("{what}: {} came: {error:#}", counted(&sink, &sum)));
    }
    std::thread::sleep(Duration::from_secs(3));
    for (rate, connections, server) in PATTERNS {
        let came = counted(&sink, &format!("at {server} sum "));
        assert!(came <= BUDGET, "{agent:?}, {rate} B/s over {connections}: {came} bytes came");
    }
    if agent == AgentIs::Killed {
        watch.ask(gateway, &["detach"]);
        return;
    }
    if agent == AgentIs::Stopped {
        for pid in gateway.processes().unwrap() {
            kill(Pid::from_raw(pid), Signal::SIGCONT).unwrap();
        }
    }
    // A person gives one of them more; a new connection does not wait for TCP to try again.
    let server = PATTERNS[0].2;
    watch.ask(gateway, &["budgets", "raise", CLIENT_V4, server]);
    let mut more = spawn(client, &["stream", server, "1000000"]);
    assert!(more.wait(START).unwrap().success(), "{agent:?}: the raised budget holds back");
    watch.stop().assert_all_accounted();
}

/// Where no verdict comes, everything passes after a while, whether or not the agent is there.
#[test]
#[ignore = "needs root: run cargo xtask test"]
fn a_budget_without_a_verdict_fails_open() {
    let topology = Topology::simple().unwrap();
    let sink = sink(topology.server());
    let (client, gateway) = (&topology.client, &topology.gateway);
    let config = format!(
        "{HOME}[budget]\nbytes = {BUDGET}\nraise_below = 0.0\nhold_secs = 3\n[block]\n\
         action = \"observe\"\n"
    );
    let mut watch =
        Watch::start(gateway, &[Topology::GATEWAY_INNER], &["--mode", "block"], &config);
    watch.process.kill().unwrap();
    let _rain = spawn(client, &["drizzle", V4, "200000"]);
    poll_until(START, || (counted(&sink, "datagrams ") > BUDGET - 300).then_some(())).unwrap();
    std::thread::sleep(Duration::from_secs(1));
    assert!(counted(&sink, "datagrams ") <= BUDGET);
    poll_until(START, || (counted(&sink, "datagrams ") > 2 * BUDGET).then_some(())).unwrap();
    watch.ask(gateway, &["detach"]);
}

/// An ordinary transfer with budgets goes on: each verdict raises what it may send.
#[test]
#[ignore = "needs root: run cargo xtask test"]
fn a_verdict_raises_the_budget_of_what_is_ordinary() {
    let internet = ServerSpec::internet();
    let topology = Topology::builder().server(internet).build().unwrap();
    let _sink = sink(topology.server());
    let (client, gateway) = (&topology.client, &topology.gateway);
    let config = format!(
        "{HOME}allow = [{{ destination = \"203.0.113.30\", port = 9000, reason = \"a backup\" }}]\n\
         [budget]\nbytes = {BUDGET}\nhold_secs = 600\n"
    );
    let watch = Watch::start(gateway, &[Topology::GATEWAY_INNER], &["--mode", "block"], &config);
    let mut backup = spawn(client, &["stream", "203.0.113.30", "20000000"]);
    assert!(backup.wait(START).unwrap().success(), "an allowed upload was held");
    let budgets = watch.ask(gateway, &["budgets", "list", "--format", "json"]);
    let budget: Value = serde_json::from_str(budgets.trim()).unwrap();
    assert_eq!(budget["state"], "free", "{budget}");
    watch.stop().assert_all_accounted();
}
