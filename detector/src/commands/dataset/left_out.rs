//! What data has and nothing is learned from, counted.

/// Counts by reason.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(in crate::commands) struct LeftOut {
    /// Captures that a manifest lists and excludes.
    pub(super) captures: u64,
    /// Senders of sessions of which the manifest says nothing.
    pub(super) unknown: u64,
    /// Senders that never reached a checkpoint.
    pub(super) unscored: u64,
    /// Sessions and flows that the tracker had no room for.
    pub(super) untracked: u64,
    /// Labelled vectors of a database that lack a column, or have another definition of it.
    pub(super) other_columns: u64,
}

impl LeftOut {
    /// Those that there are, each with its reason.
    pub(in crate::commands) fn told(&self) -> impl Iterator<Item = (u64, &'static str)> {
        let Self { captures, unknown, unscored, untracked, other_columns } = *self;
        [
            (captures, "captures that a manifest excludes"),
            (unknown, "senders of whom the manifest does not say what they are"),
            (unscored, "senders with too little traffic for a score"),
            (untracked, "flows and sessions beyond kernel.max_flows or session.max_sessions"),
            (other_columns, "labelled alerts whose vectors lack a column of this version"),
        ]
        .into_iter()
        .filter(|(count, _)| *count != 0)
    }
}
