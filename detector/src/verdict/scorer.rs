//! Scores senders of sessions and keeps the alerts that are open.
//!
//! An alert opens once at the threshold, and is repeated with a higher revision only when it grew:
//! its severity rose or four times as much was sent. It closes with its session.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;

use crate::features::{Context, Kind, Sample, vector};
use crate::flow::{FlowView, Session, Side};
use crate::model::{Model, ServedModel};
use crate::timestamp::Timestamp;

use super::alert::{Basis, End, Ends};
use super::rules::{self, Found, Rule};
use super::{Alert, AlertId, AllowList, Severity, Technique, reasons, score};

/// An open alert is repeated when this many times the payload of its last revision was sent.
const GROWTH: u64 = 4;

/// What one look at a sender gave.
#[derive(Clone, Debug, PartialEq)]
pub struct SessionVerdict {
    pub score: f64,
    /// Product of the doubts that the rules leave, 1 where they are silent.
    pub rules: f64,
    /// The forest's part in the score was cut because this is a baseline of the host.
    pub baseline: bool,
    /// There is an alert about this sender, old or new, and the score still supports it.
    pub open: Option<AlertId>,
    /// What it looks like, where there is an alert.
    pub technique: Technique,
    /// The alert may lead to a block: it holds without what the baseline alone finds.
    pub may_block: bool,
    /// The allowlist covers it, or it is a baseline of its host.
    pub known: bool,
    /// The alert opened, or grew.
    pub alert: Option<Alert>,
}

/// The model with its alerts. Memory is bounded by the sessions that the tracker remembers.
#[derive(Debug)]
pub struct Scorer {
    model: ServedModel,
    threshold: f64,
    allow: Arc<AllowList>,
    /// Senders over the threshold whom it covers.
    allowed: HashSet<(u64, Side)>,
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
    opened_ns: u64,
}

impl Scorer {
    /// Serves `model`, with its own threshold unless another is given.
    pub fn new(
        model: Arc<Model>,
        threshold: Option<f64>,
        allow: Arc<AllowList>,
    ) -> anyhow::Result<Self> {
        let threshold = threshold.unwrap_or(model.meta.threshold);
        Ok(Self {
            model: ServedModel::new(model, Kind::Session)?,
            threshold,
            allow,
            allowed: HashSet::new(),
            row: Vec::new(),
            open: HashMap::new(),
        })
    }

    /// Scores by another model from now on.
    ///
    /// # Errors
    ///
    /// A model that reads other columns than this program computes; the former one stays then.
    pub fn use_model(&mut self, model: Arc<Model>, threshold: Option<f64>) -> anyhow::Result<()> {
        let model = ServedModel::new(model, Kind::Session)?;
        self.threshold = threshold.unwrap_or(model.model().meta.threshold);
        self.model = model;
        Ok(())
    }

    #[must_use]
    pub fn model(&self) -> Arc<Model> {
        Arc::clone(self.model.model())
    }

    /// The schema and the hash of the model, as alerts name it.
    #[must_use]
    pub fn model_name(&self) -> Arc<str> {
        Arc::clone(self.model.name())
    }

    /// The vector of the latest verdict.
    #[must_use]
    pub fn row(&self) -> &[f32] {
        &self.row
    }

    /// Scores what `sender` has sent in `session` until now. `flow` brought it to a checkpoint.
    pub fn score(
        &mut self,
        session: &Session,
        flow: &FlowView,
        sender: Side,
        now_ns: u64,
        context: Context,
    ) -> SessionVerdict {
        let sample = Sample::new(session, sender, now_ns).with_context(context);
        vector(&sample, &mut self.row);
        let raw_score = self.model.score(&self.row);
        let found: Vec<(&Rule, Found)> = rules::find(&sample).collect();
        let baseline = context.has_baseline();
        let joined = score::join(self.model.probability(raw_score), &found, baseline);
        let score = joined.score;
        let known = self.open.get(&(session.id, sender)).copied();
        let needed = score::needed(self.threshold, known.is_some());
        let mut verdict = SessionVerdict {
            score,
            rules: joined.rules,
            baseline,
            open: None,
            technique: Technique::UnknownExfiltration,
            may_block: joined.without_anomalies >= needed,
            known: baseline,
            alert: None,
        };
        if score < needed {
            verdict.known |= self.allow.find(&sample).is_some();
            return verdict;
        }
        if self.is_allowed(&sample) {
            verdict.known = true;
            // What was allowed since the alert opened is reported no further.
            self.open.remove(&(session.id, sender));
            return verdict;
        }
        verdict.technique = technique(&sample, &found);
        let payload_bytes = sample.sent.payload_bytes();
        let severity = Severity::of(payload_bytes, score, self.threshold);
        let open = match known {
            None => Open {
                id: AlertId::of(session, sender),
                revision: 1,
                severity,
                payload_bytes,
                bytes_leaked: sample.sent.ip_bytes(),
                opened_ns: now_ns,
            },
            Some(open) if grew(&open, severity, payload_bytes) => Open {
                revision: open.revision + 1,
                severity: severity.max(open.severity),
                payload_bytes,
                ..open
            },
            Some(open) => {
                verdict.open = Some(open.id);
                return verdict;
            }
        };
        self.open.insert((session.id, sender), open);
        let alert = self.alert(&sample, flow, &open, &verdict, raw_score, &found);
        verdict.open = Some(open.id);
        verdict.alert = Some(alert);
        verdict
    }

