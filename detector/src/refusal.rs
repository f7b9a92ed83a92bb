//! Why something that was asked for is not done: one value from the place that decides it to the
//! control socket, the HTTP status and the exit code.
//!
//! Programs branch on the kind and the field; the text is for people, and no code reads it.

use std::borrow::Cow;
use std::fmt;

use serde::{Deserialize, Serialize};

/// A request that is not carried out. Nothing was changed, unless the kind is `failed`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Refusal {
    /// What failed, why, and the command that helps.
    #[serde(rename = "error")]
    pub text: String,
    pub kind: RefusalKind,
    /// The field of the request that is wrong.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub field: Option<Cow<'static, str>>,
}

/// What programs branch on: a closed list.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum RefusalKind {
    /// There is no such thing.
    NotFound,
    /// A value is wrong, whatever the state of the agent.
    Invalid,
    /// The state of the agent or the database does not allow it.
    Conflict,
    /// Nobody can carry it out now; a later try may succeed.
    Unavailable,
    /// It was tried, and the kernel or a disk failed.
    Failed,
}

impl Refusal {
    fn new(kind: RefusalKind, text: impl Into<String>) -> Self {
        Self { text: text.into(), kind, field: None }
    }

    #[must_use]
    pub fn not_found(text: impl Into<String>) -> Self {
        Self::new(RefusalKind::NotFound, text)
    }

    #[must_use]
    pub fn invalid(field: impl Into<Cow<'static, str>>, text: impl Into<String>) -> Self {
        Self::malformed(text).at(field)
    }

    /// A request that is wrong as a whole, such as one that is no JSON.
    #[must_use]
    pub fn malformed(text: impl Into<String>) -> Self {
        Self::new(RefusalKind::Invalid, text)
    }

    #[must_use]
    pub fn conflict(text: impl Into<String>) -> Self {
        Self::new(RefusalKind::Conflict, text)
    }

    #[must_use]
    pub fn unavailable(text: impl Into<String>) -> Self {
        Self::new(RefusalKind::Unavailable, text)
    }

    /// The same about a field.
    #[must_use]
    pub fn at(self, field: impl Into<Cow<'static, str>>) -> Self {
        Self { field: Some(field.into()), ..self }
    }

    /// The same, with what was attempted in front.
    #[must_use]
    pub fn within(self, attempted: &str) -> Self {
        Self { text: format!("{attempted}: {}", self.text), ..self }
    }
}

/// A refusal on the way is kept, with the contexts that it was given; any other error is a failure.
impl From<anyhow::Error> for Refusal {
    fn from(error: anyhow::Error) -> Self {
        let text = format!("{error:#}");
        match error.downcast_ref::<Self>() {
            Some(Self { kind, field, .. }) => Self { text, kind: *kind, field: field.clone() },
            None => Self::new(RefusalKind::Failed, text),
        }
    }
}

impl fmt::Display for Refusal {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(&self.text)
    }
}

impl std::error::Error for Refusal {}

#[cfg(test)]
mod tests {
    use anyhow::Context as _;

    use super::*;

    #[test]
    fn a_refusal_survives_the_contexts_of_an_error() {
        let full = Refusal::conflict("the table is full").at("target");
        let failed: anyhow::Result<()> = Err(full).context("failed to block 192.0.2.1");
        let refusal = Refusal::from(failed.unwrap_err());
        assert_eq!(refusal.text, "failed to block 192.0.2.1: the table is full");
        assert_eq!(
            (refusal.kind, refusal.field.as_deref()),
            (RefusalKind::Conflict, Some("target"))
        );
    }

    #[test]
    fn any_other_error_is_a_failure() {
        let refusal = Refusal::from(anyhow::anyhow!("no room").context("failed to write"));
        assert_eq!(refusal.kind, RefusalKind::Failed);
        assert_eq!(refusal.to_string(), "failed to write: no room");
    }
}
