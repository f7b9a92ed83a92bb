//! Databases and caches.

use super::read::{
    Start, be16, be32, byte, decimal, is_framed, is_printable, is_text, is_tls, le24, le32, line,
    starts_with_any,
};
use super::{Protocol, Row, Transport};

pub(super) const ROWS: &[Row] = &[
    Row::anywhere(
        Protocol::PostgreSql,
        Transport::Tcp,
        POSTGRESQL_PORTS,
        "PostgreSQL 17 section 53.7",
        postgresql_client,
    ),
    Row::anywhere(
        Protocol::PostgreSql,
        Transport::Tcp,
        POSTGRESQL_PORTS,
        "PostgreSQL 17 section 53.7, AuthenticationRequest",
        postgresql_server,
    ),
    Row::on_port(
        Protocol::PostgreSql,
        Transport::Tcp,
        POSTGRESQL_PORTS,
        "PostgreSQL 17 section 53.2.11",
        postgresql_tls_answer,
    ),
    Row::anywhere(
        Protocol::MySql,
        Transport::Tcp,
        MYSQL_PORTS,
        "MySQL client/server protocol, HandshakeV10",
        mysql_server,
    ),
    Row::anywhere(
        Protocol::MySql,
        Transport::Tcp,
        MYSQL_PORTS,
        "MySQL client/server protocol, HandshakeResponse41",
        mysql_client,
    ),
    Row::anywhere(Protocol::Tds, Transport::Tcp, &[1433, 1434], "MS-TDS section 2.2.3", tds),
    Row::anywhere(Protocol::Tns, Transport::Tcp, TNS_PORTS, "Oracle Net, CONNECT packet", tns),
    Row::on_port(Protocol::Tns, Transport::Tcp, TNS_PORTS, "Oracle Net, packet header", tns_answer),
    Row::anywhere(
        Protocol::MongoDb,
        Transport::Tcp,
        &[27_017, 27_018, 27_019],
        "MongoDB wire protocol, standard message header",
        mongodb,
    ),
    Row::on_port(
        Protocol::MongoDb,
        Transport::Tcp,
        &[27_017, 27_018, 27_019],
        "MongoDB wire protocol, OP_REPLY",
        mongodb_reply,
    ),
    Row::anywhere(Protocol::Redis, Transport::Tcp, REDIS_PORTS, "Redis RESP2, arrays", redis),
    Row::on_port(Protocol::Redis, Transport::Tcp, REDIS_PORTS, "Redis RESP3", redis_values),
    Row::on_port(
        Protocol::Cassandra,
        Transport::Tcp,
        &[9042],
        "CQL binary protocol version 4 section 2",
        cassandra,
    ),
    Row::on_port(
        Protocol::Memcached,
        Transport::Tcp,
        &[11_211],
        "memcached protocol.txt, storage commands",
        memcached,
    ),
];

const POSTGRESQL_PORTS: &[u16] = &[5432, 5433, 6432];
const MYSQL_PORTS: &[u16] = &[3306, 3307];
const TNS_PORTS: &[u16] = &[1521, 1522, 1526, 2483];
const REDIS_PORTS: &[u16] = &[6379, 6380, 16_379, 26_379];

/// A request for TLS or GSSAPI, a cancellation, or a start of version 3 with its parameters.
fn postgresql_client(start: Start<'_>) -> bool {
    let bytes = start.bytes;
    let (Some(length), Some(code)) = (be32(bytes, 0), be32(bytes, 4)) else { return false };
    let rest = bytes.get(length.max(8)..).unwrap_or_default();
    match (code, length) {
        (80_877_103 | 80_877_104, 8) => rest.is_empty() || is_tls(rest) || is_startup(rest),
        (80_877_102, 16) => rest.is_empty(),
        _ => is_startup(bytes),
    }
}

fn is_startup(bytes: &[u8]) -> bool {
    let (Some(length), Some(0x3_0000..=0x3_0002)) = (be32(bytes, 0), be32(bytes, 4)) else {
        return false;
    };
    let parameters = bytes.get(8..length.min(bytes.len())).unwrap_or_default();
    let names = |byte: &u8| matches!(byte, 0 | b' '..=b'~' | 0x80..);
    let ends = bytes.len() < length || parameters.ends_with(&[0]);
    let rest = bytes.get(length..).unwrap_or_default();
    (9..=10_000).contains(&length)
        && parameters.first().is_some_and(u8::is_ascii_lowercase)
        && parameters.iter().all(names)
        && ends
        && (rest.is_empty() || is_typed(rest, b"BCDEFHPQSXcdfp"))
}

