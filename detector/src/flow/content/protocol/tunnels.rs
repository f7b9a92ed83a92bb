//! What hides what it carries: tunnels and encrypted transports.

use super::read::{Start, be16, be32, byte, is_framed, is_tls};
use super::{Protocol, Row, Transport};

pub(super) const ROWS: &[Row] = &[
    Row::anywhere(Protocol::Tls, Transport::Tcp, &[], "RFC 8446 section 5.1", tls),
    Row::anywhere(Protocol::Quic, Transport::Udp, &[], "RFC 9000 section 17.2, RFC 9369", quic),
    Row::anywhere(Protocol::Ssh, Transport::Tcp, &[], "RFC 4253 sections 4.2 and 6", ssh),
    Row::anywhere(Protocol::WireGuard, Transport::Udp, &[], "WireGuard section 5.4", wireguard),
    Row::on_port(
        Protocol::WireGuard,
        Transport::Udp,
        &[51_820],
        "WireGuard section 5.4.6",
        wireguard_data,
    ),
    Row::anywhere(
        Protocol::OpenVpn,
        Transport::Udp,
        &[1194],
        "OpenVPN wire protocol, P_CONTROL_HARD_RESET",
        openvpn,
    ),
    Row::anywhere(
        Protocol::OpenVpn,
        Transport::Tcp,
        &[1194],
        "OpenVPN wire protocol, P_CONTROL_HARD_RESET",
        openvpn_tcp,
    ),
    Row::on_port(
        Protocol::OpenVpn,
        Transport::Udp,
        &[1194],
        "OpenVPN wire protocol, P_DATA_V2",
        openvpn_data,
    ),
    Row::anywhere(Protocol::Ipsec, Transport::Udp, &[500, 4500], "RFC 7296 section 3.1", ike),
    Row::on_port(Protocol::Ipsec, Transport::Udp, &[4500], "RFC 3948 sections 2.1 and 2.3", esp),
    Row::anywhere(Protocol::L2tp, Transport::Udp, &[1701], "RFC 2661 section 3.1", l2tp),
    Row::on_port(Protocol::L2tp, Transport::Udp, &[1701], "RFC 2661 section 3.1", l2tp_data),
    Row::anywhere(Protocol::Pptp, Transport::Tcp, &[1723], "RFC 2637 section 2", pptp),
    Row::anywhere(Protocol::Socks, Transport::Tcp, &[1080], "RFC 1928 section 3", socks),
];

/// Records; the first is a handshake, an alert or what a stream is joined in.
fn tls(start: Start<'_>) -> bool {
    let begins = match start.bytes {
        // A message that is no longer than 64 kB, of a kind that begins a handshake or follows one.
        [0x16, 3, 0..=4, _, _, kind, high, ..] => {
            *high == 0 && is_message(*kind) || is_sealed(start.bytes)
        }
        [0x15, 3, 0..=4, 0, 2, level, ..] => matches!(level, 1 | 2),
        [0x14, 3, 0..=4, 0, 1, 1, ..] => true,
        [0x15 | 0x17, 3, 0..=4, ..] | [0x14 | 0x16, 3, 0..=4, _, _] => true,
        [0x16, 3, 0..=4, _, _, kind] => is_message(*kind),
        _ => false,
    };
    begins && is_tls(start.bytes)
}

/// Of a handshake.
fn is_message(kind: u8) -> bool {
    matches!(kind, 0..=2 | 4 | 8 | 11..=16 | 20 | 22)
}

/// A handshake's record within a session whose start was not seen: sealed, with a nonce.
fn is_sealed(bytes: &[u8]) -> bool {
    be16(bytes, 3).is_some_and(|length| (16..=512).contains(&length))
        && bytes.get(5..9) == Some(&[0; 4])
}

