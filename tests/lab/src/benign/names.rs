//! Look-ups that resemble a tunnel to somebody who only counts: digests, block lists, crawls, signatures,
//! devices at home, and a browser's own resolver over HTTPS.

use std::time::Duration;

use anyhow::{Context, Result, ensure};
use detector_tests::{Topology, wait_for_tcp_listener};

use super::{LENGTH_SECS, pause};
use crate::random::Random;
use crate::scene::{DOH_PORT, Outcome, Scene, resolver};
use crate::sites::{PUBLIC_RESOLVER, THIEF_NAME_SERVER, WILD_TOP_LEVEL};

const START: Duration = Duration::from_secs(15);

/// A virus scanner's: the digest of each file it sees, under its maker's domain.
pub(crate) fn digests(scene: &Scene<'_>, random: &mut Random) -> Result<Outcome> {
    let zone = format!("avqs.{}.{}", random.word(6), random.pick(&WILD_TOP_LEVEL));
    let digits = *random.pick(&[32, 40, 64]);
    let names = move |random: &mut Random| {
        let digest: String = (0..digits / 16).map(|_| format!("{:016x}", random.next())).collect();
        let digest =
            if digits == 64 { format!("{}.{}", &digest[..32], &digest[32..]) } else { digest };
        format!("{digest}.{zone} {}\n", if digits == 40 { "TXT" } else { "A" })
    };
    let count = random.between(40, 250);
    ask_all(scene, random, count, names)
}

/// A mail server's: each sender's address, backwards, at three lists.
pub(crate) fn block_lists(scene: &Scene<'_>, random: &mut Random) -> Result<Outcome> {
    let lists: Vec<String> = ["zen", "bl", "dnsbl"]
        .map(|list| format!("{list}.{}.{}", random.word(6), random.pick(&WILD_TOP_LEVEL)))
        .into();
    let names = move |random: &mut Random| {
        let octets: Vec<String> = (0..4).map(|_| random.between(1, 254).to_string()).collect();
        format!("{}.{} A\n", octets.join("."), random.pick(&lists))
    };
    let count = random.between(60, 300);
    ask_all(scene, random, count, names)
}

/// A thousand domains, each once, as search engines and link checkers ask.
pub(crate) fn crawl(scene: &Scene<'_>, random: &mut Random) -> Result<Outcome> {
    let names = |random: &mut Random| {
        let length = random.between(4, 16) as usize;
        let host = random.pick::<&str>(&["www.", "", "m.", "blog."]).to_string();
        format!("{host}{}.{} A\n", random.word(length), random.pick(&WILD_TOP_LEVEL))
    };
    ask_all(scene, random, 1_000, names)
}

/// In batches, with up to four programs at once.
fn ask_all(
    scene: &Scene<'_>,
    random: &mut Random,
    count: u64,
    mut name: impl FnMut(&mut Random) -> String,
) -> Result<Outcome> {
    let through = format!("@{}", resolver(random));
    let names: Vec<String> = (0..count).map(|_| name(random)).collect();
    for (number, batch) in names.chunks(100).enumerate() {
        let files = batch.chunks(25).enumerate().map(|(part, names)| {
            scene.document(&format!("asked-{number}-{part}"), names.concat().as_bytes())
        });
        let mut programs = files
            .map(|file| {
                scene
                    .client()
                    .spawn("dig", [&through, "+short", "+tries=3", "+timeout=2", "-f", &file?])
            })
            .collect::<Result<Vec<_>>>()?;
        for program in &mut programs {
            program.wait(START * 4)?;
        }
        pause(random, 0.05, 0.8);
    }
    Ok(Outcome::benign(format!("{count} names at {through}, such as {}", names[0].trim())))
}

/// A validating resolver's: keys and signatures of a kilobyte each.
pub(crate) fn signatures(scene: &Scene<'_>, random: &mut Random) -> Result<Outcome> {
    let server =
        scene.start_script(scene.internet(), "signed_zone.py", &[THIEF_NAME_SERVER.to_owned()])?;
    server.wait_for_line("ready", START)?;
    let count = random.between(40, 160);
    let list: String = (0..count)
        .map(|_| {
            let kind = random.pick::<&str>(&["A", "A", "TXT", "DNSKEY"]).to_string();
            format!("{}.{} {kind}\n", random.word(5), scene.thief_zone)
        })
        .collect();
    let batch = scene.document("signed", list.as_bytes())?;
    let through = format!("@{PUBLIC_RESOLVER}");
    let arguments = [&through, "+dnssec", "+bufsize=4096", "+tries=3", "+timeout=2", "-f", &batch];
    let output = scene.run_with_status("dig", &arguments, &[0, 9])?;
    let signed = output.lines().filter(|line| line.contains("RRSIG")).count();
    ensure!(signed as u64 > count / 2, "{count} names were asked, {signed} signatures came");
    Ok(Outcome::benign(format!("{count} names with {signed} signatures at {through}")))
}

/// Devices at home that look for each other.
pub(crate) fn multicast(scene: &Scene<'_>, random: &mut Random) -> Result<Outcome> {
    let own = scene.source_for(Topology::GATEWAY_V4.parse().context("no address")?)?;
    let seed = random.between(0, 1 << 30);
    let arguments = [own.to_string(), LENGTH_SECS.to_string(), seed.to_string()];
    let sent = scene.run_script("mdns.py", &arguments)?;
    Ok(Outcome::benign(format!("{} messages by multicast", sent.trim())))
}

/// A browser that asks a resolver of its own over HTTPS.
pub(crate) fn over_https(scene: &Scene<'_>, random: &mut Random) -> Result<Outcome> {
    let target = scene.named_target(random)?;
    let log = scene.scratch.join("names.log").display().to_string();
    let serve = ["serve".to_owned(), DOH_PORT.to_string(), log];
    let _server = scene.start_script(scene.internet(), "doh.py", &serve)?;
    wait_for_tcp_listener(scene.internet(), DOH_PORT, START)?;
    let names: Vec<&str> = scene.shared.sites.iter().map(|site| site.name.as_str()).collect();
    let file = scene.document("browsed", names.join("\n").as_bytes())?;
    let method = *random.pick(&["get", "post", "post"]);
    let pad = *random.pick(&["0", "128", "128"]);
    let seed = random.between(0, 1 << 30).to_string();
    let seconds = LENGTH_SECS.to_string();
    let browse = ["browse", &target.host, &file, &seconds, method, pad, &seed].map(str::to_owned);
    let asked = scene.run_script("doh.py", &browse)?;
    let asked: u64 = asked.trim().parse().with_context(|| format!("it says {asked:?}"))?;
    ensure!(asked > 5, "only {asked} look-ups");
    Ok(Outcome::benign(format!("{asked} look-ups by {method} at {}", target.host)))
}
