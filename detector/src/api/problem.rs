//! What went wrong, as RFC 9457 has it: one JSON object that names the field and the remedy.

use std::borrow::Cow;

use axum::http::{HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use serde::Serialize;
use utoipa::ToSchema;

use crate::refusal::{Refusal, RefusalKind};

/// The answer to a request that is not carried out.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, ToSchema)]
pub struct Problem {
    /// Always `about:blank`: the status gives the kind.
    pub r#type: &'static str,
    /// The status in words.
    pub title: &'static str,
    pub status: u16,
    /// The error and its remedy.
    pub detail: String,
    /// The field or parameter of the error.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    pub field: Option<String>,
    /// Which element of an array, from 0.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    pub index: Option<u32>,
    /// Which line of the body, from 1.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    pub line: Option<u32>,
    /// Seconds after which to try again: sent in a header.
    #[serde(skip)]
    pub retry_after_secs: Option<u32>,
}

impl Problem {
    #[must_use]
    pub fn new(status: StatusCode, detail: &str) -> Self {
        Self {
            r#type: "about:blank",
            title: status.canonical_reason().unwrap_or("Error"),
            status: status.as_u16(),
            detail: detail.to_owned(),
            field: None,
            index: None,
            line: None,
            retry_after_secs: None,
        }
    }

    /// A value that makes no sense.
    #[must_use]
    pub fn field(field: &str, detail: &str) -> Self {
        Self::new(StatusCode::UNPROCESSABLE_ENTITY, detail).at(field)
    }

    /// A request that cannot be read.
    #[must_use]
    pub fn malformed(detail: &str) -> Self {
        Self::new(StatusCode::BAD_REQUEST, detail)
    }

    #[must_use]
    pub fn not_found(detail: &str) -> Self {
        Self::new(StatusCode::NOT_FOUND, detail)
    }

    /// It cannot be done as things are.
    #[must_use]
    pub fn conflict(detail: &str) -> Self {
        Self::new(StatusCode::CONFLICT, detail)
    }

    /// Nobody knows who asks.
    #[must_use]
    pub fn unauthorized(detail: &str) -> Self {
        Self::new(StatusCode::UNAUTHORIZED, detail)
    }

    /// Whoever asks may not.
    #[must_use]
    pub fn forbidden(detail: &str) -> Self {
        Self::new(StatusCode::FORBIDDEN, detail)
    }

    #[must_use]
    pub fn too_large(detail: &str) -> Self {
        Self::new(StatusCode::PAYLOAD_TOO_LARGE, detail)
    }

    #[must_use]
    pub fn too_many(detail: &str, retry_after_secs: u32) -> Self {
        let retry_after_secs = Some(retry_after_secs);
        Self { retry_after_secs, ..Self::new(StatusCode::TOO_MANY_REQUESTS, detail) }
    }

    /// The same about a field.
    #[must_use]
    pub fn at(self, field: &str) -> Self {
        Self { field: Some(field.to_owned()), ..self }
    }
}

/// A failure of ours, such as a disk without room. A problem or a refusal on the way is kept.
impl From<anyhow::Error> for Problem {
    fn from(error: anyhow::Error) -> Self {
        let error = match error.downcast::<Self>() {
            Ok(problem) => return problem,
            Err(error) => error,
        };
        if error.is::<Refusal>() {
            return Refusal::from(error).into();
        }
        tracing::error!("failed to answer a request: {error:#}");
        Self::new(
            StatusCode::SERVICE_UNAVAILABLE,
            "the request failed: the agent's log has the reason",
        )
    }
}

/// What the agent or the store refuses, with the status of its kind.
impl From<Refusal> for Problem {
    fn from(refusal: Refusal) -> Self {
        let Refusal { text, kind, field } = refusal;
        let status = match kind {
            RefusalKind::NotFound => StatusCode::NOT_FOUND,
            RefusalKind::Invalid => StatusCode::UNPROCESSABLE_ENTITY,
            RefusalKind::Conflict => StatusCode::CONFLICT,
            RefusalKind::Unavailable | RefusalKind::Failed => StatusCode::SERVICE_UNAVAILABLE,
        };
        Self { field: field.map(Cow::into_owned), ..Self::new(status, &text) }
    }
}

impl std::fmt::Display for Problem {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.write_str(&self.detail)
    }
}

impl std::error::Error for Problem {}

impl IntoResponse for Problem {
    fn into_response(self) -> Response {
        let status = StatusCode::from_u16(self.status).unwrap_or(StatusCode::BAD_REQUEST);
        let retry_after = self.retry_after_secs;
        let mut response = (status, axum::Json(self)).into_response();
        let headers = response.headers_mut();
        let kind = HeaderValue::from_static("application/problem+json");
        headers.insert(header::CONTENT_TYPE, kind);
        if let Some(seconds) = retry_after {
            headers.insert(header::RETRY_AFTER, seconds.into());
        }
        if status == StatusCode::UNAUTHORIZED {
            headers.insert(header::WWW_AUTHENTICATE, HeaderValue::from_static("Bearer"));
        }
        response
    }
}