/// A long header with the fixed bit, a version that is assigned or a draft, and connection
/// identifiers of at most 20 bytes.
fn quic(start: Start<'_>) -> bool {
    let bytes = start.bytes;
    let first = byte(bytes, 0).unwrap_or_default();
    let version = matches!(
        bytes.get(1..5),
        Some([0, 0, 0, 1] | [0x6b, 0x33, 0x43, 0xcf] | [0xff, 0, 0, 0x1d..=0x22])
    );
    let Some(destination) = byte(bytes, 5) else { return false };
    let source = byte(bytes, 6 + usize::from(destination)).unwrap_or_default();
    first & 0xc0 == 0xc0 && version && destination <= 20 && source <= 20
}

/// A line of at most 255 bytes, then packets with a length and padding, until the keys are taken into
/// use. Version 1 has packets of another kind.
fn ssh(start: Start<'_>) -> bool {
    let (banner, rest) = super::read::line(start.bytes);
    let old = banner.starts_with(b"SSH-1.");
    let mut sealed = false;
    let packets = rest.filter(|rest| rest.len() >= 6).is_none_or(|rest| {
        old || is_framed(rest, 6, |packet| {
            let (length, padding, kind) = (be32(packet, 0)?, byte(packet, 4)?, byte(packet, 5)?);
            let known = padding >= 4 && matches!(kind, 1..=4 | 20 | 21 | 30..=34);
            let fits = sealed || known && (8..=35_000).contains(&length);
            let end = if sealed { usize::MAX } else { 4 + length };
            sealed |= kind == 21;
            fits.then_some(end)
        })
    });
    (old || banner.starts_with(b"SSH-2.0-"))
        && banner.len() <= 253
        && super::read::is_printable(banner)
        && packets
}

/// A handshake's initiation has 148 bytes, a response 92, a cookie 64.
fn wireguard(start: Start<'_>) -> bool {
    matches!(
        (start.bytes, start.length),
        ([1, 0, 0, 0, ..], 148) | ([2, 0, 0, 0, ..], 92) | ([3, 0, 0, 0, ..], 64)
    )
}

fn wireguard_data(start: Start<'_>) -> bool {
    matches!(start.bytes, [4, 0, 0, 0, ..]) && start.length >= 32 && start.length.is_multiple_of(16)
}

/// Lengths of a first packet: with nothing around it, and with an HMAC of SHA-1, SHA-256 or SHA-512
/// or sealed (tls-auth, tls-crypt).
const OPENVPN_CLIENT: [usize; 5] = [14, 42, 54, 86, 62];
/// A server's acknowledges the client's, which takes 12 bytes.
const OPENVPN_SERVER: [usize; 5] = [26, 54, 66, 98, 74];

/// A reset of version 2 or 3, key 0, and the session's number.
fn is_openvpn(bytes: &[u8], length: usize) -> bool {
    let session = bytes.get(1..9).is_some_and(|session| session.iter().any(|byte| *byte != 0));
    let plain = match (byte(bytes, 0), length) {
        (Some(0x38), 14) => bytes.get(9..14) == Some(&[0; 5]),
        (Some(0x40), 26) => bytes.get(9..14) == Some(&[1, 0, 0, 0, 0]),
        (Some(0x38), _) => OPENVPN_CLIENT.contains(&length) && is_openvpn_wrapped(bytes),
        (Some(0x40), _) => OPENVPN_SERVER.contains(&length) && is_openvpn_wrapped(bytes),
        // Version 3 brings the client's key: 2 bytes of length at its end say how much.
        (Some(0x50), _) => (300..=1_400).contains(&length) && is_openvpn_wrapped(bytes),
        _ => false,
    };
    session && plain
}

/// The number of a first packet is 1 (0x0f000001 with a cookie): behind an HMAC of any size, or
/// behind the session's number where the rest is sealed.
fn is_openvpn_wrapped(bytes: &[u8]) -> bool {
    [9, 29, 41, 73].iter().any(|at| matches!(be32(bytes, *at), Some(1 | 2 | 0x0f00_0001)))
}

fn openvpn(start: Start<'_>) -> bool {
    is_openvpn(start.bytes, start.length)
}

