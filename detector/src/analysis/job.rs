//! One analysis of an uploaded capture: its alerts go into the store as they are found.

use std::io::Write;
use std::path::Path;
use std::sync::Arc;
use std::time::Instant;

use anyhow::Context as _;

use super::capture_file::{CaptureFile, Reading};
use super::features::FeatureFile;
use super::recordings::{Recordings, summary};
use crate::alerts::Origin;
use crate::config::Config;
use crate::decompress::StopCounts;
use crate::model::Model;
use crate::pipeline::{Output, Row, Scoring, ScoringConfig};
use crate::store::alerts::NewAlert;
use crate::store::captures::Outcome;
use crate::store::{Store, alerts};
use crate::verdict::Alert;

/// Alerts that are written together.
const TOGETHER: usize = 256;

/// Where the alerts go.
pub(super) struct Target<'a> {
    pub(super) store: &'a Store,
    pub(super) origin: Origin,
    pub(super) model_hash: Arc<str>,
    pub(super) config_hash: Arc<str>,
    pub(super) stops: &'a StopCounts,
    /// Called after alerts were stored.
    pub(super) told: &'a (dyn Fn() + Sync),
}

fn scoring(config: &Config, model: Arc<Model>, rows: bool) -> anyhow::Result<Scoring> {
    let settings = ScoringConfig {
        threshold: config.model.threshold,
        rows,
        first_payloads: !rows,
        allow: config.allowlist()?,
        // There is nothing to block in the past.
        ..ScoringConfig::default()
    };
    Scoring::new(model, settings)
}

/// Analyses the capture at `path`. A capture that is damaged is analysed up to the damage, which
/// the outcome shows.
pub(super) fn analyse(
    path: &Path,
    config: &Config,
    model: Arc<Model>,
    target: &Target<'_>,
    reading: Arc<Reading>,
) -> anyhow::Result<Outcome> {
    let started = Instant::now();
    let file = CaptureFile::open(path, reading)?;
    let recordings = Recordings::new(config);
    let mut pipeline = recordings.pipeline(scoring(config, model, false)?);
    let mut finder = Finder { target, waiting: Vec::new(), failure: None };
    let mut reader = recordings.expand(file);
    let capture = recordings.run(&mut reader, &mut pipeline, |output| finder.take(output));
    reader.stopped().into_iter().for_each(|reason| target.stops.note(reason));
    finder.write();
    if let Some(failure) = finder.failure {
        return Err(failure.context("failed to store the alerts"));
    }
    let summary = summary(&capture, pipeline.mode().alerts());
    Ok(Outcome {
        seconds: started.elapsed().as_secs_f64(),
        packets: summary.packets,
        bytes: summary.bytes,
        flows: summary.flows,
        alerts: summary.alerts,
        first_ns: capture.first_ns,
        last_ns: capture.last_ns,
        skipped: serde_json::to_string(&summary.skipped)?,
        error: capture.error.map(|error| error.to_string()),
    })
}

struct Finder<'a> {
    target: &'a Target<'a>,
    waiting: Vec<Alert>,
    /// The first; what is found after it is dropped.
    failure: Option<anyhow::Error>,
}

impl Finder<'_> {
    fn take(&mut self, output: Output) {
        let Output::Alert { alert, .. } = output else { return };
        self.waiting.push(*alert);
        if self.waiting.len() >= TOGETHER {
            self.write();
        }
    }

    fn write(&mut self) {
        let alerts = std::mem::take(&mut self.waiting);
        if alerts.is_empty() || self.failure.is_some() {
            return;
        }
        let Target { store, origin, model_hash, config_hash, told, .. } = self.target;
        let (origin, model_hash) = (*origin, Arc::clone(model_hash));
        let config_hash = Arc::clone(config_hash);
        let written = store.write(move |connection| {
            alerts.iter().try_for_each(|alert| {
                let (model_hash, config_hash) = (&*model_hash, &*config_hash);
                let new = NewAlert { alert, origin, model_hash, config_hash };
                alerts::insert(connection, &new).map(drop)
            })
        });
        match written {
            Ok(()) => told(),
            Err(error) => self.failure = Some(error),
        }
    }
}

/// Writes the vectors of the capture at `path` to `output`.
pub(super) fn write_features(
    path: &Path,
    name: &str,
    config: &Config,
    model: Arc<Model>,
    output: impl Write,
) -> anyhow::Result<()> {
    let reading = Arc::new(Reading::default());
    let file = CaptureFile::open(path, Arc::clone(&reading))?;
    let output = FeatureFile::new(output)?;
    let recordings = Recordings::new(config);
    let mut pipeline = recordings.pipeline(scoring(config, model, true)?);
    let mut lister = Lister { output, name, reading, failure: None };
    let capture = recordings.run(recordings.expand(file), &mut pipeline, |output| {
        if let Output::Row(row) = output {
            lister.write(&row);
        }
    });
    lister.output.flush()?;
    if let Some(failure) = lister.failure {
        return Err(failure.into());
    }
    match capture.error {
        Some(error) => Err(error).with_context(|| format!("failed to read {name}")),
        None => Ok(()),
    }
}

struct Lister<'a, W: Write> {
    output: FeatureFile<W>,
    name: &'a str,
    reading: Arc<Reading>,
    failure: Option<std::io::Error>,
}

impl<W: Write> Lister<'_, W> {
    fn write(&mut self, row: &Row) {
        if self.failure.is_none()
            && let Err(error) = self.output.row(self.name, row)
        {
            self.failure = Some(error);
            // Nobody reads on: the rest of the capture need not be read.
            self.reading.cancel();
        }
    }
}
