//! A change of policy: what was done, by whom, to what. It goes as it is to the audit log, to an
//! alert's timeline and to the pages.

use detector_common::policy::EntryCounters;

use super::enforcer::EntryNumber;
use super::mode::Mode;
use super::target::Target;
use crate::timestamp::Timestamp;
use crate::verdict::AlertId;

/// A change of policy.
#[derive(Clone, Debug, PartialEq)]
pub struct Change {
    pub kind: ChangeKind,
    pub who: String,
    pub target: Option<Target>,
    pub number: Option<EntryNumber>,
    pub why: String,
    pub alert: Option<AlertId>,
    pub until: Option<Timestamp>,
    pub ttl_secs: Option<u64>,
    /// Of an entry that ended.
    pub hits: Option<EntryCounters>,
    pub mode: Option<Mode>,
    pub detail: Option<String>,
}

/// What was done: a closed list.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ChangeKind {
    /// A block is active, or counts.
    Placed,
    /// A block lasts longer, because it still drops packets.
    Extended,
    /// A block ended because of an exception, or because a person asked.
    Released,
    /// A block reached its end.
    Expired,
    /// A block does nothing until its end is confirmed or it returns.
    Suspended,
    /// A block made room for another of the same target.
    Replaced,
    /// A block ended with all others.
    Flushed,
    /// An exception was added.
    Allowed,
    /// An exception ended.
    Disallowed,
    /// The mode is another.
    Mode,
    /// A change that waited for confirmation stays.
    Confirmed,
    /// A change that waited for confirmation was undone.
    Reverted,
    /// A block of an earlier run was taken over.
    Adopted,
    /// A budget has another limit.
    BudgetRaised,
    /// A request was not carried out.
    Refused,
    /// The agent started.
    Started,
    /// The agent stopped.
    Stopped,
    /// The configuration was read again.
    Reloaded,
    /// A process went past the programs, or took one of them away.
    Bypassed,
}

impl ChangeKind {
    /// As the audit log and an alert's timeline have it.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Placed => "placed",
            Self::Extended => "extended",
            Self::Released => "released",
            Self::Expired => "expired",
            Self::Suspended => "suspended",
            Self::Replaced => "replaced",
            Self::Flushed => "flushed",
            Self::Allowed => "allowed",
            Self::Disallowed => "disallowed",
            Self::Mode => "mode",
            Self::Confirmed => "confirmed",
            Self::Reverted => "reverted",
            Self::Adopted => "adopted",
            Self::BudgetRaised => "budget_raised",
            Self::Refused => "refused",
            Self::Started => "started",
            Self::Stopped => "stopped",
            Self::Reloaded => "reloaded",
            Self::Bypassed => "bypassed",
        }
    }
}

impl Change {
    /// A change of which nothing else is known yet.
    #[must_use]
    pub fn new(kind: ChangeKind, who: impl Into<String>) -> Self {
        Self {
            kind,
            who: who.into(),
            target: None,
            number: None,
            why: String::new(),
            alert: None,
            until: None,
            ttl_secs: None,
            hits: None,
            mode: None,
            detail: None,
        }
    }
}
