//! The hello of one QUIC client: its datagrams put together from their pieces, the Initials in them
//! opened, and what these say of the handshake put in order.

use super::conversation::{Listener, Saying};
use super::quic::{self, Id, Opened};
use super::stream::{Offered, Stream, WINDOW_BYTES};
use super::tls;

/// One connection.
#[derive(Clone, Debug, Default)]
pub(crate) struct QuicClient {
    /// The datagram whose pieces are coming in.
    datagram: Vec<u8>,
    /// The connection id that its keys follow from.
    id: Option<Id>,
    /// The handshake's first message; none once it is told.
    handshake: Option<Stream>,
    is_over: bool,
}

impl QuicClient {
    /// Memory that it takes.
    pub(crate) fn held_bytes(&self) -> usize {
        self.datagram.capacity() + self.handshake.as_ref().map_or(0, Stream::held_bytes)
    }

    pub(crate) fn is_pending(&self) -> bool {
        self.handshake.as_ref().is_some_and(|stream| !stream.in_order().is_empty())
    }

    /// Takes in a piece of a datagram; true where the datagram is whole now and has something to open.
    pub(crate) fn gather(&mut self, offset: u32, bytes: &[u8], payload_bytes: u32) -> bool {
        if offset == 0 {
            self.datagram.clear();
        }
        let (offset, whole) = (offset as usize, payload_bytes as usize);
        if self.is_over || self.datagram.len() != offset || whole > WINDOW_BYTES {
            return false;
        }
        self.datagram.extend_from_slice(bytes);
        self.datagram.len() == whole && quic::is_initial(&self.datagram)
    }

    /// Opens the datagram.
    pub(crate) fn open(&mut self, tell: Listener<'_>) -> Opened {
        let handshake = self.handshake.get_or_insert_with(|| Stream::at(0));
        let mut contradicts = false;
        let opened = quic::open(&self.datagram, &mut self.id, |offset, bytes| {
            if let Ok(offset) = u32::try_from(offset)
                && (offset as usize) < WINDOW_BYTES
            {
                contradicts |= handshake.offer(offset, bytes) == Offered::Contradicts;
            }
        });
        self.datagram = Vec::new();
        if contradicts {
            tell(&Saying::Contradiction);
            self.end();
        } else if tls::is_whole(handshake.in_order()) || handshake.is_full() {
            self.finish(tell);
        }
        opened
    }

    /// Nothing more will come: what waits is told as it is.
    pub(crate) fn finish(&mut self, tell: Listener<'_>) {
        if let Some(handshake) = &self.handshake
            && tls::is_hello(handshake.in_order())
        {
            tell(&Saying::Hello(tls::message(handshake.in_order())));
        }
        self.end();
    }

    fn end(&mut self) {
        *self = Self { is_over: true, ..Self::default() };
    }
}

#[cfg(test)]
mod tests {
    use super::super::quic::example::{V1, V2, crypto_frame, seal};
    use super::super::tls::example::{client_hello, server_name};
    use super::*;
    use crate::flow::content::tls::ClientHello;

    fn hello(key_share: usize) -> Vec<u8> {
        let extensions = [(51, vec![9; key_share]), (0, server_name(b"drop.example"))];
        client_hello(&[0x1301], &extensions)
    }

    /// Datagrams, each in pieces as they are handed up.
    fn names(datagrams: &[Vec<u8>]) -> Vec<String> {
        let (mut client, mut names) = (QuicClient::default(), Vec::new());
        let mut tell = |saying: &Saying<'_>| match saying {
            Saying::Hello(message) => {
                let name = ClientHello::decode(message).and_then(|hello| hello.server_name());
                names.push(name.unwrap_or("-").to_owned());
            }
            _ => names.push("contradiction".to_owned()),
        };
        for datagram in datagrams {
            let length = u32::try_from(datagram.len()).expect("short");
            for (offset, piece) in (0..).step_by(512).zip(datagram.chunks(512)) {
                if client.gather(offset, piece, length) {
                    client.open(&mut tell);
                }
            }
        }
        client.finish(&mut tell);
        names
    }

    #[test]
    fn hellos_are_read_across_datagrams() {
        for version in [V1, V2] {
            let short = hello(32);
            let seal = |frames: &[u8]| seal(version, b"one", b"one", frames);
            assert_eq!(names(&[seal(&crypto_frame(0, &short))]), ["drop.example"]);
            // Key shares of ML-KEM take two; pieces come in any order, and more than once.
            let long = hello(1_216);
            let (start, end) = long.split_at(700);
            let [start, end] = [seal(&crypto_frame(0, start)), seal(&crypto_frame(700, end))];
            assert_eq!(names(&[start.clone(), end.clone()]), ["drop.example"]);
            assert_eq!(names(&[end.clone(), start.clone()]), ["drop.example"]);
            assert_eq!(names(&[start.clone(), start.clone(), end]), ["drop.example"]);
            assert_eq!(names(&[start]), ["-"]);
        }
    }

    /// As Chrome does it: many short pieces, shuffled, with padding between.
    #[test]
    fn shuffled_pieces_are_put_in_order() {
        let message = hello(300);
        let pieces: Vec<(usize, &[u8])> = (0..).step_by(40).zip(message.chunks(40)).collect();
        let shuffled = pieces.iter().skip(1).step_by(2).chain(pieces.iter().step_by(2));
        let frames: Vec<u8> = shuffled
            .flat_map(|(at, piece)| [crypto_frame(*at, piece), vec![0; 3]].concat())
            .collect();
        assert_eq!(names(&[seal(V1, b"one", b"one", &frames)]), ["drop.example"]);
    }

    #[test]
    fn two_hellos_in_one_place_explain_nothing() {
        let (one, other) = (hello(32), hello(33));
        let frames = [crypto_frame(0, &one[..60]), crypto_frame(0, &other)].concat();
        assert_eq!(names(&[seal(V1, b"one", b"one", &frames)]), ["contradiction"]);
    }

    #[test]
    fn a_piece_that_is_missing_opens_nothing() {
        let datagram = seal(V1, b"one", b"one", &crypto_frame(0, &hello(1_000)));
        let mut client = QuicClient::default();
        let length = u32::try_from(datagram.len()).expect("short");
        assert!(!client.gather(0, &datagram[..512], length));
        assert!(!client.gather(1_024, &datagram[1_024..], length));
        assert!(!client.gather(0, &datagram, 5_000));
        assert!(!client.gather(0, &[0x40; 600], 600));
    }
}
