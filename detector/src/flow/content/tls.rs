//! A TLS ClientHello (RFC 8446 section 4.1.2), as far as the stream was read.
//!
//! A hello may take several records and segments. Where it is encrypted (RFC 9849), what is read is the
//! outer one, whose name is that of whoever serves many.

use std::borrow::Cow;

use super::cursor::Cursor;

const RECORD_HANDSHAKE: u8 = 22;
const HANDSHAKE_CLIENT_HELLO: u8 = 1;
const EXTENSION_SERVER_NAME: u16 = 0;
const NAME_TYPE_HOST: u8 = 0;

/// Bytes of a handshake message before its content.
const MESSAGE_HEADER_BYTES: usize = 4;

/// The first handshake message of a stream, without its records.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Handshake<'a> {
    pub bytes: Cow<'a, [u8]>,
    /// The records so far are a handshake's: more of them may follow.
    pub goes_on: bool,
}

impl<'a> Handshake<'a> {
    /// `None` where the stream starts with another kind of record.
    #[must_use]
    pub fn of(stream: &'a [u8]) -> Option<Self> {
        let mut rest = Cursor::new(stream);
        let mut bytes = Cow::Borrowed(record(&mut rest)?);
        while let Some(more) = record(&mut rest) {
            bytes.to_mut().extend_from_slice(more);
        }
        // What is left is the start of a record's header, or a record of another kind.
        let goes_on = rest.rest().first().is_none_or(|kind| *kind == RECORD_HANDSHAKE);
        Some(Self { bytes, goes_on })
    }

    /// Whether it is another message than a client's hello.
    #[must_use]
    pub fn is_other(&self) -> bool {
        !self.bytes.is_empty() && !is_hello(&self.bytes)
    }

    /// Whether all of the message is there.
    #[must_use]
    pub fn is_whole(&self) -> bool {
        is_whole(&self.bytes)
    }
}

/// Whether a handshake message is a client's hello.
#[must_use]
pub fn is_hello(message: &[u8]) -> bool {
    message.first() == Some(&HANDSHAKE_CLIENT_HELLO)
}

/// The bytes of a handshake's first message, with its header; none where that is cut.
fn length(handshake: &[u8]) -> Option<usize> {
    let [_, a, b, c, ..] = *handshake else { return None };
    (u32::from_be_bytes([0, a, b, c]) as usize).checked_add(MESSAGE_HEADER_BYTES)
}

/// Whether all of a handshake's first message is there.
#[must_use]
pub fn is_whole(handshake: &[u8]) -> bool {
    length(handshake).is_some_and(|length| handshake.len() >= length)
}

/// A handshake's first message, as far as it is there.
#[must_use]
pub fn message(handshake: &[u8]) -> &[u8] {
    length(handshake).and_then(|length| handshake.get(..length)).unwrap_or(handshake)
}

/// The content of the next record, if it is of a handshake, as far as it is there.
fn record<'a>(stream: &mut Cursor<'a>) -> Option<&'a [u8]> {
    let mut ahead = *stream;
    if ahead.u8()? != RECORD_HANDSHAKE {
        return None;
    }
    let _version = ahead.u16()?;
    let length = ahead.u16()?;
    let content = ahead.take_available(usize::from(length));
    *stream = ahead;
    Some(content)
}

/// What of a hello was there.
#[derive(Clone, Copy, Debug)]
pub struct ClientHello<'a> {
    /// The version field, which TLS 1.3 keeps at that of 1.2.
    pub legacy_version: u16,
    /// Two bytes each.
    pub cipher_suites: &'a [u8],
    extensions: &'a [u8],
    /// Bytes that the extensions should have.
    extensions_bytes: usize,
}

/// One extension (RFC 8446 section 4.2).
#[derive(Clone, Copy, Debug)]
pub struct Extension<'a> {
    pub kind: u16,
    /// None where it was cut.
    pub content: Option<&'a [u8]>,
}

impl<'a> ClientHello<'a> {
    /// The hello of a handshake message; `None` where it is none, or where it is cut before its
    /// extensions.
    #[must_use]
    pub fn decode(message: &'a [u8]) -> Option<Self> {
        let mut hello = Cursor::new(message);
        if hello.u8()? != HANDSHAKE_CLIENT_HELLO {
            return None;
        }
        let &[a, b, c] = hello.take(MESSAGE_HEADER_BYTES - 1)? else { return None };
        let length = u32::from_be_bytes([0, a, b, c]) as usize;
        let is_whole = hello.rest().len() >= length;
        let mut hello = Cursor::new(hello.take_available(length));
        let legacy_version = hello.u16()?;
        let _random = hello.take(32)?;
        let _session_id = hello.vector8()?;
        let cipher_suites = hello.vector16()?;
        let _compression = hello.vector8()?;
        // Before TLS 1.3 there need not be any; of a message that was cut nobody knows.
        let extensions_bytes = match hello.u16() {
            Some(length) => usize::from(length),
            None if is_whole => 0,
            None => return None,
        };
        let extensions = hello.take_available(extensions_bytes);
        Some(Self { legacy_version, cipher_suites, extensions, extensions_bytes })
    }

