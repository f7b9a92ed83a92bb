//! One recording: namespaces, the line between them, servers, tcpdump at the gateway's inner interface,
//! the scenario itself, and the check of what arrived.

use std::fs;
use std::net::IpAddr;
use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use detector_tests::{
    Background, Namespace, Recorder, Scratch, ServerSpec, Topology, wait_for_tcp_listener,
    wait_for_udp_listener,
};

use super::benign;
use super::manifest::{self, Entry, Line};
use super::random::Random;
use super::shared::Shared;
use super::sites::{self, PUBLIC_RESOLVER, Site};
use super::table::{Label, Row};

const START: Duration = Duration::from_secs(15);
/// No program of a scenario may take longer.
const PROGRAM: Duration = Duration::from_secs(60);
/// Replies that are still on the line when the last program ends.
const TRAILING: Duration = Duration::from_millis(400);

pub(super) const SINK_PORT: u16 = 8080;
/// The backup host in the home's second network.
pub(super) const DEPOT: &str = "10.66.2.20";

/// Who leaks, to whom, how. The server's port, where the protocol has ports.
#[derive(Clone, Debug)]
pub(super) struct Culprit {
    pub(super) source: IpAddr,
    pub(super) destination: IpAddr,
    pub(super) protocol: &'static str,
    pub(super) port: Option<u16>,
}

/// What a scenario did.
#[derive(Clone, Debug, Default)]
pub(super) struct Outcome {
    pub(super) culprits: Vec<Culprit>,
    pub(super) arrived_bytes: Option<u64>,
    pub(super) notes: String,
}

impl Outcome {
    pub(super) fn benign(notes: impl Into<String>) -> Self {
        Self { notes: notes.into(), ..Self::default() }
    }

    /// A theft whose receiver has all `bytes`.
    pub(super) fn stolen(culprit: Culprit, bytes: usize, notes: impl Into<String>) -> Self {
        Self { culprits: vec![culprit], arrived_bytes: Some(bytes as u64), notes: notes.into() }
    }
}

/// Where a client connects to: by name, or by bare address.
#[derive(Clone, Debug)]
pub(super) struct Target {
    /// What a program is told: a name or an address.
    pub(super) host: String,
    pub(super) address: IpAddr,
}

impl Target {
    /// As part of a URL.
    pub(super) fn url_host(&self) -> String {
        if self.host.contains(':') { format!("[{}]", self.host) } else { self.host.clone() }
    }

    /// Keeps curl to the family that the label names.
    pub(super) fn family_flag(&self) -> &'static str {
        if self.address.is_ipv6() { "-6" } else { "-4" }
    }
}

/// A small world with servers running, for one scenario.
#[derive(Debug)]
pub(super) struct Scene<'a> {
    pub(super) shared: &'a Shared,
    // Servers end before their namespaces, and the namespaces before the folder.
    _services: Vec<Background>,
    network: Topology,
    pub(super) scratch: Scratch,
    pub(super) thief_zone: String,
    client_host: u8,
}

/// Makes one recording and labels it.
pub(super) fn record(shared: &Shared, row: &Row, run: u64) -> Result<Entry> {
    let mut random = Random::new(shared.seed.wrapping_add(run << 32), row.name);
    let line = draw_line(&mut random);
    let scene = Scene::open(shared, line, &mut random)?;
    let file = shared.recordings.join(format!("{}-s{}-{run}.pcap", row.name, shared.seed));
    let recorder = Recorder::start(&scene.network.gateway, Topology::GATEWAY_INNER, &file)?;
    let outcome = scene.play(row, &mut random)?;
    std::thread::sleep(TRAILING);
    let recording = recorder.stop()?;
    manifest::entry(row, run, shared.seed, line, &recording, outcome)
}

/// From a neighbouring city to another continent, over lines from 20 to 400 Mbit/s.
fn draw_line(random: &mut Random) -> Line {
    let delay_ms = random.log_uniform(1.5, 45.0);
    let loss = if random.chance(0.3) { random.log_uniform(0.0001, 0.003) } else { 0.0 };
    Line {
        delay_ms,
        jitter_ms: delay_ms * random.uniform(0.0, 0.15),
        loss,
        rate_mbit: random.log_uniform(20.0, 400.0),
    }
}

impl<'a> Scene<'a> {
    fn open(shared: &'a Shared, line: Line, random: &mut Random) -> Result<Self> {
        let client_host = random.between(10, 250) as u8;
        let network = Topology::builder()
            .client_host(client_host)
            .wire_size()
            .server(ServerSpec::internet().wire())
            .server(
                ServerSpec::new("depot")
                    .prefix("10.66.2.0/24")
                    .prefix("fd66:2::/64")
                    .address(DEPOT)
                    .address("fd66:2::20"),
            )
            .build()?;
        network.client.set_resolver(Topology::GATEWAY_V4)?;
        let scratch = Scratch::new("scene")?;
        fs::create_dir_all(scratch.join("inbox"))
            .context("failed to create the receivers' folder")?;
        let thief_zone = sites::thief_zone(random);
        let mut scene =
            Self { shared, _services: Vec::new(), network, scratch, thief_zone, client_host };
        scene._services = scene.start_services(line, random)?;
        Ok(scene)
    }

