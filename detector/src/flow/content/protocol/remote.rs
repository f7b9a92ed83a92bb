//! Desktops, peers, repositories, disks and other ways to move files.

use super::read::{
    Start, be16, be24, be32, byte, decimal, is_framed, is_printable, is_text, is_tls, le32, line,
    starts_with_any,
};
use super::{Protocol, Row, Transport};

pub(super) const ROWS: &[Row] = &[
    Row::anywhere(Protocol::Rdp, Transport::Tcp, &[3389, 3390], "MS-RDPBCGR section 2.2.1.1", rdp),
    Row::anywhere(Protocol::Rfb, Transport::Tcp, RFB_PORTS, "RFC 6143 section 7.1.1", rfb),
    Row::on_port(
        Protocol::X11,
        Transport::Tcp,
        X11_PORTS,
        "X Window System Protocol, section 8",
        x11,
    ),
    Row::on_port(Protocol::Telnet, Transport::Tcp, &[23, 992], "RFC 854", telnet),
    Row::anywhere(Protocol::BitTorrent, Transport::Tcp, &[], "BEP 3, peer protocol", bittorrent),
    Row::anywhere(
        Protocol::BitTorrent,
        Transport::Udp,
        &[],
        "BEP 5, BEP 15, BEP 29",
        bittorrent_udp,
    ),
    Row::anywhere(Protocol::Iperf, Transport::Tcp, IPERF_PORTS, "iperf 3, state cookie", iperf3),
    Row::anywhere(Protocol::Iperf, Transport::Tcp, IPERF_PORTS, "iperf 2, client header", iperf2),
    Row::anywhere(Protocol::Iperf, Transport::Udp, IPERF_PORTS, "iperf 2, client header", iperf2),
    Row::on_port(Protocol::Iperf, Transport::Udp, IPERF_PORTS, "iperf 3, stream setup", iperf3_udp),
    Row::anywhere(
        Protocol::Rsync,
        Transport::Tcp,
        &[873],
        "rsync daemon protocol, greeting",
        rsync,
    ),
    Row::anywhere(Protocol::Git, Transport::Tcp, &[9418], "gitprotocol-pack, git transport", git),
    Row::anywhere(Protocol::Svn, Transport::Tcp, &[3690], "Subversion ra_svn protocol", svn),
    Row::anywhere(
        Protocol::Iscsi,
        Transport::Tcp,
        &[860, 3205, 3260],
        "RFC 7143 section 11.12",
        iscsi,
    ),
    Row::anywhere(
        Protocol::Dicom,
        Transport::Tcp,
        &[104, 2761, 2762, 11_112],
        "DICOM PS3.8 section 9.3",
        dicom,
    ),
    Row::on_port(Protocol::Afp, Transport::Tcp, &[548], "Apple DSI header", afp),
    Row::on_port(Protocol::Lpd, Transport::Tcp, &[515], "RFC 1179 section 5", lpd),
    Row::anywhere(
        Protocol::Lumberjack,
        Transport::Tcp,
        &[5044],
        "Lumberjack protocol version 2",
        lumberjack,
    ),
    Row::anywhere(
        Protocol::Zabbix,
        Transport::Tcp,
        &[10_050, 10_051],
        "Zabbix protocol, header",
        zabbix,
    ),
    Row::anywhere(
        Protocol::Bitcoin,
        Transport::Tcp,
        &[8333, 18_333],
        "Bitcoin P2P, message header",
        bitcoin,
    ),
    Row::on_port(Protocol::Tftp, Transport::Udp, &[69], "RFC 1350 section 5", tftp),
];

const RFB_PORTS: &[u16] = &[5500, 5800, 5900, 5901, 5902, 5903, 5904, 5905, 5906];
const X11_PORTS: &[u16] = &[6000, 6001, 6002, 6003, 6004, 6005, 6006, 6007];
const IPERF_PORTS: &[u16] = &[5001, 5201];

