//! What controllers, meters and buildings speak.

use super::read::{Start, be16, byte, is_framed, le16, le32};
use super::{Protocol, Row, Transport};

pub(super) const ROWS: &[Row] = &[
    Row::on_port(
        Protocol::Modbus,
        Transport::Tcp,
        &[502, 802],
        "Modbus Messaging on TCP/IP 1.0b section 3.1.3",
        modbus,
    ),
    Row::anywhere(Protocol::Dnp3, Transport::Tcp, &[19_999, 20_000], "IEEE 1815 section 9", dnp3),
    Row::anywhere(Protocol::Dnp3, Transport::Udp, &[20_000], "IEEE 1815 section 9", dnp3),
    Row::anywhere(Protocol::S7, Transport::Tcp, &[102], "RFC 1006, ISO 8073 section 13", s7),
    Row::anywhere(
        Protocol::OpcUa,
        Transport::Tcp,
        &[4840, 4843],
        "OPC 10000-6 section 7.1.2",
        opc_ua,
    ),
    Row::anywhere(Protocol::Iec104, Transport::Tcp, &[2404], "IEC 60870-5-104 section 5", iec104),
    Row::anywhere(Protocol::Bacnet, Transport::Udp, BACNET_PORTS, "ASHRAE 135 annex J.2", bacnet),
    Row::anywhere(
        Protocol::EtherNetIp,
        Transport::Tcp,
        &[44_818],
        "ODVA CIP volume 2 section 2-3",
        ethernet_ip,
    ),
    Row::anywhere(
        Protocol::EtherNetIp,
        Transport::Udp,
        &[44_818],
        "ODVA CIP volume 2 section 2-3",
        ethernet_ip_udp,
    ),
    Row::on_port(
        Protocol::EtherNetIp,
        Transport::Udp,
        &[2222],
        "ODVA CIP volume 2 section 2-6",
        cip_io,
    ),
];

const BACNET_PORTS: &[u16] = &[47_808, 47_809, 47_810, 47_811, 47_812, 47_813, 47_814, 47_815];

/// Protocol 0, and no unit is longer than 253 bytes behind its address. Function codes are assigned
/// up to 127; the high bit marks an exception of two bytes.
fn modbus(start: Start<'_>) -> bool {
    is_framed(start.bytes, 8, |unit| {
        let (protocol, length, function) = (be16(unit, 2)?, be16(unit, 4)?, byte(unit, 7)?);
        let fits = if function < 0x80 { (3..=254).contains(&length) } else { length == 3 };
        let known = matches!(function & 0x7f, 1..=8 | 11 | 12 | 15..=17 | 20..=24 | 43 | 65..=72 | 90 | 100..=110);
        (protocol == 0 && fits && known).then_some(6 + length)
    })
}

/// Frames whose header's checksum is right.
fn dnp3(start: Start<'_>) -> bool {
    is_framed(start.bytes, 10, |frame| {
        let [5, 0x64, length @ 5..=255, ..] = frame else { return None };
        let sum = le16(frame, 8)? == usize::from(dnp3_sum(frame.get(..8)?));
        let data = usize::from(*length) - 5;
        sum.then(|| 10 + data + 2 * data.div_ceil(16))
    })
}

/// The checksum of a block: polynomial 0x3d65, reflected, and inverted.
fn dnp3_sum(block: &[u8]) -> u16 {
    let step = |sum: u16, _| if sum & 1 != 0 { sum >> 1 ^ 0xa6bc } else { sum >> 1 };
    !block.iter().fold(0, |sum, byte| (0..8).fold(sum ^ u16::from(*byte), step))
}

/// A connection with selectors of transport, or data of S7 (0x32, 0x72) or MMS and others of the same
/// stack.
fn s7(start: Start<'_>) -> bool {
    is_framed(start.bytes, 7, |packet| {
        let [3, 0, _, _, indicator, kind, ..] = packet else { return None };
        let length = be16(packet, 2)?;
        let fits = match kind {
            0xd0 | 0xe0 => {
                usize::from(*indicator) + 5 == length
                    && matches!(byte(packet, 11)?, 0xc0..=0xc2)
                    && byte(packet, 12)? <= 32
            }
            0xf0 => {
                *indicator == 2
                    && byte(packet, 6)? & 0x7f == 0
                    && packet
                        .get(7)
                        .is_none_or(|first| matches!(first, 0x32 | 0x72 | 0x0d | 0x0e | 1))
            }
            _ => false,
        };
        fits.then_some(length)
    })
}

