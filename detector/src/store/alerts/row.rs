//! An alert read from its rows.

use std::sync::LazyLock;

use rusqlite::{Connection, OptionalExtension as _, Row};

use super::columns;
use super::span::key_of;
use crate::alerts::{Origin, Resolution, Status, StoredAlert};
use crate::refusal::Refusal;
use crate::verdict::AlertId;

/// What [`read`] reads, of the tables under the names `a` and `e`.
pub(super) static SELECT: LazyLock<String> = LazyLock::new(|| {
    format!(
        "SELECT a.key, a.id, a.analysis, a.origin, a.capture, a.status, a.resolution, {},
         coalesce(e.model, '')",
        columns::names("a.")
    )
});

/// Joins what each was scored on to the alerts.
pub(super) const EVIDENCE: &str = "LEFT JOIN alert_evidence e ON e.key = a.key";

/// The first of the columns that hold the alert's own fields.
const FIELDS: usize = 7;

/// An alert without its reasons.
pub(super) fn read(row: &Row<'_>) -> rusqlite::Result<StoredAlert> {
    let mut alert = columns::read(row, FIELDS)?;
    alert.id = AlertId::live(row.get::<_, i64>(1)?.cast_unsigned());
    alert.model = row.get(FIELDS + columns::COUNT)?;
    let (status, resolution): (String, Option<String>) = (row.get(5)?, row.get(6)?);
    Ok(StoredAlert {
        key: row.get(0)?,
        status: Status::named(&status).unwrap_or_default(),
        resolution: resolution.as_deref().and_then(Resolution::named),
        ..StoredAlert::new(alert, origin(row)?)
    })
}

fn origin(row: &Row<'_>) -> rusqlite::Result<Origin> {
    let name: String = row.get(3)?;
    Ok(match (name.as_str(), row.get(4)?) {
        ("capture", Some(capture)) => Origin::Capture { capture, analysis: row.get(2)? },
        ("record", _) => Origin::Record,
        _ => Origin::Live,
    })
}

/// The alert of this key with its reasons; none where it is gone.
pub fn load(connection: &Connection, key: i64) -> anyhow::Result<Option<StoredAlert>> {
    let sql = format!("{}, e.reasons FROM alerts a {EVIDENCE} WHERE a.key = ?", *SELECT);
    let reasons = FIELDS + columns::COUNT + 1;
    let read = |row: &Row<'_>| Ok((read(row)?, row.get::<_, Option<String>>(reasons)?));
    let found = connection.prepare_cached(&sql)?.query_row([key], read).optional()?;
    let Some((mut stored, reasons)) = found else { return Ok(None) };
    if let Some(reasons) = reasons {
        stored.alert.reasons = serde_json::from_str(&reasons)?;
        // Alerts of earlier versions list it.
        stored.alert.reasons.retain(|reason| reason.feature != "bias");
    }
    Ok(Some(stored))
}

/// The alert of this id with its reasons; none where there is no such.
pub fn find(connection: &Connection, id: AlertId) -> anyhow::Result<Option<StoredAlert>> {
    match key_of(connection, id)? {
        Some(key) => load(connection, key),
        None => Ok(None),
    }
}

/// The answer to an id that no alert has.
#[must_use]
pub fn unknown(id: &str) -> Refusal {
    let id = id.escape_debug();
    Refusal::not_found(format!("there is no alert `{id}`: `detector alerts list` shows them"))
}
