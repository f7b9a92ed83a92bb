//! Traffic by the minute: what the interfaces carried, what each session carried, how it scored.
//!
//! What is written is added to what is there, so that a minute may be written in pieces.

pub mod hosts;
pub mod log;

use rusqlite::types::Value;
use rusqlite::{Connection, OptionalExtension as _, params, params_from_iter};
use serde::Serialize;
use utoipa::ToSchema;

use self::log::{Scores, TrafficBatch};
use crate::network::{Address, Network};
use crate::units::rfc3339;
use crate::verdict::alert::protocol_name;

/// Sessions are kept in spans of so many seconds.
const SPAN_SECS: u64 = 60;
pub(super) const HOUR_SECS: u64 = 3_600;
const SECOND_NS: u64 = 1_000_000_000;

/// What all interfaces carried.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Carried {
    pub bytes_out: u64,
    pub bytes_in: u64,
    pub packets: u64,
    /// Of the frames on the interfaces.
    pub seen_bytes: u64,
    pub unaccounted_bytes: u64,
    /// Alerts that opened.
    pub alerts: u64,
}

/// Adds to the minute that begins at `minute`, seconds since the Unix epoch.
pub fn add(
    connection: &Connection,
    minute: u64,
    carried: &Carried,
    page: &TrafficBatch,
) -> anyhow::Result<()> {
    connection
        .prepare_cached(
            "INSERT INTO minutes VALUES (?, ?, ?, ?, ?, ?, ?) ON CONFLICT (minute) DO UPDATE SET
                bytes_out = bytes_out + excluded.bytes_out,
                bytes_in = bytes_in + excluded.bytes_in,
                packets = packets + excluded.packets,
                seen_bytes = seen_bytes + excluded.seen_bytes,
                unaccounted_bytes = unaccounted_bytes + excluded.unaccounted_bytes,
                alerts = alerts + excluded.alerts",
        )?
        .execute(params![
            minute,
            carried.bytes_out,
            carried.bytes_in,
            carried.packets,
            carried.seen_bytes,
            carried.unaccounted_bytes,
            carried.alerts
        ])?;
    add_scores(connection, minute, "live", &page.scores)?;
    add_sessions(connection, minute, page)?;
    add_hosts(connection, minute, page)
}

/// Adds scores to a minute; `origin` is `live` or `record`.
pub fn add_scores(
    connection: &Connection,
    minute: u64,
    origin: &str,
    scores: &Scores,
) -> anyhow::Result<()> {
    if scores.count == 0 {
        return Ok(());
    }
    connection
        .prepare_cached(
            "INSERT INTO probabilities VALUES (?, ?, ?, ?, ?) ON CONFLICT (minute, origin) DO \
             UPDATE SET
                scored = scored + excluded.scored, highest = max(highest, excluded.highest),
                total = total + excluded.total",
        )?
        .execute(params![minute, origin, scores.count, scores.highest, scores.total])?;
    Ok(())
}

fn add_sessions(connection: &Connection, minute: u64, page: &TrafficBatch) -> anyhow::Result<()> {
    let mut statement = connection.prepare_cached(
        "INSERT INTO sessions VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)
         ON CONFLICT (start, src, dst, protocol, dst_port) DO UPDATE SET
            name = coalesce(excluded.name, name),
            bytes_out = bytes_out + excluded.bytes_out, bytes_in = bytes_in + excluded.bytes_in,
            packets_out = packets_out + excluded.packets_out,
            packets_in = packets_in + excluded.packets_in,
            flows = max(flows, excluded.flows), score = max(score, excluded.score)",
    )?;
    for (ends, line) in &page.lines {
        statement.execute(params![
            minute,
            SPAN_SECS,
            ends.src,
            ends.dst,
            protocol_name(ends.protocol),
            ends.dst_port,
            line.name.as_deref(),
            line.bytes_out,
            line.bytes_in,
            line.packets_out,
            line.packets_in,
            line.flows,
            line.score
        ])?;
    }
    Ok(())
}

fn add_hosts(connection: &Connection, minute: u64, page: &TrafficBatch) -> anyhow::Result<()> {
    let mut statement = connection.prepare_cached(
        "INSERT INTO hosts VALUES (?1, ?2, ?3, ?3, ?4, ?5) ON CONFLICT (address) DO UPDATE SET
            home = excluded.home, last_seen = max(last_seen, excluded.last_seen),
            bytes_out = bytes_out + excluded.bytes_out, bytes_in = bytes_in + excluded.bytes_in",
    )?;
    for (ends, line) in &page.lines {
        if line.src_home {
            statement.execute(params![ends.src, true, minute, line.bytes_out, line.bytes_in])?;
        }
        if line.dst_home {
            statement.execute(params![ends.dst, true, minute, line.bytes_in, line.bytes_out])?;
        }
    }
    Ok(())
}

