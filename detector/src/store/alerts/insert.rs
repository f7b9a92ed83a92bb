//! Taking alerts in: new ones, and those that grew.

use rusqlite::types::Value;
use rusqlite::{Connection, params, params_from_iter};

use super::timeline::TimelinePoint;
use super::{columns, span};
use crate::alerts::{Origin, Status};
use crate::store::column_sets;
use crate::store::rules::{self, Candidate};
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
///
/// # Errors
///
/// A database that cannot be written to.
pub fn insert(connection: &Connection, new: &NewAlert<'_>) -> anyhow::Result<(i64, bool)> {
    let NewAlert { alert, origin, .. } = *new;
    let id = AlertId { analysis: origin.analysis(), ..alert.id };
    let known = match span::key_near(connection, id, alert.first_seen.ns())? {
        Some(key) => Some((key, severity_of(connection, key)?)),
        None => None,
    };
    let severity = known.map_or(0, |(_, severity)| severity).max(alert.severity.rank());
    let (key, point) = match known {
        Some((key, severity)) => {
            grow(connection, key, new)?;
            forget_words(connection, key)?;
            let worse = severity < alert.severity.rank();
            (key, if worse { TimelinePoint::Worsened } else { TimelinePoint::Grew })
        }
        None => (put(connection, new)?, TimelinePoint::Opened),
    };
    put_words(connection, key, alert)?;
    put_evidence(connection, key, new)?;
    put_point(connection, key, alert, point)?;
    if alert.action != ActionTaken::None {
        put_point(connection, key, alert, TimelinePoint::Acted(alert.action))?;
    }
    let (technique, src, dst) = (alert.technique.name(), alert.src, alert.dst);
    rules::enqueue(connection, &Candidate { key, severity, technique, src, dst })?;
    Ok((key, known.is_none()))
}

fn severity_of(connection: &Connection, key: i64) -> anyhow::Result<u8> {
    let mut statement = connection.prepare_cached("SELECT severity FROM alerts WHERE key = ?")?;
    Ok(statement.query_row([key], |row| row.get(0))?)
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
    point: TimelinePoint,
) -> anyhow::Result<()> {
    connection
        .prepare_cached("INSERT OR REPLACE INTO alert_points VALUES (?, ?, ?, ?, ?, ?, ?)")?
        .execute(params![
            key,
            alert.time.ns().cast_signed(),
            point.name(),
            alert.bytes_out,
            alert.bytes_in,
            alert.score,
            Severity::rank(alert.severity),
        ])?;
    Ok(())
}
