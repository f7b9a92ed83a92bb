//! What handlers take from a request. What does not fit is a [`Problem`] that names the field.

use axum::body::Bytes;
use axum::extract::rejection::BytesRejection;
use axum::extract::{FromRequest, FromRequestParts, RawPathParams, Request};
use axum::http::request::Parts;
use axum::http::{HeaderMap, HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use serde::Serialize;
use serde::de::DeserializeOwned;

use super::caller::Caller;
use super::problem::Problem;
use crate::fields;

/// A JSON body, of a request or of an answer.
#[derive(Clone, Debug)]
pub struct Json<T>(pub T);

/// Parameters in the address, after the question mark.
#[derive(Clone, Debug)]
pub struct Query<T>(pub T);

/// Parameters in the address's path.
#[derive(Clone, Debug)]
pub struct Path<T>(pub T);

impl<T: DeserializeOwned, S: Send + Sync> FromRequest<S> for Json<T> {
    type Rejection = Problem;

    async fn from_request(request: Request, state: &S) -> Result<Self, Problem> {
        let is_json = media_type(request.headers()).is_some_and(|kind| is_json(&kind));
        if !is_json {
            return Err(Problem::new(
                StatusCode::UNSUPPORTED_MEDIA_TYPE,
                "send JSON, with the header Content-Type: application/json",
            ));
        }
        let bytes = Bytes::from_request(request, state).await?;
        from_json(&bytes).map(Self)
    }
}

/// Reads a JSON object.
///
/// # Errors
///
/// 400 if it is not one, 422 if a field is wrong, with its name.
pub fn from_json<T: DeserializeOwned>(bytes: &[u8]) -> Result<T, Problem> {
    // A list of its values would be taken for an object.
    if bytes.trim_ascii_start().starts_with(b"[") {
        let detail = "the body is a list: expected an object";
        return Err(Problem::new(StatusCode::UNPROCESSABLE_ENTITY, detail));
    }
    serde_json::from_slice(bytes).map_err(|error| {
        if error.is_data() {
            fields::refusal::<T>(bytes, &error).into()
        } else {
            Problem::malformed(&format!("the body is not valid JSON: {error}"))
        }
    })
}

impl<T: DeserializeOwned, S: Send + Sync> FromRequestParts<S> for Query<T> {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, _state: &S) -> Result<Self, Problem> {
        let pairs = axum::extract::Query::<Vec<(String, String)>>::try_from_uri(&parts.uri);
        let axum::extract::Query(pairs) = pairs
            .map_err(|_| Problem::malformed("the parameters in the address cannot be read"))?;
        Ok(Self(fields::from_pairs(&pairs)?))
    }
}

impl<T: DeserializeOwned + Send, S: Send + Sync> FromRequestParts<S> for Path<T> {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, Problem> {
        if let Ok(axum::extract::Path(value)) =
            axum::extract::Path::<T>::from_request_parts(parts, state).await
        {
            return Ok(Self(value));
        }
        // One that cannot be read names nothing that there is.
        let found = RawPathParams::from_request_parts(parts, state).await.ok();
        let first = found.as_ref().and_then(|found| found.iter().next());
        Err(match first {
            Some((name, text)) => {
                Problem::field(name, &format!("`{}` is not a valid {name}", text.escape_debug()))
            }
            None => Problem::malformed("the address is not valid UTF-8"),
        })
    }
}

impl FromRequestParts<super::App> for Caller {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, _app: &super::App) -> Result<Self, Problem> {
        let caller = parts.extensions.get().cloned();
        caller.ok_or_else(|| Problem::unauthorized("the request has no client address"))
    }
}

impl<T: Serialize> IntoResponse for Json<T> {
    fn into_response(self) -> Response {
        match serde_json::to_vec(&self.0) {
            Ok(body) => ([(header::CONTENT_TYPE, JSON)], body).into_response(),
            Err(error) => {
                Problem::from(anyhow::Error::new(error).context("failed to write the answer"))
                    .into_response()
            }
        }
    }
}

impl From<BytesRejection> for Problem {
    fn from(rejection: BytesRejection) -> Self {
        match rejection.status() {
            StatusCode::PAYLOAD_TOO_LARGE => {
                Self::too_large("the body is longer than api.max_body_bytes")
            }
            _ => Self::malformed("the body is shorter than its Content-Length"),
        }
    }
}

const JSON: HeaderValue = HeaderValue::from_static("application/json");

/// The media type without its parameters, in small letters; none where none is named.
#[must_use]
pub fn media_type(headers: &HeaderMap) -> Option<String> {
    let value = headers.get(header::CONTENT_TYPE)?.to_str().ok()?;
    let kind = value.split(';').next().unwrap_or_default();
    Some(kind.trim().to_ascii_lowercase())
}

/// Whether a media type says that the body is JSON.
#[must_use]
pub fn is_json(kind: &str) -> bool {
    kind == "application/json" || (kind.starts_with("application/") && kind.ends_with("+json"))
}

#[cfg(test)]
mod tests {
    use serde::Deserialize;

    use super::*;

    #[derive(Debug, Deserialize)]
    #[serde(deny_unknown_fields)]
    struct Body {
        #[expect(dead_code, reason = "only its type is looked at")]
        number: u8,
        #[expect(dead_code, reason = "only its type is looked at")]
        inner: Option<Inner>,
    }

    #[tokio::test]
    async fn the_parameter_is_named() {
        #[derive(Debug, Deserialize)]
        #[serde(deny_unknown_fields)]
        struct Wanted {
            #[expect(dead_code, reason = "only its type is looked at")]
            limit: Option<u8>,
        }
        for (address, field) in [("/?limit=x", "limit"), ("/?limit=256", "limit"), ("/?of=1", "of")]
        {
            let request = axum::http::Request::builder().uri(address).body(()).unwrap();
            let (mut parts, ()) = request.into_parts();
            let problem = Query::<Wanted>::from_request_parts(&mut parts, &()).await.unwrap_err();
            assert_eq!((problem.status, problem.field.as_deref()), (422, Some(field)), "{address}");
        }
    }

    #[derive(Debug, Deserialize)]
    struct Inner {
        #[expect(dead_code, reason = "only its type is looked at")]
        name: String,
    }

    #[test]
    fn the_field_is_named() {
        let check = |text: &str, status: u16, field: Option<&str>, detail: &str| {
            let problem = from_json::<Body>(text.as_bytes()).unwrap_err();
            assert_eq!((problem.status, problem.field.as_deref()), (status, field), "{text}");
            assert!(problem.detail.contains(detail), "{}", problem.detail);
        };
        check("{", 400, None, "not valid JSON");
        check("", 400, None, "not valid JSON");
        check(r#"{"number":1} x"#, 400, None, "not valid JSON");
        check(r#"{}"#, 422, Some("number"), "missing field `number`");
        check(r#"{"number":"x"}"#, 422, Some("number"), "number: invalid type");
        check(r#"{"number":256}"#, 422, Some("number"), "256");
        check(r#"{"number":1,"other":2}"#, 422, Some("other"), "unknown field `other`");
        check(r#"{"number":1,"inner":{}}"#, 422, Some("inner.name"), "missing field `name`");
        check(r#"{"number":1,"inner":{"name":4}}"#, 422, Some("inner.name"), "invalid type");
        check("[1]", 422, None, "expected an object");
    }
}
