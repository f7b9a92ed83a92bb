//! The flow key, and how a packet is counted in its flow: in a BPF map and in a hash map alike.
//!
//! A flow holds both directions of one five-tuple, each in a half of its own, so that processors
//! which handle the two directions do not share cache lines. Counters only grow.

use crate::abi::{
    self, CHECKPOINT_FIRST_BYTES, DIALOGUE_FIRST_PAYLOADS, FIRST_PAYLOAD_BYTES, FIRST_PAYLOADS,
    FTP_FIRST_PAYLOADS, MAX_TURNS, STREAM_BYTES, TURN_BYTES, next_checkpoint,
};
use crate::frame::Word;
use crate::parse::{Fragment, Packet, protocol, tcp};
use crate::policy::Cached;

/// Which way a packet goes between the two endpoints of a canonical key.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[repr(u8)]
pub enum Direction {
    /// From the lower endpoint to the higher: the first half.
    FromLow = 0,
    FromHigh = 1,
}

impl Direction {
    #[inline(always)]
    #[must_use]
    pub fn reverse(self) -> Self {
        match self {
            Self::FromLow => Self::FromHigh,
            Self::FromHigh => Self::FromLow,
        }
    }
}

/// A five-tuple with the lower endpoint first, addresses and ports in network byte order and IPv4
/// as IPv4-mapped addresses. ICMP echo has its identifier for both ports.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, PartialOrd, Ord)]
#[repr(C, align(8))]
pub struct FlowKey {
    pub low: [u8; 16],
    pub high: [u8; 16],
    pub low_port: [u8; 2],
    pub high_port: [u8; 2],
    pub protocol: u8,
    pub padding: [u8; 3],
}

const _: () = assert!(size_of::<FlowKey>() == 40);

impl FlowKey {
    /// The key of a packet from `source` to `destination`, and which way the packet goes. `ports`
    /// is the word of both ports as it stands in the transport header.
    #[inline(always)]
    #[must_use]
    pub fn canonical(
        source: Address,
        destination: Address,
        ports: Word,
        protocol: u8,
    ) -> (Self, Direction) {
        let (low, high, ports, direction) = if not_above(source, destination, ports) {
            (source, destination, ports, Direction::FromLow)
        } else {
            (destination, source, ports.rotate_left(16), Direction::FromHigh)
        };
        let key = abi::key_from_longs([
            low.upper,
            low.lower,
            high.upper,
            high.lower,
            tail(ports, protocol),
        ]);
        (key, direction)
    }

    /// The key as it stands in memory.
    #[must_use]
    pub fn to_bytes(&self) -> [u8; size_of::<Self>()] {
        let mut bytes = [0; size_of::<Self>()];
        bytes[0..16].copy_from_slice(&self.low);
        bytes[16..32].copy_from_slice(&self.high);
        bytes[32..34].copy_from_slice(&self.low_port);
        bytes[34..36].copy_from_slice(&self.high_port);
        bytes[36] = self.protocol;
        bytes
    }

    /// The same flow's key in which this one's ports, both 0, are those of `ports` from the
    /// direction's source to its destination: what a later fragment needs.
    #[inline(always)]
    #[must_use]
    pub fn with_ports(&self, direction: Direction, source: [u8; 2], destination: [u8; 2]) -> Self {
        let mut key = *self;
        (key.low_port, key.high_port) = match direction {
            Direction::FromLow => (source, destination),
            Direction::FromHigh => (destination, source),
        };
        key
    }

    /// A key as it stands in memory.
    #[inline(always)]
    #[must_use]
    pub fn from_words(words: [Word; 10]) -> Self {
        let [a, b, c, d, e, f, g, h, ports, last] = words;
        let [p, q, r, s] = ports.to_ne_bytes();
        let [protocol, ..] = last.to_ne_bytes();
        Self {
            low: Address::from_words([a, b, c, d]).bytes(),
            high: Address::from_words([e, f, g, h]).bytes(),
            low_port: [p, q],
            high_port: [r, s],
            protocol,
            padding: [0; 3],
        }
    }

