//! One analysis of an uploaded capture: its alerts go into the store as they are found.

use std::io::Write;
use std::path::Path;
use std::sync::Arc;
use std::time::Instant;

use anyhow::Context as _;
use detector_common::flow::Direction;

use super::capture_file::{CaptureFile, Reading};
use super::features::FeatureFile;
use super::recordings::{Recordings, summary};
use crate::alerts::Origin;
use crate::config::Config;
use crate::engine::{Engine, EngineConfig, Output};
use crate::flow::{FlowRecord, FlowView, Session, SessionCheckpoint, Visitor};
use crate::model::Model;
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
    /// Called after alerts were stored.
    pub(super) told: &'a (dyn Fn() + Sync),
}

fn engine(config: &Config, model: Arc<Model>, rows: bool) -> anyhow::Result<Engine> {
    let settings = EngineConfig {
        threshold: config.model.threshold,
        rows,
        heads: !rows,
        history: config.history(),
        allow: config.allowlist()?,
        // There is nothing to block in the past.
        ..EngineConfig::default()
    };
    Engine::new(model, settings)
}

/// Analyses the capture at `path`. A capture that is damaged is analysed up to the damage, which the
/// outcome tells.
///
/// # Errors
///
/// A capture that cannot be opened, alerts that cannot be stored.
pub(super) fn analyse(
    path: &Path,
    config: &Config,
    model: Arc<Model>,
    target: &Target<'_>,
    reading: Arc<Reading>,
) -> anyhow::Result<Outcome> {
    let started = Instant::now();
    let file = CaptureFile::open(path, reading)?;
    let engine = engine(config, model, false)?;
    let mut finder = Finder { engine, target, waiting: Vec::new(), failure: None };
    let capture = Recordings::new(config).run(file, &mut finder);
    finder.write();
    if let Some(failure) = finder.failure {
        return Err(failure.context("failed to store the alerts"));
    }
    let summary = summary(&capture, finder.engine.counts().alerts);
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
    engine: Engine,
    target: &'a Target<'a>,
    waiting: Vec<Alert>,
    /// The first; what is found after it is dropped.
    failure: Option<anyhow::Error>,
}

impl Finder<'_> {
    fn drain(&mut self) {
        let alerts = self.engine.outputs().filter_map(|output| match output {
            Output::Alert { alert, .. } => Some(*alert),
            Output::Again(_) | Output::Judged { .. } | Output::Flow(_) => None,
        });
        self.waiting.extend(alerts);
        if self.waiting.len() >= TOGETHER {
            self.write();
        }
    }

    fn write(&mut self) {
        let alerts = std::mem::take(&mut self.waiting);
        if alerts.is_empty() || self.failure.is_some() {
            return;
        }
        let Target { store, origin, model_hash, config_hash, told } = self.target;
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

impl Visitor for Finder<'_> {
    fn judge(&mut self, session: &Session, flow: &FlowView, cause: SessionCheckpoint, now_ns: u64) {
        self.engine.judge(session, flow, cause, now_ns);
        self.drain();
    }

    fn flow_record(&mut self, record: &FlowRecord) {
        self.engine.flow_record(record);
    }

    fn first_payload(
        &mut self,
        flow: &FlowView,
        direction: Direction,
        payload_bytes: u32,
        bytes: &[u8],
    ) {
        self.engine.first_payload(flow, direction, payload_bytes, bytes);
    }

    fn session_ended(&mut self, session: &Session) {
        self.engine.session_ended(session);
        self.drain();
    }
}

/// Writes the vectors of the capture at `path` to `output`.
///
/// # Errors
///
/// A capture that cannot be read to its end, an output that nobody reads any more.
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
    let engine = engine(config, model, true)?;
    let mut lister = Lister { engine, output, name, reading, failure: None };
    let capture = Recordings::new(config).run(file, &mut lister);
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
    engine: Engine,
    output: FeatureFile<W>,
    name: &'a str,
    reading: Arc<Reading>,
    failure: Option<std::io::Error>,
}

impl<W: Write> Visitor for Lister<'_, W> {
    fn judge(&mut self, session: &Session, flow: &FlowView, cause: SessionCheckpoint, now_ns: u64) {
        self.engine.judge(session, flow, cause, now_ns);
        self.engine.outputs().for_each(drop);
        for row in self.engine.take_rows() {
            if self.failure.is_none()
                && let Err(error) = self.output.row(self.name, &row)
            {
                self.failure = Some(error);
                // Nobody reads on: the rest of the capture need not be read.
                self.reading.cancel();
            }
        }
    }

    fn flow_record(&mut self, _record: &FlowRecord) {}

    fn session_ended(&mut self, session: &Session) {
        self.engine.session_ended(session);
    }
}
