//! How many alerts there are, for a page that shows it all the time.

use rusqlite::Connection;

const DAY_NS: u64 = 86_400_000_000_000;
/// Alerts that are counted at most: beyond it the number says enough, and must not cost more.
pub const MOST: u64 = 100_000;

/// Each at most [`MOST`].
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counts {
    pub open: u64,
    pub acknowledged: u64,
    pub last_24h: u64,
    /// One of them is [`MOST`], and there may be more.
    pub capped: bool,
    /// Those that are open, from low to critical.
    pub by_severity: [u64; 4],
}

/// Counts the alerts.
pub fn alerts(connection: &Connection, now_ns: u64) -> anyhow::Result<Counts> {
    let mut counts = Counts::default();
    let mut open = connection.prepare_cached(
        "SELECT severity, count(*)
         FROM (SELECT severity FROM alerts WHERE status = 'open' LIMIT ?1) GROUP BY severity",
    )?;
    let mut rows = open.query([MOST])?;
    while let Some(row) = rows.next()? {
        let (rank, count): (usize, u64) = (row.get(0)?, row.get(1)?);
        counts.open += count;
        if let Some(place) = counts.by_severity.get_mut(rank) {
            *place = count;
        }
    }
    counts.acknowledged = connection
        .prepare_cached(
            "SELECT count(*) FROM (SELECT 1 FROM alerts WHERE status = 'acknowledged' LIMIT ?1)",
        )?
        .query_row([MOST], |row| row.get(0))?;
    // The key is the time at which an alert opened.
    counts.last_24h = connection
        .prepare_cached("SELECT count(*) FROM (SELECT 1 FROM alerts WHERE key >= ?1 LIMIT ?2)")?
        .query_row((now_ns.saturating_sub(DAY_NS), MOST), |row| row.get(0))?;
    let Counts { open, acknowledged, last_24h, .. } = counts;
    counts.capped = [open, acknowledged, last_24h].contains(&MOST);
    Ok(counts)
}
