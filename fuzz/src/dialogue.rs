//! A capture from a script of payloads, so that a fuzzer spends its time on what is said and not on
//! the headers around it.
//!
//! The first four bytes choose four flows; what follows is messages: a byte that says which flow,
//! who sends and how much later, two bytes of length, and the payload. A script that ends early
//! ends there.

use detector_common::parse::protocol;

/// IP protocol and the server's port: what the decoders are chosen by.
const SERVICES: [(u8, u16); 16] = [
    (protocol::TCP, 25),
    (protocol::TCP, 587),
    (protocol::TCP, 21),
    (protocol::TCP, 80),
    (protocol::TCP, 443),
    (protocol::TCP, 53),
    (protocol::UDP, 53),
    (protocol::UDP, 5_353),
    (protocol::UDP, 443),
    (protocol::ICMP, 0),
    (protocol::TCP, 22),
    (protocol::TCP, 9_999),
    (protocol::UDP, 9_999),
    // What `PORT …,195,80` and `227 (…,195,80)` name.
    (protocol::TCP, 50_000),
    (protocol::UDP, 5_355),
    (protocol::TCP, 2_525),
];

const CLIENT: [u8; 4] = [10, 0, 0, 7];
const SERVER: [u8; 4] = [203, 0, 113, 5];
const LONGEST_PAYLOAD: usize = 1_400;
/// 2026-01-05 09:00 UTC.
const START_SECS: u32 = 1_767_603_600;
const MICROS: u64 = 1_000_000;

/// Pauses that cross checkpoints, windows and timeouts.
const PAUSES_MICROS: [u64; 8] =
    [0, 500, 10_000, 250_000, MICROS, 7 * MICROS, 61 * MICROS, 400 * MICROS];

#[derive(Clone, Copy, Default)]
struct Flow {
    protocol: u8,
    server_port: u16,
    client_port: u16,
    /// Next sequence number of client and server.
    sequence: [u32; 2],
}

/// The capture that a script asks for.
pub fn capture(script: &[u8]) -> Vec<u8> {
    let mut capture = header();
    let Some((chosen, mut rest)) = script.split_first_chunk::<4>() else { return capture };
    let mut flows = [Flow::default(); 4];
    for (number, (flow, choice)) in flows.iter_mut().zip(chosen).enumerate() {
        let (protocol, server_port) = SERVICES[usize::from(*choice) % SERVICES.len()];
        *flow =
            Flow { protocol, server_port, client_port: 40_000 + number as u16, sequence: [0; 2] };
    }
    let mut micros = 0;
    while let Some((&[control, low, high], after)) = rest.split_first_chunk::<3>() {
        let length = usize::from(u16::from_le_bytes([low, high])) % (LONGEST_PAYLOAD + 1);
        let (payload, after) = after.split_at(length.min(after.len()));
        rest = after;
        micros += PAUSES_MICROS[usize::from(control >> 3 & 7)];
        let from_server = control & 4 != 0;
        let packet = flows[usize::from(control & 3)].packet(from_server, payload);
        record(&mut capture, micros, &packet);
    }
    capture
}

impl Flow {
    fn packet(&mut self, from_server: bool, payload: &[u8]) -> Vec<u8> {
        let (source, destination) = if from_server { (SERVER, CLIENT) } else { (CLIENT, SERVER) };
        let transport = self.transport(from_server, payload);
        let total = 20 + transport.len() as u16;
        let mut packet = vec![0x45, 0];
        packet.extend(total.to_be_bytes());
        packet.extend([0, 0, 0x40, 0, 64, self.protocol, 0, 0]);
        packet.extend(source);
        packet.extend(destination);
        packet.extend(transport);
        packet
    }

    fn transport(&mut self, from_server: bool, payload: &[u8]) -> Vec<u8> {
        let mut ports = [self.client_port, self.server_port];
        if from_server {
            ports.reverse();
        }
        let mut header: Vec<u8> = ports.iter().flat_map(|port| port.to_be_bytes()).collect();
        match self.protocol {
            protocol::ICMP => header = vec![if from_server { 0 } else { 8 }, 0, 0, 0, 0, 9, 0, 1],
            protocol::UDP => {
                header.extend((8 + payload.len() as u16).to_be_bytes());
                header.extend([0; 2]);
            }
            _ => {
                let sequence = &mut self.sequence[usize::from(from_server)];
                header.extend(sequence.to_be_bytes());
                // A connection opens with its first packet.
                let flags = if *sequence == 0 { 0x02 } else { 0x18 };
                *sequence = sequence.wrapping_add(payload.len() as u32 + u32::from(*sequence == 0));
                header.extend([0, 0, 0, 0, 0x50, flags, 0xff, 0xff, 0, 0, 0, 0]);
            }
        }
        header.extend(payload);
        header
    }
}

/// A pcap file of packets without a link layer, times in microseconds.
fn header() -> Vec<u8> {
    let words: [u32; 6] = [0xa1b2_c3d4, 4 << 16 | 2, 0, 0, 1 << 16, 101];
    words.iter().flat_map(|word| word.to_le_bytes()).collect()
}

fn record(capture: &mut Vec<u8>, micros: u64, packet: &[u8]) {
    let seconds = START_SECS.wrapping_add((micros / MICROS) as u32);
    let length = packet.len() as u32;
    for word in [seconds, (micros % MICROS) as u32, length, length] {
        capture.extend(word.to_le_bytes());
    }
    capture.extend(packet);
}
