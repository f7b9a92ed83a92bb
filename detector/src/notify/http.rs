//! HTTP for webhooks, chat and SMS gateways: one request, certificates checked, no redirects.

use std::fs;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context as _, ensure};
use ureq::Agent;
use ureq::http::{Request, StatusCode};
use ureq::tls::{Certificate, PemItem, RootCerts, TlsConfig, parse_pem};

use super::send::Failure;

/// What is shown of an answer that says what is wrong.
const SHOWN_LETTERS: usize = 200;
const MAX_ANSWER: u64 = 64 << 10;

#[derive(Debug)]
pub(super) struct Client {
    agent: Agent,
}

/// What is asked of a server.
#[derive(Debug)]
pub(super) struct Post<'a> {
    pub(super) method: &'static str,
    pub(super) url: &'a str,
    pub(super) headers: Vec<(&'a str, String)>,
    pub(super) body: &'a str,
}

impl Client {
    /// Trusts the system's authorities, and those in `ca_file`.
    pub(super) fn new(ca_file: Option<&PathBuf>, timeout: Duration) -> anyhow::Result<Self> {
        let tls = TlsConfig::builder()
            .root_certs(RootCerts::Specific(Arc::new(authorities(ca_file)?)))
            .build();
        let config = Agent::config_builder()
            .tls_config(tls)
            .timeout_global(Some(timeout))
            // An answer other than success is looked at here.
            .http_status_as_error(false)
            // A signature is for the one who was named.
            .max_redirects(0)
            .max_redirects_will_error(false)
            // Nothing but the configuration says where messages go.
            .proxy(None)
            // A connection that the other end has dropped meanwhile would cost a message a retry.
            .max_idle_connections(0)
            .user_agent(concat!("detector/", env!("CARGO_PKG_VERSION")))
            .build();
        Ok(Self { agent: Agent::new_with_config(config) })
    }

    /// Returns when the server has answered with success.
    pub(super) fn post(&self, post: &Post<'_>) -> Result<(), Failure> {
        let mut request = Request::builder().method(post.method).uri(post.url);
        for (name, value) in &post.headers {
            request = request.header(*name, value);
        }
        // Its message has the address, which may be a secret.
        let request = request
            .body(post.body)
            .map_err(|_| Failure::Refused("the address or a header is invalid".to_owned()))?;
        let answer = self.agent.run(request).map_err(|error| unreachable(post.url, &error))?;
        let status = answer.status();
        let wait = answer.headers().get("retry-after").and_then(|value| value.to_str().ok());
        let wait = wait.and_then(|value| value.parse().ok()).map(Duration::from_secs);
        let limit = MAX_ANSWER;
        let text = answer.into_body().with_config().limit(limit).read_to_string();
        assess(status, wait, &text.unwrap_or_default())
    }
}

fn unreachable(url: &str, error: &ureq::Error) -> Failure {
    let error = match error {
        // The whole address may be shown otherwise.
        ureq::Error::BadUri(_) => "not a web address".to_owned(),
        error => error.to_string(),
    };
    let error = format!("failed to reach {}: {error}", origin(url));
    Failure::Channel { error, wait: None }
}

fn assess(status: StatusCode, wait: Option<Duration>, text: &str) -> Result<(), Failure> {
    if status.is_success() {
        return Ok(());
    }
    let text: String = text.trim().chars().take(SHOWN_LETTERS).collect();
    let mut error = format!("the server answered {}", status.as_u16());
    if status.is_redirection() {
        error.push_str(", and redirects are not followed");
    }
    if !text.is_empty() {
        error.push_str(&format!(": {}", text.replace(char::is_control, " ")));
    }
    Err(match status.as_u16() {
        // The message itself is what it does not take.
        400 | 410 | 413 | 415 | 422 => Failure::Refused(error),
        _ => Failure::Channel { error, wait },
    })
}

/// `https://host:port` of an address.
pub(super) fn origin(url: &str) -> &str {
    let start = url.find("://").map_or(0, |at| at + 3);
    let end = url[start..].find(['/', '?', '#']).map_or(url.len(), |at| start + at);
    &url[..end]
}

fn authorities(ca_file: Option<&PathBuf>) -> anyhow::Result<Vec<Certificate<'static>>> {
    let system = rustls_native_certs::load_native_certs();
    let mut all: Vec<Certificate<'static>> =
        system.certs.iter().map(|der| Certificate::from_der(der).to_owned()).collect();
    if let Some(file) = ca_file {
        let text = fs::read(file).with_context(|| format!("failed to read {}", file.display()))?;
        let before = all.len();
        for item in parse_pem(&text) {
            let item = item.with_context(|| format!("{} is not a PEM file", file.display()))?;
            if let PemItem::Certificate(certificate) = item {
                all.push(certificate);
            }
        }
        ensure!(all.len() > before, "{} contains no certificate", file.display());
    }
    Ok(all)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn answers_are_judged() {
        let check = |status: u16, expected: fn(&Failure) -> bool| {
            let status = StatusCode::from_u16(status).unwrap();
            let failure = assess(status, Some(Duration::from_secs(7)), "no\nway").unwrap_err();
            assert!(expected(&failure), "{failure:?}");
            assert!(failure.error().ends_with("no way"), "{failure:?}");
        };
        assert!(assess(StatusCode::NO_CONTENT, None, "").is_ok());
        for status in [302, 401, 404, 408, 429, 500, 503] {
            check(status, |failure| matches!(failure, Failure::Channel { wait: Some(_), .. }));
        }
        for status in [400, 410, 413, 422] {
            check(status, |failure| matches!(failure, Failure::Refused(_)));
        }
    }

    #[test]
    fn only_the_origin_of_an_address_is_shown() {
        for (url, expected) in [
            ("https://hooks.example/T0/secret", "https://hooks.example"),
            ("http://h:8080?key=x", "http://h:8080"),
            ("https://h", "https://h"),
        ] {
            assert_eq!(origin(url), expected);
        }
    }
}
