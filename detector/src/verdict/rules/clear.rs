//! Uploads that can be read on the wire: mail, file transfer, web.

use super::Rule;

pub(super) const RULES: &[Rule] = &[];
