//! Arbitrary segments put in order, held against the plainest way to do it; and arbitrary streams cut into
//! segments in two ways, of which the same must be read.
#![no_main]

use detector::flow::content::conversation::{Conversation, Saying};
use detector::flow::content::stream::{Offered, Stream, WINDOW_BYTES};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|data: &[u8]| {
    segments(data);
    let step = usize::from(data.first().copied().unwrap_or(0)) % 64 + 1;
    assert_eq!(read(data, 512), read(data, step));
});

/// A byte of how far each begins behind the last, one of its length, and its content.
fn segments(mut script: &[u8]) {
    let (mut stream, mut expected) = (Stream::at(9), vec![None; WINDOW_BYTES]);
    let mut start = 0_usize;
    while let Some((&[behind, length], rest)) = script.split_first_chunk::<2>() {
        let (segment, rest) = rest.split_at(rest.len().min(length.into()));
        script = rest;
        start = (start + usize::from(behind) * 16) % (WINDOW_BYTES + 64);
        let offered = stream.offer(9 + start as u32, segment);
        let place = expected.iter().skip(start).zip(segment);
        let differs = segment.len() > 1
            && place.clone().any(|(known, byte)| known.is_some_and(|known| known != *byte));
        assert_eq!(offered == Offered::Contradicts, differs);
        if matches!(offered, Offered::Grew | Offered::Kept) {
            for (known, byte) in expected.iter_mut().skip(start).zip(segment) {
                known.get_or_insert(*byte);
            }
        }
        let known: Vec<u8> = expected.iter().map_while(|known| *known).collect();
        assert_eq!(stream.in_order(), known);
    }
}

/// The hellos and the requests' methods in a stream that comes in segments of `size`.
fn read(stream: &[u8], size: usize) -> (Vec<Vec<u8>>, Vec<&'static str>) {
    let (mut hellos, mut methods) = (Vec::new(), Vec::new());
    let mut tell = |saying: &Saying<'_>| match saying {
        Saying::Hello(message) => hellos.push(message.to_vec()),
        Saying::Request(request) => methods.push(request.method),
        Saying::Protocol(..) | Saying::Refuted | Saying::Body(_) => {}
        Saying::Contradiction => panic!("a stream in order contradicts itself"),
    };
    let mut conversation = Conversation::default();
    let mut sequence = u32::MAX - 100;
    for segment in stream.chunks(size) {
        conversation.read(sequence, segment, &mut tell);
        sequence = sequence.wrapping_add(segment.len() as u32);
    }
    conversation.finish(&mut tell);
    assert!(!conversation.is_pending() && conversation.held_bytes() < 4 * WINDOW_BYTES);
    (hellos, methods)
}
