//! Ordinary use of the proof's tools.

use std::fs;
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use detector_tests::wait_for_tcp_listener;

use super::ways;
use crate::benign::{pause, tunnel as browsing};
use crate::random::Random;
use crate::scene::{DEPOT, DOH_PORT, Outcome, Scene, Target, ensure_arrived};
use crate::shared::DOWNLOADS_MB;
use crate::tools::ftp;
use crate::tools::mail;
use crate::tools::upload::folder_bytes;

const START: Duration = Duration::from_secs(15);
const SUBMISSION: u16 = 587;
const SPEED_TEST_PORT: u16 = 5201;

/// Pages with all that belongs to them, and a form.
pub(crate) fn wget(scene: &Scene<'_>, random: &mut Random) -> Result<Outcome> {
    let target = scene.named_target(random)?;
    let fixed = ["--quiet", "--no-check-certificate", "--output-document=/dev/null"];
    let mut sent = 0;
    for number in 0..random.between(3, 12) {
        let page = format!("https://{}/page-{}.html", target.host, random.between(0, 59));
        scene.run("wget", &[&fixed[..], &[&page]].concat())?;
        let text = format!(
            "name={}&text={}",
            random.word(6),
            random.word(random.clone().between(20, 900) as usize)
        );
        let body = format!("--post-data={text}");
        let url = format!("https://{}/up/form-{number}", target.host);
        scene.run("wget", &[&fixed[..], &[&body, &url]].concat())?;
        sent += text.len();
        pause(random, 0.1, 0.9);
    }
    ensure_arrived(sent, scene.sunk_bytes("/up/form")?)?;
    Ok(Outcome::benign(format!("{sent} bytes in forms to {}", target.host)))
}

/// A shared folder: fetched whole, then changed a little.
pub(crate) fn rclone(scene: &Scene<'_>, random: &mut Random) -> Result<Outcome> {
    let _server = ways::webdav(scene)?;
    let target = scene.named_target(random)?;
    let there = scene.inbox("shared");
    fs::create_dir_all(&there).context("failed to create the shared folder")?;
    for number in 0..random.between(3, 12) {
        let size = random.size(5_000, 2_000_000);
        fs::write(there.join(format!("document-{number}")), random.bytes(size))
            .context("failed to fill it")?;
    }
    let here = scene.scratch.join("copy").display().to_string();
    ways::rclone(scene, &target, ":webdav:shared", &here)?;
    pause(random, 0.5, 2.0);
    let change = random.size(2_000, 200_000);
    let changed = ways::folder(scene, random, "changed", change)?;
    ways::rclone(scene, &target, &changed, ":webdav:shared")?;
    let held = folder_bytes(&there)?;
    ensure_arrived(held, folder_bytes(here.as_ref())? + change)?;
    Ok(Outcome::benign(format!("{held} bytes shared with {}, {change} of them new", target.host)))
}

/// A release fetched, and a site published.
pub(crate) fn lftp(scene: &Scene<'_>, random: &mut Random) -> Result<Outcome> {
    let target = scene.named_target(random)?;
    let size = random.size(20_000, 4_000_000);
    let name = format!("{}.iso", random.word(6));
    let change = random.size(5_000, 90_000);
    let site = ways::folder(scene, random, "site", change)?;
    fs::write(scene.inbox(&name), random.bytes(size)).context("failed to write a release")?;
    let here = scene.scratch.join("fetched").display().to_string();
    if random.chance(0.5) {
        let _server = ftp::serve(scene, random.between(10_000, 30_000) as u16, 60)?;
        ways::lftp_ftp(scene, &target, &format!("get {name} -o {here}; mirror -R {site} site"))?;
    } else {
        let _server = ways::sshd(scene)?;
        let there = scene.inbox("").display().to_string();
        ways::lftp_sftp(
            scene,
            &target,
            &format!("get {there}/{name} -o {here}; mirror -R {site} {there}/site"),
        )?;
    }
    ensure_arrived(size, fs::metadata(&here).context("nothing came")?.len() as usize)?;
    ensure_arrived(change, folder_bytes(&scene.inbox("site"))?)?;
    Ok(Outcome::benign(format!("{size} bytes from and {change} to {}", target.host)))
}

/// Into the home's own depot, twice.
pub(crate) fn borg(scene: &Scene<'_>, random: &mut Random) -> Result<Outcome> {
    let target = Target { host: DEPOT.to_owned(), address: DEPOT.parse().context("no address")? };
    let bytes = random.size(200_000, 12_000_000);
    let folder = ways::folder(scene, random, "home", bytes)?;
    ways::borg(scene, &target, &folder, "monday")?;
    let held = folder_bytes(&scene.inbox("borg"))?;
    ensure!(held >= bytes, "{bytes} bytes were sent and the repository holds {held}");
    let change = random.size(5_000, 300_000);
    ways::folder(scene, random, "home/new", change)?;
    ways::borg(scene, &target, &folder, "tuesday")?;
    Ok(Outcome::benign(format!("{bytes} bytes, then {change}, to {DEPOT}")))
}

