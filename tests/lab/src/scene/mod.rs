//! One recording: namespaces, the line between them, servers, tcpdump at the gateway's inner interface,
//! the scenario itself, and the check of what arrived.

mod programs;
mod servers;

use std::fs;
use std::net::IpAddr;
use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use detector_tests::{Background, Namespace, Recorder, Scratch, ServerSpec, Topology};

use super::benign;
use super::line::Line;
use super::manifest::{self, Entry, Shift};
pub(super) use super::outcome::{Culprit, Outcome, Role, Target};
use super::random::Random;
use super::shared::Shared;
use super::sites::{self, PUBLIC_RESOLVER, Site};
use super::table::Row;
pub(super) use servers::{DOH_PORT, S3_PORT};

const START: Duration = Duration::from_secs(15);
/// Replies that are still on the line when the last program ends.
pub(super) const TRAILING: Duration = Duration::from_millis(400);

pub(super) const SINK_PORT: u16 = 8080;
/// The backup host in the home's second network.
pub(super) const DEPOT: &str = "10.66.2.20";

/// How many recordings have somebody's ordinary use beside what they are about, thefts and benign ones
/// alike: company must not tell a theft.
const WITH_BACKGROUND: f64 = 0.7;

/// A small world with servers running, for one scenario.
#[derive(Debug)]
pub(super) struct Scene<'a> {
    pub(super) shared: &'a Shared,
    // Servers end before their namespaces, and the namespaces before the folder.
    _services: Vec<Background>,
    pub(super) network: Topology,
    pub(super) scratch: Scratch,
    pub(super) thief_zone: String,
    client_host: u8,
}

/// How a recording was made.
#[derive(Clone, Debug)]
pub(super) struct Made {
    pub(super) seed: u64,
    pub(super) run: u64,
    pub(super) line: Line,
    pub(super) background: bool,
    pub(super) shift: Option<Shift>,
}

/// Makes one recording and labels it.
pub(super) fn record(shared: &Shared, row: &Row, run: u64) -> Result<Entry> {
    let mut random = Random::new(shared.seed.wrapping_add(run << 32), row.name);
    let line = Line::draw(shared.seed, row.group(), run);
    let scene = Scene::open(shared, &line, &mut random)?;
    let file = shared.recordings.join(format!("{}-s{}-{run}.pcap", row.name, shared.seed));
    let recorder = Recorder::start(&scene.network.gateway, Topology::GATEWAY_INNER, &file)?;
    let background = random.chance(WITH_BACKGROUND);
    let outcome = if background {
        scene.play_amid(row, &mut random)
    } else {
        (row.act)(&scene, &mut random)
    }?;
    std::thread::sleep(TRAILING);
    let recording = recorder.stop()?;
    let made = Made { seed: shared.seed, run, line, background, shift: None };
    manifest::entry(&row.subject(), &made, &recording, outcome)
}

impl<'a> Scene<'a> {
    pub(super) fn open(shared: &'a Shared, line: &Line, random: &mut Random) -> Result<Self> {
        let client_host = random.between(10, 250) as u8;
        let network = Topology::builder()
            .client_host(client_host)
            .mtu(line.mtu_bytes)
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
        line.apply(&network)?;
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

    /// Runs the scenario amid somebody's ordinary use of the network.
    fn play_amid(&self, row: &Row, random: &mut Random) -> Result<Outcome> {
        let over = AtomicBool::new(false);
        let mut others = Random::new(random.next(), "background");
        std::thread::scope(|scope| {
            let browsing = scope.spawn(|| benign::web::background(self, &mut others, &over));
            // What the recording is about need not be its first packet.
            benign::pause(random, 0.0, 3.0);
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

    /// Writes what a scenario will carry away.
    pub(super) fn document(&self, name: &str, contents: &[u8]) -> Result<String> {
        Ok(self.scratch.write(name, contents)?.display().to_string())
    }

    /// Where receivers put what arrives.
    pub(super) fn inbox(&self, name: &str) -> PathBuf {
        self.scratch.join("inbox").join(name)
    }

    /// An address of the client, of the family of `destination`.
    pub(super) fn source_for(&self, destination: IpAddr) -> Result<IpAddr> {
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
            role: Role::Exfil,
            habit: None,
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
        by_name(self.site(random, false))
    }

    /// The same, but where nothing else of the scene goes.
    pub(super) fn unvisited_target(&self, number: usize) -> Result<Target> {
        by_name(sites::unvisited(&self.shared.sites, number))
    }

    fn site(&self, random: &mut Random, with_v6: bool) -> &Site {
        loop {
            let site = random.pick(sites::visited(&self.shared.sites));
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
}

fn by_name(site: &Site) -> Result<Target> {
    let address = site.v4.parse().with_context(|| format!("{} is no address", site.v4))?;
    Ok(Target { host: site.name.clone(), address })
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
