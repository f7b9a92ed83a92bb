//! manifest.json: what each recording holds and who in it steals, with bytes counted from the recording
//! itself. Bytes are whole frames, Ethernet header included.

mod count;

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, ensure};
use detector_tests::{Recording, run_checked};
use serde::{Deserialize, Serialize};

use super::pcap;
use super::scene::{Made, Outcome};
use super::table::Label;
use count::Malicious;

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
    #[serde(rename = "twin_of")]
    control_for: Option<String>,
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
    mtu: u32,
    /// Frames are as the client's card was given them, longer than the line's.
    offload: bool,
    /// Somebody's ordinary use goes on beside what the recording is about.
    background: bool,
    /// Recordings of one host whose days belong together.
    #[serde(skip_serializing_if = "Option::is_none")]
    series: Option<String>,
    /// How packet times were moved after the recording; nothing else of it was touched.
    #[serde(skip_serializing_if = "Option::is_none")]
    time_shift: Option<String>,
    /// From here on is what the recording is about; before it is the host's habit.
    #[serde(skip_serializing_if = "Option::is_none")]
    judged_from_rel_s: Option<f64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    host_hours: Option<f64>,
    pub(super) notes: String,
    tier: Option<String>,
}

/// What a recording is of.
#[derive(Clone, Copy, Debug)]
pub(super) struct Subject<'a> {
    pub(super) name: &'a str,
    pub(super) label: Label,
    pub(super) technique: &'a str,
    pub(super) tool: &'a str,
    pub(super) control_for: Option<&'a str>,
}

/// A recording's days, where its packet times were moved.
#[derive(Clone, Debug)]
pub(super) struct Shift {
    pub(super) series: String,
    pub(super) how: String,
    pub(super) judged_from_rel_s: Option<f64>,
    pub(super) host_hours: f64,
}

pub(super) fn entry(
    row: &Subject<'_>,
    made: &Made,
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
        .map(|culprit| Malicious::count(&frames, culprit, start))
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
        control_for: row.control_for.map(str::to_owned),
        seed: made.seed,
        run: made.run,
        other_flows: theft.then(|| "benign-background".to_owned()),
        tier: malicious.first().map(|first| first.tier.clone()),
        malicious,
        hard_negative: row.label == Label::Benign && row.control_for.is_some(),
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
        delay_ms: made.line.delay_ms,
        loss: made.line.loss,
        rate_mbit: made.line.rate_mbit,
        mtu: made.line.mtu_bytes,
        offload: made.line.offload,
        background: made.background,
        series: made.shift.as_ref().map(|shift| shift.series.clone()),
        time_shift: made.shift.as_ref().map(|shift| shift.how.clone()),
        judged_from_rel_s: made.shift.as_ref().and_then(|shift| shift.judged_from_rel_s),
        host_hours: made.shift.as_ref().map(|shift| shift.host_hours),
        notes: outcome.notes,
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
