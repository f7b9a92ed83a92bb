//! The outbox: what is to be sent, until it is; and what became of it.
//!
//! Alerts wait in `pending`, by rule; put into messages they become `deliveries`, one for each
//! recipient, in the same commit that takes them out of `pending`. A delivery is sent or given up,
//! never forgotten.

mod listing;

use std::time::Duration;

use rusqlite::{Connection, OptionalExtension as _, Row, params};

use super::rules::{self, Rule};

pub use listing::{Delivery, Filter, State, Tally, deliveries, delivery, tallies};

/// A rule with what it has to tell.
#[derive(Clone, Debug)]
pub struct Due {
    pub rule: Rule,
    /// When the longest waiting alert was noted.
    pub since_ns: u64,
    pub pending: Vec<Pending>,
}

/// An alert that waits.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Pending {
    pub id: i64,
    /// The alert's key.
    pub alert: i64,
}

/// A message to one recipient that is about to be put into the outbox.
#[derive(Clone, Debug)]
pub struct NewDelivery {
    /// Two with the same mark are the same message: the second is left out.
    pub mark: String,
    pub channel: String,
    pub recipient: String,
    pub rule: Option<i64>,
    /// The keys of its alerts.
    pub alerts: Vec<i64>,
    pub subject: String,
    /// Whatever the channel sends.
    pub message: String,
    /// Why it is not sent at all; none: it is to be.
    pub dropped: Option<String>,
}

/// A message that is to be sent now.
#[derive(Clone, Debug)]
pub struct Outgoing {
    pub id: i64,
    pub mark: String,
    pub time_ns: u64,
    pub recipient: String,
    pub subject: String,
    pub message: String,
    /// So many were in vain.
    pub attempts: u32,
}

/// What became of an attempt.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Outcome {
    Sent,
    /// To be tried again then.
    Again {
        at_ns: u64,
        error: String,
    },
    Failed {
        error: String,
    },
}

/// What waits at most for one rule at a time; the rest is for the next time.
const AT_ONCE: u32 = 1_000;

/// Every rule that has something to tell at `now_ns`.
pub fn due(connection: &Connection, now_ns: u64) -> anyhow::Result<Vec<Due>> {
    let mut ids = connection.prepare_cached(
        "SELECT rule, min(time_ns) FROM pending WHERE due_ns <= ? GROUP BY rule ORDER BY 2",
    )?;
    let ids = ids.query_map([now_ns], |row| Ok((row.get(0)?, row.get(1)?)))?;
    let ids: Vec<(i64, u64)> = ids.collect::<Result<_, _>>()?;
    let mut pending = connection.prepare_cached(
        "SELECT id, alert FROM pending WHERE rule = ? AND due_ns <= ? ORDER BY id LIMIT ?",
    )?;
    let mut all = Vec::new();
    for (rule, since_ns) in ids {
        let rows = pending.query_map(params![rule, now_ns, AT_ONCE], |row| {
            Ok(Pending { id: row.get(0)?, alert: row.get(1)? })
        })?;
        let pending = rows.collect::<Result<_, _>>()?;
        all.push(Due { rule: rules::rule(connection, rule)?, since_ns, pending });
    }
    Ok(all)
}

/// When the next alert is due after `now_ns`.
pub fn next_due(connection: &Connection, now_ns: u64) -> anyhow::Result<Option<u64>> {
    let mut next = connection.prepare_cached("SELECT min(due_ns) FROM pending WHERE due_ns > ?")?;
    Ok(next.query_row([now_ns], |row| row.get(0))?)
}

/// Puts messages into the outbox and takes what they tell of out of what waits. Returns how many
/// were new.
pub fn put(
    connection: &Connection,
    messages: &[NewDelivery],
    told: &[Pending],
    now_ns: u64,
) -> anyhow::Result<usize> {
    let mut new = 0;
    for message in messages {
        new += insert(connection, message, now_ns)?;
    }
    let mut remove = connection.prepare_cached("DELETE FROM pending WHERE id = ?")?;
    for pending in told {
        remove.execute([pending.id])?;
    }
    Ok(new)
}

/// Returns whether it was new, as 0 or 1.
fn insert(connection: &Connection, message: &NewDelivery, now_ns: u64) -> anyhow::Result<usize> {
    let state = if message.dropped.is_some() { State::Dropped } else { State::Queued };
    let next_attempt = (state == State::Queued).then_some(now_ns);
    let inserted = connection
        .prepare_cached(
            "INSERT INTO deliveries (mark, time_ns, channel, recipient, rule, alert, alerts,
                 subject, message, state, attempts, next_attempt_ns, error)
             VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, 0, ?, ?) ON CONFLICT (mark) DO NOTHING",
        )?
        .execute(params![
            message.mark,
            now_ns,
            message.channel,
            message.recipient,
            message.rule,
            message.alerts.first(),
            message.alerts.len(),
            message.subject,
            message.message,
            state.name(),
            next_attempt,
            message.dropped,
        ])?;
    if inserted != 0 {
        let delivery = connection.last_insert_rowid();
        let mut link =
            connection.prepare_cached("INSERT OR IGNORE INTO delivered VALUES (?, ?)")?;
        for alert in &message.alerts {
            link.execute([*alert, delivery])?;
        }
    }
    Ok(inserted)
}

