//! The hello in a QUIC client's Initial packets, of version 1 (RFC 9000, RFC 9001) and 2 (RFC 9369).
//!
//! The keys of an Initial follow from the connection id in its header (RFC 9001 section 5.2): every
//! observer can read it, and anybody can write one, so that a name in it is a claim. Packets of later
//! handshake stages and of the connection itself are never opened. The cipher is ring's.

use ring::aead::{self, AES_128_GCM, Aad, LessSafeKey, Nonce, UnboundKey, quic};
use ring::hkdf::{self, HKDF_SHA256, KeyType, Prk};

use super::cursor::Cursor;

/// Longest connection id (RFC 9000 section 17.2).
const MAX_ID_BYTES: usize = 20;
/// Packets of one datagram that are opened: a client puts one Initial into each, and a few more after a
/// loss.
const MAX_PACKETS: usize = 4;
/// The packet number's place is not known before the header is unprotected: the sample is taken as if
/// it had four bytes (RFC 9001 section 5.4.2).
const SAMPLE_AT: usize = 4;
const SAMPLE_BYTES: usize = 16;

const LONG_HEADER: u8 = 0x80;
const FIXED_BIT: u8 = 0x40;

/// What a version's Initials are made with.
struct Version {
    number: u32,
    /// The two bits of an Initial's type.
    initial: u8,
    salt: [u8; 20],
    /// Labels of key, initialisation vector and header protection.
    labels: [&'static str; 3],
}

const VERSIONS: [Version; 2] = [
    Version {
        number: 1,
        initial: 0,
        salt: [
            0x38, 0x76, 0x2c, 0xf7, 0xf5, 0x59, 0x34, 0xb3, 0x4d, 0x17, 0x9a, 0xe6, 0xa4, 0xc8,
            0x0c, 0xad, 0xcc, 0xbb, 0x7f, 0x0a,
        ],
        labels: ["quic key", "quic iv", "quic hp"],
    },
    Version {
        number: 0x6b33_43cf,
        initial: 1,
        salt: [
            0x0d, 0xed, 0xe3, 0xde, 0xf7, 0x00, 0xa6, 0xdb, 0x81, 0x93, 0x81, 0xbe, 0x6e, 0x26,
            0x9d, 0xcb, 0xf9, 0xbd, 0x2e, 0xd9,
        ],
        labels: ["quicv2 key", "quicv2 iv", "quicv2 hp"],
    },
];

/// A connection id.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Id {
    bytes: [u8; MAX_ID_BYTES],
    length: usize,
}

impl Id {
    fn of(id: &[u8]) -> Option<Self> {
        let mut bytes = [0; MAX_ID_BYTES];
        bytes.get_mut(..id.len())?.copy_from_slice(id);
        Some(Self { bytes, length: id.len() })
    }

    fn bytes(&self) -> &[u8] {
        self.bytes.get(..self.length).unwrap_or_default()
    }
}

/// A packet as it lies in a datagram.
struct Initial<'a> {
    version: &'static Version,
    id: Id,
    /// From its first byte to its last.
    packet: &'a [u8],
    /// Where the packet number begins.
    number_at: usize,
}

/// Whether a datagram begins with an Initial of a known version.
#[must_use]
pub fn is_initial(datagram: &[u8]) -> bool {
    match datagram {
        [first, a, b, c, d, ..] => version(*first, u32::from_be_bytes([*a, *b, *c, *d])).is_some(),
        _ => false,
    }
}

fn version(first: u8, number: u32) -> Option<&'static Version> {
    let version = VERSIONS.iter().find(|version| version.number == number)?;
    let kind = first >> 4 & 3;
    (first & (LONG_HEADER | FIXED_BIT) == LONG_HEADER | FIXED_BIT && kind == version.initial)
        .then_some(version)
}

/// What came of a datagram.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Opened {
    /// Initials whose tag was right.
    pub packets: u32,
    /// Those that could not be opened: cut, or not made with these keys.
    pub refused: u32,
}

