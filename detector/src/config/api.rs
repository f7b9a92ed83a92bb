//! Where the API and the dashboard are served, and to whom.

use std::net::SocketAddr;
use std::path::PathBuf;

use anyhow::ensure;
use serde::{Deserialize, Serialize};

/// A request for many blocks or contacts has room.
const LEAST_BODY: u64 = 64 << 10;

/// The HTTP server.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Api {
    pub enabled: bool,
    pub listen: SocketAddr,
    /// What links in messages begin with; none: the address that is listened on.
    pub base_url: Option<String>,
    /// Names besides the address that a browser may reach it under.
    pub hosts: Vec<String>,
    pub tls_certificate: Option<PathBuf>,
    pub tls_key: Option<PathBuf>,
    /// The longest body, captures apart.
    pub max_body_bytes: u64,
    pub max_capture_bytes: u64,
}

impl Default for Api {
    fn default() -> Self {
        Self {
            enabled: true,
            listen: SocketAddr::from(([127, 0, 0, 1], 5_000)),
            base_url: None,
            hosts: Vec::new(),
            tls_certificate: None,
            tls_key: None,
            max_body_bytes: 8 << 20,
            max_capture_bytes: 8 << 30,
        }
    }
}

impl Api {
    /// Whether only this machine can look.
    #[must_use]
    pub fn is_loopback(&self) -> bool {
        self.listen.ip().is_loopback()
    }

    /// What addresses of it begin with.
    #[must_use]
    pub fn scheme(&self) -> &'static str {
        if self.tls_key.is_some() { "https" } else { "http" }
    }

    /// What links to it begin with, without a slash at the end.
    #[must_use]
    pub fn base_url(&self) -> String {
        match &self.base_url {
            Some(url) => url.trim_end_matches('/').to_owned(),
            None => format!("{}://{}", self.scheme(), self.listen),
        }
    }

    pub(super) fn check(&self) -> anyhow::Result<()> {
        ensure!(
            self.tls_certificate.is_some() == self.tls_key.is_some(),
            "api.tls_certificate and api.tls_key go together: name both or neither"
        );
        ensure!(
            !self.enabled || self.is_loopback() || self.tls_key.is_some(),
            "api.listen is {}: an address other than loopback needs TLS, set api.tls_certificate \
             and api.tls_key",
            self.listen
        );
        ensure!(
            self.max_body_bytes >= LEAST_BODY,
            "api.max_body_bytes is {}: use at least {LEAST_BODY}",
            self.max_body_bytes
        );
        if let Some(url) = &self.base_url {
            let rest = url.strip_prefix("https://").or_else(|| url.strip_prefix("http://"));
            ensure!(
                rest.is_some_and(|rest| !rest.trim_end_matches('/').is_empty()),
                "api.base_url is `{url}`: write it as https://detector.example"
            );
        }
        Ok(())
    }
}
