//! What messages say, by kind of channel. Pure: the same alert gives the same message.
//!
//! Names in alerts come from the wire: they are text everywhere, never markup, a header or a line of
//! their own.

mod markup;
mod words;

use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use super::sms_text;
use crate::config::notify::Channel;
use crate::store::alerts::AlertRow;
use crate::store::outbox::ToldAlert;
use crate::units;
use crate::verdict::Severity;

/// What there is to say.
#[derive(Clone, Copy, Debug)]
pub(super) enum Notice<'a> {
    /// At least one alert.
    Alerts(&'a [ToldAlert]),
    /// Somebody wants to know whether the channel works.
    Test,
}

/// A message as it is kept until it is sent: what the channel's kind needs and no more.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "snake_case")]
pub(super) enum Body {
    Email {
        text: String,
        html: String,
    },
    Sms {
        text: String,
    },
    /// JSON as it is signed.
    Webhook {
        json: String,
    },
    Slack {
        text: String,
    },
    Syslog {
        severity: u8,
        id: String,
        elements: String,
        text: String,
    },
}

impl Body {
    /// As the outbox keeps it.
    pub(super) fn text(&self) -> String {
        // Texts under fixed names: it cannot fail.
        serde_json::to_string(self).unwrap_or_default()
    }
}

/// A message for one recipient.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Message {
    pub(super) subject: String,
    pub(super) body: Body,
}

/// Alerts that one message lists; the rest is a number and a link.
const LISTED: usize = 50;
const SUBJECT_LETTERS: usize = 150;

/// The messages that say it over this channel: one, but for SMS that are split.
pub(super) fn compose(channel: &Channel, notice: Notice<'_>, base_url: &str) -> Vec<Message> {
    let subject = subject(notice);
    let base_url = base_url.trim_end_matches('/');
    let body = match channel {
        Channel::Email(_) => Body::Email {
            text: words::text(notice, base_url),
            html: markup::html(notice, base_url),
        },
        Channel::Sms(sms) => {
            let parts = sms_text::parts(&subject, &link(notice, base_url), sms.max_parts.into());
            let body = |text| Body::Sms { text };
            return parts
                .into_iter()
                .map(|part| Message { subject: subject.clone(), body: body(part) })
                .collect();
        }
        Channel::Webhook(_) => Body::Webhook { json: json(notice, base_url).to_string() },
        Channel::Slack(_) => Body::Slack { text: markup::slack(notice, base_url) },
        Channel::Syslog(_) => words::syslog(notice, base_url),
    };
    vec![Message { subject, body }]
}

/// One line: `[high] 10.0.0.7 sent 48 MB in 40 s to 192.0.2.1`.
pub(super) fn subject(notice: Notice<'_>) -> String {
    let text = match notice {
        Notice::Test => "detector: test message".to_owned(),
        Notice::Alerts([alert]) => format!("[{}] {}", alert.row.severity, alert.row.headline),
        Notice::Alerts(alerts) => {
            let headline = alerts.first().map_or("", |alert| &alert.row.headline);
            format!("[{}] {} alerts: {headline}", worst(alerts).name(), alerts.len())
        }
    };
    shortened(&words::plain(&text), SUBJECT_LETTERS)
}

fn worst(alerts: &[ToldAlert]) -> Severity {
    let severities = alerts.iter().filter_map(|alert| {
        Severity::ALL.into_iter().find(|severity| severity.name() == alert.row.severity)
    });
    severities.max().unwrap_or(Severity::Low)
}

fn shortened(text: &str, letters: usize) -> String {
    match text.char_indices().nth(letters) {
        Some((end, _)) => format!("{}…", &text[..end]),
        None => text.to_owned(),
    }
}

/// Where to read on: the alert, or the list of them.
fn link(notice: Notice<'_>, base_url: &str) -> String {
    match notice {
        Notice::Test => base_url.to_owned(),
        Notice::Alerts([alert]) => alert_link(alert, base_url),
        Notice::Alerts(_) => format!("{base_url}/alerts"),
    }
}

fn alert_link(alert: &ToldAlert, base_url: &str) -> String {
    format!("{base_url}/alerts/{}", alert.row.id)
}

/// `192.0.2.1:443`, `[2001:db8::1]:443`, or the address alone.
fn endpoint(address: &str, port: Option<u16>) -> String {
    match port {
        Some(port) if address.contains(':') => format!("[{address}]:{port}"),
        Some(port) => format!("{address}:{port}"),
        None => address.to_owned(),
    }
}

/// `192.0.2.1:443 (drop.example)`.
fn receiver(row: &AlertRow) -> String {
    let end = endpoint(&row.dst, row.dst_port);
    match row.domain.as_ref().or(row.dst_name.as_ref()) {
        Some(name) => format!("{end} ({name})"),
        None => end,
    }
}

/// `48 MB, 16 kB of it before the alert, 1.2 MB before the block`.
fn leaked(row: &AlertRow) -> String {
    let mut text = units::bytes(row.bytes_out);
    if row.bytes_leaked < row.bytes_out {
        text.push_str(&format!(", {} of it before the alert", units::bytes(row.bytes_leaked)));
    }
    if let Some(bytes) = row.bytes_leaked_before_block {
        text.push_str(&format!(", {} before the block", units::bytes(bytes)));
    }
    text
}

/// The alert's facts as a label and a value each.
fn facts(alert: &ToldAlert) -> Vec<(&'static str, String)> {
    let row = &alert.row;
    let action = match &row.action_note {
        Some(note) => format!("{}: {note}", row.action),
        None => row.action.clone(),
    };
    let mut facts = vec![
        ("Severity", format!("{} (score {:.2})", row.severity, row.score)),
        ("From", endpoint(&row.src, row.src_port)),
        ("To", receiver(row)),
        ("Protocol", row.protocol.clone()),
        ("Technique", format!("{} ({})", row.technique_name, row.attack_id)),
        ("Sent", leaked(row)),
        ("Action", action),
        ("Time", row.time.clone()),
    ];
    if row.origin != "live" {
        facts.push(("Found in", format!("a {}", row.origin)));
    }
    facts
}

/// The reasons that say something: not the forest's mean and the sum of the rest.
fn reasons(alert: &ToldAlert) -> impl Iterator<Item = &str> {
    let telling = alert
        .reasons
        .iter()
        .filter(|reason| reason.feature != "bias" && reason.feature != "others");
    telling.map(|reason| reason.text.as_str())
}

/// What a webhook receives: names are those of the API.
fn json(notice: Notice<'_>, base_url: &str) -> Value {
    match notice {
        Notice::Test => json!({ "type": "test", "text": subject(notice), "link": base_url }),
        Notice::Alerts([alert]) => alert_json(alert, base_url),
        Notice::Alerts(alerts) => {
            let listed = alerts.iter().take(LISTED).map(|alert| alert_json(alert, base_url));
            json!({
                "type": "digest",
                "severity": worst(alerts).name(),
                "count": alerts.len(),
                "alerts": listed.collect::<Vec<_>>(),
                "link": link(notice, base_url),
            })
        }
    }
}

fn alert_json(alert: &ToldAlert, base_url: &str) -> Value {
    let mut json = json!(alert.row);
    json["type"] = "alert".into();
    json["link"] = alert_link(alert, base_url).into();
    json["reasons"] = json!(alert.reasons);
    json
}

#[cfg(test)]
mod tests;
