//! Why a record got its score: what each column added, in words and numbers.

use serde::Serialize;
use utoipa::ToSchema;

use crate::features::{RECORD_COLUMNS, Record};
use crate::model::Model;
use crate::units;

/// What moved the score
#[derive(Clone, Debug, Serialize, ToSchema)]
#[schema(as = RecordReason)]
pub(super) struct RecordReason {
    /// A column of the schema `record`; `bias` is where every record starts
    feature: &'static str,
    value: Option<f32>,
    /// Added to the score; all of them and the bias add up to it
    contribution: f64,
    text: String,
}

/// The columns that moved the score, the strongest first, and the bias.
pub(super) fn of(model: &Model, record: &Record, row: &[f32]) -> Vec<RecordReason> {
    let mut contributions = vec![0.0; row.len()];
    let bias = model.forest.contributions(row, &mut contributions);
    let mut reasons: Vec<RecordReason> = RECORD_COLUMNS
        .iter()
        .zip(row)
        .zip(&contributions)
        .filter(|(_, contribution)| **contribution != 0.0)
        .map(|((column, value), contribution)| RecordReason {
            feature: column.name,
            value: Some(*value),
            contribution: *contribution,
            text: words(column.name, record),
        })
        .collect();
    reasons.sort_by(|a, b| b.contribution.abs().total_cmp(&a.contribution.abs()));
    let text = "where every record starts".to_owned();
    reasons.push(RecordReason { feature: "bias", value: None, contribution: bias, text });
    reasons
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
            format!("{} in all", units::bytes(bytes_sent.saturating_add(bytes_received)))
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