    fn start_services(&self, line: Line, random: &mut Random) -> Result<Vec<Background>> {
        let Line { delay_ms, jitter_ms, loss, rate_mbit } = line;
        let wire = self.network.wires[0].as_ref().context("the line to the internet is missing")?;
        let mut numbers =
            [delay_ms, jitter_ms, loss, rate_mbit].map(|number| number.to_string()).to_vec();
        numbers.push(random.between(0, 1 << 30).to_string());
        let wire = self.start_script(wire, "wire.py", &numbers)?;
        wire.wait_for_line("ready", START)?;
        let resolver = self.scratch.write(
            "resolver.conf",
            sites::resolver_configuration(&self.shared.sites, &self.thief_zone),
        )?;
        let forwarder = self
            .scratch
            .write("forwarder.conf", sites::forwarder_configuration(Topology::GATEWAY_V4))?;
        let log = self.scratch.join("sink.log").display().to_string();
        let services = vec![
            wire,
            dnsmasq(self.internet(), &resolver)?,
            dnsmasq(&self.network.gateway, &forwarder)?,
            self.start_script(self.internet(), "sink.py", &[SINK_PORT.to_string(), log])?,
            self.internet().spawn(
                "nginx",
                [
                    "-c",
                    &self
                        .scratch
                        .write("nginx.conf", self.nginx_configuration())?
                        .display()
                        .to_string(),
                ],
            )?,
            self.sshd(self.internet())?,
            self.sshd(self.depot())?,
        ];
        for port in [22, 80, 443, SINK_PORT] {
            wait_for_tcp_listener(self.internet(), port, START)?;
        }
        wait_for_tcp_listener(self.depot(), 22, START)?;
        wait_for_udp_listener(self.internet(), 53, START)?;
        wait_for_udp_listener(&self.network.gateway, 53, START)?;
        Ok(services)
    }