/// A message's type, whether it is final, and its length. The first is a greeting or its answer.
fn opc_ua(start: Start<'_>) -> bool {
    let begins = match start.bytes.get(..4) {
        // Version 0, buffers of at least 8,192 bytes.
        Some(b"HELF" | b"ACKF") => {
            let version = le32(start.bytes, 8) == Some(0);
            version && le32(start.bytes, 12).is_some_and(|size| (8_192..=1 << 26).contains(&size))
        }
        Some(b"RHEF" | b"ERRF" | b"OPNF") => true,
        _ => false,
    };
    begins
        && is_framed(start.bytes, 8, |message| {
            let known = matches!(
                message.get(..3)?,
                b"HEL" | b"ACK" | b"ERR" | b"RHE" | b"OPN" | b"MSG" | b"CLO"
            );
            let end = matches!(byte(message, 3)?, b'F' | b'C' | b'A');
            le32(message, 4).filter(|length| known && end && *length <= 1 << 26)
        })
}

/// Units of at most 253 bytes: what is unnumbered and supervisory has 4; numbers end in a 0 bit. The
/// first is unnumbered: it starts the transfer, or answers that.
fn iec104(start: Start<'_>) -> bool {
    matches!(start.bytes, [0x68, 4, 7 | 0x0b | 0x13 | 0x23 | 0x43 | 0x83, 0, 0, 0, ..])
        && is_framed(start.bytes, 6, |unit| {
            let [0x68, length, first, second, third, fourth, ..] = *unit else { return None };
            let fits = match first & 3 {
                3 => length == 4 && first.count_ones() == 3 && (second, third, fourth) == (0, 0, 0),
                1 => length == 4 && (first, second) == (1, 0) && third & 1 == 0,
                _ => (10..=253).contains(&length) && third & 1 == 0 && iec104_kind(unit)?,
            };
            fits.then_some(2 + usize::from(length))
        })
}

/// A type that is assigned; a cause of at most 47 follows the number of objects.
fn iec104_kind(unit: &[u8]) -> Option<bool> {
    let Some(kind) = byte(unit, 6) else { return Some(true) };
    let known = matches!(kind, 1..=40 | 45..=51 | 58..=64 | 70 | 100..=107 | 110..=113 | 120..=127);
    Some(known && byte(unit, 8).is_none_or(|cause| (1..=47).contains(&(cause & 0x3f))))
}

/// A function of the virtual link, the datagram's length, and version 1 of the network layer.
fn bacnet(start: Start<'_>) -> bool {
    let [0x81, function @ 0..=0x0c, _, _, rest @ ..] = start.bytes else { return false };
    let network = match function {
        4 => rest.get(6),
        9..=0x0b => rest.first(),
        _ => None,
    };
    let small = matches!(function, 0..=3 | 5..=8 | 0x0c);
    be16(start.bytes, 2) == Some(start.length)
        && start.length >= 6
        && (small && start.length <= 256 || network == Some(&1))
}

/// A command that is assigned, status 0 of a request, no options.
fn ethernet_ip_length(message: &[u8]) -> Option<usize> {
    let (command, length) = (le16(message, 0)?, le16(message, 2)?);
    let known = matches!(command, 0 | 1 | 4 | 0x63..=0x66 | 0x6f | 0x70 | 0x72 | 0x73);
    let (status, options) = (le32(message, 8)?, le32(message, 20)?);
    (known && status <= 0x69 && options == 0).then_some(24 + length)
}

/// A client first asks what there is, or registers.
fn ethernet_ip(start: Start<'_>) -> bool {
    matches!(le16(start.bytes, 0), Some(4 | 0x63..=0x65))
        && is_framed(start.bytes, 24, ethernet_ip_length)
}

fn ethernet_ip_udp(start: Start<'_>) -> bool {
    matches!(le16(start.bytes, 0), Some(4 | 0x63 | 0x64))
        && ethernet_ip_length(start.bytes) == Some(start.length)
}

/// Two items: the address with its sequence, and the data to the datagram's end.
fn cip_io(start: Start<'_>) -> bool {
    let [2, 0, 2 | 0, 0x80, 8 | 4, 0, rest @ ..] = start.bytes else { return false };
    let address = usize::from(byte(start.bytes, 4).unwrap_or_default());
    matches!(rest.get(address..), Some([0xb1, 0, ..]))
        && le16(rest, address + 2).is_some_and(|length| 10 + address + length == start.length)
}
