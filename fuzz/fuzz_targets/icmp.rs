//! Arbitrary bytes as the payloads of two echo messages that follow each other.
#![no_main]

use detector::flow::content::ping::{has_inner_packet, is_prose, is_variation, own_bytes};
use detector_fuzz::is_within;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|data: &[u8]| {
    let Some((&at, payloads)) = data.split_first() else { return };
    let at = usize::from(at) * payloads.len() / 255;
    let (earlier, later) = payloads.split_at(at);
    for payload in [earlier, later, payloads] {
        let own = own_bytes(payload);
        assert!(is_within(own, payload));
        let _known = (is_prose(own), has_inner_packet(payload));
        // A payload that is sent again says nothing new.
        assert!(own.is_empty() || is_variation(own, own));
    }
    let _known = is_variation(own_bytes(earlier), own_bytes(later));
});
