//! The released program between network namespaces: every byte accounted for, thefts told and
//! stopped, nothing left behind, and one clear line where it cannot work.
#![expect(clippy::unwrap_used, reason = "a test that cannot go on fails")]

#[path = "netns/paths.rs"]
mod paths;
#[path = "netns/programs.rs"]
mod programs;
#[path = "netns/replay.rs"]
mod replay;

use std::process::{Command, Output, Stdio};
use std::time::{Duration, Instant};

use detector_tests::frames;
use detector_tests::watch::{
    HOME, Report, START, TRAFFIC, Watch, detector, number, sink, traffic, wait_until_quiet,
};
use detector_tests::{Background, Namespace, Scratch, Topology, poll_until, run_checked};
use programs::programs_on;
use serde_json::Value;

const SERVERS: [&str; 2] = ["203.0.113.10", "2001:db8::10"];

/// Sends frames as fast as they go.
fn send_frames(namespace: &Namespace, device: &str, frames: &[Vec<u8>]) {
    let lines = frames.iter().map(|frame| hexadecimal(frame) + "\n");
    feed(namespace, &["frames", device], &lines.collect::<String>());
}

/// Sends frames at their times, in microseconds from the first.
fn send_timed<'a>(
    namespace: &Namespace,
    device: &str,
    frames: impl Iterator<Item = (u64, &'a [u8])>,
) {
    let lines = frames.map(|(time, frame)| format!("{time} {}\n", hexadecimal(frame)));
    feed(namespace, &["timed", device], &lines.collect::<String>());
}

/// Runs a verb of the traffic script to its end with `input` as its standard input.
fn feed(namespace: &Namespace, arguments: &[&str], input: &str) {
    let mut command = namespace.command("python3");
    command.args(["-c", TRAFFIC]).args(arguments).stdin(Stdio::piped());
    let mut child = command.spawn().unwrap();
    std::io::Write::write_all(&mut child.stdin.take().unwrap(), input.as_bytes()).unwrap();
    assert!(child.wait().unwrap().success());
}