    /// Whether one end is a DNS server: over UDP or TCP, each message is of interest.
    #[inline(always)]
    #[must_use]
    pub fn is_dns(&self) -> bool {
        const DNS: [u8; 2] = 53_u16.to_be_bytes();
        self.low_port == DNS || self.high_port == DNS
    }

    /// How many payload packets of each direction have their first bytes handed up, whatever the
    /// stream needs, see [`STREAM_BYTES`]. Mail and file transfer tell what they carry late in their
    /// dialogue, and each ICMP message is a story of its own. DNS messages are all handed up, see
    /// [`Self::is_dns`].
    #[inline(always)]
    #[must_use]
    pub fn first_payloads(&self) -> u64 {
        let ports = [u16::from_be_bytes(self.low_port), u16::from_be_bytes(self.high_port)];
        match self.protocol {
            protocol::ICMP | protocol::ICMPV6 => DIALOGUE_FIRST_PAYLOADS,
            protocol::TCP => port_first_payloads(ports[0]).max(port_first_payloads(ports[1])),
            _ => FIRST_PAYLOADS,
        }
    }

    /// Address and port that packets in `direction` come from.
    #[inline(always)]
    #[must_use]
    pub fn source(&self, direction: Direction) -> ([u8; 16], [u8; 2]) {
        match direction {
            Direction::FromLow => (self.low, self.low_port),
            Direction::FromHigh => (self.high, self.high_port),
        }
    }

    /// Address and port that packets in `direction` go to.
    #[inline(always)]
    #[must_use]
    pub fn destination(&self, direction: Direction) -> ([u8; 16], [u8; 2]) {
        self.source(direction.reverse())
    }
}

/// Heads of a TCP connection of which one end has this port.
#[inline(always)]
fn port_first_payloads(port: u16) -> u64 {
    match port {
        21 => FTP_FIRST_PAYLOADS,
        25 | 587 | 2525 => DIALOGUE_FIRST_PAYLOADS,
        _ => FIRST_PAYLOADS,
    }
}

/// The last eight bytes of a key: ports, protocol, padding.
#[inline(always)]
fn tail(ports: Word, protocol: u8) -> u64 {
    let [p, q, r, s] = ports.to_ne_bytes();
    u64::from_ne_bytes([p, q, r, s, protocol, 0, 0, 0])
}

/// An address on its way into a key: two words of eight bytes as they stand in memory. The hash
/// map reads a key in such words, and a key stored in smaller ones keeps it waiting: 8 ns a packet.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Address {
    upper: u64,
    lower: u64,
}

impl Address {
    #[inline(always)]
    #[must_use]
    pub fn from_words([a, b, c, d]: [Word; 4]) -> Self {
        Self { upper: long(a, b), lower: long(c, d) }
    }

    /// An IPv4 address as an IPv4-mapped IPv6 address (RFC 4291 section 2.5.5.2).
    #[inline(always)]
    #[must_use]
    pub fn mapped(address: Word) -> Self {
        Self { upper: 0, lower: long(0xffff_u32.to_be(), address) }
    }

    #[inline(always)]
    #[must_use]
    pub fn bytes(self) -> [u8; 16] {
        let mut bytes = [0; 16];
        bytes[0..8].copy_from_slice(&self.upper.to_ne_bytes());
        bytes[8..16].copy_from_slice(&self.lower.to_ne_bytes());
        bytes
    }
}

/// Two words, the first at the lower address.
#[inline(always)]
pub(crate) fn long(first: Word, second: Word) -> u64 {
    let [a, b, c, d] = first.to_ne_bytes();
    let [e, f, g, h] = second.to_ne_bytes();
    u64::from_ne_bytes([a, b, c, d, e, f, g, h])
}

/// Endpoint order: address, then port.
#[inline(always)]
fn not_above(source: Address, destination: Address, ports: Word) -> bool {
    if source.upper != destination.upper {
        return u64::from_be(source.upper) < u64::from_be(destination.upper);
    }
    if source.lower != destination.lower {
        return u64::from_be(source.lower) < u64::from_be(destination.lower);
    }
    let ports = u32::from_be(ports);
    ports >> 16 <= ports & 0xffff
}

/// A reading of the clock that flows are kept on: jiffies in the kernel, hundredths of a second of
/// packet time on captures.
#[derive(Clone, Copy, Debug)]
pub struct Clock {
    pub now: u64,
    pub ticks_per_second: u64,
}