/// A browser's questions, each over a connection of its own.
pub(crate) fn kdig(scene: &Scene<'_>, random: &mut Random) -> Result<Outcome> {
    let target = scene.named_target(random)?;
    let log = scene.scratch.join("names.log").display().to_string();
    let _server = scene.start_script(
        scene.internet(),
        "doh.py",
        &["serve".to_owned(), DOH_PORT.to_string(), log],
    )?;
    wait_for_tcp_listener(scene.internet(), DOH_PORT, START)?;
    let server = format!("@{}", target.address);
    let count = random.between(15, 60);
    for _ in 0..count {
        let name = random.pick(&scene.shared.sites).name.clone();
        let kind = random.pick::<&str>(&["A", "A", "AAAA", "HTTPS"]).to_string();
        scene.run("kdig", &["+https", "+short", &server, &name, &kind])?;
        pause(random, 0.0, 0.3);
    }
    Ok(Outcome::benign(format!("{count} look-ups at {}", target.host)))
}

/// Letters to others, handed in by curl after STARTTLS.
pub(crate) fn mail(scene: &Scene<'_>, random: &mut Random) -> Result<Outcome> {
    let target = scene.named_target(random)?;
    let _server = mail::serve(scene, &[SUBMISSION])?;
    let own = format!("{}@{}", random.word(7), target.host);
    let letters = random.between(1, 6) as usize;
    for _ in 0..letters {
        let to = format!("{}@{}.example", random.word(7), random.word(6));
        let words: Vec<String> = (0..random.between(10, 300)).map(|_| random.word(5)).collect();
        let text = words.chunks(9).map(|line| line.join(" ")).collect::<Vec<_>>().join("\r\n");
        let letter =
            format!("From: {own}\r\nTo: {to}\r\nSubject: {}\r\n\r\n{text}\r\n", random.word(9));
        let file = scene.document("letter", letter.as_bytes())?;
        let url = format!("smtp://{}:{SUBMISSION}/client", target.address);
        let login = format!("{own}:correct-horse");
        let arguments = [
            "--silent",
            "--show-error",
            "--ssl-reqd",
            "--insecure",
            "--mail-from",
            &own,
            "--mail-rcpt",
            &to,
            "--user",
            &login,
            "--upload-file",
            &file,
            &url,
        ];
        scene.run("curl", &arguments)?;
        pause(random, 0.2, 1.0);
    }
    mail::ensure_delivered(scene, letters, 0)?;
    Ok(Outcome::benign(format!("{letters} letters by {}", target.host)))
}

/// hping3 as people watch hosts with it: nothing inside, or zeros.
pub(crate) fn hping(scene: &Scene<'_>, random: &mut Random) -> Result<Outcome> {
    let target = scene.named_target(random)?;
    let [count, size] =
        [random.between(10, 80).to_string(), random.pick(&["0", "64", "1200"]).to_string()];
    let address = target.address.to_string();
    let arguments = ["--icmp", "--quiet", "-c", &count, "-d", &size, "-i", "u60000", &address];
    let output = scene.run_with_status("hping3", &arguments, &[0, 1])?;
    ensure!(!output.contains(" 0 packets received"), "no reply at all: {output}");
    Ok(Outcome::benign(format!("{count} of {size} bytes to {}", target.host)))
}

/// One file over many connections.
pub(crate) fn aria(scene: &Scene<'_>, random: &mut Random) -> Result<Outcome> {
    let target = scene.named_target(random)?;
    let megabytes = *random.pick(&DOWNLOADS_MB[..4]);
    let url = format!("https://{}/download-{megabytes}", target.host);
    let folder = format!("--dir={}", scene.scratch.path().display());
    let connections = random.between(2, 8).to_string();
    let arguments = [
        "--quiet=true",
        "--check-certificate=false",
        "--min-split-size=1M",
        "-x",
        &connections,
        "-s",
        &connections,
        &folder,
        "--out=fetched",
        &url,
    ];
    scene.run("aria2c", &arguments)?;
    let came = fs::metadata(scene.scratch.join("fetched")).context("nothing came")?.len();
    ensure_arrived(megabytes << 20, came as usize)?;
    Ok(Outcome::benign(format!(
        "{megabytes} MB over {connections} connections from {}",
        target.host
    )))
}

/// Down, then up, as fast as the line.
pub(crate) fn iperf(scene: &Scene<'_>, random: &mut Random) -> Result<Outcome> {
    let target = scene.named_target(random)?;
    let port = SPEED_TEST_PORT.to_string();
    let _server = scene.internet().spawn("iperf3", ["-s", "-p", &port])?;
    wait_for_tcp_listener(scene.internet(), SPEED_TEST_PORT, START)?;
    let streams = random.between(1, 4).to_string();
    let address = target.address.to_string();
    let fixed = ["-c", &address, "-p", &port, "-n", "5M", "-P", &streams];
    scene.run("iperf3", &[&fixed[..], &["-R"]].concat())?;
    let output = scene.run("iperf3", &fixed)?;
    ensure!(output.contains("receiver"), "iperf3 does not say what arrived: {output}");
    Ok(Outcome::benign(format!("{streams} streams to {}", target.host)))
}

pub(crate) fn openvpn(scene: &Scene<'_>, random: &mut Random) -> Result<Outcome> {
    browsing::openvpn(scene, random)
}
