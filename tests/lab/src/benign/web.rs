//! Browsers and programs that speak HTTP.

use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Instant;

use anyhow::{Result, ensure};

use super::{LENGTH_SECS, network, pause};
use crate::random::Random;
use crate::scene::{Outcome, Scene, Target, ensure_arrived};
use crate::shared::DOWNLOADS_MB;

const CURL: [&str; 4] = ["--silent", "--show-error", "--fail", "--insecure"];
const ASSETS: u64 = 60;

/// Sites one after the other, each page with what belongs to it over a few connections.
pub(crate) fn browse(scene: &Scene<'_>, random: &mut Random) -> Result<Outcome> {
    let (mut sites, start) = (0, Instant::now());
    while start.elapsed().as_secs_f64() < LENGTH_SECS * 1.2 {
        visit(scene, random)?;
        sites += 1;
        pause(random, 0.2, 1.6);
    }
    Ok(Outcome::benign(format!("{sites} sites")))
}

/// What goes on beside what a recording is about: mostly pages, sometimes bare look-ups.
pub(crate) fn background(scene: &Scene<'_>, random: &mut Random, over: &AtomicBool) -> Result<()> {
    while !over.load(Ordering::Relaxed) {
        if random.chance(0.8) {
            visit(scene, random)?;
        } else {
            network::ask(scene, random, "background-names", 6)?;
        }
        pause(random, 0.3, 2.0);
    }
    Ok(())
}

fn visit(scene: &Scene<'_>, random: &mut Random) -> Result<()> {
    visit_with(scene, random, 18)
}

/// One page and up to `most_assets` of what belongs to it.
pub(crate) fn visit_with(scene: &Scene<'_>, random: &mut Random, most_assets: u64) -> Result<()> {
    let target = scene.named_target(random)?;
    let scheme = if random.chance(0.8) { "https" } else { "http" };
    // Browsers send cookies and long headers; they are a good part of what leaves.
    let cookie =
        format!("Cookie: session={}", random.word(20).repeat(random.between(1, 40) as usize));
    let page = format!("{scheme}://{}/page-{}.html", target.host, random.between(0, ASSETS - 1));
    scene.run("curl", &[&CURL[..], &["-H", &cookie, "--output", "/dev/null", &page]].concat())?;
    let connections = random.between(1, 6).to_string();
    let mut arguments =
        [&CURL[..], &["-H", &cookie, "--parallel", "--parallel-max", &connections]].concat();
    let urls: Vec<String> = (0..random.between(1, most_assets))
        .map(|_| format!("{scheme}://{}/asset-{}", target.host, random.between(0, ASSETS - 1)))
        .collect();
    for url in &urls {
        arguments.extend(["--output", "/dev/null", url]);
    }
    scene.run("curl", &arguments)?;
    Ok(())
}

/// One to three files, fast or slow.
pub(crate) fn download(scene: &Scene<'_>, random: &mut Random) -> Result<Outcome> {
    let mut notes = Vec::new();
    for _ in 0..random.between(1, 3) {
        let megabytes = *random.pick(&DOWNLOADS_MB);
        let target = scene.target(random)?;
        fetch(scene, random, &target, megabytes, (megabytes << 20) as f64 / 8.0)?;
        notes.push(format!("{megabytes} MB from {}", target.host));
    }
    Ok(Outcome::benign(notes.join(", ")))
}

/// Fetches one file at this rate or up to twenty times as fast, and checks its length.
fn fetch(
    scene: &Scene<'_>,
    random: &mut Random,
    target: &Target,
    megabytes: usize,
    slowest: f64,
) -> Result<()> {
    let scheme = if random.chance(0.7) { "https" } else { "http" };
    let url = format!("{scheme}://{}/download-{megabytes}", target.url_host());
    let rate = (random.log_uniform(slowest, slowest * 20.0) as u64).to_string();
    let measure = ["--write-out", "%{size_download}", "--output", "/dev/null"];
    let got = scene.run(
        "curl",
        &[&CURL[..], &measure, &[target.family_flag(), "--limit-rate", &rate, &url]].concat(),
    )?;
    ensure!(
        got.trim() == (megabytes << 20).to_string(),
        "{megabytes} MB were asked for and {got} bytes came"
    );
    Ok(())
}

