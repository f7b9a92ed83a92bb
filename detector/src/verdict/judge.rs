//! Scores senders of sessions and keeps the alerts that are open.
//!
//! An alert opens once at the threshold, and is repeated with a higher revision only when it grew:
//! its severity rose or four times as much was sent. It closes with its session.

use std::collections::HashMap;
use std::sync::Arc;

use anyhow::ensure;

use crate::features::{COLUMNS, SCHEMA_NAME, Sample, schema_hash, vector};
use crate::flow::{FlowView, Session, Side};
use crate::model::Model;

use super::alert::Ends;
use super::rules::{self, Found, Rule};
use super::{ActionTaken, Alert, AlertId, Severity, Technique, reasons, score};

/// An open alert is repeated when this many times the payload of its last revision was sent.
const GROWTH: u64 = 4;

/// What one look at a sender gave.
#[derive(Clone, Debug, PartialEq)]
pub struct Judgement {
    pub score: f64,
    /// What the rules leave open: see [`score::doubt`].
    pub rules: f64,
    /// There is an alert about this sender, old or new, and the score still speaks for it.
    pub open: Option<AlertId>,
    /// The alert opened, or grew.
    pub alert: Option<Alert>,
}

/// The model with its alerts. Memory is bounded by the sessions that the tracker remembers.
#[derive(Debug)]
pub struct Judge {
    model: Arc<Model>,
    model_name: Arc<str>,
    threshold: f64,
    row: Vec<f32>,
    open: HashMap<(u64, Side), Open>,
}

#[derive(Clone, Copy, Debug)]
struct Open {
    id: AlertId,
    revision: u32,
    severity: Severity,
    payload_bytes: u64,
    bytes_leaked: u64,
}

impl Judge {
    /// Serves `model`, with its own threshold unless another is given.
    ///
    /// # Errors
    ///
    /// A model of another schema; both are named.
    pub fn new(model: Arc<Model>, threshold: Option<f64>) -> anyhow::Result<Self> {
        model.check_schema(SCHEMA_NAME, schema_hash())?;
        ensure!(
            model.forest.columns() == COLUMNS.len(),
            "the model reads {} columns, this program computes {}",
            model.forest.columns(),
            COLUMNS.len()
        );
        let model_name = format!("{SCHEMA_NAME}-{:016x}", schema_hash()).into();
        let threshold = threshold.unwrap_or(model.meta.threshold);
        Ok(Self { model, model_name, threshold, row: Vec::new(), open: HashMap::new() })
    }

    #[must_use]
    pub fn threshold(&self) -> f64 {
        self.threshold
    }

    /// The vector of the latest judgement.
    #[must_use]
    pub fn row(&self) -> &[f32] {
        &self.row
    }

    /// Scores what `sender` has sent in `session` until now. `flow` brought it to a checkpoint.
    pub fn judge(
        &mut self,
        session: &Session,
        flow: &FlowView,
        sender: Side,
        now_ns: u64,
    ) -> Judgement {
        let sample = Sample::new(session, sender, now_ns);
        vector(&sample, &mut self.row);
        let raw_score = self.model.forest.score(&self.row);
        let found: Vec<(&Rule, Found)> = rules::find(&sample).collect();
        let rules = score::doubt(found.iter().map(|(_, found)| found));
        let score = score::join(raw_score, rules);
        let known = self.open.get(&(session.id, sender)).copied();
        if score < score::needed(self.threshold, known.is_some()) {
            return Judgement { score, rules, open: None, alert: None };
        }
        let payload_bytes = sample.sent.payload_bytes;
        let severity = Severity::of(payload_bytes, score, self.threshold);
        let open = match known {
            None => Open {
                id: AlertId::of(session, sender),
                revision: 1,
                severity,
                payload_bytes,
                bytes_leaked: sample.sent.ip_bytes,
            },
            Some(open) if grew(&open, severity, payload_bytes) => Open {
                revision: open.revision + 1,
                severity: severity.max(open.severity),
                payload_bytes,
                ..open
            },
            Some(open) => return Judgement { score, rules, open: Some(open.id), alert: None },
        };
        self.open.insert((session.id, sender), open);
        let alert = self.alert(&sample, flow, &open, (score, raw_score), &found);
        Judgement { score, rules, open: Some(open.id), alert: Some(alert) }
    }

    /// The session is over.
    pub fn close(&mut self, session: &Session) {
        if self.open.is_empty() {
            return;
        }
        for side in [Side::Client, Side::Server] {
            self.open.remove(&(session.id, side));
        }
    }

    fn alert(
        &self,
        sample: &Sample<'_>,
        flow: &FlowView,
        open: &Open,
        (score, raw_score): (f64, f64),
        found: &[(&Rule, Found)],
    ) -> Alert {
        let session = sample.session;
        let surest = found.iter().max_by(|a, b| a.1.certainty.total_cmp(&b.1.certainty));
        let Ends { src, src_port, dst, dst_port, protocol } =
            Ends::of(session, flow, sample.sender);
        Alert {
            id: open.id,
            revision: open.revision,
            time_ns: sample.now_ns,
            first_seen_ns: session.first_seen_ns,
            src,
            src_port,
            dst,
            dst_port,
            protocol,
            src_opened: sample.sender == Side::Client,
            technique: surest.map_or_else(|| Technique::of(sample), |(_, found)| found.technique),
            severity: open.severity,
            score,
            raw_score,
            threshold: self.threshold,
            bytes_out: sample.sent.ip_bytes,
            bytes_in: sample.received.ip_bytes,
            packets_out: sample.sent.packets,
            packets_in: sample.received.packets,
            bytes_leaked: open.bytes_leaked,
            bytes_leaked_before_block: None,
            dst_name: match sample.sender {
                Side::Client => session.name.clone(),
                Side::Server => session.client_name.clone(),
            },
            domain: session.domain.clone(),
            community_id: flow.community_id(),
            reasons: reasons::explain(&self.model.forest, &self.row, sample, found),
            action: ActionTaken::None,
            model: Arc::clone(&self.model_name),
        }
    }
}

fn grew(open: &Open, severity: Severity, payload_bytes: u64) -> bool {
    severity > open.severity || payload_bytes >= open.payload_bytes.saturating_mul(GROWTH).max(1)
}
