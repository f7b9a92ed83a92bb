//! Why: the columns that moved the score most, with their values in words.
//!
//! The rules stand first, the surest before the others: its certainty is a rule's weight. The columns
//! follow. Their contributions, `others` among them, and the model's bias sum to the forest's score; the
//! bias is the same for every session and no reason.

use std::cmp::Ordering;

use crate::features::{COLUMNS, Column, Sample};
use crate::model::ServedModel;
use crate::units;

use super::reason::{RULE_PREFIX, Reason};
use super::rules::{Found, Rule};

/// Columns that are listed.
const TOLD: usize = 5;

/// The reasons of the score of `row`, the strongest first.
#[must_use]
pub fn explain(
    model: &ServedModel,
    row: &[f32],
    sample: &Sample<'_>,
    found: &[(&Rule, Found)],
) -> Vec<Reason> {
    let mut contributions = vec![0.0; row.len()];
    model.contributions(row, &mut contributions);
    let mut order: Vec<usize> = (0..row.len()).collect();
    order.sort_by(|a, b| contributions[*b].total_cmp(&contributions[*a]).then(a.cmp(b)));
    order.retain(|column| contributions[*column] != 0.0);
    let (told, others) = order.split_at(order.len().min(TOLD));
    let mut reasons: Vec<Reason> = found.iter().map(|(rule, found)| of_rule(rule, found)).collect();
    reasons.sort_by(|a, b| b.value.partial_cmp(&a.value).unwrap_or(Ordering::Equal));
    reasons.extend(told.iter().map(|column| Reason {
        feature: COLUMNS[*column].name.into(),
        value: Some(row[*column]),
        contribution: contributions[*column],
        text: format!(
            "{}{}",
            words(&COLUMNS[*column], row[*column], sample),
            ordinary(&COLUMNS[*column], model.ordinary(COLUMNS[*column].name))
        ),
    }));
    if !others.is_empty() {
        let contribution = others.iter().map(|column| contributions[*column]).sum();
        let text = format!("sum of {} other columns", others.len());
        reasons.push(Reason { feature: "others".into(), value: None, contribution, text });
    }
    reasons
}

fn of_rule(rule: &Rule, found: &Found) -> Reason {
    Reason {
        feature: format!("{RULE_PREFIX}{}", rule.name).into(),
        value: Some(found.certainty as f32),
        contribution: 0.0,
        text: found.text.clone(),
    }
}

/// A column's value as a sentence a person can check.
fn words(column: &Column, value: f32, sample: &Sample<'_>) -> String {
    match column.name {
        "producer_consumer_ratio" => volumes(sample),
        "sent_payload" => format!("sent {} of payload", units::bytes(from_log2(value))),
        "received_payload" => format!("received {} of payload", units::bytes(from_log2(value))),
        "sent_rate" => format!("sent {} a second", units::bytes(from_log2(value))),
        "duration" => format!("over {}", units::seconds(from_log2_exact(value))),
        "sender_opened" if value == 1.0 => "the sender opened the session".to_owned(),
        "sender_opened" => "the receiver opened the session".to_owned(),
        "receiver_named" if value == 1.0 => "the receiver has a name".to_owned(),
        "receiver_named" => "the receiver has no known name".to_owned(),
        "protocol" => {
            format!("protocol {}", super::alert::protocol_name(sample.session.key.protocol))
        }
        "service" => format!("server port {}", sample.session.key.server_port),
        _ => plain(column, value),
    }
}

/// `sent 48 MB, received 0.3 MB: 160 to 1`.
fn volumes(sample: &Sample<'_>) -> String {
    let (sent, received) = (sample.sent.payload_bytes(), sample.received.payload_bytes());
    let text = format!("sent {}, received {}", units::bytes(sent), units::bytes(received));
    match (sent, received) {
        (_, 0) | (0, _) => text,
        (sent, received) if sent >= received => format!("{text}: {} to 1", rounded(sent, received)),
        (sent, received) => format!("{text}: 1 to {}", rounded(received, sent)),
    }
}

