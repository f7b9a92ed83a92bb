//! A capture that is uploaded, beside the same one on the command line, and how long pages wait
//! meanwhile.

use std::fs::File;
use std::io::{self, Read as _, Write as _};
use std::net::TcpStream;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, ensure};
use detector_tests::{Background, Namespace, Scratch};
use serde_json::Value;

use super::analyze::{self, PACKETS};
use super::figures::Figures;
use crate::release;

const ROUNDS: usize = 3;
/// Longer than an analysis ever takes.
const PATIENCE: Duration = Duration::from_secs(300);
/// Between two looks of a page.
const LOOK: Duration = Duration::from_millis(20);

pub(super) fn measure(figures: &mut Figures) -> Result<()> {
    let scratch = Scratch::new("bench")?;
    let capture = scratch.join("generated.pcap");
    analyze::write(&capture)?;
    figures.sample("run_idle_rss_mb", idle(&scratch)?);
    let served = Served::start(&scratch)?;
    for _ in 0..ROUNDS {
        let (rate, _) = analyze::analyze(&capture)?;
        figures.sample("command_line_packets_per_s", rate);
        let (rate, waits) = served.upload(&capture)?;
        figures.sample("upload_packets_per_s", rate);
        for wait in waits {
            figures.sample("page_wait_ms", wait);
        }
    }
    figures.quantile("page_wait_ms", 0.99, "page_wait_p99_ms");
    Ok(())
}

/// Megabytes of an agent with its store and its API that has nothing to do.
fn idle(scratch: &Scratch) -> Result<f64> {
    const SETTLED: Duration = Duration::from_secs(5);
    let namespace = Namespace::new("idle")?;
    let (run, state) = (scratch.join("run"), scratch.join("state"));
    let text = format!("runtime_dir = {run:?}\nstate_dir = {state:?}\n");
    let config = scratch.write("idle.toml", text)?;
    let mut command = namespace.command(release::program("detector")?);
    command.args(["run", "--interface", "lo", "--config"]).arg(&config);
    let agent = Background::start(&mut command)?;
    agent.wait_for_line("stop with Ctrl-C", Duration::from_secs(20))?;
    std::thread::sleep(SETTLED);
    let status = std::fs::read_to_string(format!("/proc/{}/status", agent.id()))?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"));
    let kilobytes = line.and_then(|line| line.split_whitespace().next()).context("no VmRSS")?;
    Ok(kilobytes.parse::<f64>()? / 1_000.0)
}

struct Served {
    child: Child,
    address: String,
    token: String,
}

impl Drop for Served {
    fn drop(&mut self) {
        drop(self.child.kill());
        drop(self.child.wait());
    }
}

impl Served {
    fn start(scratch: &Scratch) -> Result<Self> {
        let program = release::program("detector")?;
        let database = scratch.join("detector.db");
        let log = scratch.join("serve.log");
        let mut command = Command::new(&program);
        command.args(["serve", "--listen", "127.0.0.1:0", "--db"]).arg(&database);
        let child = command.stdout(Stdio::null()).stderr(File::create(&log)?).spawn()?;
        let started = Instant::now();
        let address = loop {
            let text = std::fs::read_to_string(&log)?;
            if let Some((_, rest)) = text.split_once("listening on http://") {
                break rest.split_whitespace().next().unwrap_or_default().to_owned();
            }
            ensure!(
                started.elapsed() < Duration::from_secs(20),
                "the service does not start: {text}"
            );
            std::thread::sleep(LOOK);
        };
        let mut command = Command::new(&program);
        command.args(["token", "create", "bench", "--scope", "respond", "--db"]).arg(&database);
        let output = command.output()?;
        let text = String::from_utf8_lossy(&output.stdout).into_owned();
        let token = text.split_whitespace().find(|word| word.starts_with("dtct_"));
        let token = token.with_context(|| format!("no token in {text}"))?.to_owned();
        Ok(Self { child, address, token })
    }

    fn head(&self, method: &str, path: &str, length: u64) -> String {
        let Self { address, token, .. } = self;
        format!(
            "{method} {path} HTTP/1.1\r\nHost: {address}\r\nAuthorization: Bearer {token}\r\n\
             Content-Type: application/octet-stream\r\nContent-Length: {length}\r\n\
             Connection: close\r\n\r\n"
        )
    }

    fn answer(mut stream: TcpStream) -> Result<Value> {
        let mut text = String::new();
        stream.read_to_string(&mut text)?;
        let (head, body) = text.split_once("\r\n\r\n").context("no answer")?;
        ensure!(head.contains(" 200 ") || head.contains(" 201 "), "{text}");
        Ok(serde_json::from_str(body)?)
    }

    fn get(&self, path: &str) -> Result<Value> {
        let mut stream = TcpStream::connect(&self.address)?;
        stream.write_all(self.head("GET", path, 0).as_bytes())?;
        Self::answer(stream)
    }

    /// Packets a second of the analysis, and how long each page took while it continued.
    fn upload(&self, capture: &Path) -> Result<(f64, Vec<f64>)> {
        let mut file = File::open(capture)?;
        let mut stream = TcpStream::connect(&self.address)?;
        let head = self.head("POST", "/api/captures?name=bench.pcap", file.metadata()?.len());
        stream.write_all(head.as_bytes())?;
        io::copy(&mut file, &mut stream)?;
        let id = Self::answer(stream)?["id"].as_i64().context("no capture")?;
        let started = Instant::now();
        let mut waits = Vec::new();
        loop {
            let asked = Instant::now();
            let found = self.get(&format!("/api/captures/{id}"))?;
            self.get("/api/alerts?limit=50")?;
            waits.push(asked.elapsed().as_secs_f64() * 1e3);
            if found["state"] == "done" {
                let seconds = found["analyses"][0]["seconds"].as_f64().context("no time")?;
                return Ok((PACKETS as f64 / seconds, waits));
            }
            ensure!(started.elapsed() < PATIENCE, "the analysis does not end: {found}");
            ensure!(found["state"] != "failed", "{found}");
            std::thread::sleep(LOOK);
        }
    }
}
