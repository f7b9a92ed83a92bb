//! How good a model is, for people and for programs: lab and real apart, technique by technique.

use std::collections::{BTreeMap, BTreeSet};
use std::io::{self, Write};

use serde::Serialize;

use crate::model::calibrate::{brier, ece};
use crate::model::evaluate::{by_session, report};
use crate::model::{Rate, Report, Scored};
use crate::units;
use crate::verdict::alert::protocol_name;

use super::dataset::{Dataset, Unit};
use super::labels::Origin;

/// Everything that is told about scores of a data set.
#[derive(Debug, Serialize)]
pub(super) struct Quality {
    /// By where the captures come from, and over all.
    parts: BTreeMap<&'static str, Report>,
    techniques: Vec<Found>,
    tiers: BTreeMap<&'static str, Share>,
    /// Of the forest alone; none where one of the labels is missing.
    calibration: Option<Calibrated>,
    /// Host-hours of ordinary use that the captures hold, and the alerts in them.
    host_hours: f64,
    alerts_in_host_hours: u64,
    missed: Vec<String>,
    false_alerts: Vec<String>,
    /// Median over the thefts that were found.
    bytes_leaked_median: Option<u64>,
    seconds_to_detect_median: Option<f64>,
}

/// How many of how many.
#[derive(Clone, Copy, Debug, Default, Serialize)]
struct Share {
    found: u64,
    total: u64,
}

/// What probabilities are worth, over senders.
#[derive(Debug, Serialize)]
struct Calibrated {
    expected_calibration_error: f64,
    brier: f64,
    senders: usize,
}

/// Thefts of one technique.
#[derive(Debug, Serialize)]
struct Found {
    origin: &'static str,
    technique: String,
    found: usize,
    total: usize,
}

impl Quality {
    /// `scored` and `forest`, its part alone, have one entry per row of the data set.
    pub(super) fn of(
        dataset: &Dataset,
        scored: &[Scored],
        forest: &[Scored],
        threshold: f64,
    ) -> Self {
        let units = by_session(scored);
        let alerted: Vec<bool> = units.iter().map(|unit| unit.score >= threshold).collect();
        let mut quality = Self {
            parts: parts(dataset, scored, threshold),
            techniques: techniques(dataset, &alerted),
            tiers: tiers(dataset, &alerted),
            calibration: calibration(forest),
            host_hours: dataset.host_hours,
            alerts_in_host_hours: alerts_in_host_hours(dataset, scored, threshold),
            missed: Vec::new(),
            false_alerts: Vec::new(),
            bytes_leaked_median: None,
            seconds_to_detect_median: None,
        };
        for ((unit, scored), alerted) in dataset.units.iter().zip(&units).zip(&alerted) {
            match (unit.theft, alerted) {
                (true, false) => quality.missed.push(describe(unit, scored.score)),
                (false, true) => quality.false_alerts.push(describe(unit, scored.score)),
                _ => {}
            }
        }
        let (bytes, seconds) = leaked(dataset, scored, threshold);
        quality.bytes_leaked_median = bytes;
        quality.seconds_to_detect_median = seconds;
        quality
    }

    pub(super) fn write_json(&self, output: &mut impl Write) -> io::Result<()> {
        serde_json::to_writer(&mut *output, self)?;
        writeln!(output)
    }

    pub(super) fn write_table(&self, output: &mut impl Write, list: bool) -> io::Result<()> {
        writeln!(
            output,
            "{:<6} {:>6} {:>6}  {:>16}  {:>16}  {:>5}  {:>8}  {:>12}  {:>6}",
            "DATA",
            "THEFTS",
            "OTHERS",
            "PRECISION",
            "RECALL",
            "F1",
            "ACCURACY",
            "FALSE ALERTS",
            "PR-AUC"
        )?;
        for (name, part) in &self.parts {
            let thefts = part.confusion.true_positives + part.confusion.false_negatives;
            let others = part.confusion.false_positives + part.confusion.true_negatives;
            writeln!(
                output,
                "{name:<6} {thefts:>6} {others:>6}  {:>16}  {:>16}  {:>5}  {:>8}  {:>12}  {:>6}",
                share(part.precision),
                share(part.recall),
                figure(part.f1),
                figure(part.accuracy.map(|rate| rate.value)),
                format!("{} of {others}", part.confusion.false_positives),
                figure(part.pr_auc),
            )?;
        }
        writeln!(output)?;
        for found in &self.techniques {
            let Found { origin, technique, found, total } = found;
            writeln!(output, "{origin:<6} {technique:<28} {found:>3} of {total} found")?;
        }
        for (name, Share { found, total }) in &self.tiers {
            writeln!(output, "{name:<35} {found:>3} of {total} found")?;
        }
        if let Some(Calibrated { expected_calibration_error, brier, senders }) = &self.calibration {
            writeln!(
                output,
                "\nthe forest's probabilities: expected calibration error \
                 {expected_calibration_error:.3}, Brier score {brier:.3}, n = {senders}"
            )?;
        }
        if self.host_hours > 0.0 {
            writeln!(
                output,
                "{} alerts in {:.0} host-hours of ordinary use",
                self.alerts_in_host_hours, self.host_hours
            )?;
        }
        if let (Some(bytes), Some(seconds)) =
            (self.bytes_leaked_median, self.seconds_to_detect_median)
        {
            let (bytes, seconds) = (units::bytes(bytes), units::seconds(seconds));
            writeln!(
                output,
                "\nhalf of the thefts found were found by {bytes} leaked, half by {seconds}"
            )?;
        }
        if list {
            for line in &self.missed {
                writeln!(output, "missed       {line}")?;
            }
            for line in &self.false_alerts {
                writeln!(output, "false alert  {line}")?;
            }
        }
        Ok(())
    }
}

