//! One reason of an alert.

use std::borrow::Cow;

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

/// Prefix of a rule's name among the reasons: no column begins with it.
pub const RULE_PREFIX: &str = "rule:";

/// One reason of an alert.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct Reason {
    /// A column of the schema, `others` for all that are not listed, or a rule's name after `rule:`.
    #[schema(value_type = String)]
    pub feature: Cow<'static, str>,
    /// The column's value; a rule's certainty; none for `others`.
    pub value: Option<f32>,
    /// A part of the sum that is `raw_score`, the forest's output; 0 for a rule. The model's bias, which
    /// is the same for all, is what the parts leave of it.
    pub contribution: f64,
    /// The reason in words.
    pub text: String,
}

impl Reason {
    /// How much it weighs, in words: a rule's certainty where it has one, a column's part in the forest's score.
    #[must_use]
    pub fn weight(&self) -> String {
        match self.value {
            Some(certainty) if self.is_rule() => format!("{:.0} %", certainty * 100.0),
            None if self.is_rule() => String::new(),
            _ => format!("{:+.2}", self.contribution),
        }
    }

    /// Whether a rule found it.
    #[must_use]
    pub fn is_rule(&self) -> bool {
        self.feature.starts_with(RULE_PREFIX)
    }
}
