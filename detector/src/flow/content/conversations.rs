//! The connections whose start is being read, bounded by the memory that they take and by the number of
//! QUIC packets that are opened a second.
//!
//! The oldest makes room for the newest, and is read as far as it came. So is each after a minute.

use std::collections::{HashMap, VecDeque};

use detector_common::flow::FlowKey;
use detector_common::parse::protocol;

use super::FirstPayload;
use super::conversation::{Conversation, Listener};
use super::quic::{self, Opened};
use super::quic_client::QuicClient;

/// What one takes besides its bytes: itself, its key twice, and a share of the tables' free room.
const OVERHEAD_BYTES: usize = 2 * (size_of::<Beginning>() + 2 * size_of::<FlowKey>());
/// Keys in the order beyond those in use before it is cleared of them.
const STALE_KEYS: usize = 1_024;
/// Seconds in which what a client begins to say must have come.
const PATIENCE_SECS: u64 = 60;
/// Datagrams with Initials that are opened in a second. Each takes some 10 microseconds.
const QUIC_PER_SECOND: u32 = 2_000;

/// The start of a connection.
#[derive(Clone, Debug)]
pub(crate) enum Beginning {
    Tcp(Conversation),
    Quic(QuicClient),
}

impl Beginning {
    fn held_bytes(&self) -> usize {
        match self {
            Self::Tcp(conversation) => conversation.held_bytes(),
            Self::Quic(client) => client.held_bytes(),
        }
    }

    /// Something was begun and not read to its end.
    pub(crate) fn is_pending(&self) -> bool {
        match self {
            Self::Tcp(conversation) => conversation.is_pending(),
            Self::Quic(client) => client.is_pending(),
        }
    }

    /// Nothing more will come: what waits is told as it is.
    pub(crate) fn finish(&mut self, tell: Listener<'_>) {
        match self {
            Self::Tcp(conversation) => conversation.finish(tell),
            Self::Quic(client) => client.finish(tell),
        }
    }
}

/// What could not be read, or not to its end.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Unread {
    /// Read early to make room, while more was to come.
    pub(crate) evicted: u64,
    /// Read after a minute in which more was to come.
    pub(crate) timed_out: u64,
    /// Read early because segments between were missing.
    pub(crate) with_gaps: u64,
    /// QUIC datagrams beyond those that are opened in a second.
    pub(crate) quic_over_rate: u64,
    /// QUIC Initials that did not open: cut, or not made with their own keys.
    pub(crate) quic_refused: u64,
}

/// Starts of connections by flow.
#[derive(Debug)]
pub(crate) struct Conversations {
    open: HashMap<FlowKey, Beginning>,
    /// In the order in which they began, each with the second; some are over.
    order: VecDeque<(FlowKey, u64)>,
    held_bytes: usize,
    max_bytes: usize,
    /// Datagrams opened in this second.
    second: u64,
    opened: u32,
    pub(crate) unread: Unread,
}

impl Conversations {
    pub(crate) fn new(max_bytes: u32) -> Self {
        Self {
            open: HashMap::new(),
            order: VecDeque::new(),
            held_bytes: 0,
            max_bytes: max_bytes as usize,
            second: 0,
            opened: 0,
            unread: Unread::default(),
        }
    }

    /// Reads a piece of a connection, in a second of the source's time.
    pub(crate) fn read(
        &mut self,
        key: &FlowKey,
        payload: &FirstPayload<'_>,
        second: u64,
        tell: Listener<'_>,
    ) {
        match payload.protocol {
            _ if payload.is_dns() => {}
            protocol::TCP if payload.from_client => self.read_tcp(key, payload, second, tell),
            protocol::TCP => {
                if let Some(Beginning::Tcp(conversation)) = self.open.get_mut(key) {
                    conversation.answer();
                }
            }
            protocol::UDP if payload.from_client && payload.from_home => {
                self.read_udp(key, payload, second, tell);
            }
            _ => {}
        }
    }