/// A time range, in seconds since the Unix epoch; the end is not included.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Period {
    pub from: u64,
    pub to: u64,
}

/// Traffic and scores in one step.
#[derive(Clone, Debug, Default, PartialEq, Serialize, ToSchema)]
pub struct TrafficPoint {
    pub time: String,
    pub bytes_out: u64,
    pub bytes_in: u64,
    pub packets: u64,
    /// Vectors and records that were scored.
    pub scored: u64,
    /// Null when nothing was scored.
    pub probability_max: Option<f64>,
    pub probability_mean: Option<f64>,
    pub alerts: u64,
}

/// A period in steps; those in which nothing was written are left out.
pub fn traffic(
    connection: &Connection,
    period: Period,
    step_secs: u64,
) -> anyhow::Result<Vec<TrafficPoint>> {
    let mut statement = connection.prepare_cached(
        "SELECT step, sum(bytes_out), sum(bytes_in), sum(packets), sum(alerts), sum(scored), \
         max(highest),
                sum(total)
         FROM (SELECT minute / ?3 * ?3 AS step, bytes_out, bytes_in, packets, alerts, 0 AS scored,
                      NULL AS highest, 0.0 AS total
               FROM minutes WHERE minute >= ?1 AND minute < ?2
               UNION ALL
               SELECT minute / ?3 * ?3, 0, 0, 0, 0, scored, highest, total
               FROM probabilities WHERE minute >= ?1 AND minute < ?2)
         GROUP BY step ORDER BY step",
    )?;
    let points = statement.query_map(params![period.from, period.to, step_secs], |row| {
        let scored: u64 = row.get(5)?;
        let total: f64 = row.get(7)?;
        Ok(TrafficPoint {
            time: time(row.get(0)?),
            bytes_out: row.get(1)?,
            bytes_in: row.get(2)?,
            packets: row.get(3)?,
            alerts: row.get(4)?,
            scored,
            probability_max: row.get(6)?,
            probability_mean: (scored != 0).then(|| total / scored as f64),
        })
    })?;
    Ok(points.collect::<rusqlite::Result<_>>()?)
}

/// The grouping of the sums.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum By {
    Sources,
    Destinations,
    Ports,
    Protocols,
}

/// A sum over a period.
#[derive(Clone, Debug, PartialEq, Serialize, ToSchema)]
pub struct Top {
    pub key: String,
    pub name: Option<String>,
    pub bytes_out: u64,
    pub bytes_in: u64,
    pub sessions: u64,
}

/// The largest senders or receivers.
pub fn top(
    connection: &Connection,
    by: By,
    period: Period,
    limit: usize,
) -> anyhow::Result<Vec<Top>> {
    let (key, name) = match by {
        By::Sources => ("src", "NULL"),
        By::Destinations => ("dst", "max(name)"),
        By::Ports => ("dst_port", "protocol"),
        By::Protocols => ("protocol", "NULL"),
    };
    let group = if by == By::Ports { "dst_port, protocol" } else { key };
    let sql = format!(
        "SELECT {key}, {name}, sum(bytes_out), sum(bytes_in), count(DISTINCT src || dst || dst_port)
         FROM sessions WHERE start >= ? AND start < ? GROUP BY {group}
         ORDER BY sum(bytes_out) DESC LIMIT {limit}"
    );
    let mut statement = connection.prepare_cached(&sql)?;
    let rows = statement.query_map(params![period.from, period.to], |row| {
        let key = match by {
            By::Sources | By::Destinations => row.get::<_, Address>(0)?.to_string(),
            By::Ports => row.get::<_, u16>(0)?.to_string(),
            By::Protocols => row.get(0)?,
        };
        Ok(Top {
            key,
            name: row.get(1)?,
            bytes_out: row.get(2)?,
            bytes_in: row.get(3)?,
            sessions: row.get(4)?,
        })
    })?;
    Ok(rows.collect::<rusqlite::Result<_>>()?)
}

