//! Feature vectors: what a model is told about a session.
//!
//! One table of columns, computed by one function live, offline and in training. Never an address,
//! MAC, TTL, file name, interface or absolute date, and never whether an address is private.

pub mod context;
#[cfg(test)]
pub(crate) mod example;
mod measure;
pub mod schema;
pub mod session;

pub use context::Context;
pub use schema::{COLUMNS, Column, SCHEMA_NAME, index_of, schema_hash};
pub use session::{Sample, vector};
