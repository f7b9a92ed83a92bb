//! How good scores are: counts, precision, recall, intervals, precision-recall area, and the choice
//! of a threshold.
//!
//! Pure functions of scores and labels. A session is scored once, by the highest of its scores;
//! whoever wants rows or domains scored gives each its own session number.

use std::collections::BTreeMap;

use anyhow::{Context as _, Result, ensure};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

/// A score and the truth.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Scored {
    /// The forest's output, 0 to 1.
    pub score: f64,
    /// True for an exfiltration.
    pub label: bool,
    /// Rows of one session are one unit.
    pub session: u64,
}

/// One entry per session, in order of the session number: its highest score, positive if any of its
/// rows is.
pub fn by_session(rows: &[Scored]) -> Vec<Scored> {
    let mut sessions = BTreeMap::new();
    for row in rows {
        let session = sessions.entry(row.session).or_insert(*row);
        session.score = session.score.max(row.score);
        session.label |= row.label;
    }
    sessions.into_values().collect()
}

/// Counts of right and wrong verdicts.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Confusion {
    /// Exfiltrations found.
    pub true_positives: u64,
    /// False alerts.
    pub false_positives: u64,
    /// Ordinary traffic left alone.
    pub true_negatives: u64,
    /// Exfiltrations missed.
    pub false_negatives: u64,
}

impl Confusion {
    /// Counts `units` as they are, one verdict each; a score at or above `threshold` is an alert.
    pub fn at(units: &[Scored], threshold: f64) -> Self {
        let mut confusion = Self::default();
        for unit in units {
            *confusion.count_mut(unit.score >= threshold, unit.label) += 1;
        }
        confusion
    }

    fn count_mut(&mut self, alert: bool, label: bool) -> &mut u64 {
        match (alert, label) {
            (true, true) => &mut self.true_positives,
            (true, false) => &mut self.false_positives,
            (false, false) => &mut self.true_negatives,
            (false, true) => &mut self.false_negatives,
        }
    }

    /// Share of the alerts that are right; none without alerts.
    pub fn precision(&self) -> Option<Rate> {
        Rate::new(self.true_positives, self.true_positives + self.false_positives)
    }

    /// Share of the exfiltrations that are found; none without any.
    pub fn recall(&self) -> Option<Rate> {
        Rate::new(self.true_positives, self.true_positives + self.false_negatives)
    }

    /// Share of the verdicts that are right; none without units.
    pub fn accuracy(&self) -> Option<Rate> {
        let right = self.true_positives + self.true_negatives;
        Rate::new(right, right + self.false_positives + self.false_negatives)
    }

    /// Share of the ordinary units that raise an alert; none without any.
    pub fn false_positive_rate(&self) -> Option<Rate> {
        Rate::new(self.false_positives, self.false_positives + self.true_negatives)
    }

    /// Harmonic mean of precision and recall; none without alerts and exfiltrations.
    pub fn f1(&self) -> Option<f64> {
        self.f_beta(1.0)
    }

    /// Weighted harmonic mean, recall counting `beta` times as much as precision; none as for
    /// [`Confusion::f1`].
    pub fn f_beta(&self, beta: f64) -> Option<f64> {
        let square = beta * beta;
        let right = (1.0 + square) * self.true_positives as f64;
        let all = right + square * self.false_negatives as f64 + self.false_positives as f64;
        (all > 0.0).then(|| right / all)
    }
}

/// A share with its counts and its 95 % Wilson interval.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct Rate {
    /// `count` / `total`.
    pub value: f64,
    /// Lower end of the interval.
    pub low: f64,
    /// Upper end of the interval.
    pub high: f64,
    /// Units that meet the condition.
    pub count: u64,
    /// Units looked at.
    pub total: u64,
}

impl Rate {
    /// The share of `count` in `total`; none of none has no rate.
    pub fn new(count: u64, total: u64) -> Option<Self> {
        if total == 0 {
            return None;
        }
        let (low, high) = wilson_95(count, total);
        Some(Self { value: count as f64 / total as f64, low, high, count, total })
    }
}