/// A request or an answer of X.224 without selectors: with a cookie, a negotiation or nothing behind
/// it; then packets of either kind, or TLS.
fn rdp(start: Start<'_>) -> bool {
    let bytes = start.bytes;
    let [3, 0, _, _, indicator, 0xe0 | 0xd0, _, _, _, _, 0, variable @ ..] = bytes else {
        return false;
    };
    let Some(length) = be16(bytes, 2) else { return false };
    let named = starts_with_any(variable, &[b"Cookie: mst", b"tsv://", b"mstshash="]);
    let negotiated = matches!(variable, [1..=3, _, 8, 0, ..]);
    let rest = bytes.get(length..).unwrap_or_default();
    usize::from(*indicator) + 5 == length
        && (length == 11 || named || negotiated)
        && (rest.is_empty() || is_tls(rest) || is_rdp(rest))
}

/// Packets of RFC 1006 until the channels are joined, then those of the fast path among them.
fn is_rdp(rest: &[u8]) -> bool {
    let mut seen = 0;
    is_framed(rest, 4, |packet| {
        seen += 1;
        let joined = seen > 4 || packet.starts_with(&[3, 0]);
        rdp_length(packet).filter(|_| joined)
    })
}

fn rdp_length(packet: &[u8]) -> Option<usize> {
    match packet {
        [3, 0, _, _, ..] => be16(packet, 2),
        // The fast path: one or two bytes of length (MS-RDPBCGR section 2.2.8.1.2).
        [first, high @ 0x80..=0xff, low, ..] if first & 3 == 0 => {
            Some(usize::from(*high & 0x7f) << 8 | usize::from(*low))
        }
        [first, length, ..] if first & 3 == 0 => Some(usize::from(*length)),
        _ => None,
    }
}

/// A version in a line of twelve bytes; then the choice of a security type and a client's messages.
fn rfb(start: Start<'_>) -> bool {
    let Some((banner, rest)) = start.bytes.split_first_chunk::<12>() else { return false };
    let [b'R', b'F', b'B', b' ', major @ .., b'\n'] = banner else { return false };
    let version =
        matches!(major, [b'0', b'0', b'3'..=b'5', b'.', b'0' | b'8', b'0'..=b'9', b'0'..=b'9']);
    let messages = match rest {
        // No authentication: shared or not, then messages.
        [1, 0 | 1, messages @ ..] => messages.is_empty() || is_framed(messages, 4, rfb_length),
        // The response to the challenge has 16 bytes.
        [2, _, response @ ..] => response
            .get(16..)
            .is_none_or(|messages| messages.is_empty() || is_framed(messages, 4, rfb_length)),
        // Other types have dialogues of their own.
        [] | [1 | 2] | [5 | 6 | 16..=22 | 30..=35 | 129..=134, ..] => true,
        _ => false,
    };
    version && messages
}

fn rfb_length(message: &[u8]) -> Option<usize> {
    match message {
        [0, 0, 0, 0, ..] => Some(20),
        [2, _, high, low, ..] => Some(4 + 4 * usize::from(u16::from_be_bytes([*high, *low]))),
        [3, 0 | 1, ..] => Some(10),
        [4, 0 | 1, ..] => Some(8),
        [5, ..] => Some(6),
        [6, 0, 0, 0, ..] => Some(be32(message, 4).map_or(8, |length| 8 + length)),
        [150, 0 | 1, ..] => Some(10),
        _ => None,
    }
}

