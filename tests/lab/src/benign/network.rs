//! Names, pings and calls.

use anyhow::{Context, Result, ensure};
use std::time::{Duration, Instant};

use super::{LENGTH_SECS, pause};
use crate::random::Random;
use crate::scene::{Outcome, Scene, resolver};
use crate::sites;

const START: Duration = Duration::from_secs(10);
const CALL_PORT: u16 = 19_302;

/// What a busy day asks: known names, unknown ones, mail servers, and names made of digests as virus
/// scanners and content networks use them.
pub(crate) fn lookups(scene: &Scene<'_>, random: &mut Random) -> Result<Outcome> {
    let (mut asked, start) = (0, Instant::now());
    while start.elapsed().as_secs_f64() < LENGTH_SECS {
        asked += ask(scene, random, "names", 50)?;
        pause(random, 0.1, 1.2);
    }
    Ok(Outcome::benign(format!("{asked} names")))
}

/// Up to `most` questions at once; `batch` names the file that holds them.
pub(crate) fn ask(scene: &Scene<'_>, random: &mut Random, batch: &str, most: u64) -> Result<u64> {
    let through = format!("@{}", resolver(random));
    let count = random.between(2, most);
    let list: String = (0..count).map(|_| question(scene, random)).collect();
    let batch = scene.document(batch, list.as_bytes())?;
    // 9: no answer to one of them, as a lossy line has it.
    let arguments = [&through, "+short", "+tries=3", "+timeout=2", "-f", &batch];
    scene.run_with_status("dig", &arguments, &[0, 9])?;
    Ok(count)
}

fn question(scene: &Scene<'_>, random: &mut Random) -> String {
    let site = random.pick(sites::visited(&scene.shared.sites)).name.clone();
    match random.between(0, 19) {
        0..=8 => format!("{site} A\n"),
        9..=13 => format!("{site} AAAA\n"),
        14 => format!("{site} MX\n"),
        15 => format!("{site} TXT\n"),
        16 => format!("{}.{site} A\n", random.word(7)),
        17 => format!("{}.com A\n", random.word(9)),
        18 => format!("{:016x}.avts.{site} A\n", random.next()),
        _ => format!(
            "e{}.{}.akamaiedge-{}.net A\n",
            random.between(1_000, 99_999),
            random.word(2),
            random.word(3)
        ),
    }
}

/// Monitoring: a few hosts, ordinary and large payloads, also such that need fragments.
pub(crate) fn ping(scene: &Scene<'_>, random: &mut Random) -> Result<Outcome> {
    let mut notes = Vec::new();
    for _ in 0..random.between(1, 4) {
        let target = scene.target(random)?;
        let size = *random.pick(&[56_u64, 56, 32, 1_000, 1_400, 4_000, 8_000]);
        let interval = random.log_uniform(0.02, 0.5);
        let count = ((2.5 / interval) as u64).max(3);
        let [size_text, interval_text, count_text] =
            [size.to_string(), format!("{interval:.3}"), count.to_string()];
        let arguments = [
            "-q",
            "-n",
            "-s",
            &size_text,
            "-i",
            &interval_text,
            "-c",
            &count_text,
            &target.address.to_string(),
        ];
        // 1: some reply is missing.
        let output = scene.run_with_status("ping", &arguments, &[0, 1])?;
        ensure!(!output.contains(" 0 received"), "no reply at all: {output}");
        notes.push(format!("{count} of {size} bytes to {}", target.host));
    }
    Ok(Outcome::benign(notes.join(", ")))
}

/// Sound and pictures both ways over UDP.
pub(crate) fn call(scene: &Scene<'_>, random: &mut Random) -> Result<Outcome> {
    let target = scene.target(random)?;
    let kbit = random.between(200, 2_500);
    // Without it nothing can listen at an IPv6 address that only a route makes its own.
    scene.internet().sysctl("net.ipv6.ip_nonlocal_bind", "1")?;
    let answering = scene.start_script(
        scene.internet(),
        "call.py",
        &["answer".to_owned(), target.address.to_string(), CALL_PORT.to_string()],
    )?;
    answering.wait_for_line("ready", START)?;
    let arguments = [
        "dial".to_owned(),
        target.address.to_string(),
        CALL_PORT.to_string(),
        LENGTH_SECS.to_string(),
        kbit.to_string(),
        random.between(0, 1_000_000).to_string(),
    ];
    let output = scene.run_script("call.py", &arguments)?;
    let heard: usize =
        output.trim().parse().with_context(|| format!("the caller said {output:?}"))?;
    ensure!(heard > 100_000, "a call in which only {heard} bytes were heard");
    Ok(Outcome::benign(format!("{kbit} kbit/s out, {heard} bytes heard from {}", target.address)))
}
