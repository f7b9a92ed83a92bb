//! HTTP/2 with prior knowledge (RFC 9113 section 3.3): the first request of a connection.
//!
//! Frames are walked in order until the first HEADERS is whole and some of its DATA is there. Other
//! streams, priorities and settings are passed over.

use detector_common::abi::FIRST_PAYLOAD_BYTES;

use super::cursor::Cursor;
use super::hpack::{Field, fields};

/// What a client begins with (RFC 9113 section 3.4).
pub(crate) const PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";

const DATA: u8 = 0;
const HEADERS: u8 = 1;
const CONTINUATION: u8 = 9;
const END_STREAM: u8 = 1;
const END_HEADERS: u8 = 4;
const PADDED: u8 = 8;
const PRIORITY: u8 = 0x20;

/// The first request, as far as it is there.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct First {
    pub(crate) fields: Vec<Field>,
    /// All its fields are there.
    pub(crate) whole: bool,
    /// At most [`FIRST_PAYLOAD_BYTES`].
    pub(crate) body: Vec<u8>,
    /// No more of the body is needed or will come.
    pub(crate) enough: bool,
}

struct Frame<'a> {
    kind: u8,
    flags: u8,
    stream: u32,
    content: &'a [u8],
    whole: bool,
}

/// Reads a stream that begins with [`PREFACE`]; none before its first HEADERS.
pub(crate) fn first(stream: &[u8]) -> Option<First> {
    let mut rest = Cursor::new(stream.strip_prefix(PREFACE)?);
    let mut request: Option<(u32, First)> = None;
    let mut block = Vec::new();
    while let Some(frame) = frame(&mut rest) {
        let ends = frame.flags & END_HEADERS != 0 && frame.whole;
        match (&mut request, frame.kind) {
            (None, HEADERS) => {
                block.extend_from_slice(unpadded(&frame));
                let enough = frame.flags & END_STREAM != 0;
                let first = First { whole: ends, enough, ..First::default() };
                request = Some((frame.stream, first));
            }
            (Some((stream, first)), CONTINUATION) if *stream == frame.stream && !first.whole => {
                block.extend_from_slice(frame.content);
                first.whole = ends;
            }
            (Some((stream, first)), DATA) if *stream == frame.stream => {
                first.body.extend_from_slice(unpadded(&frame));
                first.enough |= frame.flags & END_STREAM != 0 && frame.whole;
            }
            _ => {}
        }
    }
    let (_, mut first) = request?;
    first.fields = fields(&block);
    first.body.truncate(FIRST_PAYLOAD_BYTES);
    first.enough |= first.body.len() == FIRST_PAYLOAD_BYTES;
    Some(first)
}

/// The next frame (RFC 9113 section 4.1), whose content may be cut.
fn frame<'a>(rest: &mut Cursor<'a>) -> Option<Frame<'a>> {
    let &[a, b, c] = rest.take(3)? else { return None };
    let length = u32::from_be_bytes([0, a, b, c]) as usize;
    let (kind, flags, stream) = (rest.u8()?, rest.u8()?, rest.u32()? & 0x7fff_ffff);
    let content = rest.take_available(length);
    Some(Frame { kind, flags, stream, content, whole: content.len() == length })
}

/// A frame's content without padding and priority (RFC 9113 sections 6.1 and 6.2).
fn unpadded<'a>(frame: &Frame<'a>) -> &'a [u8] {
    let mut content = Cursor::new(frame.content);
    let padding = if frame.flags & PADDED != 0 { content.u8().unwrap_or(0) } else { 0 };
    if frame.kind == HEADERS && frame.flags & PRIORITY != 0 {
        content.take(5);
    }
    let content = content.rest();
    // Of a frame that was cut the padding is not there.
    let padding = if frame.whole { usize::from(padding) } else { 0 };
    content.get(..content.len().saturating_sub(padding)).unwrap_or_default()
}

#[cfg(test)]
pub(crate) mod example {
    pub(crate) fn frame(kind: u8, flags: u8, stream: u32, content: &[u8]) -> Vec<u8> {
        let [_, a, b, c] = u32::try_from(content.len()).expect("short").to_be_bytes();
        [&[a, b, c, kind, flags][..], &stream.to_be_bytes(), content].concat()
    }

    /// `PUT` to a host, without an index for what has none.
    pub(crate) fn put(host: &str) -> Vec<u8> {
        let text = |text: &str| {
            [&[u8::try_from(text.len()).expect("short")][..], text.as_bytes()].concat()
        };
        [&b"\x42"[..], &text("PUT"), b"\x86\x84\x41", &text(host)].concat()
    }
}

#[cfg(test)]
mod tests {
    use super::example::{frame, put};
    use super::*;

    #[track_caller]
    fn check(frames: &[Vec<u8>], whole: bool, host: &str, body: &[u8], enough: bool) {
        let stream = [PREFACE, &frames.concat()].concat();
        let first = first(&stream).expect("a request");
        let authority = first.fields.iter().find(|(name, _)| name == ":authority");
        assert_eq!(authority.map_or("", |field| &field.1), host);
        assert_eq!((first.whole, first.body.as_slice(), first.enough), (whole, body, enough));
        for end in 0..stream.len() {
            let _cut = super::first(&stream[..end]);
        }
    }

    #[test]
    fn the_first_request_is_read() {
        let (settings, block) = (frame(4, 0, 0, &[]), put("a.example"));
        let headers = frame(HEADERS, END_HEADERS, 1, &block);
        check(&[settings.clone(), headers.clone()], true, "a.example", b"", false);
        let data = frame(DATA, 0, 1, b"PK");
        let other = frame(DATA, 0, 3, b"other");
        let last = frame(DATA, END_STREAM, 1, b"\x03\x04");
        let frames = [settings, headers, data, other, last];
        check(&frames, true, "a.example", b"PK\x03\x04", true);
        let last = frame(HEADERS, END_HEADERS | END_STREAM, 1, &block);
        check(&[last], true, "a.example", b"", true);
    }

    #[test]
    fn padding_priority_and_continuation_are_passed_over() {
        let block = put("a.example");
        let padded = [&[3, 0, 0, 0, 0, 7][..], &block, &[0; 3]].concat();
        let flags = END_HEADERS | PADDED | PRIORITY;
        check(&[frame(HEADERS, flags, 1, &padded)], true, "a.example", b"", false);
        let (start, end) = block.split_at(4);
        let parts = [frame(HEADERS, 0, 1, start), frame(CONTINUATION, END_HEADERS, 1, end)];
        check(&parts, true, "a.example", b"", false);
        check(&parts[..1], false, "", b"", false);
        check(&[frame(HEADERS, END_HEADERS, 1, &block)[..20].to_vec()], false, "", b"", false);
    }

    #[test]
    fn what_is_no_request_is_none() {
        assert_eq!(first(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"), None);
        assert_eq!(first(b"GET / HTTP/1.1\r\n\r\n"), None);
        assert_eq!(first(&[PREFACE, &frame(4, 0, 0, &[0; 6])].concat()), None);
    }
}
