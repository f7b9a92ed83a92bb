//! Arbitrary bytes as a TLS ClientHello, in records and without them. A hello that was cut says what the whole one says, or nothing:
//! a fingerprint of half a hello would be another client's.
#![no_main]

use detector::flow::content::ja4::{self, Transport};
use detector::flow::content::tls::{ClientHello, Handshake};
use detector_fuzz::{cuts, is_within};
use libfuzzer_sys::fuzz_target;

/// `t13d1516h2_8daaf6152771_e5627efa2ab1`.
const FINGERPRINT_LETTERS: usize = 36;

fuzz_target!(|data: &[u8]| {
    message(data);
    if let Some(handshake) = Handshake::of(data) {
        assert!(handshake.bytes.len() <= data.len());
        message(&handshake.bytes);
        cuts(data, |part| {
            let cut = Handshake::of(part);
            assert!(cut.is_none_or(|cut| handshake.bytes.starts_with(&cut.bytes)));
        });
    }
});

fn message(data: &[u8]) {
    let whole = ClientHello::decode(data);
    if let Some(hello) = &whole {
        bounds(hello, data);
    }
    cuts(data, |part| {
        let Some(cut) = ClientHello::decode(part) else { return };
        let whole = whole.as_ref().expect("a part of it was read");
        assert_eq!(cut.legacy_version, whole.legacy_version);
        assert_eq!(cut.cipher_suites, whole.cipher_suites);
        if let Some(name) = cut.server_name() {
            assert_eq!(Some(name), whole.server_name());
        }
        if let Some(fingerprint) = ja4::fingerprint(&cut, Transport::Tcp) {
            assert_eq!(Some(fingerprint), ja4::fingerprint(whole, Transport::Tcp));
        }
    });
}

fn bounds(hello: &ClientHello<'_>, data: &[u8]) {
    assert!(is_within(hello.cipher_suites, data));
    let mut cut = 0;
    for extension in hello.extensions() {
        assert_eq!(cut, 0, "something follows an extension that was cut");
        match extension.content {
            Some(content) => assert!(is_within(content, data)),
            None => cut += 1,
        }
    }
    if let Some(name) = hello.server_name() {
        assert!(is_within(name.as_bytes(), data));
        assert!(
            !name.is_empty() && name.len() <= 253 && name.bytes().all(|b| b.is_ascii_graphic())
        );
    }
    if let Some(fingerprint) = ja4::fingerprint(hello, Transport::Quic) {
        assert_eq!(fingerprint.len(), FINGERPRINT_LETTERS, "{fingerprint}");
        assert!(fingerprint.is_ascii());
    }
}
