//! What messages say, by kind of channel. Pure: the same alert gives the same message.
//!
//! Names in alerts come from the wire: they are text everywhere, never markup, a header or a line of
//! their own.

mod markup;
mod words;

use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use super::sms_text;
use crate::alerts::facts::in_message;
use crate::alerts::{Origin, StoredAlert};
use crate::config::notify::Channel;
use crate::verdict::Severity;

/// What there is to say.
#[derive(Clone, Copy, Debug)]
pub(super) enum Notice<'a> {
    /// At least one alert.
    Alerts(&'a [StoredAlert]),
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

/// The messages that say it over this channel: one, but for SMS that are split, and for programs, which
/// get an event for each alert.
pub(super) fn compose(channel: &Channel, notice: Notice<'_>, base_url: &str) -> Vec<Message> {
    if channel.is_for_programs()
        && let Notice::Alerts(alerts) = notice
        && alerts.len() > 1
    {
        let each = alerts.chunks(1).map(Notice::Alerts);
        return each.flat_map(|one| compose(channel, one, base_url)).collect();
    }
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
        Channel::Syslog(syslog) => words::syslog(notice, base_url, syslog.enterprise_number),
    };
    vec![Message { subject, body }]
}

/// One line: `[high] 10.0.0.7 sent 48 MB in 40 s to 192.0.2.1`.
pub(super) fn subject(notice: Notice<'_>) -> String {
    let text = match notice {
        Notice::Test => "detector: test message".to_owned(),
        Notice::Alerts([stored]) => {
            format!("[{}] {}", stored.alert.severity.name(), stored.headline)
        }
        Notice::Alerts(alerts) => {
            let headline = alerts.first().map_or("", |stored| &stored.headline);
            format!("[{}] {} alerts: {headline}", worst(alerts).name(), alerts.len())
        }
    };
    shortened(&words::plain(&text), SUBJECT_LETTERS)
}

fn worst(alerts: &[StoredAlert]) -> Severity {
    alerts.iter().map(|stored| stored.alert.severity).max().unwrap_or(Severity::Low)
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

fn alert_link(stored: &StoredAlert, base_url: &str) -> String {
    format!("{base_url}/alerts/{}", stored.alert.id)
}

/// The alert's facts as a label and a value each.
fn facts(stored: &StoredAlert) -> Vec<(&'static str, String)> {
    let mut facts: Vec<_> = in_message(&stored.alert).collect();
    if stored.origin != Origin::Live {
        facts.push(("Found in", format!("a {}", stored.origin.name())));
    }
    facts
}

/// The reasons that say something, a rule with its weight: not the sum of the rest.
fn reasons(stored: &StoredAlert) -> impl Iterator<Item = String> {
    let reasons = stored.alert.reasons.iter();
    let telling = reasons.filter(|reason| reason.feature != "others");
    telling.map(|reason| {
        let weight =
            if reason.is_rule() { format!(" ({})", reason.weight()) } else { String::new() };
        format!("{}{weight}", reason.text)
    })
}

/// What a webhook receives: names are those of the API.
fn json(notice: Notice<'_>, base_url: &str) -> Value {
    match notice {
        Notice::Test => json!({ "type": "test", "text": subject(notice), "link": base_url }),
        Notice::Alerts(alerts) => {
            alerts.first().map_or(Value::Null, |alert| alert_json(alert, base_url))
        }
    }
}

fn alert_json(stored: &StoredAlert, base_url: &str) -> Value {
    let mut json = json!(stored);
    json["type"] = "alert".into();
    json["link"] = alert_link(stored, base_url).into();
    json
}

#[cfg(test)]
mod tests;
