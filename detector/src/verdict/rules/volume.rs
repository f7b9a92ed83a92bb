//! Plain volume where nothing else can be read.

use super::Rule;

pub(super) const RULES: &[Rule] = &[];