impl Clock {
    /// Hundredths of a second between two readings, each rounded down first: the kernel's tick
    /// length must not show in the figures.
    #[inline(always)]
    #[must_use]
    pub fn hundredths(&self, earlier: u64) -> u64 {
        self.per_second(self.now * 100).saturating_sub(self.per_second(earlier * 100))
    }

    /// Whole seconds since the clock's start.
    #[inline(always)]
    #[must_use]
    pub fn seconds(&self) -> u64 {
        self.per_second(self.now)
    }

    /// A program has no way to panic, so a clock that was never set divides to 0.
    #[inline(always)]
    fn per_second(&self, ticks: u64) -> u64 {
        ticks.checked_div(self.ticks_per_second).unwrap_or(0)
    }
}

/// A silence of this many hundredths of a second ends a burst.
pub const BURST_GAP_HUNDREDTHS: u64 = 100;

/// How counters that must stay exact under concurrent writers grow.
pub trait Add {
    /// Adds to a counter that other processors may be adding to.
    fn add(counter: &mut u64, amount: u64);
}

/// For counters with one writer.
#[derive(Clone, Copy, Debug)]
pub struct Plain;

impl Add for Plain {
    #[inline(always)]
    fn add(counter: &mut u64, amount: u64) {
        *counter += amount;
    }
}

/// What one direction of a flow has carried. The first 64 bytes are what every packet writes.
///
/// `packets`, `ip_bytes` and the dropped counters are exact; the rest may miss an update when two
/// processors handle one direction at the same instant. An atomic addition costs 5 ns, a tenth of
/// all that a packet pays.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[repr(C)]
pub struct Half {
    pub packets: u64,
    pub ip_bytes: u64,
    pub payload_bytes: u64,
    /// Tick of the latest packet.
    pub last_seen: u64,
    /// Sum of squares of the segments' IP sizes.
    pub size_square_sum: u64,
    /// Sum of squares of the gaps between packets, in hundredths of a second.
    pub gap_square_sum: u64,
    /// The next outbound byte checkpoint; `u64::MAX` where this direction is not outbound.
    pub next_checkpoint: u64,
    /// [`Self::OPENED`] and [`Self::RECEIVED`]; 0 before the first packet.
    pub counted: u16,
    /// All TCP flags seen.
    pub tcp_flags: u16,
    /// Smallest and largest IP size of a segment, at most 65,535.
    pub size_min: u16,
    pub size_max: u16,
    /// Tick of the first packet.
    pub first_seen: u64,
    /// Packets with payload.
    pub payload_packets: u64,
    pub dropped_packets: u64,
    /// IP bytes of dropped packets.
    pub dropped_bytes: u64,
    /// TCP payload bytes below a sequence number already passed (RFC 9293 section 3.4).
    pub retransmitted_bytes: u64,
    /// The TCP sequence number expected next.
    pub next_sequence: u32,
    /// Longest gap between packets, in hundredths of a second.
    pub gap_max: u32,
    /// Times this direction fell silent for a second or more and went on.
    pub bursts: u32,
    /// Type and code of the first ICMP packet.
    pub icmp: u16,
    /// Bytes handed up of [`STREAM_BYTES`], less what a change of direction gave back.
    pub sampled: u16,
    /// Changes of direction that gave something back, at most [`MAX_TURNS`].
    pub turns: u8,
    /// TCP flags of the first packet.
    pub first_tcp_flags: u8,
    pub reserved: [u8; 6],
}

const _: () = assert!(size_of::<Half>() == 128);
const _: () = assert!(core::mem::offset_of!(Half, first_seen) == 64);

