//! One part of what speaks for an alert.

use std::borrow::Cow;

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

/// Before a rule's name among the reasons: no column is called so.
pub const RULE_PREFIX: &str = "rule:";

/// One part of what speaks for an alert.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct Reason {
    /// A column of the schema, `others` for all that are not listed, `bias` for the forest's mean,
    /// or a rule's name after `rule:`.
    #[schema(value_type = String)]
    pub feature: Cow<'static, str>,
    /// The column's value; a rule's certainty; none for `others` and `bias`.
    pub value: Option<f32>,
    /// A part of the sum that is `raw_score`, the forest's output; 0 for a rule.
    pub contribution: f64,
    /// In words.
    pub text: String,
}

impl Reason {
    /// Whether a rule found it.
    #[must_use]
    pub fn is_rule(&self) -> bool {
        self.feature.starts_with(RULE_PREFIX)
    }
}
