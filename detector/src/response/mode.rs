//! How far the program may go by itself.

use std::fmt;

use serde::{Deserialize, Serialize};

/// How far the program may go by itself.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Mode {
    /// Alert, block nothing.
    #[default]
    Observe,
    /// Decide and count what would be dropped, touch nothing.
    Simulate,
    /// Act.
    Block,
}

impl fmt::Display for Mode {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(match self {
            Self::Observe => "observe",
            Self::Simulate => "simulate",
            Self::Block => "block",
        })
    }
}
