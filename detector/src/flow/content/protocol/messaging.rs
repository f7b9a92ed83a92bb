//! Queues, chats and calls for messages.

use super::read::{
    Start, be16, be32, byte, contains, decimal, is_framed, is_printable, is_text, line,
    starts_with_any,
};
use super::{Protocol, Row, Transport};

pub(super) const ROWS: &[Row] = &[
    Row::anywhere(Protocol::Mqtt, Transport::Tcp, MQTT_PORTS, "MQTT 5.0 section 3.1", mqtt),
    Row::on_port(Protocol::Mqtt, Transport::Tcp, MQTT_PORTS, "MQTT 5.0 section 3.2", mqtt_server),
    Row::anywhere(Protocol::Amqp, Transport::Tcp, &[5671, 5672], "AMQP 0-9-1 section 4.2.2", amqp),
    Row::anywhere(
        Protocol::Amqp,
        Transport::Tcp,
        &[5671, 5672],
        "AMQP 0-9-1 sections 2.3.5 and 1.4",
        amqp_server,
    ),
    Row::anywhere(
        Protocol::Kafka,
        Transport::Tcp,
        KAFKA_PORTS,
        "Apache Kafka protocol guide, request header",
        kafka,
    ),
    Row::on_port(
        Protocol::Kafka,
        Transport::Tcp,
        KAFKA_PORTS,
        "Apache Kafka protocol guide, request header",
        kafka_nameless,
    ),
    Row::on_port(
        Protocol::Kafka,
        Transport::Tcp,
        KAFKA_PORTS,
        "Apache Kafka protocol guide, response header",
        kafka_server,
    ),
    Row::anywhere(Protocol::Nats, Transport::Tcp, &[4222, 6222], "NATS client protocol", nats),
    Row::anywhere(Protocol::Xmpp, Transport::Tcp, XMPP_PORTS, "RFC 6120 section 4.2", xmpp),
    Row::anywhere(Protocol::Irc, Transport::Tcp, IRC_PORTS, "RFC 2812 section 2.3.1", irc),
    Row::anywhere(Protocol::Stomp, Transport::Tcp, &[61_613], "STOMP 1.2, CONNECT frame", stomp),
];

const MQTT_PORTS: &[u16] = &[1883, 1884, 8883];
const KAFKA_PORTS: &[u16] = &[9092, 9093, 9094, 19_092, 29_092];
const XMPP_PORTS: &[u16] = &[5222, 5223, 5269, 5280];
const IRC_PORTS: &[u16] =
    &[194, 994, 6660, 6661, 6662, 6663, 6664, 6665, 6666, 6667, 6668, 6669, 7000];

/// The length of a control packet: flags as its type has them, a remaining length of one to four
/// bytes.
fn mqtt_length(packet: &[u8]) -> Option<usize> {
    let first = byte(packet, 0)?;
    let flags = match first >> 4 {
        0 => false,
        3 => first & 6 != 6 && mqtt_topic(packet),
        6 | 8 | 10 => first & 15 == 2,
        _ => first & 15 == 0,
    };
    let (mut length, mut at) = (0, 1);
    loop {
        let digit = usize::from(byte(packet, at)?);
        length |= (digit & 0x7f) << (7 * (at - 1));
        at += 1;
        if digit < 0x80 {
            break;
        }
        if at > 4 {
            return None;
        }
    }
    let most = match first >> 4 {
        12 | 13 => 0,
        2 | 4..=7 | 11 | 14 => 0x3fff,
        _ => usize::MAX,
    };
    (flags && length <= most).then_some(at + length)
}

/// What is published has a name in print.
fn mqtt_topic(packet: &[u8]) -> bool {
    let digits = packet.iter().skip(1).take(4).take_while(|digit| **digit >= 0x80).count();
    let Some(size) = be16(packet, 2 + digits) else { return packet.len() < 8 };
    let name = packet.get(4 + digits..).unwrap_or_default();
    (1..=1_024).contains(&size) && is_text(name.get(..size).unwrap_or(name))
}

