//! `detector train`: labelled captures, vectors or records in, a model out, with out-of-fold
//! figures.
#![expect(clippy::print_stderr, reason = "training takes a while and shows its progress")]

use std::io::{self, Write as _};

use anyhow::ensure;

use crate::analysis::vectors::common_kind;
use crate::cli::Train;
use crate::config::Config;
use crate::features::Kind;
use crate::model::evaluate::report;
use crate::model::{Model, Schema, TrainConfig, train};

use super::dataset::{ContextUse, Dataset};
use super::out_of_fold::{self, Recipe};
use super::progress;
use super::report::Quality;

/// Share of exfiltrations among the rows a tree draws: far more than there are in life, so that the
/// trees look at them, and fewer than the rest, so that ordinary traffic is learned in its variety.
/// Records keep the share that they have: their score is read as a probability.
const POSITIVE_SHARE: f64 = 0.35;

/// Records that ten trees are grown on. All of 100,000 synthetic ones take five times as long, 34 s against
/// 7 s, and find a little more: 4,913 of 5,000 against 4,878.
const RECORDS_PER_PART: usize = 20_000;

/// Missed exfiltrations that a false alert is as bad as, and the share of exfiltrations to expect, where nothing
/// else is said.
pub const DEFAULT_COST: f64 = 3.0;
pub const DEFAULT_PRIOR: f64 = 0.01;

pub fn run(args: &Train, config: &Config) -> anyhow::Result<()> {
    let kind = common_kind(&args.data)?;
    let mut dataset = Dataset::collect(
        kind,
        &args.data,
        config,
        args.hold_out,
        ContextUse::Masked,
        &[],
        progress::files(),
    )?;
    let rows = dataset.table.len();
    let positives = dataset.units.iter().filter(|unit| unit.theft).count();
    eprintln!(
        "{} captures and files: {rows} vectors of {} senders, {positives} of them exfiltrate",
        dataset.sources,
        dataset.units.len()
    );
    for (count, what) in dataset.left_out.told() {
        eprintln!("left out: {count} {what}");
    }
    ensure!(rows > 0, "the data has no record and no session that was long enough to be scored");
    balance(kind, &mut dataset)?;
    let recipe = recipe(args, kind);
    let mut tell = progress::files();
    let steps = recipe.folds + 1;
    let held = (recipe.folds != 0).then(|| {
        out_of_fold::assess(&dataset, &recipe, &mut |fold| {
            tell(fold, steps, "growing a forest without this part of the data");
        })
    });
    let held = held.transpose()?;
    let scored = held.as_ref().map(|held| held.scored.as_slice());
    let threshold = recipe.threshold(scored)?;
    tell(recipe.folds, steps, "growing the forest on all of it");
    let calibration = out_of_fold::calibration(&dataset.table, &recipe, recipe.folds)?;
    let trained = train(&dataset.table, &recipe.forest)?;
    let schema = Schema::of(kind);
    let validation = scored.map(|scored| report(scored, threshold));
    let mut model =
        Model::new(schema, &dataset.table, &recipe.forest, trained, threshold, validation)?;
    model.meta.calibration = calibration;
    model.meta.folds = Some(recipe.folds);
    model.write(&args.out)?;
    drop(tell);

    let mut output = io::stdout().lock();
    match &held {
        Some(held) => {
            let folds = recipe.folds;
            writeln!(output, "out of fold, in {folds} parts, at the threshold {threshold:.3}:\n")?;
            Quality::of(&dataset, &held.scored, &held.forest, threshold)
                .write_table(&mut output, args.list)?;
        }
        None => writeln!(
            output,
            "trained without folds: the model was not measured, its scores are not calibrated, and its \
             threshold {threshold:.3} comes from --threshold or --cost"
        )?,
    }
    writeln!(output, "\nwrote {}", args.out.display())?;
    Ok(())
}

fn recipe(args: &Train, kind: Kind) -> Recipe {
    Recipe {
        forest: TrainConfig {
            trees: args.trees,
            depth: args.depth,
            min_leaf: args.min_leaf,
            seed: args.seed,
            rows_per_part: rows_per_part(args, kind),
            ..TrainConfig::default()
        },
        // One part leaves nothing to learn from.
        folds: if args.folds < 2 { 0 } else { args.folds },
        prior: prior_of(kind, args.prior),
        cost: args.cost,
        threshold: args.threshold,
    }
}

/// Sessions are few and differ; records are many and alike.
fn rows_per_part(args: &Train, kind: Kind) -> Option<usize> {
    match (args.rows_per_part, kind) {
        (Some(0), _) | (None, Kind::Session) => None,
        (Some(rows), _) => Some(rows),
        (None, Kind::Record) => Some(RECORDS_PER_PART),
    }
}

/// Makes exfiltrations as frequent as trees need them, and every kind of traffic as frequent as the others.
pub(super) fn balance(kind: Kind, dataset: &mut Dataset) -> anyhow::Result<()> {
    match kind {
        Kind::Session => dataset.table.balance(&dataset.strata, POSITIVE_SHARE),
        Kind::Record => Ok(()),
    }
}

/// The share of exfiltrations that probabilities are moved to; records keep their own.
pub(super) fn prior_of(kind: Kind, prior: f64) -> Option<f64> {
    (kind == Kind::Session).then_some(prior)
}
