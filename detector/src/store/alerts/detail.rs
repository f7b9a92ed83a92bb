//! Everything that is known of one alert.

use rusqlite::{Connection, OptionalExtension as _};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::row::{AlertRow, COLUMNS, PublicId, severity_name};
use super::search::{Filter, search};
use super::span::key_of;
use crate::features::{ColumnSet, Kind};
use crate::network::{Network, octets};
use crate::store::column_sets;
use crate::store::traffic::{self, Period, SessionFilter, SessionRow};
use crate::units::rfc3339;
use crate::verdict::{HeadBytes, Reason};

/// Alerts that are shown beside one.
const RELATED: usize = 10;
/// How near in time they must be: a day.
const RELATED_NS: u64 = 86_400_000_000_000;

/// One part of what speaks for an alert.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct ReasonLine {
    /// A column, `others`, `bias`, or a rule after `rule:`.
    pub feature: String,
    pub value: Option<f32>,
    /// A part of the sum that is `raw_score`; 0 for a rule.
    pub contribution: f64,
    pub text: String,
}

impl ReasonLine {
    pub(super) fn of(reason: &Reason) -> Self {
        Self {
            feature: reason.feature.to_string(),
            value: reason.value,
            contribution: reason.contribution,
            text: reason.text.clone(),
        }
    }
}

/// The first bytes of a payload.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct HeadLine {
    /// `out`: sent by the host that leaks; `in`.
    pub direction: String,
    pub hex: String,
    /// Of the whole payload.
    pub bytes: u32,
}

impl HeadLine {
    pub(super) fn of(head: &HeadBytes) -> Self {
        Self {
            direction: if head.outbound { "out" } else { "in" }.to_owned(),
            hex: head.bytes.iter().map(|byte| format!("{byte:02x}")).collect(),
            bytes: head.payload_bytes,
        }
    }
}

/// The counters of an alert at one moment.
#[derive(Clone, Debug, PartialEq, Serialize, ToSchema)]
pub struct Point {
    pub time: String,
    /// `opened`, `grew`, `worsened`, or what was done: `blocked`, `released`, …
    pub what: String,
    pub bytes_out: u64,
    pub bytes_in: u64,
    pub score: f64,
    pub severity: &'static str,
}

/// What a person wrote.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, ToSchema)]
pub struct Note {
    pub time: String,
    pub who: String,
    pub text: String,
}

/// A column of the vector.
#[derive(Clone, Debug, PartialEq, Serialize, ToSchema)]
pub struct Cell {
    pub column: String,
    pub value: f32,
    /// What the column means.
    pub meaning: String,
}

/// An alert with all that belongs to it.
#[derive(Clone, Debug, PartialEq, Serialize, ToSchema)]
pub struct Detail {
    #[serde(flatten)]
    pub alert: AlertRow,
    /// The forest's output.
    pub raw_score: f64,
    pub seconds_to_detect: f64,
    pub community_id: String,
    pub ja4: Option<String>,
    pub model: String,
    pub model_hash: String,
    pub config_hash: String,
    /// They add up to `raw_score`, rules apart.
    pub reasons: Vec<ReasonLine>,
    pub timeline: Vec<Point>,
    pub heads: Vec<HeadLine>,
    pub notes: Vec<Note>,
    pub vector: Vec<Cell>,
    pub related: Vec<AlertRow>,
}

/// What an alert was judged on.
#[derive(Clone, Debug, PartialEq)]
pub struct Evidence {
    pub vector: Vec<f32>,
    /// Of the vector; none where it was stored when that was not yet said.
    pub columns: Option<ColumnSet>,
    pub rules: f64,
    pub habit: bool,
    pub score: f64,
    pub raw_score: f64,
    pub model: String,
    pub model_hash: String,
    pub config_hash: String,
    pub reasons: Vec<ReasonLine>,
    pub heads: Vec<HeadLine>,
}

/// An alert whole; none where there is no such alert.
///
/// # Errors
///
/// A database that cannot be read.
pub fn detail(connection: &Connection, id: PublicId) -> anyhow::Result<Option<Detail>> {
    let sql = format!(
        "SELECT {COLUMNS}, a.raw_score, a.time_ns - a.first_seen_ns, a.community_id, a.ja4
         FROM alerts a WHERE a.key = ?"
    );
    let read = |row: &rusqlite::Row<'_>| {
        Ok((
            AlertRow::read(row)?,
            row.get::<_, f64>(31)?,
            row.get::<_, i64>(32)? as f64 / 1e9,
            row.get::<_, String>(33)?,
            row.get::<_, Option<String>>(34)?,
        ))
    };
    let Some(key) = key_of(connection, id)? else { return Ok(None) };
    let found = connection.query_row(&sql, [key], read).optional()?;
    let Some((alert, raw_score, seconds_to_detect, community_id, ja4)) = found else {
        return Ok(None);
    };
    let Some(evidence) = evidence(connection, key)? else { return Ok(None) };
    Ok(Some(Detail {
        raw_score,
        seconds_to_detect,
        community_id,
        ja4,
        timeline: timeline(connection, key)?,
        notes: notes(connection, key)?,
        related: related(connection, &alert)?,
        vector: cells(&alert.origin, &evidence),
        alert,
        model: evidence.model,
        model_hash: evidence.model_hash,
        config_hash: evidence.config_hash,
        reasons: evidence.reasons,
        heads: evidence.heads,
    }))
}

