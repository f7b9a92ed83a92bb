//! The channels over which people are told.

use serde::{Deserialize, Serialize};

/// Who tells people, and how.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Notify {}
