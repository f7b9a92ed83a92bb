//! Hosts: what each carried, in all and over time.

use rusqlite::{Connection, params, params_from_iter};
use serde::Serialize;
use utoipa::ToSchema;

use super::{Period, time};
use crate::network::Address;

/// Whom the newest open alerts flag: counting ends there.
const OPEN: &str = "SELECT src FROM alerts WHERE status = 'open' ORDER BY key DESC LIMIT 10000";

/// A host with its total traffic.
#[derive(Clone, Debug, PartialEq)]
pub struct HostRow {
    pub address: Address,
    pub home: bool,
    pub first_seen: String,
    pub last_seen: String,
    pub bytes_out: u64,
    pub bytes_in: u64,
    pub alerts_open: u64,
}

/// One host, at home or outside; none where nothing is known of it.
pub fn host(connection: &Connection, address: Address) -> anyhow::Result<Option<HostRow>> {
    match hosts(connection, Some(address), 1)?.pop() {
        Some(row) => Ok(Some(row)),
        None => outside(connection, address),
    }
}

/// One that is not at home, by the sessions that are kept.
fn outside(connection: &Connection, address: Address) -> anyhow::Result<Option<HostRow>> {
    let mut statement = connection.prepare_cached(&format!(
        "SELECT min(start), max(start + span_secs), sum(bytes_in), sum(bytes_out),
                (SELECT count(*) FROM ({OPEN}) WHERE src = ?1)
         FROM sessions WHERE dst = ?1"
    ))?;
    let row = statement.query_row([address], |row| {
        // A sum over nothing is null.
        let Some(first) = row.get::<_, Option<u64>>(0)? else { return Ok(None) };
        Ok(Some(HostRow {
            address,
            home: false,
            first_seen: time(first),
            last_seen: time(row.get(1)?),
            bytes_out: row.get(2)?,
            bytes_in: row.get(3)?,
            alerts_open: row.get(4)?,
        }))
    })?;
    Ok(row)
}

/// Hosts at home, those that sent the most first; or the one that is named.
pub fn hosts(
    connection: &Connection,
    one: Option<Address>,
    limit: usize,
) -> anyhow::Result<Vec<HostRow>> {
    let sql = format!(
        "WITH open AS (SELECT src, count(*) AS count FROM ({OPEN}) GROUP BY src)
         SELECT address, home, first_seen, last_seen, bytes_out, bytes_in, coalesce(open.count, 0)
         FROM hosts LEFT JOIN open ON open.src = hosts.address {} ORDER BY bytes_out DESC LIMIT {limit}",
        if one.is_some() { "WHERE address = ?" } else { "" }
    );
    let mut statement = connection.prepare_cached(&sql)?;
    let rows = statement.query_map(params_from_iter(one), |row| {
        Ok(HostRow {
            address: row.get(0)?,
            home: row.get(1)?,
            first_seen: time(row.get(2)?),
            last_seen: time(row.get(3)?),
            bytes_out: row.get(4)?,
            bytes_in: row.get(5)?,
            alerts_open: row.get(6)?,
        })
    })?;
    Ok(rows.collect::<rusqlite::Result<_>>()?)
}

/// Traffic of a host in one step.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, ToSchema)]
pub struct HostPoint {
    pub time: String,
    pub bytes_out: u64,
    pub bytes_in: u64,
}

/// A host's traffic in steps.
pub fn host_points(
    connection: &Connection,
    host: Address,
    period: Period,
    step_secs: u64,
) -> anyhow::Result<Vec<HostPoint>> {
    let mut statement = connection.prepare_cached(
        "SELECT step, sum(sent), sum(received) FROM (
            SELECT start / ?4 * ?4 AS step, bytes_out AS sent, bytes_in AS received FROM sessions
            WHERE src = ?1 AND start >= ?2 AND start < ?3
            UNION ALL
            SELECT start / ?4 * ?4, bytes_in, bytes_out FROM sessions
            WHERE dst = ?1 AND start >= ?2 AND start < ?3)
         GROUP BY step ORDER BY step",
    )?;
    let points = statement.query_map(params![host, period.from, period.to, step_secs], |row| {
        Ok(HostPoint { time: time(row.get(0)?), bytes_out: row.get(1)?, bytes_in: row.get(2)? })
    })?;
    Ok(points.collect::<rusqlite::Result<_>>()?)
}
