//! What the hooks tell: events as they happen, totals that agree with the kernel's own counters, and
//! flows under every kind of header.

use std::time::{Duration, Instant};

use detector::config::Config;
use detector::source::kernel::interfaces::Selection;
use detector::source::kernel::{KernelSource, News, Start};
use detector_tests::watch::{HOME, Watch, number};
use detector_tests::{Background, Namespace, Scratch};
use serde_json::Value;

use crate::Outcome;
use crate::stage::{
    CLIENT, INNER, Stage, V4, V6, add_device, assert_stream, sink, traffic, watch_client,
};

/// The first bytes of a flow and its checkpoints come by themselves, without any map being read.
pub(crate) fn events() -> Outcome {
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
                match kernel.next_news() {
                    Some(News::Checkpoint(_)) => checkpoints += 1,
                    Some(News::Head(_)) => heads += 1,
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
    Outcome::pass()
}

/// Frames and bytes that a device has sent, as the kernel itself counts them.
fn sent(namespace: &Namespace, device: &str) -> (u64, u64) {
    let text = namespace.ip(&format!("-j -s link show dev {device}")).unwrap();
    let links: Value = serde_json::from_str(&text).unwrap();
    let sent = &links[0]["stats64"]["tx"];
    (number(sent, "packets"), number(sent, "bytes"))
}

/// The hooks' totals against the kernel's own counters at both ends of a wire on which each frame is
/// one. Towards a device with native XDP veth counts a frame without its Ethernet header of 14 bytes;
/// everywhere else with it.
pub(crate) fn accounting() -> Outcome {
    for (xdp, left_out) in [("tc", 0), ("native", 14)] {
        let stage = Stage::of_wire_size();
        let (client, gateway) = (stage.client(), stage.gateway());
        let counters = || (sent(client, CLIENT), sent(gateway, INNER));
        let mut last = String::new();
        let agreed = (0..3).any(|_| {
            stage.quiet();
            let before = counters();
            let watch = watch_client(&stage, &format!("xdp = \"{xdp}\""));
            let attached = counters();
            for server in [V4, V6] {
                traffic(client, &["stream", server, "100000"]);
                // Larger than the wire takes: in fragments.
                traffic(client, &["datagrams", server, "20", "4000"]);
            }
            stage.quiet();
            let after = counters();
            let report = watch.stop();
            if attached != before || counters() != after {
                last = "a neighbour spoke by itself each time".to_owned();
                return false;
            }
            let ((near_frames, near_bytes), (far_frames, far_bytes)) = after;
            let far = far_frames - before.1.0;
            let frames = near_frames - before.0.0 + far;
            let bytes = near_bytes - before.0.1 + far_bytes - before.1.1 + left_out * far;
            report.assert_all_accounted();
            let summary = report.summary();
            let counted = (number(summary, "packets"), number(summary, "bytes"));
            assert_eq!(counted, (frames, bytes), "{xdp}: {summary}");
            true
        });
        assert!(agreed, "{xdp}: {last}");
    }
    Outcome::pass()
}

pub(crate) fn ipv6() -> Outcome {
    let stage = Stage::new();
    let watch = watch_client(&stage, "");
    traffic(stage.client(), &["stream", V6, "200000"]);
    traffic(stage.client(), &["datagrams", V6, "20", "4000"]);
    stage.quiet();
    let report = watch.stop();
    assert_stream(&report, V6, 200_000);
    assert_eq!(report.sum("udp", V6, "payload_out"), 80_000, "{}", report.text);
    Outcome::pass()
}

/// A pair of devices of a kind on both ends of the wire, and an address beyond it that is reached by
/// them alone.
fn beyond(stage: &Stage, client: &str, gateway: &str) -> Result<Background, Outcome> {
    let (near, far) = (stage.client(), stage.gateway());
    add_device(near, &format!("name over0 {client}"))?;
    add_device(far, &format!("name over0 {gateway}"))?;
    near.ip("address add 10.66.1.200/32 dev over0").unwrap();
    far.ip("address add 198.51.100.200/32 dev over0").unwrap();
    near.ip("link set over0 up").unwrap();
    far.ip("link set over0 up").unwrap();
    near.ip("route add 198.51.100.200/32 dev over0 src 10.66.1.200").unwrap();
    far.ip("route add 10.66.1.200/32 dev over0 src 198.51.100.200").unwrap();
    Ok(sink(far))
}

const BEYOND: &str = "198.51.100.200";

/// Tagged frames are seen on the device below, as packets like others.
pub(crate) fn vlan() -> Outcome {
    let stage = Stage::new();
    let tagged = |device: &str| format!("link {device} type vlan id 7");
    let _sink = match beyond(&stage, &tagged(CLIENT), &tagged(INNER)) {
        Ok(sink) => sink,
        Err(outcome) => return outcome,
    };
    for kernel in ["xdp = \"native\"", "xdp = \"tc\""] {
        let watch = watch_client(&stage, kernel);
        traffic(stage.client(), &["stream", BEYOND, "100000"]);
        stage.quiet();
        assert_stream(&watch.stop(), BEYOND, 100_000);
    }
    Outcome::pass()
}

/// A tunnel that the kernel itself makes, opened by the programs on the device below it.
pub(crate) fn vxlan() -> Outcome {
    let stage = Stage::new();
    let tunnel = |there: &str, device: &str| {
        format!("type vxlan id 7 remote {there} dstport 4789 dev {device}")
    };
    let (near, far) = (tunnel("10.66.1.1", CLIENT), tunnel("10.66.1.10", INNER));
    let _sink = match beyond(&stage, &near, &far) {
        Ok(sink) => sink,
        Err(outcome) => return outcome,
    };
    let config = format!("{HOME}[decapsulation]\nvxlan = true\n");
    let watch = Watch::start(stage.client(), &[CLIENT], &[], &config);
    traffic(stage.client(), &["stream", BEYOND, "100000"]);
    stage.quiet();
    assert_stream(&watch.stop(), BEYOND, 100_000);
    Outcome::pass()
}