    fn read_tcp(
        &mut self,
        key: &FlowKey,
        payload: &FirstPayload<'_>,
        second: u64,
        tell: Listener<'_>,
    ) {
        let begin = || Beginning::Tcp(Conversation::new(payload.server_port));
        let Some(Beginning::Tcp(conversation)) = self.entry(key, second, begin) else { return };
        let before = conversation.held_bytes();
        let sequence = payload.sequence.wrapping_add(payload.offset);
        let goes_on = conversation.read(sequence, payload.bytes, tell);
        let after = conversation.held_bytes();
        self.unread.with_gaps += u64::from(!goes_on);
        self.held_bytes = self.held_bytes - before + after;
    }

    fn read_udp(
        &mut self,
        key: &FlowKey,
        payload: &FirstPayload<'_>,
        second: u64,
        tell: Listener<'_>,
    ) {
        let begins = payload.offset == 0 && quic::is_initial(payload.bytes);
        if !begins && !self.open.contains_key(key) {
            return;
        }
        if self.second != second {
            (self.second, self.opened) = (second, 0);
        }
        let may_open = self.opened < QUIC_PER_SECOND;
        let begin = || Beginning::Quic(QuicClient::default());
        let Some(Beginning::Quic(client)) = self.entry(key, second, begin) else { return };
        let before = client.held_bytes();
        let is_whole = client.gather(payload.offset, payload.bytes, payload.payload_bytes);
        let opened = if is_whole && may_open { client.open(tell) } else { Opened::default() };
        let after = client.held_bytes();
        self.held_bytes = self.held_bytes - before + after;
        self.opened += u32::from(is_whole && may_open);
        self.unread.quic_over_rate += u64::from(is_whole && !may_open);
        self.unread.quic_refused += u64::from(opened.refused);
    }

    /// That of a flow, begun if there is none.
    fn entry(
        &mut self,
        key: &FlowKey,
        second: u64,
        begin: impl FnOnce() -> Beginning,
    ) -> Option<&mut Beginning> {
        if !self.open.contains_key(key) {
            self.order.push_back((*key, second));
            self.held_bytes += OVERHEAD_BYTES;
            self.open.insert(*key, begin());
        }
        self.open.get_mut(key)
    }

    /// Takes the oldest that began too long before this second.
    pub(crate) fn take_late(&mut self, second: u64) -> Option<(FlowKey, Beginning)> {
        while self.order.front()?.1.saturating_add(PATIENCE_SECS) <= second {
            let (oldest, _) = self.order.pop_front()?;
            if let Some(opening) = self.remove(&oldest) {
                self.unread.timed_out += u64::from(opening.is_pending());
                return Some((oldest, opening));
            }
        }
        None
    }

    /// Takes the oldest, if they take more memory than they may.
    pub(crate) fn take_excess(&mut self) -> Option<(FlowKey, Beginning)> {
        while self.held_bytes > self.max_bytes {
            let (oldest, _) = self.order.pop_front()?;
            if let Some(opening) = self.remove(&oldest) {
                self.unread.evicted += u64::from(opening.is_pending());
                return Some((oldest, opening));
            }
        }
        None
    }

    /// Takes that of a flow, which is over.
    pub(crate) fn remove(&mut self, key: &FlowKey) -> Option<Beginning> {
        let opening = self.open.remove(key)?;
        self.held_bytes -= OVERHEAD_BYTES + opening.held_bytes();
        if self.order.len() > 2 * self.open.len() + STALE_KEYS {
            self.order.retain(|(key, _)| self.open.contains_key(key));
        }
        Some(opening)
    }
}

#[cfg(test)]
mod tests {
    use detector_common::parse::protocol;

    use super::*;

