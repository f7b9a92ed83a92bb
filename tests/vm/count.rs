//! What the hooks tell: events as they happen, totals that agree with the kernel's own counters, and
//! flows under every kind of header.

use std::time::{Duration, Instant};

use detector::config::Config;
use detector::source::kernel::interfaces::Selection;
use detector::source::kernel::{KernelEvent, KernelSource, Start};
use detector_tests::watch::{HOME, Report, Watch, number};
use detector_tests::{Namespace, Scratch};
use serde_json::Value;

use crate::Told;
use crate::stage::{
    CLIENT, INNER, Stage, V4, V6, add_device, assert_stream, features, how, sink, traffic,
};

/// The first bytes of a flow and its checkpoints come by themselves, without any map being read.
pub(crate) fn events(told: &mut Told) {
    let stage = Stage::new();
    let folders = Scratch::new("events").unwrap();
    let config = Config {
        runtime_dir: folders.join("run"),
        interfaces: vec![CLIENT.to_owned()],
        ..Config::default()
    };
    let (checkpoints, heads) = stage
        .client()
        .enter(|| {
            let selection = Selection::new(&config.interfaces).unwrap();
            let mut kernel = KernelSource::load(&config, selection, Start::Fresh).unwrap();
            kernel.rescan().unwrap();
            kernel.check_attached().unwrap();
            traffic(stage.client(), &["stream", V4, "100000"]);
            let (mut checkpoints, mut heads) = (0, 0);
            let limit = Instant::now() + Duration::from_secs(10);
            while (checkpoints < 2 || heads < 1) && Instant::now() < limit {
                match kernel.next_event() {
                    Some(KernelEvent::Checkpoint(_)) => checkpoints += 1,
                    Some(KernelEvent::FirstPayload(_)) => heads += 1,
                    Some(_) => {}
                    None => std::thread::sleep(Duration::from_millis(10)),
                }
            }
            let accounting = kernel.accounting().unwrap();
            assert_eq!(accounting.totals.events_lost, 0);
            assert_eq!(kernel.records_unknown(), 0);
            (checkpoints, heads)
        })
        .unwrap();
    assert!(checkpoints >= 2 && heads >= 1, "{checkpoints} checkpoints, {heads} heads");
    told.pass("events");
}

/// Frames and bytes that a device has sent, as the kernel itself counts them.
fn sent(namespace: &Namespace, device: &str) -> (u64, u64) {
    let text = namespace.ip(&format!("-j -s link show dev {device}")).unwrap();
    let links: Value = serde_json::from_str(&text).unwrap();
    let sent = &links[0]["stats64"]["tx"];
    (number(sent, "packets"), number(sent, "bytes"))
}

/// Has nobody asked, for an hour, whether a neighbour is still there.
fn ask_no_neighbour(namespace: &Namespace, device: &str) {
    if namespace.ip(&format!("link show dev {device}")).is_err() {
        return;
    }
    for family in ["ipv4", "ipv6"] {
        let neighbours = format!("net.{family}.neigh.{device}");
        namespace.sysctl(&format!("{neighbours}.base_reachable_time_ms"), "3600000").unwrap();
        namespace.sysctl(&format!("{neighbours}.delay_first_probe_time"), "3600").unwrap();
    }
}

/// Streams and large datagrams of both families with the hooks' totals held against the kernel's own
/// counters at both ends of a wire on which each frame is one. Towards a device with native XDP veth
/// counts a frame without its Ethernet header of 14 bytes: `left_out`.
fn exact(stage: &Stage, xdp: &str, left_out: u64) -> (String, Report) {
    let (client, gateway) = (stage.client(), stage.gateway());
    let counters = || (sent(client, CLIENT), sent(gateway, INNER));
    for (end, device) in [(client, CLIENT), (gateway, INNER)] {
        for device in [device, "tag0", "tunnel0"] {
            ask_no_neighbour(end, device);
        }
    }
    // All the same somebody may speak by himself while programs are put on or taken off.
    for _ in 0..3 {
        stage.quiet();
        let before = counters();
        let config = format!("{HOME}[kernel]\nxdp = \"{xdp}\"\n[decapsulation]\nvxlan = true\n");
        let watch = Watch::start(client, &[CLIENT], &[], &config);
        let how = how(&watch, CLIENT);
        let attached = counters();
        for server in [V4, V6] {
            traffic(client, &["stream", server, "100000"]);
            // Larger than the wire takes: in fragments.
            traffic(client, &["datagrams", server, "20", "4000"]);
        }
        for server in [TAGGED, TUNNELLED] {
            if stage.reaches(server) {
                traffic(client, &["stream", server, "50000"]);
            }
        }
        stage.quiet();
        let after = counters();
        let report = watch.stop();
        if attached != before || counters() != after {
            continue;
        }
        let ((near_frames, near_bytes), (far_frames, far_bytes)) = after;
        let far = far_frames - before.1.0;
        let frames = near_frames - before.0.0 + far;
        let bytes = near_bytes - before.0.1 + far_bytes - before.1.1 + left_out * far;
        report.assert_all_accounted();
        let summary = report.summary();
        let counted = (number(summary, "packets"), number(summary, "bytes"));
        assert_eq!(counted, (frames, bytes), "{how}: {summary}");
        return (how, report);
    }
    panic!("the wire was never quiet");
}

