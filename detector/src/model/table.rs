//! Labelled rows to train on and to validate with.
//!
//! Keeps what belongs together apart from what does not: a group is held out whole, a session
//! counts once.

use std::collections::{BTreeMap, BTreeSet};

use anyhow::{Result, ensure};

use super::random::fraction;

/// Rows with their labels, one entry per row in every list but `columns` and `rows`.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Table {
    /// Names, in the order of the schema.
    pub columns: Vec<String>,
    /// Values, row after row, `columns.len()` each.
    pub rows: Vec<f32>,
    /// True where the row belongs to an exfiltration.
    pub labels: Vec<bool>,
    /// Capture or scenario: the unit of cross validation.
    pub groups: Vec<u32>,
    /// Rows of one session are one unit for metrics.
    pub sessions: Vec<u64>,
    /// How often a row is drawn, relative to the others.
    pub weights: Vec<f32>,
}

/// What is known of a row besides its values.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct RowKey {
    /// True where the row belongs to an exfiltration.
    pub label: bool,
    /// Capture or scenario.
    pub group: u32,
    /// Session, unique over all groups.
    pub session: u64,
}

impl Table {
    /// An empty table with these columns.
    pub fn new(columns: Vec<String>) -> Self {
        Self { columns, ..Self::default() }
    }

    /// Number of rows.
    pub fn len(&self) -> usize {
        self.labels.len()
    }

    /// The values of one row; empty where there is none.
    pub fn row(&self, position: usize) -> &[f32] {
        let width = self.columns.len();
        self.rows.get(position * width..(position + 1) * width).unwrap_or_default()
    }

    /// True without any row.
    pub fn is_empty(&self) -> bool {
        self.labels.is_empty()
    }

    /// Appends a row of weight 1.
    pub fn push(&mut self, row: &[f32], key: RowKey) -> Result<()> {
        ensure!(
            row.len() == self.columns.len(),
            "{} values for {} columns",
            row.len(),
            self.columns.len()
        );
        for (column, value) in self.columns.iter().zip(row) {
            ensure!(value.is_finite(), "column {column} has the value {value}");
        }
        self.rows.extend_from_slice(row);
        self.labels.push(key.label);
        self.groups.push(key.group);
        self.sessions.push(key.session);
        self.weights.push(1.0);
        Ok(())
    }

    /// Weighs the rows so that positives make up `positive_share` of what is drawn; within a label
    /// every stratum (a technique, a kind of ordinary traffic) counts alike, within a stratum every
    /// session, and a session's weight is spread over its rows, however many checkpoints it has.
    /// `strata` has one entry per row.
    pub fn balance(&mut self, strata: &[u32], positive_share: f64) -> Result<()> {
        ensure!(strata.len() == self.len(), "{} strata for {} rows", strata.len(), self.len());
        ensure!(
            0.0 < positive_share && positive_share < 1.0,
            "a positive share of {positive_share} is not in (0, 1)"
        );
        let mut rows_of = BTreeMap::<_, u32>::new();
        let mut sessions_of = BTreeMap::<_, BTreeSet<u64>>::new();
        let mut strata_of = BTreeMap::<bool, BTreeSet<u32>>::new();
        for ((label, stratum), session) in self.labels.iter().zip(strata).zip(&self.sessions) {
            *rows_of.entry((*label, *stratum, *session)).or_default() += 1;
            sessions_of.entry((*label, *stratum)).or_default().insert(*session);
            strata_of.entry(*label).or_default().insert(*stratum);
        }
        // A mean weight of 1 keeps the numbers readable.
        let total = self.len() as f64;
        for (row, weight) in self.weights.iter_mut().enumerate() {
            let (label, stratum) = (self.labels[row], strata[row]);
            let share = if label { positive_share } else { 1.0 - positive_share };
            let strata = strata_of[&label].len() as f64;
            let sessions = sessions_of[&(label, stratum)].len() as f64;
            let rows = f64::from(rows_of[&(label, stratum, self.sessions[row])]);
            *weight = (total * share / strata / sessions / rows) as f32;
        }
        Ok(())
    }

    /// Sees that a forest can be trained on this table.
    pub fn check(&self) -> Result<()> {
        let (count, width) = (self.len(), self.columns.len());
        ensure!(width > 0, "the table has no column");
        ensure!(count > 0, "the table has no row");
        ensure!(
            self.rows.len() == count * width,
            "{} values for {count} rows of {width}",
            self.rows.len()
        );
        ensure!(self.groups.len() == count, "{} groups for {count} rows", self.groups.len());
        ensure!(self.sessions.len() == count, "{} sessions for {count} rows", self.sessions.len());
        ensure!(self.weights.len() == count, "{} weights for {count} rows", self.weights.len());
        if let Some(at) = self.rows.iter().position(|value| !value.is_finite()) {
            let column = &self.columns[at % width];
            anyhow::bail!("row {}, column {column} has the value {}", at / width, self.rows[at]);
        }
        if let Some(row) =
            self.weights.iter().position(|weight| !weight.is_finite() || *weight < 0.0)
        {
            anyhow::bail!("row {row} has the weight {}", self.weights[row]);
        }
        let mut drawn = self.labels.iter().zip(&self.weights).filter(|(_, weight)| **weight > 0.0);
        let first = drawn.next().map(|(label, _)| *label);
        ensure!(first.is_some(), "every row has the weight 0");
        if drawn.all(|(label, _)| Some(*label) == first) {
            let missing = if first == Some(true) { "negative" } else { "positive" };
            anyhow::bail!("no {missing} label among {count} rows: training needs both kinds");
        }
        Ok(())
    }

