//! What is kept between two runs, a text for each address: what was learned about each host and its
//! services, and the ledger's accounts of the day.

use rusqlite::{Connection, params};

use crate::network::Address;

/// What a text is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kept {
    Baselines,
    /// The ledger's accounts of senders.
    Accounts,
    /// What the services of internal hosts usually answer.
    Services,
}

impl Kept {
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Baselines => "baselines",
            Self::Accounts => "ledger accounts",
            Self::Services => "services",
        }
    }

    fn table(self) -> &'static str {
        match self {
            Self::Baselines => "baselines",
            Self::Accounts => "ledger_accounts",
            Self::Services => "ledger_services",
        }
    }

    /// The text's column.
    fn column(self) -> &'static str {
        match self {
            Self::Baselines | Self::Services => "learned",
            Self::Accounts => "account",
        }
    }

    /// For how long a text says something: an account is of one day, and a service that has not answered
    /// for four weeks is learned again.
    fn lasts_secs(self) -> Option<u64> {
        match self {
            Self::Baselines => None,
            Self::Accounts => Some(2 * 86_400),
            Self::Services => Some(28 * 86_400),
        }
    }
}

/// Keeps an address and a text each.
pub fn keep(
    connection: &Connection,
    kind: Kept,
    time: u64,
    texts: &[(Address, String)],
) -> anyhow::Result<()> {
    let table = kind.table();
    let insert = format!("INSERT OR REPLACE INTO {table} VALUES (?, ?, ?)");
    let mut statement = connection.prepare_cached(&insert)?;
    for (address, text) in texts {
        statement.execute(params![address, time, text])?;
    }
    if let Some(lasts_secs) = kind.lasts_secs() {
        let delete = format!("DELETE FROM {table} WHERE time < ?");
        connection.prepare_cached(&delete)?.execute([time.saturating_sub(lasts_secs)])?;
    }
    Ok(())
}

/// All that was kept, the latest first.
pub fn all(connection: &Connection, kind: Kept) -> anyhow::Result<Vec<(Address, String)>> {
    let (table, column) = (kind.table(), kind.column());
    let select = format!("SELECT address, {column} FROM {table} ORDER BY time DESC");
    let mut statement = connection.prepare(&select)?;
    let rows = statement.query_map([], |row| Ok((row.get(0)?, row.get(1)?)))?;
    Ok(rows.collect::<rusqlite::Result<_>>()?)
}
