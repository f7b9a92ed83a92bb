//! Ways to the internet through one other host, for a thief's upload and a person's pages alike. What the
//! network sees is the tunnel; what goes through it is HTTP.

mod packets;

use std::time::Duration;

use anyhow::Result;
use detector_tests::{Background, wait_for_tcp_listener};

pub(crate) use packets::{openvpn, wireguard};

use crate::random::Random;
use crate::scene::{Culprit, Scene, Target, ensure_arrived};

const START: Duration = Duration::from_secs(15);
const SOCKS_PORT: u16 = 1080;
const STUNNEL_PORT: u16 = 8443;
const LOCAL_PORT: u16 = 9001;
const PROXY_PORT: u16 = 3128;
/// A web server of the lab's internet.
const WEB: &str = "http://203.0.113.10";
const CURL: [&str; 6] =
    ["--silent", "--show-error", "--fail", "--insecure", "--output", "/dev/null"];

/// A way that stands.
#[derive(Debug)]
pub(crate) struct Tunnel {
    // They end when the tunnel is dropped.
    _programs: Vec<Background>,
    target: Target,
    protocol: &'static str,
    port: u16,
    /// How curl is told to go through it.
    flags: Vec<String>,
    /// Where a web server is, seen through it.
    web: String,
}

pub(crate) type Open = fn(&Scene<'_>, &mut Random) -> Result<Tunnel>;

impl Tunnel {
    pub(crate) fn culprit(&self, scene: &Scene<'_>) -> Result<Culprit> {
        scene.culprit(&self.target, self.protocol, Some(self.port))
    }

    pub(crate) fn host(&self) -> &str {
        &self.target.host
    }

    pub(crate) fn upload(
        &self,
        scene: &Scene<'_>,
        random: &mut Random,
        bytes: usize,
    ) -> Result<()> {
        let file = scene.document("stolen", &random.document(bytes))?;
        self.curl(scene, &["--upload-file", &file], "/up/tunnelled")?;
        ensure_arrived(bytes, scene.sunk_bytes("/up/tunnelled")?)
    }

    pub(crate) fn fetch(&self, scene: &Scene<'_>, path: &str) -> Result<()> {
        self.curl(scene, &[], path)
    }

    fn curl(&self, scene: &Scene<'_>, arguments: &[&str], path: &str) -> Result<()> {
        let flags: Vec<&str> = self.flags.iter().map(String::as_str).collect();
        let url = format!("{}{path}", self.web);
        scene.run("curl", &[&CURL[..], &flags, arguments, &[&url]].concat())?;
        Ok(())
    }
}

/// `ssh -D`: SOCKS through a shell's connection.
pub(crate) fn socks(scene: &Scene<'_>, random: &mut Random) -> Result<Tunnel> {
    let target = scene.named_target(random)?;
    let bind = format!("127.0.0.1:{SOCKS_PORT}");
    let ssh = scene.shared.path("ssh_config");
    let login = format!("root@{}", target.host);
    let client = scene.client().spawn("ssh", ["-N", "-F", &ssh, "-D", &bind, &login])?;
    wait_for_tcp_listener(scene.client(), SOCKS_PORT, START)?;
    let flags = vec!["--socks5-hostname".to_owned(), bind];
    Ok(Tunnel {
        _programs: vec![client],
        target,
        protocol: "tcp",
        port: 22,
        flags,
        web: WEB.to_owned(),
    })
}

/// stunnel at both ends: TLS around whatever it is.
pub(crate) fn stunnel(scene: &Scene<'_>, random: &mut Random) -> Result<Tunnel> {
    let target = scene.named_target(random)?;
    let [certificate, key] = ["tls.crt", "tls.key"].map(|name| scene.shared.path(name));
    let far = format!(
        "foreground = yes\npid =\n[web]\naccept = :::{STUNNEL_PORT}\nconnect = 127.0.0.1:80\ncert = {certificate}\nkey = {key}\n"
    );
    let near = format!(
        "foreground = yes\npid =\nclient = yes\n[web]\naccept = 127.0.0.1:{LOCAL_PORT}\nconnect = {}:{STUNNEL_PORT}\n",
        target.address
    );
    let far = scene.document("stunnel-far.conf", far.as_bytes())?;
    let near = scene.document("stunnel-near.conf", near.as_bytes())?;
    let server = scene.internet().spawn("stunnel", [far])?;
    wait_for_tcp_listener(scene.internet(), STUNNEL_PORT, START)?;
    let client = scene.client().spawn("stunnel", [near])?;
    wait_for_tcp_listener(scene.client(), LOCAL_PORT, START)?;
    let web = format!("http://127.0.0.1:{LOCAL_PORT}");
    Ok(Tunnel {
        _programs: vec![server, client],
        target,
        protocol: "tcp",
        port: STUNNEL_PORT,
        flags: Vec::new(),
        web,
    })
}

/// CONNECT through a proxy.
pub(crate) fn connect(scene: &Scene<'_>, random: &mut Random) -> Result<Tunnel> {
    let target = scene.named_target(random)?;
    let configuration = format!(
        "Port {PROXY_PORT}\nListen 0.0.0.0\nTimeout 60\nMaxClients 50\nConnectPort 80\nConnectPort 443\n"
    );
    let file = scene.document("tinyproxy.conf", configuration.as_bytes())?;
    let server = scene.internet().spawn("tinyproxy", ["-d", "-c", &file])?;
    wait_for_tcp_listener(scene.internet(), PROXY_PORT, START)?;
    let proxy = format!("http://{}:{PROXY_PORT}", target.host);
    let flags = vec!["--proxytunnel".to_owned(), "--proxy".to_owned(), proxy];
    let web = "https://203.0.113.10".to_owned();
    Ok(Tunnel { _programs: vec![server], target, protocol: "tcp", port: PROXY_PORT, flags, web })
}
