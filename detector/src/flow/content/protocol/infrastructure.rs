//! What routers, switches and their collectors speak.

use super::read::{Start, be16, be24, be32, byte, is_framed, is_text};
use super::{Protocol, Row, Transport};

pub(super) const ROWS: &[Row] = &[
    Row::anywhere(Protocol::Bgp, Transport::Tcp, &[179], "RFC 4271 section 4.1", bgp),
    Row::anywhere(Protocol::Bmp, Transport::Tcp, BMP_PORTS, "RFC 7854 section 4", bmp),
    Row::on_port(Protocol::NetFlow, Transport::Udp, FLOW_PORTS, "RFC 3954 section 5.1", netflow),
    Row::anywhere(Protocol::Ipfix, Transport::Udp, FLOW_PORTS, "RFC 7011 section 3.1", ipfix_udp),
    Row::anywhere(Protocol::Ipfix, Transport::Tcp, FLOW_PORTS, "RFC 7011 section 10.4", ipfix_tcp),
    Row::anywhere(Protocol::SFlow, Transport::Udp, &[6343], "sFlow version 5 section 5", sflow),
    Row::on_port(Protocol::Syslog, Transport::Udp, SYSLOG_PORTS, "RFC 5424 section 6", syslog),
    Row::on_port(
        Protocol::Syslog,
        Transport::Tcp,
        SYSLOG_PORTS,
        "RFC 6587 section 3.4",
        syslog_tcp,
    ),
    Row::anywhere(
        Protocol::Telemetry,
        Transport::Udp,
        &[10_003, 57_499, 57_500],
        "draft-ietf-netconf-udp-notif section 3.2",
        udp_notif,
    ),
    Row::anywhere(
        Protocol::Telemetry,
        Transport::Tcp,
        &[57_400, 57_500],
        "Cisco model-driven telemetry over TCP",
        telemetry,
    ),
    Row::on_port(Protocol::Ntp, Transport::Udp, &[123], "RFC 5905 section 7.3", ntp),
    Row::anywhere(Protocol::Dhcp, Transport::Udp, &[67, 68], "RFC 2131 section 2", dhcp),
    Row::on_port(Protocol::Radius, Transport::Udp, RADIUS_PORTS, "RFC 2865 section 3", radius),
    Row::on_port(Protocol::Tacacs, Transport::Tcp, &[49], "RFC 8907 section 4.1", tacacs),
    Row::anywhere(Protocol::Diameter, Transport::Tcp, &[3868], "RFC 6733 section 3", diameter),
    Row::on_port(Protocol::Ldp, Transport::Tcp, &[646], "RFC 5036 section 3.1", ldp),
    Row::on_port(
        Protocol::OpenFlow,
        Transport::Tcp,
        &[6633, 6653],
        "OpenFlow 1.3 section A.1",
        openflow,
    ),
];

/// BMP has no port of its own: these are the defaults of routers and collectors.
const BMP_PORTS: &[u16] = &[1790, 5000, 11_019];
/// IPFIX has 4739; the others are what exporters use.
const FLOW_PORTS: &[u16] = &[2055, 2056, 2057, 4432, 4739, 9025, 9555, 9995, 9996];
const SYSLOG_PORTS: &[u16] = &[514, 601, 1514, 5140, 5514, 10_514];
const RADIUS_PORTS: &[u16] = &[1645, 1646, 1812, 1813, 3799];

/// A marker of ones, a length and a type that go together. A speaker begins with OPEN, version 4.
fn bgp(start: Start<'_>) -> bool {
    let open = matches!(start.bytes.get(18..20), Some([1, 4]) | Some([2..=5, _]))
        || start.bytes.len() == 19;
    open && is_framed(start.bytes, 19, |message| {
        let marker = message.get(..16)?.iter().all(|byte| *byte == 0xff);
        let length = be16(message, 16)?;
        let fits = match byte(message, 18)? {
            1 => (29..=4_096).contains(&length),
            // Extended messages (RFC 8654).
            2 => length >= 23,
            3 => length >= 21,
            4 => length == 19,
            5 => length >= 23,
            _ => false,
        };
        (marker && fits).then_some(length)
    })
}

