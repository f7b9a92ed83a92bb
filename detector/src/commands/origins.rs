//! `detector evaluate --lab-or-real`: how well ordinary traffic of the lab can be distinguished
//! from real ordinary traffic by the very columns that a model is given. What distinguishes them
//! can be learned instead of the signs of exfiltration.

use std::io::{self, Write};

use anyhow::ensure;
use serde::Serialize;

use crate::model::evaluate::{by_session, roc_auc};
use crate::model::{RowKey, Scored, Table, TrainConfig, cross_validate};

use super::dataset::Dataset;
use super::labels::Origin;

/// Columns that are named, those that tell most by themselves.
const NAMED: usize = 12;

/// How well the origin can be determined: 0.5 is not at all, 1 is always.
#[derive(Debug, Serialize)]
pub(super) struct Tell {
    /// Area under the curve of a forest, out of fold by family.
    forest_auc: f64,
    /// The same for single columns.
    columns: Vec<(String, f64)>,
    lab: usize,
    real: usize,
}

impl Tell {
    pub(super) fn of(dataset: &Dataset, folds: usize) -> anyhow::Result<Self> {
        let mut table = by_origin(dataset)?;
        let (lab, real) = table.labels.iter().fold((0, 0), |(lab, real), is_lab| {
            (lab + usize::from(*is_lab), real + usize::from(!is_lab))
        });
        ensure!(
            lab > 0 && real > 0,
            "the data has {lab} rows of the lab and {real} real ones: both kinds are needed"
        );
        let strata = vec![0; table.len()];
        table.balance(&strata, 0.5)?;
        let scored = cross_validate(&table, &TrainConfig::default(), folds)?;
        let forest_auc = roc_auc(&by_session(&scored)).unwrap_or(0.5);
        let mut columns: Vec<(String, f64)> = table
            .columns
            .iter()
            .enumerate()
            .map(|(column, name)| (name.clone(), of_column(&table, column)))
            .collect();
        columns.sort_by(|a, b| b.1.total_cmp(&a.1));
        columns.truncate(NAMED);
        Ok(Self { forest_auc, columns, lab, real })
    }

    pub(super) fn write_json(&self, output: &mut impl Write) -> io::Result<()> {
        serde_json::to_writer(&mut *output, self)?;
        writeln!(output)
    }

    pub(super) fn write_table(&self, output: &mut impl Write) -> io::Result<()> {
        let Self { forest_auc, columns, lab, real } = self;
        writeln!(output, "{lab} vectors of the lab and {real} real ones, all benign")?;
        writeln!(output, "a forest distinguishes them with an AUC of {forest_auc:.3}")?;
        for (name, auc) in columns {
            writeln!(output, "{name:<32} {auc:.3} by itself")?;
        }
        Ok(())
    }
}

/// The ordinary rows, with the origin in place of the label.
fn by_origin(dataset: &Dataset) -> anyhow::Result<Table> {
    let mut table = Table::new(dataset.table.columns.clone());
    for row in 0..dataset.table.len() {
        let session = dataset.table.sessions[row];
        let Some(unit) = dataset.units.get(session as usize).filter(|unit| !unit.theft) else {
            continue;
        };
        let label = unit.origin == Origin::Lab;
        let key = RowKey { label, group: dataset.table.groups[row], session };
        table.push(dataset.table.row(row), key)?;
    }
    Ok(table)
}

fn of_column(table: &Table, column: usize) -> f64 {
    let scored: Vec<Scored> = (0..table.len())
        .map(|row| Scored {
            score: table.row(row).get(column).copied().unwrap_or(0.0).into(),
            label: table.labels[row],
            session: table.sessions[row],
        })
        .collect();
    let auc = roc_auc(&by_session(&scored)).unwrap_or(0.5);
    auc.max(1.0 - auc)
}
