//! The database's form, by version. A form is never changed once it was released: a change is a
//! further step.

use anyhow::{Context as _, ensure};
use rusqlite::Connection;

/// The steps from one version to the next, the first from an empty database. A step of a line or two
/// stands here.
const STEPS: [&str; 11] = [
    include_str!("migrations/1.sql"),
    include_str!("migrations/2.sql"),
    include_str!("migrations/3.sql"),
    // It is made of the other columns, each time that it is shown.
    "ALTER TABLE alerts DROP COLUMN headline",
    "ALTER TABLE alerts ADD COLUMN sensor TEXT",
    "ALTER TABLE alerts ADD COLUMN unexplained_bytes INTEGER NOT NULL DEFAULT 0",
    include_str!("migrations/7.sql"),
    "CREATE TABLE ledger_accounts (address BLOB PRIMARY KEY, time INTEGER NOT NULL, account TEXT NOT NULL) \
     WITHOUT ROWID",
    "CREATE TABLE ledger_services (address BLOB PRIMARY KEY, time INTEGER NOT NULL, learned TEXT NOT NULL) \
     WITHOUT ROWID",
    "ALTER TABLE alerts ADD COLUMN monitor_event TEXT",
    "ALTER TABLE alerts ADD COLUMN receivers INTEGER NOT NULL DEFAULT 1",
];

/// The version that this program reads and writes.
pub(super) const VERSION: usize = STEPS.len();

/// Brings the database to [`VERSION`], each step whole or not at all.
pub(super) fn migrate(connection: &mut Connection) -> anyhow::Result<()> {
    let found = version(connection)?;
    ensure!(
        found <= VERSION,
        "the database has version {found}, and this program reads up to {VERSION}: use the newer \
         program, or another --db"
    );
    for (step, to) in STEPS.iter().zip(1..).skip(found) {
        let transaction = connection.transaction()?;
        transaction
            .execute_batch(step)
            .and_then(|()| transaction.pragma_update(None, "user_version", to))
            .and_then(|()| transaction.commit())
            .with_context(|| format!("failed to upgrade the database to version {to}"))?;
    }
    Ok(())
}

/// The version of a database; 0 where there is nothing in it.
pub(super) fn version(connection: &Connection) -> anyhow::Result<usize> {
    Ok(connection.pragma_query_value(None, "user_version", |row| row.get(0))?)
}