/// CONNECT names its protocol and its level.
fn mqtt(start: Start<'_>) -> bool {
    let Some(length) = mqtt_length(start.bytes) else { return false };
    let body = start.bytes.get(2..).unwrap_or_default();
    let body = if byte(start.bytes, 1).is_some_and(|digit| digit >= 0x80) {
        body.get(1..).unwrap_or_default()
    } else {
        body
    };
    let named = match body {
        [0, 4, b'M', b'Q', b'T', b'T', 4 | 5, flags, ..]
        | [0, 6, b'M', b'Q', b'I', b's', b'd', b'p', 3, flags, ..] => flags & 1 == 0,
        _ => false,
    };
    byte(start.bytes, 0) == Some(0x10) && named && length >= 14 && is_mqtt(start.bytes)
}

/// The shortest packets have two bytes; a length that is cut is none that is wrong.
fn is_mqtt(bytes: &[u8]) -> bool {
    is_framed(bytes, 2, |packet| mqtt_length(packet).or((packet.len() < 5).then_some(5)))
}

/// CONNACK: whether a session is there, and a reason.
fn mqtt_server(start: Start<'_>) -> bool {
    let known = match start.bytes {
        [0x20, 2, 0 | 1, 0..=5, ..] => true,
        [0x20, 3..=0x7f, 0 | 1, reason, ..] => *reason == 0 || *reason >= 0x80,
        _ => false,
    };
    known && is_mqtt(start.bytes)
}

/// A header of eight bytes that names a version. What a client sends before the server has answered
/// are frames of AMQP 1.0.
fn amqp(start: Start<'_>) -> bool {
    let Some((header, rest)) = start.bytes.split_at_checked(8) else { return false };
    match header {
        [b'A', b'M', b'Q', b'P', 0, 0, 9, 0 | 1] | [b'A', b'M', b'Q', b'P', 1, 1, 0, 9 | 10] => {
            rest.is_empty() || is_framed(rest, 7, amqp_frame)
        }
        [b'A', b'M', b'Q', b'P', 0 | 2 | 3, 1, 0, 0] => {
            rest.is_empty() || is_framed(rest, 8, amqp_frame_1)
        }
        _ => false,
    }
}

fn amqp_frame(frame: &[u8]) -> Option<usize> {
    let (kind, length) = (byte(frame, 0)?, be32(frame, 3)?);
    let ends = byte(frame, 7 + length).is_none_or(|end| end == 0xce);
    (matches!(kind, 1 | 2 | 3 | 8) && ends && length < 1 << 28).then_some(8 + length)
}

/// A frame of AMQP 1.0, or the next header: SASL comes before AMQP.
fn amqp_frame_1(frame: &[u8]) -> Option<usize> {
    if matches!(frame, [b'A', b'M', b'Q', b'P', 0 | 2 | 3, 1, 0, 0, ..]) {
        return Some(8);
    }
    let [_, _, _, _, 2..=4, 0 | 1, _, _, ..] = frame else { return None };
    be32(frame, 0)
}

/// Connection.Start on channel 0.
fn amqp_server(start: Start<'_>) -> bool {
    matches!(start.bytes, [1, 0, 0, _, _, _, _, 0, 10, 0, 10, 0, 9, ..])
        && is_framed(start.bytes, 7, amqp_frame)
}

/// Requests with a key and a version that are assigned and a client's name in print.
fn kafka(start: Start<'_>) -> bool {
    be16(start.bytes, 12).is_some_and(|name| (1..=249).contains(&name)) && is_kafka(start.bytes)
}

/// The same without a name.
fn kafka_nameless(start: Start<'_>) -> bool {
    is_kafka(start.bytes)
}

fn is_kafka(bytes: &[u8]) -> bool {
    is_framed(bytes, 14, |request| {
        let length = be32(request, 0)?;
        let (key, version, name) = (be16(request, 4)?, be16(request, 6)?, be16(request, 12)?);
        let text = request.get(14..)?;
        let named = match name {
            0xffff => true,
            name => name + 10 <= length && is_printable(text.get(..name).unwrap_or(text)),
        };
        let fits = (10..=1 << 27).contains(&length) && key <= 92 && version <= 20;
        (fits && named).then_some(4 + length)
    })
}