/// Messages of a letter and a length.
fn is_typed(bytes: &[u8], letters: &[u8]) -> bool {
    is_framed(bytes, 5, |message| {
        let known = letters.contains(&byte(message, 0)?);
        be32(message, 1).filter(|length| known && (4..1 << 30).contains(length)).map(|l| 1 + l)
    })
}

/// An answer to the start: which authentication is asked for.
fn postgresql_server(start: Start<'_>) -> bool {
    let answers = matches!(start.bytes, [b'R', 0, 0, 0, 8..=128, 0, 0, 0, 0..=12, ..]);
    answers && is_typed(start.bytes, b"123ACDEGHIKNRSTVWZcdnstv")
}

fn postgresql_tls_answer(start: Start<'_>) -> bool {
    match start.bytes {
        [b'S' | b'N' | b'G'] => true,
        [b'S', rest @ ..] => is_tls(rest),
        [b'E', 0, 0, _, _, b'S', ..] => is_typed(start.bytes, b"E"),
        _ => false,
    }
}

/// Version 10, the server's version in print, and a filler of 0 behind thread and salt; or an error
/// with a number.
fn mysql_server(start: Start<'_>) -> bool {
    let [_, _, 0, 0, 10, text @ ..] = start.bytes else { return false };
    let Some(end) = text.iter().take(64).position(|byte| *byte == 0) else { return false };
    let printable = end >= 3 && text.first().is_some_and(u8::is_ascii_digit);
    let filler = byte(text, end + 13).is_none_or(|byte| byte == 0);
    let fits = le24(start.bytes, 0).is_some_and(|length| length >= end + 20 && length <= 512);
    let rest = le24(start.bytes, 0).and_then(|length| start.bytes.get(4 + length..));
    let follows = rest.is_none_or(|rest| rest.is_empty() || is_tls(rest));
    let name = is_printable(text.get(..end).unwrap_or_default());
    printable && name && filler && fits && (follows || is_framed(start.bytes, 5, mysql_packet))
}

/// Capabilities with those of protocol 4.1 and 23 bytes of 0 behind the character set; MariaDB has
/// put four bytes of its own at their end.
fn mysql_client(start: Start<'_>) -> bool {
    let bytes = start.bytes;
    let (Some(length), Some(1)) = (le24(bytes, 0), byte(bytes, 3)) else { return false };
    let filler = bytes.get(13..32).is_some_and(|filler| filler.iter().all(|byte| *byte == 0));
    if !(32..=8_192).contains(&length) || !filler || byte(bytes, 5).is_none_or(|b| b & 2 == 0) {
        return false;
    }
    // What follows a request for TLS is TLS.
    let rest = bytes.get(4 + length..).unwrap_or_default();
    length == 32 && (rest.is_empty() || is_tls(rest)) || is_framed(bytes, 5, mysql_packet)
}

/// A command begins at number 0; the others go on with a dialogue.
fn mysql_packet(packet: &[u8]) -> Option<usize> {
    let (length, number, command) = (le24(packet, 0)?, byte(packet, 3)?, byte(packet, 4)?);
    let fits = match number {
        0 => length != 0 && command <= 0x1f,
        1..=5 => true,
        _ => false,
    };
    fits.then_some(4 + length)
}

/// PRELOGIN with its options in order, or a LOGIN; afterwards packets, or TLS.
fn tds(start: Start<'_>) -> bool {
    let bytes = start.bytes;
    let begins = match bytes {
        [0x12 | 4, 1, _, _, 0, 0, 0 | 1, 0, 0, 0, offset, 0, 6, ..] => *offset >= 6,
        // The version of TDS 7.0 to 7.4, in the order of this machine or of the net.
        [0x10, 0 | 1, _, _, 0, 0, 0 | 1, 0, _, _, 0, 0, version @ ..] => {
            matches!(version, [_, _, _, 0x70..=0x74, ..] | [0x70..=0x74, 0, 0, _, ..])
        }
        _ => false,
    };
    begins
        && is_framed(bytes, 8, |packet| {
            let [kind, status, _, _, _, _, _, 0, ..] = packet else { return tls_record(packet) };
            let known = matches!(kind, 1..=4 | 6..=8 | 14 | 16..=18) && *status <= 0x1f;
            let length = be16(packet, 2).filter(|_| known);
            length.or_else(|| tls_record(packet))
        })
}

fn tls_record(bytes: &[u8]) -> Option<usize> {
    let begins = matches!(bytes, [0x14..=0x17, 3, 0..=4, ..]);
    be16(bytes, 3).filter(|length| begins && *length <= 0x4800).map(|length| 5 + length)
}

