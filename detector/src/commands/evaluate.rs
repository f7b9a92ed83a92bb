//! `detector evaluate`: a model's figures on labelled captures, or those of models made in the same
//! way that have not seen what they judge.

use std::io;

use crate::cli::{Evaluate, LiveFormat};
use crate::config::Config;
use crate::features::{SCHEMA_NAME, schema_hash};
use crate::model::{Scored, TrainConfig};

use super::dataset::{ContextUse, Dataset};
use super::load_model;
use super::out_of_fold::{self, COMMON_THRESHOLD, Recipe};
use super::report::Quality;
use super::train::{self, DEFAULT_COST, DEFAULT_PRIOR};

/// Parts the data are divided into, as for `detector train`.
const FOLDS: usize = 5;

/// # Errors
///
/// Data or a model that cannot be read.
pub fn run(args: &Evaluate, config: &Config) -> anyhow::Result<()> {
    let context = match (args.without_context, args.out_of_fold) {
        (true, _) => ContextUse::Without,
        (false, true) => ContextUse::Masked,
        (false, false) => ContextUse::Known,
    };
    let mut dataset = Dataset::collect(
        &args.data,
        config,
        args.hold_out,
        context,
        &args.without,
        train::progress,
    )?;
    let quality = if args.out_of_fold {
        out_of_fold_quality(&mut dataset)?
    } else {
        quality_of_model(&dataset, args, config)?
    };
    let mut output = io::stdout().lock();
    match args.format {
        LiveFormat::Json => quality.write_json(&mut output)?,
        LiveFormat::Table => quality.write_table(&mut output, args.list)?,
    }
    Ok(())
}

fn quality_of_model(
    dataset: &Dataset,
    args: &Evaluate,
    config: &Config,
) -> anyhow::Result<Quality> {
    let model = load_model(args.model.as_deref(), config)?;
    model.check_schema(SCHEMA_NAME, schema_hash())?;
    let threshold = config.model.threshold.unwrap_or(model.meta.threshold);
    let table = &dataset.table;
    let (scored, forest): (Vec<Scored>, Vec<Scored>) = (0..table.len())
        .map(|row| {
            let probability = model.probability(model.forest.score(table.row(row)));
            let scored = out_of_fold::joined(dataset, row, probability);
            (scored, Scored { score: probability, ..scored })
        })
        .unzip();
    Ok(Quality::of(dataset, &scored, &forest, threshold))
}

fn out_of_fold_quality(dataset: &mut Dataset) -> anyhow::Result<Quality> {
    train::balance(dataset)?;
    let recipe = Recipe {
        forest: TrainConfig::default(),
        folds: FOLDS,
        prior: DEFAULT_PRIOR,
        objective: train::objective(DEFAULT_COST),
        threshold: None,
    };
    let held = out_of_fold::judge(dataset, &recipe)?;
    Ok(Quality::of(dataset, &held.scored, &held.forest, COMMON_THRESHOLD))
}
