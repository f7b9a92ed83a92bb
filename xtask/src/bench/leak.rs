//! What leaves before an upload is blocked: 100 MB at full veth speed from a client through a
//! watched gateway, to a destination of its own in each run. The receiver counts, not the detector.

use std::io::{ErrorKind, Read as _, Write as _};
use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream};
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, ensure};
use detector_tests::{Background, Scratch, Topology};

use super::figures::Figures;
use crate::release;

const RUNS: u8 = 20;
const STOLEN: usize = 100 << 20;
pub(super) const BUDGET: u64 = 64 << 10;
const PORT: u16 = 9_000;
const START: Duration = Duration::from_secs(20);
/// A silence after which nothing more comes.
const SILENCE: Duration = Duration::from_millis(600);

/// One case: figures for the median and the worst of the bytes, for the median of the seconds.
struct Case {
    budget: u64,
    median: &'static str,
    worst: &'static str,
    seconds: Option<&'static str>,
}

const CASES: [Case; 2] = [
    Case {
        budget: 0,
        median: "block_leak_bytes_median",
        worst: "block_leak_bytes_worst",
        seconds: Some("block_seconds_median"),
    },
    Case {
        budget: BUDGET,
        median: "budget_leak_bytes_median",
        worst: "budget_leak_bytes_worst",
        seconds: None,
    },
];

pub(super) fn measure(figures: &mut Figures) -> Result<()> {
    for case in &CASES {
        let network = Topology::simple()?;
        let folder = Scratch::new("leak")?;
        let detector = start(&network, &folder, case.budget)?;
        let mut worst = 0.0_f64;
        for run in 0..RUNS {
            let receiver = Ipv4Addr::new(203, 0, 113, 20 + run);
            let (bytes, seconds) = steal(&network, &detector, receiver)
                .with_context(|| format!("run {run}: {}", detector.output()))?;
            figures.sample(case.median, bytes as f64);
            worst = worst.max(bytes as f64);
            if let Some(figure) = case.seconds {
                figures.sample(figure, seconds);
            }
        }
        figures.sample(case.worst, worst);
        detector.terminate()?;
    }
    Ok(())
}

fn start(network: &Topology, folder: &Scratch, budget: u64) -> Result<Background> {
    let (run, state) = (folder.join("run"), folder.join("state"));
    let config = format!(
        "mode = \"block\"\nruntime_dir = {run:?}\nstate_dir = {state:?}\n\
         home_networks = [\"10.66.1.0/24\"]\n[kernel]\npin = false\n[budget]\nbytes = {budget}\n"
    );
    let file = folder.write("detector.toml", config)?;
    let mut command = network.gateway.command(release::program("detector")?);
    command.args(["run", "--interface", Topology::GATEWAY_INNER, "--config"]).arg(file);
    let detector = Background::start(&mut command)?;
    detector.wait_for_line("stop with Ctrl-C", START)?;
    Ok(detector)
}

/// Bytes that came, and the seconds from the first of them until the detector said that the block
/// is active, which it says after it has placed it.
fn steal(network: &Topology, detector: &Background, receiver: Ipv4Addr) -> Result<(usize, f64)> {
    let said = format!("placed pair 10.66.1.10 {receiver} ");
    let listener =
        network.server().enter(|| TcpListener::bind((Ipv4Addr::UNSPECIFIED, PORT)))??;
    std::thread::scope(|scope| {
        let blocked = scope.spawn(|| detector.wait_for_line(&said, START).map(|_| Instant::now()));
        let sender = scope.spawn(|| network.client.enter(|| send(receiver)));
        let (stream, _) = listener.accept()?;
        let outcome = receive(stream);
        match sender.join() {
            Ok(sent) => sent??,
            Err(panic) => std::panic::resume_unwind(panic),
        }
        let (bytes, first) = outcome?;
        let blocked = blocked.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic))?;
        Ok((bytes, blocked.saturating_duration_since(first).as_secs_f64()))
    })
}

fn send(receiver: Ipv4Addr) -> Result<()> {
    let mut stream = TcpStream::connect_timeout(&SocketAddr::from((receiver, PORT)), START)?;
    stream.set_write_timeout(Some(SILENCE))?;
    let block = vec![0x5a; 1 << 20];
    let mut left = STOLEN;
    while left != 0 {
        match stream.write(&block[..left.min(block.len())]) {
            Ok(0) => break,
            Ok(written) => left -= written,
            Err(error) if matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut) => {
                break;
            }
            Err(error) => return Err(error).context("failed to send"),
        }
    }
    Ok(())
}

/// Bytes that came, and when the first of them did.
fn receive(mut stream: TcpStream) -> Result<(usize, Instant)> {
    stream.set_read_timeout(Some(SILENCE))?;
    let mut buffer = vec![0; 1 << 20];
    let (mut bytes, mut first) = (0, None);
    loop {
        match stream.read(&mut buffer) {
            Ok(0) => break,
            Ok(read) => {
                bytes += read;
                first.get_or_insert_with(Instant::now);
            }
            Err(error) if matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut) => {
                break;
            }
            Err(error) if error.kind() == ErrorKind::ConnectionReset => break,
            Err(error) => return Err(error).context("failed to receive"),
        }
    }
    ensure!(bytes < STOLEN, "the receiver got everything: nothing was blocked");
    Ok((bytes, first.context("the receiver got nothing")?))
}