fn parts(dataset: &Dataset, scored: &[Scored], threshold: f64) -> BTreeMap<&'static str, Report> {
    let mut parts = BTreeMap::new();
    let mut all = Vec::new();
    for origin in [Origin::Real, Origin::Lab, Origin::File] {
        let is_of = |row: &&Scored| {
            dataset.units.get(row.session as usize).is_some_and(|unit| unit.origin == origin)
        };
        let mut rows: Vec<Scored> = scored.iter().filter(is_of).copied().collect();
        rows.extend(unjudged(dataset, origin));
        if !rows.is_empty() {
            parts.insert(origin.name(), report(&rows, threshold));
        }
        all.append(&mut rows);
    }
    parts.insert("all", report(&all, threshold));
    parts
}

/// The thefts that never had enough to be judged: not found, and not forgotten.
fn unjudged(dataset: &Dataset, origin: Origin) -> impl Iterator<Item = Scored> {
    let known = dataset.thefts.iter().filter(|(of, _)| *of == origin).count() as u64;
    let judged = dataset.units.iter().filter(|unit| unit.theft && unit.origin == origin).count();
    // Numbers from the end, apart for the origins, are no unit's.
    let from = if origin == Origin::Real { u64::MAX } else { u64::MAX / 2 };
    (0..known.saturating_sub(judged as u64)).map(move |number| Scored {
        score: 0.0,
        label: true,
        session: from - number,
    })
}

/// Real thefts by size: A has at least 20 kB in 40 packets, B less.
fn tiers(dataset: &Dataset, alerted: &[bool]) -> BTreeMap<&'static str, Share> {
    let mut tiers = BTreeMap::new();
    for (unit, alerted) in dataset.units.iter().zip(alerted) {
        if unit.theft && unit.origin == Origin::Real {
            let large = unit.bytes_out >= 20_000 && unit.packets_out >= 40;
            let share: &mut Share =
                tiers.entry(if large { "real, tier A" } else { "real, tier B" }).or_default();
            share.found += u64::from(*alerted);
            share.total += 1;
        }
    }
    tiers
}

/// False alerts in captures of ordinary use: one for each session, as an operator gets them.
fn alerts_in_host_hours(dataset: &Dataset, scored: &[Scored], threshold: f64) -> u64 {
    let raised = scored.iter().zip(&dataset.alerts).filter(|(row, _)| {
        let unit = dataset.units.get(row.session as usize);
        !row.label && row.score >= threshold && unit.is_some_and(|unit| unit.in_host_hours)
    });
    let sessions: BTreeSet<(u64, u64)> =
        raised.map(|(row, session)| (row.session, *session)).collect();
    sessions.len() as u64
}

fn calibration(forest: &[Scored]) -> Option<Calibrated> {
    let units: Vec<(f64, bool)> =
        by_session(forest).iter().map(|unit| (unit.score, unit.label)).collect();
    Some(Calibrated {
        expected_calibration_error: ece(&units)?.value,
        brier: brier(&units)?,
        senders: units.len(),
    })
}

/// Of the thefts the manifests know: one that never had enough to be judged was not found.
fn techniques(dataset: &Dataset, alerted: &[bool]) -> Vec<Found> {
    let mut counts: BTreeMap<(Origin, &str), (usize, usize)> = BTreeMap::new();
    for (origin, technique) in &dataset.thefts {
        counts.entry((*origin, technique)).or_default().1 += 1;
    }
    for (unit, alerted) in dataset.units.iter().zip(alerted) {
        if unit.theft && *alerted {
            counts.entry((unit.origin, &unit.technique)).or_default().0 += 1;
        }
    }
    let found = |((origin, technique), (found, total)): ((Origin, &str), (usize, usize))| Found {
        origin: origin.name(),
        technique: technique.to_owned(),
        found,
        total,
    };
    counts.into_iter().map(found).collect()
}

/// Medians, over the thefts that were found, of what had left and how long it took.
fn leaked(dataset: &Dataset, scored: &[Scored], threshold: f64) -> (Option<u64>, Option<f64>) {
    let mut first = BTreeMap::new();
    for (row, progress) in scored.iter().zip(&dataset.progress) {
        if let Some(progress) = progress.filter(|_| row.label && row.score >= threshold) {
            first.entry(row.session).or_insert(progress);
        }
    }
    let mut bytes: Vec<u64> = first.values().map(|progress| progress.bytes_out).collect();
    let mut seconds: Vec<f64> = first.values().map(|progress| progress.seconds).collect();
    bytes.sort_unstable();
    seconds.sort_by(f64::total_cmp);
    (bytes.get(bytes.len() / 2).copied(), seconds.get(seconds.len() / 2).copied())
}

fn describe(unit: &Unit, score: f64) -> String {
    let Unit { file, technique, src, dst, protocol, server_port, bytes_out, .. } = unit;
    let (protocol, bytes) = (protocol_name(*protocol), units::bytes(*bytes_out));
    format!(
        "{score:.2}  {technique:<24} {file}: {src} -> {dst} {protocol} {server_port}, {bytes} out"
    )
}

fn figure(value: Option<f64>) -> String {
    value.map_or_else(|| "-".to_owned(), |value| format!("{value:.3}"))
}

/// `0.93 (0.69-0.99)`: the 95 % interval in brackets.
fn share(rate: Option<Rate>) -> String {
    rate.map_or_else(
        || "-".to_owned(),
        |rate| format!("{:.2} ({:.2}-{:.2})", rate.value, rate.low, rate.high),
    )
}
