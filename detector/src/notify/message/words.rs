//! Plain text: mail's first form, and lines for syslog.

use super::{Body, LISTED, Notice, alert_link, facts, link, reasons, subject, worst};
use crate::alerts::StoredAlert;
use crate::verdict::Severity;
use crate::verdict::alert::protocol_name;

/// RFC 5424's name for what is no error.
const SYSLOG_NOTICE: u8 = 5;

/// Text on one line: no control characters, and none that turn the reading direction.
pub(super) fn plain(text: &str) -> String {
    let acts = |letter: char| {
        letter.is_control()
            || matches!(letter, '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}' | '\u{2028}' | '\u{2029}')
    };
    text.chars().map(|letter| if acts(letter) { '\u{fffd}' } else { letter }).collect()
}

pub(super) fn text(notice: Notice<'_>, base_url: &str) -> String {
    match notice {
        Notice::Test => {
            format!("This is a test message of the detector: this channel works.\n\n{base_url}\n")
        }
        Notice::Alerts([alert]) => one(alert, base_url),
        Notice::Alerts(alerts) => several(alerts, notice, base_url),
    }
}

fn one(stored: &StoredAlert, base_url: &str) -> String {
    let mut text = format!("{}\n\n", plain(&stored.headline));
    for (label, value) in facts(stored) {
        text.push_str(&format!("{label:<10} {}\n", plain(&value)));
    }
    text.push_str("\nWhy:\n");
    for reason in reasons(stored) {
        text.push_str(&format!("- {}\n", plain(&reason)));
    }
    text.push_str(&format!("\n{}\n", alert_link(stored, base_url)));
    text
}

fn several(alerts: &[StoredAlert], notice: Notice<'_>, base_url: &str) -> String {
    let mut text = format!("{} alerts\n", alerts.len());
    for stored in alerts.iter().take(LISTED) {
        let (severity, headline) = (stored.alert.severity.name(), plain(&stored.headline));
        text.push_str(&format!("\n[{severity}] {headline}\n{}\n", alert_link(stored, base_url)));
    }
    if let Some(more) = alerts.len().checked_sub(LISTED).filter(|more| *more > 0) {
        text.push_str(&format!("\nand {more} more\n"));
    }
    text.push_str(&format!("\nAll of them: {}\n", link(notice, base_url)));
    text
}

/// One alert as an event; `enterprise` is the number behind the name of its structured data.
pub(super) fn syslog(notice: Notice<'_>, base_url: &str, enterprise: u32) -> Body {
    let text = format!("{} {}", subject(notice), link(notice, base_url));
    match notice {
        Notice::Test => {
            Body::Syslog { severity: SYSLOG_NOTICE, id: "test".into(), elements: "-".into(), text }
        }
        Notice::Alerts(alerts) => Body::Syslog {
            severity: syslog_severity(worst(alerts)),
            id: "alert".into(),
            elements: alerts.first().map_or("-".into(), |alert| elements(alert, enterprise)),
            text,
        },
    }
}

/// Notice, warning, error and critical (RFC 5424, section 6.2.1).
fn syslog_severity(severity: Severity) -> u8 {
    SYSLOG_NOTICE - severity.rank()
}

/// Structured data (RFC 5424, section 6.3): the alert's fields.
fn elements(stored: &StoredAlert, enterprise: u32) -> String {
    let alert = &stored.alert;
    let dst_name = alert.domain.as_deref().or(alert.dst_name.as_deref());
    let fields = [
        ("id", Some(alert.id.to_string())),
        ("severity", Some(alert.severity.name().to_owned())),
        ("technique", Some(alert.technique.name().to_owned())),
        ("src", Some(alert.src.to_string())),
        ("src_port", alert.src_port.map(|port| port.to_string())),
        ("dst", Some(alert.dst.to_string())),
        ("dst_port", alert.dst_port.map(|port| port.to_string())),
        ("dst_name", dst_name.map(str::to_owned)),
        ("protocol", Some(protocol_name(alert.protocol))),
        ("score", Some(format!("{:.4}", alert.score))),
        ("revision", Some(alert.revision.to_string())),
        ("bytes_out", Some(alert.bytes_out.to_string())),
        ("bytes_stopped", Some(alert.bytes_stopped.to_string())),
        ("bytes_leaked_before_block", alert.bytes_leaked_before_block.map(|it| it.to_string())),
        ("action", Some(alert.action.name().to_owned())),
        ("origin", Some(stored.origin.name().to_owned())),
    ];
    let fields = fields.into_iter().filter_map(|(name, value)| Some((name, value?)));
    let fields: String =
        fields.map(|(name, value)| format!(" {name}=\"{}\"", escaped(&plain(&value)))).collect();
    format!("[alert@{enterprise}{fields}]")
}

/// Section 6.3.3.
fn escaped(value: &str) -> String {
    value.replace('\\', "\\\\").replace('"', "\\\"").replace(']', "\\]")
}
