//! One DNS message (RFC 1035), as far as it can be read.
//!
//! Payload samples are cut at 512 bytes, so a message that ends early is ordinary: its question
//! counts and the answers that are whole. Compression pointers must point backwards, which bounds
//! the walk.

use crate::flow::content::cursor::Cursor;
use crate::network;

/// Longest name in presentation form, without the last dot (RFC 1035 section 3.1: 255 octets on
/// the wire, of which the first length and the last zero fall away).
pub const NAME_MAX_BYTES: usize = 253;

const HEADER_BYTES: usize = 12;
/// Answers read of one message; what 512 bytes can hold.
const MAX_ANSWERS: usize = 48;
/// Labels of one name; 127 one-byte labels fill 254 octets.
const MAX_LABELS: u8 = 127;
/// Questions read of one message. One is what servers answer (RFC 9619).
const MAX_QUESTIONS: usize = 8;

/// Record types the code distinguishes (IANA DNS parameters).
pub mod record_type {
    pub const A: u16 = 1;
    pub const NS: u16 = 2;
    pub const CNAME: u16 = 5;
    pub const SOA: u16 = 6;
    pub const NULL: u16 = 10;
    pub const PTR: u16 = 12;
    pub const MX: u16 = 15;
    pub const TXT: u16 = 16;
    pub const AAAA: u16 = 28;
    pub const SRV: u16 = 33;
    pub const DS: u16 = 43;
    pub const DNSKEY: u16 = 48;
    pub const HTTPS: u16 = 65;
}

/// NXDOMAIN (RFC 1035 section 4.1.1).
pub const RCODE_NXDOMAIN: u8 = 3;

/// A name in presentation form: labels joined by dots, no last dot, bytes as they were sent. A dot
/// inside a label is not escaped.
#[derive(Clone, Copy, Debug)]
pub struct Name {
    bytes: [u8; NAME_MAX_BYTES],
    length: u8,
    pub labels: u8,
    /// Bytes of the longest label.
    pub longest_label: u8,
}

impl Name {
    const ROOT: Self = Self { bytes: [0; NAME_MAX_BYTES], length: 0, labels: 0, longest_label: 0 };

    /// The name's bytes; none for the root.
    #[must_use]
    pub fn as_bytes(&self) -> &[u8] {
        self.bytes.get(..usize::from(self.length)).unwrap_or(&[])
    }

    /// In lower case, with whatever is not UTF-8 replaced.
    #[must_use]
    pub fn to_lowercase(&self) -> String {
        String::from_utf8_lossy(self.as_bytes()).to_ascii_lowercase()
    }

    /// Whether the two are one name; case does not count (RFC 4343).
    #[must_use]
    pub fn is_same(&self, other: &Self) -> bool {
        self.as_bytes().eq_ignore_ascii_case(other.as_bytes())
    }

    fn push(&mut self, label: &[u8]) -> Option<()> {
        let start = usize::from(self.length) + usize::from(self.length != 0);
        let end = start + label.len();
        self.bytes.get_mut(start..end)?.copy_from_slice(label);
        if self.length != 0 {
            *self.bytes.get_mut(start - 1)? = b'.';
        }
        self.length = u8::try_from(end).ok()?;
        self.labels += 1;
        self.longest_label = self.longest_label.max(u8::try_from(label.len()).ok()?);
        (self.labels <= MAX_LABELS).then_some(())
    }
}

/// What an answer says.
#[expect(
    clippy::large_enum_variant,
    reason = "a few at a time, only while a message is read; boxes would cost an allocation each"
)]
#[derive(Clone, Copy, Debug)]
pub enum Answer {
    /// An address, IPv4 as IPv4-mapped.
    Address { owner: Name, address: network::Address, ttl_secs: u32 },
    /// `owner` is another name for `target`.
    Alias { owner: Name, target: Name, ttl_secs: u32 },
}