/// A router begins with an Initiation message of type and length and values.
fn bmp(start: Start<'_>) -> bool {
    let initiation = matches!(start.bytes, [3, 0, 0, _, _, 4, 0, 0..=4, ..]);
    initiation
        && is_framed(start.bytes, 6, |message| {
            let (version, length, kind) = (byte(message, 0)?, be32(message, 1)?, byte(message, 5)?);
            let least = if matches!(kind, 4 | 5) { 6 } else { 48 };
            // Two BGP messages of the largest size, and headers.
            let fits = (least..=0x2_1000).contains(&length);
            (version == 3 && kind <= 6 && fits).then_some(length)
        })
}

/// Versions 1, 5 and 7 are as long as their number of records says; version 9 is sets.
fn netflow(start: Start<'_>) -> bool {
    let (Some(version), Some(count)) = (be16(start.bytes, 0), be16(start.bytes, 2)) else {
        return false;
    };
    let plain = |header: usize, record: usize, most: usize| {
        (1..=most).contains(&count) && start.length == header + record * count
    };
    match version {
        1 => plain(16, 52, 24),
        5 => plain(24, 48, 30),
        7 => plain(24, 52, 28),
        9 => start.length > 20 && start.is_packed(20, 4, |set| set_length(set, 0)),
        _ => false,
    }
}

/// The length of a set: templates have two reserved numbers from `templates` on, data 256 and more.
fn set_length(set: &[u8], templates: usize) -> Option<usize> {
    let (id, length) = (be16(set, 0)?, be16(set, 2)?);
    (id >= 256 || id == templates || id == templates + 1).then_some(length)
}

fn ipfix_udp(start: Start<'_>) -> bool {
    be16(start.bytes, 0) == Some(10)
        && be16(start.bytes, 2) == Some(start.length)
        && start.length >= 20
        && start.is_packed(16, 4, |set| set_length(set, 2))
}

/// A stream begins with templates.
fn ipfix_tcp(start: Start<'_>) -> bool {
    let templates = matches!(start.bytes.get(16..18), Some([0, 2 | 3]));
    templates
        && is_framed(start.bytes, 20, |message| {
            let (version, length) = (be16(message, 0)?, be16(message, 2)?);
            let first = set_length(message.get(16..)?, 2)?;
            (version == 10 && length >= 16 + first.max(4)).then_some(length)
        })
}

/// The agent's address, then samples of whole words to the end.
fn sflow(start: Start<'_>) -> bool {
    let samples_at = match be32(start.bytes, 4) {
        Some(1) => 28,
        Some(2) => 40,
        _ => return false,
    };
    be32(start.bytes, 0) == Some(5)
        && be32(start.bytes, samples_at - 4).is_some_and(|count| (1..=200).contains(&count))
        && start.is_packed(samples_at, 8, |sample| {
            be32(sample, 4).filter(|length| length.is_multiple_of(4)).map(|length| 8 + length)
        })
}

/// What follows a priority of 0 to 191 in angle brackets.
fn after_priority(bytes: &[u8]) -> Option<&[u8]> {
    let rest = bytes.strip_prefix(b"<")?;
    let end = rest.iter().take(4).position(|byte| *byte == b'>')?;
    let digits = rest.get(..end)?;
    let value = super::read::decimal(digits)?;
    let zero = digits.len() > 1 && digits.starts_with(b"0");
    (value <= 191 && !zero).then(|| rest.get(end + 1..)).flatten()
}

fn syslog(start: Start<'_>) -> bool {
    after_priority(start.bytes).is_some_and(|rest| !rest.is_empty() && is_text(rest))
}

/// Lines, or each message after its length in digits.
fn syslog_tcp(start: Start<'_>) -> bool {
    if start.bytes.starts_with(b"<") {
        return syslog(start);
    }
    is_framed(start.bytes, 8, |message| {
        let space = message.iter().take(7).position(|byte| *byte == b' ')?;
        let length = super::read::decimal(message.get(..space)?)?;
        let text = message.get(space + 1..)?;
        let text = text.get(..length).unwrap_or(text);
        after_priority(text).filter(|rest| is_text(rest)).map(|_| space + 1 + length)
    })
}

