//! A model as it serves: its forest bound once to the rows that this program computes.
//!
//! The forest's column numbers are rewritten when the model is loaded, so that a row is scored as
//! it is computed, whatever other columns it has and in whatever order.

use std::sync::Arc;

use anyhow::Result;

use super::file::Model;
use super::forest::Forest;
use crate::features::Kind;

/// Scores rows of this program's columns of one kind.
#[derive(Clone, Debug)]
pub struct ServedModel {
    model: Arc<Model>,
    forest: Arc<Forest>,
    name: Arc<str>,
}

impl ServedModel {
    pub fn new(model: Arc<Model>, kind: Kind) -> Result<Self> {
        let selection = model.selection(kind)?;
        let forest = if selection.is_whole() {
            Arc::clone(&model.forest)
        } else {
            Arc::new(model.forest.over(&selection)?)
        };
        let name = model.meta.schema.to_string().into();
        Ok(Self { model, forest, name })
    }

    #[must_use]
    pub fn model(&self) -> &Arc<Model> {
        &self.model
    }

    /// Names the schema and the columns that the model reads.
    #[must_use]
    pub fn name(&self) -> &Arc<str> {
        &self.name
    }

    /// The forest's output for a row of this program's columns.
    #[must_use]
    pub fn score(&self, row: &[f32]) -> f64 {
        self.forest.score(row)
    }

    /// The forest's output as a probability.
    #[must_use]
    pub fn probability(&self, raw_score: f64) -> f64 {
        self.model.probability(raw_score)
    }

    /// Splits the score of a row as [`Forest::contributions`] does, by this program's columns.
    pub fn contributions(&self, row: &[f32], out: &mut [f64]) -> f64 {
        self.forest.contributions(row, out)
    }

    /// Between which values nine of ten ordinary rows lie in the column of this name; none where
    /// the model does not say.
    #[must_use]
    pub fn ordinary(&self, column: &str) -> Option<(f32, f32)> {
        let meta = &self.model.meta;
        let position = meta.schema.columns.names().position(|name| name == column)?;
        meta.ordinary.get(position).copied()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::features::ColumnSet;
    use crate::model::{RowKey, Schema, Table, TrainConfig, train};

    /// A session model that reads the columns of these positions, and has learned that the first of
    /// them shows everything.
    fn model(positions: &[usize], redefined: bool) -> Arc<Model> {
        let all: Vec<_> = Kind::Session.column_set().iter().cloned().collect();
        let columns = positions.iter().map(|at| {
            let column = all[*at].clone();
            (column.name, column.hash ^ u64::from(redefined))
        });
        let schema = Schema { name: "session".to_owned(), columns: ColumnSet::new(columns) };
        let mut table = Table::new(schema.columns.names().map(str::to_owned).collect());
        for session in 0..200 {
            let mut row = vec![1.0; positions.len()];
            row[0] = session as f32;
            let key = RowKey { label: session > 90, group: 0, session };
            table.push(&row, key).unwrap();
        }
        let config =
            TrainConfig { trees: 5, features_per_split: Some(3), ..TrainConfig::default() };
        let trained = train(&table, &config).unwrap();
        Arc::new(Model::new(schema, &table, &config, trained, 0.5, None).unwrap())
    }

    /// The model has fewer columns than the program, and in another order.
    #[test]
    fn rows_are_read_by_name_and_score_the_same_to_the_last_bit() {
        let positions = [40, 3, 17];
        let model = model(&positions, false);
        let served = ServedModel::new(Arc::clone(&model), Kind::Session).unwrap();
        let width = Kind::Session.column_set().len();
        for value in 0..200 {
            let mut row = vec![-7.0; width];
            let own = [value as f32, 0.5, 2.0];
            positions.iter().zip(own).for_each(|(at, value)| row[*at] = value);
            let score = served.score(&row);
            assert_eq!(score.to_bits(), model.forest.score(&own).to_bits());
            let (mut parts, mut expected) = (vec![0.0; width], [0.0; 3]);
            let bias = served.contributions(&row, &mut parts);
            assert_eq!(bias, model.forest.contributions(&own, &mut expected));
            assert_eq!(positions.map(|at| parts[at]), expected);
        }
        let name = Kind::Session.columns()[40];
        assert_eq!(served.ordinary(name), model.meta.ordinary.first().copied());
        assert_eq!(served.ordinary("flows"), None);
    }

    #[test]
    fn a_column_with_another_definition_is_refused_with_both_hashes() {
        let error = ServedModel::new(model(&[5, 6], true), Kind::Session).unwrap_err().to_string();
        let column = Kind::Session.column_set().iter().nth(5).unwrap();
        for part in [
            column.name.clone(),
            format!("{:016x}", column.hash),
            format!("{:016x}", column.hash ^ 1),
        ] {
            assert!(error.contains(&part), "{error}");
        }
        let error = ServedModel::new(model(&[5], false), Kind::Record).unwrap_err().to_string();
        assert!(error.contains("schema session") && error.contains("record"), "{error}");
    }
}
