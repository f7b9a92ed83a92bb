//! The alert about the monitor itself: a process went past its programs, or took one of them away.
//!
//! It is about no traffic: it has no addresses, no bytes and no session, and a sentence in their stead.

use super::alert::{Alert, AlertId};
use super::reason::{RULE_PREFIX, Reason};
use super::{Severity, Technique};
use crate::timestamp::Timestamp;

/// What happened to the monitor.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MonitorEvent {
    /// What it is one of: one alert a day for each.
    pub subject: String,
    /// The latest, in one sentence.
    pub text: String,
    /// What follows from it.
    pub consequence: &'static str,
    pub first: Timestamp,
    pub latest: Timestamp,
    /// How often it happened since `first`.
    pub count: u64,
}

/// The alert about an event. Score and threshold are 1: it was seen, and not inferred.
#[must_use]
pub fn alert(event: &MonitorEvent, revision: u32) -> Alert {
    let MonitorEvent { subject, text, consequence, first, latest, count } = event;
    let mut reasons =
        vec![reason("what", text.clone()), reason("means", (*consequence).to_owned())];
    if *count > 1 {
        reasons.push(reason("count", format!("{count} times since {first}")));
    }
    Alert {
        id: AlertId::of_subject(subject, first.ns()),
        time: *latest,
        first_seen: *first,
        technique: Technique::MonitorBypass,
        severity: Severity::High,
        score: 1.0,
        threshold: 1.0,
        revision,
        monitor_event: Some(text.as_str().into()),
        reasons,
        ..Alert::default()
    }
}

fn reason(name: &str, text: String) -> Reason {
    let feature = format!("{RULE_PREFIX}{}_{name}", Technique::MonitorBypass.name()).into();
    Reason { feature, value: Some(1.0), contribution: 0.0, text }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_alert_a_subject_and_day_says_what_happened() {
        const HOUR_NS: u64 = 3_600_000_000_000;
        let event = |subject: &str, first: u64, count| MonitorEvent {
            subject: subject.to_owned(),
            text: "nc (pid 7, uid 0) went past".to_owned(),
            consequence: "its packets are not seen",
            first: Timestamp::from_ns(first),
            latest: Timestamp::from_ns(first + 5),
            count,
        };
        let once = alert(&event("nc", HOUR_NS, 1), 1);
        assert_eq!(once.headline(), "nc (pid 7, uid 0) went past");
        assert_eq!(once.reasons.len(), 2);
        assert_eq!((once.bytes_out, once.severity), (0, Severity::High));
        let again = alert(&event("nc", HOUR_NS, 3), 2);
        assert_eq!(again.id, once.id);
        assert!(again.reasons[2].text.starts_with("3 times since 1970"), "{again:?}");
        assert_ne!(alert(&event("nc", 30 * HOUR_NS, 1), 1).id, once.id, "another day");
        assert_ne!(alert(&event("dd", HOUR_NS, 1), 1).id, once.id);
    }
}
