//! Which fields of an alert are in which columns of its table, both ways: one row a field.

use std::sync::LazyLock;

use rusqlite::Row;
use rusqlite::types::Value;

use crate::timestamp::Timestamp;
use crate::verdict::alert::{protocol_name, protocol_number};
use crate::verdict::{ActionTaken, Alert, End, Severity, Technique};

/// A column that holds a field of the alert.
struct Column {
    name: &'static str,
    grown: Grown,
    /// What is written.
    value: fn(&Alert) -> Value,
    /// What is read, at this place of the row.
    read: fn(&mut Alert, &Row<'_>, usize) -> rusqlite::Result<()>,
}

/// What becomes of a column when the alert grows.
enum Grown {
    /// It stays as it was when the alert opened.
    Stays,
    Replaced,
    /// The column's new value; `excluded` has what the alert is now.
    Sql(&'static str),
}

use Grown::{Replaced, Sql, Stays};

const COLUMNS: [Column; 34] = [
    Column {
        name: "revision",
        grown: Sql("max(revision, excluded.revision)"),
        value: |alert| alert.revision.into(),
        read: |alert, row, at| row.get(at).map(|it| alert.revision = it),
    },
    Column {
        name: "time_ns",
        grown: Replaced,
        value: |alert| time(alert.time),
        read: |alert, row, at| read_time(row, at).map(|it| alert.time = it),
    },
    Column {
        name: "first_seen_ns",
        grown: Stays,
        value: |alert| time(alert.first_seen),
        read: |alert, row, at| read_time(row, at).map(|it| alert.first_seen = it),
    },
    Column {
        name: "src",
        grown: Stays,
        value: |alert| alert.src.into(),
        read: |alert, row, at| row.get(at).map(|it| alert.src = it),
    },
    Column {
        name: "src_port",
        grown: Stays,
        value: |alert| alert.src_port.into(),
        read: |alert, row, at| row.get(at).map(|it| alert.src_port = it),
    },
    Column {
        name: "dst",
        grown: Stays,
        value: |alert| alert.dst.into(),
        read: |alert, row, at| row.get(at).map(|it| alert.dst = it),
    },
    Column {
        name: "dst_port",
        grown: Stays,
        value: |alert| alert.dst_port.into(),
        read: |alert, row, at| row.get(at).map(|it| alert.dst_port = it),
    },
    Column {
        name: "protocol",
        grown: Stays,
        value: |alert| protocol_name(alert.protocol).into(),
        read: |alert, row, at| {
            let name: String = row.get(at)?;
            alert.protocol = protocol_number(&name).unwrap_or_default();
            Ok(())
        },
    },
    Column {
        name: "src_opened",
        grown: Stays,
        value: |alert| (alert.initiator == End::Src).into(),
        read: |alert, row, at| {
            alert.initiator = if row.get(at)? { End::Src } else { End::Dst };
            Ok(())
        },
    },
    Column {
        name: "technique",
        grown: Replaced,
        value: |alert| alert.technique.name().to_owned().into(),
        read: |alert, row, at| {
            let name: String = row.get(at)?;
            alert.technique = Technique::named(&name).unwrap_or_default();
            Ok(())
        },
    },
    Column {
        name: "severity",
        grown: Sql("max(severity, excluded.severity)"),
        value: |alert| alert.severity.rank().into(),
        read: |alert, row, at| row.get(at).map(|it| alert.severity = Severity::of_rank(it)),
    },
    Column {
        name: "score",
        grown: Replaced,
        value: |alert| alert.score.into(),
        read: |alert, row, at| row.get(at).map(|it| alert.score = it),
    },
    Column {
        name: "raw_score",
        grown: Replaced,
        value: |alert| alert.raw_score.into(),
        read: |alert, row, at| row.get(at).map(|it| alert.raw_score = it),
    },
    Column {
        name: "threshold",
        grown: Replaced,
        value: |alert| alert.threshold.into(),
        read: |alert, row, at| row.get(at).map(|it| alert.threshold = it),
    },
    Column {
        name: "bytes_out",
        grown: Replaced,
        value: |alert| number(alert.bytes_out),
        read: |alert, row, at| row.get(at).map(|it| alert.bytes_out = it),
    },
    Column {
        name: "bytes_in",
        grown: Replaced,
        value: |alert| number(alert.bytes_in),
        read: |alert, row, at| row.get(at).map(|it| alert.bytes_in = it),
    },
    Column {
        name: "packets_out",
        grown: Replaced,
        value: |alert| number(alert.packets_out),
        read: |alert, row, at| row.get(at).map(|it| alert.packets_out = it),
    },
    Column {
        name: "packets_in",
        grown: Replaced,
        value: |alert| number(alert.packets_in),
        read: |alert, row, at| row.get(at).map(|it| alert.packets_in = it),
    },
    Column {
        name: "bytes_leaked",
        grown: Stays,
        value: |alert| number(alert.bytes_leaked),
        read: |alert, row, at| row.get(at).map(|it| alert.bytes_leaked = it),
    },
    Column {
        name: "unexplained_bytes",
        grown: Replaced,
        value: |alert| number(alert.unexplained_bytes),
        read: |alert, row, at| row.get(at).map(|it| alert.unexplained_bytes = it),
    },
    Column {
        name: "bytes_leaked_before_block",
        grown: Sql("coalesce(bytes_leaked_before_block, excluded.bytes_leaked_before_block)"),
        value: |alert| alert.bytes_leaked_before_block.map_or(Value::Null, number),
        read: |alert, row, at| row.get(at).map(|it| alert.bytes_leaked_before_block = it),
    },
    Column {
        name: "bytes_stopped",
        grown: Replaced,
        value: |alert| number(alert.bytes_stopped),
        read: |alert, row, at| row.get(at).map(|it| alert.bytes_stopped = it),
    },
    Column {
        name: "seconds_to_detect",
        grown: Stays,
        value: |alert| alert.seconds_to_detect.into(),
        read: |alert, row, at| row.get(at).map(|it| alert.seconds_to_detect = it),
    },
    Column {
        name: "blocked_at_ns",
        grown: Sql("coalesce(blocked_at_ns, excluded.blocked_at_ns)"),
        value: |alert| alert.blocked_at.map_or(Value::Null, time),
        read: |alert, row, at| read_optional_time(row, at).map(|it| alert.blocked_at = it),
    },
    Column {
        name: "block_ended_ns",
        grown: Replaced,
        value: |alert| alert.block_ended.map_or(Value::Null, time),
        read: |alert, row, at| read_optional_time(row, at).map(|it| alert.block_ended = it),
    },
    Column {
        name: "dst_name",
        grown: Replaced,
        value: |alert| alert.dst_name.as_deref().map(str::to_owned).into(),
        read: |alert, row, at| row.get(at).map(|it| alert.dst_name = it),
    },
    Column {
        name: "domain",
        grown: Replaced,
        value: |alert| alert.domain.as_deref().map(str::to_owned).into(),
        read: |alert, row, at| row.get(at).map(|it| alert.domain = it),
    },
    Column {
        name: "community_id",
        grown: Stays,
        value: |alert| alert.community_id.clone().into(),
        read: |alert, row, at| row.get(at).map(|it| alert.community_id = it),
    },
    Column {
        name: "ja4",
        grown: Replaced,
        value: |alert| alert.ja4.as_deref().map(str::to_owned).into(),
        read: |alert, row, at| row.get(at).map(|it| alert.ja4 = it),
    },
    Column {
        name: "sensor",
        grown: Stays,
        value: |alert| alert.sensor.as_deref().map(str::to_owned).into(),
        read: |alert, row, at| row.get(at).map(|it| alert.sensor = it),
    },
    Column {
        name: "receivers",
        grown: Replaced,
        value: |alert| alert.receivers.into(),
        read: |alert, row, at| row.get(at).map(|it| alert.receivers = it),
    },
    Column {
        name: "monitor_event",
        grown: Replaced,
        value: |alert| alert.monitor_event.as_deref().map(str::to_owned).into(),
        read: |alert, row, at| row.get(at).map(|it| alert.monitor_event = it),
    },
    Column {
        name: "action",
        grown: Sql("CASE excluded.action WHEN 'none' THEN action ELSE excluded.action END"),
        value: |alert| alert.action.name().to_owned().into(),
        read: |alert, row, at| {
            let name: String = row.get(at)?;
            alert.action = ActionTaken::named(&name).unwrap_or_default();
            Ok(())
        },
    },
    Column {
        name: "action_note",
        grown: Sql("coalesce(excluded.action_note, action_note)"),
        value: |alert| alert.action_note.clone().into(),
        read: |alert, row, at| row.get(at).map(|it| alert.action_note = it),
    },
];

fn number(number: u64) -> Value {
    number.cast_signed().into()
}

fn time(time: Timestamp) -> Value {
    number(time.ns())
}

fn read_time(row: &Row<'_>, at: usize) -> rusqlite::Result<Timestamp> {
    row.get::<_, i64>(at).map(|ns| Timestamp::from_ns(ns.unsigned_abs()))
}

fn read_optional_time(row: &Row<'_>, at: usize) -> rusqlite::Result<Option<Timestamp>> {
    let ns: Option<i64> = row.get(at)?;
    Ok(ns.map(|ns| Timestamp::from_ns(ns.unsigned_abs())))
}

/// The names of the columns, each after `prefix`, for a list in SQL.
pub(super) fn names(prefix: &str) -> String {
    COLUMNS.map(|column| format!("{prefix}{}", column.name)).join(", ")
}

pub(super) fn values(alert: &Alert) -> impl Iterator<Item = Value> {
    COLUMNS.iter().map(|column| (column.value)(alert))
}

/// Reads the columns, the first of which is `first` in the row.
pub(super) fn read(row: &Row<'_>, first: usize) -> rusqlite::Result<Alert> {
    let mut alert = Alert::default();
    for (column, at) in COLUMNS.iter().zip(first..) {
        (column.read)(&mut alert, row, at)?;
    }
    alert.bytes_attempted = alert.bytes_out.saturating_add(alert.bytes_stopped);
    Ok(alert)
}

/// How many there are.
pub(super) const COUNT: usize = COLUMNS.len();

/// Puts a new alert in: its values follow those of the six columns that are named here.
pub(super) static INSERT: LazyLock<String> = LazyLock::new(|| insert("NOTHING"));

/// Brings the alert with this key up to date, given the same values.
pub(super) static GROW: LazyLock<String> = LazyLock::new(|| {
    let change = |column: &Column| {
        let Column { name, .. } = column;
        match column.grown {
            Stays => None,
            Replaced => Some(format!("{name} = excluded.{name}")),
            Sql(sql) => Some(format!("{name} = {sql}")),
        }
    };
    let changes: Vec<String> = COLUMNS.iter().filter_map(change).collect();
    insert(&format!("UPDATE SET {}", changes.join(", ")))
});

fn insert(conflict: &str) -> String {
    let marks = ", ?".repeat(COUNT);
    format!(
        "INSERT INTO alerts (key, id, analysis, origin, capture, status, {})
         VALUES (?, ?, ?, ?, ?, ?{marks}) ON CONFLICT (key) DO {conflict}",
        names("")
    )
}
