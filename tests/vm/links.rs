//! What befalls an interface: a bad wire, a flood, another name, another namespace, its end.

use std::time::Duration;

use detector_tests::watch::{HOME, START, Watch, number};
use detector_tests::{Background, Namespace, Veth, VethEnd, poll_until};
use serde_json::Value;

use crate::Outcome;
use crate::stage::{CLIENT, INNER, Stage, V4, spawn, traffic, watch_client};

/// Frames that the queueing discipline of a device has thrown away.
fn thrown_away(namespace: &Namespace, device: &str) -> u64 {
    let text = namespace.run("tc", ["-j", "-s", "qdisc", "show", "dev", device]).unwrap();
    let disciplines: Vec<Value> = serde_json::from_str(&text).unwrap();
    let netem = disciplines.iter().find(|each| each["kind"] == "netem");
    number(netem.unwrap_or_else(|| panic!("no netem in {text}")), "drops")
}

fn hexadecimal_address(namespace: &Namespace, device: &str) -> String {
    let text = namespace.ip(&format!("-j link show dev {device}")).unwrap();
    let links: Value = serde_json::from_str(&text).unwrap();
    links[0]["address"].as_str().unwrap().to_owned()
}

/// Packets are lost, late and out of order in both directions: each observer has what passed it, and
/// the difference is what the wire lost.
pub(crate) fn netem() -> Outcome {
    let stage = Stage::of_wire_size();
    let (client, gateway) = (stage.client(), stage.gateway());
    // No question for an address may be among what is lost.
    for (end, device, other, peer) in [
        (client, CLIENT, "10.66.1.1", hexadecimal_address(gateway, INNER)),
        (gateway, INNER, "10.66.1.10", hexadecimal_address(client, CLIENT)),
    ] {
        end.ip(&format!("neighbour replace {other} lladdr {peer} dev {device} nud permanent"))
            .unwrap();
    }
    let bad = "root netem limit 10000 delay 5ms 5ms loss 5% reorder 25%";
    for (end, device) in [(client, CLIENT), (gateway, INNER)] {
        let words = format!("qdisc add dev {device} {bad}");
        end.run("tc", words.split(' ')).unwrap();
    }
    let near = watch_client(&stage, "");
    let far = Watch::start(gateway, &[INNER], &[], HOME);
    let before = (thrown_away(client, CLIENT), thrown_away(gateway, INNER));
    const STREAM: u64 = 200_000;
    traffic(client, &["stream", V4, &STREAM.to_string()]);
    traffic(client, &["datagrams", V4, "300", "500"]);
    stage.quiet();
    let lost = (thrown_away(client, CLIENT) - before.0, thrown_away(gateway, INNER) - before.1);
    let (near, far) = (near.stop(), far.stop());
    near.assert_all_accounted();
    far.assert_all_accounted();
    let packets = |report: &detector_tests::watch::Report, field: &str| {
        ["tcp", "udp"].map(|protocol| report.sum(protocol, V4, field)).iter().sum::<u64>()
    };
    let gone = packets(&near, "packets_out") - packets(&far, "packets_out");
    let back = packets(&far, "packets_in") - packets(&near, "packets_in");
    assert_eq!((gone, back), lost, "{}\n{}", near.text, far.text);
    assert!(lost.0 > 5, "the wire was not bad: {lost:?}");
    let again = far.sum("tcp", V4, "retransmitted_out");
    assert!(far.sum("tcp", V4, "payload_out") >= STREAM, "{}", far.text);
    assert!(near.sum("tcp", V4, "retransmitted_out") + again > 0, "{}", near.text);
    Outcome::pass()
}

/// The kernel's own generator floods the wire with flows of one packet, past the queues; the table is
/// full soon, and nothing is lost from sight.
pub(crate) fn pktgen() -> Outcome {
    const FRAMES: u64 = 30_000;
    let stage = Stage::new();
    let (client, gateway) = (stage.client(), stage.gateway());
    let config = format!("{HOME}[kernel]\nmax_flows = 1024\n");
    let watch = Watch::start(gateway, &[INNER], &[], &config);
    let peer = hexadecimal_address(gateway, INNER);
    stage.quiet();
    let before = native_sent(client);
    let generated = client
        .enter(|| {
            let tell = |file: &str, words: &str| {
                std::fs::write(format!("/proc/net/pktgen/{file}"), format!("{words}\n"))
                    .unwrap_or_else(|error| panic!("pktgen {file}: {words}: {error}"));
            };
            tell("kpktgend_0", "rem_device_all");
            tell("kpktgend_0", &format!("add_device {CLIENT}"));
            for words in [
                &format!("count {FRAMES}"),
                "clone_skb 0",
                "pkt_size 128",
                "delay 0",
                "src_min 10.66.1.10",
                "src_max 10.66.1.10",
                "dst 203.0.113.200",
                &format!("dst_mac {peer}"),
                "udp_src_min 1000",
                "udp_src_max 60000",
                "flag UDPSRC_RND",
            ] {
                tell(CLIENT, words);
            }
            tell("pgctrl", "start");
            let said = std::fs::read_to_string(format!("/proc/net/pktgen/{CLIENT}")).unwrap();
            tell("kpktgend_0", "rem_device_all");
            said
        })
        .unwrap();
    assert!(generated.contains("Result: OK"), "{generated}");
    stage.quiet();
    let passed = native_sent(client) - before;
    let report = watch.stop();
    report.assert_all_accounted();
    let summary = report.summary();
    assert!(passed > FRAMES / 2, "{passed} of {FRAMES} frames passed the wire: {generated}");
    // Frames of the gateway's own are seen at the other hook.
    let seen = number(summary, "packets");
    assert!(seen >= passed && seen < passed + 50, "{seen} of {passed} seen: {summary}");
    assert!(number(summary, "overflow_bytes") > 0, "{summary}");
    Outcome::pass()
}

