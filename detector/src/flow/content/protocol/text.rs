//! The web, mail and file transfer: lines that people can read.

use super::read::{
    Start, be24, be32, byte, contains, decimal, is_framed, is_printable, is_text, is_tls, line,
    starts_with_any,
};
use super::{Protocol, Row, Transport};
use crate::flow::content::http;

pub(super) const ROWS: &[Row] = &[
    Row::anywhere(Protocol::Http, Transport::Tcp, &[], "RFC 9112 sections 2 to 4", http1),
    Row::anywhere(Protocol::Http2, Transport::Tcp, &[], "RFC 9113 sections 3.4 and 4.1", http2),
    Row::anywhere(Protocol::Http2, Transport::Tcp, &[], "RFC 9113 section 6.5", http2_server),
    Row::anywhere(Protocol::Smtp, Transport::Tcp, &[], "RFC 5321 section 4.1.1", smtp),
    Row::on_port(Protocol::Smtp, Transport::Tcp, SMTP_PORTS, "RFC 5321 section 4.2", smtp_on_port),
    Row::anywhere(Protocol::Ftp, Transport::Tcp, &[], "RFC 959 section 4.1", ftp),
    Row::on_port(Protocol::Ftp, Transport::Tcp, &[21, 2121], "RFC 959 section 5.4", ftp_on_port),
    Row::anywhere(Protocol::Pop3, Transport::Tcp, &[], "RFC 1939 section 3", pop3),
    Row::on_port(Protocol::Pop3, Transport::Tcp, &[110], "RFC 1939 section 5", pop3_on_port),
    Row::anywhere(Protocol::Imap, Transport::Tcp, &[], "RFC 9051 section 7.1", imap),
    Row::on_port(Protocol::Imap, Transport::Tcp, &[143], "RFC 9051 section 6", imap_on_port),
];

const SMTP_PORTS: &[u16] = &[25, 465, 587, 2525];

/// A request's line or an answer's, as far as it is there, and what its header announces.
fn http1(start: Start<'_>) -> bool {
    let (first, rest) = line(start.bytes);
    let answer = first.starts_with(b"HTTP/1.");
    if !answer && !is_request(first) {
        return false;
    }
    let Some(rest) = rest else { return is_printable(first) };
    let versioned = answer || first.windows(8).any(|part| part == b" HTTP/1.");
    let open = first.starts_with(b"CONNECT ") || first.windows(4).any(|part| part == b" 101");
    is_text(first) && versioned && (open || has_body(rest, answer))
}

/// A method and something to apply it to.
fn is_request(line: &[u8]) -> bool {
    let target = http::method(line).and_then(|method| line.get(method.len() + 1));
    let host = line.starts_with(b"CONNECT ");
    target.is_some_and(|first| match first {
        b'/' | b'*' | b'h' | b'H' => true,
        first => host && (first.is_ascii_alphanumeric() || *first == b'['),
    })
}

/// Whether what follows a header, if it is there, is a body that the header has announced or the next
/// message. The body of an answer may last until its stream ends.
fn has_body(header: &[u8], answer: bool) -> bool {
    let end = header.windows(4).position(|part| part == b"\r\n\r\n");
    let (fields, rest) = match end {
        Some(end) => (header.get(..end), header.get(end + 4..)),
        None if header.starts_with(b"\r\n") => (None, header.get(2..)),
        None => return true,
    };
    let (fields, rest) = (fields.unwrap_or_default(), rest.unwrap_or_default());
    if [&b"upgrade:"[..], b"transfer-encoding:"].iter().any(|name| contains(fields, name)) {
        return true;
    }
    let length = content_length(fields).or((!answer).then_some(0));
    let Some(next) = length.and_then(|length| rest.get(length..)) else { return true };
    let message = |bytes: &[u8]| {
        let (first, _) = line(bytes);
        bytes.len() < 16 || is_request(first) || first.starts_with(b"HTTP/1.")
    };
    message(next) || message(rest)
}

fn content_length(fields: &[u8]) -> Option<usize> {
    let mut lines = fields.split(|byte| *byte == b'\n');
    let value = lines.find_map(|field| {
        let (name, value) = field.split_at_checked(15)?;
        name.eq_ignore_ascii_case(b"content-length:").then_some(value)
    })?;
    decimal(value.trim_ascii())
}

/// The preface, and frames that begin with SETTINGS.
fn http2(start: Start<'_>) -> bool {
    const PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";
    let seen = start.bytes.len().min(PREFACE.len());
    let frames = start.bytes.get(PREFACE.len()..).unwrap_or_default();
    seen >= 14
        && start.bytes.get(..seen) == PREFACE.get(..seen)
        && (frames.len() < 9 || byte(frames, 3) == Some(4) && is_framed(frames, 9, http2_length))
}

/// A type that is assigned, and a stream without its reserved bit.
fn http2_length(frame: &[u8]) -> Option<usize> {
    let (length, kind) = (be24(frame, 0)?, byte(frame, 3)?);
    let stream = be32(frame, 5)? < 1 << 31;
    (stream && kind <= 0x10 && length <= 1 << 20).then_some(9 + length)
}

