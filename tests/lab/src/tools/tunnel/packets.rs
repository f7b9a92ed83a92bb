//! Tunnels for whole packets.

use std::fs::{self, Permissions};
use std::os::unix::fs::PermissionsExt;
use std::process::Command;

use anyhow::{Context, Result, ensure};
use detector_tests::{Background, Namespace, poll_until, run_checked};

use super::{START, Tunnel};
use crate::random::Random;
use crate::scene::Scene;

const WIREGUARD_PORT: u16 = 51_820;
const OPENVPN_PORT: u16 = 1194;
/// The far and the near end inside.
const INSIDE: [&str; 2] = ["10.97.0.1", "10.97.0.2"];

/// WireGuard in userspace.
pub(crate) fn wireguard(scene: &Scene<'_>, random: &mut Random) -> Result<Tunnel> {
    let target = scene.named_target(random)?;
    // The control sockets of all namespaces share a folder: names must not meet.
    let number = random.between(0, 0xff_ffff);
    let [far, near] = ["f", "n"].map(|end| format!("wg{end}{number:x}"));
    let far_keys = key_pair(scene, "far.key")?;
    let near_keys = key_pair(scene, "near.key")?;
    let programs = vec![device(scene.internet(), &far)?, device(scene.client(), &near)?];
    let port = WIREGUARD_PORT.to_string();
    let endpoint = format!("{}:{port}", target.address);
    let fixed = ["set", &far, "private-key", &far_keys.0, "listen-port", &port];
    let peer = ["peer", &near_keys.1, "allowed-ips", "10.97.0.2/32"];
    scene.internet().run("wg", fixed.into_iter().chain(peer))?;
    let fixed = ["set", &near, "private-key", &near_keys.0];
    let peer = ["peer", &far_keys.1, "allowed-ips", "10.97.0.1/32", "endpoint", &endpoint];
    scene.client().run("wg", fixed.into_iter().chain(peer))?;
    for (namespace, name, address) in
        [(scene.internet(), &far, INSIDE[0]), (scene.client(), &near, INSIDE[1])]
    {
        namespace.ip(&format!("address add {address}/24 dev {name}"))?;
        namespace.ip(&format!("link set {name} mtu 1240 up"))?;
    }
    let web = format!("http://{}", INSIDE[0]);
    Ok(Tunnel {
        _programs: programs,
        target,
        protocol: "udp",
        port: WIREGUARD_PORT,
        flags: Vec::new(),
        web,
    })
}

fn device(namespace: &Namespace, name: &str) -> Result<Background> {
    let program = namespace.spawn("wireguard-go", ["-f", name])?;
    poll_until(START, || namespace.ip(&format!("link show {name}")).ok().map(drop))
        .with_context(|| format!("wireguard-go made no interface: {}", program.output()))?;
    Ok(program)
}

/// The private key's file, and the public key.
fn key_pair(scene: &Scene<'_>, name: &str) -> Result<(String, String)> {
    let private = run_checked(Command::new("wg").arg("genkey"))?;
    let file = scene.document(name, private.as_bytes())?;
    fs::set_permissions(&file, Permissions::from_mode(0o600)).context("failed to hide a key")?;
    let public = scene.run("sh", &["-c", &format!("wg pubkey < {file}")])?;
    ensure!(public.trim().len() == 44, "wg says the public key is {public:?}");
    Ok((file, public.trim().to_owned()))
}

/// OpenVPN with one key between the two, which its versions up to 2.6 still take.
pub(crate) fn openvpn(scene: &Scene<'_>, random: &mut Random) -> Result<Tunnel> {
    let target = scene.named_target(random)?;
    let secret = scene.scratch.join("static.key").display().to_string();
    run_checked(Command::new("openvpn").args(["--genkey", "secret", &secret]))?;
    let port = OPENVPN_PORT.to_string();
    let common = [
        "--dev-type",
        "tun",
        "--dev",
        "ovpn0",
        "--proto",
        "udp4",
        "--cipher",
        "AES-256-CBC",
        "--secret",
        &secret,
        "--tun-mtu",
        "1300",
    ];
    let address = target.address.to_string();
    let far = ["--local", &address, "--lport", &port, "--ifconfig", INSIDE[0], INSIDE[1]];
    let near = [
        "--remote",
        &address,
        &port,
        "--nobind",
        "--ping",
        "5",
        "--ifconfig",
        INSIDE[1],
        INSIDE[0],
    ];
    let server = scene.internet().spawn("openvpn", common.iter().chain(&far))?;
    let client = scene.client().spawn("openvpn", common.iter().chain(&near))?;
    client.wait_for_line("Initialization Sequence Completed", START * 2)?;
    let web = format!("http://{}", INSIDE[0]);
    Ok(Tunnel {
        _programs: vec![server, client],
        target,
        protocol: "udp",
        port: OPENVPN_PORT,
        flags: Vec::new(),
        web,
    })
}
