//! Under which name we were asked, and whose page asks.
//!
//! A page of another site can have a browser send requests here, and with a name that it points at
//! us (DNS rebinding) it could read the answers, too. So a name must be one of ours, and a page,
//! too.

use std::net::IpAddr;

use axum::http::uri::Authority;
use axum::http::{HeaderMap, Method, Request, header};

use super::problem::Problem;
use crate::config::api::Api;

const SEC_FETCH_SITE: &str = "sec-fetch-site";
const SEC_FETCH_MODE: &str = "sec-fetch-mode";

/// What we are called.
#[derive(Debug)]
pub(super) struct Names {
    listen: IpAddr,
    /// In small letters.
    names: Vec<String>,
    scheme: &'static str,
    /// `https://detector.example`, where a proxy forwards to us under another scheme or name.
    base_origin: Option<String>,
}

impl Names {
    pub(super) fn new(config: &Api) -> Self {
        let base = config.base_url.as_deref().and_then(|url| url.parse::<axum::http::Uri>().ok());
        let base_host = base.as_ref().and_then(|url| url.host().map(str::to_ascii_lowercase));
        let base_origin = base.as_ref().and_then(|url| {
            Some(format!("{}://{}", url.scheme_str()?, url.authority()?.as_str()).to_lowercase())
        });
        let names = config.hosts.iter().map(|name| name.to_ascii_lowercase()).chain(base_host);
        Self {
            listen: config.listen.ip(),
            names: names.collect(),
            scheme: config.scheme(),
            base_origin,
        }
    }

    pub(super) fn check<B>(&self, request: &Request<B>) -> Result<(), Problem> {
        let headers = request.headers();
        let mut hosts = headers.get_all(header::HOST).iter();
        let host = match (hosts.next(), hosts.next()) {
            (Some(host), None) => host.to_str().ok(),
            _ => None,
        };
        let authority = host.and_then(|host| host.parse::<Authority>().ok());
        let Some(authority) = authority else {
            return Err(Problem::malformed("a request needs exactly one Host header").at("Host"));
        };
        // What an absolute address says is above the header (RFC 9112, section 3.2.2): both
        // must be ours.
        for named in request.uri().authority().into_iter().chain([&authority]) {
            if !self.is_ours(named.host()) {
                return Err(Problem::forbidden(&format!(
                    "`{}` is not a name of this service: add it to api.hosts if it should be",
                    named.host().escape_debug()
                ))
                .at("Host"));
            }
        }
        self.check_page(request.method(), headers, &authority)
    }

    fn is_ours(&self, host: &str) -> bool {
        let bare = host.trim_start_matches('[').trim_end_matches(']');
        if let Ok(address) = bare.parse::<IpAddr>() {
            // An address is not rebound, so it is enough that it can be ours.
            return self.listen.is_unspecified()
                || address == self.listen
                || (self.listen.is_loopback() && address.is_loopback());
        }
        let name = host.to_ascii_lowercase();
        name == "localhost" || self.names.contains(&name)
    }

    fn check_page(
        &self,
        method: &Method,
        headers: &HeaderMap,
        host: &Authority,
    ) -> Result<(), Problem> {
        if let Some(origin) = headers.get(header::ORIGIN) {
            let origin = origin.to_str().unwrap_or_default().to_ascii_lowercase();
            let own = format!("{}://{}", self.scheme, host.as_str().to_ascii_lowercase());
            if origin != own && Some(&origin) != self.base_origin.as_ref() {
                return Err(Problem::forbidden("the request comes from a page of another site")
                    .at("Origin"));
            }
        }
        let text = |name| headers.get(name).and_then(|value| value.to_str().ok());
        let same = text(SEC_FETCH_SITE).is_none_or(|site| matches!(site, "same-origin" | "none"));
        // A link from elsewhere, such as one in a message, may be followed.
        let followed = method == Method::GET && text(SEC_FETCH_MODE) == Some("navigate");
        if !same && !followed {
            return Err(Problem::forbidden("the request comes from a page of another site")
                .at("Sec-Fetch-Site"));
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(config: &Api, headers: &[(&str, &str)], uri: &str, field: Option<&str>) {
        let mut request = Request::builder().uri(uri);
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        let outcome = Names::new(config).check(&request.body(()).unwrap());
        let found = outcome.err().and_then(|problem| problem.field);
        assert_eq!(found.as_deref(), field, "{headers:?} {uri}");
    }

    #[test]
    fn names_and_pages_are_ours() {
        let config = Api {
            hosts: vec!["Box.example".into()],
            base_url: Some("https://detector.example".into()),
            ..Api::default()
        };
        let host = |host: &str, field| check(&config, &[("Host", host)], "/", field);
        for ours in [
            "localhost:5000",
            "LOCALHOST",
            "127.0.0.1:5000",
            "[::1]:5000",
            "box.example",
            "detector.example:443",
        ] {
            host(ours, None);
        }
        for other in ["evil.example", "192.0.2.1:5000", "localhost.evil.example", "a b", ""] {
            host(other, Some("Host"));
        }
        check(&config, &[], "/", Some("Host"));
        check(&config, &[("Host", "localhost"), ("Host", "localhost")], "/", Some("Host"));
        check(&config, &[("Host", "localhost")], "http://evil.example/", Some("Host"));

        let page = |headers: &[(&str, &str)], field| {
            let headers = [&[("Host", "localhost:5000")], headers].concat();
            check(&config, &headers, "/api/status", field);
        };
        page(&[("Origin", "http://localhost:5000")], None);
        page(&[("Origin", "https://detector.example")], None);
        page(&[("Origin", "https://localhost:5000")], Some("Origin"));
        page(&[("Origin", "http://localhost:8080")], Some("Origin"));
        page(&[("Origin", "null")], Some("Origin"));
        page(&[("Sec-Fetch-Site", "same-origin")], None);
        page(&[("Sec-Fetch-Site", "cross-site")], Some("Sec-Fetch-Site"));
        page(&[("Sec-Fetch-Site", "same-site")], Some("Sec-Fetch-Site"));
        page(&[("Sec-Fetch-Site", "cross-site"), ("Sec-Fetch-Mode", "navigate")], None);
    }

    #[test]
    fn where_every_address_is_listened_on_any_may_be_named() {
        let config = Api { listen: ([0, 0, 0, 0], 443).into(), ..Api::default() };
        check(&config, &[("Host", "192.0.2.1")], "/", None);
        check(&config, &[("Host", "evil.example")], "/", Some("Host"));
    }
}
