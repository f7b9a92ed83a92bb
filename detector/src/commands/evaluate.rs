//! `detector evaluate`: a model's figures on labelled captures, vectors or records.

use std::io;

use crate::cli::{Evaluate, HoldOut, LiveFormat};
use crate::config::Config;
use crate::model::Scored;

use super::dataset::Dataset;
use super::report::Quality;
use super::vectors::common_kind;
use super::{model_of, threshold_of, train};

/// # Errors
///
/// Data or a model that cannot be read.
pub fn run(args: &Evaluate, config: &Config) -> anyhow::Result<()> {
    let kind = common_kind(&args.data)?;
    let model = model_of(kind, args.model.as_deref(), config)?;
    let threshold = threshold_of(kind, &model, config);
    let dataset = Dataset::collect(kind, &args.data, config, HoldOut::default(), train::progress)?;
    let table = &dataset.table;
    let mut scores = vec![0.0; table.len()];
    if !table.is_empty() {
        model.forest.score_batch(&table.rows, &mut scores);
    }
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
