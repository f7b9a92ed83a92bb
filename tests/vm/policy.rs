//! Blocks that hold, let go and outlive the agent.

use std::time::{Duration, Instant};

use detector_tests::watch::{HOME, START, Watch, number};
use detector_tests::{Namespace, poll_until};
use serde_json::Value;

use crate::Told;
use crate::stage::{CLIENT, INNER, Stage, V4, V6, spawn};

const OTHER: &str = "198.51.100.10";

/// On received packets at the gateway, on sent ones at the client, of both families; by word and by
/// itself.
pub(crate) fn blocks(told: &mut Told) {
    let stage = Stage::new();
    let (client, gateway) = (stage.client(), stage.gateway());
    let watch = Watch::start(client, &[CLIENT], &[], HOME);
    holds(&stage, &watch, client);
    watch.stop().assert_all_accounted();
    let watch = Watch::start(gateway, &[INNER], &[], HOME);
    holds(&stage, &watch, gateway);
    told.pass("policy drop");
    lets_go(&stage, &watch);
    watch.stop().assert_all_accounted();
    told.pass("block and release");
}

fn holds(stage: &Stage, watch: &Watch, place: &Namespace) {
    for server in [V4, V6] {
        assert!(stage.answers(server), "{server} before the block");
        watch.ask(place, &["blocks", "add", "destination", server, "--ttl", "1h"]);
        assert!(!stage.answers(server), "{server}: the block does not hold in {}", place.name());
    }
    assert!(stage.answers(OTHER), "another place is blocked, too, in {}", place.name());
    let list = watch.ask(place, &["blocks", "list", "--format", "json"]);
    for line in list.lines() {
        let block: Value = serde_json::from_str(line).unwrap();
        assert!(number(&block, "packets") > 0, "{block}");
    }
    watch.ask(place, &["blocks", "flush"]);
}

/// A flow in progress stands still and goes on.
fn lets_go(stage: &Stage, watch: &Watch) {
    const TTL: Duration = Duration::from_secs(5);
    let gateway = stage.gateway();
    let rain = spawn(stage.client(), &["drizzle", V4, "20000"]);
    rain.wait_for_line("port ", START).unwrap();
    stage.grows("datagrams ", START);
    let target = format!("destination {V4}");
    let stands = || {
        // What was in flight arrives.
        std::thread::sleep(Duration::from_millis(300));
        let before = stage.counted("datagrams ");
        std::thread::sleep(Duration::from_millis(700));
        stage.counted("datagrams ") == before
    };
    watch.ask(gateway, &["blocks", "add", &target, "--ttl", "1h"]);
    assert!(stands(), "the block does not hold");
    watch.ask(gateway, &["blocks", "remove", &target]);
    stage.grows("datagrams ", Duration::from_secs(3));
    let placed = Instant::now();
    watch.ask(gateway, &["blocks", "add", &target, "--ttl", "5s"]);
    assert!(stands(), "the second block does not hold");
    stage.grows("datagrams ", TTL * 3);
    assert!(placed.elapsed() >= TTL, "it ended after {:?}", placed.elapsed());
}

/// Killed under load and started again: what the last agent has counted is what the peer has.
pub(crate) fn adoption(told: &mut Told) {
    let stage = Stage::new();
    let client = stage.client();
    let mut watch = Watch::start(client, &[CLIENT], &[], HOME);
    let far = Watch::start(stage.gateway(), &[INNER], &[], HOME);
    watch.ask(client, &["blocks", "add", "destination", OTHER, "--ttl", "1h"]);
    let mut load =
        [spawn(client, &["trickle", V4, "400000"]), spawn(client, &["drizzle", V6, "20000"])];
    stage.grows("datagrams ", START);
    std::thread::sleep(Duration::from_millis(500));
    let folders = watch.kill();
    assert!(!stage.answers(OTHER), "the block does not hold without the agent");
    watch = Watch::start_in(folders, client, &[CLIENT], &["--adopt"], HOME);
    assert!(!stage.answers(OTHER), "the block does not hold any more");
    std::thread::sleep(Duration::from_millis(500));
    for sender in &mut load {
        sender.kill().unwrap();
    }
    poll_until(START, || (!load.iter_mut().any(|sender| sender.is_running())).then_some(()))
        .unwrap();
    stage.quiet();
    let (near, far) = (watch.stop(), far.stop());
    near.assert_all_accounted();
    far.assert_all_accounted();
    let (mut near_flows, far_flows) = (near.agreed(), far.agreed());
    // What was dropped on its way out never came to the wire.
    near_flows.retain(|line| !line.contains(OTHER));
    assert_eq!(far_flows, near_flows, "{}\n{}", near.text, far.text);
    assert!(near.sum("tcp", V4, "payload_out") > 100_000, "{}", near.text);
    assert!(near.sum("tcp", OTHER, "dropped_out") > 0, "{}", near.text);
    told.pass("adoption after a restart");
}
