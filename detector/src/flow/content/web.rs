//! The HTTP requests of a session that could be read, and what their uploads look like.

use std::sync::Arc;

use super::file::Body;
use super::http::{self, Agent, Content, Request};
use super::lower_case;

/// Kinds of uploads that are kept of a session.
const MAX_SHAPES: usize = 8;

/// The HTTP requests seen in clear.
#[derive(Clone, Debug, Default)]
pub struct Http {
    pub requests: u64,
    /// Requests with a method that carries a body: POST, PUT, PATCH.
    pub uploads: u64,
    /// Of the first request.
    pub method: String,
    /// The first Host header, in lower case, without the port.
    pub host: Option<Arc<str>>,
    /// Whether a request named its host by address, or not at all.
    pub bare_host: bool,
    /// Largest Content-Length of a request.
    pub content_length_max: u64,
    /// The kinds of uploads, in the order of their first.
    pub shapes: Vec<Shape>,
    /// Requests whose headers were cut: the stream was read no further, or a part of it is missing.
    pub requests_cut: u64,
    /// Uploads whose kind had no room among them.
    pub shapes_refused: u64,
    /// The shape whose body has not been seen yet.
    awaiting: Option<usize>,
}

/// What uploads of one kind have in common.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Shape {
    /// The host was named by address, or not at all.
    pub bare_host: bool,
    pub put: bool,
    /// The path ends in a script: `.php`, `.asp` …
    pub script: bool,
    pub old_version: bool,
    pub agent: Agent,
    pub content: Content,
    pub binary_encoding: bool,
    pub browser_headers: bool,
    /// All of the headers were seen: what is not there was not sent.
    pub whole: bool,
    /// What the body starts with; none where that was not seen.
    pub body: Option<Body>,
    /// Largest Content-Length in bytes.
    pub length_max: u64,
}

impl Shape {
    fn of(request: &Request<'_>) -> Self {
        let body = Some(request.body).filter(|body| !body.is_empty()).map(Body::of);
        Self {
            bare_host: is_bare(request),
            put: request.method == "PUT",
            script: request.names_script(),
            old_version: request.old_version,
            agent: request.agent,
            content: request.content,
            binary_encoding: request.binary_encoding,
            browser_headers: request.browser_headers,
            whole: request.whole,
            body,
            length_max: request.content_length.unwrap_or(0),
        }
    }

    /// The same but for how long it is, and for a body that is not known of one of them.
    fn is_like(&self, other: &Self) -> bool {
        let body = self.body.or(other.body);
        let bare = |shape: &Self| Self { length_max: 0, body: shape.body.or(body), ..*shape };
        bare(self) == bare(other)
    }
}

/// Whether a request named its host by address, or not at all. One that was cut may have named it
/// later.
fn is_bare(request: &Request<'_>) -> bool {
    request.host.map_or(request.whole, http::is_address)
}

impl Http {
    pub(crate) fn learn(&mut self, request: &Request<'_>) {
        self.requests += 1;
        self.requests_cut += u64::from(!request.whole);
        self.awaiting = None;
        if self.method.is_empty() {
            request.method.clone_into(&mut self.method);
        }
        self.bare_host |= is_bare(request);
        if let Some(host) = request.host.filter(|host| !http::is_address(host)) {
            self.host.get_or_insert_with(|| lower_case(host));
        }
        let length = request.content_length.unwrap_or(0);
        self.content_length_max = self.content_length_max.max(length);
        if http::is_upload(request.method) {
            self.uploads += 1;
            self.learn_shape(Shape::of(request));
        }
    }

    fn learn_shape(&mut self, shape: Shape) {
        let place = match self.shapes.iter().position(|known| known.is_like(&shape)) {
            Some(place) => place,
            None if self.shapes.len() < MAX_SHAPES => {
                self.shapes.push(shape);
                self.shapes.len() - 1
            }
            None => {
                self.shapes_refused += 1;
                return;
            }
        };
        if let Some(known) = self.shapes.get_mut(place) {
            known.length_max = known.length_max.max(shape.length_max);
            known.body = known.body.or(shape.body);
        }
        self.awaiting = shape.body.is_none().then_some(place);
    }

    /// Takes in the start of the latest request's body, where that did not come with its headers. True
    /// where it was awaited.
    pub(crate) fn learn_body(&mut self, bytes: &[u8]) -> bool {
        let waiting = self.awaiting.and_then(|place| self.shapes.get_mut(place));
        let Some(shape) = waiting.filter(|shape| shape.whole) else {
            return false;
        };
        shape.body = Some(shape.body.unwrap_or_else(|| Body::of(bytes)));
        self.awaiting = None;
        true
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn learned(packets: &[&[u8]]) -> Http {
        let mut http = Http::default();
        for packet in packets {
            match Request::decode(packet) {
                Some(request) => http.learn(&request),
                None => {
                    http.learn_body(packet);
                }
            }
        }
        http
    }

    #[test]
    fn a_body_may_come_a_packet_later() {
        let request =
            b"POST /gate.php HTTP/1.1\r\nHost: 198.51.100.9\r\nContent-Length: 99\r\n\r\n";
        let http = learned(&[request, b"PK\x03\x04 and more", b"not a start"]);
        let [shape] = &http.shapes[..] else { panic!("one shape") };
        assert_eq!(shape.body, Some(Body::Archive));
        assert!(shape.bare_host && shape.script && shape.whole);
        assert_eq!((http.uploads, shape.length_max), (1, 99));
    }

    #[test]
    fn uploads_of_one_kind_are_kept_once() {
        let post = |length: u32, agent: &str| {
            format!(
                "POST /a HTTP/1.1\r\nHost: a.example\r\nUser-Agent: {agent}\r\nContent-Length: {length}\r\n\r\n{{}}"
            )
        };
        let texts = [post(10, "curl/8"), post(30, "curl/8"), post(20, "Mozilla/4.0")];
        let http = learned(&texts.each_ref().map(|text| text.as_bytes()));
        assert_eq!(http.shapes.len(), 2);
        assert_eq!((http.shapes[0].length_max, http.shapes_refused), (30, 0));
    }

    #[test]
    fn what_has_no_room_is_counted() {
        let texts: Vec<String> = (0..32)
            .map(|bits: u32| {
                let version = bits & 1;
                let script = if bits & 2 == 0 { "" } else { ".php" };
                let host = if bits & 4 == 0 { "a.example" } else { "192.0.2.1" };
                let agent = if bits & 8 == 0 { "" } else { "curl/8" };
                let kind = if bits & 16 == 0 { "text/plain" } else { "image/png" };
                format!("POST /{script} HTTP/1.{version}\r\nHost: {host}\r\nUser-Agent: {agent}\r\nContent-Type: {kind}\r\n\r\n")
            })
            .collect();
        let packets: Vec<&[u8]> = texts.iter().map(|text| text.as_bytes()).collect();
        let http = learned(&packets);
        assert_eq!((http.shapes.len(), http.shapes_refused, http.uploads), (8, 24, 32));
    }
}
