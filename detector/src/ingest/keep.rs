//! Scoring records and keeping what came of it: probabilities by the minute, and alerts.

use std::collections::BTreeMap;
use std::sync::Arc;

use super::{RecordSink, Report};
use crate::alerts::Origin;
use crate::features::Record;
use crate::model::Model;
use crate::store::alerts::{self, NewAlert};
use crate::store::traffic::log::Scores;
use crate::store::{Store, traffic};
use crate::verdict::Alert;
use crate::verdict::record::RecordScorer;

/// Records that go into one commit.
const TOGETHER: usize = 4_096;
const MINUTE_SECS: u64 = 60;

/// Scores records and keeps what came of it. What waits is written by [`Keeper::finish`].
#[derive(Debug)]
pub struct Keeper {
    store: Store,
    scorer: RecordScorer,
    model_hash: String,
    config_hash: String,
    waiting: usize,
    minutes: BTreeMap<u64, Scores>,
    alerts: Vec<Alert>,
}

impl Keeper {
    pub fn new(
        store: Store,
        model: Arc<Model>,
        threshold: f64,
        config_hash: String,
    ) -> anyhow::Result<Self> {
        let model_hash = model.hash()?;
        let scorer = RecordScorer::new(model, threshold)?;
        let (minutes, alerts) = (BTreeMap::new(), Vec::new());
        Ok(Self { store, scorer, model_hash, config_hash, waiting: 0, minutes, alerts })
    }

    /// Writes what waits.
    pub fn finish(&mut self) -> anyhow::Result<()> {
        if self.waiting == 0 {
            return Ok(());
        }
        self.waiting = 0;
        let (minutes, found) =
            (std::mem::take(&mut self.minutes), std::mem::take(&mut self.alerts));
        let (model_hash, config_hash) = (self.model_hash.clone(), self.config_hash.clone());
        self.store.write(move |connection| {
            for (minute, scores) in &minutes {
                traffic::add_scores(connection, *minute, Origin::Record.name(), scores)?;
            }
            for alert in &found {
                let (model_hash, config_hash) = (model_hash.as_str(), config_hash.as_str());
                let new = NewAlert { alert, origin: Origin::Record, model_hash, config_hash };
                alerts::insert(connection, &new)?;
            }
            Ok(())
        })
    }
}

impl RecordSink for Keeper {
    fn record(&mut self, record: &Record) -> anyhow::Result<bool> {
        let (score, alert) = self.scorer.score(record);
        let second = u64::try_from(record.timestamp.unix_secs()).unwrap_or(0);
        let scores = self.minutes.entry(second / MINUTE_SECS * MINUTE_SECS).or_default();
        scores.count += 1;
        scores.highest = scores.highest.max(score);
        scores.total += score;
        let positive = alert.is_some();
        self.alerts.extend(alert);
        self.waiting += 1;
        if self.waiting >= TOGETHER {
            self.finish()?;
        }
        Ok(positive)
    }

    fn pause(&mut self, _so_far: &mut Report) -> anyhow::Result<()> {
        self.finish()
    }
}
