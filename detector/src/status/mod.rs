//! How the program is doing: one line for a terminal, one body for programs, the counters of every
//! output by name, and the event bus of the pages.
//!
//! It is below outputs, store, API and commands, and knows none of them.

mod body;
pub mod bus;
mod line;
pub mod sinks;

pub use body::{
    AlertCounts, Baselines, BySeverity, Coverage, Loss, NotStored, Rates, SinkHealth, SinkState,
    StatusBody, StoreState, StoreStateName, Totals,
};
pub use line::StatusLine;

/// A second of the agent's life, for people and for programs.
#[derive(Clone, Debug)]
pub struct Status {
    pub line: StatusLine,
    pub body: StatusBody,
}
