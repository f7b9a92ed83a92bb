//! What protocol a payload looks like, from its first bytes.
//!
//! Signatures are those of the protocols' own specifications; what fits none is `None`, which for
//! encrypted private protocols is the truth.

/// A protocol told by its first bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Protocol {
    Tls,
    Quic,
    Ssh,
    Http,
    Http2,
    Smtp,
    Ftp,
    Pop3,
    Imap,
    Dns,
    Smb,
    Rdp,
    Mqtt,
    Rfb,
    Stun,
    BitTorrent,
    Socks,
    WireGuard,
    Rtp,
    MpegTs,
    Rtmp,
}

impl Protocol {
    /// A lower-case name.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Tls => "tls",
            Self::Quic => "quic",
            Self::Ssh => "ssh",
            Self::Http => "http",
            Self::Http2 => "http2",
            Self::Smtp => "smtp",
            Self::Ftp => "ftp",
            Self::Pop3 => "pop3",
            Self::Imap => "imap",
            Self::Dns => "dns",
            Self::Smb => "smb",
            Self::Rdp => "rdp",
            Self::Mqtt => "mqtt",
            Self::Rfb => "rfb",
            Self::Stun => "stun",
            Self::BitTorrent => "bittorrent",
            Self::Socks => "socks",
            Self::WireGuard => "wireguard",
            Self::Rtp => "rtp",
            Self::MpegTs => "mpeg_ts",
            Self::Rtmp => "rtmp",
        }
    }

    /// What a TCP payload starts with.
    #[must_use]
    pub fn of_tcp(bytes: &[u8]) -> Option<Self> {
        match bytes {
            // A TLS record: handshake or alert, version 3.0 to 3.4, no longer than RFC 8446 has it.
            [0x14..=0x17, 0x03, 0x00..=0x04, 0x00..=0x48, _, ..] => Some(Self::Tls),
            // SMB direct: a session message with an SMB1, SMB2 or encrypted SMB3 header.
            [0, _, _, _, 0xfd..=0xff, b'S', b'M', b'B', ..] => Some(Self::Smb),
            // TPKT with an X.224 connection request or confirm (RFC 1006, MS-RDPBCGR).
            [3, 0, _, _, _, 0xe0 | 0xd0, ..] => Some(Self::Rdp),
            // An MQTT CONNECT names its protocol (MQTT 5 section 3.1.2, MQTT 3.1).
            [0x10, _, 0, 4, b'M', b'Q', b'T', b'T', ..]
            | [0x10, _, _, 0, 4, b'M', b'Q', b'T', b'T', ..]
            | [0x10, _, 0, 6, b'M', b'Q', b'I', b's', ..] => Some(Self::Mqtt),
            [19, rest @ ..] if rest.starts_with(b"BitTorrent protocol") => Some(Self::BitTorrent),
            // RFC 1928 section 3: as many methods as are announced, and nothing more.
            [5, count, rest @ ..] if *count != 0 && rest.len() == usize::from(*count) => {
                Some(Self::Socks)
            }
            // Version 3 and a time of 0 for the clock's start (RTMP 1.0 section 5.2.2).
            [3, _, _, _, _, 0, 0, 0, 0, ..] if bytes.len() >= RTMP_HELLO_HEAD => Some(Self::Rtmp),
            // RTP in frames, each after its length (RFC 4571).
            [high, low, rest @ ..] if is_rtp(rest) && is_length(*high, *low, rest) => {
                Some(Self::Rtp)
            }
            _ => of_text(bytes),
        }
    }

    /// What a UDP payload starts with.
    #[must_use]
    pub fn of_udp(bytes: &[u8]) -> Option<Self> {
        match bytes {
            // STUN: a message length of whole words and the magic cookie (RFC 8489 section 5).
            [0..=0x3f, _, _, _, 0x21, 0x12, 0xa4, 0x42, ..] => Some(Self::Stun),
            // A WireGuard handshake initiation has 148 bytes, a response 92.
            [1 | 2, 0, 0, 0, ..] if matches!(bytes.len(), 148 | 92) => Some(Self::WireGuard),
            // A long header with the fixed bit, version 1 or 2 (RFC 9000 section 17.2, RFC 9369).
            [first, 0, 0, 0, 1, ..] | [first, 0x6b, 0x33, 0x43, 0xcf, ..]
                if first & 0xc0 == 0xc0 =>
            {
                Some(Self::Quic)
            }
            // Transport packets of 188 bytes, each with its mark (ISO 13818-1 section 2.4.3).
            [0x47, ..] if bytes.get(188).is_none_or(|mark| *mark == 0x47) && bytes.len() >= 188 => {
                Some(Self::MpegTs)
            }
            _ if is_rtp(bytes) => Some(Self::Rtp),
            _ => None,
        }
    }
}

