//! What the client of a TCP connection says, message by message: its start is read as a stream, and
//! so is what follows once the server has spoken.
//!
//! Reads TLS hellos, HTTP/1 requests with the start of their bodies, and HTTP/2 with prior knowledge.
//! What is cut, by the window or because segments are missing, is told as far as it was there. Of a
//! stream that contradicts itself nothing is told any more.

use detector_common::parse::protocol;

use super::body::Framing;
use super::h2;
use super::http::{self, Request};
use super::protocol::{Certainty, Protocol, may_become_known};
use super::stream::{Offered, Stream};
use super::tls;

/// What was read. The bytes are those of the stream: they are not kept.
#[derive(Debug)]
pub enum Saying<'a> {
    /// What the stream starts with, where it takes more than its first segment to know.
    Protocol(Protocol, Certainty),
    /// The stream began as a protocol does and went on as it does not.
    Refuted,
    /// A TLS ClientHello without its records, as far as it was there.
    Hello(&'a [u8]),
    /// With the start of its body, where that was there, too.
    Request(&'a Request<'a>),
    /// The start of the latest request's body.
    Body(&'a [u8]),
    /// Segments have other bytes in the same place.
    Contradiction,
}

/// Whom it is told to.
pub type Listener<'a> = &'a mut dyn FnMut(&Saying<'_>);

/// Bytes after which a weak match is waited for no longer.
const WEAK_BYTES: usize = 64;

/// One TCP connection.
#[derive(Clone, Debug, Default)]
pub struct Conversation {
    /// The server's port.
    port: u16,
    stream: Stream,
    /// What there is of the message fits a protocol, which more of it may refute.
    is_weak: bool,
    /// Bytes of the stream that were read.
    read: usize,
    state: State,
    /// The server has spoken since the client did.
    answered: bool,
    /// The sequence number that the body being sent reaches to.
    body_end: Option<u32>,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum State {
    /// A message begins.
    #[default]
    Start,
    /// The body of a request.
    Body(Framing),
    /// The rest of this message is not read, and what follows it only once the server has spoken.
    Over,
    /// It contradicts itself.
    Distrusted,
}

/// What is to be done with the bytes that are there.
enum Step {
    /// More is needed.
    Wait,
    /// So many are read.
    Read(usize, State),
    /// No more is read; the message reaches so far, if that is known.
    Over(Option<u64>),
}

/// Whether more is to come.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Rest {
    ToCome,
    Missing,
}

impl Conversation {
    /// With the server's port.
    #[must_use]
    pub fn new(port: u16) -> Self {
        Self { port, ..Self::default() }
    }

    /// Memory that it takes.
    #[must_use]
    pub fn held_bytes(&self) -> usize {
        self.stream.held_bytes()
    }

    /// Something was begun and not read to its end.
    #[must_use]
    pub fn is_pending(&self) -> bool {
        // What few bytes name is told already, and more of it may only refute it.
        !matches!(self.state, State::Over | State::Distrusted)
            && !self.is_weak
            && self.stream.in_order().len() > self.read
    }

    /// The server has spoken.
    pub fn answer(&mut self) {
        self.answered = true;
    }

    /// Takes in a segment of the client. False where bytes before it are missing for good.
    pub fn read(&mut self, sequence: u32, bytes: &[u8], tell: Listener<'_>) -> bool {
        // A body of which nobody says how long it is ends where the server answers, and so does a
        // message that few bytes name.
        if self.answered && (self.is_weak || self.state == State::Body(Framing::Open)) {
            self.finish(tell);
        }
        if self.state == State::Over {
            self.check(sequence, bytes, tell);
            if !self.begins_again(sequence, bytes) {
                return true;
            }
        }
        if self.state == State::Distrusted {
            return true;
        }
        self.answered = false;
        match self.stream.offer(sequence, bytes) {
            Offered::Contradicts => self.distrust(tell),
            Offered::Kept => {}
            Offered::Grew => {
                let rest = if self.stream.is_full() { Rest::Missing } else { Rest::ToCome };
                self.advance(rest, tell);
            }
            Offered::OutOfReach => {
                self.finish(tell);
                return false;
            }
        }
        true
    }

    /// Nothing more will come: what waits is told as it is.
    pub fn finish(&mut self, tell: Listener<'_>) {
        self.advance(Rest::Missing, tell);
        if self.state != State::Distrusted {
            self.state = State::Over;
        }
    }

    fn check(&mut self, sequence: u32, bytes: &[u8], tell: Listener<'_>) {
        if self.stream.contradicts(sequence, bytes) {
            self.distrust(tell);
        }
    }

    fn distrust(&mut self, tell: Listener<'_>) {
        *self = Self { state: State::Distrusted, ..Self::new(self.port) };
        tell(&Saying::Contradiction);
    }

    /// Begins a stream at the client's first word after the server's, unless it belongs to what went
    /// before.
    fn begins_again(&mut self, sequence: u32, bytes: &[u8]) -> bool {
        let in_body = |end: u32| sequence.wrapping_sub(end).cast_signed() < 0;
        if self.state != State::Over
            || !self.answered
            || self.stream.reaches(sequence, bytes.len())
            || self.body_end.is_some_and(in_body)
        {
            return false;
        }
        *self = Self::new(self.port);
        true
    }

    fn advance(&mut self, rest: Rest, tell: Listener<'_>) {
        loop {
            let bytes = self.stream.in_order().get(self.read..).unwrap_or_default();
            let step = match self.state {
                State::Over | State::Distrusted => return,
                State::Start => start(bytes, self.port, (rest, &mut self.is_weak), tell),
                State::Body(framing) => body(framing, bytes, rest, tell),
            };
            match step {
                Step::Wait => return,
                Step::Read(length, state) => {
                    self.read += length;
                    self.state = state;
                }
                Step::Over(length) => {
                    let end = length.and_then(|length| u32::try_from(length).ok());
                    self.body_end =
                        end.map(|end| self.stream.sequence(self.read).wrapping_add(end));
                    self.state = State::Over;
                    self.stream.shrink();
                }
            }
            self.stream.begin();
        }
    }
}

/// The first bytes of a message. `is_weak` is whether those that were there before fit weakly.
fn start(bytes: &[u8], port: u16, (rest, is_weak): (Rest, &mut bool), tell: Listener<'_>) -> Step {
    if bytes.is_empty() || (rest == Rest::ToCome && may_become_known(bytes)) {
        return Step::Wait;
    }
    match bytes {
        // A TLS record: handshake or alert, version 3.0 to 3.4, no longer than RFC 8446 has it.
        [0x14..=0x17, 0x03, 0x00..=0x04, 0x00..=0x48, _, ..] => hello(bytes, rest, tell),
        _ if http::method(bytes).is_some() => request(bytes, rest, tell),
        _ if bytes.starts_with(b"PRI * HTTP/2.0") => request2(bytes, rest, tell),
        _ => {
            let was_weak = std::mem::take(is_weak);
            match Protocol::told(protocol::TCP, port, bytes, bytes.len()) {
                Some((found, Certainty::Strong)) => {
                    tell(&Saying::Protocol(found, Certainty::Strong));
                }
                Some((found, Certainty::Weak)) => {
                    tell(&Saying::Protocol(found, Certainty::Weak));
                    if rest == Rest::ToCome && bytes.len() < WEAK_BYTES {
                        *is_weak = true;
                        return Step::Wait;
                    }
                }
                None if was_weak => tell(&Saying::Refuted),
                None => {}
            }
            Step::Over(None)
        }
    }
}

fn hello(bytes: &[u8], rest: Rest, tell: Listener<'_>) -> Step {
    match Protocol::told(protocol::TCP, 0, bytes, bytes.len()) {
        Some((found, certainty)) => tell(&Saying::Protocol(found, certainty)),
        None => tell(&Saying::Refuted),
    }
    let Some(handshake) = tls::Handshake::of(bytes) else {
        return Step::Over(None);
    };
    if handshake.is_other() {
        return Step::Over(None);
    }
    if !handshake.is_whole() && handshake.goes_on && rest == Rest::ToCome {
        return Step::Wait;
    }
    tell(&Saying::Hello(tls::message(&handshake.bytes)));
    Step::Over(None)
}

fn request(bytes: &[u8], rest: Rest, tell: Listener<'_>) -> Step {
    let Some(request) = Request::decode(bytes) else {
        return Step::Over(None);
    };
    if !request.whole {
        if rest == Rest::ToCome {
            return Step::Wait;
        }
        tell(&Saying::Request(&request));
        return Step::Over(None);
    }
    let header = bytes.len() - request.body.len();
    let framing = Framing::of(&request);
    let start = framing.start(request.body);
    if start.enough || rest == Rest::Missing {
        tell(&Saying::Request(&Request { body: &start.content, ..request }));
        return after_body(framing, header, start.end);
    }
    tell(&Saying::Request(&Request { body: &[], ..request }));
    Step::Read(header, State::Body(framing))
}

/// The first request of HTTP/2, with the start of its body or the lack of one.
fn request2(bytes: &[u8], rest: Rest, tell: Listener<'_>) -> Step {
    tell(&Saying::Protocol(Protocol::Http2, Certainty::Strong));
    let first = h2::first(bytes).unwrap_or_default();
    if rest == Rest::ToCome && !(first.whole && first.enough) {
        return Step::Wait;
    }
    if let Some(request) = Request::of_fields(&first.fields) {
        tell(&Saying::Request(&Request { body: &first.body, whole: first.whole, ..request }));
    }
    Step::Over(None)
}

fn body(framing: Framing, bytes: &[u8], rest: Rest, tell: Listener<'_>) -> Step {
    let start = framing.start(bytes);
    if !start.enough && rest == Rest::ToCome {
        return Step::Wait;
    }
    if !start.content.is_empty() {
        tell(&Saying::Body(&start.content));
    }
    after_body(framing, 0, start.end)
}

/// What comes behind a body that begins behind `header` bytes and ends `end` bytes later.
fn after_body(framing: Framing, header: usize, end: Option<usize>) -> Step {
    match (end, framing) {
        (Some(end), _) => Step::Read(header + end, State::Start),
        (None, Framing::Bytes(length)) => Step::Over(length.checked_add(header as u64)),
        (None, _) => Step::Over(None),
    }
}

#[cfg(test)]
mod tests {
    use super::super::tls::example::{client_hello, records, server_name};
    use super::*;
    use crate::flow::content::tls::ClientHello;

    /// What is said, in a word each.
    fn word(saying: &Saying<'_>) -> String {
        match saying {
            Saying::Protocol(protocol, _) => protocol.name().to_owned(),
            Saying::Refuted => "refuted".to_owned(),
            Saying::Hello(message) => {
                let name = ClientHello::decode(message).and_then(|hello| hello.server_name());
                format!("hello {}", name.unwrap_or("-"))
            }
            Saying::Request(request) => {
                let (cut, body) = (if request.whole { "" } else { " cut" }, text(request.body));
                format!("{}{cut} {} {body}", request.method, request.host.unwrap_or("-"))
            }
            Saying::Body(bytes) => format!("body {}", text(bytes)),
            Saying::Contradiction => "contradiction".to_owned(),
        }
    }

    fn text(bytes: &[u8]) -> &str {
        str::from_utf8(bytes).unwrap_or("…")
    }

    /// Where the server speaks.
    const ANSWER: &[u8] = b"(an answer)";

    /// What a client says in these segments.
    fn said(conversation: &mut Conversation, turns: &[&[u8]]) -> Vec<String> {
        let mut words = Vec::new();
        let mut sequence = 7_u32;
        for turn in turns {
            if *turn == ANSWER {
                conversation.answer();
                continue;
            }
            conversation.read(sequence, turn, &mut |saying| words.push(word(saying)));
            sequence += u32::try_from(turn.len()).expect("short");
        }
        words.dedup();
        words
    }

    #[track_caller]
    fn check(turns: &[&[u8]], expected: &[&str]) {
        assert_eq!(said(&mut Conversation::default(), turns), expected);
    }

    /// In one segment, in segments of every size, and of one byte: the same is said.
    #[track_caller]
    fn check_split(stream: &[u8], expected: &[&str]) {
        for size in (1..stream.len().min(70)).chain([512, 1_400, stream.len()]) {
            let mut turns: Vec<&[u8]> = stream.chunks(size).collect();
            let mut words = said(&mut Conversation::default(), &turns);
            words.retain(|word| word != "tls");
            assert_eq!(words, expected, "segments of {size}");
            // The last two segments come in the other order.
            let count = turns.len();
            if count > 2 {
                turns.swap(count - 1, count - 2);
                let mut conversation = Conversation::default();
                let mut words = Vec::new();
                let starts = [count - 1, count - 2];
                for (place, turn) in turns.iter().enumerate() {
                    let at = place.checked_sub(count - 2).map_or(place, |last| starts[last]);
                    let sequence = u32::try_from(at * size).expect("short");
                    conversation.read(sequence, turn, &mut |saying| words.push(word(saying)));
                }
                words.dedup();
                words.retain(|word| word != "tls");
                assert_eq!(words, expected, "segments of {size}, the last before its time");
            }
        }
    }

    fn hello(key_share: usize) -> Vec<u8> {
        let extensions =
            [(51, vec![9; key_share]), (0xfe0d, vec![8; 250]), (0, server_name(b"drop.example"))];
        client_hello(&[0x1301], &extensions)
    }

    #[test]
    fn hellos_are_read_across_segments_and_records() {
        // X25519, ML-KEM-768 with it (1,216 bytes), and larger than any.
        for key_share in [32, 1_216, 3_000] {
            let message = hello(key_share);
            for size in [16_384, 1_000, 64] {
                check_split(&records(&message, size), &["hello drop.example"]);
            }
        }
    }

    #[test]
    fn a_hello_beyond_the_window_is_told_as_far_as_it_goes() {
        let stream = records(&hello(5_000), 16_384);
        check(&stream.chunks(1_000).collect::<Vec<_>>(), &["tls", "hello -"]);
    }

    #[test]
    fn another_handshake_is_no_hello() {
        check(&[&records(&[16, 0, 0, 2, 7, 7], 99)], &["tls"]);
        check(&[&[0x17, 3, 3, 0, 2, 9, 9]], &["tls"]);
    }

    const PUT: &[u8] = b"PUT /x HTTP/1.1\r\nHost: a.example\r\nContent-Length: 9\r\n\r\nloot.loot";

    #[test]
    fn requests_are_read_across_segments() {
        let cookie =
            format!("GET / HTTP/1.1\r\nCookie: {}\r\nHost: a.example\r\n\r\n", "c".repeat(3_900));
        check_split(cookie.as_bytes(), &["GET a.example "]);
        check(&[PUT], &["PUT a.example loot.loot"]);
        check(&[&PUT[..12], &PUT[12..50], &PUT[50..]], &["PUT a.example loot.loot"]);
        let (header, body) = PUT.split_at(PUT.len() - 9);
        let apart = ["PUT a.example ", "body loot.loot"];
        check(&[header, body], &apart);
        check(&[header, &body[..2], &body[2..]], &apart);
        check(&[&[header, &body[..2]].concat(), &body[2..]], &apart);
        // Whoever expects to be told to continue sends the body then.
        check(&[header, ANSWER, body], &apart);
    }

    #[test]
    fn a_header_beyond_the_window_is_told_as_cut() {
        let long = format!("GET / HTTP/1.1\r\nHost: a.example\r\nCookie: {}", "c".repeat(4_100));
        let chunks: Vec<&[u8]> = long.as_bytes().chunks(512).collect();
        check(&chunks, &["GET cut a.example "]);
    }

    #[test]
    fn chunked_bodies_are_read_without_their_chunks() {
        let post =
            b"POST / HTTP/1.1\r\nHost: a.example\r\nTransfer-Encoding: gzip, chunked\r\n\r\n";
        let body = b"3\r\nloo\r\n1;x\r\nt\r\n0\r\n\r\n";
        let next = b"GET / HTTP/1.1\r\nHost: b.example\r\n\r\n";
        check(&[post, body, next], &["POST a.example ", "body loot", "GET b.example "]);
        let whole = [&post[..], body, next].concat();
        check(&[&whole], &["POST a.example loot", "GET b.example "]);
    }

    #[test]
    fn the_first_request_of_http2_is_read() {
        use super::h2::example::{frame, put};
        let stream = [
            h2::PREFACE,
            &frame(4, 0, 0, &[]),
            &frame(1, 4, 1, &put("a.example")),
            &frame(0, 1, 1, b"loot"),
        ];
        check(&stream, &["http2", "PUT a.example loot"]);
        check(
            &[stream[0], ANSWER, stream[1], stream[2], stream[3]],
            &["http2", "PUT a.example loot"],
        );
        for size in [1, 7, 30] {
            let stream = stream.concat();
            let segments: Vec<&[u8]> = stream.chunks(size).collect();
            check(&segments, &["http2", "PUT a.example loot"]);
        }
    }

    #[test]
    fn later_requests_are_read() {
        let get = b"GET / HTTP/1.1\r\nHost: a.example\r\n\r\n";
        let both = ["GET a.example ", "PUT a.example loot.loot"];
        check(&[get, ANSWER, PUT], &both);
        check(
            &[get, ANSWER, &PUT[..20], &PUT[20..]],
            &["GET a.example ", "PUT a.example loot.loot"],
        );
        check(&[&[&get[..], PUT].concat()], &both);
        // Without a length there is no body, and whoever sends one nevertheless is answered behind it.
        let post = |host: &str| format!("POST / HTTP/1.1\r\nHost: {host}\r\n\r\n").into_bytes();
        let (one, two) = (post("a.example"), post("b.example"));
        check(&[&one, ANSWER, &two], &["POST a.example ", "POST b.example "]);
        let said = ["POST a.example ", "body loot", "POST b.example "];
        check(&[&one, b"loot", ANSWER, &two], &said);
        // A TLS hello behind what a proxy was asked for, and behind STARTTLS.
        let hello = records(&hello(32), 999);
        let connect = b"CONNECT a.example:443 HTTP/1.1\r\nHost: a.example\r\n\r\n";
        check(&[connect, ANSWER, &hello], &["CONNECT a.example ", "tls", "hello drop.example"]);
        check(&[b"STARTTLS\r\n", ANSWER, &hello], &["smtp", "tls", "hello drop.example"]);
    }

    /// What a body holds is no request, whoever speaks in the middle of it.
    #[test]
    fn a_request_within_a_body_is_none() {
        let mut put =
            b"PUT /x HTTP/1.1\r\nHost: a.example\r\nContent-Length: 9000\r\n\r\n".to_vec();
        put.resize(put.len() + 600, b'x');
        let smuggled = b"GET / HTTP/1.1\r\nHost: b.example\r\n\r\n";
        let mut rest = smuggled.to_vec();
        rest.resize(9_000 - 600, b'x');
        let (sample, body) = (format!("PUT a.example {}", "x".repeat(512)), &rest[..]);
        check(&[&put, smuggled], &[&sample]);
        check(&[&put, ANSWER, smuggled], &[&sample]);
        check(&[&put, ANSWER, body, ANSWER, smuggled], &[&sample, "GET b.example "]);
    }

    #[test]
    fn a_contradiction_explains_nothing() {
        let read = |segments: &[(u32, &[u8])]| {
            let (mut conversation, mut words) = (Conversation::default(), Vec::new());
            for (sequence, bytes) in segments {
                conversation.read(*sequence, bytes, &mut |saying| words.push(word(saying)));
            }
            words
        };
        // Before the header is whole, after it, and once the server has spoken.
        assert_eq!(read(&[(0, b"GET / HTTP/1.1\r\nHost: a"), (22, b"bb")]), ["contradiction"]);
        let mut other = PUT.to_vec();
        other[24] = b'b';
        let twice = read(&[(0, PUT), (0, &other), (0, PUT)]);
        assert_eq!(twice, ["PUT a.example loot.loot", "contradiction"]);
        assert_eq!(read(&[(0, PUT), (0, PUT)]), ["PUT a.example loot.loot"]);
    }

    #[test]
    fn what_is_missing_for_good_is_told() {
        let (mut conversation, mut words) = (Conversation::default(), Vec::new());
        let mut tell = |saying: &Saying<'_>| words.push(word(saying));
        assert!(conversation.read(0, b"GET / HTTP/1.1\r\nHost: a.example\r\n", &mut tell));
        assert!(conversation.is_pending());
        assert!(!conversation.read(9_000, b"more", &mut tell));
        assert!(!conversation.is_pending());
        assert_eq!(words, ["GET cut a.example "]);
        let (mut conversation, mut words) = (Conversation::default(), Vec::new());
        conversation.read(0, b"GET / HTTP/1.1\r\nHost: a.example\r\nCoo", &mut |_| {});
        conversation.finish(&mut |saying| words.push(word(saying)));
        assert_eq!(words, ["GET cut a.example "]);
    }
}