/// Traffic between a sender and a receiver.
#[derive(Clone, Debug, PartialEq, Serialize, ToSchema)]
pub struct Talk {
    pub src: String,
    pub dst: String,
    pub dst_name: Option<String>,
    pub dst_port: u16,
    pub protocol: String,
    pub bytes_out: u64,
    pub bytes_in: u64,
    /// Minutes or hours with traffic.
    pub sessions: u64,
}

/// Pairs that carried the most, those of `host` where one is given.
pub fn talks(
    connection: &Connection,
    period: Period,
    host: Option<Address>,
    limit: usize,
) -> anyhow::Result<Vec<Talk>> {
    let of_host = |column: &str| {
        format!("SELECT * FROM sessions WHERE {column} = ?3 AND start >= ?1 AND start < ?2")
    };
    let (rows, mut values) = match host {
        None => ("SELECT * FROM sessions WHERE start >= ?1 AND start < ?2".to_owned(), Vec::new()),
        Some(host) => {
            let both = format!("{} UNION {}", of_host("src"), of_host("dst"));
            (both, vec![host.into()])
        }
    };
    let sql = format!(
        "SELECT src, dst, max(name), dst_port, protocol, sum(bytes_out), sum(bytes_in), count(*)
         FROM ({rows}) GROUP BY src, dst, protocol, dst_port ORDER BY sum(bytes_out) DESC LIMIT {limit}"
    );
    let mut all = vec![Value::Integer(period.from as i64), Value::Integer(period.to as i64)];
    all.append(&mut values);
    let mut statement = connection.prepare_cached(&sql)?;
    let talks = statement.query_map(params_from_iter(all), |row| {
        Ok(Talk {
            src: row.get::<_, Address>(0)?.to_string(),
            dst: row.get::<_, Address>(1)?.to_string(),
            dst_name: row.get(2)?,
            dst_port: row.get(3)?,
            protocol: row.get(4)?,
            bytes_out: row.get(5)?,
            bytes_in: row.get(6)?,
            sessions: row.get(7)?,
        })
    })?;
    Ok(talks.collect::<rusqlite::Result<_>>()?)
}

/// The traffic of a session in a span.
#[derive(Clone, Debug, PartialEq, Serialize, ToSchema)]
pub struct SessionRow {
    pub start: String,
    pub end: String,
    /// The internal end; if neither or both are internal, the one that opened the session.
    pub src: String,
    pub dst: String,
    pub dst_port: u16,
    pub protocol: String,
    pub name: Option<String>,
    pub bytes_out: u64,
    pub bytes_in: u64,
    pub packets_out: u64,
    pub packets_in: u64,
    pub flows: u64,
    /// The highest score.
    pub score: f64,
    #[serde(skip)]
    pub cursor: String,
}

/// Which sessions are meant.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct SessionFilter {
    pub address: Option<Network>,
    pub src: Option<Network>,
    pub dst: Option<Network>,
    pub port: Option<u16>,
    pub protocol: Option<String>,
    /// A name, or its end after a dot.
    pub name: Option<String>,
    pub period: Option<Period>,
}

/// Sessions, newest first, `limit` of those after `cursor`.
pub fn sessions(
    connection: &Connection,
    filter: &SessionFilter,
    cursor: Option<&Cursor>,
    limit: usize,
) -> anyhow::Result<Vec<SessionRow>> {
    let (mut sql, mut values) = filter.clauses();
    if let Some(cursor) = cursor {
        sql.push_str(" AND (start, src, dst, protocol, dst_port) < (?, ?, ?, ?, ?)");
        values.extend(cursor.values());
    }
    let sql = format!(
        "SELECT start, span_secs, src, dst, dst_port, protocol, name, bytes_out, bytes_in, \
         packets_out,
                packets_in, flows, score
         FROM sessions WHERE 1{sql}
         ORDER BY start DESC, src DESC, dst DESC, protocol DESC, dst_port DESC LIMIT {limit}"
    );
    let mut statement = connection.prepare_cached(&sql)?;
    let rows = statement.query_map(params_from_iter(values), |row| {
        let (start, span): (u64, u64) = (row.get(0)?, row.get(1)?);
        let (src, dst): (Address, Address) = (row.get(2)?, row.get(3)?);
        let (dst_port, protocol): (u16, String) = (row.get(4)?, row.get(5)?);
        Ok(SessionRow {
            cursor: Cursor::text(start, src, dst, &protocol, dst_port),
            start: time(start),
            end: time(start + span),
            src: src.to_string(),
            dst: dst.to_string(),
            dst_port,
            protocol,
            name: row.get(6)?,
            bytes_out: row.get(7)?,
            bytes_in: row.get(8)?,
            packets_out: row.get(9)?,
            packets_in: row.get(10)?,
            flows: row.get(11)?,
            score: row.get(12)?,
        })
    })?;
    Ok(rows.collect::<rusqlite::Result<_>>()?)
}

