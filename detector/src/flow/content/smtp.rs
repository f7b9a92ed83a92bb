//! What a mail client says in clear (RFC 5321), line by line: commands, and a few header fields and
//! words of the message. Knows no state; that is the session's.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

use super::words::Words;

/// Base64 of fewer characters than this is taken for a word.
const ENCODED_MIN_BYTES: usize = 24;

/// A line of a client, as far as it matters.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Line<'a> {
    /// EHLO or HELO, with the name the client goes by.
    Hello(&'a [u8]),
    StartTls,
    /// AUTH PLAIN or LOGIN (RFC 4954) with what came with it, still encoded.
    Auth(Mechanism, &'a [u8]),
    /// The address between the brackets of MAIL FROM and RCPT TO.
    From(&'a [u8]),
    To(&'a [u8]),
    /// The message follows: DATA, BDAT.
    Data,
    Quit,
    Other(&'a [u8]),
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mechanism {
    /// Account and password in one.
    Plain,
    /// The account comes in the next line, the password in the one after it.
    Login,
}

impl<'a> Line<'a> {
    /// Of a line without its end.
    #[must_use]
    pub fn of(line: &'a [u8]) -> Self {
        let after = |command: &[u8]| strip(line, command);
        if let Some(name) = after(b"EHLO ").or_else(|| after(b"HELO ")) {
            Self::Hello(name.trim_ascii())
        } else if let Some(path) = after(b"MAIL FROM:") {
            Self::From(address(path))
        } else if let Some(path) = after(b"RCPT TO:") {
            Self::To(address(path))
        } else if let Some(initial) = after(b"AUTH LOGIN") {
            Self::Auth(Mechanism::Login, initial.trim_ascii())
        } else if let Some(initial) = after(b"AUTH PLAIN") {
            Self::Auth(Mechanism::Plain, initial.trim_ascii())
        } else if line.eq_ignore_ascii_case(b"DATA") || after(b"BDAT ").is_some() {
            Self::Data
        } else if line.eq_ignore_ascii_case(b"STARTTLS") {
            Self::StartTls
        } else if line.eq_ignore_ascii_case(b"QUIT") {
            Self::Quit
        } else {
            Self::Other(line)
        }
    }
}

fn strip<'a>(line: &'a [u8], start: &[u8]) -> Option<&'a [u8]> {
    let (head, rest) = line.split_at_checked(start.len())?;
    head.eq_ignore_ascii_case(start).then_some(rest)
}

/// What is between the first brackets, without its source route and parameters.
fn address(path: &[u8]) -> &[u8] {
    let inner = path.split(|byte| *byte == b'<').nth(1).unwrap_or(path);
    inner.split(|byte| *byte == b'>').next().unwrap_or(inner).trim_ascii()
}

/// The lines of a packet without their ends. A line that the packet or the head cut is one, too.
pub fn lines(bytes: &[u8]) -> impl Iterator<Item = &[u8]> {
    let lines = bytes.split(|byte| *byte == b'\n');
    lines.map(|line| line.strip_suffix(b"\r").unwrap_or(line)).filter(|line| !line.is_empty())
}

/// The account of a credential that AUTH sent: the second field of PLAIN (RFC 4616), all of LOGIN's
/// first. The password is not looked at.
#[must_use]
pub fn account(mechanism: Mechanism, encoded: &[u8]) -> Option<Vec<u8>> {
    let decoded = STANDARD.decode(encoded).ok()?;
    let account = match mechanism {
        Mechanism::Login => decoded.as_slice(),
        Mechanism::Plain => decoded.split(|byte| *byte == 0).nth(1)?,
    };
    Some(account.to_ascii_lowercase()).filter(|account| !account.is_empty())
}

/// Words of credential reports in a piece of a message, in clear or in base64 (RFC 2045, and
/// encoded words of RFC 2047).
#[must_use]
pub fn words(message: &[u8]) -> Words {
    let mut words = Words::of(message);
    for line in lines(message) {
        let line = encoded_word(line).unwrap_or(line);
        if let Some(decoded) = decoded(line) {
            words.add(Words::of(&decoded));
        }
    }
    words
}

/// The text of `=?charset?B?text?=`.
fn encoded_word(line: &[u8]) -> Option<&[u8]> {
    let at = line.windows(3).position(|window| window.eq_ignore_ascii_case(b"?B?"))?;
    line.get(at + 3..)?.split(|byte| *byte == b'?').next()
}

/// A line of base64, or as much of one as was there, decoded.
fn decoded(line: &[u8]) -> Option<Vec<u8>> {
    let whole = line.get(..line.len() - line.len() % 4)?;
    if whole.len() < ENCODED_MIN_BYTES {
        return None;
    }
    STANDARD.decode(whole).ok()
}

/// The value of the Subject field, where the piece of a message has it.
#[must_use]
pub fn subject(message: &[u8]) -> Option<Vec<u8>> {
    let value = lines(message).find_map(|line| strip(line, b"Subject:"))?;
    let decoded = encoded_word(value).and_then(|text| STANDARD.decode(text).ok());
    Some(decoded.unwrap_or_else(|| value.trim_ascii().to_vec()))
}

/// Whether a subject is that of a stealer's report: Agent Tesla's `PW_user/COMPUTER` (also KL, SC,
/// CO, or a word as `Log_`), or one that names the tool or the computer (Snake, VIP, HawkEye; MITRE
/// ATT&CK S0331, S0447).
#[must_use]
pub fn is_report_subject(subject: &[u8]) -> bool {
    let lower = subject.to_ascii_lowercase();
    let says = |word: &[u8]| super::words::contains(&lower, word);
    let names =
        [&b"keylogger"[..], b"stealer", b"pc name", b"hawkeye", b"vip recovery", b"| snake"];
    names.into_iter().any(says) || is_coded(subject)
}

/// Two or three letters, an underscore, a user, a slash, a computer, and nothing else.
fn is_coded(subject: &[u8]) -> bool {
    let mut halves = subject.splitn(2, |byte| *byte == b'_');
    let (Some(code), Some(rest)) = (halves.next(), halves.next()) else {
        return false;
    };
    let ends: Vec<&[u8]> = rest.split(|byte| *byte == b'/').collect();
    (2..=3).contains(&code.len())
        && code.iter().all(u8::is_ascii_alphabetic)
        && matches!(ends.as_slice(), [user, computer] if !user.is_empty() && computer.len() > 1)
}

/// The name of an attached file, where the piece of a message has one.
#[must_use]
pub fn attachment(message: &[u8]) -> Option<&[u8]> {
    let at = message.windows(9).position(|window| window.eq_ignore_ascii_case(b"filename="))?;
    let value = message.get(at + 9..)?;
    let value = value.strip_prefix(b"\"").unwrap_or(value);
    value.split(|byte| matches!(byte, b'"' | b'\r' | b'\n' | b';')).next()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_are_commands() {
        let check = |line: &[u8], expected| assert_eq!(Line::of(line), expected);
        check(b"ehlo DESKTOP-1", Line::Hello(b"DESKTOP-1"));
        check(b"MAIL FROM:<a@b.example> SIZE=9", Line::From(b"a@b.example"));
        check(b"RCPT TO: <a@b.example>", Line::To(b"a@b.example"));
        check(b"AUTH login", Line::Auth(Mechanism::Login, b""));
        check(b"AUTH PLAIN AGEAYg==", Line::Auth(Mechanism::Plain, b"AGEAYg=="));
        check(b"DATA", Line::Data);
        check(b"BDAT 10 LAST", Line::Data);
        check(b"STARTTLS", Line::StartTls);
        check(b"hello", Line::Other(b"hello"));
        check(b"", Line::Other(b""));
    }

    #[test]
    fn accounts_are_read_without_passwords() {
        let check = |mechanism, encoded: &[u8], expected: Option<&[u8]>| {
            assert_eq!(account(mechanism, encoded).as_deref(), expected);
        };
        check(Mechanism::Login, b"QUBiLmV4YW1wbGU=", Some(b"a@b.example"));
        check(Mechanism::Plain, b"AGFAYi5leGFtcGxlAHNlY3JldA==", Some(b"a@b.example"));
        check(Mechanism::Plain, b"AA==", None);
        check(Mechanism::Login, b"not base64", None);
        check(Mechanism::Login, b"", None);
    }

    #[test]
    fn reports_are_told_by_their_subject() {
        let check = |subject: &[u8], expected| assert_eq!(is_report_subject(subject), expected);
        check(b"PW_ada/DESKTOP-1", true);
        check(b"Pc Name: ada | / VIP Recovery \\", true);
        check(b"HawkEye Keylogger | Stealer Records", true);
        check(b"Re: and/or the RE_view", false);
        check(b"Minutes of 2024/01", false);
        check(b"", false);
    }

    #[test]
    fn messages_are_read_in_clear_and_in_base64() {
        let text =
            "Computer Name: X\r\nOSFullName: Y\r\nCPU: Z\r\nUser Name: ada\r\nPassword: b\r\n";
        let encoded = STANDARD.encode(text);
        assert_eq!(words(text.as_bytes()).count(), 5);
        assert_eq!(words(encoded.as_bytes()), words(text.as_bytes()));
        let message = b"To: a\r\nSubject: =?utf-8?B?UFdfYWRhL1BDMQ==?=\r\n\
            Content-Disposition: attachment; filename=\"loot.zip\"\r\n\r\n";
        assert_eq!(subject(message).as_deref(), Some(&b"PW_ada/PC1"[..]));
        assert_eq!(attachment(message), Some(&b"loot.zip"[..]));
        for end in 0..message.len() {
            let cut = &message[..end];
            let (_subject, _attachment, _words) = (subject(cut), attachment(cut), words(cut));
            lines(cut).for_each(|line| {
                let _line = Line::of(line);
            });
        }
    }
}
