//! What a model made in the same way would say of captures that it has not seen.
//!
//! Everything that is fitted is fitted inside each fold: the forest, its calibration and the
//! threshold, the latter two on scores that are themselves out of fold within the fold's own rows.
//! The rules' constants are fitted nowhere.

use anyhow::Context as _;

use crate::model::calibrate::Calibration;
use crate::model::evaluate::by_session;
use crate::model::{
    Fold, Objective, Scored, Table, TrainConfig, choose_threshold, cross_validate, split, train,
};
use crate::verdict::score;

use super::dataset::Dataset;

/// How many parts a fold's own rows are divided into again.
const INNER_FOLDS: usize = 4;

/// How forests are grown and what their output is turned into.
#[derive(Clone, Debug)]
pub(super) struct Recipe {
    pub(super) forest: TrainConfig,
    pub(super) folds: usize,
    /// Share of thefts among sessions that probabilities are for.
    pub(super) prior: f64,
    pub(super) objective: Objective,
    /// None: chosen by the objective.
    pub(super) threshold: Option<f64>,
}

/// What is fitted to a forest's output.
#[derive(Clone, Debug)]
pub(super) struct Fitted {
    pub(super) calibration: Calibration,
    pub(super) threshold: f64,
}

/// What models that have not seen a row's group say of it.
#[derive(Clone, Debug, Default)]
pub(super) struct Held {
    /// The scores of all folds on one scale, on which each fold's own threshold is
    /// [`COMMON_THRESHOLD`].
    pub(super) scored: Vec<Scored>,
    /// The forests' part alone, calibrated.
    pub(super) forest: Vec<Scored>,
}

/// The threshold of scores out of fold.
pub(super) const COMMON_THRESHOLD: f64 = 0.5;

/// Calibration and threshold for a forest that is grown on all rows, from out-of-fold scores of the
/// same rows.
///
/// # Errors
///
/// Data that cannot be divided or learned from.
pub(super) fn fit(dataset: &Dataset, recipe: &Recipe) -> anyhow::Result<Fitted> {
    let all: Vec<usize> = (0..dataset.table.len()).collect();
    fit_rows(dataset, &dataset.table, &all, recipe, recipe.folds)
}

/// Judges every row out of fold; in the order of the rows.
///
/// # Errors
///
/// As for [`fit`].
pub(super) fn judge(dataset: &Dataset, recipe: &Recipe) -> anyhow::Result<Held> {
    let table = &dataset.table;
    let folds = split(table, recipe.folds, recipe.forest.seed).context(
        "failed to validate out of fold: every part needs thefts and ordinary traffic of its own",
    )?;
    let unjudged = joined_all(dataset);
    let mut held = Held { scored: unjudged.clone(), forest: unjudged };
    for (number, Fold { kept, held_out }) in folds.iter().enumerate() {
        let own = table.subset(kept);
        let fitted = fit_rows(dataset, &own, kept, recipe, INNER_FOLDS)
            .with_context(|| format!("failed in fold {}", number + 1))?;
        let forest = train(&own, &recipe.forest)?.forest;
        for &row in held_out {
            let probability = fitted.calibration.apply(forest.score(table.row(row)));
            let score = joined(dataset, row, probability).score;
            held.scored[row].score = aligned(score, fitted.threshold);
            held.forest[row].score = probability;
        }
    }
    Ok(held)
}

/// Every row before a forest has said anything.
fn joined_all(dataset: &Dataset) -> Vec<Scored> {
    (0..dataset.table.len()).map(|row| joined(dataset, row, 0.0)).collect()
}

/// Moves a score so that `threshold` comes to lie at [`COMMON_THRESHOLD`], in order.
fn aligned(score: f64, threshold: f64) -> f64 {
    if score < threshold {
        COMMON_THRESHOLD * score / threshold
    } else {
        let room = (1.0 - threshold).max(f64::MIN_POSITIVE);
        COMMON_THRESHOLD + (1.0 - COMMON_THRESHOLD) * (score - threshold) / room
    }
}

fn fit_rows(
    dataset: &Dataset,
    table: &Table,
    positions: &[usize],
    recipe: &Recipe,
    folds: usize,
) -> anyhow::Result<Fitted> {
    let scored = cross_validate(table, &recipe.forest, folds)?;
    let calibration = Calibration::fit(&scored, recipe.prior)?;
    let joined: Vec<Scored> = positions
        .iter()
        .zip(&scored)
        .map(|(row, scored)| joined(dataset, *row, calibration.apply(scored.score)))
        .collect();
    let threshold = match recipe.threshold {
        Some(threshold) => threshold,
        None => choose_threshold(&by_session(&joined), recipe.objective)?,
    };
    Ok(Fitted { calibration, threshold })
}

/// The row's score as the verdict joins it.
pub(super) fn joined(dataset: &Dataset, row: usize, probability: f64) -> Scored {
    let score = score::of_doubt(probability, dataset.rules[row], dataset.habits[row]);
    Scored { score, label: dataset.table.labels[row], session: dataset.table.sessions[row] }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn scores_of_two_folds_meet_at_the_threshold() {
        for threshold in [0.2, 0.9] {
            assert!((aligned(threshold, threshold) - COMMON_THRESHOLD).abs() < 1e-12);
            assert!(aligned(threshold * 0.999, threshold) < COMMON_THRESHOLD);
            assert!((aligned(1.0, threshold) - 1.0).abs() < 1e-12);
            assert!(aligned(0.0, threshold).abs() < 1e-12);
        }
        assert!((aligned(1.0, 1.0) - COMMON_THRESHOLD).abs() < 1e-12);
    }
}
