//! Data in DNS names, and tunnels inside encrypted DNS.

use super::Rule;

pub(super) const RULES: &[Rule] = &[];
