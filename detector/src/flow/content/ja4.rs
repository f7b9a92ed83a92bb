//! JA4, the fingerprint of a TLS client (FoxIO, BSD 3-clause; of the JA4+ suite nothing is here).
//!
//! Versions, counts and the hashes of what was offered, sorted, so that a browser that shuffles its
//! extensions stays one client.

use std::fmt::Write as _;

use sha2::{Digest as _, Sha256};

use super::cursor::Cursor;
use super::tls::{ClientHello, Extension};

const SERVER_NAME: u16 = 0x0000;
const SIGNATURE_ALGORITHMS: u16 = 0x000d;
const ALPN: u16 = 0x0010;
const SUPPORTED_VERSIONS: u16 = 0x002b;
/// Characters of each hash.
const HASH_DIGITS: usize = 12;

/// What a hello comes over.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Transport {
    Tcp,
    Quic,
}

/// The fingerprint of a hello; `None` where what was read of it does not hold all it is made of.
#[must_use]
pub fn fingerprint(hello: &ClientHello<'_>, transport: Transport) -> Option<String> {
    if !hello.names_all_extensions() {
        return None;
    }
    let extensions: Vec<_> = hello.extensions().filter(|one| !is_grease(one.kind)).collect();
    let suites: Vec<u16> =
        numbers(hello.cipher_suites).filter(|suite| !is_grease(*suite)).collect();
    let version = version(hello, content(&extensions, SUPPORTED_VERSIONS)?);
    let name = extensions.iter().any(|one| one.kind == SERVER_NAME);
    let protocol = application(content(&extensions, ALPN)?);
    let signatures = content(&extensions, SIGNATURE_ALGORITHMS)?;
    Some(format!(
        "{}{version}{}{:02}{:02}{protocol}_{}_{}",
        match transport {
            Transport::Tcp => 't',
            Transport::Quic => 'q',
        },
        if name { 'd' } else { 'i' },
        suites.len().min(99),
        extensions.len().min(99),
        hash_of_suites(suites),
        hash_of_extensions(&extensions, signatures),
    ))
}

/// Values that clients offer to keep servers tolerant (RFC 8701).
fn is_grease(value: u16) -> bool {
    let [high, low] = value.to_be_bytes();
    high == low && low & 0x0f == 0x0a
}

/// An extension's content: empty where it was not sent, `None` where it was cut.
fn content<'a>(extensions: &[Extension<'a>], kind: u16) -> Option<&'a [u8]> {
    match extensions.iter().find(|extension| extension.kind == kind) {
        Some(extension) => extension.content,
        None => Some(&[]),
    }
}