/// Frames that the client's device has handed over.
fn native_sent(client: &Namespace) -> u64 {
    let text = client.ip(&format!("-j -s link show dev {CLIENT}")).unwrap();
    let links: Value = serde_json::from_str(&text).unwrap();
    number(&links[0]["stats64"]["tx"], "packets")
}

/// A wire whose near end can be taken elsewhere.
struct Wire {
    near: Namespace,
    far: Namespace,
}

impl Wire {
    fn new() -> Self {
        let wire =
            Self { near: Namespace::new("near").unwrap(), far: Namespace::new("far").unwrap() };
        wire.join();
        wire
    }

    fn join(&self) {
        let near = VethEnd::new(&self.near, "lan0").address("10.66.1.10/24");
        let far = VethEnd::new(&self.far, "wan0").address("10.66.1.1/24");
        Veth::new(near, far).create().unwrap();
    }

    fn watch(&self, names: &str) -> Watch {
        let watch = Watch::start(&self.near, &[names], &[], HOME);
        watch.process.wait_for_line("watching lan0", START).unwrap();
        watch
    }

    /// Datagrams that nobody takes, without an end.
    fn load(&self) -> Background {
        let load = spawn(&self.near, &["drizzle", "10.66.1.1", "40000"]);
        load.wait_for_line("port ", START).unwrap();
        std::thread::sleep(Duration::from_millis(300));
        load
    }
}

fn sent(watch: Watch) -> u64 {
    let report = watch.stop();
    report.assert_all_accounted();
    report.sum("udp", "10.66.1.1", "packets_out")
}

/// By its pattern it is still meant: it stays watched, and nothing is counted twice or missed.
pub(crate) fn renamed() -> Outcome {
    let wire = Wire::new();
    let watch = wire.watch("lan*");
    let mut load = wire.load();
    // Some kernels rename only what is down.
    wire.near.ip("link set lan0 down").unwrap();
    wire.near.ip("link set lan0 name lan7").unwrap();
    wire.near.ip("link set lan7 up").unwrap();
    std::thread::sleep(Duration::from_millis(1_500));
    load.kill().unwrap();
    let before = native(&wire.near, "lan7");
    traffic(&wire.near, &["datagrams", "10.66.1.1", "25", "100"]);
    assert!(native(&wire.near, "lan7") >= before + 25);
    let said = watch.process.output();
    assert!(!said.contains("went away"), "{said}");
    let text = watch.ask(&wire.near, &["status", "--format", "json"]);
    assert!(text.contains("lan7") && !text.contains("lan0"), "{text}");
    let report = watch.stop();
    report.assert_all_accounted();
    let of_last: u64 = report
        .of("flow")
        .filter(|flow| flow["protocol"] == "udp" && number(flow, "payload_out") == 2_500)
        .map(|flow| number(flow, "packets_out"))
        .sum();
    assert_eq!(of_last, 25, "{}", report.text);
    Outcome::pass()
}

fn native(namespace: &Namespace, device: &str) -> u64 {
    let text = namespace.ip(&format!("-j -s link show dev {device}")).unwrap();
    let links: Value = serde_json::from_str(&text).unwrap();
    number(&links[0]["stats64"]["tx"], "packets")
}

/// What goes to another namespace is let go, with its programs.
pub(crate) fn moved() -> Outcome {
    let wire = Wire::new();
    let watch = wire.watch("lan0");
    let mut load = wire.load();
    let other = Namespace::new("other").unwrap();
    wire.near.ip(&format!("link set lan0 netns {}", other.name())).unwrap();
    watch.process.wait_for_line("lan0 went away", START).unwrap();
    load.kill().unwrap();
    let programs = || {
        let link = other.ip("-details link show dev lan0").unwrap();
        let filters = ["ingress", "egress"]
            .map(|side| other.run("tc", ["filter", "show", "dev", "lan0", side]).unwrap());
        link.matches("prog/xdp").count() + filters.concat().matches("bpf").count()
    };
    poll_until(START, || (programs() == 0).then_some(())).unwrap();
    assert!(sent(watch) > 0);
    Outcome::pass()
}

/// Taken away under traffic and made again: it is watched again.
pub(crate) fn taken_away() -> Outcome {
    let wire = Wire::new();
    let watch = wire.watch("lan0");
    let mut load = wire.load();
    wire.near.ip("link delete lan0").unwrap();
    watch.process.wait_for_line("lan0 went away", START).unwrap();
    load.kill().unwrap();
    let seen = watch.process.output().lines().count();
    wire.join();
    poll_until(START, || {
        let text = watch.process.output();
        text.lines().skip(seen).any(|line| line.contains("watching lan0")).then_some(())
    })
    .unwrap();
    traffic(&wire.near, &["datagrams", "10.66.1.1", "25", "100"]);
    assert!(sent(watch) > 25);
    Outcome::pass()
}
