//! What befalls an interface: a bad wire, a flood, another name, another namespace, its end.

use std::time::Duration;

use detector_tests::watch::{HOME, START, Watch, number};
use detector_tests::{Background, Namespace, Veth, VethEnd, poll_until};
use serde_json::Value;

use crate::Told;
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
pub(crate) fn netem(told: &mut Told) {
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
    // The discipline counts what it throws away in buffers, which TCP makes of many packets also where
    // the device does not divide them.
    client.ip(&format!("link set dev {CLIENT} gso_max_segs 1")).unwrap();
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
    assert_eq!((gone, back), lost, "packets that did not arrive, and frames thrown away");
    assert!(lost.0 > 5, "the wire was not bad: {lost:?}");
    let again = far.sum("tcp", V4, "retransmitted_out");
    assert!(far.sum("tcp", V4, "payload_out") >= STREAM, "{}", far.text);
    assert!(near.sum("tcp", V4, "retransmitted_out") + again > 0, "{}", near.text);
    told.pass("netem: loss, delay, reordering");
}

/// The kernel's own generator floods the wire with flows of one packet, past the queues; the table is
/// full soon, and nothing is lost from sight.
pub(crate) fn pktgen(told: &mut Told) {
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
                std::fs::write(
                    format!("/proc/thread-self/net/pktgen/{file}"),
                    format!("{words}\n"),
                )
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
            let said =
                std::fs::read_to_string(format!("/proc/thread-self/net/pktgen/{CLIENT}")).unwrap();
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
    told.pass("pktgen flood");
}

/// Frames that the client's device has handed over.
fn native_sent(client: &Namespace) -> u64 {
    let text = client.ip(&format!("-j -s link show dev {CLIENT}")).unwrap();
    let links: Value = serde_json::from_str(&text).unwrap();
    number(&links[0]["stats64"]["tx"], "packets")
}

/// Three wires of one host, whose ends are called otherwise, taken elsewhere, and taken away while
/// they carry traffic.
struct Wires {
    near: Namespace,
    far: Namespace,
}

impl Wires {
    fn new() -> Self {
        let wires =
            Self { near: Namespace::new("near").unwrap(), far: Namespace::new("far").unwrap() };
        (0..3).for_each(|number| wires.join(number));
        wires
    }

    fn join(&self, number: u8) {
        let (near, far) = (format!("lan{number}"), format!("wan{number}"));
        let near = VethEnd::new(&self.near, &near).address(&format!("10.66.1{number}.10/24"));
        let far = VethEnd::new(&self.far, &far).address(&format!("{}/24", other_end(number)));
        Veth::new(near, far).create().unwrap();
    }

    /// Datagrams that nobody takes, until it is dropped.
    fn load(&self, number: u8) -> Background {
        let load = spawn(&self.near, &["drizzle", &other_end(number), "40000"]);
        load.wait_for_line("port ", START).unwrap();
        std::thread::sleep(Duration::from_millis(300));
        load
    }

    fn send(&self, number: u8) {
        traffic(&self.near, &["datagrams", &other_end(number), "25", "100"]);
    }
}

fn other_end(number: u8) -> String {
    format!("10.66.1{number}.1")
}

pub(crate) fn changes(told: &mut Told) {
    let wires = Wires::new();
    let config = "home_networks = [\"10.66.0.0/16\"]\n";
    let watch = Watch::start(&wires.near, &["lan*"], &[], config);
    let wait = |what: &str| {
        watch.process.wait_for_line(what, START).unwrap();
    };
    // By its pattern it is still meant. Some kernels rename only what is down.
    let load = wires.load(0);
    for words in ["link set lan0 down", "link set lan0 name lan7", "link set lan7 up"] {
        wires.near.ip(words).unwrap();
    }
    wait("interface lan0 was renamed to lan7");
    drop(load);
    wires.send(0);
    let status = watch.ask(&wires.near, &["status", "--format", "json"]);
    assert!(status.contains("lan7") && !status.contains("lan0"), "{status}");
    assert!(
        !watch.process.output().contains("interface lan0 is gone"),
        "{}",
        watch.process.output()
    );

    // What goes to another namespace is let go, with its programs.
    let load = wires.load(1);
    let other = Namespace::new("other").unwrap();
    wires.near.ip(&format!("link set lan1 netns {}", other.name())).unwrap();
    wait("interface lan1 is gone");
    drop(load);
    poll_until(START, || (programs(&other, "lan1") == 0).then_some(())).unwrap();

    // What is taken away and made again is watched again.
    let load = wires.load(2);
    wires.near.ip("link delete lan2").unwrap();
    wait("interface lan2 is gone");
    drop(load);
    let seen = watch.process.output().lines().count();
    wires.join(2);
    poll_until(START, || {
        let text = watch.process.output();
        text.lines().skip(seen).any(|line| line.contains("watching lan2")).then_some(())
    })
    .unwrap();
    wires.send(2);

    let report = watch.stop();
    report.assert_all_accounted();
    let last = |wire: u8| -> u64 {
        let there = other_end(wire);
        report
            .of("flow")
            .filter(|flow| flow["dst"] == there && number(flow, "payload_out") == 2_500)
            .map(|flow| number(flow, "packets_out"))
            .sum()
    };
    assert_eq!(last(0), 25, "{}", report.text);
    told.pass("interface renamed");
    assert!(report.sum("udp", &other_end(1), "packets_out") > 0, "{}", report.text);
    told.pass("interface moved away");
    assert_eq!(last(2), 25, "{}", report.text);
    told.pass("interface taken away");
}

/// Programs that are on a device of another namespace, as tools see them.
fn programs(namespace: &Namespace, device: &str) -> usize {
    let link = namespace.ip(&format!("-details link show dev {device}")).unwrap();
    let filters = ["ingress", "egress"]
        .map(|side| namespace.run("tc", ["filter", "show", "dev", device, side]).unwrap());
    link.matches("prog/xdp").count() + filters.concat().matches("direct-action").count()
}
