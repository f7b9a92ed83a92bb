//! A capture to measure with: many flows of ordinary shape, interleaved in time, from a seed.
//!
//! Connections with a handshake, a TLS hello, requests and answers, and DNS lookups between; a few
//! flows carry most packets, as in real traffic. The same arguments give the same bytes.

use std::cmp::Reverse;
use std::collections::BinaryHeap;
use std::io::{self, Write};

/// Seconds of packet time over which flows begin.
const BEGIN_SECS: u64 = 100;
/// 2026-01-05, a Monday, 09:00 UTC.
const START_SECS: u64 = 1_767_603_600;
const MICROS: u64 = 1_000_000;
/// Ethernet, IPv4 and TCP headers.
const TCP_HEADERS: usize = 54;
const UDP_HEADERS: usize = 42;
const HOSTS: u64 = 4_000;
const SEGMENT_BYTES: usize = 1_460;
const LOOKUP_PACKETS: u64 = 2;
/// Handshake, hello and answer, close.
const CONNECTION_PACKETS: u64 = 7;

const SYN: u8 = 0x02;
const SYN_ACK: u8 = 0x12;
const ACK: u8 = 0x10;
const PUSH_ACK: u8 = 0x18;
const FIN_ACK: u8 = 0x11;

/// Writes a pcap of `packets` packets in `flows` flows: exactly, where there is room for seven
/// packets in a flow.
pub(crate) fn generate(
    packets: u64,
    flows: u64,
    seed: u64,
    output: &mut impl Write,
) -> io::Result<()> {
    let mut random = Random(seed);
    let mut live = plan(packets, flows, &mut random);
    let mut queue: BinaryHeap<Reverse<(u64, usize)>> =
        live.iter().enumerate().map(|(index, flow)| Reverse((flow.begin_micros, index))).collect();
    let filling: Vec<u8> = (0..64 * 1024).map(|_| random.next() as u8).collect();
    let mut frame = Vec::with_capacity(TCP_HEADERS + SEGMENT_BYTES);
    file_header(output)?;
    while let Some(Reverse((micros, index))) = queue.pop() {
        let flow = &mut live[index];
        flow.packet(&mut frame, &filling, &mut random);
        record(output, micros, &frame)?;
        if flow.sent < flow.packets {
            queue.push(Reverse((micros + flow.pause(&mut random), index)));
        }
    }
    Ok(())
}

/// One flow being written.
struct Flow {
    begin_micros: u64,
    lookup: bool,
    client: [u8; 4],
    server: [u8; 4],
    client_port: u16,
    packets: u64,
    sent: u64,
    /// Next sequence number of client and server.
    sequence: [u32; 2],
    /// Most of its data goes up.
    uploads: bool,
}

/// Sizes and endpoints of all flows. A third are lookups; connections follow a Pareto law.
fn plan(packets: u64, flows: u64, random: &mut Random) -> Vec<Flow> {
    let mut live: Vec<Flow> = (0..flows).map(|number| Flow::new(number, flows, random)).collect();
    let mut sum: u64 = live.iter().map(|flow| flow.packets).sum();
    let mut connections: Vec<usize> =
        (0..live.len()).filter(|&index| !live[index].lookup).collect();
    connections.sort_unstable_by_key(|&index| Reverse(live[index].packets));
    for &index in connections.iter().cycle().take(4 * live.len()) {
        let flow = &mut live[index];
        if sum < packets {
            let more = (flow.packets / 2).clamp(1, packets - sum);
            flow.packets += more;
            sum += more;
        } else if sum > packets {
            let fewer = (flow.packets - CONNECTION_PACKETS).min(sum - packets);
            flow.packets -= fewer;
            sum -= fewer;
        } else {
            break;
        }
    }
    live
}