/// Byte order, version 11.0, and names and data of an authorization in whole words. The first requests
/// are short: extensions, atoms, properties, contexts.
fn x11(start: Start<'_>) -> bool {
    let (name, data, little) = match *start.bytes {
        [b'l', 0, 11, 0, 0, 0, name, 0, data, 0, 0, 0, ..] => (name, data, true),
        [b'B', 0, 0, 11, 0, 0, 0, name, 0, data, 0, 0, ..] => (name, data, false),
        _ => return false,
    };
    let words = |length: u8| usize::from(length).next_multiple_of(4);
    let first = start.bytes.get(12 + words(name) + words(data)..).unwrap_or_default();
    match *first {
        [code, _, low, high, ..] => {
            let length = if little { [high, low] } else { [low, high] };
            let short = (1..=64).contains(&u16::from_be_bytes(length));
            short && matches!(code, 1 | 16..=20 | 43 | 47 | 53 | 55 | 97..=99)
        }
        _ => true,
    }
}

/// Negotiations of options alone.
fn telnet(start: Start<'_>) -> bool {
    matches!(start.bytes, [0xff, 0xfa..=0xfe, ..])
        && is_framed(start.bytes, 3, |command| match command {
            [0xff, 0xfb..=0xfe, 0..=49 | 200..=255, ..] => Some(3),
            [0xff, 0xfa, ..] => {
                let end = command.windows(2).position(|pair| pair == [0xff, 0xf0]);
                Some(end.map_or(command.len(), |end| end + 2).max(3))
            }
            _ => None,
        })
}

/// A handshake of 68 bytes, then messages of at most a block.
fn bittorrent(start: Start<'_>) -> bool {
    let Some(rest) = start.bytes.strip_prefix(b"\x13BitTorrent protocol") else { return false };
    let messages = rest.get(48..).unwrap_or_default();
    messages.len() < 4
        || is_framed(messages, 4, |message| {
            let length = be32(message, 0).filter(|length| *length <= 1 << 20)?;
            let kind = byte(message, 4).filter(|_| length != 0).unwrap_or(0);
            matches!(kind, 0..=9 | 13..=17 | 20..=23).then_some(4 + length)
        })
}

/// A message of the hash table, a tracker's connection, or the opening of a micro-transport.
fn bittorrent_udp(start: Start<'_>) -> bool {
    let table: &[&[u8]] = &[b"d1:ad2:id20:", b"d1:rd2:id20:", b"d1:eli20", b"d2:ip6:"];
    let tracker = start.length == 16
        && start.bytes.starts_with(&[0, 0, 4, 0x17, 0x27, 0x10, 0x19, 0x80, 0, 0, 0, 0]);
    // SYN: version 1, no time difference yet, number 1.
    let opening = matches!(start.bytes, [0x41, 0..=2, ..])
        && start.bytes.get(8..12) == Some(&[0; 4])
        && be16(start.bytes, 16) == Some(1)
        && (20..=40).contains(&start.length);
    starts_with_any(start.bytes, table) || tracker || opening
}

/// A cookie of 36 letters of base 32 and NUL. Data follows on one connection, and an object behind its
/// length on the other.
fn iperf3(start: Start<'_>) -> bool {
    let letters = |byte: &u8| matches!(byte, b'a'..=b'z' | b'2'..=b'7');
    start.bytes.get(..36).is_some_and(|cookie| cookie.iter().all(letters))
        && byte(start.bytes, 36) == Some(0)
}

/// Flags and sizes, and then nothing but digits in their order.
fn iperf2(start: Start<'_>) -> bool {
    // The header has 24 bytes over TCP, 36 and more over UDP; newer versions have longer ones.
    let Some(tail) = start.bytes.get(start.bytes.len().saturating_sub(64)..) else { return false };
    let digits = |pair: &[u8]| match pair {
        [b'9', b'0'] => true,
        [first @ b'0'..=b'8', second] => *second == first + 1,
        _ => false,
    };
    start.bytes.len() >= 160 && tail.windows(2).all(digits)
}

/// What a client asks and a server answers before a stream of datagrams.
fn iperf3_udp(start: Start<'_>) -> bool {
    start.length == 4
        && matches!(
            start.bytes,
            b"6789"
                | b"9876"
                | [0x15, 0xcd, 0x5b, 7]
                | [7, 0x5b, 0xcd, 0x15]
                | [0x3a, 0xde, 0x68, 0xb1]
                | [0xb1, 0x68, 0xde, 0x3a]
        )
}