    /// The extensions whose start was there, in order.
    pub fn extensions(&self) -> impl Iterator<Item = Extension<'a>> {
        let mut rest = Cursor::new(self.extensions);
        std::iter::from_fn(move || {
            let (kind, length) = (rest.u16()?, usize::from(rest.u16()?));
            let content = rest.take_available(length);
            Some(Extension { kind, content: Some(content).filter(|bytes| bytes.len() == length) })
        })
    }

    /// Whether the start of each extension was there: the last may be cut, as padding often is.
    #[must_use]
    pub fn names_all_extensions(&self) -> bool {
        let mut rest = Cursor::new(self.extensions);
        let mut bytes = 0;
        while let (Some(_kind), Some(length)) = (rest.u16(), rest.u16()) {
            bytes += 4 + usize::from(length);
            rest.take_available(usize::from(length));
        }
        bytes == self.extensions_bytes
    }

    /// The server name (RFC 6066 section 3); `None` where none is named or it is cut before its end.
    #[must_use]
    pub fn server_name(&self) -> Option<&'a str> {
        let mut extensions = self.extensions();
        host_name(extensions.find(|extension| extension.kind == EXTENSION_SERVER_NAME)?.content?)
    }
}

fn host_name(extension: &[u8]) -> Option<&str> {
    let mut names = Cursor::new(Cursor::new(extension).vector16()?);
    while !names.is_empty() {
        let kind = names.u8()?;
        let name = names.vector16()?;
        if kind == NAME_TYPE_HOST {
            let printable = !name.is_empty() && name.iter().all(u8::is_ascii_graphic);
            return if printable && name.len() <= 253 { str::from_utf8(name).ok() } else { None };
        }
    }
    None
}

#[cfg(test)]
pub(super) mod example {
    pub(crate) fn vector16(content: &[u8]) -> Vec<u8> {
        let length = u16::try_from(content.len()).expect("short");
        [&length.to_be_bytes()[..], content].concat()
    }

    /// A hello in records of at most `size` bytes.
    pub(crate) fn records(message: &[u8], size: usize) -> Vec<u8> {
        let records = message.chunks(size);
        records.flat_map(|content| [&[22_u8, 3, 1][..], &vector16(content)].concat()).collect()
    }

    /// A message with a hello of these cipher suites and extensions.
    pub(crate) fn client_hello(suites: &[u16], extensions: &[(u16, Vec<u8>)]) -> Vec<u8> {
        let suites: Vec<u8> = suites.iter().flat_map(|suite| suite.to_be_bytes()).collect();
        let extensions: Vec<u8> = extensions
            .iter()
            .flat_map(|(kind, content)| [&kind.to_be_bytes()[..], &vector16(content)].concat())
            .collect();
        let mut body = vec![3, 3];
        body.extend([7; 32]);
        body.push(0);
        body.extend(vector16(&suites));
        body.extend([1, 0]);
        body.extend(vector16(&extensions));
        let mut hello = vec![1, 0];
        hello.extend(vector16(&body));
        hello
    }

    /// The content of a server name extension.
    pub(crate) fn server_name(name: &[u8]) -> Vec<u8> {
        vector16(&[&[0u8][..], &vector16(name)].concat())
    }
}

#[cfg(test)]
mod tests {
    use super::{ClientHello, Handshake, example};

    fn client_hello(name: &[u8]) -> Vec<u8> {
        example::client_hello(&[0x1301], &[(21, vec![0; 7]), (0, example::server_name(name))])
    }

    fn server_name(hello: &[u8]) -> Option<&str> {
        ClientHello::decode(hello)?.server_name()
    }

    #[test]
    fn the_name_is_found() {
        let hello = client_hello(b"upload.example");
        assert_eq!(server_name(&hello), Some("upload.example"));
    }

    #[test]
    fn a_hello_cut_anywhere_gives_no_part_of_a_name() {
        let hello = client_hello(b"upload.example");
        for end in 0..hello.len() {
            assert_eq!(server_name(&hello[..end]), None, "cut at {end}");
        }
    }

    /// A fingerprint of a hello without extensions would be another client's.
    #[test]
    fn a_hello_cut_before_its_extensions_is_none() {
        let hello = example::client_hello(&[0x1301], &[]);
        for end in 0..hello.len() {
            assert!(ClientHello::decode(&hello[..end]).is_none(), "cut at {end}");
        }
        assert!(ClientHello::decode(&hello).is_some());
        // Before TLS 1.3 a client may have none to send.
        let mut short = hello[..hello.len() - 2].to_vec();
        short[3] -= 2;
        assert!(ClientHello::decode(&short).is_some_and(|hello| hello.names_all_extensions()));
    }

    /// Records of any size, cut anywhere: the message is there as soon as its last byte is.
    #[test]
    fn a_hello_may_take_several_records() {
        let message = client_hello(b"upload.example");
        for size in 1..=message.len() {
            let stream = example::records(&message, size);
            for end in 5..=stream.len() {
                let handshake = Handshake::of(&stream[..end]).expect("a handshake");
                assert!(message.starts_with(&handshake.bytes) && handshake.goes_on);
                assert_eq!(handshake.is_whole(), end == stream.len(), "{size} {end}");
            }
        }
        let check = |stream: &[u8], whole, goes_on| {
            let handshake = Handshake::of(stream).expect("a handshake");
            assert_eq!((handshake.is_whole(), handshake.goes_on), (whole, goes_on), "{stream:?}");
        };
        // A server's hello, and a record of another kind in the middle of one.
        check(&example::records(&[2, 0, 0, 0], 4), true, true);
        check(&[22, 3, 1, 0, 2, 1, 0, 21, 3, 1, 0, 2, 1, 0], false, false);
        assert_eq!(Handshake::of(&[21, 3, 1, 0, 2, 1, 0]), None);
        assert_eq!(Handshake::of(&[22, 3, 1]), None);
    }

    #[test]
    fn a_name_of_other_bytes_is_none() {
        assert_eq!(server_name(&client_hello(b"a b")), None);
        assert_eq!(server_name(&client_hello(b"")), None);
        assert_eq!(server_name(b"GET / HTTP/1.1"), None);
    }
}
