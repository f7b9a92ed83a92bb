//! What an ICMP echo payload carries beyond an ordinary ping's.
//!
//! Linux (iputils), the BSDs and macOS put a time stamp of 8 or 16 bytes first and then bytes that
//! count up; traceroutes count within 64 letters; busybox, fping and hping fill with one byte;
//! Windows repeats the letters a to w; a Cisco repeats 0xabcd. A pattern that repeats (`ping -p`)
//! carries one period of itself, however long the payload. Nothing here remembers other packets.

use super::cursor::Cursor;

/// Bytes at the start that may be a time stamp.
pub const STAMP_BYTES: usize = 16;
/// Where monitors that send a text of their own name themselves: what Snort's rules on ICMP
/// information list.
const MONITORS: [&[u8]; 6] = [
    b"WhatsUp",
    b"Pinging from",
    b"TJPingPro",
    b"Cinco Network",
    b"OMeterObese",
    b"Sustainable So",
];
/// Bytes of text from which on one message alone is a message: the shortest a reader of one
/// would call a sentence or a record, and longer than any monitor's name.
const PROSE_MIN_BYTES: usize = 64;
/// Offsets at which tunnels put the packet they carry: at once, or after a header of their own
/// (icmptunnel 0, hans 5, ptunnel 28).
const INNER_OFFSETS: usize = 33;

/// The bytes of `payload` that its sender chose: none of an ordinary ping's, one period of a
/// pattern, else all but the time stamp. Of payloads of up to 16 bytes, which may be a stamp and
/// nothing else, text alone counts.
#[must_use]
pub fn own_bytes(payload: &[u8]) -> &[u8] {
    if is_plain(payload) || MONITORS.iter().any(|name| payload.starts_with(name)) {
        return &[];
    }
    let (stamp, filling) = payload.split_at(payload.len().min(STAMP_BYTES));
    let stamp_is_text = is_text(stamp);
    match (stamp_is_text, is_plain(filling)) {
        (true, true) => one_period(stamp),
        (true, false) => one_period(payload),
        (false, true) => &[],
        (false, false) => one_period(filling),
    }
}

/// Whether bytes are one letter over and over, or count up by one from any start: through all
/// bytes, within 64 letters as traceroutes do, or around an alphabet or the digits.
fn is_plain(bytes: &[u8]) -> bool {
    let same = bytes.windows(2).all(|pair| matches!(pair, [a, b] if a == b));
    same || bytes.windows(2).all(|pair| matches!(pair, [a, b] if follows(*a, *b)))
}

fn follows(byte: u8, next: u8) -> bool {
    let wrapped = matches!((byte, next), (b'w' | b'z', b'a') | (b'W' | b'Z', b'A') | (b'9', b'0'));
    let of_64 = byte & 0x3f == 0x3f && next == byte - 0x3f;
    next == byte.wrapping_add(1) || of_64 || wrapped
}

fn is_text(bytes: &[u8]) -> bool {
    bytes.len() > 1 && bytes.iter().all(|byte| is_printable(*byte))
}

fn is_printable(byte: u8) -> bool {
    matches!(byte, b' '..=b'~' | b'\t' | b'\r' | b'\n')
}

/// The shortest start of `bytes` of which all of it is a repetition, if there are two of them;
/// else `bytes`. By the border of Knuth, Morris and Pratt, in linear time.
fn one_period(bytes: &[u8]) -> &[u8] {
    let mut borders = vec![0_usize; bytes.len()];
    let mut border = 0;
    for (index, byte) in bytes.iter().enumerate().skip(1) {
        while border > 0 && bytes.get(border) != Some(byte) {
            border = borders[border - 1];
        }
        border += usize::from(bytes.get(border) == Some(byte));
        borders[index] = border;
    }
    let period = bytes.len() - border;
    if period * 2 <= bytes.len() { &bytes[..period] } else { bytes }
}

