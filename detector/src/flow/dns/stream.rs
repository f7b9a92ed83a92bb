//! DNS messages out of payloads: one a datagram, or a stream of them over TCP.
//!
//! Over TCP each message follows its length (RFC 1035 section 4.2.2) and need not begin where a
//! segment does. Payload samples show 512 bytes of a segment and no sequence number: a message is
//! taken as soon as its question is there, what is left of it is passed over, and where the stream
//! is lost it is found again at a segment that begins with a message. A continuation is never read
//! as a message.

use super::message::Message;
use crate::flow::content::cursor::Cursor;

/// Messages read of one segment.
const MAX_MESSAGES: usize = 8;
/// Bytes that are kept of a message whose question is not there yet: a header, a name of 255 bytes,
/// type and class are 271.
const MAX_PENDING_BYTES: usize = 512;
const LENGTH_BYTES: usize = 2;

/// What was found in one payload.
#[derive(Debug, Default)]
pub(crate) struct Found {
    pub(crate) messages: Vec<Message>,
    /// Some of the payload belongs to a message of another segment.
    pub(crate) part: bool,
}

impl Found {
    /// Neither a message nor a part of one.
    pub(crate) fn is_foreign(&self) -> bool {
        self.messages.is_empty() && !self.part
    }

    /// The message in a datagram.
    pub(crate) fn datagram(bytes: &[u8]) -> Self {
        Self { messages: Message::decode_all(bytes), part: false }
    }
}

/// One direction of a TCP flow on a DNS port.
#[derive(Clone, Debug, Default)]
pub(crate) struct DnsStream {
    /// Bytes to come that belong to a message already taken.
    skip: usize,
    /// The start of a message whose question is not there yet, with its length.
    pending: Vec<u8>,
}

impl DnsStream {
    /// Reads a segment of `payload_bytes`, of which `bytes` are there.
    pub(crate) fn read(&mut self, bytes: &[u8], payload_bytes: usize) -> Found {
        let mut found = Found::default();
        let unseen = payload_bytes.saturating_sub(bytes.len());
        let passed = self.skip.min(payload_bytes);
        self.skip -= passed;
        found.part = passed != 0;
        let Some(rest) = bytes.get(passed..) else {
            return found;
        };
        let mut content = std::mem::take(&mut self.pending);
        found.part |= !content.is_empty() && !rest.is_empty();
        content.extend_from_slice(rest);
        self.read_messages(&content, unseen, &mut found);
        if self.skip == 0
            && !self.pending.is_empty()
            && found.messages.is_empty()
            && !self.is_plausible()
        {
            self.pending.clear();
        }
        found.part |= !self.pending.is_empty();
        found
    }

    /// Takes the messages in `content`, behind which `unseen` bytes of the segment follow.
    fn read_messages(&mut self, content: &[u8], unseen: usize, found: &mut Found) {
        let mut stream = Cursor::new(content);
        while !stream.is_empty() && found.messages.len() < MAX_MESSAGES {
            let start = stream.rest();
            let length = stream.u16().map(usize::from);
            let available = stream.rest().len();
            let messages = length.map(|length| Message::decode_all(stream.take_available(length)));
            match (messages.filter(|messages| !messages.is_empty()), length) {
                (Some(messages), Some(length)) => {
                    found.messages.extend(messages);
                    self.skip = length.saturating_sub(available + unseen);
                }
                // A whole message that is none, or one cut where the rest will never be seen.
                (None, Some(length)) if length <= available || unseen != 0 => return,
                _ => {
                    self.pending.extend(start.iter().take(MAX_PENDING_BYTES));
                    return;
                }
            }
        }
    }

    /// Whether what is kept may be the start of a message: of a header what is there of it.
    fn is_plausible(&self) -> bool {
        let Some((length, header)) = self.pending.split_at_checked(LENGTH_BYTES) else {
            return true;
        };
        let long_enough = length != [0, 0];
        // A header counts few questions, and there is room for them in one segment.
        let question = header.get(4..6).is_none_or(|count| matches!(count, [0, 1..=8]));
        long_enough && question && self.pending.len() < MAX_PENDING_BYTES
    }
}

#[cfg(test)]
mod tests {
    use super::{DnsStream, Found};

    /// A query for `name` behind its length.
    fn framed(name: &str) -> Vec<u8> {
        let mut message = vec![0, 7, 1, 0, 0, 1, 0, 0, 0, 0, 0, 0];
        for label in name.split('.') {
            message.push(u8::try_from(label.len()).expect("short"));
            message.extend(label.as_bytes());
        }
        message.extend([0, 0, 16, 0, 1]);
        let length = u16::try_from(message.len()).expect("short").to_be_bytes();
        [&length[..], &message].concat()
    }

    fn names(found: &Found) -> Vec<String> {
        found.messages.iter().map(|message| message.name.to_lowercase()).collect()
    }

    /// Feeds a stream in segments of `size`, of which payload samples show `shown`.
    fn feed(stream: &[u8], size: usize, shown: usize) -> (Vec<String>, usize) {
        let mut reader = DnsStream::default();
        let mut read = Vec::new();
        let mut foreign = 0;
        for segment in stream.chunks(size) {
            let found = reader.read(&segment[..segment.len().min(shown)], segment.len());
            foreign += usize::from(found.is_foreign());
            read.extend(names(&found));
        }
        (read, foreign)
    }

    #[test]
    fn messages_are_found_wherever_segments_begin() {
        let long = format!("{0}.{0}.{0}.example", "x".repeat(60));
        let stream = [framed("one.example"), framed(&long), framed("three.example")].concat();
        for size in 1..stream.len() + 1 {
            let (read, foreign) = feed(&stream, size, 512);
            assert_eq!(read, ["one.example", &long, "three.example"], "segments of {size}");
            assert_eq!(foreign, 0, "segments of {size}");
        }
    }

    /// A response of 1,400 bytes, of which a third is seen, in one segment or two.
    #[test]
    fn what_is_left_of_a_message_is_no_message() {
        let mut message = framed("big.example");
        message.resize(1_402, 0);
        message[..2].copy_from_slice(&1_400_u16.to_be_bytes());
        let stream = [message, framed("next.example")].concat();
        for size in [1_402, 900, 701, 600] {
            let (read, _) = feed(&stream, size, 512);
            assert_eq!(read[0], "big.example", "segments of {size}");
            assert!(read.len() <= 2, "segments of {size}: {read:?}");
        }
        assert_eq!(feed(&stream, 1_402, 512).0, ["big.example", "next.example"]);
    }

    #[test]
    fn what_is_no_dns_is_foreign() {
        for text in
            ["SSH-2.0-OpenSSH_9.2p1 Debian-2+deb12u3\r\n", "GET / HTTP/1.1\r\nHost: x\r\n\r\n"]
        {
            let (read, foreign) = feed(text.repeat(20).as_bytes(), 700, 512);
            assert!(read.is_empty());
            assert_eq!(foreign, (text.len() * 20).div_ceil(700), "{text}");
        }
        assert_eq!(feed(&[0; 600], 100, 512), (Vec::new(), 6));
        let foreign = Found::datagram(b"raw bytes of another protocol");
        assert!(foreign.is_foreign());
    }

    #[test]
    fn hostile_bytes_are_bounded() {
        let mut reader = DnsStream::default();
        for round in 0..1_000_usize {
            let bytes: Vec<u8> = (0..round % 512).map(|at| (at * round) as u8).collect();
            reader.read(&bytes, round);
            assert!(reader.pending.len() <= super::MAX_PENDING_BYTES);
        }
    }
}
