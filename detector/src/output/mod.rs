//! Where alerts, flow records and summaries go. One file per form.
//!
//! A sink writes what it is given and decides nothing. Live, each stands behind a [`queue`] of its
//! own, so that a slow reader costs records, which are counted, and never packets.

mod csv;
mod json;
pub mod queue;
mod summary;
mod table;

pub use csv::CsvSink;
pub use json::JsonSink;
pub use summary::Summary;
pub(crate) use table::{PROBLEM, WARNING};
pub use table::{Style, TableSink};

use std::io;

use crate::flow::FlowRecord;
use crate::verdict::Alert;

/// Writes results in one form.
pub trait Sink {
    /// # Errors
    ///
    /// When the output cannot be written to.
    fn alert(&mut self, alert: &Alert) -> io::Result<()>;
    /// # Errors
    ///
    /// When the output cannot be written to.
    fn flow(&mut self, record: &FlowRecord) -> io::Result<()>;
    /// # Errors
    ///
    /// When the output cannot be written to.
    fn summary(&mut self, summary: &Summary) -> io::Result<()>;
    /// # Errors
    ///
    /// When the output cannot be written to.
    fn flush(&mut self) -> io::Result<()>;
}