/// The value of a flow. A hash element is 48 bytes of header, the key and this, a multiple of 64
/// together, so that the halves start on cache lines of their own.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[repr(C)]
pub struct FlowCounters {
    /// The cached policy decision, see [`crate::policy::Cached`]. Written by one store.
    pub policy: u64,
    /// The tick at which the decision is to be made again, where it is a timed one.
    pub deadline: u64,
    /// Bit 0: the low endpoint is home; bit 1: the high one is.
    pub home: u8,
    /// The direction of the flow's first packet.
    pub first_direction: u8,
    /// 1: the frame of the flow's first packet went to a group of its link.
    pub to_group: u8,
    /// The direction of the latest payload, plus one; no longer kept once a half has had all its
    /// turns.
    pub spoke: u8,
    /// The number of the entry that the cached decision follows from.
    pub entry: u32,
    /// Payload bytes of dropped packets, by [`Direction`].
    pub dropped_payload_bytes: [u64; 2],
    pub halves: [Half; 2],
}

const _: () = assert!(size_of::<FlowCounters>() == 296);
const _: () = assert!((48 + size_of::<FlowKey>() + size_of::<FlowCounters>()).is_multiple_of(64));
const _: () = assert!(
    (48 + size_of::<FlowKey>() + core::mem::offset_of!(FlowCounters, halves)).is_multiple_of(64)
);

/// Where a packet is seen on its way through the machine. It is counted once a way, and twice if it comes
/// in twice: who sends one of a flow's packets elsewhere hides none.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Seen {
    /// Received by a device that counts.
    Received,
    /// Sent, and not received before by a device that counts.
    Sent,
    /// Sent on after a device that counts received it. It is counted there, unless under another
    /// five-tuple (NAT): then no packet of this direction was received.
    Forwarded,
}

/// What became of a packet that was offered to its flow.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Recorded {
    /// Another observation point counts it.
    Duplicate,
    Counted(Counted),
}

/// What counting a packet brought about.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counted {
    /// A checkpoint was crossed: by bytes, or by the flow's seventh packet.
    pub checkpoint: Option<Checkpoint>,
    /// Bytes of the packet's payload that are handed up: 0 for none, else all of it or as many as the
    /// start of its direction still lacks.
    pub sample_bytes: u32,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub enum Checkpoint {
    /// The flow's seventh packet.
    Packets = 1,
    /// The half's outbound bytes crossed a power of four times 16 KiB.
    Bytes = 2,
}

/// The packet of a flow at which it is scored for the first time.
pub const CHECKPOINT_PACKETS: u64 = 7;

impl FlowCounters {
    pub const HOME_LOW: u8 = 1;
    pub const HOME_HIGH: u8 = 2;

    /// Makes a zeroed value the start of a flow whose first packet goes in `first_direction`.
    #[inline(always)]
    pub fn open(&mut self, home: u8, policy: Cached, deadline: u64, first_direction: u8) {
        self.policy = policy.0;
        self.deadline = deadline;
        self.home = home;
        self.first_direction = first_direction;
        self.halves[0].next_checkpoint =
            if home & Self::HOME_LOW != 0 { CHECKPOINT_FIRST_BYTES } else { u64::MAX };
        self.halves[1].next_checkpoint =
            if home & Self::HOME_HIGH != 0 { CHECKPOINT_FIRST_BYTES } else { u64::MAX };
    }

    #[inline(always)]
    #[must_use]
    pub fn half(&self, direction: Direction) -> &Half {
        match direction {
            Direction::FromLow => &self.halves[0],
            Direction::FromHigh => &self.halves[1],
        }
    }

    #[inline(always)]
    pub fn half_mut(&mut self, direction: Direction) -> &mut Half {
        match direction {
            Direction::FromLow => &mut self.halves[0],
            Direction::FromHigh => &mut self.halves[1],
        }
    }

    /// Whether a SYN begins another connection of this five-tuple: it comes after FIN or RST, and is
    /// not one of before that comes again.
    #[must_use]
    pub fn is_begun_again_by(&self, packet: &Packet) -> bool {
        const CLOSED: u16 = (tcp::FIN | tcp::RST) as u16;
        let is_closed = self.halves.iter().any(|half| half.tcp_flags & CLOSED != 0);
        let half = self.half(packet.direction);
        // SYN and FIN take a number each, and so does what was sent between them.
        let sent = half.payload_bytes + 2;
        let behind = half.next_sequence.wrapping_sub(packet.sequence);
        is_closed && (half.packets == 0 || u64::from(behind) > sent)
    }

