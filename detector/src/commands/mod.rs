//! One file per subcommand; what they share is the configuration and the model.

pub mod alerts;
pub mod allow;
pub mod analyze;
pub mod audit;
mod audited;
pub mod blocks;
pub mod budgets;
pub mod completions;
pub mod confirm;
pub mod contacts;
mod control;
mod database;
mod dataset;
pub mod db;
pub mod detach;
pub mod doctor;
pub mod evaluate;
#[cfg(test)]
pub(crate) mod example;
pub mod explain;
pub mod flows;
pub mod ingest;
pub mod labels;
mod listing;
pub mod man;
pub mod mode;
pub mod notify;
mod origins;
mod out_of_fold;
pub mod predict;
mod progress;
pub mod reload;
pub mod replay;
mod report;
pub mod run;
pub mod serve;
pub mod status;
pub mod synth;
pub mod token;
pub mod train;

use std::io;

use tracing_subscriber::EnvFilter;

pub use self::analyze::AlertsFound;
use crate::builtin_models::threshold_of;
pub use crate::builtin_models::{load_model, model_of};
use crate::cli::Command;
use crate::config::{Config, LogFormat};
use crate::output::Style;
use crate::site::Serve;

/// Runs what the command line names; `serve` starts the API and the dashboard.
pub fn run(command: Command, serve: Serve) -> anyhow::Result<()> {
    match &command {
        // The file to reload may be broken. The agent is asked even so.
        Command::Reload(args) => {
            start_log(LogFormat::Text);
            return reload::run(args);
        }
        // Packages are built where there is no configuration.
        Command::Completions(args) => return completions::run(args),
        Command::Man(args) => return man::run(args),
        _ => {}
    }
    let config = Config::load(command.config().map(AsRef::as_ref))?;
    start_log(config.log.format);
    match command {
        Command::Reload(args) => reload::run(&args),
        Command::Completions(args) => completions::run(&args),
        Command::Man(args) => man::run(&args),
        Command::Run(args) => run::run(args, config, serve),
        Command::Serve(args) => serve::run(args, config, serve),
        Command::Status(args) => status::run(&args, &config),
        Command::Blocks(args) => blocks::run(args, &config),
        Command::Allow(args) => allow::run(args, &config),
        Command::Mode(args) => mode::run(args, &config),
        Command::Confirm(args) => confirm::run(&args, &config),
        Command::Explain(args) => explain::run(&args, &config),
        Command::Budgets(args) => budgets::run(args, &config),
        Command::Audit(args) => audit::run(&args, &config),
        Command::Detach(args) => detach::run(&args, &config),
        Command::Alerts(args) => alerts::run(args, &config),
        Command::Flows(args) => flows::run(&args, &config),
        Command::Replay(args) => replay::run(&args, &config),
        Command::Db(args) => db::run(&args, &config),
        Command::Token(args) => token::run(args, config),
        Command::Contacts(args) => contacts::run(&args, &config),
        Command::Notify(args) => notify::run(&args, &config),
        Command::Ingest(args) => ingest::run(&args, &config),
        Command::Analyze(args) => analyze::run(&args, &config),
        Command::Train(args) => train::run(&args, &config),
        Command::Evaluate(args) => evaluate::run(&args, &config),
        Command::Predict(args) => predict::run(&args, &config),
        Command::Synth(args) => synth::run(&args),
        Command::Doctor(args) => doctor::run(args, config),
    }
}

/// Messages go to standard error; RUST_LOG chooses which, as is usual.
fn start_log(format: LogFormat) {
    let filter = EnvFilter::try_from_default_env().unwrap_or_else(|_| EnvFilter::new("info"));
    let style = Style::of(&io::stderr());
    let builder = tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_writer(io::stderr)
        .with_ansi(style == Style::Color)
        .with_target(false)
        // It would be said where it cannot be written, with a panic where that is a full disk.
        .log_internal_errors(false);
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

    use crate::features::{Kind, RECORD_FIELDS, Record, record_vector};

    /// A changed column needs a new model: see [`crate::shipped`].
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