    /// The rows at these positions. The weights are scaled so that positives keep the share they
    /// have here.
    #[must_use]
    pub fn subset(&self, positions: &[usize]) -> Self {
        let width = self.columns.len();
        let mut subset = Self::new(self.columns.clone());
        for &row in positions {
            subset.rows.extend_from_slice(&self.rows[row * width..][..width]);
            subset.labels.push(self.labels[row]);
            subset.groups.push(self.groups[row]);
            subset.sessions.push(self.sessions[row]);
            subset.weights.push(self.weights[row]);
        }
        for label in [false, true] {
            let scale = self.weight_of(label) / subset.weight_of(label);
            let rows =
                subset.labels.iter().zip(&mut subset.weights).filter(|(other, _)| **other == label);
            for (_, weight) in rows {
                *weight = (f64::from(*weight) * scale) as f32;
            }
        }
        subset
    }

    fn weight_of(&self, label: bool) -> f64 {
        let rows = self.labels.iter().zip(&self.weights).filter(|(other, _)| **other == label);
        rows.map(|(_, weight)| f64::from(*weight)).sum()
    }

    /// Uniform values and labels that follow them only in part: trees on it grow as deep as they
    /// may.
    pub(super) fn noise(rows: usize, columns: usize, seed: u64) -> Self {
        let mut table = Self::new((0..columns).map(|column| format!("column_{column}")).collect());
        let mut number = 0;
        let mut draw = || {
            number += 1;
            fraction(seed, number)
        };
        for row in 0..rows {
            let values: Vec<f32> = (0..columns).map(|_| draw() as f32).collect();
            let signal = values.iter().take(5).map(|value| f64::from(*value)).sum::<f64>() / 5.0;
            table.labels.push(0.6 * draw() + 0.4 * signal > 0.5);
            table.rows.extend(values);
            table.groups.push((row / 16) as u32);
            table.sessions.push((row / 4) as u64);
            table.weights.push(1.0);
        }
        table
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn table(keys: &[(bool, u64)]) -> Table {
        let mut table = Table::new(vec!["a".into(), "b".into()]);
        for (label, session) in keys {
            table.push(&[1.0, 2.0], RowKey { label: *label, group: 0, session: *session }).unwrap();
        }
        table
    }

    #[test]
    fn a_session_counts_once_and_strata_count_alike() {
        // Positives: stratum 1 with one session of two rows, stratum 2 with one of one. Negatives:
        // three sessions.
        let mut table =
            table(&[(true, 1), (true, 1), (true, 2), (false, 3), (false, 4), (false, 5)]);
        table.balance(&[1, 1, 2, 1, 1, 1], 0.5).unwrap();
        assert_eq!(table.weights, [0.75, 0.75, 1.5, 1.0, 1.0, 1.0]);
        assert!(table.balance(&[1], 0.5).is_err());
        assert!(table.balance(&[1; 6], 1.0).is_err());
    }

    #[test]
    fn a_subset_keeps_the_share_of_positives() {
        let mut table = table(&[(true, 1), (true, 2), (false, 3), (false, 4)]);
        table.weights = vec![1.0, 2.0, 3.0, 3.0];
        let subset = table.subset(&[1, 3]);
        assert_eq!(subset.sessions, [2, 4]);
        assert_eq!(subset.weights, [3.0, 6.0]);
    }

    #[test]
    fn what_cannot_be_trained_on_is_named() {
        let check = |damage: fn(&mut Table), expected: &str| {
            let mut table = table(&[(true, 1), (false, 2)]);
            table.check().unwrap();
            damage(&mut table);
            let error = table.check().unwrap_err().to_string();
            assert!(error.contains(expected), "{error}");
        };
        check(|table| table.rows[3] = f32::NAN, "row 1, column b has the value NaN");
        check(|table| table.weights[1] = -1.0, "row 1 has the weight -1");
        check(|table| table.weights[0] = 0.0, "no positive label");
        check(|table| table.weights.fill(0.0), "every row has the weight 0");
        check(|table| table.labels[1] = true, "no negative label");
        check(|table| table.rows.truncate(3), "3 values for 2 rows of 2");
        check(|table| table.groups.truncate(1), "1 groups for 2 rows");
        check(|table| *table = Table::new(vec!["a".into()]), "no row");
        let row = table(&[]).push(&[1.0], RowKey { label: true, group: 0, session: 0 });
        assert_eq!(row.unwrap_err().to_string(), "1 values for 2 columns");
    }
}