fn rounded(larger: u64, smaller: u64) -> String {
    let ratio = larger as f64 / smaller as f64;
    if ratio < 9.95 { format!("{ratio:.1}") } else { format!("{ratio:.0}") }
}

fn plain(column: &Column, value: f32) -> String {
    match amount(column, value) {
        Some(amount) => format!("{}: {amount}", column.meaning),
        None => format!("{}: none", column.meaning),
    }
}

/// A value with its unit; none where the column does not apply.
fn amount(column: &Column, value: f32) -> Option<String> {
    let name = column.unit.split(", ").next().unwrap_or_default();
    if value < 0.0 && !name.starts_with("-1") {
        return None;
    }
    Some(match name {
        "log2(1 + bytes)" => units::bytes(from_log2(value)),
        "log2(1 + bytes/s)" => format!("{} a second", units::bytes(from_log2(value))),
        "log2(1 + 10 ms)" => units::seconds(from_log2_exact(value) / 100.0),
        "log2(1 + seconds)" => units::seconds(from_log2_exact(value)),
        unit if unit.starts_with("log2") => units::count(from_log2(value)),
        "0 to 1" => format!("{:.0} %", value * 100.0),
        "0 or 1" | "class" => format!("{value:.0}"),
        "-1 to 1" => format!("{value:.2}"),
        "bytes" => format!("{value:.0} bytes"),
        unit => format!("{value:.1} {unit}"),
    })
}

/// What ordinary looks like: where nine of ten ordinary rows lie.
fn ordinary(column: &Column, range: Option<(f32, f32)>) -> String {
    let is_class = column.unit.starts_with("class") || column.unit.starts_with("0 or 1");
    let amounts =
        range.filter(|_| !is_class).map(|(low, high)| (amount(column, low), amount(column, high)));
    match amounts {
        Some((Some(low), Some(high))) => format!(" (ordinary: {low} to {high})"),
        Some((None, Some(high))) => format!(" (ordinary: none, or up to {high})"),
        _ => String::new(),
    }
}

fn from_log2(value: f32) -> u64 {
    from_log2_exact(value).round() as u64
}

fn from_log2_exact(value: f32) -> f64 {
    f64::from(value).exp2() - 1.0
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::features::example::session;
    use crate::features::index_of;
    use crate::flow::{SessionKey, Side, Volume};

    fn check(name: &str, value: f32, expected: &str) {
        let mut session =
            session(SessionKey { protocol: 6, server_port: 443, ..SessionKey::default() });
        session.up = Volume { seen_payload_bytes: 48_000_000, ..Volume::default() };
        session.down = Volume { seen_payload_bytes: 300_000, ..Volume::default() };
        let column = &COLUMNS[index_of(name).unwrap()];
        assert_eq!(words(column, value, &Sample::new(&session, Side::Client, 0)), expected);
    }

    #[test]
    fn values_in_words() {
        check("producer_consumer_ratio", 0.98, "sent 48 MB, received 300 kB: 160 to 1");
        check("received_payload", 0.0, "received 0 B of payload");
        check("sent_rate", 20.0, "sent 1.0 MB a second");
        check("duration", 10.0, "over 17 min");
        check("receiver_named", 0.0, "the receiver has no known name");
        check("protocol", 1.0, "protocol tcp");
        check("service", 2.0, "server port 443");
        check("dns_distinct_share", 0.97, "share of the queries whose name is new: 97 %");
        check(
            "dns_name_entropy",
            4.31,
            "mean Shannon entropy of the subdomains: 4.3 bits per byte",
        );
        check("sent_gap_longest", 10.0, "longest gap between the sender's packets: 10 s");
        check("icmp_entropy", -1.0, "mean Shannon entropy of the ICMP payloads: none");
    }
}