impl SessionFilter {
    fn clauses(&self) -> (String, Vec<Value>) {
        let mut sql = String::new();
        let mut values = Vec::new();
        let ends: [(&[&str], Option<Network>); 3] =
            [(&["src", "dst"], self.address), (&["src"], self.src), (&["dst"], self.dst)];
        for (columns, network) in
            ends.into_iter().filter_map(|(columns, network)| Some((columns, network?)))
        {
            let (first, last) = network.bounds();
            let either: Vec<String> =
                columns.iter().map(|column| format!("{column} BETWEEN ? AND ?")).collect();
            sql.push_str(&format!(" AND ({})", either.join(" OR ")));
            for _ in columns {
                values.extend([first.into(), last.into()]);
            }
        }
        if let Some(port) = self.port {
            sql.push_str(" AND dst_port = ?");
            values.push(Value::Integer(i64::from(port)));
        }
        if let Some(protocol) = &self.protocol {
            sql.push_str(" AND protocol = ?");
            values.push(Value::Text(protocol.clone()));
        }
        if let Some(name) = &self.name {
            sql.push_str(" AND (name = ? OR substr(name, -length(?)) = ?)");
            let ending = Value::Text(format!(".{name}"));
            values.extend([Value::Text(name.clone()), ending.clone(), ending]);
        }
        if let Some(period) = self.period {
            sql.push_str(" AND start >= ? AND start < ?");
            values.extend([Value::Integer(period.from as i64), Value::Integer(period.to as i64)]);
        }
        (sql, values)
    }
}

/// The last session of a page.
#[derive(Clone, Debug, PartialEq)]
pub struct Cursor {
    start: u64,
    src: Address,
    dst: Address,
    protocol: String,
    dst_port: u16,
}

impl Cursor {
    fn text(start: u64, src: Address, dst: Address, protocol: &str, dst_port: u16) -> String {
        format!("{start}_{src}_{dst}_{protocol}_{dst_port}")
    }

    /// Reads what a page said; none where it is no cursor.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        let parts: Vec<&str> = text.split('_').collect();
        let [start, src, dst, protocol, dst_port] = parts.as_slice() else { return None };
        Some(Self {
            start: start.parse().ok().filter(|start| i64::try_from(*start).is_ok())?,
            src: src.parse().ok()?,
            dst: dst.parse().ok()?,
            protocol: (*protocol).to_owned(),
            dst_port: dst_port.parse().ok()?,
        })
    }

    fn values(&self) -> [Value; 5] {
        [
            Value::Integer(self.start as i64),
            self.src.into(),
            self.dst.into(),
            Value::Text(self.protocol.clone()),
            Value::Integer(i64::from(self.dst_port)),
        ]
    }
}

/// When the last minute was written; none where there is none.
pub fn last_minute(connection: &Connection) -> anyhow::Result<Option<u64>> {
    Ok(connection
        .query_row("SELECT max(minute) FROM minutes", [], |row| row.get::<_, Option<u64>>(0))
        .optional()?
        .flatten())
}

fn time(seconds: u64) -> String {
    rfc3339(seconds.saturating_mul(SECOND_NS))
}

#[cfg(test)]
mod tests {
    use super::log::{Ends, SessionUsage};
    use super::*;
    use crate::store::Store;
    use crate::store::tests::Folder;

    const HOST: [u8; 4] = [10, 0, 0, 7];

    fn page(last: u8, bytes_out: u64, score: f64) -> TrafficBatch {
        let ends =
            Ends { src: HOST.into(), dst: [192, 0, 2, last].into(), protocol: 6, dst_port: 443 };
        let line = SessionUsage {
            name: Some("drop.example".into()),
            src_home: true,
            bytes_out,
            bytes_in: 10,
            packets_out: 3,
            packets_in: 2,
            flows: 1,
            score,
            ..SessionUsage::default()
        };
        let scores = Scores { count: 1, highest: score, total: score };
        TrafficBatch { lines: vec![(ends, line)], scores, joined: 0 }
    }

