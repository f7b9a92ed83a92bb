//! A packet is counted once a way through the machine, whichever of its devices are watched, and twice if
//! it comes in twice: nobody hides an upload behind one packet by another interface.

use detector_tests::watch::{HOME, Watch, sink, traffic, wait_until_quiet};
use detector_tests::{Namespace, Veth, VethEnd, frames};

use super::send_frames;

const STREAM: u64 = 1_000_000;

/// A sender, a gateway whose ports are `in0` and `out0`, and a receiver; no addresses at the gateway.
struct Wire {
    sender: Namespace,
    gateway: Namespace,
    receiver: Namespace,
}

impl Wire {
    fn new() -> Self {
        let [sender, gateway, receiver] =
            ["sender", "gateway", "receiver"].map(|role| Namespace::new(role).unwrap());
        let near = VethEnd::new(&sender, "lan0").address("10.66.1.10/24");
        Veth::new(near, VethEnd::new(&gateway, "in0")).create().unwrap();
        let far = VethEnd::new(&receiver, "wan0").address("10.66.1.20/24");
        Veth::new(VethEnd::new(&gateway, "out0"), far).create().unwrap();
        Self { sender, gateway, receiver }
    }

    fn bridged() -> Self {
        let wire = Self::new();
        for change in [
            "link add br0 type bridge",
            "link set in0 master br0",
            "link set out0 master br0",
            "address add 10.66.1.1/24 dev br0",
            "link set br0 up",
        ] {
            wire.gateway.ip(change).unwrap();
        }
        wire
    }
}

#[test]
#[ignore = "needs root: run cargo xtask test"]
fn a_bridge_and_its_ports_count_once() {
    let wire = Wire::bridged();
    let _sink = sink(&wire.receiver);
    for (name, watched, by_bridge) in [
        ("the ports", &["in0", "out0"][..], false),
        ("the bridge, too", &["in0", "out0", "br0"], false),
        ("one port", &["out0"], false),
        ("the host's own", &["in0", "out0", "br0"], true),
        ("the host's own at the bridge", &["br0"], true),
    ] {
        let watch = Watch::start(&wire.gateway, watched, &[], HOME);
        let from = if by_bridge { &wire.gateway } else { &wire.sender };
        traffic(from, &["stream", "10.66.1.20", &STREAM.to_string()]);
        wait_until_quiet(&wire.receiver, "wan0");
        let report = watch.stop();
        report.assert_all_accounted();
        let again = report.sum("tcp", "10.66.1.20", "retransmitted_out");
        let counted = report.sum("tcp", "10.66.1.20", "payload_out") - again;
        assert_eq!(counted, STREAM, "{name}: {}", report.text);
    }
}

/// Ports that come while the bridge is watched take over its counting once they are watched, and give it
/// back when they go.
#[test]
#[ignore = "needs root: run cargo xtask test"]
fn who_counts_follows_the_ports() {
    let wire = Wire::bridged();
    let _sink = sink(&wire.receiver);
    let watch = Watch::start(&wire.gateway, &["br0", "out*"], &[], HOME);
    let send = || {
        traffic(&wire.gateway, &["stream", "10.66.1.20", &STREAM.to_string()]);
        wait_until_quiet(&wire.receiver, "wan0");
    };
    // The other port is not watched: what the bridge and this one have in common cannot be told.
    send();
    wire.gateway.ip("link set in0 nomaster").unwrap();
    std::thread::sleep(std::time::Duration::from_secs(2));
    send();
    let report = watch.stop();
    report.assert_all_accounted();
    // Twice, then once; a second count of a segment looks like one that was sent again.
    let counted = report.sum("tcp", "10.66.1.20", "payload_out") as f64 / STREAM as f64;
    assert!((3.0..3.2).contains(&counted), "{counted} times: {}", report.text);
}

/// One five-tuple by two interfaces: all of it counts, and a decoy by one hides nothing by the other.
#[test]
#[ignore = "needs root: run cargo xtask test"]
fn what_comes_in_by_two_interfaces_counts_twice() {
    const PACKETS: u64 = 2_000;
    let wire = Wire::new();
    let second = VethEnd::new(&wire.sender, "lan1");
    Veth::new(second, VethEnd::new(&wire.gateway, "in1")).create().unwrap();
    let frame = |payload: &[u8]| frames::udp_frame((41_000, 40_000), payload);
    let (decoy, bulk) = (frame(b"x"), frame(&[7; 1_200]));
    let watch = Watch::start(&wire.gateway, &["in0", "in1", "out0"], &[], HOME);
    for _ in 0..4 {
        send_frames(&wire.sender, "lan1", std::slice::from_ref(&decoy));
        let many = vec![bulk.clone(); PACKETS as usize / 4];
        send_frames(&wire.sender, "lan0", &many);
    }
    wait_until_quiet(&wire.sender, "lan0");
    let report = watch.stop();
    report.assert_all_accounted();
    let flows =
        report.of("flow").filter(|flow| flow["protocol"] == "udp" && flow["dst_port"] == 40_000);
    let counted: u64 = flows.map(|flow| detector_tests::watch::number(flow, "packets_out")).sum();
    assert_eq!(counted, PACKETS + 4, "{}", report.text);
}
