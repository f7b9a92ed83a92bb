//! The first header block of an HTTP/2 connection (RFC 7541), by the static table.
//!
//! The dynamic table of a first block holds what the block itself put there; who refers to it gets no
//! value. Every field costs at least a byte and every letter five bits, so that nothing grows beyond
//! twice its input.

use super::cursor::Cursor;

/// A field's name and value. What is not text is empty.
pub(crate) type Field = (String, String);

/// The fields of a header block, until it is cut or breaks the rules.
pub(crate) fn fields(block: &[u8]) -> Vec<Field> {
    let mut rest = Cursor::new(block);
    let mut fields = Vec::new();
    while !rest.is_empty() {
        match field(&mut rest) {
            Some(Some(field)) => fields.push(field),
            Some(None) => {}
            None => break,
        }
    }
    fields
}

/// The next representation (RFC 7541 section 6); the inner `None` names no field.
fn field(block: &mut Cursor<'_>) -> Option<Option<Field>> {
    let first = *block.rest().first()?;
    match first {
        0x80.. => {
            let entry = integer(block, 7)?.checked_sub(1)?;
            let entry = STATIC.get(entry);
            Some(entry.map(|(name, value)| ((*name).to_owned(), (*value).to_owned())))
        }
        // Another size for the dynamic table.
        0x20..0x40 => integer(block, 5).map(|_size| None),
        _ => {
            let bits = if first >= 0x40 { 6 } else { 4 };
            let name = match integer(block, bits)? {
                0 => string(block)?,
                index => STATIC.get(index - 1).map_or("", |entry| entry.0).to_owned(),
            };
            Some(Some((name, string(block)?)))
        }
    }
}

/// An integer behind a prefix of so many bits (RFC 7541 section 5.1), below 2^21.
fn integer(block: &mut Cursor<'_>, bits: u32) -> Option<usize> {
    let most = (1_usize << bits) - 1;
    let prefix = usize::from(block.u8()?) & most;
    if prefix < most {
        return Some(prefix);
    }
    let mut value = most;
    for shift in [0, 7, 14] {
        let byte = usize::from(block.u8()?);
        value += (byte & 0x7f) << shift;
        if byte & 0x80 == 0 {
            return Some(value);
        }
    }
    None
}

/// A string (RFC 7541 section 5.2); none where it is cut.
fn string(block: &mut Cursor<'_>) -> Option<String> {
    let is_coded = *block.rest().first()? & 0x80 != 0;
    let length = integer(block, 7)?;
    let bytes = block.take(length)?;
    let text = if is_coded { uncoded(bytes) } else { bytes.to_vec() };
    Some(String::from_utf8(text).unwrap_or_default())
}

/// Undoes the Huffman code of RFC 7541 appendix B. It is canonical: codes of one length follow each
/// other in the order of their letters, so that the lengths alone are the code.
fn uncoded(bytes: &[u8]) -> Vec<u8> {
    let mut text = Vec::with_capacity(bytes.len() * 8 / 5);
    let (mut code, mut length) = (0_u32, 0_usize);
    for bit in bytes.iter().flat_map(|byte| (0..8).rev().map(move |bit| byte >> bit & 1)) {
        code = code << 1 | u32::from(bit);
        length += 1;
        let Some((first, letters)) = CODES.get(length) else {
            return Vec::new();
        };
        let letter = code.checked_sub(*first).and_then(|place| letters.get(place as usize));
        if let Some(letter) = letter {
            text.push(*letter);
            (code, length) = (0, 0);
        }
    }
    text
}

/// By the length of a code: the first of them, and the letters in their order. The end of a string,
/// which is never sent, is left out.
const CODES: [(u32, &[u8]); 31] = [
    (0, b""),
    (0, b""),
    (0, b""),
    (0, b""),
    (0, b""),
    (0x0, b"012aceiost"),
    (0x14, b" %-./3456789=A_bdfghlmnpru"),
    (0x5c, b":BCDEFGHIJKLMNOPQRSTUVWYjkqvwxyz"),
    (0xf8, b"&*,;XZ"),
    (0, b""),
    (0x3f8, b"!\"()?"),
    (0x7fa, b"'+|"),
    (0xffa, b"#>"),
    (0x1ff8, b"\0$@[]~"),
    (0x3ffc, b"^}"),
    (0x7ffc, b"<`{"),
    (0, b""),
    (0, b""),
    (0, b""),
    (0x7fff0, b"\\\xc3\xd0"),
    (0xfffe6, b"\x80\x82\x83\xa2\xb8\xc2\xe0\xe2"),
    (0x1fffdc, b"\x99\xa1\xa7\xac\xb0\xb1\xb3\xd1\xd8\xd9\xe3\xe5\xe6"),
    (
        0x3fffd2,
        b"\x81\x84\x85\x86\x88\x92\x9a\x9c\xa0\xa3\xa4\xa9\xaa\xad\xb2\xb5\xb9\xba\xbb\xbd\xbe\
        \xc4\xc6\xe4\xe8\xe9",
    ),
    (
        0x7fffd8,
        b"\x01\x87\x89\x8a\x8b\x8c\x8d\x8f\x93\x95\x96\x97\x98\x9b\x9d\x9e\xa5\xa6\xa8\xae\xaf\
        \xb4\xb6\xb7\xbc\xbf\xc5\xe7\xef",
    ),
    (0xffffea, b"\t\x8e\x90\x91\x94\x9f\xab\xce\xd7\xe1\xec\xed"),
    (0x1ffffec, b"\xc7\xcf\xea\xeb"),
    (0x3ffffe0, b"\xc0\xc1\xc8\xc9\xca\xcd\xd2\xd5\xda\xdb\xee\xf0\xf2\xf3\xff"),
    (0x7ffffde, b"\xcb\xcc\xd3\xd4\xd6\xdd\xde\xdf\xf1\xf4\xf5\xf6\xf7\xf8\xfa\xfb\xfc\xfd\xfe"),
    (
        0xfffffe2,
        b"\x02\x03\x04\x05\x06\x07\x08\x0b\x0c\x0e\x0f\x10\x11\x12\x13\x14\x15\x17\x18\x19\x1a\
        \x1b\x1c\x1d\x1e\x1f\x7f\xdc\xf9",
    ),
    (0, b""),
    (0x3ffffffc, b"\n\r\x16"),
];

