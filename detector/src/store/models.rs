//! Models that were added to those inside the program.

use std::collections::HashMap;

use rusqlite::{Connection, OptionalExtension as _, Row, params};

use super::column_sets;
use crate::features::{ColumnSet, Kind, Selection};
use crate::network::Address;

/// A model without its file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StoredModel {
    pub hash: String,
    pub schema: String,
    pub added_ns: u64,
}

/// All of them, the latest first.
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
pub fn file(connection: &Connection, hash: &str) -> anyhow::Result<Option<Vec<u8>>> {
    Ok(connection
        .query_row("SELECT file FROM models WHERE hash = ?", [hash], |row| row.get(0))
        .optional()?)
}

/// Adds a model. False where it was there already.
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

/// The name of the setting for the model that serves a schema.
fn setting(schema: &str) -> String {
    format!("model.{schema}")
}

/// The hash of the model that was chosen for a schema; none: the configured or shipped one.
pub fn active(connection: &Connection, schema: &str) -> anyhow::Result<Option<String>> {
    Ok(connection
        .query_row("SELECT value FROM settings WHERE name = ?", [setting(schema)], |row| row.get(0))
        .optional()?)
}

/// Chooses the model for a schema.
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
    /// Whether it is exfiltration.
    pub label: bool,
    pub vector: Vec<f32>,
    /// None where the alert was forgotten since.
    pub alert: Option<SampleAlert>,
}

/// The alert that a sample is of.
#[derive(Clone, Debug, PartialEq)]
pub struct SampleAlert {
    pub src: Address,
    pub dst: Address,
    pub dst_port: u16,
    /// As alerts name it.
    pub protocol: String,
    /// IP bytes.
    pub bytes_out: u64,
    /// What the rules left open of the score, and whether it was a baseline of the host.
    pub rules: f64,
    pub baseline: bool,
}

/// The latest labelled vectors of a kind that have all `wanted` columns, in the order of these; at most
/// so many. Others of the kind are left out, and counted.
pub fn samples(
    connection: &Connection,
    kind: Kind,
    wanted: &ColumnSet,
    most: usize,
) -> anyhow::Result<(Vec<Sample>, u64)> {
    let readable = selections(connection, kind, wanted)?;
    let mut statement = connection.prepare_cached(
        "SELECT samples.id, label, samples.vector, src, dst, dst_port, protocol, bytes_out, rules,
            habit, samples.column_set, column_sets.schema
         FROM samples
         LEFT JOIN column_sets ON column_sets.hash = samples.column_set
         LEFT JOIN alerts ON alerts.key = samples.alert
         LEFT JOIN alert_evidence AS evidence ON evidence.key = samples.alert
         ORDER BY samples.id DESC",
    )?;
    let mut rows = statement.query([])?;
    let (mut samples, mut others) = (Vec::new(), 0);
    while let Some(row) = rows.next()?.filter(|_| samples.len() < most) {
        let selection = readable.get(&row.get::<_, String>(10)?);
        let vector = floats(&row.get::<_, Vec<u8>>(2)?);
        if let Some(vector) = selection.and_then(|selection| selection.apply(&vector)) {
            samples.push(sample(row, vector)?);
        } else if row.get::<_, Option<String>>(11)?.as_deref() == Some(kind.schema_name()) {
            others += 1;
        }
    }
    Ok((samples, others))
}

/// How the wanted columns are found in vectors of each stored set that has them.
fn selections(
    connection: &Connection,
    kind: Kind,
    wanted: &ColumnSet,
) -> anyhow::Result<HashMap<String, Selection>> {
    let mut statement =
        connection.prepare_cached("SELECT hash, columns FROM column_sets WHERE schema = ?")?;
    let mut rows = statement.query([kind.schema_name()])?;
    let mut selections = HashMap::new();
    while let Some(row) = rows.next()? {
        let columns = column_sets::read(&row.get::<_, String>(1)?)?;
        if let Ok(selection) = columns.select(wanted) {
            selections.insert(row.get(0)?, selection);
        }
    }
    Ok(selections)
}

