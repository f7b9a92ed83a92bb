//! What the table promises: each protocol's payloads are recognised and no other's, and a known
//! beginning before other data is no protocol.

use detector_common::parse::protocol::{TCP, UDP};

use super::samples::{self, Sample};
use super::{Protocol, Row, Start, rows};

/// A port that no row has.
const OTHER_PORT: u16 = 44_444;

/// Bytes that are no protocol's: a generator of 64 bits with a seed (xorshift).
struct Noise(u64);

impl Noise {
    fn next(&mut self) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0
    }

    fn bytes(&mut self, count: usize) -> Vec<u8> {
        (0..count.div_ceil(8)).flat_map(|_| self.next().to_be_bytes()).take(count).collect()
    }
}

fn of(sample: &Sample, port: u16, bytes: &[u8]) -> Option<Protocol> {
    Protocol::of(sample.number, port, bytes, bytes.len())
}

#[test]
fn each_protocol_is_recognised_on_its_port() {
    for sample in samples::all() {
        let found = of(&sample, sample.port, &sample.bytes);
        assert_eq!(found, Some(sample.protocol), "{sample:?}");
        assert!(sample.protocol.is_usual_on(sample.port), "{sample:?}");
    }
}

#[test]
fn no_payload_is_two_protocols() {
    let mut wrong = Vec::new();
    for sample in samples::all() {
        let start = Start { bytes: &sample.bytes, length: sample.bytes.len() };
        for row in rows() {
            let here = row.transport.is(sample.number)
                && (!row.on_port || row.ports.contains(&sample.port))
                && row.protocol != sample.protocol;
            if here && (row.check)(start) {
                wrong.push((sample.protocol, row.protocol, sample.bytes.clone()));
            }
        }
    }
    assert!(wrong.is_empty(), "{wrong:?}");
}

/// A stream is read as it comes in: what is cut is its own protocol or none yet.
#[test]
fn a_cut_payload_is_no_other_protocol() {
    let mut wrong = Vec::new();
    for sample in samples::all().into_iter().filter(|sample| sample.number == TCP) {
        for end in 0..sample.bytes.len() {
            let found = of(&sample, sample.port, &sample.bytes[..end]);
            if found.is_some_and(|found| found != sample.protocol) {
                wrong.push((sample.protocol, sample.port, found, end));
            }
        }
    }
    assert!(wrong.is_empty(), "{wrong:?}");
}

/// A datagram's sample ends before it.
#[test]
fn a_cut_datagram_is_its_own_protocol_or_none() {
    let mut wrong = Vec::new();
    for sample in samples::all().into_iter().filter(|sample| sample.number == UDP) {
        for end in 0..sample.bytes.len() {
            let bytes = &sample.bytes[..end];
            let found = Protocol::of(UDP, sample.port, bytes, sample.bytes.len());
            if found.is_some_and(|found| found != sample.protocol) {
                wrong.push((sample.protocol, sample.port, found, end));
            }
        }
    }
    assert!(wrong.is_empty(), "{wrong:?}");
}

/// Rows that have no more than a few fixed bits, and how many of a million random starts fit them.
fn random_bound(row: &Row) -> u32 {
    match (row.protocol, row.on_port) {
        // One in 146.
        (Protocol::Rtp, _) => 7_300,
        // An index and a number: all but a few. On port 4500 alone.
        (Protocol::Ipsec, true) => 1_000_000,
        // Eight kinds of packet. On port 1194 alone.
        (Protocol::OpenVpn, true) => 260_000,
        // Version, mode and stratum. On port 123 alone.
        (Protocol::Ntp, true) => 4_000,
        // A command or an option. On their ports alone.
        (Protocol::Lpd, true) => 100,
        (Protocol::Mqtt | Protocol::Telnet | Protocol::Stun, true) => 20,
        // Version 2 and reserved bits. On port 1701 alone.
        (Protocol::L2tp, true) => 400,
        _ => 3,
    }
}

/// How many of 250,000 random starts fit each row.
fn hits(seed: u64) -> Vec<u32> {
    let mut noise = Noise(seed);
    let rows: Vec<_> = rows().collect();
    let mut hits = vec![0; rows.len()];
    let mut bytes = [0; 64];
    for _ in 0..250_000 {
        for word in bytes.chunks_exact_mut(8) {
            word.copy_from_slice(&noise.next().to_be_bytes());
        }
        let start = Start { bytes: &bytes, length: 64 };
        for (row, hits) in rows.iter().zip(&mut hits) {
            *hits += u32::from((row.check)(start));
        }
    }
    hits
}

#[test]
fn random_bytes_are_no_protocol() {
    let seeds = [0x9e37_79b9_7f4a_7c15, 0xd1b5_4a32_d192_ed03, 0x8cb9_2ba7_2f3d_8dd7, 7];
    let quarters = std::thread::scope(|scope| {
        let workers = seeds.map(|seed| scope.spawn(move || hits(seed)));
        workers.map(|worker| worker.join().unwrap())
    });
    let mut wrong = Vec::new();
    for (place, row) in rows().enumerate() {
        let hits: u32 = quarters.iter().map(|hits| hits[place]).sum();
        if hits > random_bound(row) {
            wrong.push((row.protocol, row.on_port, hits));
        }
    }
    assert!(wrong.is_empty(), "of a million {wrong:?}");
}

