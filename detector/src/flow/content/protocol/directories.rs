//! Directories, shares and remote calls.

use super::read::{Start, be16, be24, be32, ber, byte, is_framed};
use super::{Protocol, Row, Transport};

pub(super) const ROWS: &[Row] = &[
    Row::anywhere(Protocol::Ldap, Transport::Tcp, LDAP_PORTS, "RFC 4511 section 4.1.1", ldap),
    Row::anywhere(Protocol::Ldap, Transport::Udp, LDAP_PORTS, "MS-ADTS section 6.3.3", cldap),
    Row::anywhere(
        Protocol::Kerberos,
        Transport::Tcp,
        KERBEROS_PORTS,
        "RFC 4120 section 7.2.2",
        krb_tcp,
    ),
    Row::anywhere(
        Protocol::Kerberos,
        Transport::Udp,
        KERBEROS_PORTS,
        "RFC 4120 section 5",
        krb_udp,
    ),
    Row::anywhere(Protocol::Snmp, Transport::Udp, SNMP_PORTS, "RFC 3416, RFC 3412", snmp_udp),
    Row::anywhere(Protocol::Snmp, Transport::Tcp, SNMP_PORTS, "RFC 3430", snmp_tcp),
    Row::anywhere(Protocol::Smb, Transport::Tcp, &[139, 445], "MS-SMB2 section 2.1", smb),
    Row::on_port(Protocol::Smb, Transport::Tcp, &[139], "RFC 1002 section 4.3", netbios),
    // The port mapper hands out any port.
    Row::anywhere(Protocol::Rpc, Transport::Tcp, &[], "RFC 5531 sections 9 and 11", rpc_tcp),
    Row::anywhere(Protocol::Rpc, Transport::Udp, &[], "RFC 5531 section 9", rpc_udp),
    Row::anywhere(Protocol::DceRpc, Transport::Tcp, &[], "C706 chapter 12", dce_rpc),
];

const LDAP_PORTS: &[u16] = &[389, 3268];
const KERBEROS_PORTS: &[u16] = &[88, 464, 749];
const SNMP_PORTS: &[u16] = &[161, 162, 10_161];

/// The length of an LDAP message: a sequence of a number and an operation.
fn ldap_length(message: &[u8]) -> Option<usize> {
    let (0x30, at, length) = ber(message, 0)? else { return None };
    let (0x02, id_at, id_length @ 1..=4) = ber(message, at)? else { return None };
    let (operation, body_at, body) = ber(message, id_at + id_length)?;
    let known = matches!(
        operation,
        0x60 | 0x61 | 0x63..=0x69 | 0x6b..=0x6f | 0x73 | 0x77..=0x79 | 0x42 | 0x4a | 0x50
    );
    let end = at + length;
    (known && body_at + body <= end && length < 1 << 24).then_some(end)
}

/// What a Windows client goes on with after a bind may be sealed: each buffer behind its length.
fn ldap(start: Start<'_>) -> bool {
    ldap_length(start.bytes).is_some()
        && is_framed(start.bytes, 7, |message| {
            ldap_length(message).or_else(|| {
                let sealed = matches!(message, [0, _, _, _, 5, 4, ..]);
                be32(message, 0).filter(|_| sealed).map(|length| 4 + length)
            })
        })
}

fn cldap(start: Start<'_>) -> bool {
    ldap_length(start.bytes) == Some(start.length)
}

/// The length of a Kerberos message: an application's tag, and version 5 first.
fn kerberos_length(message: &[u8]) -> Option<usize> {
    let (tag, at, length) = ber(message, 0)?;
    let known = matches!(tag, 0x6a..=0x6f | 0x74..=0x76 | 0x7e);
    let (0x30, inner_at, inner) = ber(message, at)? else { return None };
    let version = matches!(message.get(inner_at..)?, [0xa0 | 0xa1, 3, 2, 1, 5, ..]);
    (known && version && inner_at + inner == at + length).then_some(at + length)
}

/// A change of a password carries version 1 or 0xff80 and two messages (RFC 3244 section 2).
fn kerberos_password(message: &[u8], length: usize) -> bool {
    let version = matches!(message.get(2..4), Some([0, 1] | [0xff, 0x80]));
    let inner = message.get(6..).and_then(kerberos_length);
    version && be16(message, 0) == Some(length) && inner == be16(message, 4)
}

fn krb_udp(start: Start<'_>) -> bool {
    kerberos_length(start.bytes) == Some(start.length)
        || kerberos_password(start.bytes, start.length)
}

fn krb_tcp(start: Start<'_>) -> bool {
    is_framed(start.bytes, 16, |record| {
        let length = be32(record, 0)?;
        let message = record.get(4..)?;
        let fits = kerberos_length(message) == Some(length) || kerberos_password(message, length);
        fits.then_some(4 + length)
    })
}