impl Flow {
    fn new(number: u64, flows: u64, random: &mut Random) -> Self {
        let lookup = number.is_multiple_of(3);
        let host = number % HOSTS;
        let far = random.next() % 20_000;
        // P(packets > x) falls with x to the power of -1.2.
        let share = (random.next() % 1_000_000 + 1) as f64 / 1_000_000.0;
        let tail = (share.powf(-1.0 / 1.2) * 4.0).min(20_000.0) as u64;
        Self {
            begin_micros: START_SECS * MICROS + number * BEGIN_SECS * MICROS / flows.max(1),
            lookup,
            client: [10, 20, (host >> 8) as u8, host as u8],
            server: if lookup { [10, 20, 255, 53] } else { [198, 18, (far >> 8) as u8, far as u8] },
            // With the host, a number of its own for each flow.
            client_port: 1_024 + (number / HOSTS) as u16,
            packets: if lookup { LOOKUP_PACKETS } else { CONNECTION_PACKETS + tail },
            sent: 0,
            sequence: [random.next() as u32, random.next() as u32],
            uploads: random.next().is_multiple_of(10),
        }
    }

    /// Microseconds to the next packet.
    fn pause(&self, random: &mut Random) -> u64 {
        match random.next() % 16 {
            0 => random.next() % 400_000,
            1..=3 => 20_000 + random.next() % 30_000,
            _ => 50 + random.next() % 1_000,
        }
    }

    fn packet(&mut self, frame: &mut Vec<u8>, filling: &[u8], random: &mut Random) {
        let number = self.sent;
        self.sent += 1;
        frame.clear();
        if self.lookup {
            let message = if number == 0 { query(self.sequence[0]) } else { answer(self) };
            self.udp(frame, number == 0, &message);
            return;
        }
        let last = self.packets - 1;
        let start = (random.next() % 32_768) as usize;
        let (from_client, flags, payload) = match number {
            0 => (true, SYN, Vec::new()),
            1 => (false, SYN_ACK, Vec::new()),
            2 => (true, ACK, Vec::new()),
            3 => (true, PUSH_ACK, client_hello(&filling[start..start + 32], self.server)),
            _ if number == last => (false, FIN_ACK, Vec::new()),
            _ if number + 1 == last => (true, FIN_ACK, Vec::new()),
            _ if number % 3 == 1 => (self.uploads, PUSH_ACK, Vec::new()),
            _ => {
                let length = match random.next() % 4 {
                    0 => 40 + (random.next() % 400) as usize,
                    _ => SEGMENT_BYTES,
                };
                (self.uploads, PUSH_ACK, filling[start..start + length].to_vec())
            }
        };
        // Every third packet acknowledges the other side's data.
        let acknowledges = number > 4 && number < last - 1 && payload.is_empty();
        let (from_client, flags) =
            if acknowledges { (!self.uploads, ACK) } else { (from_client, flags) };
        self.tcp(frame, from_client, flags, &payload);
    }

    fn tcp(&mut self, frame: &mut Vec<u8>, from_client: bool, flags: u8, payload: &[u8]) {
        self.headers(frame, from_client, 6, 20 + payload.len());
        let [mine, theirs] = if from_client { [0, 1] } else { [1, 0] };
        self.ports(frame, from_client, 443);
        frame.extend(self.sequence[mine].to_be_bytes());
        frame.extend(self.sequence[theirs].to_be_bytes());
        frame.extend([0x50, flags, 0xff, 0xff, 0, 0, 0, 0]);
        frame.extend(payload);
        let counted = payload.len() as u32 + u32::from(flags & 0x03 != 0);
        self.sequence[mine] = self.sequence[mine].wrapping_add(counted);
    }

    fn udp(&self, frame: &mut Vec<u8>, from_client: bool, payload: &[u8]) {
        let length = 8 + payload.len();
        self.headers(frame, from_client, 17, length);
        self.ports(frame, from_client, 53);
        frame.extend((length as u16).to_be_bytes());
        frame.extend([0, 0]);
        frame.extend(payload);
        debug_assert_eq!(frame.len(), UDP_HEADERS + payload.len());
    }

    fn headers(&self, frame: &mut Vec<u8>, from_client: bool, protocol: u8, length: usize) {
        frame.extend([2, 0, 0, 0, 0, 1, 2, 0, 0, 0, 0, 2, 0x08, 0x00]);
        let total = (20 + length) as u16;
        frame.extend([0x45, 0]);
        frame.extend(total.to_be_bytes());
        frame.extend([0, 0, 0x40, 0, 64, protocol, 0, 0]);
        let (source, destination) =
            if from_client { (self.client, self.server) } else { (self.server, self.client) };
        frame.extend(source);
        frame.extend(destination);
    }