/// RFC 7541 appendix A.
const STATIC: [(&str, &str); 61] = [
    (":authority", ""),
    (":method", "GET"),
    (":method", "POST"),
    (":path", "/"),
    (":path", "/index.html"),
    (":scheme", "http"),
    (":scheme", "https"),
    (":status", "200"),
    (":status", "204"),
    (":status", "206"),
    (":status", "304"),
    (":status", "400"),
    (":status", "404"),
    (":status", "500"),
    ("accept-charset", ""),
    ("accept-encoding", "gzip, deflate"),
    ("accept-language", ""),
    ("accept-ranges", ""),
    ("accept", ""),
    ("access-control-allow-origin", ""),
    ("age", ""),
    ("allow", ""),
    ("authorization", ""),
    ("cache-control", ""),
    ("content-disposition", ""),
    ("content-encoding", ""),
    ("content-language", ""),
    ("content-length", ""),
    ("content-location", ""),
    ("content-range", ""),
    ("content-type", ""),
    ("cookie", ""),
    ("date", ""),
    ("etag", ""),
    ("expect", ""),
    ("expires", ""),
    ("from", ""),
    ("host", ""),
    ("if-match", ""),
    ("if-modified-since", ""),
    ("if-none-match", ""),
    ("if-range", ""),
    ("if-unmodified-since", ""),
    ("last-modified", ""),
    ("link", ""),
    ("location", ""),
    ("max-forwards", ""),
    ("proxy-authenticate", ""),
    ("proxy-authorization", ""),
    ("range", ""),
    ("referer", ""),
    ("refresh", ""),
    ("retry-after", ""),
    ("server", ""),
    ("set-cookie", ""),
    ("strict-transport-security", ""),
    ("transfer-encoding", ""),
    ("user-agent", ""),
    ("vary", ""),
    ("via", ""),
    ("www-authenticate", ""),
];

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(block: &str, expected: &[(&str, &str)]) {
        let bytes: Vec<u8> = block
            .split(' ')
            .map(|digits| u8::from_str_radix(digits, 16).expect("hexadecimal"))
            .collect();
        let found = fields(&bytes);
        let found: Vec<(&str, &str)> =
            found.iter().map(|(name, value)| (name.as_str(), value.as_str())).collect();
        assert_eq!(found, expected);
        for end in 0..bytes.len() {
            assert!(fields(&bytes[..end]).len() <= expected.len(), "cut at {end}");
        }
    }

    /// Those of RFC 7541 appendix C.
    #[test]
    fn published_examples_are_read() {
        check("82", &[(":method", "GET")]);
        check(
            "40 0a 63 75 73 74 6f 6d 2d 6b 65 79 0d 63 75 73 74 6f 6d 2d 68 65 61 64 65 72",
            &[("custom-key", "custom-header")],
        );
        check("04 0c 2f 73 61 6d 70 6c 65 2f 70 61 74 68", &[(":path", "/sample/path")]);
        let get = [
            (":method", "GET"),
            (":scheme", "http"),
            (":path", "/"),
            (":authority", "www.example.com"),
        ];
        check("82 86 84 41 0f 77 77 77 2e 65 78 61 6d 70 6c 65 2e 63 6f 6d", &get);
        check("82 86 84 41 8c f1 e3 c2 e5 f2 3a 6b a0 ab 90 f4 ff", &get);
        check(
            "40 88 25 a8 49 e9 5b a9 7d 7f 89 25 a8 49 e9 5b b8 e8 b4 bf",
            &[("custom-key", "custom-value")],
        );
        // A date, of capitals and digits.
        check(
            "61 96 d0 7a be 94 10 54 d4 44 a8 20 05 95 04 0b 81 66 e0 82 a6 2d 1b ff",
            &[("date", "Mon, 21 Oct 2013 20:13:21 GMT")],
        );
    }

    #[test]
    fn what_breaks_the_rules_ends_the_block() {
        check("82 80 82", &[(":method", "GET")]);
        check("82 ff ff ff ff ff 01", &[(":method", "GET")]);
        check("3f e1 1f 82", &[(":method", "GET")]);
        // A reference into the dynamic table has no value.
        check("be 82", &[(":method", "GET")]);
        check("41 7f ff 01", &[]);
        // Thirty ones are the end of a string.
        check("41 85 ff ff ff ff ff 82", &[(":authority", ""), (":method", "GET")]);
    }

    /// Every letter by its own code, and each code by no other's start.
    #[test]
    fn the_code_is_complete() {
        let letters: usize = CODES.iter().map(|(_, letters)| letters.len()).sum();
        assert_eq!(letters, 256);
        let mut free = 1_u64;
        for (length, (first, letters)) in CODES.iter().enumerate().skip(1) {
            free *= 2;
            if !letters.is_empty() {
                assert_eq!(u64::from(*first), (1_u64 << length) - free, "codes of {length} bits");
            }
            free -= letters.len() as u64;
        }
        // One of 30 bits is left for the end of a string.
        assert_eq!(free, 1);
    }
}