    /// Runs the scenario, a theft amid somebody's ordinary browsing.
    fn play(&self, row: &Row, random: &mut Random) -> Result<Outcome> {
        if row.label == Label::Benign {
            return (row.act)(self, random);
        }
        let over = AtomicBool::new(false);
        let mut others = Random::new(random.next(), "background");
        std::thread::scope(|scope| {
            let browsing = scope.spawn(|| benign::web::background(self, &mut others, &over));
            let outcome = (row.act)(self, random);
            over.store(true, Ordering::Relaxed);
            browsing.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic))?;
            outcome
        })
    }

    pub(super) fn client(&self) -> &Namespace {
        &self.network.client
    }

    pub(super) fn internet(&self) -> &Namespace {
        self.network.server()
    }

    pub(super) fn depot(&self) -> &Namespace {
        &self.network.servers[1]
    }

    /// Runs a program of the client to its end, within a limit.
    pub(super) fn run(&self, program: &str, arguments: &[&str]) -> Result<String> {
        self.run_with_status(program, arguments, &[0])
    }

    /// The same, where some other exit codes are in order, too.
    pub(super) fn run_with_status(
        &self,
        program: &str,
        arguments: &[&str],
        fine: &[i32],
    ) -> Result<String> {
        let mut child = self.client().spawn(program, arguments)?;
        let status = child.wait(PROGRAM)?;
        let output = child.output();
        let known = status.code().is_some_and(|code| fine.contains(&code));
        ensure!(known, "{program} {} ended with {status}: {output}", arguments.join(" "));
        Ok(output)
    }

    /// Starts one of the lab's own scripts.
    pub(super) fn start_script(
        &self,
        namespace: &Namespace,
        script: &str,
        arguments: &[String],
    ) -> Result<Background> {
        let path = self.shared.path(script);
        namespace.spawn(python(), std::iter::once(&path).chain(arguments))
    }

    /// Runs one of the lab's own scripts as a program of the client.
    pub(super) fn run_script(&self, script: &str, arguments: &[String]) -> Result<String> {
        let mut child = self.start_script(self.client(), script, arguments)?;
        let status = child.wait(PROGRAM)?;
        ensure!(
            status.success(),
            "{script} {} ended with {status}: {}",
            arguments.join(" "),
            child.output()
        );
        Ok(child.output())
    }

    /// Writes what a scenario will carry away.
    pub(super) fn document(&self, name: &str, contents: &[u8]) -> Result<String> {
        Ok(self.scratch.write(name, contents)?.display().to_string())
    }

    /// Where receivers put what arrives.
    pub(super) fn inbox(&self, name: &str) -> PathBuf {
        self.scratch.join("inbox").join(name)
    }

    /// An address of the client, of the family of `destination`.
    fn source_for(&self, destination: IpAddr) -> Result<IpAddr> {
        let text = match destination {
            IpAddr::V4(_) => format!("10.66.1.{}", self.client_host),
            IpAddr::V6(_) => format!("fd66:1::{:x}", self.client_host),
        };
        text.parse().with_context(|| format!("{text} is no address"))
    }

    pub(super) fn culprit(
        &self,
        target: &Target,
        protocol: &'static str,
        port: Option<u16>,
    ) -> Result<Culprit> {
        Ok(Culprit {
            source: self.source_for(target.address)?,
            destination: target.address,
            protocol,
            port,
        })
    }

    /// Somewhere on the internet: half the time by name, one in four over IPv6.
    pub(super) fn target(&self, random: &mut Random) -> Result<Target> {
        let by_name = random.chance(0.5);
        let over_v6 = random.chance(0.25);
        let site = self.site(random, over_v6);
        let text = site.v6.as_deref().filter(|_| over_v6).unwrap_or(&site.v4);
        let host = if by_name { site.name.clone() } else { text.to_owned() };
        Ok(Target { host, address: text.parse().with_context(|| format!("{text} is no address"))? })
    }

    /// Somewhere on the internet, by name and over IPv4.
    pub(super) fn named_target(&self, random: &mut Random) -> Result<Target> {
        let site = self.site(random, false);
        Ok(Target {
            host: site.name.clone(),
            address: site.v4.parse().with_context(|| format!("{} is no address", site.v4))?,
        })
    }

    fn site(&self, random: &mut Random, with_v6: bool) -> &Site {
        loop {
            let site = random.pick(&self.shared.sites);
            if !with_v6 || site.v6.is_some() {
                return site;
            }
        }
    }

    /// Bytes of all bodies that the sink took for paths that contain `mark`.
    pub(super) fn sunk_bytes(&self, mark: &str) -> Result<usize> {
        let log = fs::read_to_string(self.scratch.join("sink.log"))
            .context("failed to read the sink's log")?;
        let lines = log.lines().map(|line| line.split(' ').collect::<Vec<_>>());
        Ok(lines
            .filter(|line| line.len() == 4 && line[1].contains(mark))
            .filter_map(|line| line[2].parse::<usize>().ok())
            .sum())
    }

    fn sshd(&self, namespace: &Namespace) -> Result<Background> {
        // sshd insists on an absolute path, as it runs itself again for each connection.
        namespace.spawn("/usr/sbin/sshd", ["-D", "-e", "-f", &self.shared.path("sshd_config")])
    }

    fn nginx_configuration(&self) -> String {
        let here = self.scratch.path().display();
        let temporary: String = ["client_body", "proxy", "fastcgi", "uwsgi", "scgi"]
            .map(|kind| format!("  {kind}_temp_path {here}/{kind};\n"))
            .concat();
        format!(
            "daemon off; user root; worker_processes 1; pid {here}/nginx.pid; error_log {here}/nginx.log;\n\
             events {{ worker_connections 512; }}\n\
             http {{\n  access_log off; sendfile on; client_max_body_size 0; keepalive_timeout 30;\n{temporary}\
               server {{\n    listen 80; listen [::]:80; listen 443 ssl http2; listen [::]:443 ssl http2;\n    \
                 ssl_certificate {}; ssl_certificate_key {};\n    root {};\n    \
                 location /up/ {{ proxy_pass http://127.0.0.1:{SINK_PORT}; }}\n    \
                 location /api/ {{ proxy_pass http://127.0.0.1:{SINK_PORT}; }}\n  }}\n}}\n",
            self.shared.path("tls.crt"),
            self.shared.path("tls.key"),
            self.shared.path("content")
        )
    }
}

fn dnsmasq(namespace: &Namespace, configuration: &std::path::Path) -> Result<Background> {
    let file = format!("--conf-file={}", configuration.display());
    namespace.spawn("dnsmasq", ["--keep-in-foreground", "--user=root", "--pid-file=", &file])
}

/// Debian's own, where there is one: the first in the PATH may be a shell script around another.
fn python() -> &'static str {
    if std::path::Path::new("/usr/bin/python3").exists() { "/usr/bin/python3" } else { "python3" }
}

/// Fails unless the receiver has exactly what was sent.
pub(super) fn ensure_arrived(sent: usize, arrived: usize) -> Result<()> {
    ensure!(sent == arrived, "{sent} bytes were sent and {arrived} arrived");
    Ok(())
}

/// The resolver that a client asks: the home's, or one on the internet.
pub(super) fn resolver(random: &mut Random) -> &'static str {
    if random.chance(0.6) { Topology::GATEWAY_V4 } else { PUBLIC_RESOLVER }
}