/// The message of `channel` that is to be tried first of those whose time has come.
pub fn next(
    connection: &Connection,
    channel: &str,
    now_ns: u64,
) -> anyhow::Result<Option<Outgoing>> {
    let mut statement = connection.prepare_cached(
        "SELECT id, mark, time_ns, recipient, subject, message, attempts FROM deliveries
         WHERE channel = ? AND state = 'queued' AND next_attempt_ns <= ?
         ORDER BY next_attempt_ns, id LIMIT 1",
    )?;
    Ok(statement.query_row(params![channel, now_ns], outgoing).optional()?)
}

fn outgoing(row: &Row<'_>) -> rusqlite::Result<Outgoing> {
    Ok(Outgoing {
        id: row.get(0)?,
        mark: row.get(1)?,
        time_ns: row.get(2)?,
        recipient: row.get(3)?,
        subject: row.get(4)?,
        message: row.get(5)?,
        attempts: row.get(6)?,
    })
}

/// How many messages of `channel` wait to be sent.
pub fn queued(connection: &Connection, channel: &str) -> anyhow::Result<u64> {
    let mut statement = connection
        .prepare_cached("SELECT count(*) FROM deliveries WHERE channel = ? AND state = 'queued'")?;
    Ok(statement.query_row([channel], |row| row.get(0))?)
}

/// Writes down what became of an attempt at `now_ns`.
pub fn record(
    connection: &Connection,
    id: i64,
    outcome: &Outcome,
    now_ns: u64,
) -> anyhow::Result<()> {
    let (state, next, error) = match outcome {
        Outcome::Sent => (State::Sent, None, None),
        Outcome::Again { at_ns, error } => (State::Queued, Some(at_ns), Some(error)),
        Outcome::Failed { error } => (State::Failed, None, Some(error)),
    };
    connection
        .prepare_cached(
            "UPDATE deliveries SET state = ?, next_attempt_ns = ?, error = ?,
                 attempts = attempts + 1, tried_ns = ? WHERE id = ?",
        )?
        .execute(params![state.name(), next, error, now_ns, id])?;
    Ok(())
}

/// Gives up what `channel` has not sent since `before_ns`, for this reason, and returns how much.
pub fn give_up(
    connection: &Connection,
    channel: &str,
    before_ns: u64,
    error: &str,
    now_ns: u64,
) -> anyhow::Result<usize> {
    let given_up = connection
        .prepare_cached(
            "UPDATE deliveries SET state = 'failed', next_attempt_ns = NULL, tried_ns = ?4,
                 error = ?3 WHERE channel = ?1 AND state = 'queued' AND time_ns < ?2",
        )?
        .execute(params![channel, before_ns, format!("given up: {error}"), now_ns])?;
    Ok(given_up)
}

/// Says why what `channel` has queued is not sent.
pub fn hold(connection: &Connection, channel: &str, error: &str) -> anyhow::Result<()> {
    connection
        .prepare_cached(
            "UPDATE deliveries SET error = ?2
             WHERE channel = ?1 AND state = 'queued' AND error IS NOT ?2",
        )?
        .execute([channel, error])?;
    Ok(())
}

/// The channels that have something queued.
pub fn waiting_channels(connection: &Connection) -> anyhow::Result<Vec<String>> {
    let mut statement = connection
        .prepare_cached("SELECT DISTINCT channel FROM deliveries WHERE state = 'queued'")?;
    let rows = statement.query_map([], |row| row.get(0))?;
    Ok(rows.collect::<Result<_, _>>()?)
}

/// Who is reached through a group: the members' addresses in `field`, each once.
pub fn addresses(
    connection: &Connection,
    group: i64,
    field: AddressField,
) -> anyhow::Result<Vec<String>> {
    let column = match field {
        AddressField::Email => "email",
        AddressField::Phone => "phone",
    };
    let mut statement = connection.prepare_cached(&format!(
        "SELECT {column} FROM contacts JOIN members ON contact = id
         WHERE group_id = ? AND {column} IS NOT NULL GROUP BY {column} ORDER BY min(id)"
    ))?;
    let rows = statement.query_map([group], |row| row.get(0))?;
    Ok(rows.collect::<Result<_, _>>()?)
}

/// What of a contact a channel can reach.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum AddressField {
    Email,
    Phone,
}

/// How long it is remembered at least what was reported, so that an alert that grows is not new.
const TOLD_SECS: u64 = 30 * 86_400;

/// Forgets messages that are over and older than `keep`, and what was reported long ago.
pub fn forget(connection: &Connection, keep: Duration, now_ns: u64) -> anyhow::Result<()> {
    let old = now_ns.saturating_sub(nanos(keep));
    connection.execute("DELETE FROM deliveries WHERE state <> 'queued' AND time_ns < ?", [old])?;
    let told = now_ns.saturating_sub(nanos(Duration::from_secs(TOLD_SECS)));
    connection.execute(
        "DELETE FROM told WHERE time_ns < ?1 AND time_ns < ?2 - 1000000000 *
             (SELECT coalesce(max(repeat_secs), 0) FROM rules)",
        [told, now_ns],
    )?;
    Ok(())
}

fn nanos(duration: Duration) -> u64 {
    u64::try_from(duration.as_nanos()).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests;
