//! Ways past a monitor that accuses only what it recognises, frame by frame: ten megabytes leave by each, and
//! each is reported.
#![expect(clippy::unwrap_used, reason = "a test that cannot go on fails")]

use std::process::Command;

use detector_tests::capture_file::{ETHERNET, timed};
use detector_tests::conversation::{dns_answer, dns_query};
use detector_tests::frames::{HOME, IPV4, IPV6, V4, ethernet, icmp, ipv6_between, tcp, udp};
use detector_tests::{Scratch, frames};
use serde_json::Value;

/// The program: as `cargo xtask test` released it, else as this build has it.
fn detector() -> Command {
    let beside = || {
        let own = std::env::current_exe().unwrap();
        own.ancestors().nth(2).unwrap().join("detector").into_os_string()
    };
    Command::new(std::env::var_os("DETECTOR_BIN").unwrap_or_else(beside))
}

const SYN: u8 = 0x02;
const RST: u8 = 0x04;
const PUSH: u8 = 0x18;
const PORTS: (u16, u16) = (40_000, 9_000);
const BYTES: usize = 10_000_000;
const PART: usize = 1_400;
const PARTS: usize = BYTES / PART;

/// Bytes that look like nothing: every part other ones.
fn part(number: usize) -> Vec<u8> {
    let mut state = number as u64 ^ 0x9e37_79b9_7f4a_7c15;
    let step = |_| {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        state as u8
    };
    (0..PART).map(step).collect()
}

fn ip(header: V4, payload: &[u8]) -> Vec<u8> {
    ethernet(&[], IPV4, &header.packet(payload))
}

fn to(destination: [u8; 4], protocol: u8) -> V4 {
    V4 { destination, ..V4::new(protocol) }
}

fn segment(ports: (u16, u16), number: usize, flags: u8) -> Vec<u8> {
    ip(V4::new(6), &tcp(ports, 1 + (number * PART) as u32, flags, 5, &part(number)))
}

fn datagram(ports: (u16, u16), number: usize) -> Vec<u8> {
    ip(V4::new(17), &udp(ports, &part(number)))
}

/// A connection that opens as it should, says `greeting`, and sends raw bytes from there on.
fn greeted(port: u16, greeting: &[u8], number: usize) -> Vec<Vec<u8>> {
    let ports = (40_000, port);
    let send =
        |sequence, flags, bytes: &[u8]| ip(V4::new(6), &tcp(ports, sequence, flags, 5, bytes));
    let answer = |flags| ip(V4::new(6).back(), &tcp((port, 40_000), 1, flags, 5, &[]));
    let greeting_end = 1 + greeting.len() as u32;
    match number {
        0 => vec![send(0, SYN, &[]), answer(0x12), send(1, PUSH, greeting)],
        _ => vec![send(greeting_end + (number * PART) as u32, PUSH, &part(number)), answer(0x10)],
    }
}

/// Bytes that may have left by the first alert, at the median.
const MOST_LEAKED: u64 = 4_000_000;

/// What a way sends as its part of this number.
type Way = fn(usize) -> Vec<Vec<u8>>;

const HELLO: &[u8] = &[0x16, 3, 1, 2, 0, 1, 0, 1, 0xfc, 3, 3];

