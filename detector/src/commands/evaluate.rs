//! `detector evaluate`: a model's figures on labelled captures.

use std::io;

use crate::cli::{Evaluate, HoldOut, LiveFormat};
use crate::config::Config;
use crate::features::{COLUMNS, SCHEMA_NAME, schema_hash};
use crate::model::Scored;

use super::dataset::Dataset;
use super::report::Quality;
use super::{load_model, train};

/// # Errors
///
/// Data or a model that cannot be read.
pub fn run(args: &Evaluate, config: &Config) -> anyhow::Result<()> {
    let model = load_model(args.model.as_deref(), config)?;
    model.check_schema(SCHEMA_NAME, schema_hash())?;
    let threshold = config.model.threshold.unwrap_or(model.meta.threshold);
    let dataset = Dataset::collect(&args.data, config, HoldOut::default(), train::progress)?;
    let table = &dataset.table;
    let mut scores = vec![0.0; table.len()];
    if !table.is_empty() {
        model.forest.score_batch(&table.rows, &mut scores);
    }
    debug_assert_eq!(table.rows.len(), table.len() * COLUMNS.len());
    let labels = table.labels.iter().zip(&table.sessions);
    let scored: Vec<Scored> = scores
        .into_iter()
        .zip(labels)
        .map(|(score, (label, session))| Scored { score, label: *label, session: *session })
        .collect();
    let quality = Quality::of(&dataset, &scored, threshold);
    let mut output = io::stdout().lock();
    match args.format {
        LiveFormat::Json => quality.write_json(&mut output)?,
        LiveFormat::Table => quality.write_table(&mut output, args.list)?,
    }
    Ok(())
}