    fn payload(bytes: &[u8], from_client: bool) -> FirstPayload<'_> {
        FirstPayload {
            bytes,
            payload_bytes: 0,
            offset: 0,
            sequence: 0,
            from_client,
            from_home: true,
            is_first: true,
            is_sample: true,
            protocol: protocol::TCP,
            server_port: 80,
            echo: None,
        }
    }

    fn key(number: u32) -> FlowKey {
        let [a, b, c, d] = number.to_be_bytes();
        FlowKey { low_port: [a, b], high_port: [c, d], ..FlowKey::default() }
    }

    /// A hundred thousand that stop in their header take no more than they may, and each is read.
    #[test]
    fn half_read_starts_are_bounded() {
        const LIMIT: usize = 1 << 20;
        let mut conversations = Conversations::new(LIMIT as u32);
        let (mut most, mut read) = (0, 0);
        for number in 0..100_000 {
            let payload = payload(b"GET / HTTP/1.1\r\nHost: a.example\r\nCookie: ", true);
            conversations.read(&key(number), &payload, 0, &mut |_| {});
            while let Some((_, mut opening)) = conversations.take_excess() {
                opening.finish(&mut |_| read += 1);
            }
            most = most.max(conversations.held_bytes);
        }
        let left = conversations.open.len() as u64;
        assert!(most <= LIMIT && left > 500, "{most} bytes, {left} left");
        assert_eq!(
            (conversations.unread.evicted + left, read),
            (100_000, conversations.unread.evicted)
        );
        // The tables themselves have as many places.
        assert!(conversations.open.capacity() < 8_192 && conversations.order.capacity() < 8_192);
    }

    #[test]
    fn what_is_over_leaves_nothing() {
        let mut conversations = Conversations::new(1 << 20);
        for round in 0..100_000 {
            let key = key(round);
            conversations.read(&key, &payload(b"GET / HTTP/1.1\r\n", true), 0, &mut |_| {});
            conversations.read(&key, &payload(b"HTTP/1.1 200 OK\r\n", false), 0, &mut |_| {});
            assert!(conversations.remove(&key).is_some_and(|opening| opening.is_pending()));
            assert!(conversations.remove(&key).is_none());
        }
        assert_eq!((conversations.held_bytes, conversations.unread.evicted), (0, 0));
        assert!(conversations.order.len() <= STALE_KEYS + 1);
        conversations.read(&key(1), &payload(b"HTTP/1.1 200 OK\r\n", false), 0, &mut |_| {});
        assert_eq!(conversations.open.len(), 0);
    }

    #[test]
    fn nobody_is_waited_for_longer_than_a_minute() {
        let mut conversations = Conversations::new(1 << 20);
        for (number, bytes) in [(1, &b"GET / HTTP/1.1\r\n"[..]), (2, b"no request")] {
            let second = 100 + u64::from(number);
            conversations.read(&key(number), &payload(bytes, true), second, &mut |_| {});
        }
        assert!(conversations.take_late(160).is_none());
        for number in [1, 2] {
            assert_eq!(conversations.take_late(170).map(|late| late.0), Some(key(number)));
        }
        assert!(conversations.take_late(900).is_none());
        assert_eq!((conversations.unread.timed_out, conversations.held_bytes), (1, 0));
    }

    /// More Initials than are opened in a second are counted, and the next second opens again.
    #[test]
    fn quic_is_opened_at_a_bounded_rate() {
        use super::super::quic::example::{V1, crypto_frame, seal};
        let datagram = seal(V1, b"one", b"one", &crypto_frame(0, &[1, 0, 0, 1, 0]));
        let mut conversations = Conversations::new(1 << 20);
        let mut hellos = 0;
        for number in 0..2 * QUIC_PER_SECOND + 5 {
            let mut payload = payload(&datagram, true);
            payload.protocol = protocol::UDP;
            payload.payload_bytes = u32::try_from(datagram.len()).expect("short");
            let second = u64::from(number > QUIC_PER_SECOND);
            conversations.read(&key(number), &payload, second, &mut |_| hellos += 1);
            payload.from_home = false;
            conversations.read(&key(1 << 20), &payload, second, &mut |_| hellos += 1);
        }
        let unread = Unread { quic_over_rate: 5, ..Unread::default() };
        assert_eq!((hellos, conversations.unread), (2 * QUIC_PER_SECOND, unread));
    }
}
