//! `detector analyze`: captures in, alerts out.
//!
//! Results go to standard output as they come, progress and problems to standard error.
#![expect(clippy::print_stderr, reason = "errors of one capture are reported while others follow")]

use std::fmt;
use std::fs::File;
use std::io::{self, BufWriter};
use std::path::Path;
use std::sync::Arc;

use anyhow::{Context as _, bail};

use crate::analysis::features::FeatureFile;
use crate::analysis::recordings::{Recordings, open, summary};
use crate::cli::{Analyze, FailOn, Format};
use crate::config::Config;
use crate::model::Model;
use crate::output::{CsvForm, Form, JsonForm, Style, Summary, TableForm};
use crate::pipeline::{Output, Scoring, ScoringConfig};
use crate::units;

use super::load_model;
use super::progress::Reading;

pub fn run(args: &Analyze, config: &Config) -> anyhow::Result<()> {
    let model = load_model(args.model.as_deref(), config)?;
    let recordings = Recordings::new(config);
    let mut form = stdout_form(args);
    let mut features = args.features.as_deref().map(create).transpose()?;
    let mut total = Summary::default();
    let mut failures = Vec::new();
    for path in &args.files {
        let scoring = scoring(args, config, &model)?;
        let outcome = analyze(path, &recordings, scoring, form.as_mut(), features.as_mut())?;
        total.add(&outcome.summary);
        if args.files.len() > 1 && args.format == Format::Table {
            let summary = Summary { source: Some(path.display().to_string()), ..outcome.summary };
            form.summary(&summary)?;
        }
        failures.extend(outcome.failure);
    }
    form.summary(&total)?;
    form.flush()?;
    // The others have it in their summary.
    if args.format == Format::Csv {
        total.hints().for_each(|hint| eprintln!("detector: {hint}"));
    }
    if let Some(features) = &mut features {
        features.flush().context("failed to write features")?;
    }
    report(failures, args.files.len())?;
    if args.fail_on == Some(FailOn::Alert) && total.alerts != 0 {
        bail!(AlertsFound(total.alerts));
    }
    Ok(())
}

/// The captures were read, there are alerts, and that was to be an error.
#[derive(Debug)]
pub struct AlertsFound(u64);

impl fmt::Display for AlertsFound {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(&units::counted(self.0, "alert"))
    }
}

impl std::error::Error for AlertsFound {}

fn scoring(args: &Analyze, config: &Config, model: &Arc<Model>) -> anyhow::Result<Scoring> {
    let settings = ScoringConfig {
        threshold: config.model.threshold,
        flows: args.flows,
        rows: args.features.is_some(),
        ledger: config.ledger_of_captures(),
        allow: config.allowlist()?,
        // There is nothing to block in the past.
        ..ScoringConfig::default()
    };
    Scoring::new(Arc::clone(model), settings)
}

fn stdout_form(args: &Analyze) -> Box<dyn Form> {
    let stdout = io::stdout();
    let style = Style::of(&stdout);
    let output = BufWriter::new(stdout);
    match args.format {
        Format::Json => Box::new(JsonForm::new(output)),
        Format::Csv => Box::new(CsvForm::new(output, args.flows)),
        Format::Table => Box::new(TableForm::new(output, style)),
    }
}

fn create(path: &Path) -> anyhow::Result<FeatureFile<File>> {
    let file = File::create(path).and_then(FeatureFile::new);
    file.with_context(|| format!("failed to write features to {}", path.display()))
}

struct Outcome {
    summary: Summary,
    failure: Option<anyhow::Error>,
}

/// Reads one capture. What was accounted before a failure is in the summary.
fn analyze(
    path: &Path,
    recordings: &Recordings,
    scoring: Scoring,
    form: &mut dyn Form,
    features: Option<&mut FeatureFile<File>>,
) -> anyhow::Result<Outcome> {
    let reader = match open(path) {
        Ok(reader) => Reading::new(reader, path),
        Err(failure) => return Ok(Outcome { summary: Summary::default(), failure: Some(failure) }),
    };
    let mut pipeline = recordings.pipeline(scoring);
    let mut printer = Printer { form, features, path, failure: None };
    let mut reader = recordings.expand(reader);
    let capture = recordings.run(&mut reader, &mut pipeline, |output| printer.take(output));
    if let (Some(format), None) = (reader.format(), &capture.error) {
        eprintln!("detector: {}: expanded from {}", path.display(), format.name());
    }
    if let Some(failure) = printer.failure {
        return Err(failure.into());
    }
    let mut summary = summary(&capture, pipeline.mode().alerts());
    summary.count(pipeline.counters());
    summary.count(reader.stopped().map(|reason| (reason.name(), 1)));
    summary.outbound = pipeline.mode().ledger().sums();
    for allowed in pipeline.mode().allow().entries().filter(|allowed| allowed.hits() != 0) {
        let (hits, reason) = (allowed.hits(), &allowed.entry.reason);
        eprintln!("detector: the allowlist exempted {}: {reason}", units::counted(hits, "session"));
    }
    if capture.flows != 0 && capture.flows_without_home == capture.flows {
        eprintln!(
            "detector: {}: no host of this capture is in the home networks, so the clients were \
             scored. Set home_networks",
            path.display()
        );
    }
    let failure =
        capture.error.map(|error| anyhow::Error::new(error).context(path.display().to_string()));
    Ok(Outcome { summary, failure })
}

/// One failure is the command's own; several are reported one by one.
fn report(mut failures: Vec<anyhow::Error>, captures: usize) -> anyhow::Result<()> {
    if captures == 1 {
        return failures.pop().map_or(Ok(()), Err);
    }
    for failure in &failures {
        eprintln!("detector: {failure:#}");
    }
    match failures.len() {
        0 => Ok(()),
        count => bail!("failed to read {count} of {captures} captures to the end"),
    }
}

/// Writes what comes of a capture.
struct Printer<'a> {
    form: &'a mut dyn Form,
    features: Option<&'a mut FeatureFile<File>>,
    path: &'a Path,
    /// The first failure to write; later results are dropped.
    failure: Option<io::Error>,
}

impl Printer<'_> {
    fn take(&mut self, output: Output) {
        if self.failure.is_none() {
            self.failure = self.write(&output).err();
        }
    }

    fn write(&mut self, output: &Output) -> io::Result<()> {
        match output {
            Output::Alert { alert, .. } => self.form.alert(alert),
            Output::Flow(record) => self.form.flow(record),
            Output::Row(row) => match &mut self.features {
                Some(features) => features.row(&self.path.display().to_string(), row),
                None => Ok(()),
            },
            // There is nothing to block and nothing to keep account of.
            Output::Again(_)
            | Output::AlertEnded { .. }
            | Output::Budget { .. }
            | Output::Scored { .. }
            | Output::Ended(_) => Ok(()),
        }
    }
}
