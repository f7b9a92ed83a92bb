//! What became of messages, for people.

use anyhow::Context as _;
use rusqlite::{Connection, OptionalExtension as _, Row, params};
use serde::Serialize;
use utoipa::ToSchema;

use crate::store::alerts::key_of;
use crate::store::contacts::unknown;
use crate::verdict::AlertId;

/// The delivery state of a message.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, ToSchema)]
#[serde(rename_all = "snake_case")]
#[schema(as = DeliveryState)]
pub enum State {
    /// To be sent, for the first time or again.
    Queued,
    Sent,
    /// Refused, or given up.
    Failed,
    /// Never tried: there was nobody to send it to.
    Dropped,
}

impl State {
    pub const ALL: [Self; 4] = [Self::Queued, Self::Sent, Self::Failed, Self::Dropped];

    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Queued => "queued",
            Self::Sent => "sent",
            Self::Failed => "failed",
            Self::Dropped => "dropped",
        }
    }

    /// The state of this name.
    #[must_use]
    pub fn of(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|state| state.name() == name)
    }
}

/// A message with its delivery state.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Delivery {
    pub id: i64,
    pub time_ns: u64,
    pub channel: String,
    pub recipient: String,
    /// The alert's id as in links.
    pub alert: Option<String>,
    pub alerts: u64,
    pub state: State,
    pub attempts: u32,
    pub next_attempt_ns: Option<u64>,
    pub tried_ns: Option<u64>,
    pub error: Option<String>,
    pub subject: String,
}

/// Which messages are meant: all that fit everything that is named.
#[derive(Clone, Debug, Default)]
pub struct Filter {
    pub alert: Option<AlertId>,
    pub state: Option<State>,
    pub channel: Option<String>,
    /// Only those with a smaller id.
    pub before: Option<i64>,
    pub limit: u32,
}

/// A channel's messages by state, and its last error where the last attempt failed.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Tally {
    pub channel: String,
    pub queued: u64,
    pub sent: u64,
    pub failed: u64,
    pub dropped: u64,
    pub error: Option<String>,
}

const COLUMNS: &str = "d.id, d.time_ns, d.channel, d.recipient, a.id, a.analysis, d.alerts, \
                       d.state, d.attempts, d.next_attempt_ns, d.tried_ns, d.error, d.subject";
const TABLES: &str = "deliveries AS d LEFT JOIN alerts AS a ON a.key = d.alert";

/// The latest messages that fit.
pub fn deliveries(connection: &Connection, filter: &Filter) -> anyhow::Result<Vec<Delivery>> {
    let query = format!(
        "SELECT {COLUMNS} FROM {TABLES}
         WHERE (?1 IS NULL OR d.state = ?1) AND (?2 IS NULL OR d.channel = ?2)
             AND (?3 IS NULL OR d.id < ?3)
             AND (?4 IS NULL OR d.id IN (
                 SELECT delivery FROM delivered WHERE delivered.alert = ?4))
         ORDER BY d.id DESC LIMIT ?5"
    );
    let mut statement = connection.prepare_cached(&query)?;
    let alert = match filter.alert {
        // No alert has the key 0.
        Some(id) => Some(key_of(connection, id)?.unwrap_or(0)),
        None => None,
    };
    let state = filter.state.map(State::name);
    let rows = statement
        .query_map(params![state, filter.channel, filter.before, alert, filter.limit], of)?;
    Ok(rows.collect::<Result<_, _>>()?)
}

/// One message.
pub fn delivery(connection: &Connection, id: i64) -> anyhow::Result<Delivery> {
    let query = format!("SELECT {COLUMNS} FROM {TABLES} WHERE d.id = ?");
    let found = connection.query_row(&query, [id], of).optional()?;
    found.with_context(|| unknown("delivery", id))
}

fn of(row: &Row<'_>) -> rusqlite::Result<Delivery> {
    let (id, analysis): (Option<i64>, Option<i64>) = (row.get(4)?, row.get(5)?);
    let state: String = row.get(7)?;
    Ok(Delivery {
        id: row.get(0)?,
        time_ns: row.get(1)?,
        channel: row.get(2)?,
        recipient: row.get(3)?,
        alert: id
            .zip(analysis)
            .map(|(id, analysis)| AlertId { number: id.cast_unsigned(), analysis }.to_string()),
        alerts: row.get(6)?,
        state: State::of(&state).unwrap_or(State::Queued),
        attempts: row.get(8)?,
        next_attempt_ns: row.get(9)?,
        tried_ns: row.get(10)?,
        error: row.get(11)?,
        subject: row.get(12)?,
    })
}

/// Every channel that messages went to, or were to go to.
pub fn tallies(connection: &Connection) -> anyhow::Result<Vec<Tally>> {
    let mut counts = connection
        .prepare_cached("SELECT channel, state, count(*) FROM deliveries GROUP BY 1, 2")?;
    let counts = counts.query_map([], |row| Ok((row.get(0)?, row.get(1)?, row.get(2)?)))?;
    let mut tallies: Vec<Tally> = Vec::new();
    for row in counts {
        let (channel, state, count): (String, String, u64) = row?;
        if tallies.last().is_none_or(|tally| tally.channel != channel) {
            tallies.push(Tally { channel, ..Tally::default() });
        }
        let Some(tally) = tallies.last_mut() else { continue };
        match State::of(&state) {
            Some(State::Queued) => tally.queued = count,
            Some(State::Sent) => tally.sent = count,
            Some(State::Failed) => tally.failed = count,
            Some(State::Dropped) => tally.dropped = count,
            None => {}
        }
    }
    for tally in &mut tallies {
        tally.error = last_error(connection, &tally.channel)?;
    }
    Ok(tallies)
}

fn last_error(connection: &Connection, channel: &str) -> anyhow::Result<Option<String>> {
    let mut last = connection.prepare_cached(
        "SELECT error FROM deliveries WHERE channel = ? AND tried_ns IS NOT NULL
         ORDER BY tried_ns DESC LIMIT 1",
    )?;
    let error = last.query_row([channel], |row| row.get(0)).optional()?;
    Ok(error.flatten())
}