/// Each way by its name.
const WAYS: &[(&str, Way)] = &[
    ("no handshake", |n| vec![segment(PORTS, n, PUSH)]),
    ("no handshake, from a server's port", |n| vec![segment((443, 40_000), n, PUSH)]),
    ("payload in SYNs", |n| vec![segment(PORTS, n, SYN)]),
    ("payload behind resets", |n| vec![segment(PORTS, n, RST)]),
    ("payload without flags", |n| vec![segment(PORTS, n, 0)]),
    ("a forged handshake from the server", |n| match n {
        0 => vec![ip(V4::new(6).back(), &tcp((9_000, 40_000), 0, SYN, 5, &[]))],
        _ => vec![segment(PORTS, n, PUSH)],
    }),
    ("TLS, then raw", |n| greeted(443, &[HELLO, &[7; 512]].concat(), n)),
    ("TLS on another port, then raw", |n| greeted(8_443, &[HELLO, &[7; 512]].concat(), n)),
    ("SSH, then raw", |n| greeted(22, b"SSH-2.0-OpenSSH_9.7\r\n", n)),
    ("HTTP, then raw", |n| greeted(80, b"GET / HTTP/1.1\r\nHost: www.example\r\n\r\n", n)),
    ("SMTP, then raw", |n| greeted(25, b"EHLO mail.example\r\n", n)),
    ("BitTorrent, then raw", |n| greeted(6_881, b"\x13BitTorrent protocol\0\0\0\0\0\0\0\0", n)),
    ("raw TCP", |n| greeted(9_000, &[], n)),
    ("raw TCP on the port of TLS", |n| greeted(443, &[], n)),
    ("raw TCP on the port of DNS", |n| greeted(53, &[], n)),
    ("UDP", |n| vec![datagram((40_000, 40_000), n)]),
    ("UDP from WireGuard's port", |n| vec![datagram((51_820, 40_000), n)]),
    ("UDP to WireGuard's port", |n| vec![datagram((40_000, 51_820), n)]),
    ("UDP from DNS's port", |n| vec![datagram((53, 40_000), n)]),
    ("UDP to DNS's port", |n| vec![datagram((40_000, 53), n)]),
    ("UDP to NTP's port", |n| vec![datagram((40_000, 123), n)]),
    ("UDP from NTP's port", |n| vec![datagram((123, 123), n)]),
    ("UDP to QUIC's port", |n| vec![datagram((40_000, 443), n)]),
    ("UDP to a mDNS port", |n| vec![datagram((5_353, 5_353), n)]),
    ("UDP to SNMP's port", |n| vec![datagram((40_000, 161), n)]),
    ("UDP to SIP's port", |n| vec![datagram((5_060, 5_060), n)]),
    ("RTP's header", |n| {
        let header = [&[0x80, 96][..], &(n as u16).to_be_bytes(), &[0; 8]].concat();
        vec![ip(V4::new(17), &udp((30_000, 30_000), &[&header, &part(n)[12..]].concat()))]
    }),
    ("STUN's header", |n| {
        let header = [0, 1, 5, 100, 0x21, 0x12, 0xa4, 0x42];
        vec![ip(V4::new(17), &udp((30_000, 3_478), &[&header[..], &part(n)[8..]].concat()))]
    }),
    ("QUIC's header", |n| {
        let header = [0xc3, 0, 0, 0, 1, 8];
        vec![ip(V4::new(17), &udp((30_000, 443), &[&header[..], &part(n)[6..]].concat()))]
    }),
    ("WireGuard's header", |n| {
        let header = [4, 0, 0, 0];
        vec![ip(V4::new(17), &udp((30_000, 51_820), &[&header[..], &part(n)[4..]].concat()))]
    }),
    ("a new destination each time, UDP", |n| {
        let away = [198, 18, (n >> 8) as u8, n as u8];
        vec![ip(to(away, 17), &udp((40_000, 40_000), &part(n)))]
    }),
    ("a new destination every hundred, TCP", |n| {
        let away = [198, 18, 0, (n / 100) as u8];
        vec![ip(to(away, 6), &tcp(PORTS, 1 + (n * PART) as u32, PUSH, 5, &part(n)))]
    }),
    ("a new port each time", |n| vec![datagram((40_000, 1_024 + n as u16), n)]),
    ("a new source port each time", |n| vec![datagram((1_024 + n as u16, 40_000), n)]),
    ("a new source address each time", |n| {
        let header = V4 { source: [10, 0, 0, n as u8], ..V4::new(17) };
        vec![ip(header, &udp((40_000, 40_000), &part(n)))]
    }),
    ("a new source address of the own /64 each time", |n| {
        let mut source = frames::HOME_V6;
        source[8..16].copy_from_slice(&(n as u64).to_be_bytes());
        let datagram = udp((40_000, 40_000), &part(n));
        let length = datagram.len() as u16;
        let packet = ipv6_between(source, frames::AWAY_V6, 17, length, &datagram);
        vec![ethernet(&[], IPV6, &packet)]
    }),
    ("GRE", |n| vec![ip(V4::new(47), &part(n))]),
    ("ESP", |n| vec![ip(V4::new(50), &part(n))]),
    ("IP in IP", |n| vec![ip(V4::new(4), &part(n))]),
    ("IGMP to a host", |n| vec![ip(V4::new(2), &part(n))]),
    ("OSPF", |n| vec![ip(V4::new(89), &part(n))]),
    ("SCTP", |n| vec![ip(V4::new(132), &part(n))]),
    ("an experimental protocol", |n| vec![ip(V4::new(253), &part(n))]),
    ("the reserved protocol", |n| vec![ip(V4::new(255), &part(n))]),
    ("protocol 0", |n| vec![ip(V4::new(0), &part(n))]),
    ("first fragments only", |n| {
        let header = V4 { fragment: 0x2000, identification: n as u16, ..V4::new(17) };
        vec![ip(header, &udp((40_000, 40_000), &part(n)))]
    }),
    ("later fragments only", |n| {
        let header = V4 { fragment: 100, identification: n as u16, ..V4::new(17) };
        vec![ip(header, &part(n))]
    }),
    ("echo requests", |n| vec![ip(V4::new(1), &icmp(8, 0, 7, &part(n)))]),
    ("echo replies", |n| vec![ip(V4::new(1), &icmp(0, 0, 7, &part(n)))]),
    ("ICMP errors", |n| vec![ip(V4::new(1), &icmp(3, 1, 0, &part(n)))]),
    ("ICMP timestamps", |n| vec![ip(V4::new(1), &icmp(13, 0, 7, &part(n)))]),
    ("to a multicast group", |n| {
        vec![ip(to([239, 1, 1, 1], 17), &udp((40_000, 40_000), &part(n)))]
    }),
    ("to the mDNS group", |n| vec![ip(to([224, 0, 0, 251], 17), &udp((5_353, 5_353), &part(n)))]),
    ("IPv6", |n| vec![ethernet(&[], IPV6, &frames::ipv6(17, &udp((40_000, 40_000), &part(n))))]),
    ("IPv6 without a next header", |n| vec![ethernet(&[], IPV6, &frames::ipv6(59, &part(n)))]),
    ("IPv6 fragments", |n| {
        let fragment = frames::fragment_v6(17, 64, false, &part(n));
        vec![ethernet(&[], IPV6, &fragment)]
    }),
];