fn sample(row: &Row<'_>, vector: Vec<f32>) -> rusqlite::Result<Sample> {
    let alert = match row.get::<_, Option<Address>>(3)? {
        Some(src) => Some(SampleAlert {
            src,
            dst: row.get(4)?,
            dst_port: row.get::<_, Option<u16>>(5)?.unwrap_or(0),
            protocol: row.get(6)?,
            bytes_out: row.get(7)?,
            rules: row.get::<_, Option<f64>>(8)?.unwrap_or(1.0),
            baseline: row.get::<_, Option<bool>>(9)?.unwrap_or(false),
        }),
        None => None,
    };
    Ok(Sample { id: row.get(0)?, label: row.get(1)?, vector, alert })
}

fn floats(bytes: &[u8]) -> Vec<f32> {
    bytes.as_chunks().0.iter().map(|four| f32::from_le_bytes(*four)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::Store;
    use crate::store::tests::Folder;

    fn set(columns: &[(&str, u64)]) -> ColumnSet {
        ColumnSet::new(columns.iter().map(|(name, hash)| ((*name).to_owned(), *hash)))
    }

    fn put(connection: &Connection, alert: i64, columns: &ColumnSet, vector: &[f32]) {
        let bytes: Vec<u8> = vector.iter().flat_map(|value| value.to_le_bytes()).collect();
        let (hash, text) = (column_sets::name(columns), serde_json::to_string(columns).unwrap());
        connection
            .execute("INSERT OR IGNORE INTO column_sets VALUES (?, 'session', ?)", [&hash, &text])
            .unwrap();
        connection
            .execute(
                "INSERT INTO samples (time_ns, label, alert, column_set, vector, who)
                 VALUES (1, 1, ?, ?, ?, 'somebody')",
                params![alert, hash, bytes],
            )
            .unwrap();
    }

    /// Programs with fewer and with more columns labelled vectors; one defined a column otherwise.
    #[test]
    fn samples_of_other_versions_are_read_by_name() {
        let folder = Folder::new("samples");
        let store = Store::open(&folder.database()).unwrap();
        store
            .write(|connection| {
                put(connection, 1, &set(&[("a", 1), ("b", 2)]), &[10.0, 20.0]);
                put(connection, 2, &set(&[("c", 3), ("b", 2), ("a", 1)]), &[31.0, 21.0, 11.0]);
                put(connection, 3, &set(&[("a", 1), ("b", 7)]), &[12.0, 22.0]);
                put(connection, 4, &set(&[("a", 1)]), &[13.0]);
                Ok(())
            })
            .unwrap();
        let check = |wanted: &ColumnSet, most: usize, expected: &[&[f32]], left_out: u64| {
            let read = |connection: &_| samples(connection, Kind::Session, wanted, most);
            let (found, others) = store.read(read).unwrap();
            let found: Vec<_> = found.into_iter().map(|sample| sample.vector).collect();
            assert_eq!(
                (found.as_slice(), others),
                (&*expected.iter().map(|v| v.to_vec()).collect::<Vec<_>>(), left_out)
            );
        };
        let both = set(&[("a", 1), ("b", 2)]);
        check(&both, 9, &[&[11.0, 21.0], &[10.0, 20.0]], 2);
        check(&both, 1, &[&[11.0, 21.0]], 2);
        check(&set(&[("a", 1)]), 9, &[&[13.0], &[12.0], &[11.0], &[10.0]], 0);
        check(&set(&[("d", 4)]), 9, &[], 4);
        let records = |connection: &_| samples(connection, Kind::Record, &both, 9);
        let (found, others) = store.read(records).unwrap();
        assert_eq!((found.len(), others), (0, 0));
    }
}
