//! Each way to see received packets, and both at tc, with traffic over it.

use detector_tests::run_checked;
use detector_tests::watch::{HOME, Watch, detector};

use crate::Outcome;
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

pub(crate) fn native() -> Outcome {
    let how = watched(&Stage::new(), "xdp = \"native\"");
    assert!(how.starts_with("ingress native XDP"), "{how}");
    Outcome::pass()
}

pub(crate) fn generic() -> Outcome {
    let how = watched(&Stage::new(), "xdp = \"generic\"");
    assert!(how.starts_with("ingress generic XDP"), "{how}");
    Outcome::pass()
}

/// An MTU above one page.
pub(crate) fn fragments() -> Outcome {
    let how = watched(&Stage::of_mtu(9_000), "xdp = \"native\"");
    if features().fragments {
        assert!(how.starts_with("ingress native XDP with fragments"), "{how}");
        return Outcome::pass();
    }
    let at_tc = ["ingress tc clsact", "ingress tcx"].iter().any(|start| how.starts_with(start));
    assert!(at_tc, "{how}");
    Outcome::NotHere(
        "XDP takes frames of one buffer only: at an MTU above a page received packets are seen at tc, \
         below it by native XDP"
            .to_owned(),
    )
}

/// What is attached at tc, and what becomes of it when the agent is killed.
pub(crate) fn tc() -> Outcome {
    let stage = Stage::new();
    let how = watched(&stage, "xdp = \"tc\"");
    if features().tcx {
        assert_eq!(how, "ingress tcx, egress tcx");
        return Outcome::Pass("tcx".to_owned());
    }
    assert_eq!(how, "ingress tc clsact, egress tc clsact");
    let client = stage.client();
    let filters = || -> usize {
        let side = |side| client.run("tc", ["filter", "show", "dev", CLIENT, side]).unwrap();
        ["ingress", "egress"].map(|name| side(name).matches("direct-action").count()).iter().sum()
    };
    assert_eq!(filters(), 0, "after a stop");
    let config = format!("{HOME}[kernel]\nxdp = \"tc\"\n");
    let folders = Watch::start(client, &[CLIENT], &[], &config).kill();
    assert_eq!(filters(), 2, "after a kill");
    let again = Watch::start_in(folders, client, &[CLIENT], &[], &config);
    let said = again.process.output();
    assert!(said.contains("replaced a tc filter left by an earlier run"), "{said}");
    assert_eq!(filters(), 2, "after a restart");
    let folders = again.kill();
    // Another way to see received packets: the filter for that is in the way.
    let other = Watch::start_in(folders, client, &[CLIENT], &[], HOME);
    assert_eq!(filters(), 1, "after a restart with native XDP");
    let folders = other.kill();
    let mut detach = client.command(detector());
    detach.args(["detach", "--config"]).arg(folders.join("detector.toml"));
    let said = run_checked(&mut detach).unwrap();
    assert!(said.starts_with("removed 2 programs"), "{said}");
    assert_eq!(filters(), 0, "after detach");
    Outcome::Pass("clsact".to_owned())
}
