//! `detector train`: labelled captures, vectors or records in, a model out, with out-of-fold figures.
#![expect(clippy::print_stderr, reason = "training takes a while and says how far it is")]

use std::io::{self, IsTerminal as _, Write as _};

use anyhow::{Context as _, ensure};

use crate::cli::Train;
use crate::config::Config;
use crate::features::Kind;
use crate::model::evaluate::{by_session, report};
use crate::model::{
    Model, Objective, Schema, TrainConfig, choose_threshold, cross_validate, train,
};

use super::dataset::Dataset;
use super::report::Quality;
use super::vectors::common_kind;

/// Share of thefts among the rows a tree draws: far more than there are in life, so that the trees
/// look at them, and fewer than the rest, so that ordinary traffic is learned in its variety. Records
/// keep the share that they have: their score is read as a probability.
const POSITIVE_SHARE: f64 = 0.35;

/// # Errors
///
/// Data that cannot be read or learned from, or a model that cannot be written.
pub fn run(args: &Train, config: &Config) -> anyhow::Result<()> {
    let kind = common_kind(&args.data)?;
    let mut dataset = Dataset::collect(kind, &args.data, config, args.hold_out, progress)?;
    let rows = dataset.table.len();
    let thefts = dataset.units.iter().filter(|unit| unit.theft).count();
    eprintln!(
        "{} captures and files: {rows} vectors of {} senders, {thefts} of them thieves",
        dataset.sources,
        dataset.units.len()
    );
    ensure!(rows > 0, "there is no session with enough to judge, and no record");
    if kind == Kind::Session {
        dataset.table.balance(&dataset.strata, POSITIVE_SHARE)?;
    }
    let settings = TrainConfig {
        trees: args.trees,
        depth: args.depth,
        min_leaf: args.min_leaf,
        seed: args.seed,
        ..TrainConfig::default()
    };
    let scored = cross_validate(&dataset.table, &settings, args.folds).context(
        "failed to validate out of fold: every part needs thefts and ordinary traffic of its own",
    )?;
    let threshold = match args.threshold {
        Some(threshold) => threshold,
        None => choose_threshold(&by_session(&scored), objective(args.cost))?,
    };
    let trained = train(&dataset.table, &settings)?;
    let schema = Schema { name: kind.schema_name().to_owned(), hash: kind.schema_hash() };
    let validation = Some(report(&scored, threshold));
    let model = Model::new(schema, &dataset.table, &settings, trained, threshold, validation)?;
    model.write(&args.out)?;

    let mut output = io::stdout().lock();
    writeln!(output, "out of fold, in {} parts, at the threshold {threshold:.3}:\n", args.folds)?;
    Quality::of(&dataset, &scored, threshold).write_table(&mut output, args.list)?;
    writeln!(output, "\nwrote {}", args.out.display())?;
    Ok(())
}

fn objective(cost: f64) -> Objective {
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
