//! `detector analyze` on a generated capture, as a process of its own: flows, features, scores.

use std::fs::{self, File};
use std::io::{BufWriter, Write as _};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, ensure};
use detector::source::capture::read_only;
use detector_tests::Scratch;

use super::capture::generate;
use super::figures::{Figures, ROUNDS};
use crate::release;

pub(super) const PACKETS: u64 = 2_000_000;
const FLOWS: u64 = 100_000;
/// How often the memory of the process is asked for; the kernel keeps the highest.
const SAMPLE: Duration = Duration::from_millis(5);

pub(super) fn measure(figures: &mut Figures) -> Result<()> {
    let scratch = Scratch::new("bench")?;
    let capture = scratch.join("generated.pcap");
    write(&capture).with_context(|| format!("failed to write {}", capture.display()))?;
    read(&capture)?;
    for _ in 0..ROUNDS {
        figures.sample("read_packets_per_s", read(&capture)?);
        let (rate, megabytes) = analyze(&capture)?;
        figures.sample("analyze_packets_per_s", rate);
        figures.sample("analyze_rss_mb", megabytes);
    }
    Ok(())
}

pub(super) fn write(path: &Path) -> Result<()> {
    let mut output = BufWriter::with_capacity(1 << 20, File::create(path)?);
    generate(PACKETS, FLOWS, 1, &mut output)?;
    Ok(output.flush()?)
}

/// The reader alone.
fn read(path: &Path) -> Result<f64> {
    let started = Instant::now();
    let packets = read_only(File::open(path)?)?;
    ensure!(packets == PACKETS, "read {packets} packets of {PACKETS} written ones");
    Ok(packets as f64 / started.elapsed().as_secs_f64())
}

/// Packets per second from start to end of the process, and its largest memory.
pub(super) fn analyze(path: &Path) -> Result<(f64, f64)> {
    let program = release::program("detector")?;
    let started = Instant::now();
    let mut child = Command::new(&program)
        .args(["analyze", "--format", "json", "--flows"])
        .arg(path)
        .stdout(Stdio::null())
        .spawn()
        .with_context(|| format!("failed to start {}", program.display()))?;
    let mut kilobytes = 0;
    let status = loop {
        kilobytes = resident(&child).unwrap_or(kilobytes);
        if let Some(status) = child.try_wait()? {
            break status;
        }
        std::thread::sleep(SAMPLE);
    };
    let seconds = started.elapsed().as_secs_f64();
    ensure!(status.success(), "detector analyze ended with {status}");
    Ok((PACKETS as f64 / seconds, kilobytes as f64 / 1_000.0))
}

/// The most kilobytes that a process has had in memory; none once it has ended.
///
/// Not what `wait4` shows: a child inherits that figure from the process that started it.
fn resident(child: &Child) -> Option<u64> {
    let status = fs::read_to_string(format!("/proc/{}/status", child.id())).ok()?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"))?;
    line.split_whitespace().next()?.parse().ok()
}