/// A version; a client goes on with the name of a module and its arguments.
fn rsync(start: Start<'_>) -> bool {
    let (first, rest) = line(start.bytes);
    let version = first.strip_prefix(b"@RSYNCD: ").is_some_and(|version| {
        version.first().is_some_and(u8::is_ascii_digit) && is_printable(version)
    });
    let (module, after) = line(rest.unwrap_or_default());
    let after = after.unwrap_or_default();
    let (next, _) = line(after);
    let arguments =
        after.len() < 8 || after.starts_with(b"--server") || next.len() >= 8 && is_text(next);
    version && rest.is_some() && is_text(module) && module.len() <= 1_024 && arguments
}

/// Lines behind their length in four hexadecimal digits. A client names a service and a path.
fn git(start: Start<'_>) -> bool {
    let body = start.bytes.get(4..).unwrap_or_default();
    let asks = starts_with_any(
        body,
        &[b"git-upload-pack /", b"git-receive-pack /", b"git-upload-archive /", b"version "],
    );
    let hash = |text: &[u8]| text.iter().all(u8::is_ascii_hexdigit);
    let answers = body.get(..40).is_some_and(hash) && byte(body, 40) == Some(b' ')
        || body.starts_with(b"ERR ");
    (asks || answers)
        && is_framed(start.bytes, 4, |packet| {
            let digits = packet.get(..4).filter(|text| hash(text))?;
            match usize::from_str_radix(str::from_utf8(digits).ok()?, 16).ok()? {
                0..=2 => Some(4),
                length @ 4..=65_520 => Some(length),
                _ => None,
            }
        })
}

/// Lists of words and of strings behind their lengths; both ends begin with a list of versions.
fn svn(start: Start<'_>) -> bool {
    let begins = starts_with_any(
        start.bytes,
        &[b"( success ( ", b"( failure ( ", b"( 1 ( ", b"( 2 ( ", b"( 2 2 ( "],
    );
    begins && is_text(start.bytes)
}

/// A login request or response of version 0, with the length of its text.
fn iscsi(start: Start<'_>) -> bool {
    let begins =
        matches!(start.bytes, [0x43, _, 0, 0, 0, 0, _, _, ..] | [0x23, _, 0, 0, 0, 0, _, _, ..]);
    let text = start.bytes.get(48..).is_none_or(|text| {
        text.is_empty() || text.iter().take(64).all(|byte| matches!(byte, 0 | b' '..=b'~'))
    });
    begins
        && text
        && is_framed(start.bytes, 48, |unit| {
            let code = byte(unit, 0)? & 0x3f;
            let known = matches!(code, 0..=6 | 0x10 | 0x20..=0x26 | 0x31 | 0x32 | 0x3f);
            let data = be24(unit, 5)?.next_multiple_of(4);
            let more = 4 * usize::from(byte(unit, 4)?);
            (known && data <= 1 << 24).then_some(48 + more + data)
        })
}

/// An association is asked for, accepted or refused; data follow in units of a type and a length.
fn dicom(start: Start<'_>) -> bool {
    let begins = match start.bytes {
        [1 | 2, 0, _, _, _, _, 0, 1, 0, 0, titles @ ..] => {
            is_printable(titles.get(..titles.len().min(32)).unwrap_or_default())
        }
        [3, 0, 0, 0, 0, 4, 0, 1 | 2, 1..=3, _] => true,
        _ => false,
    };
    begins
        && is_framed(start.bytes, 6, |unit| {
            let [1..=7, 0, ..] = unit else { return None };
            be32(unit, 2).filter(|length| (4..1 << 28).contains(length)).map(|length| 6 + length)
        })
}

