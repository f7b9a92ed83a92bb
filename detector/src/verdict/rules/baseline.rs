//! What is out of a host's own baseline: anomalies of the baseline. They apply once the baseline is
//! ready, and alone they never block.

use crate::features::{Context, Learning, Sample};
use crate::units;
use crate::verdict::Technique;
use crate::verdict::services;

use super::{Found, Rule};

pub(super) const RULES: &[Rule] = &[
    Rule {
        name: "new_receiver",
        meaning: "the host uploads to a new receiver far more than at earlier first contacts, and \
            the receiver is not a well-known service",
        source: "eight times the 80th percentile of the host's own first sessions, so that a few \
            large ones do not raise it",
        may_block: false,
        excused_by_baseline: false,
        find: new_receiver,
    },
    Rule {
        name: "odd_hour",
        meaning: "an upload to a known receiver at a new hour of the day",
        source: "the hours of the receiver's past sessions, one hour to either side, three days \
            at least; the hour's upload six robust deviations above its median",
        may_block: false,
        excused_by_baseline: false,
        find: odd_hour,
    },
    Rule {
        name: "beyond_baseline",
        meaning: "a session with a known receiver sends more than four times the largest of at \
            least seven earlier sessions",
        source: "two doublings: archives grow by less from one day to the next (baselines of the \
            lab)",
        may_block: false,
        excused_by_baseline: false,
        find: beyond_baseline,
    },
];

/// Payload that is worth a look: a hundred pages of text.
const BYTES: u64 = 128 << 10;
/// Deviations of the hour: of a normal distribution one in a thousand million lies beyond six.
const DEVIATIONS: f32 = 6.0;
const DOUBLINGS: f32 = 2.0;
const FIRST_DOUBLINGS: f32 = 3.0;
const SESSIONS: u32 = 7;
/// Sent over received payload of an upload.
const UPLOAD: u64 = 4;
const CERTAINTY: f64 = 0.8;

fn new_receiver(sample: &Sample<'_>) -> Option<Found> {
    let unusual = ready_upload(sample)?.sent_over_first_contact?;
    if !sample.context.is_new_receiver() || unusual < FIRST_DOUBLINGS {
        return None;
    }
    if sample.session.name.as_deref().and_then(services::of).is_some() {
        return None;
    }
    found(sample, "to a new receiver, far more than this host sends at first contacts")
}

fn odd_hour(sample: &Sample<'_>) -> Option<Found> {
    let Context { hour_known, hour_deviation, .. } = *ready_upload(sample)?;
    if hour_known != Some(false) || hour_deviation? < DEVIATIONS {
        return None;
    }
    found(sample, "to this receiver at a new hour of the day for this host")
}

fn beyond_baseline(sample: &Sample<'_>) -> Option<Found> {
    let context = ready_upload(sample)?;
    if context.sent_over_habit? < DOUBLINGS || context.receiver_sessions < SESSIONS {
        return None;
    }
    found(
        sample,
        "to this receiver, more than four times the host's largest earlier session with it",
    )
}

/// The context of an upload by a host whose baseline is ready.
fn ready_upload<'a>(sample: &'a Sample<'_>) -> Option<&'a Context> {
    let (sent, received) = (sample.sent.payload_bytes(), sample.received.payload_bytes());
    let upload = sent >= BYTES && sent >= received.saturating_mul(UPLOAD);
    (upload && sample.context.learning == Learning::Ready).then_some(&sample.context)
}

fn found(sample: &Sample<'_>, what: &str) -> Option<Found> {
    let text = format!("sent {} {what}", units::bytes(sample.sent.payload_bytes()));
    Some(Found { certainty: CERTAINTY, technique: Technique::BulkUpload, text })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::features::example;
    use crate::flow::{SessionKey, Side, Volume};

    #[test]
    fn anomalies_need_a_ready_baseline_and_an_upload() {
        let new = Context {
            learning: Learning::Ready,
            receiver_known_days: Some(0.0),
            hour_deviation: Some(15.0),
            sent_over_first_contact: Some(6.0),
            receiver_sessions: 9,
            ..Context::default()
        };
        let known = Context { receiver_known_days: Some(20.0), ..new };
        let odd = Context { hour_known: Some(false), ..known };
        let grown = Context { sent_over_habit: Some(3.3), hour_known: Some(true), ..known };
        let check = |context: Context, sent, name: Option<&str>, expected: &[&str]| {
            let mut session = example::session(SessionKey::default());
            session.name = name.map(Into::into);
            session.up = Volume { seen_payload_bytes: sent, ..Volume::default() };
            let sample = Sample::new(&session, Side::Client, 0).with_context(context);
            let found: Vec<&str> = RULES
                .iter()
                .filter(|rule| (rule.find)(&sample).is_some())
                .map(|rule| rule.name)
                .collect();
            assert_eq!(found, expected, "{context:?}");
        };
        check(new, 5 << 20, None, &["new_receiver"]);
        check(new, 1 << 10, None, &[]);
        check(new, 5 << 20, Some("bucket.s3.amazonaws.com"), &[]);
        check(Context { learning: Learning::DaysLeft(1), ..new }, 5 << 20, None, &[]);
        check(Context { sent_over_first_contact: Some(1.0), ..new }, 5 << 20, None, &[]);
        check(known, 5 << 20, None, &[]);
        check(odd, 5 << 20, None, &["odd_hour"]);
        check(grown, 5 << 20, None, &["beyond_baseline"]);
    }
}