/// Wilson's score interval at 95 % (Wilson 1927): unlike the normal one it stays within 0 and 1 and
/// holds for the few positives we have. `total` is at least 1.
fn wilson_95(count: u64, total: u64) -> (f64, f64) {
    const Z: f64 = 1.959_963_984_540_054;
    let (share, total) = (count as f64 / total as f64, total as f64);
    let scale = 1.0 + Z * Z / total;
    let centre = (share + Z * Z / (2.0 * total)) / scale;
    let half = Z / scale * (share * (1.0 - share) / total + Z * Z / (4.0 * total * total)).sqrt();
    ((centre - half).max(0.0), (centre + half).min(1.0))
}

/// Area under the precision-recall curve as average precision: the precision at each score,
/// weighted by the recall gained there; equal scores are one step. None without a positive unit.
pub fn pr_auc(units: &[Scored]) -> Option<f64> {
    let positives = units.iter().filter(|unit| unit.label).count() as f64;
    let mut area = 0.0;
    let mut found = 0;
    for (_, confusion) in cuts(units) {
        let gained = (confusion.true_positives - found) as f64 / positives;
        let alerts = (confusion.true_positives + confusion.false_positives) as f64;
        area += gained * confusion.true_positives as f64 / alerts;
        found = confusion.true_positives;
    }
    (positives > 0.0).then_some(area)
}

/// Share of the ordinary units that raise an alert where `recall` of the exfiltrations are found;
/// none without units of both labels.
pub fn false_positive_rate_at(units: &[Scored], recall: f64) -> Option<f64> {
    let rates = |confusion: &Confusion| {
        Some((confusion.recall()?.value, confusion.false_positive_rate()?.value))
    };
    cuts(units)
        .iter()
        .filter_map(|(_, confusion)| rates(confusion))
        .find(|(found, _)| *found >= recall)
        .map(|(_, rate)| rate)
}

/// Probability that an exfiltration scores above an ordinary unit, ties counting half (Mann and
/// Whitney 1947): the area under the receiver operating characteristic. None without both labels.
pub fn roc_auc(units: &[Scored]) -> Option<f64> {
    let mut area = 0.0;
    let mut last = (0.0, 0.0);
    for (_, confusion) in cuts(units) {
        let rates = (confusion.false_positive_rate()?.value, confusion.recall()?.value);
        area += (rates.0 - last.0) * f64::midpoint(rates.1, last.1);
        last = rates;
    }
    (!units.is_empty()).then_some(area)
}

/// Every distinct score, highest first, with the counts when it and all above it are alerts.
fn cuts(units: &[Scored]) -> Vec<(f64, Confusion)> {
    let mut ordered: Vec<_> = units.iter().collect();
    ordered.sort_by(|a, b| b.score.total_cmp(&a.score));
    let mut confusion = Confusion::at(units, f64::INFINITY);
    let mut cuts = Vec::new();
    for same in ordered.chunk_by(|a, b| a.score == b.score) {
        for unit in same {
            *confusion.count_mut(false, unit.label) -= 1;
            *confusion.count_mut(true, unit.label) += 1;
        }
        cuts.push((same[0].score, confusion));
    }
    cuts
}

/// The F1 at the threshold that is best for it; 0 without a positive unit.
#[cfg(test)]
pub(super) fn best_f1(units: &[Scored]) -> f64 {
    cuts(units).iter().filter_map(|(_, confusion)| confusion.f1()).fold(0.0, f64::max)
}

/// What a threshold is chosen for.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Objective {
    /// The highest F-beta.
    FBeta {
        /// How many times as much recall counts as precision.
        beta: f64,
    },
    /// The lowest cost of all errors.
    Cost {
        /// Of a false alert.
        false_positive: f64,
        /// Of a missed exfiltration, in the same unit.
        false_negative: f64,
    },
}

impl Objective {
    /// Higher is better.
    fn merit(self, confusion: &Confusion) -> f64 {
        match self {
            Self::FBeta { beta } => confusion.f_beta(beta).unwrap_or(0.0),
            Self::Cost { false_positive, false_negative } => {
                -(false_positive * confusion.false_positives as f64
                    + false_negative * confusion.false_negatives as f64)
            }
        }
    }
}