/// A request or a reply with a command that is assigned, and reserved bytes of 0.
fn afp(start: Start<'_>) -> bool {
    is_framed(start.bytes, 16, |message| {
        let [0 | 1, 1..=8, ..] = message else { return None };
        let reserved = be32(message, 12)? == 0;
        be32(message, 8).filter(|length| reserved && *length <= 1 << 28).map(|length| 16 + length)
    })
}

/// A command and the name of a queue; then files, each with its size and name.
fn lpd(start: Start<'_>) -> bool {
    let (first, rest) = line(start.bytes);
    let named = matches!(first, [1..=5, queue @ ..] if !queue.is_empty() && is_printable(queue));
    let mut rest = rest.filter(|_| named);
    while let Some(bytes) = rest.filter(|bytes| !bytes.is_empty()) {
        let (file, after) = line(bytes);
        let [1..=3, text @ ..] = file else { return false };
        let size = text.split(|byte| *byte == b' ').next().and_then(decimal);
        let Some(size) = size.filter(|_| is_printable(text)) else { return after.is_none() };
        // A byte of 0 ends a file.
        rest = after.and_then(|after| after.get(size + 1..));
    }
    named && line(start.bytes).1.is_some()
}

/// Frames of version 1 and 2: a window, then events, compressed or not.
fn lumberjack(start: Start<'_>) -> bool {
    let window = matches!(start.bytes, [b'1' | b'2', b'W', 0, 0, _, _, ..]);
    window
        && is_framed(start.bytes, 6, |frame| match frame {
            [b'1' | b'2', b'W' | b'A', 0, ..] => Some(6),
            [b'1' | b'2', b'C', ..] => be32(frame, 2).map(|length| 6 + length),
            [b'2', b'J', ..] => be32(frame, 6).map_or(Some(10), |length| Some(10 + length)),
            // Pairs of names and values.
            [b'1', b'D', ..] => Some(usize::MAX),
            _ => None,
        })
}

/// A name, flags and the length of the data, with four bytes or, of large packets, eight.
fn zabbix(start: Start<'_>) -> bool {
    let [b'Z', b'B', b'X', b'D', flags @ 1..=7, ..] = start.bytes else { return false };
    let long = flags & 4 != 0;
    let length = le32(start.bytes, 5);
    let fits =
        long || length.is_some_and(|length| length <= 1 << 30 && 13 + length >= start.bytes.len());
    // Data are an object, a value or compressed.
    let body = byte(start.bytes, if long { 21 } else { 13 });
    fits && (flags & 2 == 0 || body.is_none_or(|first| first == 0x78))
}

/// The network's magic and a command in print with its padding of 0.
fn bitcoin(start: Start<'_>) -> bool {
    is_framed(start.bytes, 24, |message| {
        let magic = matches!(
            message,
            [0xf9, 0xbe, 0xb4, 0xd9, ..] | [0x0b, 0x11, 9, 7, ..] | [0xfa, 0xbf, 0xb5, 0xda, ..]
        );
        let command = message.get(4..16)?;
        let letters = command.iter().take_while(|byte| byte.is_ascii_lowercase()).count();
        let padded = command.iter().skip(letters).all(|byte| *byte == 0 || byte.is_ascii_digit());
        let length = le32(message, 16)?;
        (magic && letters >= 2 && padded && length <= 1 << 25).then_some(24 + length)
    })
}

/// A request with the name of a file, a mode and options, each ended by NUL.
fn tftp(start: Start<'_>) -> bool {
    let [0, 1 | 2, rest @ ..] = start.bytes else { return false };
    let mut parts = rest.split(|byte| *byte == 0);
    let name = parts.next().unwrap_or_default();
    let mode = parts.next().unwrap_or_default();
    let known =
        [&b"octet"[..], b"netascii", b"mail"].iter().any(|known| mode.eq_ignore_ascii_case(known));
    !name.is_empty() && is_text(name) && known && rest.ends_with(&[0]) && parts.all(is_printable)
}
