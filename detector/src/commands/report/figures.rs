//! What a report counts: pure functions of a data set and its scores.

use std::collections::{BTreeMap, BTreeSet};

use crate::flow::is_domain;
use crate::model::calibrate::{brier, ece};
use crate::model::evaluate::{by_session, report};
use crate::model::{Rate, Report, Scored};

use super::super::dataset::{Dataset, Unit};
use super::super::labels::Origin;
use super::{Calibrated, Kind, Share};

pub(super) fn parts(
    dataset: &Dataset,
    scored: &[Scored],
    threshold: f64,
) -> BTreeMap<&'static str, Report> {
    let mut parts = BTreeMap::new();
    let mut all = Vec::new();
    for origin in [Origin::Real, Origin::Lab, Origin::File] {
        let is_of = |row: &&Scored| {
            dataset.units.get(row.session as usize).is_some_and(|unit| unit.origin == origin)
        };
        let mut rows: Vec<Scored> = scored.iter().filter(is_of).copied().collect();
        rows.extend(unscored(dataset, origin));
        if !rows.is_empty() {
            parts.insert(origin.name(), report(&rows, threshold));
        }
        all.append(&mut rows);
    }
    parts.insert("all", report(&all, threshold));
    parts
}

/// The exfiltrations that never had enough to be scored: not found, and not forgotten.
fn unscored(dataset: &Dataset, origin: Origin) -> impl Iterator<Item = Scored> {
    let known = dataset.thefts.iter().filter(|(of, _)| *of == origin).count() as u64;
    let scored = dataset.units.iter().filter(|unit| unit.theft && unit.origin == origin).count();
    // Numbers from the end, apart for the origins, are no unit's.
    let from = if origin == Origin::Real { u64::MAX } else { u64::MAX / 2 };
    (0..known.saturating_sub(scored as u64)).map(move |number| Scored {
        score: 0.0,
        label: true,
        session: from - number,
    })
}

/// Real exfiltrations by size: A has at least 20 kB in 40 packets, B less.
pub(super) fn tiers(dataset: &Dataset, alerted: &[bool]) -> BTreeMap<&'static str, Share> {
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
pub(super) fn alerts_in_host_hours(dataset: &Dataset, scored: &[Scored], threshold: f64) -> u64 {
    let raised = scored.iter().zip(&dataset.alerts).filter(|(row, _)| {
        let unit = dataset.units.get(row.session as usize);
        !row.label && row.score >= threshold && unit.is_some_and(|unit| unit.in_host_hours)
    });
    let sessions: BTreeSet<(u64, u64)> =
        raised.map(|(row, session)| (row.session, *session)).collect();
    sessions.len() as u64
}

pub(super) fn calibration(forest: &[Scored]) -> Option<Calibrated> {
    let units: Vec<(f64, bool)> =
        by_session(forest).iter().map(|unit| (unit.score, unit.label)).collect();
    Some(Calibrated {
        expected_calibration_error: ece(&units)?.value,
        brier: brier(&units)?,
        senders: units.len(),
    })
}

/// Exfiltrations by technique, or ordinary senders by kind. An exfiltration that never had enough
/// to be scored was not found.
pub(super) fn kinds(
    dataset: &Dataset,
    scored: &[Scored],
    threshold: f64,
    thefts: bool,
) -> Vec<Kind> {
    let mut counts: BTreeMap<(Origin, &str), (u64, u64)> = BTreeMap::new();
    if thefts {
        for (origin, technique) in &dataset.thefts {
            counts.entry((*origin, technique)).or_default().1 += 1;
        }
    }
    for (unit, scored) in dataset.units.iter().zip(by_session(scored)) {
        if unit.theft == thefts {
            let count = counts.entry((unit.origin, &unit.technique)).or_default();
            count.0 += u64::from(scored.score >= threshold);
            count.1 += u64::from(!thefts);
        }
    }
    let kind = |((origin, name), (alerts, total)): ((Origin, &str), (u64, u64))| {
        let is_of = |unit: &Unit| unit.origin == origin && unit.technique == name;
        let (bytes, seconds) = leaked(dataset, scored, threshold, is_of);
        Kind {
            origin: origin.name(),
            name: name.to_owned(),
            alerts: Rate::new(alerts, total),
            bytes_leaked_median: bytes.filter(|_| thefts),
            seconds_to_detect_median: seconds.filter(|_| thefts),
        }
    };
    counts.into_iter().map(kind).collect()
}

/// The domains that were scored, each once; none without any.
pub(super) fn domains(dataset: &Dataset, scored: &[Scored], threshold: f64) -> Option<Report> {
    let mut numbers = BTreeMap::new();
    let mut rows = Vec::new();
    for (row, session) in scored.iter().zip(&dataset.alerts) {
        if is_domain(*session) {
            let next = numbers.len() as u64;
            let session = *numbers.entry((row.session, *session)).or_insert(next);
            rows.push(Scored { session, ..*row });
        }
    }
    (!rows.is_empty()).then(|| report(&rows, threshold))
}

/// Medians, over the exfiltrations that were found, of what had left and how long it took.
pub(super) fn leaked(
    dataset: &Dataset,
    scored: &[Scored],
    threshold: f64,
    is_of: impl Fn(&Unit) -> bool,
) -> (Option<u64>, Option<f64>) {
    let mut first = BTreeMap::new();
    for (row, progress) in scored.iter().zip(&dataset.progress) {
        let wanted = dataset.units.get(row.session as usize).is_some_and(&is_of);
        let found = wanted && row.label && row.score >= threshold;
        if let Some(progress) = progress.filter(|_| found) {
            first.entry(row.session).or_insert(progress);
        }
    }
    let mut bytes: Vec<u64> = first.values().map(|progress| progress.bytes_out).collect();
    let mut seconds: Vec<f64> = first.values().map(|progress| progress.seconds).collect();
    bytes.sort_unstable();
    seconds.sort_by(f64::total_cmp);
    (bytes.get(bytes.len() / 2).copied(), seconds.get(seconds.len() / 2).copied())
}
