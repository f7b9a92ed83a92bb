//! The counters of channels, under the names by which status and metrics show them.

use std::sync::Arc;

use crate::status::sinks::{Board, Counters};

/// The counters of a channel.
pub(super) fn channel_counters(board: &Board, channel: &str) -> Arc<Counters> {
    board.register(&channel_row(channel))
}

/// The channel's name on the board.
pub(super) fn channel_row(channel: &str) -> String {
    format!("notify {channel}")
}
