//! Models that were added to those inside the program.

use std::net::IpAddr;

use rusqlite::{Connection, OptionalExtension as _, params};

use crate::network::ip;

/// A model without its file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StoredModel {
    pub hash: String,
    pub schema: String,
    pub added_ns: u64,
}

/// All of them, the latest first.
///
/// # Errors
///
/// A database that cannot be read.
pub fn models(connection: &Connection) -> anyhow::Result<Vec<StoredModel>> {
    let mut statement = connection
        .prepare_cached("SELECT hash, schema, added_ns FROM models ORDER BY added_ns DESC")?;
    let rows = statement.query_map([], |row| {
        let added_ns = row.get::<_, i64>(2)?.unsigned_abs();
        Ok(StoredModel { hash: row.get(0)?, schema: row.get(1)?, added_ns })
    })?;
    Ok(rows.collect::<rusqlite::Result<_>>()?)
}

/// The file of a model; none where there is no such.
///
/// # Errors
///
/// A database that cannot be read.
pub fn file(connection: &Connection, hash: &str) -> anyhow::Result<Option<Vec<u8>>> {
    Ok(connection
        .query_row("SELECT file FROM models WHERE hash = ?", [hash], |row| row.get(0))
        .optional()?)
}

/// Adds a model. False where it was there already.
///
/// # Errors
///
/// A database that cannot be written to.
pub fn add(
    connection: &Connection,
    hash: &str,
    schema: &str,
    file: &[u8],
    now_ns: u64,
) -> anyhow::Result<bool> {
    let added = connection.execute(
        "INSERT OR IGNORE INTO models (hash, schema, added_ns, file) VALUES (?, ?, ?, ?)",
        params![hash, schema, now_ns as i64, file],
    )?;
    Ok(added != 0)
}

/// The name under which it stands which model serves a schema.
fn setting(schema: &str) -> String {
    format!("model.{schema}")
}

/// The hash of the model that was chosen for a schema; none: the configured or shipped one.
///
/// # Errors
///
/// A database that cannot be read.
pub fn active(connection: &Connection, schema: &str) -> anyhow::Result<Option<String>> {
    Ok(connection
        .query_row("SELECT value FROM settings WHERE name = ?", [setting(schema)], |row| row.get(0))
        .optional()?)
}

/// Chooses the model for a schema.
///
/// # Errors
///
/// A database that cannot be written to.
pub fn activate(connection: &Connection, schema: &str, hash: &str) -> anyhow::Result<()> {
    connection.execute(
        "INSERT OR REPLACE INTO settings (name, value) VALUES (?, ?)",
        [&setting(schema), hash],
    )?;
    Ok(())
}

/// A vector that a person has labelled.
#[derive(Clone, Debug, PartialEq)]
pub struct Sample {
    pub id: u64,
    /// A theft.
    pub label: bool,
    pub vector: Vec<f32>,
    /// None where the alert was forgotten since.
    pub alert: Option<SampleAlert>,
}

/// The alert that a sample is of.
#[derive(Clone, Debug, PartialEq)]
pub struct SampleAlert {
    pub src: IpAddr,
    pub dst: IpAddr,
    pub dst_port: u16,
    /// As alerts name it.
    pub protocol: String,
    /// IP bytes.
    pub bytes_out: u64,
    /// What the rules left open of the score, and whether it was a habit of the host.
    pub rules: f64,
    pub habit: bool,
}

/// The latest labelled vectors of a schema, at most so many.
///
/// # Errors
///
/// A database that cannot be read.
pub fn samples(
    connection: &Connection,
    schema_hash: &str,
    most: usize,
) -> anyhow::Result<Vec<Sample>> {
    let mut statement = connection.prepare_cached(
        "SELECT samples.id, label, samples.vector, src, dst, dst_port, protocol, bytes_out, rules, habit
         FROM samples
         LEFT JOIN alerts ON alerts.key = samples.alert
         LEFT JOIN alert_evidence AS evidence ON evidence.key = samples.alert
         WHERE schema_hash = ?1 ORDER BY samples.id DESC LIMIT ?2",
    )?;
    let rows = statement.query_map(params![schema_hash, most as i64], |row| {
        let bytes: Vec<u8> = row.get(2)?;
        let vector = bytes.as_chunks().0.iter().map(|four| f32::from_le_bytes(*four)).collect();
        let alert = match row.get::<_, Option<[u8; 16]>>(3)? {
            Some(src) => Some(SampleAlert {
                src: ip(&src),
                dst: ip(&row.get(4)?),
                dst_port: row.get::<_, Option<u16>>(5)?.unwrap_or(0),
                protocol: row.get(6)?,
                bytes_out: row.get(7)?,
                rules: row.get::<_, Option<f64>>(8)?.unwrap_or(1.0),
                habit: row.get::<_, Option<bool>>(9)?.unwrap_or(false),
            }),
            None => None,
        };
        Ok(Sample { id: row.get(0)?, label: row.get(1)?, vector, alert })
    })?;
    Ok(rows.collect::<rusqlite::Result<_>>()?)
}
