//! What the commands that look into the database share.

use std::path::PathBuf;

use crate::cli::store::Database;
use crate::config::Config;
use crate::store::Store;

/// The file that is meant.
pub(super) fn path(database: &Database, config: &Config) -> PathBuf {
    database.db.clone().unwrap_or_else(|| config.database())
}

/// Opens the database that is meant.
pub(super) fn open(database: &Database, config: &Config) -> anyhow::Result<Store> {
    Store::open_existing(&path(database, config))
}