/// Opens the Initials of a datagram and hands the pieces of the handshake in them to `take`, each with
/// where it belongs. `first`: the connection id that the client chose, which the keys of all its
/// Initials follow from; it is set by the first that opens.
pub fn open(datagram: &[u8], first: &mut Option<Id>, mut take: impl FnMut(u64, &[u8])) -> Opened {
    let mut rest = datagram;
    let mut opened = Opened::default();
    for _ in 0..MAX_PACKETS {
        let Some((initial, after)) = initial(rest) else {
            opened.refused += u32::from(is_initial(rest));
            break;
        };
        rest = after;
        // After a Retry the client's keys follow from the id that the server chose.
        let own = first.filter(|id| *id != initial.id).and_then(|id| unprotect(&initial, &id));
        match own.or_else(|| unprotect(&initial, &initial.id)) {
            Some(frames) => {
                first.get_or_insert(initial.id);
                opened.packets += 1;
                let _all = pieces(&frames, &mut take);
            }
            None => opened.refused += 1,
        }
    }
    opened
}

/// The Initial at the start of a datagram, and what follows it (RFC 9000 section 17.2.2).
fn initial(datagram: &[u8]) -> Option<(Initial<'_>, &[u8])> {
    let mut header = Cursor::new(datagram);
    let (first, number) = (header.u8()?, header.u32()?);
    let version = version(first, number)?;
    let id = Id::of(header.vector8()?)?;
    let _source = header.vector8()?;
    let token = usize::try_from(varint(&mut header)?).ok()?;
    header.take(token)?;
    let length = usize::try_from(varint(&mut header)?).ok()?;
    let number_at = datagram.len() - header.rest().len();
    let (packet, after) = datagram.split_at_checked(number_at.checked_add(length)?)?;
    Some((Initial { version, id, packet, number_at }, after))
}

/// A number of one to eight bytes (RFC 9000 section 16).
fn varint(bytes: &mut Cursor<'_>) -> Option<u64> {
    let first = bytes.u8()?;
    let more = (1_usize << (first >> 6)) - 1;
    let start = u64::from(first & 0x3f);
    Some(bytes.take(more)?.iter().fold(start, |value, byte| value << 8 | u64::from(*byte)))
}

/// The frames of an Initial, if its tag is right.
fn unprotect(initial: &Initial<'_>, id: &Id) -> Option<Vec<u8>> {
    let keys = Keys::of(initial.version, id.bytes())?;
    let sample_at = initial.number_at + SAMPLE_AT;
    let sample = initial.packet.get(sample_at..sample_at + SAMPLE_BYTES)?;
    let mask = keys.header.new_mask(sample).ok()?;
    let mut packet = initial.packet.to_vec();
    // Four low bits of a long header are protected, and the packet number (RFC 9001 section 5.4.1).
    let first = packet.first_mut()?;
    *first ^= mask[0] & 0x0f;
    let number_bytes = usize::from(*first & 3) + 1;
    let (header, content) = packet.split_at_mut_checked(initial.number_at + number_bytes)?;
    let mut number = 0_u64;
    for (byte, mask) in header.get_mut(initial.number_at..)?.iter_mut().zip(&mask[1..]) {
        *byte ^= mask;
        number = number << 8 | u64::from(*byte);
    }
    let aad = Aad::from(&*header);
    Some(keys.content.open_in_place(keys.nonce(number), aad, content).ok()?.to_vec())
}

/// The client's keys.
struct Keys {
    content: LessSafeKey,
    vector: [u8; aead::NONCE_LEN],
    header: quic::HeaderProtectionKey,
}

impl Keys {
    fn of(version: &Version, id: &[u8]) -> Option<Self> {
        let [key, vector, header] = Self::bytes(version, id)?;
        let content = LessSafeKey::new(UnboundKey::new(&AES_128_GCM, &key).ok()?);
        let header = quic::HeaderProtectionKey::new(&quic::AES_128, &header).ok()?;
        let vector = *vector.first_chunk()?;
        Some(Self { content, vector, header })
    }

    /// Key, initialisation vector and header protection (RFC 9001 section 5.1); of the vector the last
    /// bytes are not used.
    fn bytes(version: &Version, id: &[u8]) -> Option<[[u8; 16]; 3]> {
        let secret = hkdf::Salt::new(HKDF_SHA256, &version.salt).extract(id);
        let mut client = [0; 32];
        expand(&secret, "client in", &mut client)?;
        let client = Prk::new_less_safe(HKDF_SHA256, &client);
        let mut bytes = [[0; 16]; 3];
        let [key, vector, header] = &mut bytes;
        let [key_label, vector_label, header_label] = version.labels;
        expand(&client, key_label, key)?;
        expand(&client, vector_label, vector.get_mut(..aead::NONCE_LEN)?)?;
        expand(&client, header_label, header)?;
        Some(bytes)
    }

