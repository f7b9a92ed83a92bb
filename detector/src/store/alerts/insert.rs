//! Taking alerts in: new ones, and those that grew.

use rusqlite::{Connection, params};

use crate::features::Kind;
use crate::network::ip;
use crate::verdict::alert::protocol_name;
use crate::verdict::{Alert, Severity};

use super::detail::{HeadLine, ReasonLine};
use super::row::PublicId;
use super::span;
use super::timeline::TimelinePoint;
use crate::store::column_sets;
use crate::store::rules::{self, StoredAlert};

/// Where an alert comes from.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Origin {
    #[default]
    Live,
    Capture {
        capture: i64,
        analysis: i64,
    },
    /// A record of a log.
    Record,
}

impl Origin {
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Live => "live",
            Self::Capture { .. } => "capture",
            Self::Record => "record",
        }
    }

    /// What the alert's vector describes.
    fn kind(self) -> Kind {
        match self {
            Self::Live | Self::Capture { .. } => Kind::Session,
            Self::Record => Kind::Record,
        }
    }

    fn analysis(self) -> i64 {
        match self {
            Self::Capture { analysis, .. } => analysis,
            Self::Live | Self::Record => 0,
        }
    }

    fn capture(self) -> Option<i64> {
        match self {
            Self::Capture { capture, .. } => Some(capture),
            Self::Live | Self::Record => None,
        }
    }
}

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
    let id = PublicId { id: alert.id.0, analysis: origin.analysis() };
    let known = match span::key_near(connection, id, alert.first_seen_ns)? {
        Some(key) => Some((key, severity_of(connection, key)?)),
        None => None,
    };
    let severity = known.map_or(0, |(_, severity)| severity).max(alert.severity.rank());
    let (key, point) = match known {
        Some((key, severity)) => {
            update(connection, key, alert)?;
            forget_words(connection, key)?;
            let worse = severity < alert.severity.rank();
            (key, if worse { TimelinePoint::Worsened } else { TimelinePoint::Grew })
        }
        None => (put(connection, new)?, TimelinePoint::Opened),
    };
    put_words(connection, key, alert)?;
    put_evidence(connection, key, new)?;
    put_point(connection, key, alert, point)?;
    if alert.action != crate::verdict::ActionTaken::None {
        put_point(connection, key, alert, TimelinePoint::Acted(alert.action))?;
    }
    let (technique, src, dst) = (alert.technique.name(), alert.src, alert.dst);
    rules::enqueue(connection, &StoredAlert { key, severity, technique, src, dst })?;
    Ok((key, known.is_none()))
}

fn severity_of(connection: &Connection, key: i64) -> anyhow::Result<u8> {
    let mut statement = connection.prepare_cached("SELECT severity FROM alerts WHERE key = ?")?;
    Ok(statement.query_row([key], |row| row.get(0))?)
}

fn put(connection: &Connection, new: &NewAlert<'_>) -> anyhow::Result<i64> {
    let NewAlert { alert, origin, .. } = new;
    let mut statement = connection.prepare_cached(
        "INSERT INTO alerts VALUES (?, ?, ?, ?, ?, ?, 'open', NULL, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, \
         ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?) ON CONFLICT (key) DO NOTHING",
    )?;
    let mut key = alert.time_ns as i64;
    loop {
        let inserted = statement.execute(params![
            key,
            alert.id.0 as i64,
            origin.analysis(),
            origin.name(),
            origin.capture(),
            alert.revision,
            alert.time_ns as i64,
            alert.first_seen_ns as i64,
            alert.src,
            alert.src_port,
            alert.dst,
            alert.dst_port,
            protocol_name(alert.protocol),
            alert.src_opened,
            alert.technique.name(),
            alert.severity.rank(),
            alert.score,
            alert.raw_score,
            alert.threshold,
            alert.bytes_out,
            alert.bytes_in,
            alert.packets_out,
            alert.packets_in,
            alert.bytes_leaked,
            alert.bytes_leaked_before_block,
            alert.dst_name.as_deref(),
            alert.domain.as_deref(),
            alert.community_id,
            alert.ja4.as_deref(),
            alert.action.name(),
            alert.action_note,
            alert.headline(),
        ])?;
        if inserted == 1 {
            return Ok(key);
        }
        key += 1;
    }
}

fn update(connection: &Connection, key: i64, alert: &Alert) -> anyhow::Result<()> {
    connection
        .prepare_cached(
            "UPDATE alerts SET revision = max(revision, ?), time_ns = ?, technique = ?,
                severity = max(severity, ?), score = ?, raw_score = ?, threshold = ?, bytes_out = ?,
                bytes_in = ?, packets_out = ?, packets_in = ?,
                bytes_leaked_before_block = coalesce(bytes_leaked_before_block, ?),
                dst_name = ?, domain = ?, ja4 = ?,
                action = CASE ? WHEN 'none' THEN action ELSE ? END,
                action_note = coalesce(?, action_note), headline = ?
             WHERE key = ?",
        )?
        .execute(params![
            alert.revision,
            alert.time_ns as i64,
            alert.technique.name(),
            alert.severity.rank(),
            alert.score,
            alert.raw_score,
            alert.threshold,
            alert.bytes_out,
            alert.bytes_in,
            alert.packets_out,
            alert.packets_in,
            alert.bytes_leaked_before_block,
            alert.dst_name.as_deref(),
            alert.domain.as_deref(),
            alert.ja4.as_deref(),
            alert.action.name(),
            alert.action.name(),
            alert.action_note,
            alert.headline(),
            key,
        ])?;
    Ok(())
}

/// What a search for words looks through.
fn put_words(connection: &Connection, key: i64, alert: &Alert) -> anyhow::Result<()> {
    let names = [alert.dst_name.as_deref(), alert.domain.as_deref()];
    let names: Vec<&str> = names.into_iter().flatten().collect();
    let mut text = format!(
        "{} {} {} {} {} {} {}",
        alert.id,
        alert.headline(),
        ip(&alert.src),
        ip(&alert.dst),
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
    let reasons: Vec<ReasonLine> = alert.reasons.iter().map(ReasonLine::of).collect();
    let heads: Vec<HeadLine> = alert.heads.iter().map(HeadLine::of).collect();
    connection
        .prepare_cached(
            "INSERT OR REPLACE INTO alert_evidence VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
        )?
        .execute(params![
            key,
            vector,
            alert.basis.rules,
            alert.basis.habit,
            &*alert.model,
            model_hash,
            config_hash,
            serde_json::to_string(&reasons)?,
            serde_json::to_string(&heads)?,
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
            alert.time_ns as i64,
            point.name(),
            alert.bytes_out,
            alert.bytes_in,
            alert.score,
            Severity::rank(alert.severity),
        ])?;
    Ok(())
}