/// As much of the 1,537 bytes of an RTMP client's greeting as a head holds.
const RTMP_HELLO_HEAD: usize = 512;

/// An RTP header of version 2 without contributing sources, and a payload type that is assigned or
/// dynamic (RFC 3550 section 5.1, RFC 3551 section 6). One in 180 random starts looks so.
fn is_rtp(bytes: &[u8]) -> bool {
    let &[first, kind, ..] = bytes else { return false };
    let kind = kind & 0x7f;
    let assigned = matches!(kind, 0 | 3..=18 | 25 | 26 | 28 | 31..=34 | 96..=127);
    first & 0xcf == 0x80 && assigned && bytes.len() >= 24
}

/// Whether a frame of RTP over TCP announces as much as follows, as far as a head shows.
fn is_length(high: u8, low: u8, rest: &[u8]) -> bool {
    let length = usize::from(u16::from_be_bytes([high, low]));
    length >= rest.len().min(24) && length <= 1_500
}

const STARTS: [(&[u8], Protocol); 15] = [
    (b"SSH-", Protocol::Ssh),
    (b"HTTP/1.", Protocol::Http),
    (b"PRI * HTTP/2.0", Protocol::Http2),
    (b"RFB 00", Protocol::Rfb),
    (b"EHLO ", Protocol::Smtp),
    (b"HELO ", Protocol::Smtp),
    (b"MAIL FROM:", Protocol::Smtp),
    (b"RCPT TO:", Protocol::Smtp),
    (b"STARTTLS", Protocol::Smtp),
    (b"+OK ", Protocol::Pop3),
    (b"* OK ", Protocol::Imap),
    (b"STOR ", Protocol::Ftp),
    (b"RETR ", Protocol::Ftp),
    (b"PASV", Protocol::Ftp),
    (b"EPSV", Protocol::Ftp),
];

fn of_text(bytes: &[u8]) -> Option<Protocol> {
    if super::http::method(bytes).is_some() {
        return Some(Protocol::Http);
    }
    if let Some((_, protocol)) = STARTS.iter().find(|(start, _)| bytes.starts_with(start)) {
        return Some(*protocol);
    }
    // SMTP and FTP both greet with 220; the words tell them apart.
    if bytes.starts_with(b"220 ") || bytes.starts_with(b"220-") {
        let line = bytes.get(..bytes.len().min(128)).unwrap_or(bytes);
        let says =
            |word: &[u8]| line.windows(word.len()).any(|window| window.eq_ignore_ascii_case(word));
        return if says(b"SMTP") || says(b"mail") {
            Some(Protocol::Smtp)
        } else if says(b"FTP") || says(b"FileZilla") {
            Some(Protocol::Ftp)
        } else {
            None
        };
    }
    None
}

/// Whether a payload from a client is an SMTP command that hands over a message.
#[must_use]
pub fn is_mail_command(bytes: &[u8]) -> bool {
    starts_with_any(bytes, &[b"MAIL FROM:", b"DATA\r\n", b"BDAT "])
}