    fn ports(&self, frame: &mut Vec<u8>, from_client: bool, server_port: u16) {
        let (source, destination) = if from_client {
            (self.client_port, server_port)
        } else {
            (server_port, self.client_port)
        };
        frame.extend(source.to_be_bytes());
        frame.extend(destination.to_be_bytes());
    }
}

/// A question for one of some thousand names.
fn query(number: u32) -> Vec<u8> {
    let mut message = vec![0x12, 0x34, 0x01, 0, 0, 1, 0, 0, 0, 0, 0, 0];
    question(&mut message, number);
    message
}

fn question(message: &mut Vec<u8>, number: u32) {
    let host = format!("host{}", number % 5_000);
    for label in [host.as_str(), "site", "example"] {
        message.push(label.len() as u8);
        message.extend(label.as_bytes());
    }
    message.extend([0, 0, 1, 0, 1]);
}

fn answer(flow: &Flow) -> Vec<u8> {
    let mut message = vec![0x12, 0x34, 0x81, 0x80, 0, 1, 0, 1, 0, 0, 0, 0];
    question(&mut message, flow.sequence[0]);
    message.extend([0xc0, 12, 0, 1, 0, 1, 0, 0, 1, 44, 0, 4, 198, 18]);
    message.extend((flow.sequence[1] as u16).to_be_bytes());
    message
}

/// A TLS 1.3 hello of the usual 517 bytes with a server name.
fn client_hello(random: &[u8], server: [u8; 4]) -> Vec<u8> {
    let name = format!("www{}-{}.site.example", server[2], server[3]);
    let mut extensions = vec![0, 0];
    for length in [name.len() + 5, name.len() + 3] {
        extensions.extend((length as u16).to_be_bytes());
    }
    extensions.push(0);
    extensions.extend((name.len() as u16).to_be_bytes());
    extensions.extend(name.as_bytes());
    let mut hello = vec![0x16, 3, 1, 2, 0, 1, 0, 1, 0xfc, 3, 3];
    hello.extend(random);
    hello.extend([0, 0, 2, 0x13, 1, 1, 0]);
    let left = 517 - hello.len() - 2;
    hello.extend((left as u16).to_be_bytes());
    hello.extend(&extensions);
    // Padding (RFC 7685).
    let padding = 517 - hello.len() - 4;
    hello.extend([0, 21]);
    hello.extend((padding as u16).to_be_bytes());
    hello.resize(517, 0);
    hello
}

fn file_header(output: &mut impl Write) -> io::Result<()> {
    let mut header = Vec::new();
    header.extend(0xa1b2_c3d4_u32.to_le_bytes());
    header.extend([2, 0, 4, 0]);
    header.extend([0; 8]);
    header.extend(262_144_u32.to_le_bytes());
    header.extend(1_u32.to_le_bytes());
    output.write_all(&header)
}

fn record(output: &mut impl Write, micros: u64, frame: &[u8]) -> io::Result<()> {
    let mut header = [0; 16];
    let length = (frame.len() as u32).to_le_bytes();
    header[..4].copy_from_slice(&((micros / MICROS) as u32).to_le_bytes());
    header[4..8].copy_from_slice(&((micros % MICROS) as u32).to_le_bytes());
    header[8..12].copy_from_slice(&length);
    header[12..].copy_from_slice(&length);
    output.write_all(&header)?;
    output.write_all(frame)
}

/// SplitMix64 (Steele, Lea, Flood 2014).
struct Random(u64);

impl Random {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.0;
        mixed = (mixed ^ mixed >> 30).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ mixed >> 27).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ mixed >> 31
    }
}

#[cfg(test)]
mod tests {
    use super::generate;

    #[test]
    fn as_many_packets_as_asked_for() -> std::io::Result<()> {
        let mut output = Vec::new();
        generate(2_000, 100, 7, &mut output)?;
        let mut rest = &output[24..];
        let mut packets = 0;
        while let Some((header, after)) = rest.split_at_checked(16) {
            let length = u32::from_le_bytes([header[8], header[9], header[10], header[11]]);
            rest = &after[length as usize..];
            packets += 1;
        }
        assert_eq!((packets, rest.len()), (2_000, 0));
        Ok(())
    }
}
