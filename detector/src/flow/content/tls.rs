//! A TLS ClientHello (RFC 8446 section 4.1.2), as far as the payload sample reaches.

use super::cursor::Cursor;

const RECORD_HANDSHAKE: u8 = 22;
const HANDSHAKE_CLIENT_HELLO: u8 = 1;
const EXTENSION_SERVER_NAME: u16 = 0;
const NAME_TYPE_HOST: u8 = 0;

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
    /// The hello in the first record of a connection; `None` where there is none, or where it is cut
    /// before its extensions.
    #[must_use]
    pub fn decode(payload: &'a [u8]) -> Option<Self> {
        let mut record = Cursor::new(payload);
        if record.u8()? != RECORD_HANDSHAKE {
            return None;
        }
        let _version = record.u16()?;
        let length = record.u16()?;
        let available = record.take_available(usize::from(length));
        let is_whole = available.len() == usize::from(length);
        let mut hello = Cursor::new(available);
        if hello.u8()? != HANDSHAKE_CLIENT_HELLO {
            return None;
        }
        let _length = hello.take(3)?;
        let legacy_version = hello.u16()?;
        let _random = hello.take(32)?;
        let _session_id = hello.vector8()?;
        let cipher_suites = hello.vector16()?;
        let _compression = hello.vector8()?;
        // Before TLS 1.3 there need not be any; of a record that was cut nobody knows.
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

    /// A record with a hello of these cipher suites and extensions.
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
        [&[22u8, 3, 1][..], &vector16(&hello)].concat()
    }

    /// The content of a server name extension.
    pub(crate) fn server_name(name: &[u8]) -> Vec<u8> {
        vector16(&[&[0u8][..], &vector16(name)].concat())
    }
}

#[cfg(test)]
mod tests {
    use super::{ClientHello, example};

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
        short[4] -= 2;
        assert!(ClientHello::decode(&short).is_some_and(|hello| hello.names_all_extensions()));
    }

    #[test]
    fn a_name_of_other_bytes_is_none() {
        assert_eq!(server_name(&client_hello(b"a b")), None);
        assert_eq!(server_name(&client_hello(b"")), None);
        assert_eq!(server_name(b"GET / HTTP/1.1"), None);
    }
}
