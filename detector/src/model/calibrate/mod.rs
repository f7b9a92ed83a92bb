//! From scores to probabilities: isotonic regression on out-of-fold scores, moved to the share of
//! exfiltrations to be expected where the model serves.
//!
//! Pure. Nothing is chosen here; whoever serves a model decides whether to apply it.

mod error;

pub use error::{Bin, Ece, brier, ece};

use anyhow::{Result, ensure};
use serde::{Deserialize, Serialize};

use super::evaluate::{Scored, by_session};

/// A rising, piecewise linear map from a score to a probability.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Calibration {
    /// Share of exfiltrations among all sessions that the probabilities are for, 0 to 1.
    pub prior: f64,
    /// Score and probability, both rising. Below the first and above the last the probability
    /// stays.
    pub points: Vec<(f64, f64)>,
}

impl Calibration {
    /// Fits to out-of-fold scores, a session counting once by its highest, and moves the
    /// probabilities from the share of exfiltrations among these to `prior` (Saerens, Latinne and
    /// Decaestecker 2002).
    pub fn fit(rows: &[Scored], prior: f64) -> Result<Self> {
        ensure!(0.0 < prior && prior < 1.0, "a prior of {prior} is not in (0, 1)");
        let mut sessions = by_session(rows);
        ensure!(sessions.iter().all(|one| one.score.is_finite()), "a score is not finite");
        let positives = sessions.iter().filter(|one| one.label).count();
        ensure!(positives > 0, "no positive label among {} to calibrate on", sessions.len());
        let negatives = sessions.len() - positives;
        ensure!(negatives > 0, "no negative label among {} to calibrate on", sessions.len());

        sessions.sort_by(|a, b| a.score.total_cmp(&b.score));
        let targets = Targets::of(positives, negatives);
        let share = targets.mean(positives, negatives);
        let points = pooled(&sessions, targets)
            .into_iter()
            .flat_map(|block| {
                let probability = shifted(block.mean(), share, prior);
                [(block.low, probability), (block.high, probability)]
            })
            .collect();
        let mut calibration = Self { prior, points };
        calibration.points.dedup();
        Ok(calibration)
    }

    /// The probability of `score`, 0 to 1.
    #[must_use]
    pub fn apply(&self, score: f64) -> f64 {
        let above = self.points.partition_point(|(at, _)| *at <= score);
        match (
            above.checked_sub(1).and_then(|below| self.points.get(below)),
            self.points.get(above),
        ) {
            (Some((low, from)), Some((high, to))) => {
                from + (to - from) * (score - low) / (high - low)
            }
            (Some((_, probability)), None) | (None, Some((_, probability))) => *probability,
            (None, None) => score,
        }
    }

    /// Sees that a calibration from a file is one.
    pub fn check(&self) -> Result<()> {
        ensure!((0.0..=1.0).contains(&self.prior), "the calibration's prior is {}", self.prior);
        ensure!(!self.points.is_empty(), "the calibration has no point");
        for (score, probability) in &self.points {
            ensure!(
                score.is_finite() && (0.0..=1.0).contains(probability),
                "the calibration has the invalid point {score}, {probability}"
            );
        }
        let rises = self.points.is_sorted_by(|a, b| a.0 <= b.0 && a.1 <= b.1);
        ensure!(rises, "the calibration's points do not rise");
        Ok(())
    }
}

/// What the labels count as: a little off 0 and 1 (Platt 1999), since a few dozen sessions without
/// an exception do not show that there is none.
#[derive(Clone, Copy, Debug)]
struct Targets {
    positive: f64,
    negative: f64,
}

impl Targets {
    fn of(positives: usize, negatives: usize) -> Self {
        let (positives, negatives) = (positives as f64, negatives as f64);
        Self { positive: (positives + 1.0) / (positives + 2.0), negative: 1.0 / (negatives + 2.0) }
    }

    fn mean(self, positives: usize, negatives: usize) -> f64 {
        let (positives, negatives) = (positives as f64, negatives as f64);
        (positives * self.positive + negatives * self.negative) / (positives + negatives)
    }
}

/// Sessions in a row of scores that share a probability.
#[derive(Clone, Copy, Debug)]
struct Block {
    low: f64,
    high: f64,
    sum: f64,
    count: f64,
}

impl Block {
    fn mean(&self) -> f64 {
        self.sum / self.count
    }

    fn absorb(&mut self, next: &Self) {
        self.high = next.high;
        self.sum += next.sum;
        self.count += next.count;
    }
}

/// Pools adjacent violators (Ayer et al. 1955): neighbours whose means do not rise become one
/// block. Equal scores are one block from the start. `sessions` are in order of their scores.
fn pooled(sessions: &[Scored], targets: Targets) -> Vec<Block> {
    let mut blocks: Vec<Block> = Vec::new();
    for same in sessions.chunk_by(|a, b| a.score == b.score) {
        let target = |one: &Scored| if one.label { targets.positive } else { targets.negative };
        let score = same[0].score;
        let sum = same.iter().map(target).sum();
        let mut block = Block { low: score, high: score, sum, count: same.len() as f64 };
        while let Some(last) = blocks.pop_if(|last| last.mean() >= block.mean()) {
            let next = std::mem::replace(&mut block, last);
            block.absorb(&next);
        }
        blocks.push(block);
    }
    blocks
}