    /// RFC 9001 section 5.3.
    fn nonce(&self, number: u64) -> Nonce {
        let mut nonce = self.vector;
        for (byte, part) in nonce.iter_mut().rev().zip(number.to_le_bytes()) {
            *byte ^= part;
        }
        Nonce::assume_unique_for_key(nonce)
    }
}

/// How many bytes are derived.
struct Length(usize);

impl KeyType for Length {
    fn len(&self) -> usize {
        self.0
    }
}

/// HKDF-Expand-Label without a context (RFC 8446 section 7.1).
fn expand(secret: &Prk, label: &str, bytes: &mut [u8]) -> Option<()> {
    const PREFIX: &[u8] = b"tls13 ";
    let length = u16::try_from(bytes.len()).ok()?.to_be_bytes();
    let label_length = [u8::try_from(PREFIX.len() + label.len()).ok()?];
    let parts = [&length[..], &label_length, PREFIX, label.as_bytes(), &[0]];
    secret.expand(&parts, Length(bytes.len())).ok()?.fill(bytes).ok()
}

/// Hands the pieces of the handshake in an Initial's frames (RFC 9000 section 12.4) to `take`; none where
/// a frame is cut or not one of an Initial's.
pub fn pieces(frames: &[u8], take: &mut impl FnMut(u64, &[u8])) -> Option<()> {
    const PADDING: u64 = 0;
    const PING: u64 = 1;
    const ACK: u64 = 2;
    const ACK_ECN: u64 = 3;
    const CRYPTO: u64 = 6;
    let mut rest = Cursor::new(frames);
    while !rest.is_empty() {
        match varint(&mut rest)? {
            PADDING | PING => {}
            kind @ (ACK | ACK_ECN) => {
                let (_largest, _delay) = (varint(&mut rest)?, varint(&mut rest)?);
                // The first range, then two numbers a range.
                let numbers = varint(&mut rest)?.checked_mul(2)?.checked_add(1)?;
                let counts = if kind == ACK_ECN { 3 } else { 0 };
                for _ in 0..numbers.checked_add(counts)? {
                    varint(&mut rest)?;
                }
            }
            CRYPTO => {
                let (offset, length) = (varint(&mut rest)?, varint(&mut rest)?);
                take(offset, rest.take(usize::try_from(length).ok()?)?);
            }
            // The connection is closed, or this is no frame of an Initial.
            _ => return None,
        }
    }
    Some(())
}

/// Initials as a client seals them, for tests.
#[cfg(test)]
pub(crate) mod example {
    use super::*;

    pub(crate) const V1: usize = 0;
    pub(crate) const V2: usize = 1;

    fn long(value: usize) -> [u8; 2] {
        (0x4000 | u16::try_from(value).expect("short")).to_be_bytes()
    }

    /// A piece of the handshake in its frame.
    pub(crate) fn crypto_frame(offset: usize, content: &[u8]) -> Vec<u8> {
        [&[6][..], &long(offset), &long(content.len()), content].concat()
    }

    /// A packet to `id` with these frames, its keys from `keys_id`.
    pub(crate) fn seal(version: usize, id: &[u8], keys_id: &[u8], frames: &[u8]) -> Vec<u8> {
        const NUMBER: [u8; 2] = [0, 7];
        let version = &VERSIONS[version];
        let keys = Keys::of(version, keys_id).expect("keys");
        let mut frames = frames.to_vec();
        frames.resize(frames.len().max(40), 0);
        let first = LONG_HEADER | FIXED_BIT | version.initial << 4 | 1;
        let mut header = vec![first];
        header.extend(version.number.to_be_bytes());
        header.push(u8::try_from(id.len()).expect("short"));
        header.extend(id);
        // No source id; a token of three bytes.
        header.extend([0, 3, 9, 9, 9]);
        header.extend(long(NUMBER.len() + frames.len() + 16));
        let number_at = header.len();
        header.extend(NUMBER);
        let tag =
            keys.content.seal_in_place_separate_tag(keys.nonce(7), Aad::from(&header), &mut frames);
        let mut packet = [&header[..], &frames, tag.expect("sealed").as_ref()].concat();
        let mask = keys.header.new_mask(&packet[number_at + 4..][..16]).expect("a sample");
        packet[0] ^= mask[0] & 0x0f;
        packet[number_at] ^= mask[1];
        packet[number_at + 1] ^= mask[2];
        packet
    }
}

#[cfg(test)]
mod tests {
    use super::example::{V1, V2, crypto_frame, seal};
    use super::*;