    /// Whether the allowlist covers the sender; each session is one hit.
    fn is_allowed(&mut self, sample: &Sample<'_>) -> bool {
        let Some(allowed) = self.allow.find(sample) else { return false };
        if self.allowed.insert((sample.session.id, sample.sender)) {
            allowed.hit();
        }
        true
    }

    /// The alert that is open about this sender.
    #[must_use]
    pub fn open_alert(&self, session: &Session, sender: Side) -> Option<AlertId> {
        self.open.get(&(session.id, sender)).map(|open| open.id)
    }

    /// The session is over. True where there was an alert about this sender.
    pub fn close(&mut self, session: &Session, sender: Side) -> bool {
        if !self.allowed.is_empty() {
            self.allowed.remove(&(session.id, sender));
        }
        !self.open.is_empty() && self.open.remove(&(session.id, sender)).is_some()
    }

    /// Whether there is an open alert about this sender of a session.
    #[must_use]
    pub fn is_open(&self, session: &Session, sender: Side) -> bool {
        !self.open.is_empty() && self.open.contains_key(&(session.id, sender))
    }

    /// Whether the allowlist covers what a sender of a session sends.
    #[must_use]
    pub fn covers(&self, session: &Session, sender: Side, now_ns: u64) -> bool {
        self.allow.find(&Sample::new(session, sender, now_ns)).is_some()
    }

    /// Alerts from this score on.
    #[must_use]
    pub fn threshold(&self) -> f64 {
        self.threshold
    }

    /// The allowlist with its hits.
    #[must_use]
    pub fn allow(&self) -> &AllowList {
        &self.allow
    }

    /// Goes by another allowlist from now on, for open alerts, too.
    pub fn set_allow(&mut self, allow: Arc<AllowList>) {
        self.allow = allow;
    }

    fn alert(
        &self,
        sample: &Sample<'_>,
        flow: &FlowView,
        open: &Open,
        verdict: &SessionVerdict,
        raw_score: f64,
        found: &[(&Rule, Found)],
    ) -> Alert {
        let SessionVerdict { score, rules, baseline, technique, .. } = *verdict;
        let session = sample.session;
        let Ends { src, src_port, dst, dst_port, protocol } =
            Ends::of(session, flow, sample.sender);
        let time = Timestamp::from_ns(sample.now_ns);
        let first_seen = Timestamp::from_ns(session.first_seen_ns);
        Alert {
            id: open.id,
            time,
            src,
            src_port,
            dst,
            dst_port,
            protocol,
            initiator: if sample.sender == Side::Client { End::Src } else { End::Dst },
            technique,
            severity: open.severity,
            score,
            threshold: self.threshold,
            bytes_out: sample.sent.ip_bytes(),
            bytes_in: sample.received.ip_bytes(),
            packets_out: sample.sent.packets(),
            packets_in: sample.received.packets(),
            bytes_attempted: sample.sent.seen_bytes,
            bytes_stopped: sample.sent.dropped_bytes,
            bytes_leaked: open.bytes_leaked,
            revision: open.revision,
            raw_score,
            first_seen,
            seconds_to_detect: Timestamp::from_ns(open.opened_ns).seconds_since(first_seen),
            receivers: 1,
            dst_name: match sample.sender {
                Side::Client => session.name.clone(),
                Side::Server => session.client_name.clone(),
            },
            domain: session.domain.clone(),
            community_id: flow.community_id(),
            ja4: session.first_payloads.ja4.clone(),
            reasons: reasons::explain(&self.model, &self.row, sample, found),
            model: Arc::clone(self.model.name()),
            basis: Basis { vector: self.row.clone(), rules, baseline },
            // What is done about it and the payload samples are for others to fill in.
            ..Alert::default()
        }
    }
}

/// What the surest rule says it is, at the pace that the numbers say; else what the volumes look like.
fn technique(sample: &Sample<'_>, found: &[(&Rule, Found)]) -> Technique {
    let surest = found.iter().max_by(|a, b| a.1.certainty.total_cmp(&b.1.certainty));
    surest.map_or_else(|| Technique::of(sample), |(_, found)| found.technique.by_pace(sample))
}

fn grew(open: &Open, severity: Severity, payload_bytes: u64) -> bool {
    severity > open.severity || payload_bytes >= open.payload_bytes.saturating_mul(GROWTH).max(1)
}
