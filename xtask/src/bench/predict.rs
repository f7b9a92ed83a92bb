//! `detector serve` under load: records scored over connections that are kept, each body another,
//! beside the least that the server can be asked for.
//!
//! Those who ask run on the same machine and take their share of it; both figures have the same.

use std::io::{Read as _, Write as _};
use std::net::TcpStream;
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, anyhow, bail, ensure};
use detector_tests::Scratch;

use super::figures::{Figures, ROUNDS};
use crate::release;

const CONNECTIONS: u64 = 16;
/// How long each of the two is asked for in a round.
const SPAN: Duration = Duration::from_secs(2);
/// How long a start may take.
const START: Duration = Duration::from_secs(20);

pub(super) fn measure(figures: &mut Figures) -> Result<()> {
    let scratch = Scratch::new("bench")?;
    let server = Server::start(&scratch)?;
    for _ in 0..ROUNDS {
        let (rate, _) = load(&server.address, healthz)?;
        figures.sample("healthz_requests_per_s", rate);
        let (rate, p99) = load(&server.address, predict)?;
        figures.sample("predict_requests_per_s", rate);
        figures.sample("predict_p99_ms", p99.as_secs_f64() * 1e3);
    }
    Ok(())
}

/// The program, ended with its guard.
struct Server {
    child: Child,
    address: String,
}

impl Drop for Server {
    fn drop(&mut self) {
        // It has nothing to lose.
        self.child.kill().and_then(|()| self.child.wait()).ok();
    }
}

impl Server {
    fn start(scratch: &Scratch) -> Result<Self> {
        let (run, state) = (scratch.join("run"), scratch.join("state"));
        let text = format!("runtime_dir = {run:?}\nstate_dir = {state:?}\n");
        let config = scratch.write("detector.toml", text)?;
        let log = std::fs::File::create(scratch.join("log"))?;
        let program = release::program("detector")?;
        let child = Command::new(&program)
            .args(["serve", "--listen", "127.0.0.1:0", "--config"])
            .arg(config)
            .stdout(Stdio::null())
            .stderr(log)
            .spawn()
            .with_context(|| format!("failed to start {}", program.display()))?;
        let mut server = Self { child, address: String::new() };
        let deadline = Instant::now() + START;
        while Instant::now() < deadline {
            let log = std::fs::read_to_string(scratch.join("log"))?;
            let line = log.lines().find_map(|line| line.strip_prefix("listening on http://"));
            if let Some(address) = line.filter(|_| log.ends_with('\n')) {
                address.clone_into(&mut server.address);
                return Ok(server);
            }
            ensure!(server.child.try_wait()?.is_none(), "detector serve ended: {log}");
            thread::sleep(Duration::from_millis(10));
        }
        bail!("detector serve did not listen within {START:?}")
    }
}

/// Writes the request of this number.
type Write = fn(&str, u64, &mut Vec<u8>) -> std::io::Result<()>;

fn healthz(host: &str, _number: u64, request: &mut Vec<u8>) -> std::io::Result<()> {
    write!(request, "GET /healthz HTTP/1.1\r\nHost: {host}\r\n\r\n")
}

fn predict(host: &str, number: u64, request: &mut Vec<u8>) -> std::io::Result<()> {
    let (sent, received) = (100 + number * 7 % 900_000, 100 + number % 9_900);
    let (host_byte, port) = (number % 254 + 1, 1_024 + number % 64_000);
    let body = format!(
        "{{\"timestamp\":\"2024-01-01T{:02}:00:00Z\",\"source_ip\":\"192.168.1.{host_byte}\",\
         \"destination_ip\":\"10.0.0.1\",\"source_port\":{port},\"destination_port\":443,\
         \"protocol\":\"TCP\",\"bytes_sent\":{sent},\"bytes_received\":{received},\
         \"action\":\"allow\"}}",
        number % 24
    );
    write!(
        request,
        "POST /predict HTTP/1.1\r\nHost: {host}\r\nContent-Type: application/json\r\n\
         Content-Length: {}\r\n\r\n{body}",
        body.len()
    )
}

/// Requests a second over all connections, and the time that 99 of 100 took at most.
fn load(address: &str, write: Write) -> Result<(f64, Duration)> {
    let stop = AtomicBool::new(false);
    let started = Instant::now();
    let times: Vec<Duration> = thread::scope(|scope| {
        let ask = |first| ask(address, write, first, &stop);
        let asking: Vec<_> =
            (0..CONNECTIONS).map(|first| scope.spawn(move || ask(first))).collect();
        thread::sleep(SPAN);
        stop.store(true, Ordering::Relaxed);
        let mut all = Vec::new();
        for one in asking {
            all.extend(one.join().map_err(|_| anyhow!("a client thread panicked"))??);
        }
        Ok::<_, anyhow::Error>(all)
    })?;
    let rate = times.len() as f64 / started.elapsed().as_secs_f64();
    let mut times = times;
    times.sort_unstable();
    let p99 = times.get(times.len() * 99 / 100).copied().context("no request was answered")?;
    Ok((rate, p99))
}

/// Asks one request after the other until it is asked to stop: how long each took.
fn ask(address: &str, write: Write, first: u64, stop: &AtomicBool) -> Result<Vec<Duration>> {
    let mut stream = TcpStream::connect(address)?;
    stream.set_nodelay(true)?;
    stream.set_read_timeout(Some(START))?;
    let (mut request, mut buffer) = (Vec::with_capacity(1_024), vec![0; 8_192]);
    let mut times = Vec::with_capacity(1 << 16);
    let mut number = first;
    while !stop.load(Ordering::Relaxed) {
        request.clear();
        write(address, number, &mut request)?;
        number += CONNECTIONS;
        let started = Instant::now();
        stream.write_all(&request)?;
        read_answer(&mut stream, &mut buffer)?;
        times.push(started.elapsed());
    }
    Ok(times)
}

/// Reads an answer to its end and sees that it is a good one.
fn read_answer(stream: &mut TcpStream, buffer: &mut [u8]) -> Result<()> {
    let mut filled = 0;
    let mut whole = usize::MAX;
    while filled < whole {
        let read = stream.read(&mut buffer[filled..])?;
        ensure!(read != 0, "the connection was closed");
        filled += read;
        if whole == usize::MAX
            && let Some(end) = buffer[..filled].windows(4).position(|four| four == b"\r\n\r\n")
        {
            let head =
                std::str::from_utf8(&buffer[..end]).context("the response header is not text")?;
            ensure!(head.starts_with("HTTP/1.1 200 "), "{head}");
            let length = head.lines().find_map(|line| line.strip_prefix("content-length: "));
            whole =
                end + 4 + length.context("the response has no Content-Length")?.parse::<usize>()?;
        }
    }
    Ok(())
}
