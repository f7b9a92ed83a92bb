//! What every request passes before a handler sees it, and every answer on its way out.
//!
//! Nothing here is told or kept of a request that is in order.

use std::net::IpAddr;
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use axum::Router;
use axum::body::{Body, HttpBody as _};
use axum::http::{HeaderValue, Method, Request, StatusCode, header};
use axum::response::{IntoResponse as _, Response};
use hyper::body::Incoming;
use hyper::service::Service as _;
use hyper_util::service::TowerToHyperService;

use super::body_idle_timeout::Patient;
use super::caller::Caller;
use super::limits::{Allowance, Requests};
use super::origin::Names;
use super::problem::Problem;
use super::{App, ui};
use crate::store::tokens::Scope;

/// How long an answer may take; what is uploaded or goes on for ever apart.
const ANSWER: Duration = Duration::from_secs(30);
/// Where bodies may be long, and take long to come: bounded by what they are, not by time.
const UPLOADS: [&str; 3] = ["/api/captures", "/api/logs", "/api/models"];
/// Paths that need no token anywhere, besides the pages.
const OPEN: [&str; 2] = ["/healthz", "/api/session"];

const PAGE_POLICY: HeaderValue = HeaderValue::from_static(
    "default-src 'self'; style-src 'self'; img-src 'self' data:; frame-ancestors 'none'; \
     base-uri 'none'; form-action 'self'; object-src 'none'",
);
/// What is no page may load nothing, if a browser should take it for one.
const DATA_POLICY: HeaderValue =
    HeaderValue::from_static("default-src 'none'; frame-ancestors 'none'");
const NO_STORE: HeaderValue = HeaderValue::from_static("no-store");
const NO_SNIFF: HeaderValue = HeaderValue::from_static("nosniff");
const NO_REFERRER: HeaderValue = HeaderValue::from_static("no-referrer");
const SAME_ORIGIN: HeaderValue = HeaderValue::from_static("same-origin");

pub(super) struct Gate {
    app: App,
    router: TowerToHyperService<Router>,
    names: Names,
    requests: Mutex<Requests>,
    max_body_bytes: u64,
}

impl Gate {
    pub(super) fn new(app: App, router: Router) -> Self {
        let api = &app.config.api;
        let allowance = if api.is_loopback() { Allowance::LOCAL } else { Allowance::REMOTE };
        Self {
            names: Names::new(api),
            requests: Mutex::new(Requests::new(allowance)),
            max_body_bytes: api.max_body_bytes,
            router: TowerToHyperService::new(router),
            app,
        }
    }

    /// Ends what goes on for ever.
    pub(super) fn close(&self) {
        self.app.bus.close();
    }

    /// Answers one request, whatever it is.
    pub(super) async fn answer(&self, request: Request<Incoming>, from: IpAddr) -> Response {
        let is_page = ui::is_page(request.uri().path());
        let response = match self.admit(&request, from, is_page).await {
            Ok(caller) => self.pass(request, caller).await,
            Err(problem) => problem.into_response(),
        };
        secured(response, is_page)
    }

    /// Who asks, where the request may be looked at at all.
    async fn admit(
        &self,
        request: &Request<Incoming>,
        from: IpAddr,
        is_page: bool,
    ) -> Result<Caller, Problem> {
        self.names.check(request)?;
        let taken = self.lock().take(from, Instant::now());
        taken.map_err(|seconds| Problem::too_many("too many requests from here", seconds))?;
        let path = request.uri().path();
        let is_longer = request.body().size_hint().lower() > self.max_body_bytes;
        if is_longer && !is_upload(request.method(), path) {
            return Err(Problem::too_large(&format!(
                "the body has {} bytes: at most {} (api.max_body_bytes)",
                request.body().size_hint().lower(),
                self.max_body_bytes
            )));
        }
        let caller = self.app.identify(request.headers(), from).await?;
        if !is_page && !OPEN.contains(&path) {
            caller.check(Scope::Read)?;
        }
        Ok(caller)
    }

    async fn pass(&self, request: Request<Incoming>, caller: Caller) -> Response {
        let is_upload = is_upload(request.method(), request.uri().path());
        let (mut parts, body) = request.into_parts();
        parts.extensions.insert(caller);
        if is_upload {
            let request = Request::from_parts(parts, Body::new(Patient::new(body)));
            let Ok(response) = self.router.call(request).await;
            return response;
        }
        let request = Request::from_parts(parts, Body::new(body));
        match tokio::time::timeout(ANSWER, self.router.call(request)).await {
            Ok(Ok(response)) => response,
            Err(_) => Problem::new(StatusCode::REQUEST_TIMEOUT, "it took too long").into_response(),
        }
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, Requests> {
        self.requests.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn is_upload(method: &Method, path: &str) -> bool {
    method == Method::POST
        && UPLOADS.iter().any(|upload| {
            path.strip_prefix(upload).is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
        })
}

fn secured(mut response: Response, is_page: bool) -> Response {
    let headers = response.headers_mut();
    let policy = if is_page { PAGE_POLICY } else { DATA_POLICY };
    headers.insert(header::CONTENT_SECURITY_POLICY, policy);
    headers.insert(header::X_CONTENT_TYPE_OPTIONS, NO_SNIFF);
    headers.insert(header::REFERRER_POLICY, NO_REFERRER);
    headers.insert("cross-origin-opener-policy", SAME_ORIGIN);
    headers.insert("cross-origin-resource-policy", SAME_ORIGIN);
    headers.entry(header::CACHE_CONTROL).or_insert(NO_STORE);
    response
}