/// The threshold at which alerts on `units` (out of fold, one per session) serve the objective
/// best. It lies halfway between the lowest score that raises an alert and the next one below, so
/// that a score is not lost to rounding. Of equally good thresholds the highest is taken; at least
/// one unit raises an alert.
pub fn choose_threshold(units: &[Scored], objective: Objective) -> Result<f64> {
    ensure!(
        units.iter().any(|unit| unit.label),
        "no positive label among {} to choose a threshold on",
        units.len()
    );
    ensure!(
        !units.iter().all(|unit| unit.label),
        "no negative label among {} to choose a threshold on",
        units.len()
    );
    ensure!(
        units.iter().all(|unit| unit.score.is_finite()),
        "a score to choose a threshold on is not finite"
    );
    let cuts = cuts(units);
    let mut best: Option<(usize, f64)> = None;
    for (position, (_, confusion)) in cuts.iter().enumerate() {
        let merit = objective.merit(confusion);
        if best.is_none_or(|(_, highest)| merit > highest) {
            best = Some((position, merit));
        }
    }
    let (position, _) = best.context("no score to choose a threshold on")?;
    let lowest_alert = cuts[position].0;
    let Some((below, _)) = cuts.get(position + 1) else {
        return Ok(lowest_alert);
    };
    let halfway = below + (lowest_alert - below) / 2.0;
    Ok(if halfway > *below { halfway } else { lowest_alert })
}

/// All figures of one set of sessions at one threshold.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct Report {
    /// A score at or above it is an alert.
    pub threshold: f64,
    /// Sessions by verdict and truth.
    pub confusion: Confusion,
    /// None without alerts.
    pub precision: Option<Rate>,
    /// None without exfiltrations.
    pub recall: Option<Rate>,
    /// None without ordinary sessions.
    pub false_positive_rate: Option<Rate>,
    /// None without alerts and exfiltrations.
    pub f1: Option<f64>,
    /// None without sessions, and in models from before it was stored.
    #[serde(default)]
    pub accuracy: Option<Rate>,
    /// Over all thresholds; none without exfiltrations.
    pub pr_auc: Option<f64>,
}

