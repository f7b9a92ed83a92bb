//! Calls and media.

use super::read::{
    Start, be16, be32, byte, contains, decimal, is_framed, is_printable, is_text, line,
    starts_with_any,
};
use super::{Protocol, Row, Transport};

pub(super) const ROWS: &[Row] = &[
    Row::anywhere(Protocol::Sip, Transport::Both, &[5060, 5061, 5080], "RFC 3261 section 7", sip),
    Row::anywhere(Protocol::Rtsp, Transport::Tcp, &[554, 8554], "RFC 7826 section 7", rtsp),
    Row::anywhere(Protocol::H225, Transport::Tcp, &[1720], "H.225.0 section 7, Q.931", h225),
    Row::anywhere(Protocol::Stun, Transport::Udp, &[], "RFC 8489 section 5", stun),
    Row::anywhere(Protocol::Stun, Transport::Tcp, &[], "RFC 8489 section 6.2.2", stun_tcp),
    Row::on_port(Protocol::Stun, Transport::Udp, &[3478], "RFC 8656 section 12.4", turn_channel),
    Row::anywhere(Protocol::Rtcp, Transport::Udp, &[], "RFC 3550 section 6.1", rtcp),
    Row::anywhere(Protocol::Rtp, Transport::Udp, &[], "RFC 3550 section 5.1", rtp),
    Row::anywhere(Protocol::Rtp, Transport::Tcp, &[], "RFC 4571 section 2", rtp_tcp),
    Row::anywhere(Protocol::MpegTs, Transport::Udp, &[], "ISO 13818-1 section 2.4.3", mpeg_ts),
    Row::anywhere(Protocol::Rtmp, Transport::Tcp, &[1935], "RTMP 1.0 section 5.2.2", rtmp),
];

/// A request or an answer, and lines of a name and a value.
fn sip(start: Start<'_>) -> bool {
    let (first, rest) = line(start.bytes);
    let request = first.ends_with(b" SIP/2.0")
        && [&b" sip:"[..], b" sips:", b" tel:", b" urn:"].iter().any(|part| contains(first, part));
    let begins = request
        || matches!(first, [b'S', b'I', b'P', b'/', b'2', b'.', b'0', b' ', b'1'..=b'6', ..]);
    begins && is_printable(first) && is_message(rest.unwrap_or_default())
}

/// Lines of a name, a colon and a value up to an empty line, as far as they are there, and a body as
/// long as they say: without a length it is text to the end.
fn is_message(bytes: &[u8]) -> bool {
    let (mut rest, mut size) = (bytes, None);
    loop {
        let (first, after) = line(rest);
        let Some(after) = after else { return is_text(first) };
        rest = after;
        if first.is_empty() {
            break;
        }
        let folded = matches!(first, [b' ' | b'\t', ..]);
        if !is_text(first) || !folded && !first.contains(&b':') {
            return false;
        }
        let short = first.get(..2).filter(|name| name.eq_ignore_ascii_case(b"l:")).map(|_| 2);
        let long = starts_with_any(first, &[b"content-length:"]).then_some(15);
        let value = short.or(long).and_then(|at| first.get(at..));
        size = size.or(value.and_then(|value| decimal(value.trim_ascii())));
    }
    match size {
        None => is_text(rest),
        Some(size) => rest.get(size..).is_none_or(|next| {
            let (first, _) = line(next.trim_ascii_start());
            let message = contains(first, b"SIP/2.0") || contains(first, b"RTSP/");
            next.len() < 16 || message && is_printable(first) || is_interleaved(next)
        }),
    }
}

/// Media between messages, each behind its channel and its length (RFC 7826 section 14).
fn is_interleaved(bytes: &[u8]) -> bool {
    is_framed(bytes, 4, |frame| match frame {
        [b'$', 0..=15, ..] => be16(frame, 2).map(|length| 4 + length),
        [b'A'..=b'Z', b'A'..=b'Z', ..] => Some(usize::MAX),
        _ => None,
    })
}

fn rtsp(start: Start<'_>) -> bool {
    let (first, rest) = line(start.bytes);
    let methods: &[&[u8]] = &[
        b"OPTIONS ",
        b"DESCRIBE ",
        b"SETUP ",
        b"ANNOUNCE ",
        b"PLAY ",
        b"RECORD ",
        b"PAUSE ",
        b"TEARDOWN ",
        b"GET_PARAMETER ",
        b"SET_PARAMETER ",
    ];
    let request = starts_with_any(first, methods)
        && (first.ends_with(b" RTSP/1.0") || first.ends_with(b" RTSP/2.0"));
    (request || first.starts_with(b"RTSP/1.0 ") || first.starts_with(b"RTSP/2.0 "))
        && is_printable(first)
        && is_message(rest.unwrap_or_default())
}

