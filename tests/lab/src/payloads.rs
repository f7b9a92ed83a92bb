//! What small thefts carry: credentials as text, an archive of them, or either encrypted.

use super::random::Random;

/// A body, and the name and kind that its sender gives it.
#[derive(Clone, Debug)]
pub(super) struct Payload {
    pub(super) name: String,
    pub(super) media_type: &'static str,
    pub(super) bytes: Vec<u8>,
}

/// Of 300 bytes to 60 kB, as stealers of credentials carry.
pub(super) fn small(random: &mut Random) -> Payload {
    let length = random.size(300, 60_000);
    match random.between(0, 2) {
        0 => text(random, length),
        1 => archive(random, length),
        _ => Payload {
            name: format!("{}.bin", random.word(8)),
            media_type: "application/octet-stream",
            bytes: random.bytes(length),
        },
    }
}

pub(super) fn text(random: &mut Random, length: usize) -> Payload {
    let mut lines =
        format!("User: {}\nComputer: DESKTOP-{:07X}\n", random.word(6), random.next() >> 36);
    while lines.len() < length {
        let [site, user, secret] = [random.word(8), random.word(7), random.word(10)];
        lines.push_str(&format!(
            "URL: https://{site}.com/login\nUsername: {user}@example.com\nPassword: {secret}{}\n\n",
            random.between(1, 9_999)
        ));
    }
    lines.truncate(length);
    Payload {
        name: format!("PW_{}.txt", random.word(6)),
        media_type: "text/plain",
        bytes: lines.into_bytes(),
    }
}

/// The first bytes of a zip file, and what packed text looks like after them.
pub(super) fn archive(random: &mut Random, length: usize) -> Payload {
    let mut bytes = b"PK\x03\x04\x14\x00\x00\x00\x08\x00".to_vec();
    bytes.extend(random.bytes(length.saturating_sub(bytes.len())));
    Payload { name: format!("{}.zip", random.word(7)), media_type: "application/zip", bytes }
}