    const ID: &[u8] = &[0x83, 0x94, 0xc8, 0xf0, 0x3e, 0x51, 0x57, 0x08];

    fn hex(bytes: &[u8]) -> String {
        bytes.iter().map(|byte| format!("{byte:02x}")).collect()
    }

    /// Those of RFC 9001 appendix A.1 and RFC 9369 appendix A.1.
    #[test]
    fn keys_are_the_published_ones() {
        let check = |version: usize, expected: [&str; 3]| {
            let [key, vector, header] = Keys::bytes(&VERSIONS[version], ID).expect("keys");
            assert_eq!([hex(&key), hex(&vector[..12]), hex(&header)], expected);
        };
        check(
            V1,
            [
                "1f369613dd76d5467730efcbe3b1a22d",
                "fa044b2f42a3fd3b46fb255c",
                "9f50449e04a0e810283a1e9933adedd2",
            ],
        );
        check(
            V2,
            [
                "8b1a0bc121284290a29e0971b5cd045d",
                "91f73e2351d8fa91660e909f",
                "45b95e15235d6f45a6b19cbcb0294ba9",
            ],
        );
    }

    #[track_caller]
    fn check(datagram: &[u8], id: Option<&[u8]>, pieces: &[(u64, &[u8])], refused: u32) {
        let mut first = id.and_then(Id::of);
        let mut found = Vec::new();
        let opened = open(datagram, &mut first, |at, bytes| found.push((at, bytes.to_vec())));
        let found: Vec<(u64, &[u8])> = found.iter().map(|(at, bytes)| (*at, &**bytes)).collect();
        assert_eq!((&found[..], opened.refused), (pieces, refused));
    }

    #[test]
    fn pieces_of_the_handshake_are_found() {
        let ack = [2, 0x40, 9, 0, 1, 0, 0, 0];
        let frames = [
            &crypto_frame(900, b"second")[..],
            &[0, 0, 1],
            &ack,
            &[3, 1, 0, 0, 0, 1, 2, 3],
            &crypto_frame(0, b"first"),
        ];
        let pieces: [(u64, &[u8]); 2] = [(900, b"second"), (0, b"first")];
        for version in [V1, V2] {
            let packet = seal(version, ID, ID, &frames.concat());
            assert!(is_initial(&packet));
            check(&packet, None, &pieces, 0);
            // The packets of one datagram, and what follows them.
            let one = seal(version, ID, ID, &crypto_frame(7, b"one"));
            let both = [&one[..], &one, &[0x40; 60]].concat();
            check(&both, None, &[(7, b"one"), (7, b"one")], 0);
            // Later packets go to an id of the server's; after a Retry, keys follow from that.
            let later = seal(version, b"server", ID, &crypto_frame(7, b"one"));
            check(&later, Some(ID), &[(7, b"one")], 0);
            check(&later, None, &[], 1);
            let retried = seal(version, b"server", b"server", &crypto_frame(7, b"one"));
            check(&retried, Some(ID), &[(7, b"one")], 0);
        }
    }

    #[test]
    fn what_is_not_sealed_so_is_refused() {
        let packet = seal(V1, ID, ID, &crypto_frame(0, b"hello"));
        for place in 0..packet.len() {
            let mut other = packet.clone();
            other[place] ^= 0x10;
            let mut found = 0;
            let opened = open(&other, &mut None, |_, _| found += 1);
            assert_eq!((opened.packets, found), (0, 0), "byte {place}");
        }
        for end in 0..packet.len() {
            let refused = u32::from(end >= 5);
            check(&packet[..end], None, &[], refused);
        }
        check(&[0xc0, 0, 0, 0, 9, 1], None, &[], 0);
        check(&[0x40; 1_200], None, &[], 0);
    }

    #[test]
    fn frames_that_break_the_rules_end_the_packet() {
        let found = |frames: &[u8]| {
            let mut count = 0;
            let _all = pieces(frames, &mut |_, _| count += 1);
            count
        };
        let piece = crypto_frame(0, b"x");
        assert_eq!(found(&[&piece[..], &[0x1c, 0], &piece].concat()), 1);
        assert_eq!(found(&[&piece[..], &[6, 0, 0x7f, 0xff], &piece].concat()), 1);
        // More ranges than any packet has.
        assert_eq!(found(&[&[2, 0, 0, 0xff][..], &[0xff; 7], &piece].concat()), 0);
    }
}