/// Version 1 with a header and a length that agree with the datagram, and a notification in the
/// encoding that the header says.
fn udp_notif(start: Start<'_>) -> bool {
    let (Some(first), Some(header)) = (byte(start.bytes, 0), byte(start.bytes, 1)) else {
        return false;
    };
    let body = byte(start.bytes, usize::from(header));
    let encoded = match first & 0x0f {
        1 => body == Some(b'{'),
        2 => body == Some(b'<'),
        // CBOR: a map or a tag.
        3 => matches!(body, Some(0xa0..=0xdb)),
        _ => false,
    };
    first & 0xf0 == 0x20 && header >= 12 && be16(start.bytes, 2) == Some(start.length) && encoded
}

/// Type, encoding, version 1, flags and length of each message.
fn telemetry(start: Start<'_>) -> bool {
    is_framed(start.bytes, 12, |message| match message {
        [0, 1 | 2, 0, 1..=4, 0, 1, 0, 0 | 1, 0, ..] => {
            be32(message, 8).filter(|length| *length != 0).map(|length| 12 + length)
        }
        _ => None,
    })
}

/// Version 1 to 4, a mode of client, server, peers or broadcast, a stratum of at most 16.
fn ntp(start: Start<'_>) -> bool {
    let &[first, stratum, poll, ..] = start.bytes else { return false };
    let (version, mode) = (first >> 3 & 7, first & 7);
    let long = start.length >= 48 && start.length.is_multiple_of(4);
    long && (1..=4).contains(&version) && (1..=5).contains(&mode) && stratum <= 16 && poll <= 17
}

fn dhcp(start: Start<'_>) -> bool {
    matches!(start.bytes, [1 | 2, 1..=32, 0..=16, 0..=16, ..])
        && start.bytes.get(236..240) == Some(&[0x63, 0x82, 0x53, 0x63])
}

fn radius(start: Start<'_>) -> bool {
    let code = matches!(byte(start.bytes, 0), Some(1..=5 | 11..=13 | 40..=45));
    code && be16(start.bytes, 2) == Some(start.length)
        && (20..=4_096).contains(&start.length)
        && start.is_packed(20, 2, |attribute| byte(attribute, 1).map(usize::from))
}

fn tacacs(start: Start<'_>) -> bool {
    is_framed(start.bytes, 12, |packet| match packet {
        [0xc0 | 0xc1, 1..=3, 1..=255, 0 | 1 | 4 | 5, ..] => {
            be32(packet, 8).filter(|length| *length <= 0x1_0000).map(|length| 12 + length)
        }
        _ => None,
    })
}

/// Reserved flags are 0, and the length is of whole words. Peers begin with their capabilities.
fn diameter(start: Start<'_>) -> bool {
    matches!(start.bytes.get(5..12), Some([0, 1, 1, 0, 0, 0, 0]))
        && is_framed(start.bytes, 20, |message| {
            let (version, length, flags) =
                (byte(message, 0)?, be24(message, 1)?, byte(message, 4)?);
            let fits = length.is_multiple_of(4) && length >= 20;
            (version == 1 && fits && flags & 0x0f == 0).then_some(length)
        })
}

/// Version 1, and a first message that has room in its unit.
fn ldp(start: Start<'_>) -> bool {
    is_framed(start.bytes, 14, |unit| {
        let (version, length) = (be16(unit, 0)?, be16(unit, 2)?);
        let (kind, message) = (be16(unit, 10)? & 0x7fff, be16(unit, 12)?);
        let known = matches!(kind, 1 | 0x100 | 0x200..=0x203 | 0x300 | 0x301 | 0x400..=0x405);
        (version == 1 && length >= 10 + message && known).then_some(4 + length)
    })
}

/// Both ends begin with HELLO, alone or with a map of versions.
fn openflow(start: Start<'_>) -> bool {
    matches!(start.bytes, [_, 0, 0, 8 | 16, ..])
        && is_framed(start.bytes, 8, |message| {
            let (version, kind, length) = (byte(message, 0)?, byte(message, 1)?, be16(message, 2)?);
            ((1..=6).contains(&version) && kind <= 35).then_some(length)
        })
}
