//! `detector train`: labelled captures in, a model out, with out-of-fold figures.
#![expect(clippy::print_stderr, reason = "training takes a while and says how far it is")]

use std::io::{self, IsTerminal as _, Write as _};

use anyhow::ensure;

use crate::cli::Train;
use crate::config::Config;
use crate::features::{SCHEMA_NAME, schema_hash};
use crate::model::evaluate::report;
use crate::model::{Model, Objective, Schema, TrainConfig, train};

use super::dataset::{ContextUse, Dataset};
use super::out_of_fold::{self, COMMON_THRESHOLD, Recipe};
use super::report::Quality;

/// Share of thefts among the rows a tree draws: far more than there are in life, so that the trees
/// look at them, and fewer than the rest, so that ordinary traffic is learned in its variety.
const POSITIVE_SHARE: f64 = 0.35;

/// Missed thefts that a false alert is as bad as, and the share of thefts to expect, where nothing
/// else is said.
pub const DEFAULT_COST: f64 = 1.5;
pub const DEFAULT_PRIOR: f64 = 0.01;

/// # Errors
///
/// Data that cannot be read or learned from, or a model that cannot be written.
pub fn run(args: &Train, config: &Config) -> anyhow::Result<()> {
    let mut dataset =
        Dataset::collect(&args.data, config, args.hold_out, ContextUse::Masked, &[], progress)?;
    let rows = dataset.table.len();
    let thefts = dataset.units.iter().filter(|unit| unit.theft).count();
    eprintln!(
        "{} captures: {rows} vectors of {} senders, {thefts} of them thieves",
        dataset.captures,
        dataset.units.len()
    );
    ensure!(rows > 0, "no capture has a session with enough to judge");
    balance(&mut dataset)?;
    let recipe = recipe(args);
    let held = out_of_fold::judge(&dataset, &recipe)?;
    let fitted = out_of_fold::fit(&dataset, &recipe)?;
    let trained = train(&dataset.table, &recipe.forest)?;
    let schema = Schema { name: SCHEMA_NAME.to_owned(), hash: schema_hash() };
    let validation = Some(report(&held.scored, COMMON_THRESHOLD));
    let mut model =
        Model::new(schema, &dataset.table, &recipe.forest, trained, fitted.threshold, validation)?;
    model.meta.calibration = Some(fitted.calibration);
    model.write(&args.out)?;

    let mut output = io::stdout().lock();
    writeln!(
        output,
        "out of fold, in {} parts, with a threshold chosen in each (all rows: {:.3}):\n",
        args.folds, fitted.threshold
    )?;
    Quality::of(&dataset, &held.scored, &held.forest, COMMON_THRESHOLD)
        .write_table(&mut output, args.list)?;
    writeln!(output, "\nwrote {}", args.out.display())?;
    Ok(())
}

fn recipe(args: &Train) -> Recipe {
    Recipe {
        forest: TrainConfig {
            trees: args.trees,
            depth: args.depth,
            min_leaf: args.min_leaf,
            seed: args.seed,
            ..TrainConfig::default()
        },
        folds: args.folds,
        prior: args.prior,
        objective: objective(args.cost),
        threshold: args.threshold,
    }
}

/// Makes thefts as frequent as trees need them, and every kind of traffic as frequent as the others.
pub(super) fn balance(dataset: &mut Dataset) -> anyhow::Result<()> {
    dataset.table.balance(&dataset.strata, POSITIVE_SHARE)
}

pub(super) fn objective(cost: f64) -> Objective {
    Objective::Cost { false_positive: cost, false_negative: 1.0 }
}

/// One line that is written over, on a terminal.
pub(super) fn progress(number: usize, count: usize, file: &str) {
    if io::stderr().is_terminal() {
        eprint!("\r\x1b[K{} of {count}: {file}", number + 1);
        if number + 1 == count {
            eprint!("\r\x1b[K");
        }
    }
}
