//! Taking alerts in: new ones, and those that grew.

use rusqlite::types::Value;
use rusqlite::{Connection, params, params_from_iter};

use super::timeline::TimelinePoint;
use super::{columns, span};
use crate::alerts::{Origin, Status};
use crate::store::column_sets;
use crate::store::rules::{self, Candidate};
use crate::timestamp::Timestamp;
use crate::verdict::{ActionTaken, Alert, AlertId, Severity};

/// An alert with what only its finder knows.
#[derive(Clone, Debug)]
pub struct NewAlert<'a> {
    pub alert: &'a Alert,
    pub origin: Origin,
    pub model_hash: &'a str,
    pub config_hash: &'a str,
}

/// Puts an alert in, or brings the one with its id up to date. What people said of it stays.
/// Returns its key and whether it is new.
pub fn insert(connection: &Connection, new: &NewAlert<'_>) -> anyhow::Result<(i64, bool)> {
    let NewAlert { alert, origin, .. } = *new;
    let id = AlertId { analysis: origin.analysis(), ..alert.id };
    let known = match span::key_near(connection, id, alert.first_seen.ns())? {
        Some(key) => Some((key, latest(connection, key)?)),
        None => None,
    };
    let severity = known.map_or(0, |(_, (severity, _))| severity).max(alert.severity.rank());
    let (key, point) = match known {
        Some((key, (severity, time_ns))) => {
            grow(connection, key, new)?;
            forget_words(connection, key)?;
            let worse = severity < alert.severity.rank();
            // A block that began or ended later is no growth: it was not scored again.
            let scored = time_ns != alert.time.ns();
            let grew = scored.then_some(TimelinePoint::Grew);
            (key, if worse { Some(TimelinePoint::Worsened) } else { grew })
        }
        None => (put(connection, new)?, Some(TimelinePoint::Opened)),
    };
    put_words(connection, key, alert)?;
    put_evidence(connection, key, new)?;
    if let Some(point) = point {
        put_point(connection, key, alert, alert.time, point)?;
    }
    if alert.action != ActionTaken::None {
        let at = alert.blocked_at.unwrap_or(alert.time);
        put_point(connection, key, alert, at, TimelinePoint::Acted(alert.action))?;
    }
    if let Some(ended) = alert.block_ended {
        put_point(connection, key, alert, ended, TimelinePoint::BlockEnded)?;
    }
    let (technique, src, dst) = (alert.technique.name(), alert.src, alert.dst);
    rules::enqueue(connection, &Candidate { key, severity, technique, src, dst })?;
    Ok((key, known.is_none()))
}

/// Severity and time of an alert's latest revision.
fn latest(connection: &Connection, key: i64) -> anyhow::Result<(u8, u64)> {
    let mut statement =
        connection.prepare_cached("SELECT severity, time_ns FROM alerts WHERE key = ?")?;
    Ok(statement.query_row([key], |row| Ok((row.get(0)?, row.get::<_, i64>(1)?.unsigned_abs())))?)
}

fn put(connection: &Connection, new: &NewAlert<'_>) -> anyhow::Result<i64> {
    let mut statement = connection.prepare_cached(&columns::INSERT)?;
    let mut key = new.alert.time.ns().cast_signed();
    while statement.execute(params_from_iter(values(key, new)))? == 0 {
        // Another opened at the same moment.
        key += 1;
    }
    Ok(key)
}

fn grow(connection: &Connection, key: i64, new: &NewAlert<'_>) -> anyhow::Result<()> {
    connection.prepare_cached(&columns::GROW)?.execute(params_from_iter(values(key, new)))?;
    Ok(())
}

fn values(key: i64, new: &NewAlert<'_>) -> impl Iterator<Item = Value> {
    let NewAlert { alert, origin, .. } = *new;
    let own = [
        key.into(),
        alert.id.number.cast_signed().into(),
        origin.analysis().into(),
        origin.name().to_owned().into(),
        origin.capture().into(),
        Status::Open.name().to_owned().into(),
    ];
    own.into_iter().chain(columns::values(alert))
}

/// What a search for words looks through.
fn put_words(connection: &Connection, key: i64, alert: &Alert) -> anyhow::Result<()> {
    let names = [alert.dst_name.as_deref(), alert.domain.as_deref()];
    let names: Vec<&str> = names.into_iter().flatten().collect();
    let mut text = format!(
        "{} {} {} {} {} {} {}",
        alert.id,
        alert.headline(),
        alert.src,
        alert.dst,
        alert.technique.title(),
        alert.severity.name(),
        alert.community_id
    );
    for reason in &alert.reasons {
        text.push(' ');
        text.push_str(&reason.text);
    }
    connection
        .prepare_cached("INSERT INTO alert_words (rowid, name, text) VALUES (?, ?, ?)")?
        .execute(params![key, names.join(" "), text])?;
    Ok(())
}

pub(super) fn forget_words(connection: &Connection, key: i64) -> anyhow::Result<()> {
    connection.prepare_cached("DELETE FROM alert_words WHERE rowid = ?")?.execute([key])?;
    Ok(())
}

fn put_evidence(connection: &Connection, key: i64, new: &NewAlert<'_>) -> anyhow::Result<()> {
    let NewAlert { alert, origin, model_hash, config_hash } = new;
    let vector: Vec<u8> = alert.basis.vector.iter().flat_map(|value| value.to_le_bytes()).collect();
    connection
        .prepare_cached(
            "INSERT OR REPLACE INTO alert_evidence VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
        )?
        .execute(params![
            key,
            vector,
            alert.basis.rules,
            alert.basis.baseline,
            &*alert.model,
            model_hash,
            config_hash,
            serde_json::to_string(&alert.reasons)?,
            serde_json::to_string(&alert.samples)?,
            column_sets::name(origin.kind().column_set()),
        ])?;
    Ok(())
}

fn put_point(
    connection: &Connection,
    key: i64,
    alert: &Alert,
    at: Timestamp,
    point: TimelinePoint,
) -> anyhow::Result<()> {
    connection
        .prepare_cached("INSERT OR REPLACE INTO alert_points VALUES (?, ?, ?, ?, ?, ?, ?)")?
        .execute(params![
            key,
            at.ns().cast_signed(),
            point.name(),
            alert.bytes_out,
            alert.bytes_in,
            alert.score,
            Severity::rank(alert.severity),
        ])?;
    Ok(())
}
