//! The timeline of an alert: what its points mark, and noting one.

use rusqlite::{Connection, params};

use crate::alerts::Status;
use crate::response::ChangeKind;
use crate::verdict::ActionTaken;

/// What happened at a point of the timeline.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TimelinePoint {
    Opened,
    Grew,
    /// Its severity rose.
    Worsened,
    /// What the agent did about it, or a person on the agent's behalf.
    Acted(ActionTaken),
    /// The block of its traffic ended, and no other is active.
    BlockEnded,
    /// A change of policy because of it.
    Changed(ChangeKind),
    /// How far people are with it.
    Marked(Status),
}

impl TimelinePoint {
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Opened => "opened",
            Self::Grew => "grew",
            Self::Worsened => "worsened",
            Self::Acted(action) => action.name(),
            Self::BlockEnded => "block_ended",
            Self::Changed(kind) => kind.name(),
            Self::Marked(status) => status.name(),
        }
    }
}

/// Notes in an alert's timeline what was done about it later.
pub fn note_action(
    connection: &Connection,
    key: i64,
    time_ns: u64,
    point: TimelinePoint,
) -> anyhow::Result<()> {
    connection.execute(
        "INSERT OR IGNORE INTO alert_points
         SELECT key, ?, ?, bytes_out, bytes_in, score, severity FROM alerts WHERE key = ?",
        params![time_ns as i64, point.name(), key],
    )?;
    Ok(())
}
