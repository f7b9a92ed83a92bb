//! What the checks of protocols read with: numbers at a place, messages one after the other, text.
//! Every read ends early instead of panicking, and every walk takes at least one byte a step.

/// The start of a payload.
#[derive(Clone, Copy, Debug)]
pub(super) struct Start<'a> {
    pub(super) bytes: &'a [u8],
    /// Bytes of the datagram, of which `bytes` are the start; of a stream as much as was seen.
    pub(super) length: usize,
}

impl Start<'_> {
    /// Whether the datagram is messages from `from` to its very end, as far as the sample reaches.
    /// `next` gives the length of the message that a slice starts with.
    pub(super) fn is_packed(
        &self,
        from: usize,
        header: usize,
        next: impl Fn(&[u8]) -> Option<usize>,
    ) -> bool {
        let mut at = from;
        while at < self.length {
            let Some(rest) = self.bytes.get(at..).filter(|rest| rest.len() >= header) else {
                // Cut by the sample, or a rest of the datagram that is no message.
                return self.bytes.len() < self.length;
            };
            let Some(length) = next(rest).filter(|length| *length >= header.max(1)) else {
                return false;
            };
            at = at.saturating_add(length);
        }
        at == self.length
    }
}

/// Whether `bytes` are messages one after the other, as far as they reach: a last one may be cut.
/// `next` gives the length of the message that a slice of at least `header` bytes starts with.
pub(super) fn is_framed(
    bytes: &[u8],
    header: usize,
    mut next: impl FnMut(&[u8]) -> Option<usize>,
) -> bool {
    let (mut rest, mut seen) = (bytes, false);
    while rest.len() >= header {
        let Some(length) = next(rest).filter(|length| *length >= header.max(1)) else {
            return false;
        };
        seen = true;
        let Some(after) = rest.get(length..) else { return true };
        rest = after;
    }
    seen
}

pub(super) fn byte(bytes: &[u8], at: usize) -> Option<u8> {
    bytes.get(at).copied()
}

fn array<const N: usize>(bytes: &[u8], at: usize) -> Option<[u8; N]> {
    bytes.get(at..)?.first_chunk().copied()
}

pub(super) fn be16(bytes: &[u8], at: usize) -> Option<usize> {
    array(bytes, at).map(|value| usize::from(u16::from_be_bytes(value)))
}

pub(super) fn be24(bytes: &[u8], at: usize) -> Option<usize> {
    array(bytes, at).map(|[high, middle, low]| u32::from_be_bytes([0, high, middle, low]) as usize)
}

pub(super) fn be32(bytes: &[u8], at: usize) -> Option<usize> {
    array(bytes, at).map(|value| u32::from_be_bytes(value) as usize)
}

pub(super) fn le16(bytes: &[u8], at: usize) -> Option<usize> {
    array(bytes, at).map(|value| usize::from(u16::from_le_bytes(value)))
}

pub(super) fn le24(bytes: &[u8], at: usize) -> Option<usize> {
    array(bytes, at).map(|[low, middle, high]| u32::from_le_bytes([low, middle, high, 0]) as usize)
}

pub(super) fn le32(bytes: &[u8], at: usize) -> Option<usize> {
    array(bytes, at).map(|value| u32::from_le_bytes(value) as usize)
}

/// Tag, start of the contents and their length, of a value in BER with a definite length (X.690
/// section 8.1.3).
pub(super) fn ber(bytes: &[u8], at: usize) -> Option<(u8, usize, usize)> {
    let (tag, first) = (byte(bytes, at)?, byte(bytes, at + 1)?);
    match first {
        0..=0x7f => Some((tag, at + 2, usize::from(first))),
        0x81..=0x84 => {
            let size = usize::from(first & 0x7f);
            let digits = bytes.get(at + 2..at + 2 + size)?;
            let length = digits.iter().fold(0, |sum, digit| sum << 8 | usize::from(*digit));
            Some((tag, at + 2 + size, length))
        }
        _ => None,
    }
}

