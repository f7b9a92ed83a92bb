//! The verdict on a record of a log: a score, its reasons, and an alert where it is one.
//!
//! A record is scored by itself: nothing before or after it counts.

use std::sync::Arc;

use detector_common::parse::protocol;

use super::{Alert, AlertId, Basis, Reason, Severity, Technique};
use crate::features::record::Protocol;
use crate::features::{Kind, RECORD_COLUMNS, Record, record_vector};
use crate::model::{Model, ServedModel};
use crate::timestamp::Timestamp;
use crate::units;

/// Sent over received beyond which a record is an upload.
const UPLOAD_RATIO: u64 = 3;

/// The columns that moved the score, the strongest first.
#[must_use]
pub fn reasons(model: &ServedModel, record: &Record, row: &[f32]) -> Vec<Reason> {
    let mut contributions = vec![0.0; row.len()];
    model.contributions(row, &mut contributions);
    let mut reasons: Vec<Reason> = RECORD_COLUMNS
        .iter()
        .zip(row)
        .zip(&contributions)
        .filter(|(_, contribution)| **contribution != 0.0)
        .map(|((column, value), contribution)| Reason {
            feature: column.name.into(),
            value: Some(*value),
            contribution: *contribution,
            text: words(column.name, record),
        })
        .collect();
    reasons.sort_by(|a, b| b.contribution.abs().total_cmp(&a.contribution.abs()));
    reasons
}

/// What scores records.
#[derive(Clone, Debug)]
pub struct RecordScorer {
    model: ServedModel,
    threshold: f64,
}

impl RecordScorer {
    pub fn new(model: Arc<Model>, threshold: f64) -> anyhow::Result<Self> {
        Ok(Self { model: ServedModel::new(model, Kind::Record)?, threshold })
    }

    /// The probability that a record is of an exfiltration, and the alert where it is one.
    #[must_use]
    pub fn score(&self, record: &Record) -> (f64, Option<Alert>) {
        let mut row = Vec::with_capacity(RECORD_COLUMNS.len());
        record_vector(record, &mut row);
        let raw_score = self.model.score(&row);
        let score = self.model.probability(raw_score);
        let alert = (score >= self.threshold).then(|| self.alert(record, row, raw_score, score));
        (score, alert)
    }

    fn alert(&self, record: &Record, row: Vec<f32>, raw_score: f64, score: f64) -> Alert {
        let time = time(record);
        let has_ports = record.protocol != Protocol::Icmp;
        Alert {
            id: id(record),
            time,
            src: record.source_ip.into(),
            src_port: has_ports.then_some(record.source_port),
            dst: record.destination_ip.into(),
            dst_port: has_ports.then_some(record.destination_port),
            protocol: number(record),
            technique: technique(record),
            severity: Severity::of(record.bytes_sent, score, self.threshold),
            score,
            threshold: self.threshold,
            bytes_out: record.bytes_sent,
            bytes_in: record.bytes_received,
            bytes_attempted: record.bytes_sent,
            bytes_leaked: record.bytes_sent,
            revision: 1,
            raw_score,
            // A record does not say for how long.
            first_seen: time,
            receivers: 1,
            reasons: reasons(&self.model, record, &row),
            model: Arc::clone(self.model.name()),
            basis: Basis { vector: row, rules: 1.0, baseline: false },
            ..Alert::default()
        }
    }
}

/// Of the record, in UTC. Times before 1970 are refused before a record comes here.
fn time(record: &Record) -> Timestamp {
    let seconds = u64::try_from(record.timestamp.unix_secs()).unwrap_or(0);
    Timestamp::from_ns(seconds.saturating_mul(1_000_000_000))
}

/// FNV-1a over the fields: the same record is the same alert, however often it is read.
fn id(record: &Record) -> AlertId {
    let text = record.fields().join(",");
    AlertId::live(text.bytes().fold(0xcbf2_9ce4_8422_2325, |hash, byte| {
        (hash ^ u64::from(byte)).wrapping_mul(0x0000_0100_0000_01b3)
    }))
}

fn number(record: &Record) -> u8 {
    match record.protocol {
        Protocol::Tcp | Protocol::Http | Protocol::Https => protocol::TCP,
        Protocol::Udp => protocol::UDP,
        Protocol::Icmp if record.source_ip.is_ipv6() => protocol::ICMPV6,
        Protocol::Icmp => protocol::ICMP,
    }
}

fn technique(record: &Record) -> Technique {
    let Record { bytes_sent: sent, bytes_received: received, .. } = *record;
    if record.protocol == Protocol::Icmp {
        return Technique::IcmpTunnel;
    }
    if sent >= received.saturating_mul(UPLOAD_RATIO) {
        return Technique::BulkUpload;
    }
    Technique::UnknownExfiltration
}

fn words(column: &str, record: &Record) -> String {
    let Record { bytes_sent, bytes_received, .. } = *record;
    match column {
        "source_port" => format!("from port {}", record.source_port),
        "destination_port" => format!("to port {}", record.destination_port),
        "bytes_sent" => format!("sent {}", units::bytes(bytes_sent)),
        "bytes_received" => format!("received {}", units::bytes(bytes_received)),
        "hour" => format!("at {:02}:00, in the timestamp's own zone", record.timestamp.hour()),
        "day_of_week" => format!("on a {}", weekday(record.timestamp.weekday())),
        "volume_ratio" => format!(
            "sent {} and received {}",
            units::bytes(bytes_sent),
            units::bytes(bytes_received)
        ),
        "log_volume" => {
            format!("{} in total", units::bytes(bytes_sent.saturating_add(bytes_received)))
        }
        name if name.starts_with("protocol_") => format!("protocol {}", record.protocol.name()),
        _ => format!("the firewall's action was {}", record.action.name()),
    }
}

fn weekday(number: u8) -> &'static str {
    match number {
        0 => "Monday",
        1 => "Tuesday",
        2 => "Wednesday",
        3 => "Thursday",
        4 => "Friday",
        5 => "Saturday",
        _ => "Sunday",
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::features::record::example;

    #[test]
    fn every_column_has_words() {
        let all: Vec<String> =
            RECORD_COLUMNS.iter().map(|column| words(column.name, &example())).collect();
        assert_eq!(all[2], "sent 1.5 kB");
        assert_eq!(all[5], "on a Monday");
        assert_eq!(all[7], "protocol TCP");
        assert_eq!(all[13], "the firewall's action was allow");
        assert_eq!(all[14], "sent 1.5 kB and received 500 B");
    }
}