    /// Counts `packet`, unless another observation point does.
    #[inline(always)]
    pub fn record<A: Add>(&mut self, packet: &Packet, seen: Seen, clock: &Clock) -> Recorded {
        // The other half's cache line belongs to another processor: only a young flow looks at it.
        let packets = self.half(packet.direction).packets;
        let other_packets = if packets < CHECKPOINT_PACKETS {
            self.half(packet.direction.reverse()).packets
        } else {
            CHECKPOINT_PACKETS
        };
        let (spoke, speaks) = (self.spoke, packet.direction as u8 + 1);
        let half = self.half_mut(packet.direction);
        let mut counted = Counted::default();
        let mark = match seen {
            Seen::Received => Half::OPENED | Half::RECEIVED,
            Seen::Sent => Half::OPENED,
            Seen::Forwarded if half.counted & Half::RECEIVED == 0 => Half::OPENED,
            Seen::Forwarded => return Recorded::Duplicate,
        };
        if half.counted & mark != mark {
            if half.counted == 0 {
                half.first_seen = clock.now;
                half.last_seen = clock.now;
                half.icmp = packet.icmp;
                half.first_tcp_flags = packet.tcp_flags;
                half.size_min = u16::MAX;
            }
            half.counted |= mark;
        }
        // All processors read the line of `spoke`: it is written a few times in a flow's life.
        let turned = packet.payload_bytes != 0 && spoke != speaks && half.turns < MAX_TURNS;
        if turned {
            half.turn();
        }
        half.count::<A>(packet, clock, other_packets, &mut counted);
        if turned {
            self.spoke = speaks;
        }
        Recorded::Counted(counted)
    }
}

impl Half {
    /// It has counted a packet.
    pub const OPENED: u16 = 1;
    /// It has counted one that was received, and not only packets that were sent.
    pub const RECEIVED: u16 = 2;

    #[inline(always)]
    fn count<A: Add>(
        &mut self,
        packet: &Packet,
        clock: &Clock,
        other_packets: u64,
        counted: &mut Counted,
    ) {
        let segments = u64::from(packet.segments);
        let ip_bytes = u64::from(packet.ip_bytes);
        let packets_before = self.packets;
        let bytes_after = self.ip_bytes + ip_bytes;
        A::add(&mut self.packets, segments);
        A::add(&mut self.ip_bytes, ip_bytes);

        if clock.now != self.last_seen {
            self.gap(clock);
        }
        let segment = u64::from(packet.segment_bytes);
        let last = if segments == 1 {
            segment
        } else {
            let full = (segments - 1) * segment;
            self.size_square_sum += full * segment;
            // The last segment is what the others leave.
            ip_bytes.saturating_sub(full)
        };
        self.size_square_sum += last * last;
        let largest = segment.min(65_535) as u16;
        let smallest = last.min(segment).min(65_535) as u16;
        if smallest < self.size_min {
            self.size_min = smallest;
        }
        if largest > self.size_max {
            self.size_max = largest;
        }

        if packet.payload_bytes != 0 {
            self.payload_bytes += u64::from(packet.payload_bytes);
            // A later fragment starts in the middle of what was sent.
            if packet.fragment != Fragment::Later {
                counted.sample_bytes = self.take_sample(packet);
            }
            self.payload_packets += segments;
        }
        if packet.key.protocol == protocol::TCP {
            self.tcp(packet, packets_before == 0);
        }

        if bytes_after >= self.next_checkpoint {
            self.next_checkpoint = next_checkpoint(self.next_checkpoint, bytes_after);
            counted.checkpoint = Some(Checkpoint::Bytes);
        } else {
            let before = packets_before + other_packets;
            if before < CHECKPOINT_PACKETS && before + segments >= CHECKPOINT_PACKETS {
                counted.checkpoint = Some(Checkpoint::Packets);
            }
        }
    }

    /// The other end has spoken: some more of this direction is handed up.
    #[inline(always)]
    fn turn(&mut self) {
        self.turns += 1;
        self.sampled = self.sampled.min((STREAM_BYTES - TURN_BYTES) as u16);
    }