/// Whether two payload patterns differ in a counter or a clock only: in at most eight bytes and a
/// quarter of them, or in nothing but digits, which are at most half of them.
#[must_use]
pub fn is_variation(earlier: &[u8], later: &[u8]) -> bool {
    let changed = earlier.iter().zip(later).filter(|(a, b)| a != b).count();
    let in_binary = earlier.len() == later.len() && changed <= 8 && changed * 4 <= later.len();
    let words = |bytes: &[u8]| -> Vec<u8> {
        bytes.iter().copied().filter(|byte| !byte.is_ascii_digit()).collect()
    };
    let (earlier, words) = (words(earlier), words(later));
    in_binary || (words.len() * 2 >= later.len() && earlier == words)
}

/// Whether bytes are text that a person or a program wrote, long enough to be a message by
/// itself: printable, of words, and no sequence of letters and digits.
#[must_use]
pub fn is_prose(bytes: &[u8]) -> bool {
    let count = |is: fn(&u8) -> bool| bytes.iter().filter(|byte| is(byte)).count();
    let printable = count(|byte| is_printable(*byte));
    let letters = count(|byte| byte.is_ascii_lowercase());
    let breaks = count(|byte| matches!(byte, b' ' | b'\n' | b':' | b',' | b';' | b'='));
    let counted = bytes.windows(2).filter(|pair| follows(pair[0], pair[1])).count();
    bytes.len() >= PROSE_MIN_BYTES
        && printable * 20 >= bytes.len() * 19
        && letters * 4 >= bytes.len()
        && breaks * 24 >= bytes.len()
        && counted * 4 < bytes.len()
}

/// Whether an IP packet is in `payload`, at its start or after a tunnel's own header. An IPv4
/// header must have its checksum right, an IPv6 header its length.
#[must_use]
pub fn has_inner_packet(payload: &[u8]) -> bool {
    (0..payload.len().min(INNER_OFFSETS)).any(|offset| {
        let bytes = payload.get(offset..).unwrap_or_default();
        is_ipv4(bytes) || is_ipv6(bytes)
    })
}

/// RFC 791 section 3.1: without options, and the header's words sum to all ones.
fn is_ipv4(bytes: &[u8]) -> bool {
    let Some(header) = bytes.get(..20) else {
        return false;
    };
    let words = header.chunks(2).map(|pair| u32::from(pair[0]) << 8 | u32::from(pair[1]));
    let sum: u32 = words.sum();
    header[0] == 0x45 && (sum & 0xffff) + (sum >> 16) == 0xffff
}