const TAGGED: &str = "198.51.100.201";
const TUNNELLED: &str = "198.51.100.202";

/// Tags go in the frames, where the kernel's own counters count them, too.
fn stage_with_tags() -> Stage {
    let stage = Stage::of_wire_size();
    for (end, device) in [(stage.client(), CLIENT), (stage.gateway(), INNER)] {
        end.run("ethtool", ["-K", device, "txvlan", "off", "rxvlan", "off"]).unwrap();
    }
    stage
}

/// Native XDP, and everything that passes it.
pub(crate) fn native(told: &mut Told) {
    let stage = stage_with_tags();
    let tag = |device: &str| format!("link {device} name tag0 type vlan id 7");
    let tagged = beyond(&stage, "tag0", TAGGED, [&tag(CLIENT), &tag(INNER)]);
    let tunnel = |there: &str, device: &str| {
        format!("tunnel0 type vxlan id 7 remote {there} dstport 4789 dev {device}")
    };
    let words = [tunnel("10.66.1.1", CLIENT), tunnel("10.66.1.10", INNER)];
    let opened = beyond(&stage, "tunnel0", TUNNELLED, words.each_ref());
    let _sink = sink(stage.gateway());
    let (how, report) = exact(&stage, "native", 14);
    assert!(how.starts_with("ingress native XDP"), "{how}");
    told.pass("XDP native");
    told.pass("accounting");
    assert_stream(&report, V4, 100_000);
    assert_stream(&report, V6, 100_000);
    assert_eq!(report.sum("udp", V6, "payload_out"), 80_000, "{}", report.text);
    told.pass("IPv6");
    for (made, server, capability) in
        [(tagged, TAGGED, "VLAN"), (opened, TUNNELLED, "VXLAN opened")]
    {
        match made {
            Ok(()) => {
                assert_stream(&report, server, 50_000);
                told.pass(capability);
            }
            Err(why) => told.not_here(capability, &why),
        }
    }
}

/// The same at tc in both directions.
pub(crate) fn at_tc(told: &mut Told) {
    let stage = stage_with_tags();
    let tag = |device: &str| format!("link {device} name tag0 type vlan id 7");
    let tagged = beyond(&stage, "tag0", TAGGED, [&tag(CLIENT), &tag(INNER)]);
    let _sink = sink(stage.gateway());
    let (how, report) = exact(&stage, "tc", 0);
    let way = if features().tcx { "tcx" } else { "tc clsact" };
    assert_eq!(how, format!("ingress {way}, egress {way}"));
    told.pass_as("tc", way.trim_start_matches("tc "));
    told.pass("accounting at tc");
    match tagged {
        Ok(()) => {
            assert_stream(&report, TAGGED, 50_000);
            told.pass("VLAN at tc");
        }
        Err(why) => told.not_here("VLAN at tc", &why),
    }
}

/// A pair of devices of a kind on both ends of the wire, and an address beyond it that is reached by
/// them alone.
fn beyond(stage: &Stage, device: &str, address: &str, words: [&String; 2]) -> Result<(), String> {
    let (near, far) = (stage.client(), stage.gateway());
    for (end, words) in [near, far].into_iter().zip(words) {
        add_device(end, words)?;
        // Or it asks for routers over the wire, for a minute and longer.
        end.sysctl(&format!("net.ipv6.conf.{device}.disable_ipv6"), "1").unwrap();
    }
    let own = address.replace("198.51.100", "10.66.1");
    near.ip(&format!("address add {own}/32 dev {device}")).unwrap();
    far.ip(&format!("address add {address}/32 dev {device}")).unwrap();
    near.ip(&format!("link set {device} up")).unwrap();
    far.ip(&format!("link set {device} up")).unwrap();
    near.ip(&format!("route add {address}/32 dev {device} src {own}")).unwrap();
    far.ip(&format!("route add {own}/32 dev {device} src {address}")).unwrap();
    Ok(())
}
