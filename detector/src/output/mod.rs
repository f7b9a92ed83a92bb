//! One way out: events in, any number of outputs behind a [`Router`], one file for each output.
//!
//! A [`Sink`] says which kinds of event it wants and writes them; it decides nothing. Each has a
//! queue, counters and a thread of its own, so that a slow one costs its own events, which are
//! counted, and holds up neither packets nor the others. What is written to a terminal or a file is
//! put into words by a [`Form`], which the analysis of captures uses without a router.

mod csv;
mod event;
mod json;
mod notifications;
mod pages;
mod router;
mod standard_output;
mod store;
mod summary;
mod table;
mod unopened;

pub use csv::CsvForm;
pub use event::{Changed, Event, Kind, LedgerTexts, Settings, TrafficBacklog, TrafficMinute};
pub use json::JsonForm;
pub use notifications::Notifications;
pub use pages::LivePages;
pub use router::{OnDrop, Progress, Router, Sink};
pub use standard_output::StandardOutput;
pub use store::{Confirmation, OnStored, StoreSink, not_stored};
pub use summary::Summary;
pub(crate) use table::{PROBLEM, WARNING};
pub use table::{Style, TableForm};
pub use unopened::Unopened;

use std::io;

use crate::flow::FlowRecord;
use crate::verdict::Alert;

/// Writes results in one form.
pub trait Form {
    fn alert(&mut self, alert: &Alert) -> io::Result<()>;
    fn flow(&mut self, record: &FlowRecord) -> io::Result<()>;
    fn summary(&mut self, summary: &Summary) -> io::Result<()>;
    fn flush(&mut self) -> io::Result<()>;
}

#[cfg(test)]
mod tests;
