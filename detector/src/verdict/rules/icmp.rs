//! Data in ICMP echo payloads.

use super::Rule;

pub(super) const RULES: &[Rule] = &[];
