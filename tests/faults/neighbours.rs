//! Others on the same interface: a second agent, another tool's programs and filters.

use std::time::Duration;

use aya::Ebpf;
use aya::programs::{Xdp, XdpMode};
use detector::source::kernel::object::OBJECT;
use detector_common::abi::program;
use detector_tests::watch::{HOME, Watch, detector, sink, traffic, wait_until_quiet};
use detector_tests::{Namespace, Topology, run_checked};
use nix::net::if_::if_nametoindex;

use crate::ground::{DEVICE, PROMPT, SERVER, spawn, steal, until_told};
use crate::kills::eprintln_figures;
use crate::programs::programs_on;

/// Second agents, of every kind, are refused in one clear line each; the first one counts on: bytes
/// unaccounted 0, and its flows are those of the wire's other end.
#[test]
#[ignore = "needs root: run cargo xtask test"]
fn a_second_agent_is_refused_and_disturbs_nothing() {
    let topology = Topology::simple().unwrap();
    let client = &topology.client;
    let _sink = sink(topology.server());
    let near = Watch::start(client, &[DEVICE], &[], HOME);
    let far = Watch::start(&topology.gateway, &[Topology::GATEWAY_INNER], &[], HOME);
    let mut load = spawn(client, &["trickle", SERVER, "8000000", "2"]);
    for _ in 0..5 {
        for extra in [&["run"][..], &["run", "--adopt"], &["detach"]] {
            let mut command = near.command(client, extra);
            if extra[0] == "run" {
                command.args(["--interface", DEVICE]);
            }
            let output = command.output().unwrap();
            let text = String::from_utf8_lossy(&output.stderr);
            assert_eq!(output.status.code(), Some(1), "{text}");
            let errors = text.lines().filter(|line| line.starts_with("detector: "));
            assert!(errors.clone().count() == 1, "{text}");
            assert!(text.contains("another agent") || text.contains("runs here"), "{text}");
        }
        // With folders of its own it knows of the first by the interface alone.
        let mut elsewhere = client.command(detector());
        let output = elsewhere.args(["run", "--interface", DEVICE]).output().unwrap();
        let text = String::from_utf8_lossy(&output.stderr);
        assert!(text.contains("another agent watches lan0: stop it first"), "{text}");
    }
    load.kill().unwrap();
    wait_until_quiet(client, DEVICE);
    let (near, far) = (near.stop(), far.stop());
    near.assert_all_accounted();
    assert_eq!(near.agreed(), far.agreed());
    assert_eq!(programs_on(client, DEVICE), "");
    eprintln_figures("20 second agents refused, 0 bytes unaccounted");
}

/// A program at XDP, as another tool would attach it: ours, without an interface in its maps,
/// passes everything on. It goes when this is dropped.
fn foreign_xdp(namespace: &Namespace) -> Ebpf {
    let attach = || {
        let mut ebpf = Ebpf::load(OBJECT).unwrap();
        let program: &mut Xdp = ebpf.program_mut(program::XDP_INGRESS).unwrap().try_into().unwrap();
        program.load().unwrap();
        let index = if_nametoindex(DEVICE).unwrap();
        program.attach_to_if_index(index, XdpMode::Driver).unwrap();
        ebpf
    };
    namespace.enter(attach).unwrap()
}

/// Another tool's XDP program and clsact filters: the XDP hook is not taken from it, which is said
/// with the remedy; with the remedy everything is counted at tc; at the end they are all still
/// there.
#[test]
#[ignore = "needs root: run cargo xtask test"]
fn what_others_attached_is_left_alone() {
    let topology = Topology::simple().unwrap();
    let client = &topology.client;
    let _sink = sink(topology.server());
    let foreign = foreign_xdp(client);
    let tc = |arguments: &str| {
        let all = arguments.split_whitespace();
        run_checked(client.command("tc").args(all)).unwrap()
    };
    tc(&format!("qdisc add dev {DEVICE} clsact"));
    for side in ["ingress", "egress"] {
        tc(&format!(
            "filter add dev {DEVICE} {side} prio 7 protocol ip u32 match u32 0 0 flowid 1:1"
        ));
    }
    let before = programs_on(client, DEVICE);
    assert!(before.contains("xdp") && before.matches("u32").count() >= 2, "{before}");

    let refused = client.command(detector()).args(["run", "--interface", DEVICE]).output().unwrap();
    let text = String::from_utf8_lossy(&refused.stderr);
    assert_eq!(refused.status.code(), Some(1), "{text}");
    assert!(
        text.contains("an XDP program of another tool, which stays: use --config with kernel.xdp"),
        "{text}"
    );
    assert_eq!(programs_on(client, DEVICE), before, "after a refusal");

    let config = format!("{HOME}[kernel]\nxdp = \"tc\"\n");
    let watch = Watch::start(client, &[DEVICE], &[], &config);
    traffic(client, &["stream", "203.0.113.77", "300000"]);
    steal(&topology, "2001:db8::10");
    until_told(&watch.process, "2001:db8::10", PROMPT);
    wait_until_quiet(client, DEVICE);
    let report = watch.stop();
    report.assert_all_accounted();
    let again = report.sum("tcp", "203.0.113.77", "retransmitted_out");
    assert_eq!(report.sum("tcp", "203.0.113.77", "payload_out") - again, 300_000);
    assert_eq!(programs_on(client, DEVICE), before, "after a run");

    // Killed, and taken off by the next start: ours alone.
    let folders = Watch::start(client, &[DEVICE], &[], &config).kill();
    std::thread::sleep(Duration::from_millis(50));
    crate::ground::detach(client, &folders);
    assert_eq!(programs_on(client, DEVICE), before, "after a kill and detach");
    drop(foreign);
    eprintln_figures(&format!(
        "beside another's XDP and clsact: {} bytes, 0 unaccounted, both left alone",
        report.summary()["bytes"]
    ));
}
