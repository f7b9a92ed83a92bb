//! One file per subcommand; what they share is the configuration and the model.

pub mod allow;
pub mod analyze;
pub mod audit;
pub mod blocks;
pub mod budgets;
pub mod confirm;
pub mod contacts;
mod control;
mod dataset;
pub mod detach;
pub mod doctor;
pub mod evaluate;
#[cfg(test)]
mod example;
pub mod explain;
pub mod labels;
mod listing;
pub mod mode;
pub mod notify;
mod origins;
mod out_of_fold;
pub mod predict;
mod report;
pub mod run;
pub mod status;
pub mod synth;
pub mod train;
mod vectors;

use std::io::{self, IsTerminal as _};
use std::path::Path;
use std::sync::Arc;

use anyhow::{Context as _, ensure};
use tracing_subscriber::EnvFilter;

use crate::cli::Command;
use crate::config::{Config, LogFormat};
use crate::features::Kind;
use crate::model::Model;
use crate::sink::Style;

/// The model that is shipped. After a change of the columns it is made anew, from the root of the
/// project, by `detector train --data target/lab --data DIR --out detector/models/session.model`,
/// DIR being a set of labelled captures.
const SHIPPED_MODEL: &[u8] = include_bytes!("../../models/session.model");

/// The model for records, of synthetic ones alone: `docs/detection.md` says how it is made.
const SHIPPED_RECORD_MODEL: &[u8] = include_bytes!("../../models/record.model");

/// Runs what the command line names.
///
/// # Errors
///
/// Whatever makes the command fail, for people to read.
pub fn run(command: Command) -> anyhow::Result<()> {
    let config = Config::load(command.config().map(AsRef::as_ref))?;
    start_log(config.log.format);
    match command {
        Command::Run(args) => run::run(args, config),
        Command::Status(args) => status::run(&args, &config),
        Command::Blocks(args) => blocks::run(args, &config),
        Command::Allow(args) => allow::run(args, &config),
        Command::Mode(args) => mode::run(args, &config),
        Command::Confirm(args) => confirm::run(&args, &config),
        Command::Explain(args) => explain::run(&args, &config),
        Command::Budgets(args) => budgets::run(args, &config),
        Command::Audit(args) => audit::run(&args, &config),
        Command::Detach(args) => detach::run(&args, &config),
        Command::Contacts(args) => contacts::run(&args, &config),
        Command::Notify(args) => notify::run(&args, &config),
        Command::Analyze(args) => analyze::run(&args, &config),
        Command::Train(args) => train::run(&args, &config),
        Command::Evaluate(args) => evaluate::run(&args, &config),
        Command::Predict(args) => predict::run(&args, &config),
        Command::Synth(args) => synth::run(&args),
        Command::Doctor(args) => doctor::run(args, config),
    }
}

/// Loads the model at `path`, else the configured one, else the one inside the program.
///
/// # Errors
///
/// A model that cannot be read, or is damaged.
pub fn load_model(path: Option<&Path>, config: &Config) -> anyhow::Result<Arc<Model>> {
    let model = match path.or(config.model.path.as_deref()) {
        Some(path) => Model::read(path)?,
        None => Model::from_bytes(SHIPPED_MODEL)
            .context("failed to load the model inside the program")?,
    };
    Ok(Arc::new(model))
}

/// Loads the model for this kind of vector: the one at `path`, else the one that is configured (for
/// sessions), else the one inside the program.
///
/// # Errors
///
/// A model that cannot be read, is damaged, or is for another schema.
pub fn model_of(kind: Kind, path: Option<&Path>, config: &Config) -> anyhow::Result<Arc<Model>> {
    let model = match (kind, path) {
        (Kind::Session, path) => load_model(path, config)?,
        (Kind::Record, Some(path)) => Arc::new(Model::read(path)?),
        (Kind::Record, None) => Model::from_bytes(SHIPPED_RECORD_MODEL)
            .map(Arc::new)
            .context("failed to load the record model inside the program")?,
    };
    model.check_schema(kind.schema_name(), kind.schema_hash())?;
    let (columns, expected) = (model.forest.columns(), kind.columns().len());
    ensure!(
        columns == expected,
        "the model reads {columns} columns, this program computes {expected}"
    );
    Ok(model)
}

/// The score from which on a vector is a theft. The configured one is for sessions.
fn threshold_of(kind: Kind, model: &Model, config: &Config) -> f64 {
    let configured = if kind == Kind::Session { config.model.threshold } else { None };
    configured.unwrap_or(model.meta.threshold)
}

/// Messages go to standard error; RUST_LOG chooses which, as is usual.
fn start_log(format: LogFormat) {
    let filter = EnvFilter::try_from_default_env().unwrap_or_else(|_| EnvFilter::new("info"));
    let style = Style::choose(io::stderr().is_terminal(), std::env::var_os("NO_COLOR").as_deref());
    let builder = tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_writer(io::stderr)
        .with_ansi(style == Style::Color)
        .with_target(false);
    let started = match format {
        LogFormat::Text => builder.without_time().try_init(),
        LogFormat::Json => builder.json().try_init(),
    };
    // A second start, as in tests, keeps the first one's settings.
    drop(started);
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::borrow::Cow;

    use crate::features::{RECORD_FIELDS, Record, record_vector};

    /// A changed column needs a new model: see [`SHIPPED_MODEL`].
    #[test]
    fn the_shipped_models_read_this_programs_columns() {
        for kind in Kind::ALL {
            model_of(kind, None, &Config::default()).unwrap();
        }
    }

    /// The two answers that the service was documented with that the record model replaces.
    #[test]
    fn the_documented_records_get_their_answers() {
        let model = model_of(Kind::Record, None, &Config::default()).unwrap();
        let check = |timestamp: &str, bytes_sent: &str, theft: bool| {
            let fields = [
                timestamp,
                "192.168.1.100",
                "10.0.0.1",
                "12345",
                "80",
                "TCP",
                bytes_sent,
                "500",
                "allow",
            ];
            let cell = |name: &str| RECORD_FIELDS.iter().position(|field| *field == name);
            let record =
                Record::parse(|name| cell(name).map(|at| Cow::Borrowed(fields[at]))).unwrap();
            let mut row = Vec::new();
            record_vector(&record, &mut row);
            let score = model.forest.score(&row);
            assert_eq!(
                (score >= 0.5, score >= model.meta.threshold),
                (theft, theft),
                "{fields:?}: {score}"
            );
        };
        for timestamp in [
            "2024-01-01T12:00:00Z",
            "2024-01-01 12:00:00",
            "2024-06-15T03:30:00+02:00",
            "1704110400",
        ] {
            check(timestamp, "1500", false);
            check(timestamp, "500000", true);
        }
    }
}
