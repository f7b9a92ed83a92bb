//! The two kinds of vector, by the schema that describes them.

use std::sync::LazyLock;

use super::columns::ColumnSet;
use super::record::{RECORD_COLUMNS, RECORD_SCHEMA_NAME};
use super::schema::{COLUMNS, SCHEMA_NAME};

static SESSION_COLUMNS: LazyLock<ColumnSet> = LazyLock::new(|| {
    ColumnSet::new(COLUMNS.iter().map(|column| (column.name.to_owned(), column.hash())))
});

static RECORD_COLUMN_SET: LazyLock<ColumnSet> = LazyLock::new(|| {
    ColumnSet::new(RECORD_COLUMNS.iter().map(|column| (column.name.to_owned(), column.hash())))
});

/// What a vector describes, and so which model reads it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Kind {
    /// A sender in a session of packets.
    #[default]
    Session,
    /// A line of a log.
    Record,
}

impl Kind {
    pub const ALL: [Self; 2] = [Self::Session, Self::Record];

    /// The schema's name in model files.
    #[must_use]
    pub fn schema_name(self) -> &'static str {
        match self {
            Self::Session => SCHEMA_NAME,
            Self::Record => RECORD_SCHEMA_NAME,
        }
    }

    /// The columns that this program computes, in the order of the vector.
    #[must_use]
    pub fn column_set(self) -> &'static ColumnSet {
        match self {
            Self::Session => &SESSION_COLUMNS,
            Self::Record => &RECORD_COLUMN_SET,
        }
    }

    /// Names of the columns, in order.
    #[must_use]
    pub fn columns(self) -> Vec<&'static str> {
        self.meanings().into_iter().map(|(name, _)| name).collect()
    }

    /// Names of the columns and what each means, in order.
    #[must_use]
    pub fn meanings(self) -> Vec<(&'static str, &'static str)> {
        match self {
            Self::Session => COLUMNS.iter().map(|column| (column.name, column.meaning)).collect(),
            Self::Record => {
                RECORD_COLUMNS.iter().map(|column| (column.name, column.meaning)).collect()
            }
        }
    }
}
