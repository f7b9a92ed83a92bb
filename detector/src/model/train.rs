//! Fits forests with smartcore and turns them into the flat form that is served.
//!
//! The only home of smartcore. A table of labelled rows goes in; the same table, configuration and
//! seed give the same forest, byte for byte, on any number of threads. Nothing is read or written
//! here.

use std::num::NonZeroUsize;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;

use anyhow::{Context as _, Result, anyhow, ensure};
use serde::{Deserialize, Serialize};
use smartcore::ensemble::random_forest_regressor::{
    RandomForestRegressor, RandomForestRegressorParameters,
};
use smartcore::linalg::basic::matrix::DenseMatrix;
use utoipa::ToSchema;

use super::forest::{Forest, Split, TreeNode, round_down};
use super::random::mix;
use super::table::Table;

/// Trees fitted by one call of the trainer. Fixed, so that the number of threads does not change
/// the result.
const TREES_PER_PART: usize = 10;

type Regressor = RandomForestRegressor<f32, f64, DenseMatrix<f32>, Vec<f64>>;

/// What a forest is grown with.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct TrainConfig {
    /// Number of trees.
    pub trees: usize,
    /// Splits on the longest path of a tree.
    pub depth: u16,
    /// Fewest training rows under a leaf.
    pub min_leaf: usize,
    /// Columns tried at each split; none: the square root of their number.
    pub features_per_split: Option<usize>,
    /// Decides every random choice.
    pub seed: u64,
    /// Rows that each part of the forest is fitted to, drawn again for each; none: all of them.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    pub rows_per_part: Option<usize>,
    /// Threads to fit on; 0: one per core. Does not change the result, so it is not kept in a
    /// model.
    #[serde(skip)]
    pub threads: usize,
}

impl Default for TrainConfig {
    fn default() -> Self {
        Self {
            trees: 100,
            depth: 12,
            min_leaf: 3,
            features_per_split: None,
            seed: 1,
            rows_per_part: None,
            threads: 0,
        }
    }
}

/// A fitted forest and what the fitting shows about the columns.
#[derive(Clone, Debug, PartialEq)]
pub struct Trained {
    /// Ready to score.
    pub forest: Forest,
    /// Share of the impurity removed by each column, mean over the trees; sums to 1 unless no tree
    /// has a split.
    pub importances: Vec<f64>,
}

/// Fits a forest to the rows of `table`. Each tree draws its rows with replacement, in proportion
/// to their weights.
pub fn train(table: &Table, config: &TrainConfig) -> Result<Trained> {
    let parts = fit_parts(table, config, |part| {
        let importances =
            part.compute_feature_importances().context("failed to read the importances")?;
        Ok((flatten(&part)?, importances))
    })?;
    let mut trees = Vec::with_capacity(config.trees);
    let mut importances = vec![0.0; table.columns.len()];
    for (part_trees, part_importances) in parts {
        let share = part_trees.len() as f64 / config.trees as f64;
        for (sum, importance) in importances.iter_mut().zip(part_importances) {
            *sum += share * importance;
        }
        trees.extend(part_trees);
    }
    let forest =
        Forest::from_trees(table.columns.len(), &trees).context("failed to flatten the trees")?;
    Ok(Trained { forest, importances })
}

/// The trainer's own forest, kept to compare its scores and its speed with those of [`Forest`].
#[derive(Debug)]
pub struct Reference {
    columns: usize,
    regressor: Regressor,
}

impl Reference {
    /// Fits the same trees as [`train`], in the same order, as one smartcore forest.
    pub fn train(table: &Table, config: &TrainConfig) -> Result<Self> {
        let parts = fit_parts(table, config, |part| Ok(serde_json::to_value(part)?))?;
        let regressor =
            serde_json::from_value(merge(parts)?).context("failed to join the fitted forests")?;
        Ok(Self { columns: table.columns.len(), regressor })
    }

    /// The flat form of this very forest.
    pub fn forest(&self) -> Result<Forest> {
        Forest::from_trees(self.columns, &flatten(&self.regressor)?)
    }

    /// smartcore's scores of `rows`, row after row.
    pub fn predict(&self, rows: &[f32]) -> Result<Vec<f64>> {
        let matrix =
            DenseMatrix::new(rows.len() / self.columns, self.columns, rows.to_vec(), false)?;
        Ok(self.regressor.predict(&matrix)?)
    }
}

/// Makes what a benchmark of scoring needs: rows with noisy labels, so that trees grow to their
/// full depth of 12, and a forest of 100 trees over 40 columns in both forms.
pub fn bench_model(seed: u64) -> Result<(Table, Reference, Forest)> {
    let table = Table::noise(20_000, 40, seed);
    let config = TrainConfig { trees: 100, depth: 12, min_leaf: 1, seed, ..TrainConfig::default() };
    let reference = Reference::train(&table, &config)?;
    let forest = reference.forest()?;
    Ok((table, reference, forest))
}

