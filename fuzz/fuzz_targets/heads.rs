//! Arbitrary dialogues of up to four flows, on the ports where payload samples are decoded, all the
//! way to feature vectors and rules: what the decoders remember from one packet to the next, and
//! what the rules make of it.
#![no_main]

use detector::flow::content::entropy::{ByteProfile, entropy};
use detector::flow::content::file::{Body, FileName};
use detector::flow::content::protocol::Protocol;
use detector_common::parse::{Decapsulation, protocol};
use detector_fuzz::{dialogue, scored};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|data: &[u8]| {
    bytes(data);
    scored::read(&dialogue::capture(data), Decapsulation::default());
});

fn bytes(data: &[u8]) {
    // Whatever transport and port the script chooses: rows of weak signatures count on their port.
    if let Some((&[transport, high, low], payload)) = data.split_first_chunk::<3>() {
        let number = if transport & 1 == 0 { protocol::TCP } else { protocol::UDP };
        let port = u16::from_be_bytes([high, low]);
        let length = payload.len() + usize::from(transport >> 1);
        let found = Protocol::of(number, port, payload, length);
        assert!(found.is_none_or(|found| !found.name().is_empty()));
    }
    let _known = (FileName::of(data), Body::of(data));
    let bits = entropy(data);
    // No more than the logarithm of how many bytes there are, but for rounding.
    assert!((0.0..=8.0).contains(&bits) && bits <= (data.len().max(1) as f64).log2() + 1e-9);
    let profile = ByteProfile::of(data);
    assert!((0.0..=1.0).contains(&profile.printable_share));
}