/// A program that calls its server: small JSON both ways, over one connection or a new one each time.
pub(crate) fn api(scene: &Scene<'_>, random: &mut Random) -> Result<Outcome> {
    let target = scene.named_target(random)?;
    let period = random.log_uniform(0.2, 1.5);
    let together = random.between(1, 5);
    let (mut calls, mut sent, start) = (0, 0, Instant::now());
    while start.elapsed().as_secs_f64() < LENGTH_SECS {
        let body =
            format!("{{\"event\":\"{}\"}}", random.word(10).repeat(random.between(1, 90) as usize));
        let url = format!("https://{}/api/v{}", target.host, random.between(1, 3));
        let mut arguments = CURL.to_vec();
        for number in 0..together {
            if number > 0 {
                arguments.extend(["--next", "--silent", "--show-error", "--fail", "--insecure"]);
            }
            arguments.extend([
                "-H",
                "Content-Type: application/json",
                "--data",
                &body,
                "--output",
                "/dev/null",
                &url,
            ]);
        }
        scene.run("curl", &arguments)?;
        calls += together;
        sent += body.len() * together as usize;
        pause(random, period * 0.8, period * 1.2);
    }
    ensure_arrived(sent, scene.sunk_bytes("/api/")?)?;
    Ok(Outcome::benign(format!("{calls} calls, {sent} bytes to {}", target.host)))
}

/// Says what it has, and fetches what it lacks.
pub(crate) fn update(scene: &Scene<'_>, random: &mut Random) -> Result<Outcome> {
    let target = scene.named_target(random)?;
    let inventory = random.size(1_000, 60_000);
    let body = format!("@{}", scene.document("inventory", &random.document(inventory))?);
    let url = format!("https://{}/api/check", target.host);
    scene.run(
        "curl",
        &[&CURL[..], &["--data-binary", &body, "--output", "/dev/null", &url]].concat(),
    )?;
    let files = random.between(1, 4);
    for _ in 0..files {
        let megabytes = *random.pick(&DOWNLOADS_MB[..4]);
        fetch(scene, random, &target, megabytes, (megabytes << 20) as f64 / 4.0)?;
        scene.run(
            "curl",
            &[&CURL[..], &["--data", "{\"done\":true}", "--output", "/dev/null", &url]].concat(),
        )?;
        pause(random, 0.1, 0.6);
    }
    Ok(Outcome::benign(format!(
        "{inventory} bytes of inventory to {}, {files} files back",
        target.host
    )))
}

/// Somebody fills in forms on a site that they also read, now and then with a document.
pub(crate) fn form(scene: &Scene<'_>, random: &mut Random) -> Result<Outcome> {
    send_forms(scene, random, 3_000, 400_000, 4)
}

/// Pictures for an album.
pub(crate) fn photos(scene: &Scene<'_>, random: &mut Random) -> Result<Outcome> {
    send_forms(scene, random, 800_000, 5_000_000, 6)
}

fn send_forms(
    scene: &Scene<'_>,
    random: &mut Random,
    smallest: u64,
    largest: u64,
    most: u64,
) -> Result<Outcome> {
    let target = scene.named_target(random)?;
    let (forms, mut sent) = (random.between(1, most), 0);
    let page = format!("https://{}/page-{}.html", target.host, random.between(0, ASSETS - 1));
    for number in 0..forms {
        scene.run("curl", &[&CURL[..], &["--output", "/dev/null", &page]].concat())?;
        pause(random, 0.3, 1.2);
        let size = random.size(smallest, largest);
        let part = format!("picture=@{}", scene.document("IMG_0042.jpg", &random.bytes(size))?);
        let url = format!("https://{}/up/form-{number}", target.host);
        scene.run(
            "curl",
            &[
                &CURL[..],
                &["--form", "title=holiday", "--form", &part, "--output", "/dev/null", &url],
            ]
            .concat(),
        )?;
        sent += size;
    }
    let arrived = scene.sunk_bytes("/up/form")?;
    ensure!(
        (sent..sent + 1_000 * forms as usize).contains(&arrived),
        "{sent} bytes were sent in forms and {arrived} arrived"
    );
    Ok(Outcome::benign(format!("{forms} forms, {sent} bytes to {}", target.host)))
}

/// Several connections down, then several up.
pub(crate) fn speed_test(scene: &Scene<'_>, random: &mut Random) -> Result<Outcome> {
    let target = scene.named_target(random)?;
    let connections = random.between(2, 6) as usize;
    let size = random.size(1_500_000, 8_000_000);
    let file = scene.document("noise", &random.bytes(size))?;
    let (down, up) = (
        format!("https://{}/download-3", target.host),
        format!("https://{}/up/speed", target.host),
    );
    let mut arguments = [&CURL[..], &["--parallel"]].concat();
    (0..connections).for_each(|_| arguments.extend(["--output", "/dev/null", &down]));
    scene.run("curl", &arguments)?;
    let mut arguments = [&CURL[..], &["--parallel", "--http1.1"]].concat();
    (0..connections)
        .for_each(|_| arguments.extend(["--output", "/dev/null", "--upload-file", &file, &up]));
    scene.run("curl", &arguments)?;
    ensure_arrived(size * connections, scene.sunk_bytes("/up/speed")?)?;
    Ok(Outcome::benign(format!(
        "{connections} connections, {} bytes up to {}",
        size * connections,
        target.host
    )))
}