fn hexadecimal(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

#[test]
#[ignore = "needs root: run cargo xtask test"]
fn every_byte_is_accounted_for_at_both_ends_of_a_wire() {
    for (mtu, xdp) in [(1_500, "native"), (9_000, "native"), (1_500, "tc"), (1_500, "generic")] {
        let config = format!("{HOME}[kernel]\nxdp = \"{xdp}\"\n");
        let topology = Topology::builder()
            .mtu(mtu)
            .server(detector_tests::ServerSpec::internet())
            .build()
            .unwrap();
        let client = &topology.client;
        let _sink = sink(topology.server());
        let near = Watch::start(client, &[Topology::CLIENT_INTERFACE], &[], &config);
        // The peer's own hook, native XDP, sees each frame of the wire.
        let far = Watch::start(&topology.gateway, &[Topology::GATEWAY_INNER], &[], HOME);
        const STREAM: u64 = 3_000_001;
        for server in SERVERS {
            traffic(client, &["stream", server, &STREAM.to_string()]);
            traffic(client, &["datagrams", server, "50"]);
            client.run("ping", ["-c", "5", "-i", "0.01", "-s", "1000", server]).unwrap();
        }
        let vlan = |tags: &[u16], port| {
            let packet = frames::V4::new(17).packet(&frames::udp((port, 9), b"tagged"));
            frames::ethernet(tags, frames::IPV4, &packet)
        };
        let tagged = [
            vlan(&[frames::VLAN], 1),
            vlan(&[frames::QINQ, frames::VLAN], 2),
            frames::ethernet(&[], 0x88b5, &[0; 46]),
        ];
        send_frames(client, Topology::CLIENT_INTERFACE, &tagged);
        wait_until_quiet(client, Topology::CLIENT_INTERFACE);
        let (near, far) = (near.stop(), far.stop());

        let what = format!("MTU {mtu}, {xdp}");
        near.assert_all_accounted();
        far.assert_all_accounted();
        if xdp == "generic" {
            // It sees frames after they were merged: fewer of them, without their headers.
            continue;
        }
        assert_eq!(far.agreed(), near.agreed(), "{what}\n{}\n{}", near.text, far.text);
        for (server, protocol, echo) in [(SERVERS[0], "icmp", 1_028), (SERVERS[1], "icmpv6", 1_048)]
        {
            for report in [&near, &far] {
                let again = report.sum("tcp", server, "retransmitted_out");
                let stream = report.sum("tcp", server, "payload_out") - again;
                assert_eq!(stream, STREAM, "{what}: {server}");
                assert_eq!(report.sum("tcp", server, "payload_in"), 5_000, "{what}: {server}");
                assert_eq!(report.sum("udp", server, "payload_out"), 50_000, "{what}: {server}");
                for field in ["bytes_out", "bytes_in"] {
                    assert_eq!(report.sum(protocol, server, field), 5 * echo, "{what}: {server}");
                }
            }
        }
        let away = std::net::Ipv4Addr::from(frames::AWAY).to_string();
        assert_eq!(near.sum("udp", &away, "packets_out"), 2, "{what}: tagged frames");
        assert_eq!(near.summary()["skipped"]["not_ip"], 1, "{what}");
    }
}

/// Frames and bytes that a device has sent, as the kernel itself counts them.
fn sent(namespace: &Namespace, device: &str) -> (u64, u64) {
    let text = namespace.ip(&format!("-j -s link show dev {device}")).unwrap();
    let links: Value = serde_json::from_str(&text).unwrap();
    let sent = &links[0]["stats64"]["tx"];
    (number(sent, "packets"), number(sent, "bytes"))
}

/// The kernel's own counters of both ends of a wire, with every offload off so that each frame is
/// one, against the hooks' totals. Towards a device with native XDP veth counts a frame without its
/// Ethernet header of 14 bytes; everywhere else with it.
#[test]
#[ignore = "needs root: run cargo xtask test"]
fn the_kernels_own_counters_agree() {
    for (xdp, left_out) in [("tc", 0), ("native", 14)] {
        let internet = detector_tests::ServerSpec::internet();
        let topology = Topology::builder().wire_size().server(internet).build().unwrap();
        let (client, gateway) = (&topology.client, &topology.gateway);
        let _sink = sink(topology.server());
        let counters = || {
            let near = sent(client, Topology::CLIENT_INTERFACE);
            (near, sent(gateway, Topology::GATEWAY_INNER))
        };
        let config = format!("{HOME}[kernel]\nxdp = \"{xdp}\"\n");
        let agreed = (0..5).any(|_| {
            wait_until_quiet(client, Topology::CLIENT_INTERFACE);
            let before = counters();
            let watch = Watch::start(client, &[Topology::CLIENT_INTERFACE], &[], &config);
            let attached = counters();
            for server in SERVERS {
                traffic(client, &["stream", server, "300000"]);
                traffic(client, &["datagrams", server, "50"]);
                client.run("ping", ["-c", "5", "-i", "0.01", "-s", "4000", server]).unwrap();
            }
            wait_until_quiet(client, Topology::CLIENT_INTERFACE);
            let after = counters();
            let report = watch.stop();
            if attached != before || counters() != after {
                // A neighbour spoke by itself while the programs were put on or taken off.
                return false;
            }
            let ((near_frames, near_bytes), (far_frames, far_bytes)) = after;
            let frames = near_frames - before.0.0 + far_frames - before.1.0;
            let bytes = near_bytes - before.0.1 + far_bytes - before.1.1
                + left_out * (far_frames - before.1.0);
            report.assert_all_accounted();
            let summary = report.summary();
            let counted = (number(summary, "packets"), number(summary, "bytes"));
            assert_eq!(counted, (frames, bytes), "{xdp}: {summary}");
            true
        });
        assert!(agreed, "{xdp}: the wire was never quiet");
    }
}

#[test]
#[ignore = "needs root: run cargo xtask test"]
fn a_full_table_loses_no_byte() {
    let topology = Topology::simple().unwrap();
    let config = format!("{HOME}[kernel]\nmax_flows = 1024\n");
    let watch = Watch::start(&topology.client, &[Topology::CLIENT_INTERFACE], &[], &config);
    traffic(&topology.client, &["flood", Topology::CLIENT_INTERFACE, "100000"]);
    wait_until_quiet(&topology.client, Topology::CLIENT_INTERFACE);
    let report = watch.stop();
    report.assert_all_accounted();
    let summary = report.summary();
    assert!(number(summary, "overflow_bytes") > 90_000 * 128, "{summary}");
    assert!(number(summary, "packets") >= 100_000, "{summary}");
}

#[test]
#[ignore = "needs root: run cargo xtask test"]
fn a_device_made_again_is_watched_again() {
    let left = Namespace::new("left").unwrap();
    let right = Namespace::new("right").unwrap();
    let join = || {
        use detector_tests::{Veth, VethEnd};
        let near = VethEnd::new(&left, "lan0").address("10.66.1.10/24");
        Veth::new(near, VethEnd::new(&right, "lan0").address("10.66.1.1/24")).create().unwrap();
    };
    let ping = || left.run("ping", ["-c", "3", "-i", "0.01", "10.66.1.1"]).unwrap();
    join();
    let watch = Watch::start(&left, &["lan0"], &[], HOME);
    ping();
    left.ip("link delete lan0").unwrap();
    watch.process.wait_for_line("interface lan0 is gone", START).unwrap();
    let seen = watch.process.output().lines().count();
    join();
    poll_until(START, || {
        let text = watch.process.output();
        text.lines().skip(seen).any(|line| line.contains("watching lan0")).then_some(())
    })
    .unwrap();
    ping();
    let report = watch.stop();
    report.assert_all_accounted();
    assert_eq!(report.sum("icmp", "10.66.1.1", "packets_out"), 6, "{}", report.text);
}

/// The agent hands keys to its programs as frames, and the kernel refuses a short one that looks
/// like the start of an IPv6 packet, as this address does.
#[test]
#[ignore = "needs root: run cargo xtask test"]
fn a_flow_whose_address_looks_like_a_frame_is_closed_too() {
    let topology = Topology::simple().unwrap();
    let config = format!("{HOME}[timeouts]\nicmp_idle_secs = 1\n");
    let watch = Watch::start(&topology.client, &[Topology::CLIENT_INTERFACE], &[], &config);
    // One at a time, so that each is the first in its frame.
    for host in 1..=3 {
        let address = format!("2001:db8::86dd:{host}");
        topology.client.run("ping", ["-c", "3", "-i", "0.01", &address]).unwrap();
        std::thread::sleep(Duration::from_millis(2_500));
    }
    let report = watch.stop();
    report.assert_all_accounted();
    for host in 1..=3 {
        let address = format!("2001:db8::86dd:{host}");
        assert_eq!(report.sum("icmpv6", &address, "packets_out"), 3, "{}", report.text);
    }
}

#[test]
#[ignore = "needs root: run cargo xtask test"]
fn two_interfaces_on_one_path_count_once() {
    let topology = Topology::simple().unwrap();
    let outer = Topology::gateway_outer(0);
    let _sink = sink(topology.server());
    let watch = Watch::start(&topology.gateway, &[Topology::GATEWAY_INNER, &outer], &[], HOME);
    const STREAM: u64 = 1_000_000;
    traffic(&topology.client, &["stream", SERVERS[0], &STREAM.to_string()]);
    wait_until_quiet(&topology.client, Topology::CLIENT_INTERFACE);
    let report = watch.stop();
    report.assert_all_accounted();
    let again = report.sum("tcp", SERVERS[0], "retransmitted_out");
    assert_eq!(report.sum("tcp", SERVERS[0], "payload_out") - again, STREAM, "{}", report.text);
    // Every byte passed two interfaces, and the totals are of both.
    assert!(number(report.summary(), "bytes") > 2 * STREAM, "{}", report.summary());
}

const STOLEN: u64 = 400_000_000;

/// Sends more than any test waits for; ends by itself where nobody stops it.
fn theft(topology: &Topology, server: &str) -> Background {
    let size = STOLEN.to_string();
    topology.client.spawn("python3", ["-c", TRAFFIC, "stream", server, &size]).unwrap()
}

fn arrived(sink: &Background) -> u64 {
    let text = sink.output();
    let totals = text.lines().filter_map(|line| line.strip_prefix("total ")?.parse().ok());
    totals.max().unwrap_or(0)
}

#[test]
#[ignore = "needs root: run cargo xtask test"]
fn an_upload_is_told_and_passes_unless_blocking_is_asked_for() {
    for (mode, action) in [("observe", "none"), ("simulate", "simulated")] {
        told_and_passed(mode, action);
    }
}

fn told_and_passed(mode: &str, action: &str) {
    let topology = Topology::simple().unwrap();
    let _sink = sink(topology.server());
    let inner = [Topology::GATEWAY_INNER];
    let watch = Watch::start(&topology.gateway, &inner, &["--mode", mode], HOME);
    let mut theft = theft(&topology, SERVERS[0]);
    let alert = watch.recognised();
    assert!(theft.wait(START * 3).unwrap().success(), "{mode} did not let it pass");
    let report = watch.stop();
    report.assert_all_accounted();
    assert_eq!((&alert["src"], &alert["dst"]), (&"10.66.1.10".into(), &SERVERS[0].into()));
    assert_eq!(alert["action"], action);
    assert!(!alert["reasons"].as_array().unwrap().is_empty());
    assert_eq!(report.sum("tcp", SERVERS[0], "dropped_out"), 0);
}

#[test]
#[ignore = "needs root: run cargo xtask test"]
fn block_mode_stops_an_upload_and_never_block_spares_it() {
    let topology = Topology::simple().unwrap();
    let sink = sink(topology.server());
    let config = format!("{HOME}[block]\nnever_block = [\"2001:db8::/32\"]\n");
    let inner = [Topology::GATEWAY_INNER];
    let watch = Watch::start(&topology.gateway, &inner, &["--mode", "block"], &config);
    let mut blocked = theft(&topology, SERVERS[0]);
    let alert = watch.recognised();
    let stood = Instant::now();
    // What arrives stands still within a second.
    let mut last = (arrived(&sink), Instant::now());
    poll_until(Duration::from_secs(5), || {
        let now = arrived(&sink);
        if now != last.0 {
            last = (now, Instant::now());
        }
        (last.1.elapsed() > Duration::from_millis(1_500)).then_some(())
    })
    .unwrap();
    assert!(last.1.duration_since(stood) < Duration::from_secs(1), "it went on for longer");
    assert!(last.0 < STOLEN / 2, "{} bytes arrived", last.0);
    blocked.kill().unwrap();

    let mut spared = theft(&topology, SERVERS[1]);
    assert!(spared.wait(START * 3).unwrap().success(), "never_block did not spare it");
    let report = watch.stop();
    report.assert_all_accounted();
    assert!(report.sum("tcp", SERVERS[0], "dropped_out") > 0, "{alert}");
    assert_eq!(report.sum("tcp", SERVERS[1], "dropped_out"), 0);
    let before_block = number(&alert, "bytes_leaked_before_block");
    assert!(before_block > 0 && before_block < STOLEN / 2, "{alert}");
}

// Nothing is left.

#[test]
#[ignore = "needs root: run cargo xtask test"]
fn nothing_is_left_attached() {
    let topology = Topology::simple().unwrap();
    let (client, device) = (&topology.client, Topology::CLIENT_INTERFACE);
    let start = || Watch::start(client, &[device], &[], HOME);
    let clean = programs_on(client, device);
    assert_eq!(clean, "");
    let watch = start();
    let attached = programs_on(client, device);
    assert!(attached.contains("xdp") && attached.contains("tc_egress"), "{attached}");
    watch.stop();
    assert_eq!(programs_on(client, device), clean, "after SIGTERM");

    // One that is killed may leave them, for blocks to hold; the next start finds the interface
    // free.
    let folders = start().kill();
    Watch::start_in(folders, client, &[device], &[], HOME).stop();
    assert_eq!(programs_on(client, device), clean, "after SIGKILL and a restart");
    let folders = start().kill();
    run_checked(
        client.command(detector()).args(["detach", "--config"]).arg(folders.join("detector.toml")),
    )
    .unwrap();
    poll_until(START, || (programs_on(client, device) == clean).then_some(())).unwrap();
}

// One clear line.

fn refused(output: &Output, code: i32, expected: &str) {
    let text = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(code), "{text}");
    let errors: Vec<&str> = text.lines().filter(|line| line.starts_with("detector: ")).collect();
    assert!(errors.len() == 1 && errors[0].contains(expected), "{text}");
    assert!(output.stdout.is_empty(), "results on standard output: {output:?}");
}

