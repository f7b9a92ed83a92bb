//! Rows to learn from, and to measure on: the vectors that would be scored, at the very
//! checkpoints, with what is known about their senders.
//!
//! Labels take the place of alerts: a sender that is labelled malicious is excluded from the
//! baseline of its host.

use std::collections::HashMap;

use super::{Look, Mode};
use crate::features::{Context, Sample, vector};
use crate::flow::{FlowView, Session, Side};
use crate::verdict::{rules, score};

/// What is known about a sender.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Label {
    pub malicious: bool,
    /// What its rows are counted as.
    pub unit: u64,
    /// Whether the vector shows what its host usually does.
    pub with_context: bool,
}

/// A labelled vector.
#[derive(Clone, Debug, PartialEq)]
pub struct LabelledRow {
    pub label: Label,
    pub session_id: u64,
    /// The doubt that the rules leave, see [`score::of_doubt`].
    pub rules: f64,
    /// It is usual for the host.
    pub baseline: bool,
    /// IP bytes that had left.
    pub bytes_out: u64,
    /// Since the session began.
    pub seconds: f64,
    pub values: Vec<f32>,
}

/// Rows of the senders of which `label` knows something.
#[derive(Debug)]
pub struct Labelled<L> {
    label: L,
    /// What is known about the senders of live sessions that reached a checkpoint.
    live: HashMap<(u64, Side), Seen>,
    passed_over: PassedOver,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Seen {
    Malicious,
    Ordinary,
    Unlabelled,
}

/// Senders that no row tells of.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct PassedOver {
    /// Nothing is known about them.
    pub unlabelled: u64,
    /// They sent something out, and reached no checkpoint.
    pub unscored: u64,
}

impl<L: FnMut(&Session, &FlowView, Side) -> Option<Label>> Labelled<L> {
    #[must_use]
    pub fn new(label: L) -> Self {
        Self { label, live: HashMap::new(), passed_over: PassedOver::default() }
    }
}

impl<L> Labelled<L> {
    /// Of the sessions that are over.
    #[must_use]
    pub fn passed_over(&self) -> PassedOver {
        self.passed_over
    }
}

impl<L: FnMut(&Session, &FlowView, Side) -> Option<Label>> Mode for Labelled<L> {
    type Output = LabelledRow;

    fn look(&mut self, look: &Look<'_>, outputs: &mut Vec<LabelledRow>) {
        let Look { session, flow, sender, now_ns, context } = *look;
        let label = (self.label)(session, flow, sender);
        let seen = match label {
            Some(Label { malicious: true, .. }) => Seen::Malicious,
            Some(_) => Seen::Ordinary,
            None => Seen::Unlabelled,
        };
        let known = self.live.entry((session.id, sender)).or_insert(seen);
        if seen == Seen::Malicious || *known == Seen::Unlabelled {
            *known = seen;
        }
        let Some(label) = label else { return };
        let sample = Sample::new(session, sender, now_ns).with_context(context);
        let found: Vec<_> = rules::find(&sample).collect();
        let told = if label.with_context { context } else { Context::default() };
        let mut values = Vec::new();
        vector(&sample.with_context(told), &mut values);
        outputs.push(LabelledRow {
            label,
            session_id: session.id,
            rules: score::join(0.0, &found, false).rules,
            baseline: context.has_baseline(),
            bytes_out: session.sent(sender).ip_bytes(),
            seconds: now_ns.saturating_sub(session.first_seen_ns) as f64 / 1e9,
            values,
        });
    }

    fn was_malicious(&mut self, session: &Session, sender: Side) -> bool {
        let seen = self.live.remove(&(session.id, sender));
        self.passed_over.unlabelled += u64::from(seen == Some(Seen::Unlabelled));
        let unscored = seen.is_none() && session.sends_out(sender);
        self.passed_over.unscored += u64::from(unscored);
        seen == Some(Seen::Malicious)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::features::{HistoryConfig, example};
    use crate::flow::{SessionCheckpoint, SessionKey, TrackerConfig, Visitor as _, Volume};
    use crate::pipeline::Pipeline;

    fn session(last: u8) -> Session {
        let mut session = example::session(SessionKey {
            client: [10, 0, 0, last].into(),
            server: [192, 0, 2, 1].into(),
            protocol: 6,
            server_port: 443,
        });
        session.id = last.into();
        let volume = Volume {
            seen_packets: 20,
            seen_bytes: 20_800,
            seen_payload_bytes: 20_000,
            ..Volume::default()
        };
        (session.up, session.down) = (volume, volume);
        session
    }

    fn flow() -> FlowView {
        let key = detector_common::FlowKey::default();
        let initiator = detector_common::flow::Direction::FromLow;
        FlowView { key, initiator, icmp: 0, first_seen_ns: 0, last_seen_ns: 0 }
    }

    #[test]
    fn labels_say_what_becomes_a_row_and_what_a_baseline_learns() {
        let labels = Labelled::new(|session: &Session, _: &FlowView, _| {
            let unit = session.id;
            (unit != 3).then_some(Label { malicious: unit == 1, unit, with_context: true })
        });
        let (tracker, history) = (TrackerConfig::default(), HistoryConfig::default());
        let mut pipeline = Pipeline::new(&tracker, history, labels);
        for session in [1, 2, 3].map(session) {
            let (cause, now_ns) = (SessionCheckpoint::Packets, 2_000_000_000);
            pipeline.stage.score(&session, &flow(), cause, now_ns);
            pipeline.stage.session_ended(&session);
        }
        // Over before it was looked at.
        pipeline.stage.session_ended(&Session { id: 4, ..session(2) });
        let rows: Vec<_> = pipeline.finish().collect();
        let labels: Vec<_> = rows.iter().map(|row| (row.label.unit, row.label.malicious)).collect();
        assert_eq!(labels, [(1, true), (2, false)]);
        assert_eq!(rows[0].bytes_out, 20_800);
        let baselines = pipeline.baselines();
        assert_eq!((baselines.withheld, baselines.hosts_learning), (1, 2));
        assert!(pipeline.mode().live.is_empty());
        let passed_over = pipeline.mode().passed_over();
        assert_eq!((passed_over.unlabelled, passed_over.unscored), (1, 1));
    }
}