/// SETTINGS of whole parameters on stream 0, and frames.
fn http2_server(start: Start<'_>) -> bool {
    let settings =
        matches!(start.bytes, [0, 0, length, 4, 0, 0, 0, 0, 0, ..] if length.is_multiple_of(6));
    let parameter = matches!(start.bytes.get(9..11), None | Some([0, 1..=9]));
    let empty = matches!(start.bytes, [0, 0, 0, ..]);
    settings && (parameter || empty) && is_framed(start.bytes, 9, http2_length)
}

/// Whether all of it is lines, in whatever character set. What follows the start of TLS is TLS, and a
/// chunk of a message has as many bytes as it says (RFC 3030).
fn is_dialogue(bytes: &[u8]) -> bool {
    let mut rest = Some(bytes);
    while let Some(bytes) = rest {
        let (first, after) = line(bytes);
        if first.iter().any(|byte| byte.is_ascii_control() && *byte != b'\t') {
            return false;
        }
        let next = after.unwrap_or_default();
        if starts_with_any(first, &[b"STARTTLS", b"STLS", b"AUTH TLS", b"AUTH SSL"]) {
            return next.is_empty() || is_tls(next);
        }
        if starts_with_any(first, &[b"BDAT "]) {
            let size = first.get(5..).and_then(|text| text.split(|byte| *byte == b' ').next());
            let Some(size) = size.and_then(decimal) else { return false };
            rest = next.get(size..).filter(|after| !after.is_empty());
            continue;
        }
        rest = after;
    }
    true
}

fn smtp(start: Start<'_>) -> bool {
    let commands: &[&[u8]] =
        &[b"EHLO ", b"HELO ", b"LHLO ", b"MAIL FROM:", b"RCPT TO:", b"STARTTLS\r\n"];
    let greets = is_greeting(start.bytes, &[b"SMTP", b"mail"]);
    (starts_with_any(start.bytes, commands) || greets) && is_dialogue(start.bytes)
}

fn smtp_on_port(start: Start<'_>) -> bool {
    let commands: &[&[u8]] = &[
        b"220 ",
        b"220-",
        b"250 ",
        b"250-",
        b"421 ",
        b"554 ",
        b"AUTH ",
        b"DATA\r\n",
        b"QUIT\r\n",
        b"RSET\r\n",
        b"NOOP\r\n",
    ];
    starts_with_any(start.bytes, commands) && is_dialogue(start.bytes)
}

/// Mail and file transfer both greet with 220; the words tell them apart.
fn is_greeting(bytes: &[u8], words: &[&[u8]]) -> bool {
    let line = bytes.get(..bytes.len().min(128)).unwrap_or(bytes);
    (line.starts_with(b"220 ") || line.starts_with(b"220-"))
        && words.iter().any(|word| contains(line, word))
}

fn ftp(start: Start<'_>) -> bool {
    let commands: &[&[u8]] = &[b"STOR ", b"RETR ", b"PASV\r\n", b"EPSV\r\n", b"PASV\n", b"EPSV\n"];
    let mail = is_greeting(start.bytes, &[b"SMTP", b"mail"]);
    let greets = is_greeting(start.bytes, &[b"FTP", b"FileZilla"]) && !mail;
    (starts_with_any(start.bytes, commands) || greets) && is_dialogue(start.bytes)
}

fn ftp_on_port(start: Start<'_>) -> bool {
    let commands: &[&[u8]] = &[
        b"220 ",
        b"220-",
        b"120 ",
        b"421 ",
        b"530 ",
        b"USER ",
        b"AUTH TLS",
        b"AUTH SSL",
        b"FEAT",
        b"SYST",
        b"OPTS ",
        b"PASS ",
        b"HELP",
        b"QUIT",
    ];
    starts_with_any(start.bytes, commands) && is_dialogue(start.bytes)
}

fn pop3(start: Start<'_>) -> bool {
    starts_with_any(start.bytes, &[b"+OK "]) && is_dialogue(start.bytes)
}

fn pop3_on_port(start: Start<'_>) -> bool {
    let commands: &[&[u8]] =
        &[b"+OK", b"-ERR", b"USER ", b"APOP ", b"CAPA", b"AUTH", b"STLS", b"QUIT"];
    starts_with_any(start.bytes, commands) && is_dialogue(start.bytes)
}

fn imap(start: Start<'_>) -> bool {
    starts_with_any(start.bytes, &[b"* OK ", b"* PREAUTH "]) && is_dialogue(start.bytes)
}

/// A tag and a command that may come before others.
fn imap_on_port(start: Start<'_>) -> bool {
    let (first, rest) = line(start.bytes);
    let mut words = first.split(|byte| *byte == b' ');
    let tag = words.next().unwrap_or_default();
    let command = words.next().unwrap_or_default();
    let commands: &[&[u8]] =
        &[b"CAPABILITY", b"LOGIN", b"AUTHENTICATE", b"STARTTLS", b"ID", b"NOOP", b"LOGOUT"];
    let tagged = (1..=16).contains(&tag.len()) && tag.iter().all(u8::is_ascii_alphanumeric);
    let known = commands.iter().any(|known| command.eq_ignore_ascii_case(known))
        || matches!(first, [b'*', b' ', ..]);
    rest.is_some() && known && (tagged || tag == b"*") && is_dialogue(start.bytes)
}
