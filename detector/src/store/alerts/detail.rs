//! Everything that is known of one alert.

use rusqlite::{Connection, OptionalExtension as _};
use serde::Serialize;
use utoipa::ToSchema;

use super::row::find;
use super::search::search;
use crate::alerts::replay::Evidence;
use crate::alerts::search::Filter;
use crate::alerts::{Origin, StoredAlert};
use crate::features::ColumnSet;
use crate::network::Network;
use crate::store::column_sets;
use crate::store::traffic::{self, Period, SessionFilter, SessionRow};
use crate::timestamp::Timestamp;
use crate::verdict::{AlertId, PayloadSample, Severity};

/// Alerts that are shown beside one.
const RELATED: usize = 10;
/// How near in time they must be: a day.
const RELATED_NS: u64 = 86_400_000_000_000;

/// The counters of an alert at one moment.
#[derive(Clone, Debug, PartialEq, Serialize, ToSchema)]
pub struct Point {
    pub time: Timestamp,
    /// `opened`, `grew`, `worsened`, or what was done: `blocked`, `block_ended`, `released`, …
    pub what: String,
    pub bytes_out: u64,
    pub bytes_in: u64,
    pub score: f64,
    pub severity: Severity,
}

/// A person's note.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, ToSchema)]
pub struct Note {
    pub time: Timestamp,
    pub who: String,
    pub text: String,
}

/// A column of the vector.
#[derive(Clone, Debug, PartialEq, Serialize, ToSchema)]
pub struct Cell {
    pub column: String,
    pub value: f32,
    /// The column's meaning.
    pub meaning: String,
}

/// An alert with its timeline, notes, evidence and related alerts.
#[derive(Clone, Debug, PartialEq, Serialize, ToSchema)]
pub struct Detail {
    #[serde(flatten)]
    pub stored: StoredAlert,
    pub model_hash: String,
    pub config_hash: String,
    pub timeline: Vec<Point>,
    /// The first bytes of payloads.
    pub payload_samples: Vec<PayloadSample>,
    pub notes: Vec<Note>,
    pub vector: Vec<Cell>,
    pub related: Vec<StoredAlert>,
}

/// An alert whole; none where there is no such alert.
pub fn detail(connection: &Connection, id: AlertId) -> anyhow::Result<Option<Detail>> {
    let Some(stored) = find(connection, id)? else { return Ok(None) };
    let Some(evidence) = evidence(connection, stored.key)? else { return Ok(None) };
    Ok(Some(Detail {
        timeline: timeline(connection, stored.key)?,
        notes: notes(connection, stored.key)?,
        related: related(connection, &stored)?,
        vector: cells(stored.origin, &evidence),
        stored,
        model_hash: evidence.model_hash,
        config_hash: evidence.config_hash,
        payload_samples: evidence.payload_samples,
    }))
}

/// What an alert was scored on; none where there is no such alert.
pub fn evidence(connection: &Connection, key: i64) -> anyhow::Result<Option<Evidence>> {
    let read = |row: &rusqlite::Row<'_>| {
        let vector: Vec<u8> = row.get(0)?;
        let evidence = Evidence {
            vector: floats(&vector),
            columns: None,
            rules: row.get(1)?,
            baseline: row.get(2)?,
            model_hash: row.get(3)?,
            config_hash: row.get(4)?,
            payload_samples: Vec::new(),
            score: row.get(6)?,
            raw_score: row.get(7)?,
        };
        Ok((evidence, row.get::<_, String>(5)?, row.get::<_, Option<String>>(8)?))
    };
    let found = connection
        .prepare_cached(
            "SELECT vector, rules, habit, model_hash, config_hash, heads, score, raw_score, columns
             FROM alert_evidence JOIN alerts USING (key)
             LEFT JOIN column_sets ON column_sets.hash = column_set WHERE key = ?",
        )?
        .query_row([key], read)
        .optional()?;
    let Some((mut evidence, heads, columns)) = found else { return Ok(None) };
    evidence.payload_samples = serde_json::from_str(&heads)?;
    evidence.columns = columns.as_deref().map(column_sets::read).transpose()?;
    Ok(Some(evidence))
}

