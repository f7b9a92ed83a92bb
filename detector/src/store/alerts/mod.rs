//! Alerts: one row each, what each was judged on, its counters over time, and what people said of it.

mod change;
mod detail;
mod insert;
mod row;
mod search;
mod span;
mod timeline;

pub use change::{Labelled, add_note, mark, resolve};
pub use detail::{Detail, Evidence, HeadLine, Note, Point, ReasonLine, detail, evidence, flows_of};
pub use insert::{NewAlert, Origin, insert};
pub(super) use row::COLUMNS;
pub use row::{AlertRow, PublicId, find};
pub use search::{Filter, Found, search};
pub use span::key_of;
pub use timeline::{Marking, TimelinePoint, note_action};

#[cfg(test)]
mod tests;