/// A probability learned where `from` of all are positive, for where `to` of all are.
fn shifted(probability: f64, from: f64, to: f64) -> f64 {
    let positive = probability * to / from;
    let negative = (1.0 - probability) * (1.0 - to) / (1.0 - from);
    positive / (positive + negative)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::random::fraction;

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

    fn close(value: f64, expected: f64) {
        assert!((value - expected).abs() < 1e-9, "{value} is not {expected}");
    }

    /// 2 positives and 3 negatives count as 3/4 and 1/5; their mean, 0.42, is kept as the prior.
    fn small() -> Calibration {
        let rows = [(0.1, '-'), (0.4, '+'), (0.3, '-'), (0.6, '-'), (0.9, '+')];
        Calibration::fit(&scored(&rows), 0.42).unwrap()
    }

    #[test]
    fn violators_are_pooled() {
        let points = small().points;
        let expected = [(0.1, 0.2), (0.3, 0.2), (0.4, 0.475), (0.6, 0.475), (0.9, 0.75)];
        assert_eq!(points.len(), expected.len(), "{points:?}");
        for ((score, probability), (at, expected)) in points.iter().zip(expected) {
            close(*score, at);
            close(*probability, expected);
        }
    }

    #[test]
    fn between_points_lies_a_line() {
        let calibration = small();
        for (score, expected) in [
            (-1.0, 0.2),
            (0.1, 0.2),
            (0.2, 0.2),
            (0.35, 0.337_5),
            (0.5, 0.475),
            (0.75, 0.612_5),
            (0.9, 0.75),
            (7.0, 0.75),
        ] {
            close(calibration.apply(score), expected);
        }
        calibration.check().unwrap();
    }

    #[test]
    fn equal_scores_have_one_probability_and_a_session_its_highest() {
        let rows = scored(&[(0.5, '+'), (0.5, '-'), (0.5, '-'), (0.5, '+')]);
        let calibration = Calibration::fit(&rows, 0.5).unwrap();
        assert_eq!(calibration.points.len(), 1);
        close(calibration.apply(0.2), 0.5);
        let row = |score, label, session| Scored { score, label, session };
        let rows = [row(0.2, false, 1), row(0.8, false, 1), row(0.3, true, 2), row(0.9, true, 2)];
        let calibration = Calibration::fit(&rows, 0.5).unwrap();
        assert_eq!(calibration.points.first().map(|point| point.0), Some(0.8));
    }

    #[test]
    fn a_prior_shifts_every_probability() {
        // Odds of 1 where half are positive are odds of 1/99 where 1 in 100 is.
        close(shifted(0.5, 0.5, 0.01), 0.01);
        close(shifted(0.01, 0.01, 0.5), 0.5);
        close(shifted(0.3, 0.2, 0.2), 0.3);
        let rows = scored(&[(0.1, '-'), (0.2, '+'), (0.3, '-'), (0.4, '+')]);
        let (even, rare) =
            (Calibration::fit(&rows, 0.5).unwrap(), Calibration::fit(&rows, 0.01).unwrap());
        for score in [0.1, 0.25, 0.4] {
            assert!(rare.apply(score) < even.apply(score));
        }
        assert_eq!(rare.prior, 0.01);
    }

    /// Scores whose square is the probability of an exfiltration.
    fn squares(seed: u64) -> Vec<Scored> {
        let row = |session| {
            let score = fraction(seed, 2 * session);
            Scored { score, label: fraction(seed, 2 * session + 1) < score * score, session }
        };
        (0..4_000).map(row).collect()
    }

    #[test]
    fn what_is_fitted_holds_on_others() {
        let share = squares(1).iter().filter(|one| one.label).count() as f64 / 4_000.0;
        let calibration = Calibration::fit(&squares(1), share).unwrap();
        calibration.check().unwrap();
        let others = squares(2);
        let raw: Vec<(f64, bool)> = others.iter().map(|one| (one.score, one.label)).collect();
        let fitted: Vec<(f64, bool)> =
            raw.iter().map(|(score, label)| (calibration.apply(*score), *label)).collect();
        let (before, after) = (ece(&raw).unwrap(), ece(&fitted).unwrap());
        assert!(before.value > 0.1 && after.value < 0.03, "{} {}", before.value, after.value);
        assert_eq!(after.n, 4_000);
        assert!(brier(&fitted) < brier(&raw));
        let rising = (0..1_000).map(|step| calibration.apply(f64::from(step) / 1_000.0));
        assert!(rising.is_sorted());
    }

    #[test]
    fn what_cannot_be_calibrated_is_named() {
        let check = |rows: &[(f64, char)], prior, expected: &str| {
            let error = Calibration::fit(&scored(rows), prior).unwrap_err().to_string();
            assert!(error.contains(expected), "{error}");
        };
        check(&[(0.5, '-')], 0.1, "no positive label among 1");
        check(&[(0.5, '+')], 0.1, "no negative label among 1");
        check(&[(0.5, '+'), (f64::NAN, '-')], 0.1, "not finite");
        check(&[(0.5, '+'), (0.1, '-')], 0.0, "a prior of 0 is not in (0, 1)");
    }

    #[test]
    fn a_damaged_calibration_is_refused() {
        let check = |prior, points: &[(f64, f64)]| {
            assert!(Calibration { prior, points: points.to_vec() }.check().is_err(), "{points:?}");
        };
        check(0.1, &[]);
        check(2.0, &[(0.1, 0.1)]);
        check(0.1, &[(0.1, 1.1)]);
        check(0.1, &[(f64::NAN, 0.1)]);
        check(0.1, &[(0.1, 0.2), (0.2, 0.1)]);
        check(0.1, &[(0.2, 0.1), (0.1, 0.2)]);
    }
}