/// What the alert's two hosts carried from an hour before it to an hour after.
pub fn flows_of(connection: &Connection, key: i64) -> anyhow::Result<Vec<SessionRow>> {
    const AROUND_SECS: u64 = 3_600;
    const MOST: usize = 500;
    let (src, dst, first, last) = connection.query_row(
        "SELECT src, dst, first_seen_ns, time_ns FROM alerts WHERE key = ?",
        [key],
        |row| {
            let seconds = |time: i64| time.unsigned_abs() / 1_000_000_000;
            Ok((row.get(0)?, row.get(1)?, seconds(row.get(2)?), seconds(row.get(3)?)))
        },
    )?;
    let filter = SessionFilter {
        src: Some(Network::of(src)),
        dst: Some(Network::of(dst)),
        period: Some(Period {
            from: first.saturating_sub(AROUND_SECS),
            to: last.saturating_add(AROUND_SECS),
        }),
        ..SessionFilter::default()
    };
    traffic::sessions(connection, &filter, None, MOST)
}

fn floats(bytes: &[u8]) -> Vec<f32> {
    let (values, _) = bytes.as_chunks::<4>();
    values.iter().map(|value| f32::from_le_bytes(*value)).collect()
}

fn timeline(connection: &Connection, key: i64) -> anyhow::Result<Vec<Point>> {
    let mut statement = connection.prepare_cached(
        "SELECT time_ns, what, bytes_out, bytes_in, score, severity FROM alert_points
         WHERE alert = ? ORDER BY time_ns, bytes_out, what = 'opened' DESC",
    )?;
    let points = statement.query_map([key], |row| {
        Ok(Point {
            time: time(row)?,
            what: row.get(1)?,
            bytes_out: row.get(2)?,
            bytes_in: row.get(3)?,
            score: row.get(4)?,
            severity: Severity::of_rank(row.get(5)?),
        })
    })?;
    Ok(points.collect::<rusqlite::Result<_>>()?)
}

fn notes(connection: &Connection, key: i64) -> anyhow::Result<Vec<Note>> {
    let mut statement = connection
        .prepare_cached("SELECT time_ns, who, text FROM alert_notes WHERE alert = ? ORDER BY id")?;
    let notes = statement.query_map([key], |row| {
        Ok(Note { time: time(row)?, who: row.get(1)?, text: row.get(2)? })
    })?;
    Ok(notes.collect::<rusqlite::Result<_>>()?)
}

fn time(row: &rusqlite::Row<'_>) -> rusqlite::Result<Timestamp> {
    row.get::<_, i64>(0).map(|ns| Timestamp::from_ns(ns.unsigned_abs()))
}

/// Others of the same sender or receiver, about the same time.
fn related(connection: &Connection, stored: &StoredAlert) -> anyhow::Result<Vec<StoredAlert>> {
    let near = Filter {
        from_ns: Some(stored.key.cast_unsigned().saturating_sub(RELATED_NS)),
        to_ns: Some(stored.key.cast_unsigned() + RELATED_NS),
        ..Filter::default()
    };
    let ends = [
        Filter { src: Some(Network::of(stored.alert.src)), ..near.clone() },
        Filter { dst: Some(Network::of(stored.alert.dst)), ..near.clone() },
    ];
    let mut rows = Vec::new();
    for filter in ends {
        rows.append(&mut search(connection, &filter, None, RELATED + 1)?.rows);
    }
    rows.sort_by_key(|row| std::cmp::Reverse(row.key));
    rows.dedup_by_key(|row| row.key);
    rows.retain(|row| row.key != stored.key);
    rows.truncate(RELATED);
    Ok(rows)
}

/// The vector with its columns' names, and what those mean that are still computed.
fn cells(origin: Origin, evidence: &Evidence) -> Vec<Cell> {
    let fits = |columns: &&ColumnSet| columns.len() == evidence.vector.len();
    let Some(columns) = evidence.columns.as_ref().filter(fits) else { return Vec::new() };
    let meanings = origin.kind().meanings();
    let meaning = |name: &str| {
        let known = meanings.iter().find(|(column, _)| *column == name);
        known.map_or("this version does not compute it", |(_, meaning)| *meaning).to_owned()
    };
    let cell = |(name, value): (&str, &f32)| Cell {
        column: name.to_owned(),
        value: *value,
        meaning: meaning(name),
    };
    columns.names().zip(&evidence.vector).map(cell).collect()
}
