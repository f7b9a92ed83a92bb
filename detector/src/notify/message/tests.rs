//! Messages as their readers get them.

use super::super::example::alert;
use super::*;
use crate::config::notify::Notify;
use crate::verdict::AlertId;

const BASE: &str = "https://detector.example/";

fn message(keys: &str, notice: Notice<'_>) -> Message {
    let text = format!("channels = [{{ name = \"a\", {keys} }}]");
    let notify: Notify = toml::from_str(&text).unwrap();
    compose(&notify.channels[0], notice, BASE).remove(0)
}

fn with(change: impl FnOnce(&mut StoredAlert)) -> StoredAlert {
    let mut stored = alert();
    change(&mut stored);
    stored
}

const EMAIL: &str = "kind = \"email\", host = \"h\", from = \"a@b.example\"";
const SMS: &str = "kind = \"sms\", url = \"http://h\", body = \"{to}{text}\"";
const WEBHOOK: &str = "kind = \"webhook\", url = \"http://h\"";
const SLACK: &str = "kind = \"slack\"";
const SYSLOG: &str = "kind = \"syslog\", address = \"h:514\"";

#[test]
fn mail_is_read_as_text_and_as_html() {
    let alerts = [alert()];
    let mail = message(EMAIL, Notice::Alerts(&alerts));
    assert_eq!(mail.subject, "[high] 10.0.0.7 sent 48 MB in 40 s to <b>drop</b>.example");
    let Body::Email { text, html } = mail.body else { panic!("{mail:?}") };
    let expected = "\
10.0.0.7 sent 48 MB in 40 s to <b>drop</b>.example

Alert      00000000000000ab
Severity   high (score 0.88, threshold 0.50)
Technique  bulk upload (T1048)
From       10.0.0.7:40000
To         192.0.2.1:443 (<b>drop</b>.example)
Protocol   tcp
Sent       48 MB in 32000 packets
Received   300 kB in 6000 packets
Leaked     16 kB before the alert, 1.2 MB before the block
Detected   0.0 s into the session
Action     blocked
Time       2027-01-15T08:00:00.000000Z

Why:
- sent 48 MB, received 300 kB: 160 to 1

https://detector.example/alerts/00000000000000ab
";
    assert_eq!(text, expected);
    assert!(html.contains("&lt;b&gt;drop&lt;/b&gt;.example") && !html.contains("<b>drop"));
    assert!(html.contains("href=\"https://detector.example/alerts/00000000000000ab\""));
}

#[test]
fn names_from_the_wire_stay_on_their_line() {
    let hostile = "a\r\nBcc: x\u{202e}@evil.example";
    let alerts = [with(|stored| stored.headline = hostile.into())];
    for keys in [EMAIL, SMS, SLACK, SYSLOG] {
        let Message { subject, body } = message(keys, Notice::Alerts(&alerts));
        assert!(!subject.contains(['\r', '\n', '\u{202e}']), "{subject:?}");
        let lines = match body {
            Body::Email { text, .. } => text.lines().next().unwrap_or_default().to_owned(),
            Body::Sms { text } | Body::Syslog { text, .. } => text,
            Body::Slack { text } => text.lines().next().unwrap_or_default().to_owned(),
            Body::Webhook { json } => json,
        };
        assert!(lines.contains("Bcc: x") && !lines.contains(['\r', '\n', '\u{202e}']), "{lines:?}");
    }
}

#[test]
fn a_webhook_gets_the_alert_under_the_names_of_the_api() {
    let alerts = [alert()];
    let Body::Webhook { json } = message(WEBHOOK, Notice::Alerts(&alerts)).body else { panic!() };
    let value: Value = serde_json::from_str(&json).unwrap();
    assert_eq!(value["id"], "00000000000000ab");
    assert_eq!(value["severity"], "high");
    assert_eq!(value["src"], "10.0.0.7");
    assert_eq!(value["time"], "2027-01-15T08:00:00.000000Z");
    assert_eq!(value["reasons"][0]["text"], "sent 48 MB, received 300 kB: 160 to 1");
}

#[test]
fn syslog_has_its_fields_escaped() {
    let alerts = [with(|stored| {
        stored.alert.dst_name = Some("a\"]\\b".into());
        stored.alert.severity = Severity::Critical;
    })];
    let message = message(SYSLOG, Notice::Alerts(&alerts));
    let Body::Syslog { severity, id, elements, text } = message.body else { panic!() };
    assert_eq!((severity, &*id), (2, "alert"));
    assert!(elements.starts_with("[alert@0 id=\"00000000000000ab\" severity=\"critical\""));
    assert!(elements.contains(r#" dst_name="a\"\]\\b" "#), "{elements}");
    assert!(text.ends_with("/alerts/00000000000000ab"), "{text}");
}

#[test]
fn several_alerts_are_one_message() {
    let alerts: Vec<StoredAlert> = (0..60).map(|_| alert()).collect();
    let mail = message(EMAIL, Notice::Alerts(&alerts));
    assert!(mail.subject.starts_with("[high] 60 alerts: 10.0.0.7 sent"), "{}", mail.subject);
    let Body::Email { text, html } = mail.body else { panic!() };
    assert!(text.contains("and 10 more") && html.contains("and 10 more"));
    assert_eq!(text.matches("[high]").count(), 50);
    let Body::Sms { text } = message(SMS, Notice::Alerts(&alerts)).body else { panic!() };
    assert!(text.ends_with("https://detector.example/alerts"), "{text}");
}

/// A program gets an event for each alert, also where people get one message about all of them.
#[test]
fn programs_get_an_event_for_each_alert() {
    let own = format!("{SYSLOG}, enterprise_number = 424242");
    for (keys, expected) in [
        (WEBHOOK, "\"id\":\"000000000000003b\""),
        (SYSLOG, "[alert@0 id=\"000000000000003b\""),
        (&own, "[alert@424242 id=\"000000000000003b\""),
    ] {
        let number = |number| with(|stored| stored.alert.id = AlertId::live(number));
        let alerts: Vec<StoredAlert> = (0..60).map(number).collect();
        let text = format!("channels = [{{ name = \"a\", {keys} }}]");
        let notify: Notify = toml::from_str(&text).unwrap();
        let messages = compose(&notify.channels[0], Notice::Alerts(&alerts), BASE);
        let bodies: Vec<String> = messages.iter().map(|message| message.body.text()).collect();
        assert_eq!(bodies.len(), 60, "{keys}");
        let last = bodies[59].replace('\\', "");
        assert!(last.contains(expected), "{last}");
    }
}

#[test]
fn a_long_headline_leaves_a_subject_that_is_read() {
    let alerts = [with(|stored| stored.headline = "ü".repeat(400))];
    let subject = message(EMAIL, Notice::Alerts(&alerts)).subject;
    assert_eq!(subject.chars().count(), SUBJECT_LETTERS + 1);
}
