//! Captures that are read from a file and sent over a wire: what comes of them must be the same.

use std::collections::{BTreeMap, BTreeSet};
use std::process::Command;
use std::thread;

use detector_tests::capture_file::{ETHERNET, pcap, timed};
use detector_tests::conversation::Conversation;
use detector_tests::scenes::{SCENES, file_upload};
use detector_tests::{Namespace, Scratch, Veth, VethEnd, frames, run_checked};
use serde_json::Value;

use super::{Report, Watch, detector, send_frames, send_timed, wait_until_quiet};

const DEVICE: &str = "lan0";
/// Samples whose IP length is more than their frame holds.
const BEYOND_THE_FRAME: [&str; 3] = ["total length beyond", "length 65535", "length one beyond"];
const HOME: &str = "home_networks = [\"10.0.0.0/8\", \"fd00::/8\"]\n";

/// Who sends and who watches what arrives, with nothing else to be seen between them.
fn silent_wire() -> (Namespace, Namespace) {
    let (left, right) = (Namespace::new("left").unwrap(), Namespace::new("right").unwrap());
    for side in [&left, &right] {
        // Neither end says anything of its own.
        side.sysctl("net.ipv6.conf.default.disable_ipv6", "1").unwrap();
    }
    let (near, far) = (VethEnd::new(&left, DEVICE), VethEnd::new(&right, DEVICE));
    Veth::new(near, far).mtu(3_000).wire_size(true).create().unwrap();
    (left, right)
}

/// What `detector analyze` makes of a capture.
fn read_from_file(capture: &[u8]) -> Report {
    let scratch = Scratch::new("replay").unwrap();
    let file = scratch.write("replayed.pcap", capture).unwrap();
    let config = scratch.write("detector.toml", HOME).unwrap();
    let mut analyze = Command::new(detector());
    analyze.args(["analyze", "--flows", "--format", "json", "--config"]).arg(config).arg(file);
    Report::read(&run_checked(&mut analyze).unwrap())
}

/// What `detector run` makes of frames that arrive on a wire, from its start to its stop.
fn seen_on_a_wire(xdp: &str, send: impl FnOnce(&Namespace)) -> Report {
    let (left, right) = silent_wire();
    // Small tables: many agents run at once.
    let config = format!("{HOME}[kernel]\nxdp = \"{xdp}\"\nmax_flows = 1024\n");
    let watch = Watch::start(&right, &[DEVICE], &[], &config);
    send(&left);
    wait_until_quiet(&right, DEVICE);
    let report = watch.stop();
    report.assert_all_accounted();
    report
}

/// Every sample frame.
#[test]
#[ignore = "needs root: run cargo xtask test"]
fn a_replayed_capture_gives_the_flows_of_the_file() {
    let frames: Vec<Vec<u8>> = frames::samples()
        .into_iter()
        .filter(|sample| sample.link == detector_common::LinkType::Ethernet)
        // The stack takes the first tag off before tc ingress, which so reads one tag more.
        .filter(|sample| !sample.name.starts_with("four tags"))
        // In a file such a record was cut, on a wire it is a fault.
        .filter(|sample| !BEYOND_THE_FRAME.iter().any(|name| sample.name.contains(name)))
        .map(|sample| sample.bytes)
        .collect();
    let read = read_from_file(&pcap(ETHERNET, &frames));
    assert!(read.agreed().len() > 50);
    for xdp in ["native", "tc"] {
        let replayed = seen_on_a_wire(xdp, |left| send_frames(left, DEVICE, &frames));
        assert_eq!(replayed.agreed(), read.agreed(), "{xdp}");
        for field in ["packets", "bytes", "skipped"] {
            assert_eq!(replayed.summary()[field], read.summary()[field], "{xdp}: {field}");
        }
    }
}

/// Every scene at its own pace, and no alert where an ordinary use of the same protocol is replayed.
#[test]
#[ignore = "needs root: run cargo xtask test"]
fn a_replayed_capture_gives_the_alerts_of_the_file() {
    for xdp in ["native", "tc"] {
        // All at once, each on a wire of its own: most of a scene's time is waiting.
        thread::scope(|scope| {
            for (name, scene, technique) in SCENES {
                scope.spawn(move || {
                    same_alerts(&format!("{name}, {xdp}"), xdp, &scene(), 1, technique);
                });
            }
        });
    }
}

/// Over in about a millisecond: the agent reads counters of the whole upload before it reads
/// what the connections said.
#[test]
#[ignore = "needs root: run cargo xtask test"]
fn a_replayed_upload_is_found_however_fast_it_was() {
    for xdp in ["native", "tc"] {
        same_alerts(xdp, xdp, &file_upload(), 100, Some("clear_upload"));
    }
}

/// Reads and replays what was said, so many times as fast as it was.
fn same_alerts(
    what: &str,
    xdp: &str,
    talk: &Conversation,
    times_as_fast: u64,
    technique: Option<&str>,
) {
    let frames = || talk.frames().map(|(time, frame)| (time / times_as_fast, frame));
    let read = read_from_file(&timed(ETHERNET, frames()));
    let replayed = seen_on_a_wire(xdp, |left| send_timed(left, DEVICE, frames()));
    assert_eq!(replayed.agreed(), read.agreed(), "{what}");
    let both = format!("{what}\n{}\n{}", read.text, replayed.text);
    assert_eq!(told(&replayed), told(&read), "{both}");
    let techniques: Vec<&Value> = replayed
        .of("alert")
        .filter(|alert| alert["revision"] == 1)
        .map(|alert| &alert["technique"])
        .collect();
    assert_eq!(techniques, technique.into_iter().collect::<Vec<_>>(), "{both}");
}

/// Who leaked what to whom and how, each with the rules that say so.
///
/// Neither scores nor revisions: by the time the agent hears of a flow, more packets of it may have
/// passed than had when the file was scored, so that the same alert is of a later moment.
fn told(report: &Report) -> BTreeMap<String, BTreeSet<&str>> {
    const FIELDS: [&str; 6] = ["src", "dst", "dst_port", "protocol", "technique", "domain"];
    let mut told: BTreeMap<String, BTreeSet<&str>> = BTreeMap::new();
    for alert in report.of("alert") {
        let who = FIELDS.map(|field| format!("{field}={}", alert[field])).join(" ");
        let reasons = alert["reasons"].as_array().unwrap().iter();
        let names = reasons.map(|reason| reason["feature"].as_str().unwrap());
        told.entry(who).or_default().extend(names.filter(|name| name.starts_with("rule:")));
    }
    told
}