/// One response as long as the segment, to one of a client's first requests.
fn kafka_server(start: Start<'_>) -> bool {
    let (length, number) = (be32(start.bytes, 0), be32(start.bytes, 4));
    length.is_some_and(|length| length + 4 == start.length && length >= 6)
        && number.is_some_and(|number| number <= 0xffff)
}

/// INFO or CONNECT with an object, and lines with the payload that they announce.
fn nats(start: Start<'_>) -> bool {
    let (first, rest) = line(start.bytes);
    let begins = first.starts_with(b"INFO {") || first.starts_with(b"CONNECT {");
    let ends = rest.is_none() || first.trim_ascii_end().ends_with(b"}");
    begins && is_text(first) && ends && rest.is_none_or(is_nats)
}

fn is_nats(mut rest: &[u8]) -> bool {
    let plain: &[&[u8]] =
        &[b"PING", b"PONG", b"SUB ", b"UNSUB ", b"+OK", b"-ERR", b"INFO {", b"RS"];
    while rest.len() >= 6 {
        let (first, after) = line(rest);
        let size = if starts_with_any(first, &[b"PUB ", b"HPUB ", b"MSG ", b"HMSG "]) {
            first.rsplit(|byte| *byte == b' ').next().and_then(decimal).map(|size| size + 2)
        } else {
            starts_with_any(first, plain).then_some(0)
        };
        match (size, after) {
            (Some(size), Some(after)) if is_text(first) => {
                rest = after.get(size..).unwrap_or_default()
            }
            (_, None) => return is_text(first),
            _ => return false,
        }
    }
    true
}

/// The head of a stream, or that of a stream over WebSocket.
fn xmpp(start: Start<'_>) -> bool {
    let head = start.bytes.get(..start.bytes.len().min(200)).unwrap_or_default();
    let begins = head.starts_with(b"<stream:stream ")
        || head.starts_with(b"<?xml ") && contains(head, b"<stream:stream ");
    begins && is_text(start.bytes)
}

/// Lines of commands; the first of a client registers, the first of a server names it.
fn irc(start: Start<'_>) -> bool {
    let (first, rest) = line(start.bytes);
    let words: Vec<&[u8]> = first.splitn(5, |byte| *byte == b' ').collect();
    let begins = match words.as_slice() {
        [b"NICK", name] => (1..=64).contains(&name.len()),
        [b"CAP", b"LS" | b"REQ" | b"END", ..] | [b"CAP", b"*", b"LS", ..] => true,
        [b"USER", _, _, _, name] => name.starts_with(b":"),
        [b"PASS", _] => {
            rest.is_some_and(|rest| starts_with_any(rest, &[b"NICK ", b"CAP ", b"USER "]))
                && rest.is_some_and(|rest| contains(rest, b"NICK "))
        }
        [b"NOTICE", b"AUTH" | b"*", ..] => true,
        [server, b"NOTICE", b"AUTH" | b"*", ..] => server.starts_with(b":"),
        [server, number, ..] if number.len() == 3 => {
            server.starts_with(b":") && decimal(number).is_some()
        }
        _ => false,
    };
    begins && first.len() <= 510 && rest.is_some_and(is_text) && is_text(first)
}

/// A frame of a command and headers with a NUL at its end; then more of them.
fn stomp(start: Start<'_>) -> bool {
    let (first, rest) = line(start.bytes);
    let begins = matches!(first, b"CONNECT" | b"STOMP" | b"CONNECTED");
    let Some(rest) = rest.filter(|_| begins) else { return false };
    let mut parts = rest.splitn(2, |byte| *byte == 0);
    let headers = parts.next().unwrap_or_default();
    let next = parts.next().unwrap_or_default().trim_ascii_start();
    let known: &[&[u8]] = &[
        b"SEND\n",
        b"SUBSCRIBE\n",
        b"BEGIN\n",
        b"ACK\n",
        b"MESSAGE\n",
        b"RECEIPT\n",
        b"ERROR\n",
        b"DISCONNECT\n",
    ];
    contains(line(headers).0, b":")
        && is_text(headers)
        && (next.len() < 12 || starts_with_any(next, known))
}
