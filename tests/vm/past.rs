//! What goes past the programs: a socket that tc does not see, and whoever takes them away.

use std::fs;
use std::path::PathBuf;
use std::time::Duration;

use detector_tests::watch::{HOME, Watch, number};
use detector_tests::{Scratch, poll_until};

use crate::Told;
use crate::stage::{CLIENT, Stage, V4, assert_stream, features, traffic, watch_client};

/// An emulated processor is slow.
const SOON: Duration = Duration::from_secs(20);

/// The alert names the process where this kernel does, else its user. An option that is longer than what
/// a program is shown arrives as it was.
pub(crate) fn sockets(told: &mut Told) {
    let stage = Stage::new();
    let watch = watch_client(&stage, "");
    let pid = traffic(stage.client(), &["past-tc"]);
    let line = watch.process.wait_for_line("\"technique\":\"monitor_bypass\"", SOON).unwrap();
    let report = watch.stop();
    let alerts = report.of("alert").filter(|alert| alert["technique"] == "monitor_bypass").count();
    assert_eq!(alerts, 1, "{}", report.text);
    assert_eq!(number(&report.summary()["counters"], "sockets_past_programs"), 1);
    let named = format!("(pid {}, uid 0)", pid.trim());
    if line.contains(&named) {
        return told.pass_as("sockets past tc", "with the process");
    }
    assert!(line.contains("a process of uid 0 (this kernel does not say which)"), "{line}");
    told.pass_as("sockets past tc", "with the user");
}

/// Programs that others take away are back within two polls, and count on. Filters are deleted, and their
/// queueing discipline; links lose their pins.
pub(crate) fn programs(told: &mut Told) {
    const STREAM: u64 = 300_001;
    let stage = Stage::new();
    let client = stage.client();
    let folders = Scratch::new("watch").unwrap();
    let pins = folders.join("run/bpf");
    let config = format!("{HOME}[kernel]\nxdp = \"tc\"\n");
    let watch = Watch::start_in(folders, client, &[CLIENT], &[], &config);
    let (way, places) = if features().tcx {
        let instances = fs::read_dir(&pins).unwrap().map(|entry| entry.unwrap().path());
        let pins = instances.filter(|path| path.is_dir()).flat_map(|it| fs::read_dir(it).unwrap());
        let pins = pins.map(|entry| entry.unwrap().path());
        let is_link =
            |pin: &PathBuf| pin.file_name().unwrap().as_encoded_bytes().starts_with(b"link-");
        let pins: Vec<PathBuf> = pins.filter(is_link).collect();
        pins.iter().for_each(|pin| fs::remove_file(pin).unwrap());
        back(&watch, "packets was removed; it is back", 2);
        assert!(pins.iter().all(|pin| pin.exists()), "{pins:?}");
        ("pinned again", 2)
    } else {
        client.run("tc", ["filter", "del", "dev", CLIENT, "egress"]).unwrap();
        back(&watch, "packets was taken off; it is back", 1);
        client.run("tc", ["qdisc", "del", "dev", CLIENT, "clsact"]).unwrap();
        back(&watch, "packets was taken off; it is back", 3);
        ("attached again", 3)
    };
    traffic(client, &["stream", V4, &STREAM.to_string()]);
    stage.quiet();
    let report = watch.stop();
    assert_stream(&report, V4, STREAM);
    assert_eq!(number(&report.summary()["counters"], "programs_out_of_place"), places);
    told.pass_as("programs put back", way);
}

/// Waits until the agent has said so often that a program is back.
fn back(watch: &Watch, words: &str, times: usize) {
    poll_until(SOON, || {
        let said = watch.process.output();
        let warned = said.lines().filter(|line| line.contains("WARN") && line.contains(words));
        (warned.count() >= times).then_some(())
    })
    .unwrap_or_else(|error| panic!("{error:#}: {}", watch.process.output()));
}