/// Whether a payload from a client is an FTP command that uploads (RFC 959 section 4.1.3).
#[must_use]
pub fn is_upload_command(bytes: &[u8]) -> bool {
    starts_with_any(bytes, &[b"STOR ", b"STOU", b"APPE "])
}

fn starts_with_any(bytes: &[u8], starts: &[&[u8]]) -> bool {
    starts
        .iter()
        .any(|start| bytes.get(..start.len()).is_some_and(|head| head.eq_ignore_ascii_case(start)))
}

#[cfg(test)]
mod tests {
    use super::{Protocol, is_mail_command, is_upload_command};

    #[track_caller]
    fn check_tcp(bytes: &[u8], expected: Option<Protocol>) {
        assert_eq!(Protocol::of_tcp(bytes), expected);
        for end in 0..bytes.len() {
            // Cut short it may be unknown, and must not panic.
            let _cut = Protocol::of_tcp(&bytes[..end]);
        }
    }

    #[test]
    fn tcp_payloads_tell_their_protocol() {
        check_tcp(b"\x16\x03\x01\x02\x00\x01", Some(Protocol::Tls));
        check_tcp(b"SSH-2.0-OpenSSH_9.2\r\n", Some(Protocol::Ssh));
        check_tcp(b"POST /up HTTP/1.1\r\n", Some(Protocol::Http));
        check_tcp(b"220 mail.example ESMTP Postfix\r\n", Some(Protocol::Smtp));
        check_tcp(b"220 (vsFTPd 3.0.3)\r\n", Some(Protocol::Ftp));
        check_tcp(b"220 hello\r\n", None);
        check_tcp(b"\x00\x00\x00\x54\xfeSMB@\x00", Some(Protocol::Smb));
        check_tcp(b"\x10\x10\x00\x04MQTT\x04", Some(Protocol::Mqtt));
        check_tcp(b"\x05\x01\x00", Some(Protocol::Socks));
        check_tcp(b"\x01\x02\x03\x04\x05\x06", None);
    }

    #[test]
    fn media_are_told_by_their_headers() {
        let rtp = [&[0x80, 8][..], &[7; 200]].concat();
        assert_eq!(Protocol::of_udp(&rtp), Some(Protocol::Rtp));
        let framed = [&202_u16.to_be_bytes()[..], &rtp].concat();
        assert_eq!(Protocol::of_tcp(&framed), Some(Protocol::Rtp));
        let other = [&[0x80, 8][..], &rtp].concat();
        assert_eq!(Protocol::of_tcp(&other), None);
        let mut stream = vec![0x47; 400];
        assert_eq!(Protocol::of_udp(&stream), Some(Protocol::MpegTs));
        stream[188] = 0;
        assert_eq!(Protocol::of_udp(&stream), None);
        let mut hello = vec![9; 512];
        hello[..9].copy_from_slice(&[3, 0, 0, 0, 0, 0, 0, 0, 0]);
        assert_eq!(Protocol::of_tcp(&hello), Some(Protocol::Rtmp));
    }

    #[test]
    fn udp_payloads_tell_their_protocol() {
        let quic = b"\xc3\x00\x00\x00\x01\x08\x01\x02";
        assert_eq!(Protocol::of_udp(quic), Some(Protocol::Quic));
        let stun = b"\x00\x01\x00\x00\x21\x12\xa4\x42";
        assert_eq!(Protocol::of_udp(stun), Some(Protocol::Stun));
        let mut handshake = [0u8; 148];
        handshake[0] = 1;
        assert_eq!(Protocol::of_udp(&handshake), Some(Protocol::WireGuard));
        assert_eq!(Protocol::of_udp(b""), None);
    }

    #[test]
    fn commands_that_upload() {
        assert!(is_mail_command(b"mail from:<a@b>"));
        assert!(is_upload_command(b"STOR secrets.zip\r\n"));
        assert!(!is_upload_command(b"RETR file\r\n"));
        assert!(!is_mail_command(b""));
    }
}
