//! manifest.json: what each recording holds and who in it steals, with bytes counted from the recording
//! itself. Bytes are whole frames, Ethernet header included.

use std::fs;
use std::net::IpAddr;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, ensure};
use detector_tests::{Recording, run_checked};
use serde::{Deserialize, Serialize};

use super::pcap::{self, Frame, Key};
use super::scene::{Culprit, Outcome};
use super::table::{Label, Row};

#[derive(Clone, Debug, Serialize, Deserialize)]
pub(super) struct Entry {
    pub(super) file: String,
    sha256: String,
    size: u64,
    label: String,
    technique: String,
    tool: String,
    scenario: String,
    /// The theft that this benign scenario looks like, with the same tool.
    twin_of: Option<String>,
    seed: u64,
    run: u64,
    other_flows: Option<String>,
    malicious: Vec<Malicious>,
    hard_negative: bool,
    pub(super) packets: u64,
    pub(super) bytes: u64,
    duration_s: f64,
    start_epoch: f64,
    max_gap_s: f64,
    link_type: String,
    /// Bytes that the receiver has, where the scenario carries a file.
    arrived_bytes: Option<u64>,
    /// One way, of the average host.
    delay_ms: f64,
    loss: f64,
    rate_mbit: f64,
    pub(super) notes: String,
    tier: Option<String>,
}

#[derive(Clone, Debug, Serialize, Deserialize)]
struct Malicious {
    src: IpAddr,
    dst: IpAddr,
    proto: String,
    dport: Option<u16>,
    flows: u64,
    packets_out: u64,
    bytes_out: u64,
    packets_in: u64,
    bytes_in: u64,
    first_seen_rel_s: f64,
    last_seen_rel_s: f64,
    role: String,
    tier: String,
}

/// How long the line was.
#[derive(Clone, Copy, Debug)]
pub(super) struct Line {
    pub(super) delay_ms: f64,
    pub(super) jitter_ms: f64,
    pub(super) loss: f64,
    pub(super) rate_mbit: f64,
}

pub(super) fn entry(
    row: &Row,
    run: u64,
    seed: u64,
    line: Line,
    recording: &Recording,
    outcome: Outcome,
) -> Result<Entry> {
    let frames = pcap::read(&recording.file)?;
    ensure!(
        frames.len() as u64 == recording.packets,
        "tcpdump says {} packets, the file holds {}",
        recording.packets,
        frames.len()
    );
    let start = frames.first().map_or(0.0, |frame| frame.seconds);
    let malicious: Vec<Malicious> = outcome
        .culprits
        .iter()
        .map(|culprit| count(&frames, culprit, start))
        .collect::<Result<_>>()?;
    let name = recording
        .file
        .file_name()
        .and_then(|name| name.to_str())
        .context("the recording has no name")?;
    let theft = row.label == Label::Exfil;
    ensure!(theft != malicious.is_empty(), "a theft needs a culprit, and benign traffic has none");
    Ok(Entry {
        file: format!("pcap/{name}"),
        sha256: sha256(&recording.file)?,
        size: fs::metadata(&recording.file).context("failed to measure the recording")?.len(),
        label: row.label.text().to_owned(),
        technique: row.technique.to_owned(),
        tool: row.tool.to_owned(),
        scenario: row.name.to_owned(),
        twin_of: row.twin_of.map(str::to_owned),
        seed,
        run,
        other_flows: theft.then(|| "benign-background".to_owned()),
        tier: malicious.first().map(|first| first.tier.clone()),
        malicious,
        hard_negative: row.label == Label::Benign && row.twin_of.is_some(),
        packets: recording.packets,
        bytes: frames.iter().map(|frame| frame.bytes).sum(),
        duration_s: frames.last().map_or(0.0, |frame| frame.seconds) - start,
        start_epoch: start,
        max_gap_s: frames
            .windows(2)
            .map(|pair| pair[1].seconds - pair[0].seconds)
            .fold(0.0, f64::max),
        link_type: "ether".to_owned(),
        arrived_bytes: outcome.arrived_bytes,
        delay_ms: line.delay_ms,
        loss: line.loss,
        rate_mbit: line.rate_mbit,
        notes: outcome.notes,
    })
}

/// Both directions between the culprit's two ends. A culprit whom no packet shows is an error.
fn count(frames: &[Frame], culprit: &Culprit, start: f64) -> Result<Malicious> {
    let number = match (culprit.protocol, culprit.destination) {
        ("tcp", _) => 6,
        ("udp", _) => 17,
        (_, IpAddr::V4(_)) => 1,
        (_, IpAddr::V6(_)) => 58,
    };
    let port = culprit.port.unwrap_or(0);
    let outwards = |key: &Key| {
        (key.source, key.destination, key.protocol, key.destination_port)
            == (culprit.source, culprit.destination, number, port)
    };
    let inwards = |key: &Key| {
        (key.destination, key.source, key.protocol, key.source_port)
            == (culprit.source, culprit.destination, number, port)
    };
    let select = |wanted: &dyn Fn(&Key) -> bool| -> Vec<Frame> {
        frames.iter().filter(|frame| frame.key.as_ref().is_some_and(wanted)).copied().collect()
    };
    let (out, back) = (select(&outwards), select(&inwards));
    ensure!(
        !out.is_empty(),
        "no packet of the theft to {} is in the recording",
        culprit.destination
    );
    let mut ports: Vec<u16> =
        out.iter().filter_map(|frame| frame.key.map(|key| key.source_port)).collect();
    ports.sort_unstable();
    ports.dedup();
    let bytes_out: u64 = out.iter().map(|frame| frame.bytes).sum();
    let large = bytes_out >= 20_000 && out.len() >= 40;
    Ok(Malicious {
        src: culprit.source,
        dst: culprit.destination,
        proto: culprit.protocol.to_owned(),
        dport: culprit.port,
        flows: ports.len() as u64,
        packets_out: out.len() as u64,
        bytes_out,
        packets_in: back.len() as u64,
        bytes_in: back.iter().map(|frame| frame.bytes).sum(),
        first_seen_rel_s: out[0].seconds - start,
        last_seen_rel_s: out[out.len() - 1].seconds - start,
        role: "exfil".to_owned(),
        tier: if large { "A" } else { "B" }.to_owned(),
    })
}

fn sha256(file: &Path) -> Result<String> {
    let line = run_checked(Command::new("sha256sum").arg(file))?;
    line.split_whitespace().next().map(str::to_owned).context("sha256sum said nothing")
}

/// Writes the manifest, sorted by file. With `merge`, entries of recordings not made now stay.
pub(super) fn write(out: &Path, mut entries: Vec<Entry>, merge: bool) -> Result<PathBuf> {
    let path = out.join("manifest.json");
    if merge && path.exists() {
        let text = fs::read(&path).with_context(|| format!("failed to read {}", path.display()))?;
        let earlier: Vec<Entry> = serde_json::from_slice(&text).with_context(|| {
            format!("{} is not a manifest of the lab; remove it", path.display())
        })?;
        let new: Vec<String> = entries.iter().map(|entry| entry.file.clone()).collect();
        entries.extend(earlier.into_iter().filter(|entry| !new.contains(&entry.file)));
    }
    entries.sort_by(|left, right| left.file.cmp(&right.file));
    let text =
        serde_json::to_string_pretty(&entries).context("failed to write the manifest as JSON")?;
    fs::write(&path, text + "\n").with_context(|| format!("failed to write {}", path.display()))?;
    Ok(path)
}