/// The length of an SNMP message: version 1 and 2c name a community and an operation, version 3 has
/// its global data.
fn snmp_length(message: &[u8]) -> Option<usize> {
    let (0x30, at, length) = ber(message, 0)? else { return None };
    let (0x02, _, 1) = ber(message, at)? else { return None };
    let version = byte(message, at + 2)?;
    let (tag, next_at, next) = ber(message, at + 3)?;
    let fits = match (version, tag) {
        (0 | 1, 0x04) => matches!(ber(message, next_at + next)?, (0xa0..=0xa8, _, _)),
        (3, 0x30) => matches!(ber(message, next_at)?, (0x02, _, 1..=5)),
        _ => false,
    };
    fits.then_some(at + length)
}

fn snmp_udp(start: Start<'_>) -> bool {
    snmp_length(start.bytes) == Some(start.length)
}

fn snmp_tcp(start: Start<'_>) -> bool {
    is_framed(start.bytes, 16, snmp_length)
}

/// Session messages, each with the header of SMB 1, 2, 3 sealed or 3 compressed. A NetBIOS session
/// may begin with a request, and send nothing to keep it alive.
fn smb(start: Start<'_>) -> bool {
    is_framed(start.bytes, 4, |message| match message {
        [0, _, _, _, rest @ ..] => {
            let header = matches!(rest, [0xfc..=0xff, b'S', b'M', b'B', ..]) || rest.len() < 4;
            be24(message, 1).filter(|length| header && *length >= 32).map(|length| 4 + length)
        }
        [0x85, 0, 0, 0, ..] => Some(4),
        _ => None,
    }) && start.bytes.len() >= 8
}

/// A session's request with two encoded names, or the answer to one; then the session's messages.
fn netbios(start: Start<'_>) -> bool {
    let (length, named) = match start.bytes {
        [0x81, 0, 0, 0x44, 0x20, rest @ ..] => {
            (72, rest.iter().take(32).all(|byte| matches!(byte, b'A'..=b'P')))
        }
        [0x82, 0, 0, 0, ..] => (4, true),
        [0x83, 0, 0, 1, 0x80..=0x8f] => (5, true),
        _ => return false,
    };
    let rest = start.bytes.get(length..).unwrap_or_default();
    named && (rest.len() < 8 || smb(Start { bytes: rest, length: rest.len() }))
}

/// A call of RPC version 2 with known credentials, or an accepted or denied reply.
fn rpc_message(message: &[u8]) -> Option<()> {
    let fits = match be32(message, 4)? {
        0 => {
            let (program, version) = (be32(message, 12)?, be32(message, 16)?);
            let credentials = (be32(message, 24)?, be32(message, 28)?);
            // Programs of users begin at 0x20000000, transient ones at 0x40000000.
            be32(message, 8)? == 2
                && (100_000..0x6000_0000).contains(&program)
                && version <= 32
                && is_rpc_auth(credentials)
        }
        1 => match be32(message, 8)? {
            0 => is_rpc_auth((be32(message, 12)?, be32(message, 16)?)) && message.len() >= 24,
            1 => matches!((be32(message, 12)?, be32(message, 16)?), (0 | 1, 0..=14)),
            _ => false,
        },
        _ => false,
    };
    fits.then_some(())
}

/// A flavour that is assigned, and a body of at most 400 bytes.
fn is_rpc_auth((flavour, length): (usize, usize)) -> bool {
    (flavour <= 7 || flavour == 0x6_0000 || (390_003..=390_005).contains(&flavour)) && length <= 400
}

fn rpc_udp(start: Start<'_>) -> bool {
    start.length.is_multiple_of(4) && rpc_message(start.bytes).is_some()
}

/// Records in fragments; only the first of them has a header.
fn rpc_tcp(start: Start<'_>) -> bool {
    let mut within = false;
    start.bytes.len() >= 28
        && is_framed(start.bytes, 4, |fragment| {
            let mark = be32(fragment, 0)?;
            let (last, length) = (mark & 0x8000_0000 != 0, mark & 0x7fff_ffff);
            let begins = !std::mem::replace(&mut within, !last);
            let message = fragment.get(4..)?;
            let cut = message.len() < 32;
            let fits = !begins || length >= 24 && (cut || rpc_message(message).is_some());
            (fits && length <= 1 << 26).then_some(4 + length)
        })
        && rpc_message(start.bytes.get(4..).unwrap_or_default()).is_some()
}

/// Version 5, a kind of unit, flags and a length; a client begins with bind.
fn dce_rpc(start: Start<'_>) -> bool {
    let begins = matches!(start.bytes, [5, 0 | 1, 11..=13, 3, ..]);
    begins
        && is_framed(start.bytes, 16, |unit| {
            let [5, 0 | 1, 0..=20, _, order @ (0 | 0x10), 0, 0, 0, low, high, ..] = unit else {
                return None;
            };
            let bytes = [*low, *high];
            let little = *order != 0;
            let length = if little { u16::from_le_bytes(bytes) } else { u16::from_be_bytes(bytes) };
            Some(usize::from(length))
        })
}