/// The highest version offered, in two characters.
fn version(hello: &ClientHello<'_>, supported: &[u8]) -> &'static str {
    let offered = numbers(supported.get(1..).unwrap_or_default());
    let highest = offered.filter(|version| !is_grease(*version)).max();
    match highest.unwrap_or(hello.legacy_version) {
        0x0304 => "13",
        0x0303 => "12",
        0x0302 => "11",
        0x0301 => "10",
        0x0300 => "s3",
        0x0002 => "s2",
        _ => "00",
    }
}

/// First and last character of the first application protocol, of its hex digits where it is no
/// text; `00` without one.
fn application(alpn: &[u8]) -> String {
    let mut list = Cursor::new(alpn);
    let first = list.u16().and_then(|_length| list.vector8()).unwrap_or_default();
    let (Some(start), Some(end)) = (first.first(), first.last()) else {
        return "00".to_owned();
    };
    if start.is_ascii_alphanumeric() && end.is_ascii_alphanumeric() {
        return [*start, *end].map(char::from).iter().collect();
    }
    format!("{:x}{:x}", start >> 4, end & 0x0f)
}

fn hash_of_suites(mut suites: Vec<u16>) -> String {
    suites.sort_unstable();
    hash(&joined(suites))
}

fn hash_of_extensions(extensions: &[Extension<'_>], signatures: &[u8]) -> String {
    let kinds = extensions.iter().map(|extension| extension.kind);
    let mut kinds: Vec<u16> = kinds.filter(|kind| !matches!(*kind, SERVER_NAME | ALPN)).collect();
    kinds.sort_unstable();
    let mut text = joined(kinds);
    let offered = numbers(signatures.get(2..).unwrap_or_default());
    let signatures = joined(offered.filter(|scheme| !is_grease(*scheme)));
    if !text.is_empty() && !signatures.is_empty() {
        text = format!("{text}_{signatures}");
    }
    hash(&text)
}

fn numbers(bytes: &[u8]) -> impl Iterator<Item = u16> {
    let (pairs, _odd) = bytes.as_chunks::<2>();
    pairs.iter().map(|pair| u16::from_be_bytes(*pair))
}

/// Four hex digits each, with commas between.
fn joined(values: impl IntoIterator<Item = u16>) -> String {
    let digits: Vec<String> = values.into_iter().map(|value| format!("{value:04x}")).collect();
    digits.join(",")
}

/// The first digits of SHA-256, zeros for nothing.
fn hash(text: &str) -> String {
    if text.is_empty() {
        return "0".repeat(HASH_DIGITS);
    }
    let mut digits = String::new();
    for byte in Sha256::digest(text.as_bytes()).iter().take(HASH_DIGITS / 2) {
        let _written = write!(digits, "{byte:02x}");
    }
    digits
}

#[cfg(test)]
mod tests {
    use super::super::tls::example::{client_hello, server_name, vector16};
    use super::*;

    const SUITES: [u16; 16] = [
        0x2a2a, 0x1301, 0x1302, 0x1303, 0xc02b, 0xc02f, 0xc02c, 0xc030, 0xcca9, 0xcca8, 0xc013,
        0xc014, 0x009c, 0x009d, 0x002f, 0x0035,
    ];

    fn bytes(values: &[u16]) -> Vec<u8> {
        values.iter().flat_map(|value| value.to_be_bytes()).collect()
    }

    /// The hello of FoxIO's own example, in an order of its own.
    fn browser() -> Vec<(u16, Vec<u8>)> {
        let schemes = [0x0403, 0x0804, 0x0401, 0x0503, 0x0805, 0x0501, 0x0806, 0x0601];
        let mut extensions: Vec<(u16, Vec<u8>)> = vec![
            (0x1a1a, Vec::new()),
            (0x0000, server_name(b"site.example")),
            (0x0010, vector16(b"\x02h2\x08http/1.1")),
            (0x000d, vector16(&bytes(&schemes))),
            (0x002b, [&[6_u8][..], &bytes(&[0x3a3a, 0x0304, 0x0303])].concat()),
        ];
        let others = [
            0x0017, 0xff01, 0x000a, 0x000b, 0x0023, 0x0005, 0x0012, 0x0033, 0x002d, 0x001b, 0x4469,
        ];
        extensions.extend(others.map(|kind| (kind, vec![0; 3])));
        extensions.push((0x0015, vec![0; 40]));
        extensions
    }

    fn check(hello: &[u8], expected: Option<&str>) {
        let hello = ClientHello::decode(hello).expect("a hello");
        assert_eq!(fingerprint(&hello, Transport::Tcp).as_deref(), expected);
    }

    #[test]
    fn the_published_example_has_its_fingerprint() {
        let expected = "t13d1516h2_8daaf6152771_e5627efa2ab1";
        let hello = client_hello(&SUITES, &browser());
        check(&hello, Some(expected));
        // The padding may be cut, nothing else.
        check(&hello[..hello.len() - 40], Some(expected));
        check(&hello[..hello.len() - 44], None);
        let mut shuffled = browser();
        shuffled.swap(5, 9);
        check(&client_hello(&SUITES, &shuffled), Some(expected));
    }

    #[test]
    fn what_is_not_offered_is_nought() {
        check(&client_hello(&[], &[]), Some("t12i000000_000000000000_000000000000"));
        let odd = vec![(0x0010, vector16(b"\x02\xab\xcd"))];
        check(&client_hello(&[], &odd), Some("t12i0001ad_000000000000_000000000000"));
    }

    #[test]
    fn any_cut_of_a_hello_is_read() {
        let hello = client_hello(&SUITES, &browser());
        for end in 0..hello.len() {
            let _any = ClientHello::decode(&hello[..end])
                .and_then(|cut| fingerprint(&cut, Transport::Tcp));
        }
    }
}
