//! An alert as it is told to people and other programs, read from its row.

use std::fmt;
use std::str::FromStr;

use rusqlite::{Connection, OptionalExtension as _, Row};
use serde::Serialize;
use utoipa::ToSchema;

use super::span::key_of;
use crate::network::ip;
use crate::units::rfc3339;
use crate::verdict::{Severity, Technique};

/// How an alert is named outside: its id in 16 hexadecimal digits, and after a dash the analysis of
/// the capture that it was found in.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct PublicId {
    pub id: u64,
    /// 0: live traffic, or a record.
    pub analysis: i64,
}

impl fmt::Display for PublicId {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{:016x}", self.id)?;
        if self.analysis != 0 {
            write!(formatter, "-{}", self.analysis)?;
        }
        Ok(())
    }
}

impl FromStr for PublicId {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let wrong =
            || format!("`{}` is no alert: an id is 16 hexadecimal digits", text.escape_debug());
        let (id, analysis) = text.split_once('-').unwrap_or((text, "0"));
        let hexadecimal = id.len() == 16 && id.bytes().all(|digit| digit.is_ascii_hexdigit());
        let id = u64::from_str_radix(id, 16).ok().filter(|_| hexadecimal).ok_or_else(wrong)?;
        let digits = analysis.bytes().all(|digit| digit.is_ascii_digit());
        let analysis = analysis.parse().ok().filter(|_| digits).ok_or_else(wrong)?;
        Ok(Self { id, analysis })
    }
}

/// An alert in short: a line of a list.
#[derive(Clone, Debug, PartialEq, Serialize, ToSchema)]
pub struct AlertRow {
    /// 16 hexadecimal digits; after a dash the analysis of a capture.
    pub id: String,
    #[serde(skip)]
    pub key: i64,
    /// `live`, `capture` or `record`.
    pub origin: String,
    /// The capture that it was found in.
    pub capture: Option<i64>,
    pub revision: u32,
    /// `open`, `acknowledged` or `closed`.
    pub status: String,
    /// `benign` or `confirmed`, once a person has said so.
    pub resolution: Option<String>,
    /// Of the packets, RFC 3339: when it was told last.
    pub time: String,
    pub first_seen: String,
    /// The host that leaks.
    pub src: String,
    pub src_port: Option<u16>,
    /// The host that receives.
    pub dst: String,
    /// The server's port.
    pub dst_port: Option<u16>,
    pub dst_name: Option<String>,
    /// The registered domain that data leaves through.
    pub domain: Option<String>,
    pub protocol: String,
    /// Which end opened the session: `src` or `dst`.
    pub initiator: &'static str,
    pub technique: String,
    /// The technique in words.
    pub technique_name: &'static str,
    /// MITRE ATT&CK.
    pub attack_id: &'static str,
    /// `low`, `medium`, `high` or `critical`.
    pub severity: &'static str,
    pub score: f64,
    pub threshold: f64,
    /// IP bytes of the session from `src`, and to it.
    pub bytes_out: u64,
    pub bytes_in: u64,
    pub packets_out: u64,
    pub packets_in: u64,
    /// IP bytes that had left when the alert opened.
    pub bytes_leaked: u64,
    /// IP bytes that had left when the block stood; null where nothing was blocked.
    pub bytes_leaked_before_block: Option<u64>,
    pub action: String,
    pub action_note: Option<String>,
    /// What happened, in one sentence.
    pub headline: String,
}

/// The columns that [`AlertRow::read`] reads, of the table under the name `a`.
pub(in crate::store) const COLUMNS: &str = "a.key, a.id, a.analysis, a.origin, a.capture, a.revision, a.status, \
    a.resolution, a.time_ns, a.first_seen_ns, a.src, a.src_port, a.dst, a.dst_port, a.dst_name, \
    a.domain, a.protocol, a.src_opened, a.technique, a.severity, a.score, a.threshold, a.bytes_out, \
    a.bytes_in, a.packets_out, a.packets_in, a.bytes_leaked, a.bytes_leaked_before_block, a.action, \
    a.action_note, a.headline";

impl AlertRow {
    pub(in crate::store) fn read(row: &Row<'_>) -> rusqlite::Result<Self> {
        let address = |column| row.get::<_, [u8; 16]>(column).map(|octets| ip(&octets).to_string());
        let time = |column| row.get::<_, i64>(column).map(|time| rfc3339(time.unsigned_abs()));
        let technique: String = row.get(18)?;
        let known = Technique::ALL.into_iter().find(|known| known.name() == technique);
        let known = known.unwrap_or(Technique::UnknownExfiltration);
        Ok(Self {
            key: row.get(0)?,
            id: PublicId { id: row.get::<_, i64>(1)? as u64, analysis: row.get(2)? }.to_string(),
            origin: row.get(3)?,
            capture: row.get(4)?,
            revision: row.get(5)?,
            status: row.get(6)?,
            resolution: row.get(7)?,
            time: time(8)?,
            first_seen: time(9)?,
            src: address(10)?,
            src_port: row.get(11)?,
            dst: address(12)?,
            dst_port: row.get(13)?,
            dst_name: row.get(14)?,
            domain: row.get(15)?,
            protocol: row.get(16)?,
            initiator: if row.get(17)? { "src" } else { "dst" },
            technique,
            technique_name: known.title(),
            attack_id: known.attack_id(),
            severity: severity_name(row.get(19)?),
            score: row.get(20)?,
            threshold: row.get(21)?,
            bytes_out: row.get(22)?,
            bytes_in: row.get(23)?,
            packets_out: row.get(24)?,
            packets_in: row.get(25)?,
            bytes_leaked: row.get(26)?,
            bytes_leaked_before_block: row.get(27)?,
            action: row.get(28)?,
            action_note: row.get(29)?,
            headline: row.get(30)?,
        })
    }
}

/// An alert in short; none where there is no such.
///
/// # Errors
///
/// A database that cannot be read.
pub fn find(connection: &Connection, id: PublicId) -> anyhow::Result<Option<AlertRow>> {
    let Some(key) = key_of(connection, id)? else { return Ok(None) };
    let sql = format!("SELECT {COLUMNS} FROM alerts a WHERE a.key = ?");
    let mut statement = connection.prepare_cached(&sql)?;
    Ok(statement.query_row([key], AlertRow::read).optional()?)
}

/// The name of a severity's rank.
pub(super) fn severity_name(rank: u8) -> &'static str {
    Severity::ALL.get(usize::from(rank)).copied().unwrap_or(Severity::Critical).name()
}