/// RFC 8200 section 3: no traffic class, a length that the payload has, a common next header.
fn is_ipv6(bytes: &[u8]) -> bool {
    let mut header = Cursor::new(bytes);
    let (Some(0x6000_0000..=0x600f_ffff), Some(length), Some(next)) =
        (header.u32(), header.u16(), header.u8())
    else {
        return false;
    };
    matches!(next, 6 | 17 | 58) && bytes.len() == 40 + usize::from(length)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn stamped(filling: &[u8]) -> Vec<u8> {
        [&b"\xbc\x44\x8d\x65\0\0\0\0\x15\xea\x07\0\0\0\0\0"[..], filling].concat()
    }

    fn counting(range: std::ops::Range<u16>) -> Vec<u8> {
        range.map(|number| number as u8).collect()
    }

    #[test]
    fn ordinary_pings_have_nothing_of_their_own() {
        let traceroute: Vec<u8> = (0..200_u8).map(|number| 0x40 | number & 0x3f).collect();
        for payload in [
            Vec::new(),
            stamped(&counting(16..56)),
            stamped(&counting(8..64)),
            stamped(&counting(16..1_400)),
            counting(0..56),
            traceroute,
            b"abcdefghijklmnopqrstuvwabcdefghi".to_vec(),
            b"hijklmnopqrstuvwabcdefg".to_vec(),
            b"abcdefghijklmnopqrstuvwxyzabcdefghijklmnop".to_vec(),
            b"ABCDEFGHIJKLMNOPQRSTUVWABCDEFGHI".to_vec(),
            vec![0; 64],
            stamped(&[b'X'; 120]),
            stamped(&[0; 40]),
            b"\x12\x34\x56\x78\x9a\xbc\xde\xf0".to_vec(),
            b"WhatsUp - A Network Monitoring Tool".to_vec(),
        ] {
            assert_eq!(own_bytes(&payload), b"", "{payload:?}");
        }
    }

    #[test]
    fn patterns_carry_one_period_of_themselves() {
        let pad = b"1234567890ABCDEFGHIJKLMNOPQRSTUVWXYZ__".repeat(12);
        for (payload, expected) in [
            (stamped(&[0xab, 0xcd].repeat(28)), 2),
            (stamped(&b"secret data here"[..].repeat(3)), 16),
            (stamped(&[&b"secret data here"[..].repeat(2), &b"secr"[..]].concat()), 16),
            (pad, 38),
        ] {
            assert_eq!(own_bytes(&payload).len(), expected, "{payload:?}");
        }
    }

    #[test]
    fn what_a_sender_chose_is_found() {
        let check = |payload: &[u8], expected: &[u8]| assert_eq!(own_bytes(payload), expected);
        check(&stamped(b"root:x:0:0:root"), b"root:x:0:0:root");
        check(b"user=admin", b"user=admin");
        check(b"hunter2 hunter3 and so on", b"hunter2 hunter3 and so on");
        check(&[&b"hunter2 hunter3 "[..], &[0; 40]].concat(), b"hunter2 hunter3 ");
        let mut changed = stamped(&counting(16..56));
        changed[40] ^= 1;
        assert_eq!(own_bytes(&changed).len(), 40);
    }

    #[test]
    fn text_is_told_from_pads_and_code() {
        let check = |bytes: &[u8], expected| assert_eq!(is_prose(bytes), expected, "{bytes:?}");
        check(
            b"Transfer all of the funds to the account that I gave you on Tuesday, tonight",
            true,
        );
        check(
            b"root:x:0:0:root:/root:/bin/bash\ndaemon:x:1:1:daemon:/usr/sbin:/usr/sbin/nologin",
            true,
        );
        check(b"Transfer all of the funds", false);
        check(
            b"1234567890ABCDEFGHIJKLMNOPQRSTUVWXYZ__1234567890abcdefghijklmnopqrstuvwxyz__",
            false,
        );
        check(&[0x9c; 80], false);
        check(&[b'a'; 80], false);
    }

    #[test]
    fn counters_and_clocks_are_variations() {
        let check = |a: &[u8], b: &[u8], expected| assert_eq!(is_variation(a, b), expected);
        check(b"probe 000001 of the monitor", b"probe 000012 of the monitor", true);
        check(b"the first line of a file", b"and now its second line.", false);
        check(b"{\"seq\":9,\"host\":\"m1\"}", b"{\"seq\":10,\"host\":\"m1\"}", true);
        check(b"n=4111111111111111", b"n=5500000000000004", false);
        check(b"abcd", b"wxyz", false);
        check(b"longer", b"long", false);
    }

    #[test]
    fn packets_inside_are_found() {
        let ipv4 = b"E\x00\x00T\x00\x00@\x00@\x01#\xe9\x0a\x5f\x01\x01\x0a\x5f\x01\x02\x08\x00";
        let mut ipv6 = vec![0x60, 0, 0, 0, 0, 8, 17, 64];
        ipv6.extend([0xfd; 32]);
        ipv6.extend([0; 8]);
        let check = |bytes: &[u8], expected| assert_eq!(has_inner_packet(bytes), expected);
        check(ipv4, true);
        check(&[&b"hans!"[..], ipv4].concat(), true);
        check(&ipv6, true);
        check(&ipv6[..47], false);
        check(&stamped(&counting(16..200)), false);
        check(b"EEEEEEEEEEEEEEEEEEEEEEEEEE", false);
    }

    #[test]
    fn any_cut_of_any_payload_is_read() {
        let payload = stamped(b"E\x00\x00T`some text and \xff\x00 bytes");
        for end in 0..payload.len() {
            let own = own_bytes(&payload[..end]);
            assert!(own.len() <= end);
            let (_prose, _inner) = (is_prose(own), has_inner_packet(&payload[..end]));
        }
    }
}
