//! `detector evaluate`: a model's figures on labelled captures, or those of models made in the same
//! way that have not seen what they score.

use std::io;

use crate::analysis::vectors::common_kind;
use crate::cli::{Evaluate, LiveFormat};
use crate::config::Config;
use crate::features::Kind;
use crate::model::{Scored, ServedModel, TrainConfig};

use super::dataset::{ContextUse, Dataset};
use super::origins::Tell;
use super::out_of_fold::{self, Recipe};
use super::progress;
use super::report::Quality;
use super::train::{self, DEFAULT_COST, DEFAULT_PRIOR};
use super::{model_of, threshold_of};

/// Parts the data are divided into, as for `detector train`.
const FOLDS: usize = 5;

pub fn run(args: &Evaluate, config: &Config) -> anyhow::Result<()> {
    let kind = common_kind(&args.data)?;
    let context = match (args.without_context, args.out_of_fold) {
        (true, _) => ContextUse::Without,
        (false, true) => ContextUse::Masked,
        (false, false) => ContextUse::Known,
    };
    let mut dataset = Dataset::collect(
        kind,
        &args.data,
        config,
        args.hold_out,
        context,
        &args.without,
        progress::files(),
    )?;
    let mut output = io::stdout().lock();
    if args.lab_or_real {
        let tell = Tell::of(&dataset, FOLDS)?;
        match args.format {
            LiveFormat::Json => tell.write_json(&mut output)?,
            LiveFormat::Table => tell.write_table(&mut output)?,
        }
        return Ok(());
    }
    let quality = if args.out_of_fold {
        out_of_fold_quality(kind, &mut dataset)?
    } else {
        quality_of_model(kind, &dataset, args, config)?
    };
    match args.format {
        LiveFormat::Json => quality.write_json(&mut output)?,
        LiveFormat::Table => quality.write_table(&mut output, args.list)?,
    }
    Ok(())
}

fn quality_of_model(
    kind: Kind,
    dataset: &Dataset,
    args: &Evaluate,
    config: &Config,
) -> anyhow::Result<Quality> {
    let model = model_of(kind, args.model.as_deref(), config)?;
    let threshold = threshold_of(kind, &model, config);
    let model = ServedModel::new(model, kind)?;
    let table = &dataset.table;
    let (scored, forest): (Vec<Scored>, Vec<Scored>) = (0..table.len())
        .map(|row| {
            let probability = model.probability(model.score(table.row(row)));
            let scored = out_of_fold::joined(dataset, row, probability);
            (scored, Scored { score: probability, ..scored })
        })
        .unzip();
    Ok(Quality::of(dataset, &scored, &forest, threshold))
}

fn out_of_fold_quality(kind: Kind, dataset: &mut Dataset) -> anyhow::Result<Quality> {
    train::balance(kind, dataset)?;
    let recipe = Recipe {
        forest: TrainConfig::default(),
        folds: FOLDS,
        prior: train::prior_of(kind, DEFAULT_PRIOR),
        cost: DEFAULT_COST,
        threshold: None,
    };
    let mut tell = progress::files();
    let held = out_of_fold::assess(dataset, &recipe, &mut |fold| {
        tell(fold, FOLDS, "growing a forest without this part of the data");
    })?;
    let threshold = recipe.threshold(Some(&held.scored))?;
    Ok(Quality::of(dataset, &held.scored, &held.forest, threshold))
}
