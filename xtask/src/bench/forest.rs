//! Scoring: the flat forest against the trainer's own, 100 trees of depth 12 over 40 columns; and
//! training on as many records as the service had that ours replaces.

use std::hint::black_box;
use std::time::Instant;

use anyhow::Result;
use detector::features::{Kind, record_vector};
use detector::model::synth::{Profile, records};
use detector::model::train::bench_model;
use detector::model::{Forest, RowKey, Table, TrainConfig, train};

use super::figures::{Figures, ROUNDS};

/// Rows for the trainer's own forest, which takes some twenty times as long.
const SLOW_ROWS: usize = 2_000;

const TRAINING_ROWS: u64 = 100_000;

pub(super) fn measure(figures: &mut Figures) -> Result<()> {
    let (table, reference, forest) = bench_model(1)?;
    let records = record_table()?;
    let slow = &table.rows[..SLOW_ROWS * forest.columns()];
    for _ in 0..ROUNDS {
        figures.sample("forest_batch_rows_per_s", batch(&forest, &table.rows));
        figures.sample("forest_single_rows_per_s", single(&forest, &table.rows));
        let started = Instant::now();
        black_box(reference.predict(slow)?);
        figures.sample("smartcore_rows_per_s", rate(SLOW_ROWS, started));
        let started = Instant::now();
        black_box(train(&records, &TrainConfig::default())?);
        figures.sample("train_100k_seconds", started.elapsed().as_secs_f64());
    }
    Ok(())
}

/// Records under the schema of that name: 14 inputs and two that are made of them.
fn record_table() -> Result<Table> {
    let columns = Kind::Record.columns().into_iter().map(str::to_owned).collect();
    let mut table = Table::new(columns);
    let mut row = Vec::new();
    for (session, (record, label)) in (0..).zip(records(Profile::Hard, TRAINING_ROWS, 1)?) {
        record_vector(&record, &mut row);
        table.push(&row, RowKey { label, group: 0, session })?;
    }
    Ok(table)
}

fn batch(forest: &Forest, rows: &[f32]) -> f64 {
    let count = rows.len() / forest.columns();
    let mut scores = vec![0.0; count];
    let started = Instant::now();
    forest.score_batch(rows, &mut scores);
    black_box(&scores);
    rate(count, started)
}

fn single(forest: &Forest, rows: &[f32]) -> f64 {
    let started = Instant::now();
    for row in rows.chunks_exact(forest.columns()) {
        black_box(forest.score(black_box(row)));
    }
    rate(rows.len() / forest.columns(), started)
}

fn rate(rows: usize, started: Instant) -> f64 {
    rows as f64 / started.elapsed().as_secs_f64()
}