    /// How many bytes of the packet's payload are handed up.
    #[inline(always)]
    fn take_sample(&mut self, packet: &Packet) -> u32 {
        let payload = packet.payload_bytes;
        let left = STREAM_BYTES.saturating_sub(u32::from(self.sampled));
        let mut bytes = 0;
        if left != 0 && self.is_stream(&packet.key) {
            bytes = payload.min(left);
            self.sampled += bytes as u16;
        }
        if bytes < FIRST_PAYLOAD_BYTES as u32 && self.wants_first_payload(&packet.key) {
            bytes = payload.min(FIRST_PAYLOAD_BYTES as u32);
        }
        bytes
    }

    /// Whether what follows is read on from packet to packet: all of TCP, and the first datagrams of
    /// UDP, in which a QUIC client says hello.
    #[inline(always)]
    fn is_stream(&self, key: &FlowKey) -> bool {
        match key.protocol {
            protocol::TCP => !key.is_dns(),
            protocol::UDP => !key.is_dns() && self.payload_packets < FIRST_PAYLOADS,
            _ => false,
        }
    }

    /// Whether the next payload is among the first of its direction. Of a flow that is past them
    /// all, only the ports of DNS are looked at.
    #[inline(always)]
    fn wants_first_payload(&self, key: &FlowKey) -> bool {
        self.payload_packets < FIRST_PAYLOADS
            || key.is_dns()
            || (self.payload_packets < FTP_FIRST_PAYLOADS
                && self.payload_packets < key.first_payloads())
    }

    #[inline(always)]
    fn gap(&mut self, clock: &Clock) {
        let gap = clock.hundredths(self.last_seen);
        if gap > 0 {
            self.gap_square_sum += gap * gap;
            if gap > u64::from(self.gap_max) {
                self.gap_max = gap.min(u64::from(u32::MAX)) as u32;
            }
            if gap >= BURST_GAP_HUNDREDTHS {
                self.bursts += 1;
            }
        }
        // Packet time on captures may run backwards; the last seen never does.
        if clock.now > self.last_seen {
            self.last_seen = clock.now;
        }
    }