/// Packets of RFC 1006 with call signalling: protocol 8, a reference of two bytes, a message that is
/// assigned, and elements in ascending order.
fn h225(start: Start<'_>) -> bool {
    is_framed(start.bytes, 9, |packet| {
        let [3, 0, _, _, 8, 2, _, _, kind, ..] = packet else { return None };
        let known = matches!(
            kind,
            0x01..=0x03
                | 0x05
                | 0x07
                | 0x0d
                | 0x0f
                | 0x4d
                | 0x5a
                | 0x62
                | 0x6e
                | 0x75
                | 0x7b
                | 0x7d
        );
        let element = packet.get(9).is_none_or(|first| {
            matches!(first, 0x04 | 0x08 | 0x14 | 0x18 | 0x1c | 0x1e | 0x24 | 0x27..=0x29 | 0x2c | 0x34
                | 0x4c | 0x6c | 0x70 | 0x7d | 0x7e | 0x80..)
        });
        be16(packet, 2).filter(|_| known && element)
    })
}

/// A message of whole words with the magic cookie, as long as it says.
fn stun_length(message: &[u8]) -> Option<usize> {
    let cookie = matches!(message, [0..=0x3f, _, _, _, 0x21, 0x12, 0xa4, 0x42, ..]);
    be16(message, 2).filter(|length| cookie && length.is_multiple_of(4)).map(|length| 20 + length)
}

fn stun(start: Start<'_>) -> bool {
    stun_length(start.bytes) == Some(start.length)
}

/// Over TCP data of a channel goes between messages.
fn stun_tcp(start: Start<'_>) -> bool {
    stun_length(start.bytes).is_some()
        && is_framed(start.bytes, 8, |message| {
            stun_length(message).or_else(|| {
                let channel = matches!(message, [0x40..=0x4f, ..]);
                be16(message, 2)
                    .filter(|_| channel)
                    .map(|length| (4 + length.next_multiple_of(4)).max(8))
            })
        })
}

/// Data of a channel as long as it says; over UDP without padding or with it.
fn turn_channel(start: Start<'_>) -> bool {
    let length = be16(start.bytes, 2);
    matches!(start.bytes, [0x40..=0x4f, ..])
        && length.is_some_and(|length| {
            (4 + length..4 + length.next_multiple_of(4) + 1).contains(&start.length)
        })
}

/// A report first, then packets of whole words to the datagram's end. What is encrypted (RFC 3711)
/// shows the first header alone.
fn rtcp(start: Start<'_>) -> bool {
    let packed = || {
        start.is_packed(0, 4, |packet| {
            let known = matches!(packet, [0x80..=0xbf, 200..=207, ..]);
            be16(packet, 2).filter(|_| known).map(|words| 4 * (words + 1))
        })
    };
    matches!(start.bytes, [0x80..=0xbf, 200 | 201 | 205 | 206, ..]) && start.length >= 8 && packed()
}

/// Version 2 without contributing sources, and a payload type that is assigned or dynamic (RFC 3551
/// section 6). One in 146 random starts looks so.
fn is_rtp(bytes: &[u8]) -> bool {
    let &[first, kind, ..] = bytes else { return false };
    let kind = kind & 0x7f;
    let assigned = matches!(kind, 0 | 3..=18 | 25 | 26 | 28 | 31..=34 | 96..=127);
    first & 0xcf == 0x80 && assigned && bytes.len() >= 24
}

fn rtp(start: Start<'_>) -> bool {
    is_rtp(start.bytes)
}

/// Packets, each after its length.
fn rtp_tcp(start: Start<'_>) -> bool {
    is_rtp(start.bytes.get(2..).unwrap_or_default())
        && is_framed(start.bytes, 4, |frame| {
            let rest = frame.get(2..)?;
            let version = byte(rest, 0)? & 0xc0 == 0x80;
            be16(frame, 0).filter(|length| version && (12..=1_500).contains(length)).map(|l| 2 + l)
        })
}

/// Packets of 188 bytes, each with its mark.
fn mpeg_ts(start: Start<'_>) -> bool {
    start.length.is_multiple_of(188)
        && start.bytes.len() >= 188
        && start.bytes.chunks(188).all(|packet| packet.starts_with(&[0x47]))
}

/// Version 3 and a time of 0 for the clock's start, as much of 1,537 bytes as a sample holds.
fn rtmp(start: Start<'_>) -> bool {
    const HELLO: usize = 1 + 1_536;
    let begins = matches!(start.bytes, [3, _, _, _, _, 0, 0, 0, 0, ..]);
    // The client echoes the server's half before its first message, of the protocol's own channel.
    let message = start.bytes.get(2 * HELLO - 1..).and_then(|rest| rest.first());
    begins
        && start.bytes.len() >= 512
        && message.is_none_or(|first| matches!(first & 0x3f, 2..=8))
        && be32(start.bytes, 5) == Some(0)
}
