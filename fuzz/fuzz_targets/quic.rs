//! Arbitrary bytes as a QUIC client's datagram, and as the frames of an Initial that was opened: every piece
//! lies within them.
#![no_main]

use detector::flow::content::quic::{self, Id};
use detector_fuzz::{cuts, is_within};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|data: &[u8]| {
    let mut id: Option<Id> = None;
    for _ in 0..2 {
        let opened = quic::open(data, &mut id, |_, piece| assert!(piece.len() <= data.len()));
        assert!(opened.packets + opened.refused <= 5);
        assert_eq!(opened.packets != 0, id.is_some());
        assert!(opened.packets == 0 || quic::is_initial(data));
    }
    let mut whole = Vec::new();
    let _all = quic::pieces(data, &mut |at, piece| {
        assert!(is_within(piece, data));
        whole.push((at, piece.to_vec()));
    });
    cuts(data, |part| {
        let mut found = Vec::new();
        let _all = quic::pieces(part, &mut |at, piece| found.push((at, piece.to_vec())));
        assert!(whole.starts_with(&found));
    });
});
