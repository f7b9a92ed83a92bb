//! How good a model is, for people and for programs: lab and real apart, technique by technique.

mod figures;

use std::collections::BTreeMap;
use std::io::{self, Write};

use serde::Serialize;

use crate::model::evaluate::{by_session, false_positive_rate_at};
use crate::model::{Rate, Report, Scored};
use crate::units;
use crate::verdict::alert::protocol_name;

use super::dataset::{Dataset, Unit};

/// Everything that is reported about scores of a data set.
#[derive(Debug, Serialize)]
pub(super) struct Quality {
    /// By where the captures come from, and over all.
    parts: BTreeMap<&'static str, Report>,
    techniques: Vec<Kind>,
    /// Kinds of ordinary traffic, with their false alerts.
    ordinary: Vec<Kind>,
    /// The registered domains of DNS, each a unit of its own.
    domains: Option<Report>,
    /// Share of ordinary senders that raise an alert where 85 of 100 exfiltrations are found.
    false_positive_rate_at_recall_85: Option<f64>,
    tiers: BTreeMap<&'static str, Share>,
    /// Of the forest alone; none where one of the labels is missing.
    calibration: Option<Calibrated>,
    /// Host-hours of ordinary use that the captures hold, and the alerts in them.
    host_hours: f64,
    alerts_in_host_hours: u64,
    missed: Vec<String>,
    false_alerts: Vec<String>,
    /// Median over the exfiltrations that were found.
    bytes_leaked_median: Option<u64>,
    seconds_to_detect_median: Option<f64>,
}

/// How many of how many.
#[derive(Clone, Copy, Debug, Default, Serialize)]
pub(super) struct Share {
    pub(super) found: u64,
    pub(super) total: u64,
}

/// What probabilities are worth, over senders.
#[derive(Debug, Serialize)]
pub(super) struct Calibrated {
    pub(super) expected_calibration_error: f64,
    pub(super) brier: f64,
    pub(super) senders: usize,
}

/// Senders of one technique, or of one kind of ordinary traffic.
#[derive(Debug, Serialize)]
pub(super) struct Kind {
    pub(super) origin: &'static str,
    pub(super) name: String,
    /// Alerts among them: for exfiltrations the recall, else the false-positive rate.
    pub(super) alerts: Option<Rate>,
    /// Medians over the exfiltrations that were found.
    pub(super) bytes_leaked_median: Option<u64>,
    pub(super) seconds_to_detect_median: Option<f64>,
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
            parts: figures::parts(dataset, scored, threshold),
            techniques: figures::kinds(dataset, scored, threshold, true),
            ordinary: figures::kinds(dataset, scored, threshold, false),
            domains: figures::domains(dataset, scored, threshold),
            false_positive_rate_at_recall_85: false_positive_rate_at(&units, 0.85),
            tiers: figures::tiers(dataset, &alerted),
            calibration: figures::calibration(forest),
            host_hours: dataset.host_hours,
            alerts_in_host_hours: figures::alerts_in_host_hours(dataset, scored, threshold),
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
        let (bytes, seconds) = figures::leaked(dataset, scored, threshold, |_| true);
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
            "EXFIL",
            "BENIGN",
            "PRECISION",
            "RECALL",
            "F1",
            "ACCURACY",
            "FALSE ALERTS",
            "PR-AUC"
        )?;
        for (name, part) in &self.parts {
            let positives = part.confusion.true_positives + part.confusion.false_negatives;
            let others = part.confusion.false_positives + part.confusion.true_negatives;
            writeln!(
                output,
                "{name:<6} {positives:>6} {others:>6}  {:>16}  {:>16}  {:>5}  {:>8}  {:>12}  {:>6}",
                share(part.precision),
                share(part.recall),
                figure(part.f1),
                figure(part.accuracy.map(|rate| rate.value)),
                format!("{} of {others}", part.confusion.false_positives),
                figure(part.pr_auc),
            )?;
        }
        writeln!(output)?;
        for kind in &self.techniques {
            writeln!(output, "{}", found(kind))?;
        }
        if let Some(domains) = &self.domains {
            let (precision, recall) = (share(domains.precision), share(domains.recall));
            writeln!(output, "DNS by registered domain: precision {precision}, recall {recall}")?;
        }
        if let Some(rate) = self.false_positive_rate_at_recall_85 {
            writeln!(output, "false-positive rate at a recall of 0.85: {rate:.4}")?;
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
                "{} in {:.0} host-hours of benign traffic",
                units::counted(self.alerts_in_host_hours, "alert"),
                self.host_hours
            )?;
        }
        if let (Some(bytes), Some(seconds)) =
            (self.bytes_leaked_median, self.seconds_to_detect_median)
        {
            let (bytes, seconds) = (units::bytes(bytes), units::seconds(seconds));
            writeln!(
                output,
                "\nmedian at detection: {bytes} leaked, {seconds} after the first byte"
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

/// One line for a technique: how many were found, by when and at what loss.
fn found(kind: &Kind) -> String {
    let Kind { origin, name, alerts, bytes_leaked_median, seconds_to_detect_median } = kind;
    let (count, total) = alerts.map_or((0, 0), |rate| (rate.count, rate.total));
    let by = match (bytes_leaked_median, seconds_to_detect_median) {
        (Some(bytes), Some(seconds)) => {
            format!(", half by {} and {}", units::bytes(*bytes), units::seconds(*seconds))
        }
        _ => String::new(),
    };
    format!("{origin:<6} {name:<28} {count:>3} of {total} found{by}")
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
