//! The ways to see packets that agents do not take by themselves, and what a killed one leaves.

use detector_tests::run_checked;
use detector_tests::watch::{HOME, Watch, detector};

use crate::Told;
use crate::stage::{CLIENT, Stage, V4, assert_stream, features, how, traffic, watch_client};

const STREAM: u64 = 300_001;

/// Starts an agent, sends a stream past it and returns how it watched.
fn watched(stage: &Stage, kernel: &str) -> String {
    let watch = watch_client(stage, kernel);
    let how = how(&watch, CLIENT);
    traffic(stage.client(), &["stream", V4, &STREAM.to_string()]);
    stage.quiet();
    assert_stream(&watch.stop(), V4, STREAM);
    how
}

pub(crate) fn generic(told: &mut Told) {
    let how = watched(&Stage::new(), "xdp = \"generic\"");
    assert!(how.starts_with("ingress generic XDP"), "{how}");
    told.pass("XDP generic");
}

/// An MTU above one page.
pub(crate) fn fragments(told: &mut Told) {
    let how = watched(&Stage::of_mtu(9_000), "xdp = \"native\"");
    if features().fragments {
        assert!(how.starts_with("ingress native XDP with fragments"), "{how}");
        return told.pass("fragments");
    }
    assert!(how.starts_with("ingress tc clsact"), "{how}");
    told.not_here(
        "fragments",
        "plain XDP, which takes frames of one buffer: at an MTU above a page the agent uses tc for \
         received packets",
    );
}

/// What is attached when the agent is killed is taken over or taken off by the next, and by
/// `detector detach`.
pub(crate) fn killed(told: &mut Told) {
    if features().tcx {
        return told.pass_as("killed at tc", "pinned");
    }
    let stage = Stage::new();
    let client = stage.client();
    let filters = || -> usize {
        let side = |side| client.run("tc", ["filter", "show", "dev", CLIENT, side]).unwrap();
        ["ingress", "egress"].map(|name| side(name).matches("direct-action").count()).iter().sum()
    };
    let config = format!("{HOME}[kernel]\nxdp = \"tc\"\n");
    let folders = Watch::start(client, &[CLIENT], &[], &config).kill();
    assert_eq!(filters(), 2, "after a kill");
    // Another way to see received packets: the filter for that is in the way.
    let again = Watch::start_in(folders, client, &[CLIENT], &[], HOME);
    let said = again.process.output();
    for expected in ["replaced a tc filter of", "removed a tc filter of"] {
        assert!(said.contains(expected), "no {expected:?} in {said}");
    }
    assert_eq!(filters(), 1, "after a restart with native XDP");
    let folders = again.kill();
    let mut detach = client.command(detector());
    detach.args(["detach", "--config"]).arg(folders.join("detector.toml"));
    let said = run_checked(&mut detach).unwrap();
    assert!(said.starts_with("removed 2 programs"), "{said}");
    assert_eq!(filters(), 0, "after detach");
    told.pass_as("killed at tc", "replaced");
}