    fn filled(folder: &Folder) -> Store {
        let store = Store::open(&folder.database()).unwrap();
        store
            .write(|connection| {
                let carried =
                    Carried { bytes_out: 100, bytes_in: 10, packets: 5, ..Carried::default() };
                add(connection, 60, &carried, &page(1, 60, 0.2))?;
                add(connection, 60, &carried, &page(1, 40, 0.6))?;
                add(connection, 120, &carried, &page(2, 500, 0.1))?;
                let record = Scores { count: 2, highest: 0.9, total: 1.0 };
                add_scores(connection, 120, "record", &record)
            })
            .unwrap();
        store
    }

    const ALL: Period = Period { from: 0, to: 1_000 };

    #[test]
    fn pieces_of_a_minute_add_up() {
        let folder = Folder::new("traffic");
        let store = filled(&folder);
        let points = store.read(|connection| traffic(connection, ALL, 60)).unwrap();
        let short: Vec<_> = points
            .iter()
            .map(|point| (point.bytes_out, point.scored, point.probability_max))
            .collect();
        assert_eq!(short, [(200, 2, Some(0.6)), (100, 3, Some(0.9))]);
        assert!((points[0].probability_mean.unwrap() - 0.4).abs() < 1e-12);
        let hour = store.read(|connection| traffic(connection, ALL, 3_600)).unwrap();
        assert_eq!((hour.len(), hour[0].bytes_out), (1, 300));
    }

    #[test]
    fn sums_are_by_what_is_asked_for() {
        let folder = Folder::new("top");
        let store = filled(&folder);
        let check = |by, expected: &[(&str, u64)]| {
            let rows = store.read(|connection| top(connection, by, ALL, 10)).unwrap();
            let short: Vec<_> = rows.iter().map(|row| (row.key.as_str(), row.bytes_out)).collect();
            assert_eq!(short, expected);
        };
        check(By::Sources, &[("10.0.0.7", 600)]);
        check(By::Destinations, &[("192.0.2.2", 500), ("192.0.2.1", 100)]);
        check(By::Ports, &[("443", 600)]);
        check(By::Protocols, &[("tcp", 600)]);
        let host = Some([192, 0, 2, 1].into());
        let talks = store.read(|connection| talks(connection, ALL, host, 10)).unwrap();
        assert_eq!((talks.len(), talks[0].bytes_out), (1, 100));
        let home = store.read(|connection| hosts::hosts(connection, None, 10)).unwrap();
        assert_eq!((home.len(), home[0].bytes_out, home[0].bytes_in), (1, 600, 30));
        let points = |connection: &Connection| hosts::host_points(connection, HOST.into(), ALL, 60);
        let sent: Vec<u64> =
            store.read(points).unwrap().iter().map(|point| point.bytes_out).collect();
        assert_eq!(sent, [100, 500]);
        // What one outside received is what was sent to it.
        let outside = |last| {
            let host = [192, 0, 2, last].into();
            let row = store.read(|connection| hosts::host(connection, host)).unwrap()?;
            Some((row.home, row.bytes_out, row.bytes_in, row.first_seen))
        };
        assert_eq!(outside(1), Some((false, 20, 100, time(60))));
        assert_eq!(outside(9), None);
    }

    #[test]
    fn sessions_come_in_pages() {
        let folder = Folder::new("sessions");
        let store = filled(&folder);
        let read = |filter: &SessionFilter, cursor: Option<&Cursor>| {
            store.read(|connection| sessions(connection, filter, cursor, 1)).unwrap()
        };
        let first = read(&SessionFilter::default(), None);
        assert_eq!((first[0].dst.as_str(), first[0].bytes_out), ("192.0.2.2", 500));
        let cursor = Cursor::parse(&first[0].cursor).unwrap();
        let second = read(&SessionFilter::default(), Some(&cursor));
        assert_eq!((second[0].bytes_out, second[0].score), (100, 0.6));
        let name =
            |name: &str| SessionFilter { name: Some(name.into()), ..SessionFilter::default() };
        assert_eq!(read(&name("drop.example"), None).len(), 1);
        assert_eq!(read(&name("example"), None).len(), 1);
        assert_eq!(read(&name("p.example"), None).len(), 0);
        for wrong in ["", "x", "1_2_3", "-1_::_::_tcp_1", "99999999999999999999_::_::_tcp_1"] {
            assert_eq!(Cursor::parse(wrong), None, "{wrong}");
        }
    }
}