/// A message's header, question and answers.
#[derive(Clone, Debug)]
pub struct Message {
    pub response: bool,
    /// Response code, 0 to 15.
    pub rcode: u8,
    /// The first question; messages have one.
    pub name: Name,
    /// Type asked for.
    pub record_type: u16,
    /// Answer records, as counted by the header.
    pub answer_count: u16,
    /// Bytes of record data in the answers that could be read.
    pub answer_bytes: u32,
    /// Addresses and aliases among the answers.
    pub answers: Vec<Answer>,
    /// Bytes of the message that were there.
    pub message_bytes: u32,
    /// The message ends before its answers do.
    pub truncated: bool,
    /// Bytes from the message's start to the end of its questions.
    pub question_bytes: u32,
    /// A message of several questions is one for each; this one is not the first.
    pub further: bool,
}

impl Message {
    /// Decodes a message, once for each of its questions; none where header or question are not those
    /// of DNS.
    #[must_use]
    pub fn decode_all(message: &[u8]) -> Vec<Self> {
        let Some(first) = Self::decode(message) else { return Vec::new() };
        let questions = message.get(4..6).and_then(|count| count.try_into().ok());
        let questions = usize::from(u16::from_be_bytes(questions.unwrap_or_default()));
        let mut position = first.question_bytes as usize;
        let mut decoded = vec![first];
        for _ in 1..questions.min(MAX_QUESTIONS) {
            let Some((name, record_type)) = question(message, &mut position) else { break };
            let further = Self {
                name,
                record_type,
                further: true,
                answers: Vec::new(),
                ..decoded[0].clone()
            };
            decoded.push(further);
        }
        let end = u32::try_from(position).unwrap_or(u32::MAX);
        decoded.iter_mut().for_each(|message| message.question_bytes = end);
        decoded
    }

    /// Decodes a message with the first of its questions; `None` where header or question are not
    /// those of DNS.
    #[must_use]
    pub fn decode(message: &[u8]) -> Option<Self> {
        let mut cursor = Cursor::new(message);
        let _id = cursor.u16()?;
        let flags = cursor.u16()?;
        let questions = cursor.u16()?;
        let answer_count = cursor.u16()?;
        let others = (cursor.u16()?, cursor.u16()?);
        // Any opcode: a server of the client's own understands what it likes. Real messages count few
        // questions and records.
        let questions_are_few = (1..=MAX_QUESTIONS).contains(&usize::from(questions));
        if !questions_are_few || answer_count > 512 || others.0 > 512 || others.1 > 512 {
            return None;
        }
        let mut position = HEADER_BYTES;
        let (name, record_type) = question(message, &mut position)?;
        let mut decoded = Self {
            response: flags & 0x8000 != 0,
            rcode: (flags & 0x0f) as u8,
            name,
            record_type,
            answer_count,
            answer_bytes: 0,
            answers: Vec::new(),
            message_bytes: u32::try_from(message.len()).unwrap_or(u32::MAX),
            truncated: false,
            question_bytes: u32::try_from(position).unwrap_or(u32::MAX),
            further: false,
        };
        if decoded.response {
            for _ in 1..questions {
                if question(message, &mut position).is_none() {
                    decoded.truncated = true;
                    return Some(decoded);
                }
            }
            decoded.read_answers(message, position);
        }
        Some(decoded)
    }

    fn read_answers(&mut self, message: &[u8], mut position: usize) {
        for _ in 0..usize::from(self.answer_count).min(MAX_ANSWERS) {
            if self.read_answer(message, &mut position).is_none() {
                self.truncated = true;
                return;
            }
        }
    }

    fn read_answer(&mut self, message: &[u8], position: &mut usize) -> Option<()> {
        let owner = name_at(message, position)?;
        let mut cursor = Cursor::new(message.get(*position..)?);
        let record_type = cursor.u16()?;
        let _class = cursor.u16()?;
        let ttl_secs = cursor.u32()?;
        let length = usize::from(cursor.u16()?);
        let content = cursor.take(length);
        let mut target = *position + 10;
        *position = target + length;
        // The length says what the record weighs, whether or not the payload sample holds all of
        // it.
        self.answer_bytes += u32::try_from(length).unwrap_or(0);
        let content = content?;
        match record_type {
            record_type::A => self.answers.push(Answer::Address {
                owner,
                address: <[u8; 4]>::try_from(content).ok()?.into(),
                ttl_secs,
            }),
            record_type::AAAA => self.answers.push(Answer::Address {
                owner,
                address: <[u8; 16]>::try_from(content).ok()?.into(),
                ttl_secs,
            }),
            record_type::CNAME => self.answers.push(Answer::Alias {
                owner,
                target: name_at(message, &mut target)?,
                ttl_secs,
            }),
            _ => {}
        }
        Some(())
    }
}

