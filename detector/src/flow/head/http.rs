//! The head of an HTTP/1 request (RFC 9112), cut wherever the head was.

/// What the request line and the headers that were there say.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Request<'a> {
    pub method: &'a str,
    /// As it was sent, without the port.
    pub host: Option<&'a str>,
    pub content_length: Option<u64>,
}

/// Methods of RFC 9110 and RFC 5789, and those of WebDAV that carry much.
const METHODS: [&str; 12] = [
    "GET", "POST", "PUT", "HEAD", "PATCH", "DELETE", "OPTIONS", "CONNECT", "TRACE", "PROPFIND",
    "MKCOL", "MOVE",
];

/// The method of a request, if that is what the bytes start with.
#[must_use]
pub fn method(bytes: &[u8]) -> Option<&'static str> {
    METHODS.into_iter().find(|method| {
        bytes.strip_prefix(method.as_bytes()).is_some_and(|rest| rest.first() == Some(&b' '))
    })
}

/// Whether requests with this method carry a body to the server.
#[must_use]
pub fn is_upload(method: &str) -> bool {
    matches!(method, "POST" | "PUT" | "PATCH")
}

impl<'a> Request<'a> {
    #[must_use]
    pub fn decode(bytes: &'a [u8]) -> Option<Self> {
        let mut request = Self { method: method(bytes)?, host: None, content_length: None };
        let mut lines = bytes.split_inclusive(|&byte| byte == b'\n');
        let _request_line = lines.next()?;
        // A line without its end was cut, and so may its value have been.
        for line in lines.take_while(|line| line.ends_with(b"\n")) {
            let Ok(line) = str::from_utf8(line) else {
                continue;
            };
            let Some((name, value)) = line.split_once(':') else {
                break;
            };
            if name.eq_ignore_ascii_case("host") {
                request.host = Some(without_port(value.trim())).filter(|host| !host.is_empty());
            } else if name.eq_ignore_ascii_case("content-length") {
                request.content_length = value.trim().parse().ok();
            }
        }
        Some(request)
    }
}

/// A host without its port; an IPv6 literal keeps its brackets.
fn without_port(host: &str) -> &str {
    if host.starts_with('[') {
        return host.split_inclusive(']').next().unwrap_or(host);
    }
    host.split_once(':').map_or(host, |(name, _)| name)
}

/// Whether a host is an address rather than a name.
#[must_use]
pub fn is_address(host: &str) -> bool {
    let bare = host.trim_start_matches('[').trim_end_matches(']');
    bare.parse::<std::net::IpAddr>().is_ok()
}

#[cfg(test)]
mod tests {
    use super::{Request, is_address, without_port};

    const POST: &[u8] =
        b"POST /in HTTP/1.1\r\nHost: Drop.example:8080\r\nContent-Length: 4096\r\n\r\nbody";

    #[test]
    fn a_request_is_read() {
        assert_eq!(
            Request::decode(POST),
            Some(Request {
                method: "POST",
                host: Some("Drop.example"),
                content_length: Some(4096),
            })
        );
        assert_eq!(Request::decode(b"HTTP/1.1 200 OK\r\n\r\n"), None);
    }

    #[test]
    fn a_request_cut_anywhere_gives_whole_values_only() {
        for end in 0..POST.len() {
            if let Some(request) = Request::decode(&POST[..end]) {
                assert!(matches!(request.host, None | Some("Drop.example")));
                assert!(matches!(request.content_length, None | Some(4096)));
            }
        }
    }

    #[test]
    fn hosts_and_addresses() {
        assert_eq!(without_port("[2001:db8::1]:443"), "[2001:db8::1]");
        assert!(is_address("[2001:db8::1]"));
        assert!(is_address("198.51.100.7"));
        assert!(!is_address("example.com"));
    }
}