/// Whether `bytes` are text: UTF-8 without control characters but those of layout. A last character
/// may be cut.
pub(super) fn is_text(bytes: &[u8]) -> bool {
    let text = match str::from_utf8(bytes) {
        Ok(text) => text,
        Err(error) if error.error_len().is_none() => {
            let valid = bytes.get(..error.valid_up_to()).unwrap_or_default();
            str::from_utf8(valid).unwrap_or_default()
        }
        Err(_) => return false,
    };
    !text.chars().any(|letter| letter.is_control() && !matches!(letter, '\t' | '\n' | '\r'))
}

/// Whether `bytes` are printable ASCII, spaces included.
pub(super) fn is_printable(bytes: &[u8]) -> bool {
    bytes.iter().all(|byte| matches!(byte, b' '..=b'~'))
}

/// The first line without its end, and what follows it; without an end all of it, and `None`.
pub(super) fn line(bytes: &[u8]) -> (&[u8], Option<&[u8]>) {
    let mut parts = bytes.splitn(2, |byte| *byte == b'\n');
    let line = parts.next().unwrap_or_default();
    (line.strip_suffix(b"\r").unwrap_or(line), parts.next())
}

/// Whether `bytes` start with one of `starts`, whatever their case.
pub(super) fn starts_with_any(bytes: &[u8], starts: &[&[u8]]) -> bool {
    starts
        .iter()
        .any(|start| bytes.get(..start.len()).is_some_and(|head| head.eq_ignore_ascii_case(start)))
}

/// Whether `bytes` have `part` in them, whatever its case.
pub(super) fn contains(bytes: &[u8], part: &[u8]) -> bool {
    bytes.windows(part.len()).any(|window| window.eq_ignore_ascii_case(part))
}

/// A number in decimal digits, at most nine of them.
pub(super) fn decimal(digits: &[u8]) -> Option<usize> {
    let short = (1..=9).contains(&digits.len());
    let digits = Some(digits).filter(|text| short && text.iter().all(u8::is_ascii_digit))?;
    Some(digits.iter().fold(0, |sum, digit| sum * 10 + usize::from(digit - b'0')))
}

/// Whether these bytes are the start of TLS records (RFC 8446 section 5.1): what many protocols go on
/// with.
pub(super) fn is_tls(bytes: &[u8]) -> bool {
    is_framed(bytes, 5, |record| match record {
        [0x14..=0x18, 3, 0..=4, ..] => {
            be16(record, 3).filter(|length| (1..=0x4800).contains(length)).map(|length| 5 + length)
        }
        _ => None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn messages_follow_each_other() {
        let next = |message: &[u8]| byte(message, 0).map(usize::from);
        let check = |bytes: &[u8], stream: bool, datagram: bool| {
            assert_eq!(is_framed(bytes, 1, next), stream, "{bytes:?}");
            let start = Start { bytes, length: bytes.len() };
            assert_eq!(start.is_packed(0, 1, next), datagram, "{bytes:?}");
        };
        check(&[2, 9, 1], true, true);
        check(&[2, 9, 3, 9], true, false);
        check(&[2, 9, 0, 9], false, false);
        check(&[], false, true);
        let cut = Start { bytes: &[2, 9, 3, 9], length: 5 };
        assert!(cut.is_packed(0, 1, next));
    }

    #[test]
    fn text_may_end_within_a_letter() {
        let check = |bytes: &[u8], expected| assert_eq!(is_text(bytes), expected, "{bytes:?}");
        check("Grüße\r\n".as_bytes(), true);
        check(b"Gr\xc3", true);
        check(b"Gr\xc3\x28", false);
        check(b"a\0b", false);
    }

    #[test]
    fn lengths_of_ber() {
        let check = |bytes: &[u8], expected| assert_eq!(ber(bytes, 0), expected, "{bytes:?}");
        check(&[0x30, 5], Some((0x30, 2, 5)));
        check(&[0x30, 0x82, 1, 0], Some((0x30, 4, 256)));
        check(&[0x30, 0x82, 1], None);
        check(&[0x30, 0x80, 1], None);
        check(&[], None);
    }
}
