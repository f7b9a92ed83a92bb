//! Feature vectors: what a model gets to know about a session.
//!
//! One table of columns, computed by one function live, offline and in training. Never an address,
//! MAC, TTL, file name, interface or absolute date, and never whether an address is private. What
//! logs carry has a second, smaller table of its own: [`record`].

mod array;
pub mod columns;
pub mod context;
#[cfg(test)]
pub(crate) mod example;
pub mod history;
mod hours;
pub mod kind;
mod measure;
pub mod record;
pub mod schema;
pub mod session;
mod sizes;

pub use columns::{ColumnSet, Mismatch, Selection};
pub use context::{Context, Learning};
pub use history::{History, HistoryConfig, HistoryCounts, HostLearning};
pub use kind::Kind;
pub use record::{RECORD_COLUMNS, RECORD_FIELDS, Record, Timestamp, record_vector};
pub use schema::{COLUMNS, Column, SCHEMA_NAME, index_of};
pub use session::{Sample, vector};
