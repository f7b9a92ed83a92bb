//! HTTP/3: a server on the internet, and a client that puts and gets.

use std::time::Duration;

use anyhow::{Context, Result};
use detector_tests::Background;

use crate::scene::{Scene, Target};

const START: Duration = Duration::from_secs(15);
pub(crate) const PORT: u16 = 443;

/// At the target's own address: a server at all of them would answer from another one.
pub(crate) fn serve(scene: &Scene<'_>, target: &Target) -> Result<Background> {
    // Without it nothing can listen at an IPv6 address that only a route makes its own.
    scene.internet().sysctl("net.ipv6.ip_nonlocal_bind", "1")?;
    let [certificate, key] = ["tls.crt", "tls.key"].map(|name| scene.shared.path(name));
    let log = scene.scratch.join("sink.log").display().to_string();
    let arguments =
        ["serve".to_owned(), target.address.to_string(), PORT.to_string(), certificate, key, log];
    let server = scene.start_script(scene.internet(), "quic.py", &arguments)?;
    server.wait_for_line("ready", START)?;
    Ok(server)
}

/// Sends the file so many times, over one connection.
pub(crate) fn put(
    scene: &Scene<'_>,
    target: &Target,
    file: &str,
    times: u64,
    pause_secs: f64,
) -> Result<()> {
    ask(scene, target, ["put", file], times, pause_secs).map(drop)
}

/// Fetches so many bytes so many times, over one connection, and says how many came in all.
pub(crate) fn get(
    scene: &Scene<'_>,
    target: &Target,
    bytes: usize,
    times: u64,
    pause_secs: f64,
) -> Result<usize> {
    let came = ask(scene, target, ["get", &bytes.to_string()], times, pause_secs)?;
    came.trim().parse().with_context(|| format!("the client says {came:?}"))
}

fn ask(
    scene: &Scene<'_>,
    target: &Target,
    [method, what]: [&str; 2],
    times: u64,
    pause_secs: f64,
) -> Result<String> {
    let arguments = [
        method.to_owned(),
        target.host.clone(),
        target.address.to_string(),
        PORT.to_string(),
        what.to_owned(),
        times.to_string(),
        pause_secs.to_string(),
    ];
    scene.run_script("quic.py", &arguments)
}