/// An hour before: the host asks its resolver for a name and reads a page. Behind: time goes on.
fn scene(way: Way) -> Vec<(u64, Vec<u8>)> {
    const RESOLVER: [u8; 4] = [10, 0, 0, 1];
    let ask = dns_query("www.example", 1);
    let tell = dns_answer("www.example", 1, &[203, 0, 113, 80]);
    let question = V4 { source: HOME, destination: RESOLVER, ..V4::new(17) };
    let answer = V4 { source: RESOLVER, destination: HOME, ..V4::new(17) };
    let mut scene = vec![
        (0, ip(question, &udp((50_000, 53), &ask))),
        (10_000, ip(answer, &udp((53, 50_000), &tell))),
    ];
    let mut now = 300_000_000;
    for number in 0..=PARTS {
        for frame in way(number) {
            scene.push((now, frame));
            now += 2_000;
        }
    }
    for later in [1, 30, 60, 90, 120] {
        scene.push((now + later * 1_000_000, ip(question, &udp((50_001, 53), &ask))));
    }
    scene
}

/// The alerts about a scene, its flows and the summary.
fn read(scratch: &Scratch, number: usize, way: Way) -> (Vec<Value>, Vec<Value>, Value) {
    let scene = scene(way);
    let frames = scene.iter().map(|(time, frame)| (*time, frame.as_slice()));
    let file = scratch.write(&format!("{number}.pcap"), timed(ETHERNET, frames)).unwrap();
    let output =
        detector().args(["analyze", "--flows", "--format", "json"]).arg(&file).output().unwrap();
    std::fs::remove_file(&file).unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let lines = str::from_utf8(&output.stdout).unwrap().lines();
    let mut lines: Vec<Value> = lines.map(|line| serde_json::from_str(line).unwrap()).collect();
    let summary = lines.pop().unwrap();
    let (alerts, flows) = lines.into_iter().partition(|line| line["type"] == "alert");
    (alerts, flows, summary)
}

/// What is explained and what is not make up what internal hosts sent, to the byte; nothing waits at the
/// end.
fn check_sums(name: &str, flows: &[Value], summary: &Value) {
    let sum = |key: &str| -> u64 {
        summary[key].as_object().unwrap().values().map(|bytes| bytes.as_u64().unwrap()).sum()
    };
    let sent = |flow: &Value, home: &str, bytes: &str| match flow[home].as_bool().unwrap() {
        true => flow[bytes].as_u64().unwrap(),
        false => 0,
    };
    let of = |flow| sent(flow, "src_home", "bytes_out") + sent(flow, "dst_home", "bytes_in");
    let outbound: u64 = flows.iter().map(of).sum();
    assert!(outbound > BYTES as u64, "{name}: {outbound} bytes left");
    assert_eq!(sum("explained_bytes") + sum("unexplained_bytes"), outbound, "{name}");
}

#[test]
fn ten_megabytes_do_not_leave_in_silence() {
    let scratch = Scratch::new("evasions").unwrap();
    let (mut silent, mut leaked) = (Vec::new(), Vec::new());
    for (number, (name, way)) in WAYS.iter().enumerate() {
        let (alerts, flows, summary) = read(&scratch, number, *way);
        let ids: std::collections::BTreeSet<&str> =
            alerts.iter().map(|alert| alert["id"].as_str().unwrap()).collect();
        let kinds: std::collections::BTreeSet<&str> =
            alerts.iter().map(|alert| alert["technique"].as_str().unwrap()).collect();
        let first = alerts.first().and_then(|alert| alert["bytes_leaked"].as_u64());
        println!("{name}: {} alerts, {kinds:?}, {first:?} leaked", ids.len());
        assert!(ids.len() < 2, "{name}: {} alerts about one story", ids.len());
        check_sums(name, &flows, &summary);
        leaked.push(first.unwrap_or(BYTES as u64));
        if ids.is_empty() {
            silent.push(*name);
        }
    }
    leaked.sort_unstable();
    let median = leaked[leaked.len() / 2];
    println!("median leaked: {median}");
    assert!(silent.is_empty(), "{} of {}: {silent:#?}", silent.len(), WAYS.len());
    assert!(median < MOST_LEAKED, "{median} bytes leaked at the median");
}
