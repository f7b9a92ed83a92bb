//! One file per subcommand; what they share is the configuration and the model.

pub mod analyze;
mod dataset;
pub mod doctor;
pub mod evaluate;
pub mod labels;
mod out_of_fold;
mod recordings;
mod report;
pub mod run;
pub mod train;

use std::io::{self, IsTerminal as _};
use std::path::Path;
use std::sync::Arc;

use anyhow::Context as _;
use tracing_subscriber::EnvFilter;

use crate::cli::Command;
use crate::config::{Config, LogFormat};
use crate::model::Model;
use crate::sink::Style;

/// The model that is shipped. After a change of the columns it is made anew, from the root of the
/// project, by `detector train --data target/lab --data DIR --out detector/models/session.model`,
/// DIR being a set of labelled captures.
const SHIPPED_MODEL: &[u8] = include_bytes!("../../models/session.model");

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
        Command::Analyze(args) => analyze::run(&args, &config),
        Command::Train(args) => train::run(&args, &config),
        Command::Evaluate(args) => evaluate::run(&args, &config),
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
    use crate::features::{SCHEMA_NAME, schema_hash};

    /// A changed column needs a new model: see [`SHIPPED_MODEL`].
    #[test]
    fn the_shipped_model_reads_this_programs_columns() {
        let model = load_model(None, &Config::default()).unwrap();
        model.check_schema(SCHEMA_NAME, schema_hash()).unwrap();
    }
}
