//! Scores every row by a forest that has not seen the row's group.
//!
//! A group (capture, scenario) is held out whole: rows of one capture resemble each other, and a
//! split through them would flatter. Nothing is chosen here; thresholds are chosen on what this
//! returns.

use std::collections::{BTreeMap, HashMap};

use anyhow::{Context as _, Result, ensure};

use super::evaluate::Scored;
use super::random::mix;
use super::table::Table;
use super::train::{TrainConfig, train};

/// Scores every row out of fold; one entry per row of `table`, in its order.
///
/// The class shares the weights ask for are kept in each fold's training rows.
pub fn cross_validate(table: &Table, config: &TrainConfig, folds: usize) -> Result<Vec<Scored>> {
    let mut scored: Vec<_> = table.labels.iter().zip(&table.sessions).map(unscored).collect();
    for (fold, Fold { kept, held_out }) in split(table, folds, config.seed)?.into_iter().enumerate()
    {
        let config = TrainConfig { seed: mix(config.seed, fold as u64), ..config.clone() };
        let trained = train(&table.subset(&kept), &config)
            .with_context(|| format!("failed to train fold {} of {folds}", fold + 1))?;
        for row in held_out {
            scored[row].score = trained.forest.score(table.row(row));
        }
    }
    Ok(scored)
}

/// One way to divide a table: positions of rows in rising order.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Fold {
    /// To learn from.
    pub kept: Vec<usize>,
    /// To be scored.
    pub held_out: Vec<usize>,
}

/// Divides a table in `folds` ways so that each row is held out once, with its whole group.
pub fn split(table: &Table, folds: usize, seed: u64) -> Result<Vec<Fold>> {
    table.check()?;
    let fold_of = assign_folds(table, folds, seed)?;
    let one = |fold| {
        let (held_out, kept) =
            (0..table.len()).partition(|row| fold_of[&table.groups[*row]] == fold);
        Fold { kept, held_out }
    };
    Ok((0..folds).map(one).collect())
}

fn unscored((label, session): (&bool, &u64)) -> Scored {
    Scored { score: 0.0, label: *label, session: *session }
}

/// Deals the groups to folds in an order the seed decides, those with positives first, so that
/// every fold gets its share of either kind.
fn assign_folds(table: &Table, folds: usize, seed: u64) -> Result<HashMap<u32, usize>> {
    ensure!(folds >= 2, "cross validation needs at least 2 folds, got {folds}");
    let mut positive = BTreeMap::<u32, bool>::new();
    for (group, label) in table.groups.iter().zip(&table.labels) {
        *positive.entry(*group).or_default() |= label;
    }
    ensure!(
        positive.len() >= folds,
        "{folds} folds need as many groups, the table has {}",
        positive.len()
    );
    let mut groups: Vec<_> = positive.into_iter().collect();
    groups.sort_by_key(|(group, positive)| (!positive, mix(seed, u64::from(*group)), *group));
    Ok(groups
        .into_iter()
        .enumerate()
        .map(|(position, (group, _))| (group, position % folds))
        .collect())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::table::RowKey;

    fn config() -> TrainConfig {
        TrainConfig { trees: 5, depth: 4, seed: 9, ..TrainConfig::default() }
    }

    #[test]
    fn whole_groups_are_dealt_evenly() {
        let mut table = Table::new(vec!["column".into()]);
        for group in 0..10 {
            for row in 0..3 {
                let key = RowKey { label: group < 4 && row == 0, group, session: u64::from(group) };
                table.push(&[row as f32], key).unwrap();
            }
        }
        let folds = assign_folds(&table, 2, 1).unwrap();
        let count = |groups: std::ops::Range<u32>| groups.filter(|group| folds[group] == 0).count();
        assert_eq!((count(0..4), count(4..10)), (2, 3));
        assert_ne!(folds, assign_folds(&table, 2, 2).unwrap());
    }

    #[test]
    fn a_row_never_meets_a_forest_that_saw_its_group() {
        // Within a group the one column equals the label, over the groups it says nothing: a split
        // through groups would look perfect, whole groups held out must look useless.
        let mut table = Table::new(vec!["column".into()]);
        for group in 0..40_u32 {
            let label = mix(5, u64::from(group)).is_multiple_of(2);
            for _ in 0..5 {
                table
                    .push(&[group as f32], RowKey { label, group, session: u64::from(group) })
                    .unwrap();
            }
        }
        let scored =
            cross_validate(&table, &TrainConfig { depth: 8, min_leaf: 1, ..config() }, 4).unwrap();
        let right = scored.iter().filter(|row| (row.score >= 0.5) == row.label).count();
        assert!(right < 150, "{right} of 200 rows are right");
    }

    #[test]
    fn the_same_seed_gives_the_same_scores() {
        let table = Table::noise(320, 5, 3);
        let first = cross_validate(&table, &config(), 3).unwrap();
        assert_eq!(
            first,
            cross_validate(&table, &TrainConfig { threads: 1, ..config() }, 3).unwrap()
        );
        assert_eq!(first.len(), table.len());
    }

    #[test]
    fn what_cannot_be_held_out_is_named() {
        let mut table = Table::new(vec!["column".into()]);
        for group in 0..4 {
            table.push(&[0.0], RowKey { label: group == 0, group, session: 0 }).unwrap();
        }
        let check = |folds, expected: &str| {
            let error = format!("{:#}", cross_validate(&table, &config(), folds).unwrap_err());
            assert!(error.contains(expected), "{error}");
        };
        check(1, "at least 2 folds");
        check(5, "the table has 4");
        check(2, "fold 1 of 2: no positive label");
    }
}