/// Reads a question at `position` and moves it behind the question: name and type.
fn question(message: &[u8], position: &mut usize) -> Option<(Name, u16)> {
    let name = name_at(message, position)?;
    let mut cursor = Cursor::new(message.get(*position..)?);
    let record_type = cursor.u16()?;
    let class = cursor.u16()?;
    *position += 4;
    // IN, CH, HS, NONE, ANY; the upper bit is mDNS's wish for a unicast response (RFC 6762).
    matches!(class & 0x7fff, 1 | 3 | 4 | 254 | 255).then_some((name, record_type))
}

/// Reads a name at `position` and moves it behind the name.
fn name_at(message: &[u8], position: &mut usize) -> Option<Name> {
    let mut name = Name::ROOT;
    let mut at = *position;
    let mut jumped = false;
    loop {
        let length = *message.get(at)?;
        match length {
            0 => {
                if !jumped {
                    *position = at + 1;
                }
                return Some(name);
            }
            1..=63 => {
                let start = at + 1;
                let end = start + usize::from(length);
                name.push(message.get(start..end)?)?;
                at = end;
            }
            0xc0..=0xff => {
                let lower = *message.get(at + 1)?;
                let target = usize::from(length & 0x3f) << 8 | usize::from(lower);
                if !jumped {
                    *position = at + 2;
                }
                // Backwards only: each jump shortens what is left, so no loop is possible.
                if target >= at {
                    return None;
                }
                jumped = true;
                at = target;
            }
            // 64 to 191: reserved (RFC 6891 section 5 retired the extended label types).
            _ => return None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::{Answer, Message, RCODE_NXDOMAIN, record_type};

    const FLAGS_QUERY: u16 = 0x0100;
    const FLAGS_RESPONSE: u16 = 0x8180;

    fn header(flags: u16, answers: u16) -> Vec<u8> {
        let words = [0x1234, flags, 1, answers, 0, 0];
        words.iter().flat_map(|word: &u16| word.to_be_bytes()).collect()
    }

    fn name(text: &str) -> Vec<u8> {
        let mut wire = Vec::new();
        for label in text.split('.') {
            wire.push(u8::try_from(label.len()).expect("short"));
            wire.extend(label.as_bytes());
        }
        wire.push(0);
        wire
    }

    fn record(owner: &[u8], kind: u16, content: &[u8]) -> Vec<u8> {
        let length = u16::try_from(content.len()).expect("short");
        let kind = kind.to_be_bytes();
        [owner, &kind, &[0, 1, 0, 0, 1, 44], &length.to_be_bytes(), content].concat()
    }

    fn query(text: &str, kind: u16) -> Vec<u8> {
        [&header(FLAGS_QUERY, 0)[..], &name(text), &kind.to_be_bytes(), &[0, 1]].concat()
    }

    /// www.site.example is another name for site.example, which has an address.
    fn response() -> Vec<u8> {
        let mut message = header(FLAGS_RESPONSE, 2);
        message.extend(name("www.site.example"));
        message.extend([0, 1, 0, 1]);
        // The name asked for is at 12, its parent at 16.
        message.extend(record(&[0xc0, 12], record_type::CNAME, &[0xc0, 16]));
        message.extend(record(&[0xc0, 16], record_type::A, &[192, 0, 2, 7]));
        message
    }

    #[test]
    fn a_query_is_read() {
        let message =
            Message::decode(&query("Data.tunnel.example", record_type::TXT)).expect("DNS");
        assert!(!message.response && !message.truncated);
        assert_eq!(message.name.as_bytes(), b"Data.tunnel.example");
        assert_eq!(message.name.to_lowercase(), "data.tunnel.example");
        assert_eq!((message.name.labels, message.name.longest_label), (3, 7));
        assert_eq!(message.record_type, record_type::TXT);
    }

    #[test]
    fn a_response_with_an_alias_is_read() {
        let message = Message::decode(&response()).expect("DNS");
        assert_eq!((message.answer_count, message.answer_bytes), (2, 6));
        let [
            Answer::Alias { owner, target, .. },
            Answer::Address { owner: addressed, address, .. },
        ] = &message.answers[..]
        else {
            panic!("an alias and an address: {:?}", message.answers);
        };
        assert!(owner.is_same(&message.name) && target.is_same(addressed));
        assert_eq!(*address, [192, 0, 2, 7].into());
    }

    #[test]
    fn a_message_cut_anywhere_is_read_as_far_as_it_goes() {
        let whole = response();
        let question_end = 12 + 18 + 4;
        for end in 0..whole.len() {
            let message = Message::decode(&whole[..end]);
            assert_eq!(message.is_some(), end >= question_end, "cut at {end}");
            assert!(message.is_none_or(|message| message.truncated));
        }
    }

    #[test]
    fn pointers_that_do_not_go_back_are_refused() {
        for target in [12_u8, 13, 14, 200] {
            let mut message = header(FLAGS_QUERY, 0);
            message.extend([0xc0, target, 0, 1, 0, 1]);
            assert!(Message::decode(&message).is_none(), "pointer to {target}");
        }
        // A label in front of a pointer to itself.
        let mut message = header(FLAGS_QUERY, 0);
        message.extend([1, b'a', 0xc0, 12, 0, 1, 0, 1]);
        assert!(Message::decode(&message).is_none());
    }

    #[test]
    fn what_is_no_dns_is_refused() {
        assert!(Message::decode(b"SSH-2.0-OpenSSH_9.2p1 Debian-2+deb12u3\r\n").is_none());
        assert!(Message::decode(&[0xff; 64]).is_none());
        let long = vec!["a".repeat(63); 5].join(".");
        assert!(Message::decode(&query(&long, 1)).is_none());
    }

    #[test]
    fn a_failure_is_told() {
        let mut message = query("nowhere.example", record_type::A);
        message[2..4].copy_from_slice(&0x8183_u16.to_be_bytes());
        let message = Message::decode(&message).expect("DNS");
        assert!(message.response);
        assert_eq!(message.rcode, RCODE_NXDOMAIN);
    }

    /// Messages that resolvers refuse, and a server of the sender's own reads.
    #[test]
    fn unusual_messages_are_read() {
        let check = |flags: u16, names: &[&str], behind: usize| {
            let count = u16::try_from(names.len()).expect("few");
            let mut message: Vec<u8> = [7, flags, count, 0, 0, 0]
                .iter()
                .flat_map(|word: &u16| word.to_be_bytes())
                .collect();
            for text in names {
                message.extend(name(text));
                message.extend([0, 16, 0, 1]);
            }
            let questions = message.len();
            message.resize(questions + behind, 0xee);
            let decoded = Message::decode_all(&message);
            let read: Vec<_> = decoded.iter().map(|message| message.name.to_lowercase()).collect();
            assert_eq!(read, names, "{flags:#x}");
            for (place, one) in decoded.iter().enumerate() {
                assert_eq!(one.question_bytes as usize, questions);
                assert_eq!(one.further, place != 0);
            }
            for end in 0..message.len() {
                let _cut = Message::decode_all(&message[..end]);
            }
        };
        check(0x0100, &["a.example"], 0);
        check(0x0100, &["a.example"], 300);
        check(0x0100, &["a.example", "b.example"], 0);
        check(0x0100, &["a.example"; 8], 0);
        check(0x7900, &["opcode.example"], 0);
        assert!(Message::decode_all(&[0; 40]).is_empty());
    }
}
