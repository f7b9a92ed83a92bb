//! The dashboard's files, which are in the program.

use axum::body::{Body, Bytes};
use axum::http::{HeaderValue, header};
use axum::response::{IntoResponse as _, Response};

use super::problem::Problem;

/// A file: its path from the root, its type and what is in it.
type Asset = (&'static str, &'static str, &'static [u8]);

include!(concat!(env!("OUT_DIR"), "/ui.rs"));

/// What is no page: the first part of the path.
const NOT_PAGES: [&str; 4] = ["api", "predict", "metrics", "healthz"];
/// Files in it carry a hash in their names.
const HASHED: &str = "/assets/";
const INDEX: &str = "/index.html";
const FOR_EVER: HeaderValue = HeaderValue::from_static("public, max-age=31536000, immutable");
const ASK_AGAIN: HeaderValue = HeaderValue::from_static("no-cache");

const NOT_BUILT: &str = "<!doctype html>\n<html lang=\"en\">\n<title>detector</title>\n\
    <h1>This program was built without the dashboard</h1>\n\
    <p>Run <code>cargo xtask ui</code>, then build the program again. The API works without it: \
    <a href=\"/api/openapi.json\">/api/openapi.json</a>.</p>\n</html>\n";

/// Whether a path is the dashboard's rather than the API's.
pub(super) fn is_page(path: &str) -> bool {
    let first = path.trim_start_matches('/').split('/').next().unwrap_or_default();
    !NOT_PAGES.contains(&first)
}

/// The file at this path; the page itself for every place in it.
pub(super) fn page(path: &str) -> Response {
    find(path, ASSETS)
}

fn find(path: &str, assets: &'static [Asset]) -> Response {
    let asset = |wanted: &str| assets.iter().find(|(path, ..)| *path == wanted);
    let found = match asset(path) {
        None if path.starts_with(HASHED) => {
            return Problem::not_found("this file does not exist").into_response();
        }
        None => asset(INDEX),
        found => found,
    };
    let Some((path, kind, bytes)) = found else {
        let kind = HeaderValue::from_static("text/html; charset=utf-8");
        return answer(kind, ASK_AGAIN, NOT_BUILT.as_bytes());
    };
    let cached = if path.starts_with(HASHED) { FOR_EVER } else { ASK_AGAIN };
    answer(HeaderValue::from_static(kind), cached, bytes)
}

fn answer(kind: HeaderValue, cached: HeaderValue, bytes: &'static [u8]) -> Response {
    let headers = [(header::CONTENT_TYPE, kind), (header::CACHE_CONTROL, cached)];
    (headers, Body::from(Bytes::from_static(bytes))).into_response()
}

#[cfg(test)]
mod tests {
    use super::*;

    const FILES: &[Asset] = &[
        ("/index.html", "text/html; charset=utf-8", b"index"),
        ("/assets/app-1a2b.js", "text/javascript; charset=utf-8", b"app"),
    ];

    #[test]
    fn every_place_in_the_page_is_the_page() {
        let check = |path: &str, status: u16, kind: &str, cached: &str| {
            let response = find(path, FILES);
            let header = |name| {
                response.headers().get(name).map_or("", |value| value.to_str().unwrap_or_default())
            };
            assert_eq!(response.status().as_u16(), status, "{path}");
            assert!(header(header::CONTENT_TYPE).starts_with(kind), "{path}");
            assert!(header(header::CACHE_CONTROL).contains(cached), "{path}");
        };
        check("/", 200, "text/html", "no-cache");
        check("/alerts/00ab", 200, "text/html", "no-cache");
        check("/assets/app-1a2b.js", 200, "text/javascript", "immutable");
        check("/assets/app-old.js", 404, "application/problem+json", "");
        for (path, expected) in [("/", true), ("/hosts/10.0.0.7", true), ("/apiary", true)] {
            assert_eq!(is_page(path), expected, "{path}");
        }
        for path in ["/api", "/api/status", "/healthz", "/metrics", "/predict", "//api/status"] {
            assert!(!is_page(path), "{path}");
        }
    }
}
