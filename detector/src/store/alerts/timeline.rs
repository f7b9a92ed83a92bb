//! What the points of an alert's timeline mark.

use super::Marking;
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
    /// A change of policy because of it.
    Changed(ChangeKind),
    /// How far people are with it.
    Marked(Marking),
}

impl TimelinePoint {
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Opened => "opened",
            Self::Grew => "grew",
            Self::Worsened => "worsened",
            Self::Acted(action) => action.name(),
            Self::Changed(kind) => kind.name(),
            Self::Marked(marking) => marking.name(),
        }
    }
}