    #[inline(always)]
    fn tcp(&mut self, packet: &Packet, first: bool) {
        // A capture that ends before the flags may end before the sequence number.
        if packet.tcp_flags == 0 {
            return;
        }
        let fresh = self.tcp_flags | u16::from(packet.tcp_flags);
        if fresh != self.tcp_flags {
            self.tcp_flags = fresh;
        }
        // SYN and FIN take a sequence number each (RFC 9293 section 3.4).
        let mut length = packet.payload_bytes;
        if packet.tcp_flags & (tcp::SYN | tcp::FIN) != 0 {
            length += 1;
        }
        let end = packet.sequence.wrapping_add(length);
        if first {
            self.next_sequence = end;
            return;
        }
        // How far below the expected number the packet starts; beyond half the number space it is
        // ahead of it.
        let behind = self.next_sequence.wrapping_sub(packet.sequence);
        if behind != 0 && behind < 1 << 31 && length != 0 {
            self.retransmitted_bytes += u64::from(behind.min(packet.payload_bytes));
        }
        if (end.wrapping_sub(self.next_sequence) as i32) > 0 {
            self.next_sequence = end;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::{
        Address, Checkpoint, Clock, Counted, Direction, FlowCounters, FlowKey, Plain, Recorded,
        Seen,
    };
    use crate::parse::{Packet, protocol, tcp};
    use crate::policy::Cached;

    const SECOND: u64 = 100;

    fn clock(now: u64) -> Clock {
        Clock { now, ticks_per_second: SECOND }
    }

    fn opened() -> FlowCounters {
        let mut flow = FlowCounters::default();
        flow.open(FlowCounters::HOME_LOW, Cached::pass(1), 0, 0);
        flow
    }

    /// A TCP packet with `payload` bytes from the low end.
    fn packet(sequence: u32, payload: u32) -> Packet {
        Packet {
            key: FlowKey { protocol: protocol::TCP, ..FlowKey::default() },
            segments: 1,
            frame_bytes: payload + 54,
            ip_bytes: payload + 40,
            segment_bytes: payload + 40,
            payload_bytes: payload,
            sequence,
            tcp_flags: tcp::ACK,
            ..Packet::empty()
        }
    }

    fn count(flow: &mut FlowCounters, packet: &Packet, now: u64) -> Counted {
        match flow.record::<Plain>(packet, Seen::Received, &clock(now)) {
            Recorded::Counted(counted) => counted,
            Recorded::Duplicate => panic!("a duplicate"),
        }
    }

    #[test]
    fn both_directions_have_one_key() {
        let (a, b) = (Address::mapped(0x0100_000a), Address::mapped(0x0702_00c0));
        let there = u32::from_ne_bytes([0x9c, 0x40, 0, 53]);
        let back = u32::from_ne_bytes([0, 53, 0x9c, 0x40]);
        let (forward, direction) = FlowKey::canonical(a, b, there, protocol::UDP);
        let (backward, reverse) = FlowKey::canonical(b, a, back, protocol::UDP);
        assert_eq!((forward, direction), (backward, reverse.reverse()));
        assert_eq!(forward.source(direction).1, [0x9c, 0x40]);
        assert!(forward.is_dns());
        // Equal addresses: the lower port comes first.
        let (key, _) = FlowKey::canonical(a, a, there, protocol::UDP);
        assert_eq!((key.low_port, key.high_port), ([0, 53], [0x9c, 0x40]));
    }

    #[test]
    fn a_packet_is_counted_once_a_way() {
        use Seen::{Forwarded, Received, Sent};
        // Where each packet of one direction is seen, and whether it counts.
        for way in [
            // Routed or bridged.
            &[(Received, true), (Forwarded, false), (Received, true), (Forwarded, false)][..],
            // Behind NAT the five-tuple that leaves was never received.
            &[(Forwarded, true), (Forwarded, true)],
            // Nobody watches where it came in.
            &[(Sent, true), (Sent, true)],
            // By two interfaces in turn: both count, whichever came first.
            &[(Received, true), (Received, true), (Sent, true), (Received, true)],
            // From elsewhere first, then received: what is sent on is known from then on.
            &[(Forwarded, true), (Received, true), (Forwarded, false), (Sent, true)],
        ] {
            let mut flow = opened();
            for (number, (seen, counts)) in way.iter().enumerate() {
                let recorded = flow.record::<Plain>(&packet(1, 10), *seen, &clock(1_000));
                let counted = matches!(recorded, Recorded::Counted(_));
                assert_eq!(counted, *counts, "packet {number} of {way:?}");
            }
            let expected = way.iter().filter(|(_, counts)| *counts).count();
            assert_eq!(flow.halves[0].packets, expected as u64, "{way:?}");
        }
    }

    #[test]
    fn checkpoints_come_at_the_seventh_packet_and_at_each_fourfold() {
        let mut flow = opened();
        let mut crossed = std::vec::Vec::new();
        for number in 1..=60_u32 {
            let checkpoint = count(&mut flow, &packet(number * 1_000, 1_000), 1).checkpoint;
            crossed.extend(checkpoint.map(|checkpoint| (number, checkpoint)));
        }
        // 1,040 IP bytes each: 16 packets make 16,640, 64 would make 66,560.
        assert_eq!(crossed, [(7, Checkpoint::Packets), (16, Checkpoint::Bytes)]);
        assert_eq!(flow.halves[0].next_checkpoint, 65_536);
        assert_eq!(flow.halves[1].next_checkpoint, u64::MAX);
        // One super-packet over several checkpoints is one event.
        let jump = Packet { ip_bytes: 1 << 20, ..packet(70_000, 1_000) };
        assert_eq!(count(&mut flow, &jump, 1).checkpoint, Some(Checkpoint::Bytes));
        assert_eq!(flow.halves[0].next_checkpoint, 4 << 20);
    }

    #[test]
    fn bytes_sent_again_are_told_from_bytes_ahead() {
        let check = |packets: &[(u32, u32)], expected: u64| {
            let mut flow = opened();
            for (sequence, payload) in packets {
                count(&mut flow, &packet(*sequence, *payload), 1);
            }
            assert_eq!(flow.halves[0].retransmitted_bytes, expected, "{packets:?}");
        };
        check(&[(1, 100), (101, 100)], 0);
        check(&[(1, 100), (1, 100)], 100);
        check(&[(1, 100), (51, 100)], 50);
        check(&[(1, 100), (301, 100), (101, 200)], 200);
        check(&[(u32::MAX - 49, 100), (50, 100)], 0);
        check(&[(u32::MAX - 49, 100), (u32::MAX - 49, 100)], 100);
    }

    /// What is handed up of packets of `payload` bytes, first one way, then in turns.
    #[track_caller]
    fn check_samples(number: u8, ports: (u16, u16), payload: u32, packets: usize, bytes: u32) {
        let key = FlowKey {
            protocol: number,
            low_port: ports.0.to_be_bytes(),
            high_port: ports.1.to_be_bytes(),
            ..FlowKey::default()
        };
        let mut flow = opened();
        let samples = (1..=600).map(|place| {
            let packet = Packet { key, ..packet(place * payload, payload) };
            count(&mut flow, &packet, 1).sample_bytes
        });
        let samples: std::vec::Vec<u32> = samples.filter(|bytes| *bytes != 0).collect();
        let sum = samples.iter().sum::<u32>();
        assert_eq!((samples.len(), sum), (packets, bytes), "{number} {ports:?} {payload}");
    }

    #[test]
    fn payloads_are_handed_up_as_long_as_the_story_may_last() {
        check_samples(protocol::TCP, (50_000, 443), 100, 41, 4_096);
        check_samples(protocol::TCP, (50_000, 443), 1_400, 4, 4_096 + 512);
        check_samples(protocol::TCP, (50_000, 443), 60_000, 4, 4_096 + 3 * 512);
        check_samples(protocol::TCP, (50_000, 587), 1_400, 32, 2 * 1_400 + 1_296 + 29 * 512);
        check_samples(protocol::TCP, (21, 50_000), 1_400, 512, 2 * 1_400 + 1_296 + 509 * 512);
        check_samples(protocol::TCP, (50_000, 53), 100, 600, 60_000);
        check_samples(protocol::UDP, (50_000, 21), 100, 4, 400);
        check_samples(protocol::UDP, (50_000, 443), 1_200, 4, 3 * 1_200 + 512);
        check_samples(protocol::UDP, (50_000, 53), 1_200, 600, 600 * 512);
        check_samples(protocol::ICMP, (7, 7), 1_200, 32, 32 * 512);
        check_samples(protocol::ICMPV6, (7, 7), 100, 32, 3_200);
    }

    #[test]
    fn each_change_of_direction_gives_a_little_back() {
        let mut flow = opened();
        let mut samples = std::vec::Vec::new();
        for turn in 0..20_u32 {
            for direction in [Direction::FromLow, Direction::FromHigh] {
                let packet = Packet { direction, ..packet(turn * 5_000, 5_000) };
                samples.push(count(&mut flow, &packet, 1).sample_bytes);
            }
        }
        // The first four packets are handed up anyway; the first word is a turn, too.
        let expected = |turn: usize| match turn {
            0 => 4_096,
            1..16 => 1_024,
            _ => 0,
        };
        for (place, bytes) in samples.into_iter().enumerate() {
            assert_eq!(bytes, expected(place / 2), "packet {place}");
        }
        assert_eq!(flow.halves.map(|half| half.turns), [16, 16]);
    }

    #[test]
    fn gaps_and_sizes_are_summed() {
        let mut flow = opened();
        for (now, payload) in [(1_000, 60), (1_050, 10), (1_300, 60)] {
            count(&mut flow, &packet(1, payload), now);
        }
        let half = flow.half(Direction::FromLow);
        assert_eq!((half.gap_max, half.bursts, half.gap_square_sum), (250, 1, 50 * 50 + 250 * 250));
        assert_eq!((half.size_min, half.size_max, half.first_seen), (50, 100, 1_000));
        assert_eq!(half.size_square_sum, 2 * 100 * 100 + 50 * 50);
        // Two full segments and a smaller one, handed over as one.
        let mut flow = opened();
        let merged = Packet { segments: 3, ip_bytes: 250, segment_bytes: 100, ..packet(1, 130) };
        count(&mut flow, &merged, 1_000);
        let half = flow.half(Direction::FromLow);
        assert_eq!((half.packets, half.size_min, half.size_max), (3, 50, 100));
        assert_eq!(half.size_square_sum, 2 * 100 * 100 + 50 * 50);
    }
}