/// A CONNECT of version 3.00 to 3.20 whose description stands where it says.
fn tns(start: Start<'_>) -> bool {
    let bytes = start.bytes;
    let [_, _, 0, 0, 1, 0..=0x1f, 0, 0, ..] = bytes else { return false };
    let (Some(length), Some(version), Some(oldest)) =
        (be16(bytes, 0), be16(bytes, 8), be16(bytes, 10))
    else {
        return false;
    };
    let (Some(data), Some(at)) = (be16(bytes, 24), be16(bytes, 26)) else { return false };
    // Long descriptions come in a packet of their own.
    let described = at == length || bytes.get(at..).is_some_and(|text| text.starts_with(b"("));
    (300..=330).contains(&version)
        && (300..=version).contains(&oldest)
        && (at + data == length || at == length)
        && described
        && is_framed(bytes, 8, tns_length)
}

/// Since version 3.15 the length of data has four bytes.
fn tns_length(packet: &[u8]) -> Option<usize> {
    let [_, _, high, low, kind @ 1..=19, flags, 0, 0, ..] = packet else { return None };
    if *flags & 0xc0 != 0 {
        return None;
    }
    match be16(packet, 0)? {
        0 if *kind == 6 => be32(packet, 0),
        length if (*high, *low) == (0, 0) => Some(length),
        _ => None,
    }
}

fn tns_answer(start: Start<'_>) -> bool {
    byte(start.bytes, 4).is_some_and(|kind| matches!(kind, 2 | 4 | 5 | 11))
        && is_framed(start.bytes, 8, tns_length)
}

/// Messages with an operation that is assigned; one that asks answers nothing.
fn mongodb(start: Start<'_>) -> bool {
    is_framed(start.bytes, 16, |message| {
        let (length, answers, code) = (le32(message, 0)?, le32(message, 8)?, le32(message, 12)?);
        let fits = match code {
            2001 | 2002 | 2004..=2007 => answers == 0,
            2012 | 2013 => true,
            _ => false,
        };
        // OP_MSG: required flags are assigned, and a document or a sequence follows.
        let body = code != 2013
            || le32(message, 16).is_none_or(|flags| flags & 0xfffc == 0)
                && byte(message, 20).is_none_or(|kind| kind <= 1);
        (fits && body && length <= 48_000_000 + 16_384).then_some(length)
    })
}

/// OP_REPLY, which old servers answer with.
fn mongodb_reply(start: Start<'_>) -> bool {
    is_framed(start.bytes, 20, |message| {
        let (answers, code, flags) = (le32(message, 8)?, le32(message, 12)?, le32(message, 16)?);
        let fits = answers != 0 && code == 1 && flags <= 15;
        le32(message, 0).filter(|length| fits && (36..48_016_384).contains(length))
    })
}

/// Arrays of bulk strings, of which each is as long as it says; a command is a word.
fn redis(start: Start<'_>) -> bool {
    let mut rest = start.bytes;
    let mut commands = 0;
    while !rest.is_empty() {
        match redis_command(rest, commands == 0) {
            Some(Some(after)) => rest = after,
            Some(None) => return true,
            None => return false,
        }
        commands += 1;
    }
    commands != 0
}

/// What follows a command; `Some(None)` where the bytes end within it.
fn redis_command(bytes: &[u8], first: bool) -> Option<Option<&[u8]>> {
    let (count, mut rest) = match redis_number(bytes, b'*')? {
        (count, Some(rest)) => (count?, rest),
        (_, None) => return (!first).then_some(None),
    };
    if !(1..=1 << 20).contains(&count) {
        return None;
    }
    for place in 0..count {
        if rest.is_empty() {
            return (!first || place != 0).then_some(None);
        }
        let (length, after) = match redis_number(rest, b'$')? {
            (length, Some(after)) => (length?, after),
            (_, None) => return (!first || place != 0).then_some(None),
        };
        let word = after.get(..length.min(after.len()))?;
        let letters =
            |byte: &u8| byte.is_ascii_alphanumeric() || matches!(byte, b'.' | b'_' | b'-');
        if place == 0 && (!(1..=64).contains(&length) || !word.iter().all(letters)) {
            return None;
        }
        match after.get(length..) {
            Some([b'\r', b'\n', next @ ..]) => rest = next,
            Some([] | [b'\r']) | None => return Some(None),
            Some(_) => return None,
        }
    }
    Some(Some(rest))
}