/// Fits the forest in parts of a fixed number of trees, several at a time, and hands each to
/// `finish`.
fn fit_parts<T: Send>(
    table: &Table,
    config: &TrainConfig,
    finish: impl Fn(Regressor) -> Result<T> + Sync,
) -> Result<Vec<T>> {
    table.check()?;
    ensure!(config.trees > 0, "a forest needs at least one tree");
    ensure!(config.depth > 0, "a tree needs a depth of at least 1");
    ensure!(config.min_leaf > 0, "a leaf needs at least 1 row");
    ensure!(config.features_per_split != Some(0), "a split needs at least 1 column to try");
    ensure!(config.rows_per_part != Some(0), "a tree needs at least 1 row");

    let fitting = Fitting::new(table, config)?;
    let parts = config.trees.div_ceil(TREES_PER_PART);
    let threads = match config.threads {
        0 => thread::available_parallelism().map_or(1, NonZeroUsize::get),
        threads => threads,
    };
    let next = AtomicUsize::new(0);
    let work = || {
        let mut done = Vec::new();
        loop {
            let number = next.fetch_add(1, Ordering::Relaxed);
            if number >= parts {
                return done;
            }
            done.push((number, fitting.fit(number).and_then(&finish)));
        }
    };
    let mut fitted = thread::scope(|scope| -> Result<Vec<_>> {
        let workers: Vec<_> = (1..threads.min(parts)).map(|_| scope.spawn(work)).collect();
        let mut fitted = work();
        for worker in workers {
            fitted.extend(worker.join().map_err(|_| anyhow!("a training thread panicked"))?);
        }
        Ok(fitted)
    })?;
    fitted.sort_by_key(|(number, _)| *number);
    fitted.into_iter().map(|(_, part)| part).collect()
}

/// What is fitted to.
struct Fitting<'a> {
    config: &'a TrainConfig,
    table: &'a Table,
    /// Where no part is fitted to fewer.
    all: Option<Rows>,
}

/// Rows in the trainer's own types.
struct Rows {
    values: DenseMatrix<f32>,
    labels: Vec<f64>,
    weights: Vec<f64>,
}

impl Rows {
    fn of(table: &Table, rows: impl Iterator<Item = usize> + Clone) -> Result<Self> {
        let columns = table.columns.len();
        // Column by column: the trainer reads one column over many rows.
        let mut values = Vec::with_capacity(table.rows.len());
        for column in 0..columns {
            values.extend(rows.clone().map(|row| table.row(row)[column]));
        }
        let label = |row: usize| f64::from(u8::from(table.labels[row]));
        let labels: Vec<f64> = rows.clone().map(label).collect();
        let weights = rows.map(|row| f64::from(table.weights[row])).collect();
        let values = DenseMatrix::new(labels.len(), columns, values, true)?;
        Ok(Self { values, labels, weights })
    }
}

impl<'a> Fitting<'a> {
    fn new(table: &'a Table, config: &'a TrainConfig) -> Result<Self> {
        let is_whole = config.rows_per_part.is_none_or(|rows| rows >= table.len());
        let all = is_whole.then(|| Rows::of(table, 0..table.len())).transpose()?;
        Ok(Self { config, table, all })
    }

    fn fit(&self, part: usize) -> Result<Regressor> {
        let seed = mix(self.config.seed, part as u64);
        let drawn = match &self.all {
            Some(_) => None,
            None => Some(Rows::of(self.table, self.draw(seed).into_iter())?),
        };
        let rows = self.all.as_ref().or(drawn.as_ref()).context("there is no row to fit to")?;
        let first = part * TREES_PER_PART;
        let mut parameters = RandomForestRegressorParameters::default()
            .with_n_trees(TREES_PER_PART.min(self.config.trees - first))
            // smartcore counts levels of nodes, we count splits.
            .with_max_depth(self.config.depth.saturating_add(1))
            .with_min_samples_leaf(self.config.min_leaf)
            .with_seed(seed);
        parameters.m = self.config.features_per_split;
        RandomForestRegressor::fit_with_weights(
            &rows.values,
            &rows.labels,
            &rows.weights,
            parameters,
        )
        .with_context(|| format!("failed to fit trees {first} and following"))
    }

    /// Different rows among those that weigh something, as many as a part is fitted to.
    fn draw(&self, seed: u64) -> Vec<usize> {
        let weighs = |row: &usize| self.table.weights[*row] > 0.0;
        let mut rows: Vec<usize> = (0..self.table.len()).filter(weighs).collect();
        let wanted = self.config.rows_per_part.unwrap_or(rows.len()).min(rows.len());
        for place in 0..wanted {
            let left = (rows.len() - place) as u64;
            let other = place + (mix(seed, place as u64) % left) as usize;
            rows.swap(place, other);
        }
        rows.truncate(wanted);
        rows
    }
}

