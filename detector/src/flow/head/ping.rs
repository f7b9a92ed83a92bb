//! Whether an ICMP echo payload is what an ordinary ping sends.
//!
//! Linux (iputils) and the BSDs and macOS put a time stamp of 8 or 16 bytes first and then bytes
//! that count their own offset; busybox and fping put zeros after theirs; Windows repeats the
//! letters a to w. One fill byte (`ping -p`) is ordinary too; a longer pattern is not, because it
//! is a way to carry data.

/// Bytes that may be a time stamp.
const STAMP_BYTES: usize = 16;
/// What Windows repeats.
const ALPHABET: &[u8; 23] = b"abcdefghijklmnopqrstuvw";

/// Whether `payload`, after identifier and sequence number, is an ordinary ping's. Payloads of up
/// to 16 bytes are: a time stamp has no pattern.
#[must_use]
pub fn is_ordinary(payload: &[u8]) -> bool {
    if is_alphabet(payload) {
        return true;
    }
    let Some(filling) = payload.get(STAMP_BYTES..) else {
        return true;
    };
    let Some((&first, rest)) = filling.split_first() else {
        return true;
    };
    rest.iter().all(|&byte| byte == first) || counts_offsets(filling)
}

/// Bytes that count up by one, starting at the offset in the payload or, as macOS has it, at 8
/// less.
fn counts_offsets(filling: &[u8]) -> bool {
    let Some(&first) = filling.first() else {
        return true;
    };
    if !matches!(first, 8 | 16) {
        return false;
    }
    filling
        .iter()
        .zip((0..=u8::MAX).cycle().skip(usize::from(first)))
        .all(|(&byte, expected)| byte == expected)
}

fn is_alphabet(payload: &[u8]) -> bool {
    payload.iter().zip(ALPHABET.iter().cycle()).all(|(byte, letter)| byte == letter)
}

#[cfg(test)]
mod tests {
    use super::is_ordinary;

    fn linux(length: u8) -> Vec<u8> {
        (0..length).map(|offset| if offset < 16 { offset ^ 0x5a } else { offset }).collect()
    }

    #[test]
    fn ordinary_pings() {
        assert!(is_ordinary(b""));
        assert!(is_ordinary(&linux(56)));
        assert!(is_ordinary(&linux(255)));
        assert!(is_ordinary(b"abcdefghijklmnopqrstuvwabcdefghi"));
        assert!(is_ordinary(&[0; 64]));
        let large: Vec<u8> = (0..1400u32).map(|offset| offset as u8).collect();
        assert!(is_ordinary(&large));
    }

    #[test]
    fn payloads_that_carry_something() {
        assert!(!is_ordinary(b"root:x:0:0:root:/root:/bin/bash\ndaemon"));
        assert!(!is_ordinary(
            b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03\x99\x01\x02\x03\x04\x05\x06"
        ));
        let mut changed = linux(56);
        changed[40] ^= 1;
        assert!(!is_ordinary(&changed));
    }
}
