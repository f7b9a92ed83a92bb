//! How the body of an HTTP/1 message is framed (RFC 9112 section 6), and its first bytes without the
//! framing.

use std::borrow::Cow;

use detector_common::abi::FIRST_PAYLOAD_BYTES;

use super::http::{Request, is_upload};

/// Hexadecimal digits of a chunk's size that are read.
const SIZE_DIGITS: usize = 8;

/// How long a body is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Framing {
    Bytes(u64),
    Chunked,
    /// Nothing says it.
    Open,
}

/// What is there of a body.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Start<'a> {
    /// At most [`FIRST_PAYLOAD_BYTES`].
    pub(crate) content: Cow<'a, [u8]>,
    /// No more of it is needed, or nothing more can be read.
    pub(crate) enough: bool,
    /// Where the next message begins, if it is known and there.
    pub(crate) end: Option<usize>,
}

impl Framing {
    pub(crate) fn of(request: &Request<'_>) -> Self {
        match (request.chunked, request.content_length) {
            (true, _) => Self::Chunked,
            (false, Some(length)) => Self::Bytes(length),
            (false, None) if is_upload(request.method) => Self::Open,
            (false, None) => Self::Bytes(0),
        }
    }

    pub(crate) fn start(self, bytes: &[u8]) -> Start<'_> {
        let sample = |bytes: &'_ [u8]| bytes.len().min(FIRST_PAYLOAD_BYTES);
        match self {
            Self::Chunked => unchunked(bytes),
            Self::Open => {
                let content = bytes.get(..sample(bytes)).unwrap_or_default();
                let enough = content.len() == FIRST_PAYLOAD_BYTES;
                Start { content: content.into(), enough, end: None }
            }
            Self::Bytes(length) => {
                let end = usize::try_from(length).ok().filter(|length| *length <= bytes.len());
                let body = bytes.get(..end.unwrap_or(bytes.len())).unwrap_or_default();
                let content = body.get(..sample(body)).unwrap_or_default();
                let enough = end.is_some() || content.len() == FIRST_PAYLOAD_BYTES;
                Start { content: content.into(), enough, end }
            }
        }
    }
}

/// The content of the chunks that are there (RFC 9112 section 7.1).
fn unchunked(bytes: &[u8]) -> Start<'static> {
    let mut content = Vec::new();
    let mut rest = bytes;
    let end = loop {
        match chunk(rest) {
            Chunk::Data(data, after) => {
                content.extend_from_slice(data);
                rest = after;
            }
            Chunk::Cut(data) => {
                content.extend_from_slice(data);
                break None;
            }
            Chunk::Last(after) => break Some(bytes.len() - after.len()),
            Chunk::Foreign => {
                let content = short(content);
                return Start { content: content.into(), enough: true, end: None };
            }
        }
    };
    let enough = end.is_some() || content.len() >= FIRST_PAYLOAD_BYTES;
    Start { content: short(content).into(), enough, end }
}

fn short(mut content: Vec<u8>) -> Vec<u8> {
    content.truncate(FIRST_PAYLOAD_BYTES);
    content
}

enum Chunk<'a> {
    Data(&'a [u8], &'a [u8]),
    Cut(&'a [u8]),
    /// The last one, without trailers, and what follows.
    Last(&'a [u8]),
    Foreign,
}

fn chunk(bytes: &[u8]) -> Chunk<'_> {
    let Some(end) = bytes.iter().position(|byte| *byte == b'\n') else {
        return Chunk::Cut(&[]);
    };
    let (line, rest) = bytes.split_at(end + 1);
    let digits = line.iter().take_while(|byte| byte.is_ascii_hexdigit()).count();
    let size = line.get(..digits.min(SIZE_DIGITS + 1)).and_then(|text| str::from_utf8(text).ok());
    let Some(size) = size.and_then(|text| usize::from_str_radix(text, 16).ok()) else {
        return Chunk::Foreign;
    };
    if digits > SIZE_DIGITS {
        return Chunk::Foreign;
    }
    if size == 0 {
        let after = rest.strip_prefix(b"\r\n").or_else(|| rest.strip_prefix(b"\n"));
        return after.map_or(Chunk::Cut(&[]), Chunk::Last);
    }
    match rest.split_at_checked(size) {
        None => Chunk::Cut(rest),
        Some((data, after)) => {
            let after = after.strip_prefix(b"\r").unwrap_or(after);
            Chunk::Data(data, after.strip_prefix(b"\n").unwrap_or(after))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(framing: Framing, bytes: &[u8], content: &[u8], enough: bool, end: Option<usize>) {
        let expected = Start { content: content.into(), enough, end };
        assert_eq!(framing.start(bytes), expected, "{:?}", str::from_utf8(bytes));
    }

    #[test]
    fn bodies_end_where_their_framing_says() {
        check(Framing::Bytes(4), b"bodyGET", b"body", true, Some(4));
        check(Framing::Bytes(9), b"body", b"body", false, None);
        check(Framing::Bytes(0), b"GET", b"", true, Some(0));
        check(Framing::Bytes(u64::MAX), b"body", b"body", false, None);
        check(Framing::Open, b"body", b"body", false, None);
        check(Framing::Open, &[7; 600], &[7; 512], true, None);
        check(Framing::Bytes(600), &[7; 700], &[7; 512], true, Some(600));
    }

    #[test]
    fn chunks_are_put_together() {
        check(Framing::Chunked, b"2\r\nPK\r\n2;x=y\r\n\x03\x04\r\n", b"PK\x03\x04", false, None);
        check(Framing::Chunked, b"2\r\nab\r\n0\r\n\r\nGET", b"ab", true, Some(12));
        check(Framing::Chunked, b"A\r\nab", b"ab", false, None);
        check(Framing::Chunked, b"2\r\nab\r\n0\r\nTrailer: x", b"ab", false, None);
        check(Framing::Chunked, b"", b"", false, None);
        check(Framing::Chunked, b"zz\r\nab", b"", true, None);
        check(Framing::Chunked, b"fffffffffffffffff\r\nab", b"", true, None);
        check(Framing::Chunked, b"ffffffff\r\nab", b"ab", false, None);
        let long = [&b"400\r\n"[..], &[7; 1_024]].concat();
        check(Framing::Chunked, &long, &[7; 512], true, None);
    }

    #[test]
    fn hostile_chunks_end() {
        let ones = b"1\r\na\r\n".repeat(1_000);
        for end in 0..ones.len() {
            assert!(Framing::Chunked.start(&ones[..end]).content.len() <= FIRST_PAYLOAD_BYTES);
        }
    }
}