/// smartcore keeps its trees private; its serialised form has them.
#[derive(Deserialize)]
struct Fitted {
    forest_regressor: FittedForest,
}

#[derive(Deserialize)]
struct FittedForest {
    trees: Vec<FittedTree>,
}

#[derive(Deserialize)]
struct FittedTree {
    nodes: Vec<FittedNode>,
}

#[derive(Deserialize)]
struct FittedNode {
    output: f64,
    split_feature: usize,
    split_value: Option<f64>,
    true_child: Option<usize>,
    false_child: Option<usize>,
}

/// Through text, which is read without a value in memory for each number, and gives every number back.
fn flatten(regressor: &Regressor) -> Result<Vec<Vec<TreeNode>>> {
    let text = serde_json::to_vec(regressor)?;
    let fitted: Fitted =
        serde_json::from_slice(&text).context("failed to read the trainer's trees")?;
    fitted.forest_regressor.trees.iter().map(|tree| breadth_first(&tree.nodes)).collect()
}

fn breadth_first(nodes: &[FittedNode]) -> Result<Vec<TreeNode>> {
    let mut order = vec![0];
    let mut flat = Vec::with_capacity(nodes.len());
    while let Some(&at) = order.get(flat.len()) {
        ensure!(order.len() <= nodes.len(), "the trainer's tree has a cycle");
        let node: &FittedNode =
            nodes.get(at).with_context(|| format!("the trainer's tree lacks node {at}"))?;
        // A split the trainer considered and dropped keeps its threshold but has no children.
        let split = match (node.split_value, node.true_child, node.false_child) {
            (Some(threshold), Some(left), Some(right)) => {
                order.extend([left, right]);
                Some(Split {
                    column: u16::try_from(node.split_feature)?,
                    threshold: round_down(threshold),
                })
            }
            _ => None,
        };
        flat.push(TreeNode { mean: node.output, split });
    }
    Ok(flat)
}

