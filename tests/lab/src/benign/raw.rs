//! Lines of text that machines send to those who collect them, in clear and inside TLS.

use std::fs;
use std::net::SocketAddr;
use std::time::Duration;

use anyhow::Result;
use detector_tests::{poll_until, wait_for_tcp_listener};

use crate::random::Random;
use crate::scene::{Outcome, Scene, ensure_arrived};

const START: Duration = Duration::from_secs(10);
/// Syslog, a metrics store, and a collector of somebody's own.
const PORTS: [u16; 3] = [514, 2003, 9001];

/// A log's lines as they come.
pub(crate) fn logs(scene: &Scene<'_>, random: &mut Random) -> Result<Outcome> {
    let port = *random.pick(&PORTS);
    ship(scene, random, port, format!("TCP6-LISTEN:{port},ipv6only=0,reuseaddr"), "TCP", "")
}

/// The same inside TLS (RFC 5425).
pub(crate) fn logs_in_tls(scene: &Scene<'_>, random: &mut Random) -> Result<Outcome> {
    let [certificate, key] = ["tls.crt", "tls.key"].map(|name| scene.shared.path(name));
    let listen = format!(
        "OPENSSL-LISTEN:6514,pf=ip6,ipv6only=0,reuseaddr,cert={certificate},key={key},verify=0"
    );
    ship(scene, random, 6514, listen, "OPENSSL", ",verify=0")
}

fn ship(
    scene: &Scene<'_>,
    random: &mut Random,
    port: u16,
    listen: String,
    kind: &str,
    options: &str,
) -> Result<Outcome> {
    let target = scene.named_target(random)?;
    let got = scene.inbox("got");
    let _collector = scene
        .internet()
        .spawn("socat", ["-u", &listen, &format!("OPEN:{},creat", got.display())])?;
    wait_for_tcp_listener(scene.internet(), port, START)?;
    let length = random.size(2_000, 300_000);
    let mut log = String::new();
    while log.len() < length {
        let [program, word] = [random.word(5), random.word(9)];
        log.push_str(&format!(
            "<30>{program}[{}]: {word} took {} ms\n",
            random.between(100, 9_999),
            random.between(1, 999)
        ));
    }
    let file = scene.document("log", log.as_bytes())?;
    let pause_secs = 8.0 / log.lines().count().div_ceil(20) as f64;
    let script = format!(
        "split -l 20 {file} {file}-; for part in {file}-*; do cat $part; sleep {pause_secs:.3}; done | socat -t 10 - {kind}:{}{options}",
        SocketAddr::new(target.address, port)
    );
    scene.run("sh", &["-c", &script])?;
    let arrived = || fs::metadata(&got).map_or(0, |file| file.len() as usize);
    poll_until(START, || (arrived() >= log.len()).then_some(())).ok();
    ensure_arrived(log.len(), arrived())?;
    Ok(Outcome::benign(format!("{} bytes of log to {}:{port}", log.len(), target.host)))
}
