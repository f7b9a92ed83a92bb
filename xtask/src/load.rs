//! A host under load for the agent to watch: as many flows as are asked for, sent as fast as the
//! stack takes them, and what the agent itself costs meanwhile.

use std::fs;
use std::net::{Ipv4Addr, SocketAddrV4, UdpSocket};
use std::path::Path;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, ensure};
use detector_tests::{Background, Namespace, Scratch, Veth, VethEnd};
use serde_json::Value;

use crate::release;

const DEVICE: &str = "load0";
const START: Duration = Duration::from_secs(60);
/// Ports of one receiver: more flows have more receivers.
const PORTS: u32 = 50_000;
const FIRST_PORT: u32 = 10_000;
/// Different flows that there are: the most that are sent at a time.
const FLOWS: u32 = 1_000_000;
const PAYLOAD: [u8; 64] = [0; 64];
/// Kernel ticks a second that /proc shows times in (USER_HZ of proc(5)).
const TICKS_PER_SECOND: f64 = 100.0;

/// A host with an agent, and nobody at the other end of its wire.
pub(crate) struct Load {
    host: Namespace,
    _nobody: Namespace,
    agent: Background,
    scratch: Scratch,
    sent: AtomicU64,
}

/// What an agent has used so far.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Cost {
    /// Of processors, in user and kernel mode.
    pub(crate) cpu_seconds: f64,
    pub(crate) rss_mb: f64,
    /// Kernel memory of its maps.
    pub(crate) map_mb: f64,
    at: Instant,
}

impl Cost {
    /// Processors in use since `before`.
    pub(crate) fn cores_since(&self, before: &Self) -> f64 {
        (self.cpu_seconds - before.cpu_seconds) / (self.at - before.at).as_secs_f64()
    }
}

impl Load {
    /// Starts an agent that has room for `max_flows`, with these sections in its configuration.
    pub(crate) fn start(max_flows: u32, sections: &str) -> Result<Self> {
        let (host, nobody) = (Namespace::new("load")?, Namespace::new("nobody")?);
        let near = VethEnd::new(&host, DEVICE).address("10.66.1.10/24");
        Veth::new(near, VethEnd::new(&nobody, "nobody0").mac("02:00:00:00:66:01")).create()?;
        host.ip(&format!("neighbor add 10.66.1.1 lladdr 02:00:00:00:66:01 dev {DEVICE}"))?;
        host.ip("route add default via 10.66.1.1")?;
        let scratch = Scratch::new("load")?;
        let (run, state) = (scratch.join("run"), scratch.join("state"));
        let config = scratch.write(
            "detector.toml",
            format!(
                "runtime_dir = {run:?}\nstate_dir = {state:?}\nhome_networks = [\"10.66.1.0/24\"]\n\
                 [kernel]\nmax_flows = {max_flows}\n{sections}"
            ),
        )?;
        let mut command = host.command(release::program("detector")?);
        command.args(["run", "--interface", DEVICE, "--config"]).arg(config);
        let agent = Background::start(&mut command)?;
        agent.wait_for_line("stop with Ctrl-C", START)?;
        Ok(Self { host, _nobody: nobody, agent, scratch, sent: AtomicU64::new(0) })
    }

    /// Sends a packet of each of `flows(round)` in turn, round after round, while `work` runs.
    pub(crate) fn while_sending<T>(
        &self,
        flows: impl Fn(u64) -> std::ops::Range<u32> + Sync,
        work: impl FnOnce() -> Result<T>,
    ) -> Result<T> {
        let over = AtomicBool::new(false);
        let socket = self.host.enter(|| UdpSocket::bind((Ipv4Addr::UNSPECIFIED, 0)))??;
        std::thread::scope(|scope| {
            scope.spawn(|| {
                for round in 0.. {
                    for flow in flows(round) {
                        // What the stack has no room for is sent in the next round.
                        let went = socket.send_to(&PAYLOAD, receiver(flow)).is_ok();
                        self.sent.fetch_add(u64::from(went), Ordering::Relaxed);
                        if over.load(Ordering::Relaxed) {
                            return;
                        }
                    }
                }
            });
            let outcome = work();
            over.store(true, Ordering::Relaxed);
            outcome
        })
    }

    /// Packets that were sent so far.
    pub(crate) fn sent(&self) -> u64 {
        self.sent.load(Ordering::Relaxed)
    }

    pub(crate) fn cost(&self) -> Result<Cost> {
        let process = format!("/proc/{}", self.agent.id());
        let status = fs::read_to_string(format!("{process}/status"))?;
        let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"));
        let kilobytes = line.and_then(|line| line.split_whitespace().next()).context("no VmRSS")?;
        let stat = fs::read_to_string(format!("{process}/stat"))?;
        // The second field is a name in brackets, which may have blanks.
        let fields = stat.rsplit(") ").next().unwrap_or_default();
        let ticks = fields.split(' ').skip(11).take(2).map(str::parse::<f64>);
        let ticks: f64 = ticks.sum::<Result<f64, _>>().context("no times in stat")?;
        Ok(Cost {
            cpu_seconds: ticks / TICKS_PER_SECOND,
            rss_mb: kilobytes.parse::<f64>()? / 1_000.0,
            map_mb: map_bytes(Path::new(&process))? / 1e6,
            at: Instant::now(),
        })
    }

    /// What the agent says of itself.
    fn status(&self) -> Result<Value> {
        let mut command = self.host.command(release::program("detector")?);
        command.args(["status", "--format", "json", "--config"]);
        let output = command.arg(self.scratch.join("detector.toml")).output()?;
        ensure!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        let text = String::from_utf8_lossy(&output.stdout);
        Ok(serde_json::from_str(text.lines().next().unwrap_or_default())?)
    }

    /// One of the counters in that.
    pub(crate) fn count(&self, name: &str) -> Result<u64> {
        let status = self.status()?;
        let count = status["counters"][name].as_u64();
        count.with_context(|| format!("no {name}: {status}"))
    }

    /// Stops the agent, which must account for every byte, and returns its last words.
    pub(crate) fn stop(mut self) -> Result<String> {
        self.agent.terminate()?;
        let status = self.agent.wait(START)?;
        let said = self.agent.output();
        ensure!(status.success(), "the agent ended with {status}: {said}");
        Ok(said)
    }
}

/// Where a flow of this number leads: the first again after the last.
fn receiver(flow: u32) -> SocketAddrV4 {
    let flow = flow % FLOWS;
    let address = Ipv4Addr::from(u32::from(Ipv4Addr::new(203, 0, 113, 1)) + flow / PORTS);
    let port = FIRST_PORT + flow % PORTS;
    SocketAddrV4::new(address, u16::try_from(port).unwrap_or(u16::MAX))
}

/// Kernel memory of the maps that a process holds, in bytes, each counted once.
fn map_bytes(process: &Path) -> Result<f64> {
    let mut maps = std::collections::BTreeMap::new();
    for entry in fs::read_dir(process.join("fdinfo"))? {
        // A descriptor may be closed meanwhile.
        let Ok(text) = fs::read_to_string(entry?.path()) else { continue };
        let field = |name: &str| -> Option<u64> {
            text.lines().find_map(|line| line.strip_prefix(name)?.trim().parse().ok())
        };
        if let (Some(id), Some(bytes)) = (field("map_id:"), field("memlock:")) {
            maps.insert(id, bytes);
        }
    }
    Ok(maps.values().sum::<u64>() as f64)
}