/// The number behind a sign, and what follows its line; no number and no rest where the line is cut.
fn redis_number(bytes: &[u8], sign: u8) -> Option<(Option<usize>, Option<&[u8]>)> {
    let rest = bytes.strip_prefix(&[sign])?;
    let (digits, after) = line(rest.get(..rest.len().min(12))?);
    if after.is_none() {
        let short = rest.len() <= 10 && digits.iter().all(u8::is_ascii_digit);
        return short.then_some((None, None));
    }
    let number = decimal(digits)?;
    Some((Some(number), rest.get(digits.len() + 2..)))
}

/// Values of any type, one after the other, or inline commands.
fn redis_values(start: Start<'_>) -> bool {
    let commands: &[&[u8]] = &[b"PING", b"AUTH ", b"INFO", b"QUIT", b"SYNC", b"PSYNC ", b"GET "];
    let mut rest = start.bytes;
    while !rest.is_empty() {
        let (first, after) = line(rest);
        let size = match first {
            [b'$' | b'=' | b'!', digits @ ..] => digits
                .strip_prefix(b"-")
                .map_or_else(|| decimal(digits).map(|size| size + 2), |_| Some(0)),
            [b'*' | b'%' | b'~' | b'>' | b':' | b'(', digits @ ..] => {
                decimal(digits.strip_prefix(b"-").unwrap_or(digits)).map(|_| 0)
            }
            [b'+' | b'-', text @ ..] => is_text(text).then_some(0),
            [b'_'] | [b'#', b't' | b'f'] | [b','] => Some(0),
            _ => (starts_with_any(first, commands) && is_text(first)).then_some(0),
        };
        match (size, after) {
            (Some(size), Some(after)) => rest = after.get(size..).unwrap_or_default(),
            (None, Some(_)) => return false,
            // A line that is cut says nothing more.
            (_, None) => return rest.len() < start.bytes.len() && is_text(rest),
        }
    }
    !start.bytes.is_empty()
}

/// A client begins with OPTIONS or STARTUP, a server answers them.
fn cassandra(start: Start<'_>) -> bool {
    let [version, 0..=0x1f, _, _, code, ..] = start.bytes else { return false };
    let begins = match version {
        3..=5 => matches!(code, 1 | 5),
        0x83..=0x85 => matches!(code, 0 | 2 | 3 | 6),
        _ => return false,
    };
    // From version 5 on, frames of another kind follow.
    let modern = version & 0x7f == 5;
    begins
        && is_framed(start.bytes, 9, |frame| {
            if modern && frame.len() != start.bytes.len() {
                return Some(usize::MAX);
            }
            let [3..=5 | 0x83..=0x85, 0..=0x1f, _, _, 0..=0x10, ..] = frame else { return None };
            be32(frame, 5).filter(|length| *length <= 1 << 28).map(|length| 9 + length)
        })
}

/// Lines of known commands with the data that they announce, or binary messages.
fn memcached(start: Start<'_>) -> bool {
    if matches!(start.bytes, [0x80 | 0x81, ..]) {
        return is_framed(start.bytes, 24, |message| {
            let [0x80 | 0x81, 0..=0x48, _, _, _, 0, ..] = message else { return None };
            let (key, length) = (be16(message, 2)?, be32(message, 8)?);
            (key <= 250 && (key..1 << 27).contains(&length)).then_some(24 + length)
        });
    }
    let mut rest = start.bytes;
    while !rest.is_empty() {
        let (first, after) = line(rest);
        let size = memcached_line(first);
        match (size, after) {
            (Some(size), Some(after)) => rest = after.get(size..).unwrap_or_default(),
            (None, Some(_)) => return false,
            (_, None) => return rest.len() < start.bytes.len() && is_text(rest),
        }
    }
    !start.bytes.is_empty()
}

/// How many bytes of data follow a line that a client or a server writes.
fn memcached_line(line: &[u8]) -> Option<usize> {
    let mut words = line.split(|byte| *byte == b' ');
    let size = |word: Option<&[u8]>| word.and_then(decimal).map(|size| size + 2);
    let known = is_printable(line).then_some(0);
    match words.next()? {
        b"set" | b"add" | b"replace" | b"append" | b"prepend" | b"cas" => size(words.nth(3)),
        b"VALUE" => size(words.nth(2)),
        b"get" | b"gets" | b"delete" | b"incr" | b"decr" | b"touch" => {
            known.filter(|_| words.next().is_some())
        }
        b"stats" | b"version" | b"VERSION" | b"STORED" | b"NOT_STORED" | b"END" | b"STAT"
        | b"OK" | b"DELETED" | b"quit" => known,
        _ => None,
    }
}
