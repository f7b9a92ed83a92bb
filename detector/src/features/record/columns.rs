//! The table of columns of schema `record`.
//!
//! Fourteen inputs in the order of the service that this one replaces, then two that relate them.
//! Unlike schema `session` it has port numbers: a record says little else about the protocol.

use super::{Action, Protocol, Record};
use crate::features::columns::column_hash;

/// The schema's name in model files.
pub const RECORD_SCHEMA_NAME: &str = "record";

/// One column of a record's vector.
#[derive(Debug)]
pub struct RecordColumn {
    pub name: &'static str,
    /// Of the definition: raised when the same name and unit are computed otherwise.
    pub version: u32,
    pub meaning: &'static str,
    pub unit: &'static str,
    pub value: fn(&Record) -> f32,
}

impl RecordColumn {
    /// What models and stored vectors know the column's definition by.
    #[must_use]
    pub fn hash(&self) -> u64 {
        column_hash(self.name, self.unit, self.version)
    }
}

macro_rules! columns {
    ($($name:literal, $version:literal, $unit:literal, $meaning:literal, $value:expr;)+) => {
        /// The columns in the order of the vector.
        pub const RECORD_COLUMNS: &[RecordColumn] = &[$(RecordColumn {
            name: $name,
            version: $version,
            meaning: $meaning,
            unit: $unit,
            value: $value,
        }),+];
    };
}

columns! {
    "source_port", 1, "number", "the sender's port", |r| f32::from(r.source_port);
    "destination_port", 1, "number", "the receiver's port", |r| f32::from(r.destination_port);
    "bytes_sent", 1, "bytes", "bytes that the source sent", |r| r.bytes_sent as f32;
    "bytes_received", 1, "bytes", "bytes that the source received", |r| r.bytes_received as f32;
    "hour", 1, "0 to 23", "hour of the day in the timestamp's own zone",
        |r| f32::from(r.timestamp.hour());
    "day_of_week", 1, "0 Monday to 6 Sunday", "weekday in the timestamp's own zone",
        |r| f32::from(r.timestamp.weekday());
    "protocol_tcp", 1, "0 or 1", "the protocol is TCP", |r| flag(r.protocol == Protocol::Tcp);
    "protocol_udp", 1, "0 or 1", "the protocol is UDP", |r| flag(r.protocol == Protocol::Udp);
    "protocol_http", 1, "0 or 1", "the protocol is HTTP", |r| flag(r.protocol == Protocol::Http);
    "protocol_https", 1, "0 or 1", "the protocol is HTTPS", |r| flag(r.protocol == Protocol::Https);
    "protocol_icmp", 1, "0 or 1", "the protocol is ICMP", |r| flag(r.protocol == Protocol::Icmp);
    "action_allow", 1, "0 or 1", "the firewall allowed it", |r| flag(r.action == Action::Allow);
    "action_deny", 1, "0 or 1", "the firewall denied it", |r| flag(r.action == Action::Deny);
    "action_drop", 1, "0 or 1", "the firewall dropped it", |r| flag(r.action == Action::Drop);
    "volume_ratio", 1, "log2", "(1 + bytes sent) / (1 + bytes received)",
        |r| (log2(r.bytes_sent) - log2(r.bytes_received)) as f32;
    "log_volume", 1, "log2(1 + bytes)", "bytes that the source sent and received",
        |r| log2(r.bytes_sent.saturating_add(r.bytes_received)) as f32;
}

fn flag(set: bool) -> f32 {
    f32::from(u8::from(set))
}

fn log2(bytes: u64) -> f64 {
    (1.0 + bytes as f64).log2()
}

/// Puts the vector into `out`, in the order of [`RECORD_COLUMNS`].
pub fn record_vector(record: &Record, out: &mut Vec<f32>) {
    out.clear();
    out.extend(RECORD_COLUMNS.iter().map(|column| (column.value)(record)));
}

/// This schema's part of `docs/features.md`.
pub(in crate::features) fn markdown() -> String {
    let mut text = format!(
        "\n## Records\n\nThe columns of schema `{RECORD_SCHEMA_NAME}`, in order. Generated from \
         `detector/src/features/record/columns.rs`.\n\nA vector describes one line of a \
         firewall's or proxy's log, without the lines around it. It is for logs without packets; \
         packets use the schema `session`. Here port numbers are columns, since a record has \
         little else. No column holds an address or a date.\n\n| # | column | meaning | unit | \
         hash |\n|---|---|---|---|---|\n"
    );
    for (number, column) in RECORD_COLUMNS.iter().enumerate() {
        let RecordColumn { name, meaning, unit, .. } = column;
        let (number, hash) = (number + 1, column.hash());
        text.push_str(&format!("| {number} | `{name}` | {meaning} | {unit} | `{hash:016x}` |\n"));
    }
    text
}

#[cfg(test)]
mod tests {
    use super::super::example;
    use super::*;

    #[test]
    fn the_inputs_stand_in_their_order() {
        let mut row = Vec::new();
        record_vector(&example(), &mut row);
        let expected =
            [12_345.0, 80.0, 1_500.0, 500.0, 12.0, 0.0, 1.0, 0.0, 0.0, 0.0, 0.0, 1.0, 0.0, 0.0];
        assert_eq!(row[..14], expected);
        assert!((row[14] - (1_501.0_f32 / 501.0).log2()).abs() < 1e-6, "{row:?}");
        assert!((row[15] - 2_001.0_f32.log2()).abs() < 1e-6, "{row:?}");
        assert_eq!(row.len(), 16);
    }

    #[test]
    fn each_protocol_and_action_has_a_column_of_its_own() {
        let check = |protocol, action, set: [usize; 2]| {
            let mut row = Vec::new();
            record_vector(&Record { protocol, action, ..example() }, &mut row);
            let flags: Vec<usize> = (6..14).filter(|column| row[*column] == 1.0).collect();
            assert_eq!(flags, set, "{protocol:?} {action:?}");
        };
        check(Protocol::Udp, Action::Deny, [7, 12]);
        check(Protocol::Http, Action::Drop, [8, 13]);
        check(Protocol::Https, Action::Allow, [9, 11]);
        check(Protocol::Icmp, Action::Allow, [10, 11]);
    }

    #[test]
    fn the_largest_volumes_are_finite() {
        let mut row = Vec::new();
        let record = Record { bytes_sent: u64::MAX, bytes_received: u64::MAX, ..example() };
        record_vector(&record, &mut row);
        assert!(row.iter().all(|value| value.is_finite()), "{row:?}");
    }
}