/// Scores the sessions of `rows` at `threshold`.
pub fn report(rows: &[Scored], threshold: f64) -> Report {
    let sessions = by_session(rows);
    let confusion = Confusion::at(&sessions, threshold);
    Report {
        threshold,
        confusion,
        precision: confusion.precision(),
        recall: confusion.recall(),
        false_positive_rate: confusion.false_positive_rate(),
        f1: confusion.f1(),
        accuracy: confusion.accuracy(),
        pr_auc: pr_auc(&sessions),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// One session per row: `+` positive, `-` negative.
    fn scored(rows: &[(f64, char)]) -> Vec<Scored> {
        let rows = rows.iter().zip(0..);
        rows.map(|((score, label), session)| Scored {
            score: *score,
            label: *label == '+',
            session,
        })
        .collect()
    }

    fn close(value: Option<f64>, expected: f64) {
        let value = value.unwrap();
        assert!((value - expected).abs() < 5e-5, "{value} is not {expected}");
    }

    #[test]
    fn counts_an_alert_at_the_threshold() {
        let rows =
            scored(&[(0.9, '+'), (0.5, '+'), (0.5, '-'), (0.4, '+'), (0.1, '-'), (0.2, '-')]);
        let confusion = Confusion::at(&rows, 0.5);
        let expected = Confusion {
            true_positives: 2,
            false_positives: 1,
            true_negatives: 2,
            false_negatives: 1,
        };
        assert_eq!(confusion, expected);
        close(confusion.precision().map(|rate| rate.value), 2.0 / 3.0);
        close(confusion.recall().map(|rate| rate.value), 2.0 / 3.0);
        close(confusion.false_positive_rate().map(|rate| rate.value), 1.0 / 3.0);
        close(confusion.f1(), 2.0 / 3.0);
        close(confusion.accuracy().map(|rate| rate.value), 4.0 / 6.0);
        // (1 + 4) * 2 / (5 * 2 + 4 * 1 + 1)
        close(confusion.f_beta(2.0), 10.0 / 15.0);
    }

    #[test]
    fn what_cannot_be_computed_is_none() {
        let confusion = Confusion::at(&scored(&[(0.1, '-')]), 0.5);
        assert_eq!((confusion.precision(), confusion.recall(), confusion.f1()), (None, None, None));
        assert_eq!(pr_auc(&scored(&[(0.1, '-')])), None);
        assert_eq!(pr_auc(&[]), None);
    }

    #[test]
    fn wilson_intervals_equal_published_values() {
        for (count, total, low, high) in [
            (8, 10, 0.4902, 0.9433),
            (0, 10, 0.0, 0.2775),
            (10, 10, 0.7225, 1.0),
            (1, 1608, 0.000_110, 0.003_515),
        ] {
            let rate = Rate::new(count, total).unwrap();
            close(Some(rate.low), low);
            close(Some(rate.high), high);
        }
    }

    #[test]
    fn a_session_is_judged_by_its_highest_score() {
        let row = |score, label, session| Scored { score, label, session };
        let rows = [
            row(0.2, true, 7),
            row(0.3, false, 1),
            row(0.8, true, 7),
            row(0.9, false, 1),
            row(0.1, false, 3),
        ];
        assert_eq!(by_session(&rows), [row(0.9, false, 1), row(0.1, false, 3), row(0.8, true, 7)]);
        let report = report(&rows, 0.5);
        assert_eq!(report.precision.map(|rate| (rate.count, rate.total)), Some((1, 2)));
        assert_eq!(report.recall.map(|rate| (rate.count, rate.total)), Some((1, 1)));
        close(report.pr_auc, 0.5);
    }

    #[test]
    fn average_precision() {
        // Positives at ranks 1, 3 and 4: (1/1 + 2/3 + 3/4) / 3.
        let rows = scored(&[(0.9, '+'), (0.8, '-'), (0.7, '+'), (0.6, '+'), (0.5, '-')]);
        close(pr_auc(&rows), (1.0 + 2.0 / 3.0 + 0.75) / 3.0);
        // All equal: one step at the share of positives, whatever the order.
        close(pr_auc(&scored(&[(0.5, '+'), (0.5, '-'), (0.5, '-'), (0.5, '+')])), 0.5);
    }

    #[test]
    fn ranks_are_measured() {
        let rows = scored(&[(0.9, '+'), (0.8, '-'), (0.7, '+'), (0.6, '-'), (0.5, '-')]);
        // Five of the six pairs are in order.
        close(roc_auc(&rows), 5.0 / 6.0);
        close(roc_auc(&scored(&[(0.5, '+'), (0.5, '-')])), 0.5);
        assert_eq!(roc_auc(&scored(&[(0.5, '+')])), None);
        close(false_positive_rate_at(&rows, 0.5), 0.0);
        close(false_positive_rate_at(&rows, 0.85), 1.0 / 3.0);
    }

    #[test]
    fn chooses_the_threshold_the_objective_asks_for() {
        let rows =
            scored(&[(0.9, '+'), (0.8, '+'), (0.6, '-'), (0.4, '+'), (0.2, '-'), (0.1, '-')]);
        let check = |objective, expected| close(choose_threshold(&rows, objective).ok(), expected);
        // F1: 0.5, 0.8, 0.667, 0.857 with the top 1, 2, 3, 4 alerted.
        check(Objective::FBeta { beta: 1.0 }, 0.3);
        check(Objective::FBeta { beta: 0.2 }, 0.7);
        check(Objective::Cost { false_positive: 10.0, false_negative: 1.0 }, 0.7);
        check(Objective::Cost { false_positive: 1.0, false_negative: 10.0 }, 0.3);
    }

    #[test]
    fn a_threshold_lies_above_the_score_it_excludes() {
        let below = 0.5_f64;
        let rows = scored(&[(below.next_up(), '+'), (below, '-')]);
        assert_eq!(
            choose_threshold(&rows, Objective::FBeta { beta: 1.0 }).unwrap(),
            below.next_up()
        );
        let rows = scored(&[(0.5, '+'), (0.5, '-')]);
        assert_eq!(choose_threshold(&rows, Objective::FBeta { beta: 1.0 }).unwrap(), 0.5);
    }

    #[test]
    fn a_missing_label_is_named() {
        let objective = Objective::FBeta { beta: 1.0 };
        let error = choose_threshold(&scored(&[(0.5, '-')]), objective).unwrap_err();
        assert!(error.to_string().starts_with("no positive label"), "{error}");
        let error = choose_threshold(&scored(&[(0.5, '+')]), objective).unwrap_err();
        assert!(error.to_string().starts_with("no negative label"), "{error}");
    }
}
