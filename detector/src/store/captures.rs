//! Captures that were uploaded, and each time that one was analysed.

use std::collections::BTreeMap;

use rusqlite::{Connection, OptionalExtension as _, Row, params};
use serde::Serialize;
use utoipa::ToSchema;

use crate::units::rfc3339;

/// State of a capture: a closed list.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, ToSchema)]
#[serde(rename_all = "snake_case")]
#[schema(as = CaptureState)]
pub enum Stage {
    Uploading,
    Queued,
    Analysing,
    Done,
    Failed,
    Cancelled,
}

impl Stage {
    const ALL: [Self; 6] =
        [Self::Uploading, Self::Queued, Self::Analysing, Self::Done, Self::Failed, Self::Cancelled];

    /// An unknown name is a state of no use, as a failure is.
    fn named(name: &str) -> Self {
        Self::ALL.into_iter().find(|stage| stage.name() == name).unwrap_or(Self::Failed)
    }

    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Uploading => "uploading",
            Self::Queued => "queued",
            Self::Analysing => "analysing",
            Self::Done => "done",
            Self::Failed => "failed",
            Self::Cancelled => "cancelled",
        }
    }
}

/// One run over a capture.
#[derive(Clone, Debug, PartialEq, Serialize, ToSchema)]
pub struct Analysis {
    pub id: i64,
    /// The model's hash.
    pub model: String,
    pub started: String,
    /// Null during the analysis.
    pub seconds: Option<f64>,
    pub packets: Option<u64>,
    pub bytes: Option<u64>,
    pub flows: Option<u64>,
    pub alerts: Option<u64>,
    pub first_packet: Option<String>,
    pub last_packet: Option<String>,
    /// Frames that were left out, by reason.
    pub skipped: Option<BTreeMap<String, u64>>,
    pub error: Option<String>,
}

/// A capture with its analyses, the latest first.
#[derive(Clone, Debug, PartialEq, Serialize, ToSchema)]
pub struct Capture {
    pub id: i64,
    pub name: String,
    /// Of the file.
    pub bytes: u64,
    pub sha256: Option<String>,
    pub uploaded: String,
    pub state: Stage,
    /// Progress of the upload or analysis: 0 to 1.
    pub progress: f64,
    pub error: Option<String>,
    pub analyses: Vec<Analysis>,
}

/// What an analysis came to.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Outcome {
    pub seconds: f64,
    pub packets: u64,
    pub bytes: u64,
    pub flows: u64,
    pub alerts: u64,
    pub first_ns: Option<u64>,
    pub last_ns: Option<u64>,
    /// JSON.
    pub skipped: String,
    pub error: Option<String>,
}

/// Notes that a capture is being uploaded. Returns its number.
pub fn begin_upload(connection: &Connection, name: &str, time_ns: u64) -> anyhow::Result<i64> {
    connection.execute(
        "INSERT INTO captures (name, bytes, uploaded_ns, state) VALUES (?, 0, ?, 'uploading')",
        params![name, time_ns as i64],
    )?;
    Ok(connection.last_insert_rowid())
}

/// Notes that a capture is here whole.
pub fn end_upload(
    connection: &Connection,
    id: i64,
    bytes: u64,
    sha256: &str,
) -> anyhow::Result<()> {
    connection.execute(
        "UPDATE captures SET bytes = ?, sha256 = ?, state = 'queued' WHERE id = ?",
        params![bytes, sha256, id],
    )?;
    Ok(())
}

/// Notes how far a capture is, and why it got no further.
pub fn set_stage(
    connection: &Connection,
    id: i64,
    stage: Stage,
    error: Option<&str>,
) -> anyhow::Result<()> {
    connection.execute(
        "UPDATE captures SET state = ?, error = ? WHERE id = ?",
        params![stage.name(), error, id],
    )?;
    Ok(())
}

/// Begins an analysis. Returns its number.
pub fn begin_analysis(
    connection: &Connection,
    capture: i64,
    model_hash: &str,
    time_ns: u64,
) -> anyhow::Result<i64> {
    connection.execute(
        "INSERT INTO analyses (capture, model_hash, started_ns) VALUES (?, ?, ?)",
        params![capture, model_hash, time_ns as i64],
    )?;
    let id = connection.last_insert_rowid();
    set_stage(connection, capture, Stage::Analysing, None)?;
    Ok(id)
}

/// Notes what an analysis came to.
pub fn end_analysis(connection: &Connection, id: i64, outcome: &Outcome) -> anyhow::Result<()> {
    connection.execute(
        "UPDATE analyses SET seconds = ?, packets = ?, bytes = ?, flows = ?, alerts = ?, first_ns \
         = ?,
            last_ns = ?, skipped = ?, error = ? WHERE id = ?",
        params![
            outcome.seconds,
            outcome.packets,
            outcome.bytes,
            outcome.flows,
            outcome.alerts,
            outcome.first_ns.map(|time| time as i64),
            outcome.last_ns.map(|time| time as i64),
            outcome.skipped,
            outcome.error,
            id
        ],
    )?;
    Ok(())
}

