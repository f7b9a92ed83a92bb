//! Alerts: one row each, what each was scored on, its counters over time, and what people said of it.

mod change;
mod columns;
mod detail;
mod insert;
mod row;
mod search;
mod span;
mod timeline;

pub use change::{add_note, mark, mark_all, resolve};
pub use detail::{Detail, Note, Point, detail, evidence, flows_of};
pub use insert::{NewAlert, insert};
pub use row::{find, load, unknown};
pub use search::{Found, search, search_all};
pub use span::key_of;
pub use timeline::{TimelinePoint, note_action};

#[cfg(test)]
mod tests;