/// Each packet after its length; those that follow are of known kinds.
fn openvpn_tcp(start: Start<'_>) -> bool {
    let length = be16(start.bytes, 0).unwrap_or_default();
    is_openvpn(start.bytes.get(2..).unwrap_or_default(), length)
        && is_framed(start.bytes, 3, |packet| {
            // Control, acknowledgement or data of the first key.
            let known =
                matches!(byte(packet, 2)?, 0x20 | 0x28 | 0x30 | 0x38 | 0x40 | 0x48 | 0x50 | 0x58);
            be16(packet, 0).filter(|length| known && (1..=4_096).contains(length)).map(|l| 2 + l)
        })
}

/// Control, acknowledgements and data of any key.
fn openvpn_data(start: Start<'_>) -> bool {
    byte(start.bytes, 0).is_some_and(|first| matches!(first >> 3, 3..=10)) && start.length >= 14
}

/// IKE, on port 4500 behind four bytes of 0: versions 1 and 2, an exchange and flags of the version,
/// as long as it says.
fn ike(start: Start<'_>) -> bool {
    let marked = matches!(start.bytes, [0, 0, 0, 0, ..]);
    let at = if marked { 4 } else { 0 };
    let Some(message) = start.bytes.get(at..) else { return false };
    let (Some(version), Some(exchange), Some(flags)) =
        (byte(message, 17), byte(message, 18), byte(message, 19))
    else {
        return false;
    };
    let fits = match version {
        0x10 => matches!(exchange, 1..=6 | 32..=34) && flags <= 7,
        0x20 => matches!(exchange, 34..=47) && flags & !0x38 == 0,
        _ => false,
    };
    let initiator = message.get(..8).is_some_and(|spi| spi.iter().any(|byte| *byte != 0));
    fits && initiator
        && be32(message, 24).is_some_and(|length| length + at == start.length && length >= 28)
}

/// ESP with an index that is not reserved and a number, of whole words; or the byte that keeps an
/// address translation alive.
fn esp(start: Start<'_>) -> bool {
    let index = be32(start.bytes, 0).is_some_and(|index| index > 255);
    let number = be32(start.bytes, 4).is_some_and(|number| number != 0);
    start.bytes == [0xff] || index && number && start.length >= 28 && start.length.is_multiple_of(2)
}

/// A control message as long as it says, with a first value that tells its type; or one of version 3.
fn l2tp(start: Start<'_>) -> bool {
    let bytes = match start.bytes {
        // Version 3 over UDP has the same header (RFC 3931 section 4.1.2).
        [0xc8, 2 | 3, ..] => start.bytes,
        _ => return false,
    };
    let empty = start.length == 12;
    let typed = matches!(bytes.get(12..), Some([0x80, 8, 0, 0, 0, 0, 0, 1..=28, ..]));
    be16(bytes, 2) == Some(start.length) && (empty || typed)
}

/// Data of version 2: reserved bits are 0, and a length, where there is one, is right.
fn l2tp_data(start: Start<'_>) -> bool {
    let &[first, 2, ..] = start.bytes else { return false };
    let length = first & 0x40 == 0 || be16(start.bytes, 2) == Some(start.length);
    first & 0xb4 == 0 && length && start.length >= 8
}

/// Control messages with the magic cookie.
fn pptp(start: Start<'_>) -> bool {
    is_framed(start.bytes, 12, |message| {
        let [_, _, 0, 1, 0x1a, 0x2b, 0x3c, 0x4d, 0, 1..=15, 0, 0, ..] = message else {
            return None;
        };
        be16(message, 0).filter(|length| *length <= 220)
    })
}

/// As many methods as are announced, and nothing more: the client waits for the server's choice.
fn socks(start: Start<'_>) -> bool {
    let [5, count @ 1..=16, methods @ ..] = start.bytes else { return false };
    // Methods are assigned up to 9, private ones begin at 0x80.
    methods.len() == usize::from(*count)
        && methods.iter().all(|method| matches!(method, 0..=9 | 0x80..=0xfe))
}