/// Of a hundred tails of random bytes, how many may follow a whole payload unseen.
fn tail_bound(sample: &Sample) -> u32 {
    match (sample.protocol, sample.number) {
        // What is media, and what is sealed, is any bytes.
        (Protocol::Rtp | Protocol::Quic, _) => 100,
        // Datagrams without a length of their own, and weak signatures that count on their port alone.
        (Protocol::Rpc | Protocol::Dhcp | Protocol::BitTorrent, UDP) => 100,
        (Protocol::OpenVpn | Protocol::Ipsec | Protocol::L2tp | Protocol::Ntp, UDP) => 100,
        (Protocol::Iperf | Protocol::Rtmp, TCP) => 100,
        // A choice of one byte, and numbers of channels.
        (Protocol::Rfb | Protocol::Stun, TCP) => 12,
        _ => 4,
    }
}

/// A known beginning buys nothing for what follows it.
#[test]
fn a_payload_before_other_data_is_no_protocol() {
    let (mut noise, mut wrong) = (Noise(7), Vec::new());
    for sample in samples::all() {
        let mut hits = 0;
        for _ in 0..100 {
            let bytes = [&sample.bytes[..], &noise.bytes(600)].concat();
            hits += u32::from(of(&sample, sample.port, &bytes) == Some(sample.protocol));
        }
        if hits > tail_bound(&sample) {
            wrong.push((hits, sample.protocol, sample.bytes.len()));
        }
    }
    assert!(wrong.is_empty(), "of 100 tails {wrong:?}");
}

/// Beginnings of files, each before random bytes.
const FILES: [&[u8]; 14] = [
    b"PK\x03\x04\x14\0\0\0\x08\0",
    b"\x1f\x8b\x08\0\0\0\0\0\0\x03",
    b"BZh91AY&SY",
    b"\xfd7zXZ\0\0\x04",
    b"7z\xbc\xaf\x27\x1c\0\x04",
    b"Rar!\x1a\x07\x01\0",
    b"\x28\xb5\x2f\xfd\x04\x58",
    b"\x89PNG\r\n\x1a\n\0\0\0\rIHDR",
    b"\xff\xd8\xff\xe0\0\x10JFIF\0",
    b"%PDF-1.7\n%\xe2\xe3\xcf\xd3\n",
    b"\x7fELF\x02\x01\x01\0",
    b"MZ\x90\0\x03\0\0\0",
    b"SQLite format 3\0",
    b"-----BEGIN OPENSSH PRIVATE KEY-----\n",
];

/// Texts of people and of machines.
const TEXTS: [&[u8]; 6] = [
    b"root:x:0:0:root:/root:/bin/bash\ndaemon:x:1:1:daemon:/usr/sbin:/usr/sbin/nologin\n",
    b"name,address,account\nJoe,1 Main Street,DE00 0000\n",
    b"{\"user\":\"joe\",\"password\":\"hunter2\"}\n",
    b"<?xml version=\"1.0\"?>\n<records><record id=\"1\"/></records>\n",
    b"Dear Sir or Madam,\nplease find attached the list.\n",
    b"VGhpcyBpcyBhIGxpc3Qgb2YgY3VzdG9tZXJzLCBhbmQgaXQgaXMgbG9uZwo=\n",
];

#[test]
fn files_are_no_protocol_on_any_port() {
    let mut noise = Noise(11);
    let mut ports: Vec<u16> = rows().flat_map(|row| row.ports).copied().collect();
    ports.push(OTHER_PORT);
    let tailed = FILES.iter().map(|file| [*file, &noise.bytes(500)].concat());
    let files: Vec<Vec<u8>> = tailed.chain(TEXTS.map(<[u8]>::to_vec)).collect();
    for file in &files {
        for port in &ports {
            assert_eq!(Protocol::of(TCP, *port, file, file.len()), None, "{port} {file:?}");
        }
        assert_eq!(Protocol::of(UDP, OTHER_PORT, file, file.len()), None, "{file:?}");
    }
}

/// A row whose check fixes few bits counts on its port alone, and what has no port of its own is
/// recognised on any.
#[test]
fn weak_signatures_count_on_their_port() {
    let check = |protocol: Protocol, number, port, bytes: &[u8], expected: bool| {
        let found = Protocol::of(number, port, bytes, bytes.len());
        assert_eq!(found == Some(protocol), expected, "{protocol:?} {port}");
    };
    let syslog = b"<34>Oct 11 22:14:15 mymachine su: failed";
    check(Protocol::Syslog, UDP, 514, syslog, true);
    check(Protocol::Syslog, UDP, OTHER_PORT, syslog, false);
    check(Protocol::Ftp, TCP, 21, b"USER joe\r\n", true);
    check(Protocol::Pop3, TCP, 110, b"USER joe\r\n", true);
    check(Protocol::Ftp, TCP, OTHER_PORT, b"USER joe\r\n", false);
    check(Protocol::Modbus, TCP, OTHER_PORT, &[0, 1, 0, 0, 0, 6, 1, 3, 0, 0, 0, 10], false);
    check(Protocol::Ssh, TCP, OTHER_PORT, b"SSH-2.0-x\r\n", true);
    assert!(Protocol::Ssh.is_usual_on(OTHER_PORT) && Protocol::Dns.is_usual_on(OTHER_PORT));
    assert!(!Protocol::Redis.is_usual_on(OTHER_PORT) && Protocol::Redis.is_usual_on(6379));
}

#[test]
fn rows_are_in_order() {
    for row in rows() {
        assert!(row.source.len() >= 5, "{row:?}");
        assert!(!row.on_port || !row.ports.is_empty(), "{row:?}");
        assert!(row.ports.is_sorted(), "{row:?}");
    }
}
