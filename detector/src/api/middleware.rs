//! What every request passes before a handler sees it, and every answer on its way out.
//!
//! Nothing here is logged or kept of a request that is in order.

use std::net::IpAddr;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use axum::Router;
use axum::body::{Body, HttpBody as _};
use axum::extract::{ConnectInfo, Request, State};
use axum::http::{HeaderName, HeaderValue, Method, StatusCode, header};
use axum::middleware::{Next, from_fn_with_state};
use axum::response::{IntoResponse as _, Response};
use tower_http::CompressionLevel;
use tower_http::compression::CompressionLayer;
use tower_http::sensitive_headers::{
    SetSensitiveRequestHeadersLayer, SetSensitiveResponseHeadersLayer,
};
use tower_http::set_header::SetResponseHeaderLayer;
use tower_http::timeout::TimeoutBody;

use super::caller::Caller;
use super::limits::{Allowance, Requests};
use super::origin::Names;
use super::problem::Problem;
use super::{App, ui};
use crate::store::tokens::Scope;

/// How long an answer may take; without uploads and endless streams.
const ANSWER: Duration = Duration::from_secs(30);
/// How long nothing of an upload may come.
const SILENCE: Duration = Duration::from_secs(30);
/// Where bodies may be long, and take long to come: bounded by what they are, not by time.
const UPLOADS: [&str; 3] = ["/api/captures", "/api/logs", "/api/models"];
/// Paths that need no token anywhere, besides the pages.
const OPEN: [&str; 2] = ["/healthz", "/api/session"];

const PAGE_POLICY: HeaderValue = HeaderValue::from_static(
    "default-src 'self'; style-src 'self'; img-src 'self' data:; frame-ancestors 'none'; base-uri \
     'none'; form-action 'self'; object-src 'none'",
);
/// What is no page may load nothing, if a browser should take it for one.
const DATA_POLICY: HeaderValue =
    HeaderValue::from_static("default-src 'none'; frame-ancestors 'none'");
const NO_STORE: HeaderValue = HeaderValue::from_static("no-store");
const NO_SNIFF: HeaderValue = HeaderValue::from_static("nosniff");
const NO_REFERRER: HeaderValue = HeaderValue::from_static("no-referrer");
const SAME_ORIGIN: HeaderValue = HeaderValue::from_static("same-origin");
const OPENER_POLICY: HeaderName = HeaderName::from_static("cross-origin-opener-policy");
const RESOURCE_POLICY: HeaderName = HeaderName::from_static("cross-origin-resource-policy");

/// The routes behind their checks. Requests come with the client's address as
/// [`ConnectInfo`].
pub(super) fn guarded(app: &App, router: Router) -> Router {
    // Those further down are further out: they see a request first and its answer last.
    router
        .layer(from_fn_with_state(Arc::new(Gate::new(app.clone())), answer))
        // What lasts, such as the stream of events, is left as it is: it must not wait for a block.
        .layer(CompressionLayer::new().quality(CompressionLevel::Fastest))
        .layer(always(header::X_CONTENT_TYPE_OPTIONS, NO_SNIFF))
        .layer(always(header::REFERRER_POLICY, NO_REFERRER))
        .layer(always(OPENER_POLICY, SAME_ORIGIN))
        .layer(always(RESOURCE_POLICY, SAME_ORIGIN))
        .layer(SetResponseHeaderLayer::if_not_present(header::CACHE_CONTROL, NO_STORE))
        .layer(SetSensitiveResponseHeadersLayer::new([header::SET_COOKIE]))
        .layer(SetSensitiveRequestHeadersLayer::new([header::AUTHORIZATION, header::COOKIE]))
}

fn always(name: HeaderName, value: HeaderValue) -> SetResponseHeaderLayer<HeaderValue> {
    SetResponseHeaderLayer::overriding(name, value)
}

struct Gate {
    app: App,
    names: Names,
    requests: Mutex<Requests>,
    max_body_bytes: u64,
}

/// Answers one request, whatever it is.
async fn answer(
    State(gate): State<Arc<Gate>>,
    ConnectInfo(from): ConnectInfo<IpAddr>,
    request: Request,
    next: Next,
) -> Response {
    let is_page = ui::is_page(request.uri().path());
    let mut response = match gate.admit(request, from, is_page).await {
        Ok(request) => pass(request, next).await,
        Err(problem) => problem.into_response(),
    };
    let policy = if is_page { PAGE_POLICY } else { DATA_POLICY };
    response.headers_mut().insert(header::CONTENT_SECURITY_POLICY, policy);
    response
}

impl Gate {
    fn new(app: App) -> Self {
        let api = &app.config.api;
        let allowance = if api.is_loopback() { Allowance::LOCAL } else { Allowance::REMOTE };
        Self {
            names: Names::new(api),
            requests: Mutex::new(Requests::new(allowance)),
            max_body_bytes: api.max_body_bytes,
            app,
        }
    }

    /// The request with who asks, where it may be looked at at all.
    async fn admit(
        &self,
        request: Request,
        from: IpAddr,
        is_page: bool,
    ) -> Result<Request, Problem> {
        self.screen(&request, from)?;
        let (mut parts, body) = request.into_parts();
        let caller: Caller = self.app.identify(&parts.headers, from).await?;
        if !is_page && !OPEN.contains(&parts.uri.path()) {
            caller.check(Scope::Read)?;
        }
        parts.extensions.insert(caller);
        Ok(Request::from_parts(parts, body))
    }

    /// What can be said of a request without knowing who asks.
    fn screen(&self, request: &Request, from: IpAddr) -> Result<(), Problem> {
        self.names.check(request)?;
        let taken = self.lock().take(from, Instant::now());
        taken.map_err(|seconds| {
            Problem::too_many("too many requests from this address: try again later", seconds)
        })?;
        let is_longer = request.body().size_hint().lower() > self.max_body_bytes;
        if is_longer && !is_upload(request.method(), request.uri().path()) {
            return Err(Problem::too_large(&format!(
                "the body has {} bytes, and api.max_body_bytes is {}",
                request.body().size_hint().lower(),
                self.max_body_bytes
            )));
        }
        Ok(())
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, Requests> {
        self.requests.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Bounds the time: of an upload's pauses, or of the whole answer.
async fn pass(request: Request, next: Next) -> Response {
    if is_upload(request.method(), request.uri().path()) {
        return next.run(request.map(|body| Body::new(TimeoutBody::new(SILENCE, body)))).await;
    }
    match tokio::time::timeout(ANSWER, next.run(request)).await {
        Ok(response) => response,
        Err(_) => Problem::new(
            StatusCode::REQUEST_TIMEOUT,
            "the answer took too long: try again, or ask for less",
        )
        .into_response(),
    }
}

fn is_upload(method: &Method, path: &str) -> bool {
    method == Method::POST
        && UPLOADS.iter().any(|upload| {
            path.strip_prefix(upload).is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
        })
}
