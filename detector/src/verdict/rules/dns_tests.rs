//! The DNS rules on messages as tools write them: encoders of several tunnels, and the innocent that
//! look like them.

use std::collections::{BTreeMap, BTreeSet};

use detector_common::flow::{Direction, FlowKey};
use detector_common::parse::protocol;

use crate::features::Sample;
use crate::flow::dns::message::record_type::{A, AAAA, CNAME, DS, MX, NULL, SRV, TXT};
use crate::flow::{
    FlowRecord, FlowView, Observation, Piece, Session, SessionCheckpoint, Side, TimeBase, Tracker,
    TrackerConfig, Visitor,
};
use crate::verdict::evidence;

use super::dns::RULES;
use crate::network::Address;

/// What a client asks: a name, the type, and bytes of content in the answer; none for NXDOMAIN.
struct Query {
    name: Vec<u8>,
    record_type: u16,
    answer: Option<usize>,
}

fn query(name: impl Into<Vec<u8>>, record_type: u16, answer: Option<usize>) -> Query {
    Query { name: name.into(), record_type, answer }
}

/// The rules that found something, by domain.
#[derive(Default)]
struct Findings(BTreeMap<String, BTreeSet<&'static str>>);

impl Visitor for Findings {
    fn score(&mut self, session: &Session, _: &FlowView, _: SessionCheckpoint, now_ns: u64) {
        if evidence::scored(session).all(|side| side != Side::Client) {
            return;
        }
        let sample = Sample::new(session, Side::Client, now_ns);
        for rule in RULES.iter().filter(|rule| (rule.find)(&sample).is_some()) {
            let domain = session.domain.as_deref().unwrap_or("none").to_owned();
            self.0.entry(domain).or_default().insert(rule.name);
        }
    }

    fn flow_record(&mut self, _: &FlowRecord) {}

    fn session_ended(&mut self, _: &Session) {}
}

fn message(query: &Query, response: bool) -> Vec<u8> {
    let answers = u16::from(response && query.answer.is_some());
    let flags = match (response, query.answer) {
        (false, _) => 0x0100_u16,
        (true, Some(_)) => 0x8180,
        (true, None) => 0x8183,
    };
    let header = [7, flags, 1, answers, 0, 0];
    let mut wire: Vec<u8> = header.iter().flat_map(|word| word.to_be_bytes()).collect();
    for label in query.name.split(|byte| *byte == b'.') {
        wire.push(u8::try_from(label.len()).expect("a label"));
        wire.extend(label);
    }
    wire.push(0);
    let question = [query.record_type, 1].map(u16::to_be_bytes).concat();
    wire.extend(&question);
    if let (true, Some(bytes)) = (response, query.answer) {
        wire.extend([0xc0, 12]);
        wire.extend(&question);
        wire.extend([0, 0, 0, 60]);
        wire.extend(u16::try_from(bytes).expect("short").to_be_bytes());
        wire.extend(vec![b'z'; bytes]);
    }
    wire
}

/// Asks each query `every_ms` milliseconds after the one before.
fn ask(queries: &[Query], number: u8, every_ms: u64) -> Findings {
    let mut tracker = Tracker::new(&TrackerConfig::default());
    let mut findings = Findings::default();
    for (count, query) in (0_u64..).zip(queries) {
        let key = FlowKey {
            low: Address::from([10, 0, 0, 7]).octets(),
            high: Address::from([192, 0, 2, 53]).octets(),
            low_port: (20_000 + (count % 20_000) as u16).to_be_bytes(),
            high_port: 53_u16.to_be_bytes(),
            protocol: number,
            ..FlowKey::default()
        };
        let now = 100_000_000 + count * every_ms / 10;
        for (direction, response) in [(Direction::FromLow, false), (Direction::FromHigh, true)] {
            let mut bytes = message(query, response);
            if number == protocol::TCP {
                let length = u16::try_from(bytes.len()).expect("short").to_be_bytes();
                bytes.splice(0..0, length);
            }
            let payload_bytes = u32::try_from(bytes.len()).expect("short");
            bytes.truncate(512);
            let piece = Piece {
                key: &key,
                direction,
                payload_bytes,
                offset: 0,
                sequence: 0,
                bytes: &bytes,
                now,
            };
            let observation = Observation::FirstPayload(piece);
            tracker.observe(&observation, &TimeBase::PACKET_TIME, &mut findings);
        }
        let tick = Observation::Tick { now_ns: now * 10_000_000 };
        tracker.observe(&tick, &TimeBase::PACKET_TIME, &mut findings);
    }
    tracker.finish(&mut findings);
    findings
}

/// Bytes that look stolen: all values alike.
fn secret(seed: u64, length: usize) -> Vec<u8> {
    let mut state = seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1;
    let mut next = || {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        (state >> 32) as u8
    };
    (0..length).map(|_| next()).collect()
}

/// `bits` of each byte of `secret(seed, …)` as a letter of `alphabet`: base16, base32, base64.
fn encoded(alphabet: &[u8], seed: u64, length: usize) -> String {
    let letter = |byte: &u8| alphabet[usize::from(*byte) % alphabet.len()] as char;
    secret(seed, length).iter().map(letter).collect()
}

const HEX: &[u8] = b"0123456789abcdef";
const BASE32: &[u8] = b"abcdefghijklmnopqrstuvwxyz234567";
const BASE64: &[u8] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
const BASE64_URL: &[u8] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";

fn labels(text: &str, length: usize) -> String {
    let labels: Vec<&str> =
        text.as_bytes().chunks(length).filter_map(|label| str::from_utf8(label).ok()).collect();
    labels.join(".")
}

#[track_caller]
fn check_found(tool: &str, domain: &str, queries: &[Query], rule: &str) {
    let Findings(found) = ask(queries, protocol::UDP, 200);
    assert!(found.get(domain).is_some_and(|rules| rules.contains(rule)), "{tool}: {found:?}");
    assert_eq!(found.len(), 1, "{tool}: {found:?}");
}

fn many(
    count: u64,
    name: impl Fn(u64) -> String,
    record_type: u16,
    answer: Option<usize>,
) -> Vec<Query> {
    (0..count).map(|number| query(name(number), record_type, answer)).collect()
}

/// A kilobyte in hexadecimal, base32, base64, raw; in all record types; with and without a zone.
#[test]
fn tunnels_are_found_by_what_their_names_carry() {
    let rule = "dns_name_information";
    let hex = |number, length| encoded(HEX, number, length);
    let check = |tool, domain, queries: Vec<Query>| check_found(tool, domain, &queries, rule);
    let dnscat = |number| format!("dnscat.{}", labels(&hex(number, 120), 60));
    check("dnscat2 without a zone", ".", many(12, dnscat, MX, Some(40)));
    let dnscat = |number| format!("{}.t.thief.example", labels(&hex(number, 120), 60));
    check("dnscat2", "thief.example", many(12, dnscat, TXT, Some(80)));
    let dns2tcp = |number| format!("{}.thief.net", labels(&encoded(BASE64, number, 90), 63));
    check("dns2tcp", "thief.net", many(10, dns2tcp, TXT, Some(200)));
    let exfiltrator = |n| format!("{n}.{}.thief.com", labels(&encoded(BASE64_URL, n, 180), 63));
    check("DNSExfiltrator", "thief.com", many(6, exfiltrator, TXT, Some(3)));
    let tuns = |n| format!("{}.tunnel.thief.org", labels(&encoded(BASE32, n, 180), 63));
    check("tuns", "thief.org", many(6, tuns, CNAME, Some(120)));
    let ozyman = |n| format!("{}.{n}.id-{n}.up.thief.de", labels(&encoded(BASE32, n, 110), 55));
    check("ozymandns", "thief.de", many(8, ozyman, TXT, Some(10)));
    let beacon = |n| format!("post.{}.{n:x}.58a1.thief.io", labels(&hex(n, 168), 56));
    check("a beacon over A records", "thief.io", many(8, beacon, A, Some(4)));
    let beacon = |n| format!("www.{n:x}{}.2c.thief.io", hex(n, 24));
    check("a beacon with short names", "thief.io", many(140, beacon, AAAA, Some(16)));
    let nobodys = |n| format!("{}.{}.com", hex(n, 60), hex(n + 1_000, 60));
    check("a direct tunnel below names of nobody's", ".", many(12, nobodys, A, Some(4)));
    let det = |n| format!("{}.thief.duckdns.org", hex(n, 62));
    check("DET", "thief.duckdns.org", many(12, det, A, None));
}

/// iodine writes bytes over 127 where resolvers let them pass.
#[test]
fn raw_bytes_in_names_are_found_sooner() {
    let name = |number| {
        let raw: Vec<u8> = secret(number, 100).iter().map(|byte| byte | 0x80).collect();
        [b"0aaba82".as_slice(), &raw[..50], b".", &raw[50..], b".pirate.sea"].concat()
    };
    let queries: Vec<Query> = (0..2).map(|number| query(name(number), NULL, Some(100))).collect();
    check_found("iodine", "pirate.sea", &queries, "dns_name_information");
}

#[test]
fn a_file_in_one_query_is_found() {
    let check = |tool, name: String| {
        let queries = [query(name, A, Some(4))];
        check_found(tool, "thief.com", &queries, "dns_single_query");
    };
    check("100 bytes in base32", format!("{}.thief.com", labels(&encoded(BASE32, 3, 160), 63)));
    check("100 bytes in hexadecimal", format!("{}.thief.com", labels(&encoded(HEX, 4, 200), 60)));
    check("48 bytes in base64", format!("{}=.thief.com", labels(&encoded(BASE64, 5, 62), 63)));
}

/// A poll that carries a counter, and an answer full of content.
#[test]
fn a_tunnel_that_brings_more_than_it_takes_is_found() {
    for record_type in [NULL, TXT, CNAME, MX, SRV, 65_399] {
        let poll = |number| format!("p{}.thief.com", encoded(BASE32, number, 7));
        let queries = many(60, poll, record_type, Some(150));
        check_found("a poll", "thief.com", &queries, "dns_tunnel");
    }
}

/// 0.7 bytes a second, the slowest that ibHH finds: 14 bytes every 20 seconds.
#[test]
fn a_slow_theft_is_found() {
    let name = |number| format!("{}.thief.com", encoded(HEX, number, 32));
    let Findings(found) = ask(&many(60, name, A, Some(4)), protocol::UDP, 20_000);
    assert!(found["thief.com"].contains("dns_name_information"), "{found:?}");
}

#[test]
fn tcp_is_no_way_around() {
    let name = |number| format!("{}.thief.com", labels(&encoded(BASE64, number, 180), 60));
    let Findings(found) = ask(&many(20, name, TXT, Some(900)), protocol::TCP, 100);
    assert!(found["thief.com"].contains("dns_name_information"), "{found:?}");
}

#[track_caller]
fn check_quiet(what: &str, queries: &[Query]) {
    for every_ms in [10, 2_000] {
        let Findings(found) = ask(queries, protocol::UDP, every_ms);
        assert!(found.is_empty(), "{what}: {found:?}");
    }
}

const WORDS: [&str; 24] = [
    "mail", "static", "images", "shop", "login", "cdn", "assets", "video", "news", "api", "media",
    "weather", "travel", "update", "content", "events", "support", "search", "books", "music",
    "account", "garden", "finance", "sports",
];

/// One of some twenty thousand words like those of hosts, ten letters long.
fn word(number: u64) -> String {
    let part =
        |shift: u32| WORDS[(number.wrapping_mul(0x9e37_79b9_7f4a_7c15) >> shift) as usize % 24];
    format!("{}{}{}", &part(40)[..3], part(48), number % 40)
}

#[test]
fn ordinary_names_are_left_alone() {
    let crawl =
        |number| format!("www.{}.{}", word(number), ["com", "org", "co.uk"][number as usize % 3]);
    check_quiet("a crawl", &many(3_000, crawl, A, Some(4)));
    let searched = |number| format!("www.{}.com.corp.example", word(number));
    check_quiet("a search domain", &many(3_000, searched, A, None));
    let reverse =
        |n| format!("{}.{}.{}.198.bl.example.org", n * 7 % 256, n * 13 % 256, n * 31 % 256);
    check_quiet("a list of addresses", &many(2_000, reverse, A, None));
    check_quiet("reasons on such a list", &many(2_000, reverse, TXT, Some(60)));
    let video = |n: u64| format!("rr{}---sn-{}.video.example", n % 20, encoded(BASE32, n, 8));
    check_quiet("a network of video servers", &many(300, video, A, Some(4)));
    let edge = |n: u64| {
        format!("e{}.dsc{}.edge.example", n * 37 % 99_999, b"abcdg"[n as usize % 5] as char)
    };
    check_quiet("a content network", &many(500, edge, A, Some(4)));
    let signed = |n| format!("{}.com", word(n));
    check_quiet("DNSSEC", &many(500, signed, DS, Some(36)));
}

#[test]
fn what_comes_back_is_no_content() {
    let randomised = |number: u64| {
        let mixed = |(at, letter): (u64, char)| {
            if number >> at & 1 == 0 { letter } else { letter.to_ascii_uppercase() }
        };
        (0..).zip("connectivity-check.services.example.com".chars()).map(mixed).collect()
    };
    check_quiet("random case", &many(1_000, randomised, A, Some(4)));
    let long = |n| format!("b-tr-teams-euno-{:02}.northeurope.cloudapp.example.com", n % 8);
    check_quiet("long names of hosts", &many(500, long, A, Some(4)));
    let guid = |n| {
        let digits = encoded(HEX, n % 300, 32);
        let [a, b, c, d, e] = [0..8, 8..12, 12..16, 16..20, 20..32].map(|part| &digits[part]);
        format!("{a}-{b}-{c}-{d}-{e}._msdcs.corp.example")
    };
    check_quiet("a directory's servers", &many(600, guid, CNAME, Some(20)));
}

#[test]
fn services_that_are_asked_by_content_are_left_alone() {
    let reputation = |n| format!("0.0.0.0.1.{}.avqs.mcafee.com", encoded(BASE32, n, 26));
    check_quiet("file reputation", &many(500, reputation, A, Some(4)));
    let measured = |n| format!("{}.clo.probe.example", encoded(HEX, n, 32));
    check_quiet("a measurement of ten visits", &many(10, measured, A, Some(4)));
    let hash = |n| format!("{}.{}.hash.example", encoded(HEX, n, 63), encoded(HEX, n, 1));
    check_quiet("one look-up of a file's hash", &many(1, hash, TXT, Some(20)));
    let printer = query("Brother HL-L2350DW series (office)._ipp._tcp.example.com", SRV, None);
    check_quiet("a printer", &[printer]);
}
