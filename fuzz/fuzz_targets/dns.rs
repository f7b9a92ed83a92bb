//! Arbitrary bytes as a DNS message: within its bounds, and what is there of a message that was cut says
//! the same as the whole.
#![no_main]

use detector::flow::dns::message::{Answer, Message, NAME_MAX_BYTES, Name};
use detector::flow::dns::names::Names;
use detector_fuzz::cuts;
use libfuzzer_sys::fuzz_target;

/// RFC 1035 section 2.3.4.
const LABEL_MAX_BYTES: u8 = 63;

fuzz_target!(|data: &[u8]| {
    let whole = Message::decode(data);
    if let Some(message) = &whole {
        bounds(message, data);
        learned(message);
    }
    cuts(data, |part| {
        let Some(cut) = Message::decode(part) else { return };
        same(&cut, whole.as_ref().expect("a part of it was read"));
    });
});

fn bounds(message: &Message, data: &[u8]) {
    check(&message.name);
    assert!(message.answers.len() <= usize::from(message.answer_count));
    assert!(message.response || message.answers.is_empty());
    assert_eq!(message.message_bytes as usize, data.len());
    // The last record may claim more than the head holds; none after it is believed.
    assert!(message.answer_bytes as usize <= data.len() + usize::from(u16::MAX));
    for answer in &message.answers {
        match answer {
            Answer::Address { owner, .. } => check(owner),
            Answer::Alias { owner, target, .. } => {
                check(owner);
                check(target);
            }
        }
    }
}

fn check(name: &Name) {
    assert!(name.as_bytes().len() <= NAME_MAX_BYTES);
    assert!(name.longest_label <= LABEL_MAX_BYTES);
    assert!(usize::from(name.longest_label) <= name.as_bytes().len());
    assert_eq!(name.labels == 0, name.as_bytes().is_empty());
    assert!(name.is_same(name));
}

/// An address is known by the name that was asked for.
fn learned(message: &Message) {
    let mut names = Names::new(4);
    names.learn(message, 0);
    for answer in &message.answers {
        if let Answer::Address { address, .. } = answer
            && let Some(learned) = names.get(*address, 0)
        {
            assert_eq!(**learned, *message.name.to_lowercase());
        }
    }
}

fn same(cut: &Message, whole: &Message) {
    assert!(cut.name.is_same(&whole.name));
    assert_eq!(
        (cut.response, cut.rcode, cut.record_type, cut.answer_count),
        (whole.response, whole.rcode, whole.record_type, whole.answer_count)
    );
    assert!(cut.answers.len() <= whole.answers.len());
    assert!(cut.answer_bytes <= whole.answer_bytes);
    assert!(cut.truncated || !whole.truncated, "it is whole, and more of it is not");
}
