//! What a model made in the same way would say of captures that it has not seen.
//!
//! Everything that is fitted is fitted inside each fold: the forest, and its calibration on scores
//! that are themselves out of fold within the fold's own rows. The threshold follows from what
//! errors cost, and the rules' constants are fitted nowhere.

use std::collections::BTreeSet;

use anyhow::Context as _;

use crate::model::calibrate::Calibration;
use crate::model::evaluate::by_session;
use crate::model::{
    Fold, Objective, Scored, Table, TrainConfig, choose_threshold, cross_validate, split, train,
};
use crate::verdict::score;

use super::dataset::Dataset;

/// How many parts a fold's own rows are divided into again, where they have as many groups.
const INNER_FOLDS: usize = 4;

/// How forests are grown and what their output is turned into.
#[derive(Clone, Debug)]
pub(super) struct Recipe {
    pub(super) forest: TrainConfig,
    /// At least 2, or 0: nothing is measured and nothing calibrated.
    pub(super) folds: usize,
    /// Share of exfiltrations among sessions that probabilities are for. None: the forest's output
    /// is taken as it is.
    pub(super) prior: Option<f64>,
    /// How many missed exfiltrations a false alert is as bad as.
    pub(super) cost: f64,
    /// None: what the cost says.
    pub(super) threshold: Option<f64>,
}

/// What models that have not seen a row's group say of it, in the order of the rows.
#[derive(Clone, Debug, Default)]
pub(super) struct Held {
    pub(super) scored: Vec<Scored>,
    /// The forests' part alone, as a probability.
    pub(super) forest: Vec<Scored>,
}

impl Recipe {
    /// The score from which on an alert costs less than silence. Of a probability that is
    /// cost / (1 + cost), and so it is where nothing was scored. Of a score that is none it is what
    /// served best on `scored`.
    pub(super) fn threshold(&self, scored: Option<&[Scored]>) -> anyhow::Result<f64> {
        match (self.threshold, self.prior, scored) {
            (Some(threshold), _, _) => Ok(threshold),
            (None, None, Some(scored)) => {
                let objective = Objective::Cost { false_positive: self.cost, false_negative: 1.0 };
                choose_threshold(&by_session(scored), objective)
            }
            (None, _, _) => Ok(self.cost / (1.0 + self.cost)),
        }
    }
}

/// The calibration of a forest that is grown on all rows, from out-of-fold scores of the same rows. None
/// where the recipe has no folds.
pub(super) fn calibration(
    table: &Table,
    recipe: &Recipe,
    folds: usize,
) -> anyhow::Result<Option<Calibration>> {
    let Some(prior) = recipe.prior.filter(|_| recipe.folds != 0) else { return Ok(None) };
    let scored = cross_validate(table, &recipe.forest, folds)?;
    Calibration::fit(&scored, prior).map(Some)
}

/// Scores every row out of fold.
pub(super) fn assess(
    dataset: &Dataset,
    recipe: &Recipe,
    tell: &mut dyn FnMut(usize),
) -> anyhow::Result<Held> {
    let table = &dataset.table;
    let folds = split(table, recipe.folds, recipe.forest.seed).context(
        "failed to validate out of fold: every fold needs exfiltration and benign traffic",
    )?;
    let unscored: Vec<Scored> = (0..table.len()).map(|row| joined(dataset, row, 0.0)).collect();
    let mut held = Held { scored: unscored.clone(), forest: unscored };
    for (number, Fold { kept, held_out }) in folds.iter().enumerate() {
        tell(number);
        let own = table.subset(kept);
        let groups = own.groups.iter().collect::<BTreeSet<_>>().len();
        let calibration = calibration(&own, recipe, INNER_FOLDS.min(groups))
            .with_context(|| format!("failed in fold {}", number + 1))?;
        let forest = train(&own, &recipe.forest)?.forest;
        for &row in held_out {
            let score = forest.score(table.row(row));
            let probability = calibration.as_ref().map_or(score, |fitted| fitted.apply(score));
            held.scored[row] = joined(dataset, row, probability);
            held.forest[row].score = probability;
        }
    }
    Ok(held)
}

/// The row's score as the verdict joins it.
pub(super) fn joined(dataset: &Dataset, row: usize, probability: f64) -> Scored {
    let score = score::of_doubt(probability, dataset.rules[row], dataset.baseline[row]);
    Scored { score, label: dataset.table.labels[row], session: dataset.table.sessions[row] }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_cost_says_from_when_on_an_alert_is_worth_it() {
        let check = |prior, cost, threshold, expected: f64| {
            let forest = TrainConfig::default();
            let recipe = Recipe { forest, folds: 5, prior, cost, threshold };
            let scored = [(0.9, true), (0.3, false)];
            let scored =
                scored.map(|(score, label)| Scored { score, label, session: label.into() });
            assert!((recipe.threshold(Some(&scored)).unwrap() - expected).abs() < 1e-9);
        };
        check(Some(0.01), 1.0, None, 0.5);
        check(Some(0.01), 4.0, None, 0.8);
        check(Some(0.01), 4.0, Some(0.3), 0.3);
        check(None, 1.0, None, 0.6);
    }

    #[test]
    fn without_folds_the_cost_decides_and_nothing_is_calibrated() {
        let forest = TrainConfig { trees: 10, ..TrainConfig::default() };
        let table = Table::new(vec!["column".to_owned()]);
        for (prior, threshold, expected) in
            [(Some(0.01), None, 0.75), (None, None, 0.75), (None, Some(0.3), 0.3)]
        {
            let recipe = Recipe { forest: forest.clone(), folds: 0, prior, cost: 3.0, threshold };
            assert!((recipe.threshold(None).unwrap() - expected).abs() < 1e-9);
            assert!(calibration(&table, &recipe, recipe.folds).unwrap().is_none());
        }
    }
}
