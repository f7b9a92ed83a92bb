//! The header of an HTTP/1 request (RFC 9112), as far as the stream was read.

/// What the request line and the headers that were there say.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Request<'a> {
    pub method: &'static str,
    /// The path and query, as far as they were there.
    pub target: &'a str,
    /// HTTP/1.0, which no browser has used since the nineties.
    pub old_version: bool,
    /// As it was sent, without the port.
    pub host: Option<&'a str>,
    pub content_length: Option<u64>,
    /// The body comes in chunks (RFC 9112 section 7.1).
    pub chunked: bool,
    pub agent: Agent,
    pub content: Content,
    /// `Content-Encoding: binary`, which no standard knows.
    pub binary_encoding: bool,
    /// It has a header that browsers send and programs rarely do: Accept-Language, Cookie, Origin,
    /// Referer or one of Sec-Fetch.
    pub browser_headers: bool,
    /// The headers ended within the head: what is not there was not sent.
    pub whole: bool,
    /// What follows the headers.
    pub body: &'a [u8],
}

/// Who a request says it comes from.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Agent {
    /// It does not say.
    #[default]
    None,
    Browser,
    /// A browser of before 2012, or no more than the word Mozilla: what old toolkits claim.
    AncientBrowser,
    /// Anything else: a library, a script, an application.
    Program,
}

/// What a request's body is said to be.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Content {
    #[default]
    None,
    Form,
    Multipart,
    /// Bytes or an archive.
    Binary,
    Text,
    /// JSON, XML, SOAP, IPP, OCSP and the like: a protocol of its own.
    Structured,
    Other,
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

/// Whether more bytes may make this a method.
#[must_use]
pub fn may_become_method(bytes: &[u8]) -> bool {
    METHODS.into_iter().any(|method| method.as_bytes().starts_with(bytes))
}

/// Whether requests with this method carry a body to the server.
#[must_use]
pub fn is_upload(method: &str) -> bool {
    matches!(method, "POST" | "PUT" | "PATCH")
}

impl<'a> Request<'a> {
    #[must_use]
    pub fn decode(bytes: &'a [u8]) -> Option<Self> {
        let mut request = Self::of_method(method(bytes)?);
        let mut rest = bytes;
        request.read_line(next_line(&mut rest).unwrap_or(bytes));
        // A line without its end was cut, and so may its value have been.
        while let Some(line) = next_line(&mut rest) {
            if line.is_empty() {
                request.whole = true;
                request.body = rest;
                break;
            }
            if let Some((name, value)) = str::from_utf8(line).ok().and_then(|l| l.split_once(':')) {
                request.read_header(name, value.trim());
            }
        }
        Some(request)
    }

    /// A request whose fields come one by one, as those of HTTP/2 do.
    #[must_use]
    pub(crate) fn of_fields(fields: &'a [(String, String)]) -> Option<Self> {
        let value = |name| fields.iter().find(|field| field.0 == name).map(|field| &*field.1);
        let method = value(":method")?;
        let mut request = Self::of_method(METHODS.into_iter().find(|known| *known == method)?);
        request.target = value(":path").unwrap_or_default();
        for (name, value) in fields {
            request.read_header(if name == ":authority" { "host" } else { name }, value);
        }
        Some(request)
    }

    fn of_method(method: &'static str) -> Self {
        Self {
            method,
            target: "",
            old_version: false,
            host: None,
            content_length: None,
            chunked: false,
            agent: Agent::None,
            content: Content::None,
            binary_encoding: false,
            browser_headers: false,
            whole: false,
            body: &[],
        }
    }

    fn read_line(&mut self, line: &'a [u8]) {
        let mut words = str::from_utf8(line).unwrap_or_default().split(' ').skip(1);
        self.target = words.next().unwrap_or_default();
        self.old_version = words.next() == Some("HTTP/1.0");
    }

    fn read_header(&mut self, name: &str, value: &'a str) {
        match name.to_ascii_lowercase().as_str() {
            "host" => self.host = Some(without_port(value)).filter(|host| !host.is_empty()),
            "content-length" => self.content_length = value.parse().ok(),
            "transfer-encoding" => self.chunked = is_chunked(value),
            "user-agent" => self.agent = Agent::of(value),
            "content-type" => self.content = Content::of(value),
            "content-encoding" => self.binary_encoding = value.eq_ignore_ascii_case("binary"),
            "accept-language" | "cookie" | "origin" | "referer" | "sec-fetch-mode"
            | "sec-fetch-site" | "sec-fetch-dest" => self.browser_headers = true,
            _ => {}
        }
    }

    /// Whether the target's path, without its query, ends in a script of a panel that stealers
    /// report to.
    #[must_use]
    pub fn names_script(&self) -> bool {
        let path = self.target.split(['?', '#']).next().unwrap_or_default().to_ascii_lowercase();
        [".php", ".asp", ".aspx", ".jsp", ".cgi", ".pl"].iter().any(|end| path.ends_with(end))
    }
}

