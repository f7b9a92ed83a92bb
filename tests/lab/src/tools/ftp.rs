//! FTP by curl or by Python's ftplib, in the modes that tell the data where to go, and its server.

use std::time::Duration;

use anyhow::{Context, Result};
use detector_tests::Background;

use crate::random::Random;
use crate::scene::{Scene, Target};

const START: Duration = Duration::from_secs(15);
pub(crate) const CONTROL_PORT: u16 = 21;
/// Where the client listens first in active mode.
const ACTIVE_PORT: u16 = 40_021;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Mode {
    /// PASV, which knows IPv4 only.
    Passive,
    /// EPSV.
    Extended,
    /// PORT or EPRT: the server connects to the client.
    Active,
    /// Python's ftplib, passive.
    Library,
}

impl Mode {
    pub(crate) fn draw(random: &mut Random) -> Self {
        *random.pick(&[Self::Passive, Self::Extended, Self::Active, Self::Library])
    }

    /// The port of the data connection that the manifest names.
    pub(crate) fn data_port(self, passive: u16) -> u16 {
        if self == Self::Active { ACTIVE_PORT } else { passive }
    }

    fn flags(self) -> &'static [&'static str] {
        match self {
            Self::Passive => &["--disable-epsv"],
            Self::Extended | Self::Library => &[],
            Self::Active => &["--ftp-port", "lan0:40021-40120"],
        }
    }
}

/// A server on the internet whose root is the scene's inbox; data at `ports` ports from `passive` on.
pub(crate) fn serve(scene: &Scene<'_>, passive: u16, ports: u16) -> Result<Background> {
    // Without it a server cannot listen at an IPv6 address that only a route makes its own.
    scene.internet().sysctl("net.ipv6.ip_nonlocal_bind", "1")?;
    let root = scene.inbox("").display().to_string();
    let arguments = [root, passive.to_string(), ports.to_string()];
    let server = scene.start_script(scene.internet(), "ftp_server.py", &arguments)?;
    server.wait_for_line("ready", START)?;
    Ok(server)
}

/// Stores `files` under their own names, over one control connection.
pub(crate) fn put(scene: &Scene<'_>, mode: Mode, target: &Target, files: &[String]) -> Result<()> {
    if mode == Mode::Library {
        let arguments = [&[target.address.to_string()], files].concat();
        scene.run_script("ftp.py", &arguments)?;
        return Ok(());
    }
    let list = files.join(",");
    let list = if files.len() > 1 { format!("{{{list}}}") } else { list };
    let url = url(target);
    let fixed =
        ["--silent", "--show-error", "--user", "user:correct-horse", "--upload-file", &list, &url];
    scene.run("curl", &[&fixed[..], mode.flags()].concat())?;
    Ok(())
}

/// Fetches one file of the server.
pub(crate) fn get(scene: &Scene<'_>, mode: Mode, target: &Target, name: &str) -> Result<usize> {
    let url = format!("{}{name}", url(target));
    let fixed = [
        "--silent",
        "--show-error",
        "--user",
        "user:correct-horse",
        "--output",
        "/dev/null",
        "--write-out",
        "%{size_download}",
        &url,
    ];
    let got = scene.run("curl", &[&fixed[..], mode.flags()].concat())?;
    got.trim().parse().with_context(|| format!("curl says it fetched {got:?}"))
}

fn url(target: &Target) -> String {
    format!("ftp://{}/", target.url_host())
}
