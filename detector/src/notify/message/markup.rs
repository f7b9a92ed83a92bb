//! Text with markup: mail's second form, and Slack's.

use super::words::plain;
use super::{LISTED, Notice, alert_link, facts, link, reasons};
use crate::alerts::StoredAlert;

/// Mail readers know few colours and fewer style sheets: plain elements, and styles on them.
pub(super) fn html(notice: Notice<'_>, base_url: &str) -> String {
    let inner = match notice {
        Notice::Test => format!(
            "<p>This is a test message of the detector: this channel works.</p>{}",
            anchor(base_url, base_url)
        ),
        Notice::Alerts([alert]) => one(alert, base_url),
        Notice::Alerts(alerts) => several(alerts, notice, base_url),
    };
    format!(
        "<!DOCTYPE html><html lang=\"en\"><head><meta charset=\"utf-8\"><title>detector</title>\
         </head><body style=\"font-family:sans-serif;font-size:15px\">{inner}</body></html>"
    )
}

fn one(stored: &StoredAlert, base_url: &str) -> String {
    let rows: String = facts(stored)
        .iter()
        .map(|(label, value)| {
            let value = escaped(value);
            format!("<tr><th style=\"text-align:left;padding-right:1em\">{label}</th><td>{value}</td></tr>")
        })
        .collect();
    let reasons: String =
        reasons(stored).map(|reason| format!("<li>{}</li>", escaped(&reason))).collect();
    let url = alert_link(stored, base_url);
    format!(
        "<h2 style=\"font-size:18px\">{}</h2><table>{rows}</table><p>Why:</p><ul>{reasons}</ul>{}",
        escaped(&stored.headline),
        anchor(&url, "Open the alert")
    )
}

fn several(alerts: &[StoredAlert], notice: Notice<'_>, base_url: &str) -> String {
    let items: String = alerts
        .iter()
        .take(LISTED)
        .map(|stored| {
            let severity = stored.alert.severity.name();
            let (headline, url) =
                (escaped(&stored.headline), escaped(&alert_link(stored, base_url)));
            format!("<li><b>{severity}</b> <a href=\"{url}\">{headline}</a></li>")
        })
        .collect();
    let more = match alerts.len().checked_sub(LISTED) {
        Some(more @ 1..) => format!("<p>and {more} more</p>"),
        _ => String::new(),
    };
    format!(
        "<h2 style=\"font-size:18px\">{} alerts</h2><ul>{items}</ul>{more}{}",
        alerts.len(),
        anchor(&link(notice, base_url), "All of them")
    )
}

fn anchor(url: &str, text: &str) -> String {
    format!("<p><a href=\"{}\">{}</a></p>", escaped(url), escaped(text))
}

/// For an element's text and for a value in double quotes.
fn escaped(text: &str) -> String {
    plain(text)
        .replace('&', "&amp;")
        .replace('<', "&lt;")
        .replace('>', "&gt;")
        .replace('"', "&quot;")
        .replace('\'', "&#39;")
}

/// Slack reads `<…>` as a link and escapes just these three.
fn slack_text(text: &str) -> String {
    plain(text).replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;")
}

pub(super) fn slack(notice: Notice<'_>, base_url: &str) -> String {
    let linked = |stored: &StoredAlert| {
        let (severity, headline) = (stored.alert.severity.name(), slack_text(&stored.headline));
        format!("[{severity}] {headline} <{}|open>", slack_text(&alert_link(stored, base_url)))
    };
    match notice {
        Notice::Test => slack_text(&super::subject(notice)),
        Notice::Alerts([stored]) => {
            let mut text = linked(stored);
            for reason in reasons(stored) {
                text.push_str(&format!("\n• {}", slack_text(&reason)));
            }
            text
        }
        Notice::Alerts(alerts) => {
            let mut text = format!("{} alerts", alerts.len());
            for alert in alerts.iter().take(LISTED) {
                text.push_str(&format!("\n{}", linked(alert)));
            }
            text.push_str(&format!("\n<{}|all of them>", slack_text(&link(notice, base_url))));
            text
        }
    }
}