/// What an alert was judged on; none where there is no such alert.
///
/// # Errors
///
/// A database that cannot be read.
pub fn evidence(connection: &Connection, key: i64) -> anyhow::Result<Option<Evidence>> {
    let read = |row: &rusqlite::Row<'_>| {
        let vector: Vec<u8> = row.get(0)?;
        Ok((
            Evidence {
                vector: floats(&vector),
                columns: None,
                rules: row.get(1)?,
                habit: row.get(2)?,
                model: row.get(3)?,
                model_hash: row.get(4)?,
                config_hash: row.get(5)?,
                reasons: Vec::new(),
                heads: Vec::new(),
                score: row.get(8)?,
                raw_score: row.get(9)?,
            },
            row.get::<_, String>(6)?,
            row.get::<_, String>(7)?,
            row.get::<_, Option<String>>(10)?,
        ))
    };
    let found = connection
        .prepare_cached(
            "SELECT vector, rules, habit, model, model_hash, config_hash, reasons, heads, score, raw_score,
                columns
             FROM alert_evidence JOIN alerts USING (key)
             LEFT JOIN column_sets ON column_sets.hash = column_set WHERE key = ?",
        )?
        .query_row([key], read)
        .optional()?;
    let Some((mut evidence, reasons, heads, columns)) = found else { return Ok(None) };
    evidence.reasons = serde_json::from_str(&reasons)?;
    evidence.heads = serde_json::from_str(&heads)?;
    evidence.columns = columns.as_deref().map(column_sets::read).transpose()?;
    Ok(Some(evidence))
}

/// What the alert's two hosts carried from an hour before it to an hour after.
///
/// # Errors
///
/// A database that cannot be read.
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
        src: Some(Network::of(&src)),
        dst: Some(Network::of(&dst)),
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
            time: rfc3339(row.get::<_, i64>(0)?.unsigned_abs()),
            what: row.get(1)?,
            bytes_out: row.get(2)?,
            bytes_in: row.get(3)?,
            score: row.get(4)?,
            severity: severity_name(row.get(5)?),
        })
    })?;
    Ok(points.collect::<rusqlite::Result<_>>()?)
}

fn notes(connection: &Connection, key: i64) -> anyhow::Result<Vec<Note>> {
    let mut statement = connection
        .prepare_cached("SELECT time_ns, who, text FROM alert_notes WHERE alert = ? ORDER BY id")?;
    let notes = statement.query_map([key], |row| {
        let time = rfc3339(row.get::<_, i64>(0)?.unsigned_abs());
        Ok(Note { time, who: row.get(1)?, text: row.get(2)? })
    })?;
    Ok(notes.collect::<rusqlite::Result<_>>()?)
}

/// Others of the same sender or receiver, about the same time.
fn related(connection: &Connection, alert: &AlertRow) -> anyhow::Result<Vec<AlertRow>> {
    let near = Filter {
        from_ns: Some(alert.key.cast_unsigned().saturating_sub(RELATED_NS)),
        to_ns: Some(alert.key.cast_unsigned() + RELATED_NS),
        ..Filter::default()
    };
    let end = |text: &str| text.parse().map(|address| Network::of(&octets(address))).ok();
    let ends = [
        Filter { src: end(&alert.src), ..near.clone() },
        Filter { dst: end(&alert.dst), ..near.clone() },
    ];
    let mut rows = Vec::new();
    for filter in ends {
        rows.append(&mut search(connection, &filter, None, RELATED + 1)?.rows);
    }
    rows.sort_by_key(|row| std::cmp::Reverse(row.key));
    rows.dedup_by_key(|row| row.key);
    rows.retain(|row| row.key != alert.key);
    rows.truncate(RELATED);
    Ok(rows)
}

/// The vector with its columns' names, and what those mean that are still computed.
fn cells(origin: &str, evidence: &Evidence) -> Vec<Cell> {
    let kind = if origin == "record" { Kind::Record } else { Kind::Session };
    let fits = |columns: &&ColumnSet| columns.len() == evidence.vector.len();
    let Some(columns) = evidence.columns.as_ref().filter(fits) else { return Vec::new() };
    let meanings = kind.meanings();
    let meaning = |name: &str| {
        let known = meanings.iter().find(|(column, _)| *column == name);
        known.map_or("not computed by this version", |(_, meaning)| *meaning).to_owned()
    };
    let cell = |(name, value): (&str, &f32)| Cell {
        column: name.to_owned(),
        value: *value,
        meaning: meaning(name),
    };
    columns.names().zip(&evidence.vector).map(cell).collect()
}
