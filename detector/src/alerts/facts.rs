//! What an alert says, fact by fact, in words: one list for the terminal, for `detector alerts show` and
//! for messages. The JSON of an alert has the values. Names from the wire are as they came: whoever
//! writes a text makes it harmless.

use crate::units;
use crate::verdict::alert::protocol_name;
use crate::verdict::{ActionTaken, Alert, End};

/// A fact of an alert: its name, and its text where the alert has it.
struct Fact {
    name: &'static str,
    place: Place,
    text: fn(&Alert) -> Option<String>,
}

/// Where a fact is shown; each place has those of the places before it, but for the terminal.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Place {
    /// In the columns of the terminal's row.
    Row,
    /// On the line below that row.
    BelowRow,
    /// In messages to people.
    Message,
    /// In the full list.
    Full,
}

use Place::{BelowRow, Full, Message, Row};

const FACTS: [Fact; 20] = [
    Fact { name: "Alert", place: BelowRow, text: |alert| Some(id(alert)) },
    Fact { name: "Severity", place: Row, text: |alert| Some(severity(alert)) },
    Fact { name: "Technique", place: Row, text: |alert| Some(technique(alert)) },
    Fact { name: "From", place: Row, text: |alert| Some(alert.src.with_port(alert.src_port)) },
    Fact { name: "To", place: Row, text: |alert| Some(receiver(alert)) },
    Fact {
        name: "Domain",
        place: Message,
        text: |alert| alert.domain.as_deref().map(str::to_owned),
    },
    Fact { name: "Protocol", place: Row, text: |alert| Some(protocol_name(alert.protocol)) },
    Fact { name: "Opened by", place: Full, text: |alert| Some(opened_by(alert).to_owned()) },
    Fact {
        name: "Sent",
        place: Row,
        text: |alert| Some(volume(alert.bytes_out, alert.packets_out)),
    },
    Fact {
        name: "Received",
        place: Row,
        text: |alert| Some(volume(alert.bytes_in, alert.packets_in)),
    },
    Fact { name: "Leaked", place: BelowRow, text: |alert| Some(leaked(alert)) },
    Fact {
        name: "Unexplained",
        place: Message,
        text: |alert| match alert.unexplained_bytes {
            0 => None,
            bytes => Some(units::bytes(bytes)),
        },
    },
    Fact { name: "Detected", place: BelowRow, text: detected },
    Fact { name: "Blocked", place: BelowRow, text: blocked },
    Fact { name: "Action", place: BelowRow, text: |alert| Some(action(alert)) },
    Fact { name: "First seen", place: Full, text: |alert| Some(alert.first_seen.to_string()) },
    Fact { name: "Time", place: Row, text: |alert| Some(alert.time.to_string()) },
    Fact {
        name: "Sensor",
        place: Message,
        text: |alert| alert.sensor.as_deref().map(str::to_owned),
    },
    Fact { name: "Community ID", place: Full, text: |alert| filled(&alert.community_id) },
    Fact { name: "JA4", place: Full, text: |alert| alert.ja4.as_deref().map(str::to_owned) },
];

/// What an alert says also where it is about no traffic.
const OF_EVERY_ALERT: [&str; 6] =
    ["Alert", "Severity", "Technique", "First seen", "Time", "Sensor"];

/// All of them.
pub fn all(alert: &Alert) -> impl Iterator<Item = (&'static str, String)> {
    of(alert, |_| true)
}

/// Those that a message has.
pub fn in_message(alert: &Alert) -> impl Iterator<Item = (&'static str, String)> {
    of(alert, |place| place <= Message)
}

/// Those that the terminal's row has no column for.
pub fn below_row(alert: &Alert) -> impl Iterator<Item = (&'static str, String)> {
    of(alert, |place| place == BelowRow)
}

/// An alert about the monitor has no traffic, and none of its facts.
fn of(alert: &Alert, wanted: fn(Place) -> bool) -> impl Iterator<Item = (&'static str, String)> {
    let traffic = alert.monitor_event.is_none();
    let facts = FACTS.iter().filter(move |fact| wanted(fact.place));
    let facts = facts.filter(move |fact| traffic || OF_EVERY_ALERT.contains(&fact.name));
    facts.filter_map(|fact| Some((fact.name, (fact.text)(alert)?)))
}

fn id(alert: &Alert) -> String {
    match alert.revision {
        0 | 1 => alert.id.to_string(),
        revision => format!("{}, revision {revision}", alert.id),
    }
}

fn severity(alert: &Alert) -> String {
    format!(
        "{} (score {:.2}, threshold {:.2})",
        alert.severity.name(),
        alert.score,
        alert.threshold
    )
}

fn technique(alert: &Alert) -> String {
    format!("{} ({})", alert.technique.title(), alert.technique.attack_id())
}

/// `192.0.2.1:443 (drop.example)`.
fn receiver(alert: &Alert) -> String {
    let mut end = alert.dst.with_port(alert.dst_port);
    if let Some(name) = &alert.dst_name {
        end.push_str(&format!(" ({name})"));
    }
    if alert.receivers > 1 {
        let others = units::counted(u64::from(alert.receivers) - 1, "other");
        end.push_str(&format!(" and {others}"));
    }
    end
}

fn opened_by(alert: &Alert) -> &'static str {
    match alert.initiator {
        End::Src => "the sender",
        End::Dst => "the receiver",
    }
}