fn run_once(command: &mut Command) -> Output {
    command.output().unwrap()
}

#[test]
#[ignore = "needs root: run cargo xtask test"]
fn what_cannot_be_watched_is_one_clear_line() {
    let topology = Topology::simple().unwrap();
    let (client, device) = (&topology.client, Topology::CLIENT_INTERFACE);
    let run = || {
        let mut command = client.command(detector());
        command.arg("run");
        command
    };
    refused(&run_once(run().args(["--interface", "nowhere0"])), 1, "no interface nowhere0");

    let scratch = Scratch::new("config").unwrap();
    let file = scratch.write("wrong.toml", "[block]\nttl_sec = 5\n").unwrap();
    let wrong = run_once(run().args(["--interface", device, "--config"]).arg(file));
    refused(&wrong, 1, "no key `ttl_sec`, did you mean `ttl_secs`?");
    let file = scratch.join("absent.toml");
    let absent = run_once(run().args(["--interface", device, "--config"]).arg(file));
    refused(&absent, 1, "failed to read config");

    let first = Watch::start(client, &[device], &[], HOME);
    refused(&run_once(run().args(["--interface", device])), 1, "another agent watches lan0");
    first.stop();

    // A copy where anybody may read it.
    let program = scratch.join("detector");
    std::fs::copy(detector(), &program).unwrap();
    let text = program.to_str().unwrap();
    let ids = ["--reuid=65534", "--regid=65534", "--clear-groups"];
    let mut nobody = client.command("setpriv");
    nobody.args(ids).args([text, "run", "--interface", device]);
    refused(&run_once(&mut nobody), 1, "run as root");
    let mut bare = client.command("setpriv");
    bare.args(["--bounding-set=-all", "--inh-caps=-all", text, "run", "--interface", device]);
    refused(&run_once(&mut bare), 1, "CAP_BPF");

    assert_eq!(programs_on(client, device), "");
    run_checked(client.command(detector()).arg("doctor")).unwrap();
}