/// Appends the trees of all parts to the first.
fn merge(parts: Vec<serde_json::Value>) -> Result<serde_json::Value> {
    let mut parts = parts.into_iter();
    let mut merged = parts.next().context("no forest was fitted")?;
    let trees = |part: &mut serde_json::Value| match part.pointer_mut("/forest_regressor/trees") {
        Some(serde_json::Value::Array(trees)) => Ok(std::mem::take(trees)),
        _ => Err(anyhow!("failed to find the trainer's trees")),
    };
    let mut all = trees(&mut merged)?;
    for mut part in parts {
        all.append(&mut trees(&mut part)?);
    }
    merged["forest_regressor"]["trees"] = serde_json::Value::Array(all);
    Ok(merged)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::table::RowKey;

    /// Each part sees other rows, and the result is the same on any number of threads.
    #[test]
    fn parts_may_see_some_of_the_rows() {
        let table = Table::noise(600, 5, 3);
        let check = |rows_per_part, is_as_whole: bool| {
            let forest = |threads| {
                let config = TrainConfig { rows_per_part, threads, ..config() };
                train(&table, &config).unwrap().forest
            };
            let (one, two) = (forest(1), forest(2));
            let whole = train(&table, &config()).unwrap().forest;
            assert!(one == two, "{rows_per_part:?}");
            assert_eq!(one == whole, is_as_whole, "{rows_per_part:?}");
        };
        check(None, true);
        check(Some(600), true);
        check(Some(200), false);
        let config = TrainConfig { rows_per_part: Some(200), ..config() };
        let fitting = Fitting::new(&table, &config).unwrap();
        let [first, second] = [1, 2].map(|part| fitting.draw(part));
        let distinct: std::collections::BTreeSet<_> = first.iter().collect();
        assert_eq!((first.len(), distinct.len()), (200, 200));
        assert_ne!(first, second);
        let none = TrainConfig { rows_per_part: Some(0), ..config.clone() };
        assert!(train(&table, &none).is_err());
    }

    fn config() -> TrainConfig {
        TrainConfig { trees: 23, depth: 7, min_leaf: 1, seed: 11, ..TrainConfig::default() }
    }

    /// Values on a coarse grid, so that many are equal.
    fn with_ties(rows: usize, columns: usize) -> Table {
        let mut table = Table::noise(rows, columns, 2);
        for value in &mut table.rows {
            *value = (*value * 8.0).round() / 8.0 - 0.5;
        }
        table
    }

    /// Rows whose values are the thresholds of the forest and their neighbours on either side.
    fn at_thresholds(forest: &Forest) -> Vec<f32> {
        let splits: Vec<_> = forest.trees().flatten().filter_map(|node| node.split).collect();
        let mut rows = Vec::new();
        for (number, split) in splits.iter().enumerate() {
            for value in [split.threshold.next_down(), split.threshold, split.threshold.next_up()] {
                let other = splits[(number * 7 + 3) % splits.len()].threshold;
                let start = rows.len();
                rows.extend(
                    (0..forest.columns())
                        .map(|column| if column % 2 == 0 { other } else { -other }),
                );
                rows[start + usize::from(split.column)] = value;
            }
        }
        rows
    }

    fn check_equal(reference: &Reference, forest: &Forest, rows: &[f32]) {
        let expected = reference.predict(rows).unwrap();
        let mut batch = vec![f64::NAN; expected.len()];
        forest.score_batch(rows, &mut batch);
        let mut parts = vec![0.0; forest.columns()];
        for (number, row) in rows.chunks_exact(forest.columns()).enumerate() {
            let single = forest.score(row);
            assert_eq!(single.to_bits(), expected[number].to_bits(), "row {number} {row:?}");
            assert_eq!(batch[number].to_bits(), single.to_bits(), "row {number} {row:?}");
            let sum = forest.contributions(row, &mut parts) + parts.iter().sum::<f64>();
            assert!((sum - single).abs() < 1e-12, "row {number}: {sum} and {single}");
        }
    }

    #[test]
    fn scores_equal_the_trainers_bit_for_bit() {
        for table in [Table::noise(400, 6, 1), with_ties(400, 6)] {
            let reference = Reference::train(&table, &config()).unwrap();
            let forest = reference.forest().unwrap();
            assert_eq!((forest.depth(), forest.tree_count()), (7, 23));
            check_equal(&reference, &forest, &table.rows);
            check_equal(&reference, &forest, &at_thresholds(&forest));
            let odd =
                [f32::NAN, f32::INFINITY, f32::NEG_INFINITY, -0.0, f32::MAX, f32::MIN_POSITIVE];
            check_equal(&reference, &forest, &odd);
            for count in [1, 7, 8, 9, 17, 513] {
                let rows: Vec<f32> = table.rows.iter().copied().cycle().take(count * 6).collect();
                check_equal(&reference, &forest, &rows);
            }
        }
    }

    #[test]
    fn the_served_forest_is_the_trainers() {
        let table = with_ties(200, 4);
        let trained = train(&table, &config()).unwrap();
        assert_eq!(trained.forest, Reference::train(&table, &config()).unwrap().forest().unwrap());
    }

    #[test]
    fn the_seed_decides_and_the_threads_do_not() {
        let table = Table::noise(200, 4, 1);
        let first = train(&table, &config()).unwrap();
        for threads in [1, 2, 7] {
            assert_eq!(train(&table, &TrainConfig { threads, ..config() }).unwrap(), first);
        }
        assert_ne!(
            train(&table, &TrainConfig { seed: 12, ..config() }).unwrap().forest,
            first.forest
        );
    }

    #[test]
    fn importances_point_at_the_column_that_decides() {
        let mut table = Table::noise(300, 4, 1);
        for (row, label) in table.labels.iter_mut().enumerate() {
            *label = table.rows[row * 4 + 2] > 0.7;
        }
        let importances = train(&table, &config()).unwrap().importances;
        assert!((importances.iter().sum::<f64>() - 1.0).abs() < 1e-12);
        assert!(importances[2] > 0.6, "{importances:?}");
    }

    #[test]
    fn weights_decide_how_often_a_row_is_drawn() {
        let mut table = Table::new(vec!["column".into()]);
        for row in 0..100 {
            table.push(&[1.0], RowKey { label: row < 5, group: 0, session: row }).unwrap();
        }
        let score = |table: &Table| train(table, &config()).unwrap().forest.score(&[1.0]);
        assert!((0.02..0.09).contains(&score(&table)));
        table.balance(&[0; 100], 0.5).unwrap();
        assert!((0.45..0.55).contains(&score(&table)));
    }

    #[test]
    fn a_missing_label_or_a_useless_setting_is_named() {
        let check = |table: &Table, config: &TrainConfig, expected: &str| {
            let error = format!("{:#}", train(table, config).unwrap_err());
            assert!(error.contains(expected), "{error}");
        };
        let mut table = Table::noise(20, 3, 1);
        check(&table, &TrainConfig { trees: 0, ..config() }, "at least one tree");
        check(&table, &TrainConfig { depth: 0, ..config() }, "a depth of at least 1");
        check(&table, &TrainConfig { min_leaf: 0, ..config() }, "at least 1 row");
        table.labels.fill(false);
        check(&table, &config(), "no positive label among 20 rows");
        table.labels.fill(true);
        check(&table, &config(), "no negative label among 20 rows");
    }
}