/// The last coding of a transfer decides (RFC 9112 section 6.1).
fn is_chunked(value: &str) -> bool {
    value.rsplit(',').next().is_some_and(|coding| coding.trim().eq_ignore_ascii_case("chunked"))
}

/// The next line without its end; `None` where it was cut.
fn next_line<'a>(rest: &mut &'a [u8]) -> Option<&'a [u8]> {
    let end = rest.iter().position(|&byte| byte == b'\n')?;
    let (line, after) = rest.split_at(end);
    *rest = after.get(1..).unwrap_or_default();
    Some(line.strip_suffix(b"\r").unwrap_or(line))
}

impl Agent {
    fn of(value: &str) -> Self {
        let says = |word| value.contains(word);
        if value.is_empty() {
            return Self::None;
        }
        if !value.starts_with("Mozilla/") || says("PowerShell") {
            return Self::Program;
        }
        let modern = value.starts_with("Mozilla/5.0 (")
            && ["Gecko", "AppleWebKit", "Trident/7"].into_iter().any(says);
        if modern { Self::Browser } else { Self::AncientBrowser }
    }
}

impl Content {
    fn of(value: &str) -> Self {
        let kind = value.split(';').next().unwrap_or_default().trim().to_ascii_lowercase();
        match kind.as_str() {
            "application/x-www-form-urlencoded" => Self::Form,
            "application/octet-stream"
            | "application/zip"
            | "application/x-zip-compressed"
            | "application/gzip"
            | "application/x-gzip"
            | "application/x-7z-compressed"
            | "application/x-rar-compressed"
            | "application/vnd.rar"
            | "application/x-tar"
            | "binary" => Self::Binary,
            "text/plain" | "text/html" => Self::Text,
            kind if kind.starts_with("multipart/form-data") => Self::Multipart,
            kind if ["json", "xml", "soap", "ipp", "ocsp", "grpc", "protobuf"]
                .into_iter()
                .any(|word| kind.contains(word)) =>
            {
                Self::Structured
            }
            "" => Self::None,
            _ => Self::Other,
        }
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
    use super::{Agent, Content, Request, is_address, without_port};

    const POST: &[u8] =
        b"POST /a/fre.php?x=1 HTTP/1.0\r\nUser-Agent: Mozilla/4.08 (Charon; Inferno)\r\n\
        Host: Drop.example:8080\r\nContent-Type: application/octet-stream\r\n\
        Content-Encoding: binary\r\nContent-Length: 4096\r\n\r\nbody";

    #[test]
    fn a_request_is_read() {
        let expected = Request {
            target: "/a/fre.php?x=1",
            old_version: true,
            host: Some("Drop.example"),
            content_length: Some(4096),
            agent: Agent::AncientBrowser,
            content: Content::Binary,
            binary_encoding: true,
            whole: true,
            body: b"body",
            ..Request::of_method("POST")
        };
        assert_eq!(Request::decode(POST), Some(expected));
        assert!(expected.names_script());
        assert_eq!(Request::decode(b"HTTP/1.1 200 OK\r\n\r\n"), None);
    }

    #[test]
    fn a_request_cut_anywhere_gives_whole_values_only() {
        for end in 0..POST.len() {
            if let Some(request) = Request::decode(&POST[..end]) {
                assert!(matches!(request.host, None | Some("Drop.example")));
                assert!(matches!(request.content_length, None | Some(4096)));
                assert!(matches!(request.content, Content::None | Content::Binary));
                assert!(request.whole == (end >= POST.len() - 4), "cut at {end}");
            }
        }
    }

    #[test]
    fn agents_are_browsers_or_programs() {
        let check = |value: &str, expected| assert_eq!(Agent::of(value), expected, "{value}");
        check("", Agent::None);
        check(
            "Mozilla/5.0 (X11; Linux x86_64; rv:130.0) Gecko/20100101 Firefox/130.0",
            Agent::Browser,
        );
        check("Mozilla/4.0 (compatible; MSIE 6.0; Windows NT 5.1)", Agent::AncientBrowser);
        check("Mozilla/5.0", Agent::AncientBrowser);
        check("Mozilla/5.0 (Windows NT; en-US) WindowsPowerShell/5.1.19041.1", Agent::Program);
        check("curl/8.5.0", Agent::Program);
    }

    #[test]
    fn contents_are_classes() {
        let check = |value: &str, expected| assert_eq!(Content::of(value), expected, "{value}");
        check("multipart/form-data; boundary=----x", Content::Multipart);
        check("application/json; charset=utf-8", Content::Structured);
        check("text/xml; charset=\"utf-8\"", Content::Structured);
        check("application/ocsp-request", Content::Structured);
        check("Application/Octet-Stream", Content::Binary);
        check("application/x-www-form-urlencoded", Content::Form);
        check("image/png", Content::Other);
    }

    #[test]
    fn hosts_and_addresses() {
        assert_eq!(without_port("[2001:db8::1]:443"), "[2001:db8::1]");
        assert!(is_address("[2001:db8::1]"));
        assert!(is_address("198.51.100.7"));
        assert!(!is_address("example.com"));
    }
}
