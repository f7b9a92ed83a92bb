//! Two hosts that talk, as frames with times: what a capture holds when a program did its work.

use crate::frames::{self, IPV4, V4};

/// Microseconds from one frame to the next.
const STEP: u64 = 2_000;
const SEGMENT: usize = 1_400;
const SYN: u8 = 0x02;
const ACK: u8 = 0x10;
const PUSH: u8 = 0x18;

#[derive(Clone, Copy, Debug)]
enum Carrier {
    Tcp,
    Udp,
    Icmp,
}

/// A client at home and a server elsewhere.
#[derive(Debug)]
pub struct Conversation {
    carrier: Carrier,
    ports: (u16, u16),
    /// Sequence numbers of the client and of the server.
    sent: (u32, u32),
    now: u64,
    frames: Vec<(u64, Vec<u8>)>,
}

impl Conversation {
    /// A TCP connection to `port` that has just been opened.
    pub fn tcp(port: u16) -> Self {
        let mut talk = Self::new(Carrier::Tcp, port);
        talk.handshake();
        talk
    }

    pub fn udp(port: u16) -> Self {
        Self::new(Carrier::Udp, port)
    }

    /// Echo requests and replies.
    pub fn icmp() -> Self {
        Self::new(Carrier::Icmp, 0)
    }

    fn new(carrier: Carrier, port: u16) -> Self {
        Self { carrier, ports: (40_000, port), sent: (1, 1), now: 0, frames: Vec::new() }
    }

    /// Another TCP connection of the same two hosts, on which the talk goes on.
    pub fn connect(&mut self, port: u16) {
        self.ports = (self.ports.0 + 1, port);
        self.sent = (1, 1);
        self.handshake();
    }

    fn handshake(&mut self) {
        self.segment(true, SYN, &[]);
        self.segment(false, SYN | ACK, &[]);
        self.segment(true, ACK, &[]);
    }

    /// One message of the client, in one packet.
    pub fn send(&mut self, payload: &[u8]) {
        self.message(true, payload);
    }

    /// One message of the server, in one packet.
    pub fn receive(&mut self, payload: &[u8]) {
        self.message(false, payload);
    }

    /// The client sends in full segments, and the server acknowledges every second one.
    pub fn upload(&mut self, content: &[u8]) {
        self.stream(true, content);
    }

    pub fn download(&mut self, content: &[u8]) {
        self.stream(false, content);
    }

    pub fn wait_ms(&mut self, milliseconds: u64) {
        self.now += milliseconds * 1_000;
    }

    /// Frames with their times in microseconds, in order.
    pub fn frames(&self) -> impl Iterator<Item = (u64, &[u8])> {
        self.frames.iter().map(|(time, frame)| (*time, frame.as_slice()))
    }

    fn stream(&mut self, from_client: bool, content: &[u8]) {
        for (number, part) in content.chunks(SEGMENT).enumerate() {
            self.segment(from_client, PUSH, part);
            if number % 2 == 1 {
                self.segment(!from_client, ACK, &[]);
            }
        }
    }

    fn message(&mut self, from_client: bool, payload: &[u8]) {
        match self.carrier {
            Carrier::Tcp => self.segment(from_client, PUSH, payload),
            Carrier::Udp => {
                let datagram = frames::udp(self.ports_of(from_client), payload);
                self.push(from_client, 17, &datagram);
            }
            Carrier::Icmp => {
                let kind = if from_client { 8 } else { 0 };
                self.push(from_client, 1, &frames::icmp(kind, 0, 7, payload));
            }
        }
    }

    fn segment(&mut self, from_client: bool, flags: u8, payload: &[u8]) {
        let sequence = if from_client { &mut self.sent.0 } else { &mut self.sent.1 };
        let first = *sequence;
        *sequence =
            first.wrapping_add(payload.len() as u32).wrapping_add(u32::from(flags & SYN != 0));
        let segment = frames::tcp(self.ports_of(from_client), first, flags, 5, payload);
        self.push(from_client, 6, &segment);
    }

    fn ports_of(&self, from_client: bool) -> (u16, u16) {
        let (client, server) = self.ports;
        if from_client { (client, server) } else { (server, client) }
    }

    fn push(&mut self, from_client: bool, protocol: u8, payload: &[u8]) {
        let header = V4::new(protocol);
        let header = if from_client { header } else { header.back() };
        self.frames.push((self.now, frames::ethernet(&[], IPV4, &header.packet(payload))));
        self.now += STEP;
    }
}

/// A question for `name`.
pub fn dns_query(name: &str, record_type: u16) -> Vec<u8> {
    [&[0, 1, 1, 0, 0, 1, 0, 0, 0, 0, 0, 0][..], &question(name, record_type)].concat()
}

/// The answer to it: one record of `content`.
pub fn dns_answer(name: &str, record_type: u16, content: &[u8]) -> Vec<u8> {
    let mut message = vec![0, 1, 0x81, 0x80, 0, 1, 0, 1, 0, 0, 0, 0];
    message.extend(question(name, record_type));
    message.extend([0xc0, 12]);
    message.extend(record_type.to_be_bytes());
    message.extend([0, 1, 0, 0, 0, 60]);
    message.extend((content.len() as u16).to_be_bytes());
    message.extend(content);
    message
}

fn question(name: &str, record_type: u16) -> Vec<u8> {
    let mut bytes = Vec::new();
    for label in name.split('.') {
        bytes.push(label.len() as u8);
        bytes.extend(label.as_bytes());
    }
    bytes.push(0);
    bytes.extend(record_type.to_be_bytes());
    bytes.extend([0, 1]);
    bytes
}