/// A capture; none where there is no such.
pub fn capture(connection: &Connection, id: i64) -> anyhow::Result<Option<Capture>> {
    let found = connection
        .query_row(
            "SELECT id, name, bytes, sha256, uploaded_ns, state, error FROM captures WHERE id = ?",
            [id],
            read,
        )
        .optional()?;
    found.map(|capture| with_analyses(connection, capture)).transpose()
}

/// Captures, the latest first, `limit` of those before `cursor`.
pub fn captures(
    connection: &Connection,
    cursor: Option<i64>,
    limit: usize,
) -> anyhow::Result<Vec<Capture>> {
    let mut statement = connection.prepare_cached(
        "SELECT id, name, bytes, sha256, uploaded_ns, state, error FROM captures
         WHERE id < ? ORDER BY id DESC LIMIT ?",
    )?;
    let limit = i64::try_from(limit).unwrap_or(i64::MAX);
    let rows = statement.query_map(params![cursor.unwrap_or(i64::MAX), limit], read)?;
    let rows = rows.collect::<rusqlite::Result<Vec<_>>>()?;
    rows.into_iter().map(|capture| with_analyses(connection, capture)).collect()
}

/// Captures that a run that ended left unfinished: half uploaded, or waiting. The first are failed,
/// the numbers of the others are returned.
pub fn take_up(connection: &Connection) -> anyhow::Result<Vec<i64>> {
    connection.execute(
        "UPDATE captures SET state = 'failed', error = 'the upload was interrupted: upload it again'
         WHERE state = 'uploading'",
        [],
    )?;
    connection.execute(
        "UPDATE analyses SET error = 'the analysis was interrupted', seconds = 0 WHERE seconds IS \
         NULL",
        [],
    )?;
    connection.execute("UPDATE captures SET state = 'queued' WHERE state = 'analysing'", [])?;
    let mut statement =
        connection.prepare("SELECT id FROM captures WHERE state = 'queued' ORDER BY id")?;
    let rows = statement.query_map([], |row| row.get(0))?;
    Ok(rows.collect::<rusqlite::Result<_>>()?)
}

/// Forgets a capture with its alerts.
pub fn remove(connection: &Connection, id: i64) -> anyhow::Result<bool> {
    for table in ["alert_words WHERE rowid", "alert_evidence WHERE key", "alert_points WHERE alert"]
    {
        let sql = format!("DELETE FROM {table} IN (SELECT key FROM alerts WHERE capture = ?)");
        connection.execute(&sql, [id])?;
    }
    connection.execute("DELETE FROM alerts WHERE capture = ?", [id])?;
    Ok(connection.execute("DELETE FROM captures WHERE id = ?", [id])? != 0)
}

/// Bytes of all captures.
pub fn total_bytes(connection: &Connection) -> anyhow::Result<u64> {
    Ok(connection
        .query_row("SELECT coalesce(sum(bytes), 0) FROM captures", [], |row| row.get(0))?)
}

fn read(row: &Row<'_>) -> rusqlite::Result<Capture> {
    let state = Stage::named(&row.get::<_, String>(5)?);
    Ok(Capture {
        id: row.get(0)?,
        name: row.get(1)?,
        bytes: row.get(2)?,
        sha256: row.get(3)?,
        uploaded: rfc3339(row.get::<_, i64>(4)?.unsigned_abs()),
        progress: if state == Stage::Done { 1.0 } else { 0.0 },
        state,
        error: row.get(6)?,
        analyses: Vec::new(),
    })
}

fn with_analyses(connection: &Connection, mut capture: Capture) -> anyhow::Result<Capture> {
    let mut statement = connection.prepare_cached(
        "SELECT id, model_hash, started_ns, seconds, packets, bytes, flows, alerts, first_ns, \
         last_ns,
                skipped, error
         FROM analyses WHERE capture = ? ORDER BY id DESC",
    )?;
    let rows = statement.query_map([capture.id], |row| {
        let time = |time: i64| rfc3339(time.unsigned_abs());
        Ok(Analysis {
            id: row.get(0)?,
            model: row.get(1)?,
            started: time(row.get(2)?),
            seconds: row.get(3)?,
            packets: row.get(4)?,
            bytes: row.get(5)?,
            flows: row.get(6)?,
            alerts: row.get(7)?,
            first_packet: row.get::<_, Option<i64>>(8)?.map(time),
            last_packet: row.get::<_, Option<i64>>(9)?.map(time),
            skipped: row
                .get::<_, Option<String>>(10)?
                .and_then(|skipped| serde_json::from_str(&skipped).ok()),
            error: row.get(11)?,
        })
    })?;
    capture.analyses = rows.collect::<rusqlite::Result<_>>()?;
    Ok(capture)
}