/// `48 MB in 32,000 packets`; a log may not say how many.
fn volume(bytes: u64, packets: u64) -> String {
    match packets {
        0 => units::bytes(bytes),
        packets => format!("{} in {}", units::bytes(bytes), units::counted(packets, "packet")),
    }
}

fn leaked(alert: &Alert) -> String {
    let mut text = format!("{} before the alert", units::bytes(alert.bytes_leaked));
    if let Some(bytes) = alert.bytes_leaked_before_block {
        text.push_str(&format!(", {} before the block", units::bytes(bytes)));
    }
    if alert.bytes_stopped != 0 {
        text.push_str(&format!("; {} stopped", units::bytes(alert.bytes_stopped)));
    }
    text
}

/// A record of a log does not say how long it took.
fn detected(alert: &Alert) -> Option<String> {
    let timed = alert.packets_out != 0;
    timed.then(|| format!("{} into the session", units::seconds(alert.seconds_to_detect)))
}

fn blocked(alert: &Alert) -> Option<String> {
    let seconds = alert.blocked_at?.seconds_since(alert.first_seen);
    Some(format!("{} into the session", units::seconds(seconds)))
}

fn action(alert: &Alert) -> String {
    let action = match alert.action {
        ActionTaken::None => "none",
        ActionTaken::Simulated => "would be blocked (mode simulate)",
        ActionTaken::Blocked => "blocked",
        ActionTaken::Policed => "limited to a rate",
        ActionTaken::Marked => "marked",
        ActionTaken::Refused => "not blocked",
        ActionTaken::Failed => "not blocked, the kernel did not take the block",
    };
    let mut text = action.to_owned();
    if let Some(note) = &alert.action_note {
        text.push_str(&format!(": {note}"));
    }
    if let Some(ended) = alert.block_ended {
        text.push_str(&format!("; the block ended at {ended}"));
    }
    text
}

fn filled(text: &str) -> Option<String> {
    (!text.is_empty()).then(|| text.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::verdict::alert::example::alert;

    fn check(facts: impl Iterator<Item = (&'static str, String)>, expected: &[(&str, &str)]) {
        let facts: Vec<_> = facts.collect();
        let facts: Vec<(&str, &str)> = facts.iter().map(|(name, text)| (*name, &**text)).collect();
        assert_eq!(facts, expected);
    }

    #[test]
    fn the_full_list_has_every_fact() {
        let full = Alert {
            domain: Some("drop.example".into()),
            ja4: Some("t13d1516h2_8daaf6152771_b186095e22b6".into()),
            bytes_leaked_before_block: Some(1_200_000),
            action: ActionTaken::Blocked,
            action_note: Some("pair 10.0.0.7 2001:db8::1".to_owned()),
            bytes_stopped: 2_000_000,
            blocked_at: Some(alert().time),
            block_ended: Some(alert().time),
            ..alert()
        };
        check(
            all(&full),
            &[
                ("Alert", "00000000000000ab, revision 2"),
                ("Severity", "high (score 0.88, threshold 0.50)"),
                ("Technique", "bulk upload (T1048)"),
                ("From", "10.0.0.7:40000"),
                ("To", "[2001:db8::1]:443 (drop.example)"),
                ("Domain", "drop.example"),
                ("Protocol", "tcp"),
                ("Opened by", "the sender"),
                ("Sent", "48 MB in 32000 packets"),
                ("Received", "300 kB in 6000 packets"),
                ("Leaked", "16 kB before the alert, 1.2 MB before the block; 2.0 MB stopped"),
                ("Detected", "40 s into the session"),
                ("Blocked", "40 s into the session"),
                (
                    "Action",
                    "blocked: pair 10.0.0.7 2001:db8::1; the block ended at \
                     2023-09-08T15:11:52.610000Z",
                ),
                ("First seen", "2023-09-08T15:11:12.610000Z"),
                ("Time", "2023-09-08T15:11:52.610000Z"),
                ("Sensor", "gateway-1"),
                ("Community ID", "1:abc="),
                ("JA4", "t13d1516h2_8daaf6152771_b186095e22b6"),
            ],
        );
    }

    #[test]
    fn what_an_alert_does_not_have_is_left_out() {
        let record = Alert {
            packets_out: 0,
            packets_in: 0,
            revision: 1,
            sensor: None,
            community_id: String::new(),
            ..alert()
        };
        let facts: Vec<_> = all(&record).collect();
        for name in ["Domain", "Detected", "Sensor", "Community ID", "JA4"] {
            assert!(facts.iter().all(|(known, _)| *known != name), "{name}: {facts:?}");
        }
        assert!(facts.contains(&("Sent", "48 MB".to_owned())), "{facts:?}");
        check(
            below_row(&record),
            &[
                ("Alert", "00000000000000ab"),
                ("Leaked", "16 kB before the alert"),
                ("Action", "none"),
            ],
        );
    }

    #[test]
    fn an_alert_about_the_monitor_says_nothing_of_traffic() {
        let event = Alert { monitor_event: Some("nc went past".into()), ..alert() };
        let names: Vec<&str> = all(&event).map(|(name, _)| name).collect();
        assert_eq!(names, OF_EVERY_ALERT);
    }

    #[test]
    fn a_message_has_what_the_terminal_shows_and_who_saw_it() {
        let names: Vec<&str> = in_message(&alert()).map(|(name, _)| name).collect();
        assert!(below_row(&alert()).all(|(name, _)| names.contains(&name)), "{names:?}");
        assert!(names.contains(&"Sensor") && !names.contains(&"JA4"), "{names:?}");
    }
}
