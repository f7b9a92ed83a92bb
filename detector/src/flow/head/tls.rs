//! The server name of a TLS ClientHello (RFC 8446 section 4.1.2, RFC 6066 section 3), as far as
//! the head reaches.

use super::cursor::Cursor;

const RECORD_HANDSHAKE: u8 = 22;
const HANDSHAKE_CLIENT_HELLO: u8 = 1;
const EXTENSION_SERVER_NAME: u16 = 0;
const NAME_TYPE_HOST: u8 = 0;

/// The server name in the first record of a connection; `None` where it is no ClientHello, names
/// no server or is cut before the name ends.
#[must_use]
pub fn server_name(payload: &[u8]) -> Option<&str> {
    let mut record = Cursor::new(payload);
    if record.u8()? != RECORD_HANDSHAKE {
        return None;
    }
    let _version = record.u16()?;
    let length = record.u16()?;
    let mut hello = Cursor::new(record.take_available(usize::from(length)));
    if hello.u8()? != HANDSHAKE_CLIENT_HELLO {
        return None;
    }
    let _length = hello.take(3)?;
    let _version_and_random = hello.take(2 + 32)?;
    let _session_id = hello.vector8()?;
    let _cipher_suites = hello.vector16()?;
    let _compression = hello.vector8()?;
    let length = hello.u16()?;
    let mut extensions = Cursor::new(hello.take_available(usize::from(length)));
    while !extensions.is_empty() {
        let kind = extensions.u16()?;
        let content = extensions.vector16()?;
        if kind == EXTENSION_SERVER_NAME {
            return host_name(content);
        }
    }
    None
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
mod tests {
    use super::server_name;

    fn vector16(content: &[u8]) -> Vec<u8> {
        let length = u16::try_from(content.len()).expect("short");
        [&length.to_be_bytes()[..], content].concat()
    }

    fn client_hello(name: &[u8]) -> Vec<u8> {
        let names = vector16(&[&[0u8][..], &vector16(name)].concat());
        let padding = [&[0u8, 21][..], &vector16(&[0; 7])].concat();
        let extension = [&[0u8, 0][..], &vector16(&names)].concat();
        let extensions = vector16(&[padding, extension].concat());
        let mut body = vec![3, 3];
        body.extend([7; 32]);
        body.push(0);
        body.extend(vector16(&[0x13, 1]));
        body.extend([1, 0]);
        body.extend(extensions);
        let mut hello = vec![1, 0];
        hello.extend(vector16(&body));
        [&[22u8, 3, 1][..], &vector16(&hello)].concat()
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

    #[test]
    fn a_name_of_other_bytes_is_none() {
        assert_eq!(server_name(&client_hello(b"a b")), None);
        assert_eq!(server_name(&client_hello(b"")), None);
        assert_eq!(server_name(b"GET / HTTP/1.1"), None);
    }
}
