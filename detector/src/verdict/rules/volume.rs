//! Plain volume, where nothing else can be read.

use detector_common::parse::{protocol, tcp};

use crate::features::Sample;
use crate::flow::content::Protocol;
use crate::flow::session::inter_arrival::InterArrival;
use crate::flow::{Side, Volume};
use crate::units;
use crate::verdict::Technique;
use crate::verdict::services::{self, Service};

use super::{Found, Rule};

pub(super) const RULES: &[Rule] = &[
    Rule {
        name: "unknown_protocol_upload",
        meaning: "over TCP the sender hands over twenty times what it receives, in a protocol that nothing in its first bytes names, or to an external host in a protocol that is not usual on the port; a port that is assigned to a collector, a store or a printer excuses what can only be recognised by it",
        source: "twenty to one leaves no room for answers larger than acknowledgements; of 1,608 ordinary pairs of the labelled captures one is of this shape, RTP over TCP, which its headers name",
        may_block: true,
        excused_by_baseline: true,
        find: unknown_protocol_upload,
    },
    Rule {
        name: "one_way_datagrams",
        meaning: "full UDP datagrams of an unknown protocol, or to an external host of a protocol that is not usual on the port, are sent and almost nothing is received",
        source: "a transport without acknowledgements carries media or something to hide; media are recognised by their headers (RFC 3550, ISO 13818-1)",
        may_block: true,
        excused_by_baseline: true,
        find: one_way_datagrams,
    },
    Rule {
        name: "nameless_upload",
        meaning: "an upload over TLS whose complete hello has no server name, to an address \
            without a DNS answer, or to a port not assigned to TLS",
        source: "RFC 6066: a client names its server; without a name it was given an address. No \
            benign session of 32 kB in the labelled captures does this",
        may_block: true,
        excused_by_baseline: true,
        find: nameless_upload,
    },
    Rule {
        name: "large_upload",
        meaning: "the sender uploads megabytes and at least twenty times what it receives, and \
            has no baseline yet",
        source: "0 of 1,608 benign sessions of the labelled captures; a first backup looks the \
            same, so this is only a hint",
        may_block: true,
        excused_by_baseline: true,
        find: large_upload,
    },
    Rule {
        name: "overflow_upload",
        meaning: "while the flow table is full, a host sends far more than it receives",
        source: "without a flow only bytes are known, so neither the forest nor a rule about \
            shapes applies; a full table is unusual, and an attacker may fill it to hide an upload",
        may_block: true,
        excused_by_baseline: false,
        find: overflow_upload,
    },
    Rule {
        name: "beacon_upload",
        meaning: "connections begin at regular intervals, and each sends more than it receives",
        source: "the interval measures of RITA v5 (deviation and Bowley's skew); polling receives \
            more than it sends",
        may_block: true,
        excused_by_baseline: true,
        find: beacon_upload,
    },
];

/// Sent over received payload beyond which nothing but acknowledgements comes back.
const ONE_WAY: u64 = 20;
/// Beyond what any ordinary traffic of unknown protocols reaches in the labelled captures.
const UNKNOWN_BYTES: u64 = 32 << 10;
/// Four pages of text; a greeting or a heartbeat is smaller.
const UNKNOWN_SMALL_BYTES: u64 = 4 << 10;
const DATAGRAM_BYTES: u64 = 256 << 10;
/// Mean payload of datagrams that are filled: an Ethernet frame less half of its room.
const DATAGRAM_FULL: u64 = 700;
const NAMELESS_BYTES: u64 = 64 << 10;
const LARGE_BYTES: u64 = 2 << 20;
/// Requests and acknowledgements of an ordinary host stay below it until the table has room again.
const OVERFLOW_BYTES: u64 = 256 << 10;
/// Sent over received: whoever fetches what others offer receives more than it sends.
const OVERFLOW_RATIO: u64 = 4;
const BEACON_INTERVALS: u64 = 8;
const BEACON_DEVIATION: f64 = 0.25;
const BEACON_SKEW: f64 = 0.5;
const BEACON_CERTAINTY: f64 = 0.8;
const BEACON_BYTES: u64 = 4 << 10;
/// Of the receiver a name is known, so that somebody looked for it.
const NAMED_DISCOUNT: f64 = 0.6;

fn unknown_protocol_upload(sample: &Sample<'_>) -> Option<Found> {
    let key = &sample.session.key;
    // Files over FTP have a rule of their own.
    let upload = sample.session.first_payloads.ftp_upload.is_some();
    let transfer = upload || answers_download(sample);
    if key.protocol != protocol::TCP || transfer || !opened(sample) || !is_one_way(sample) {
        return None;
    }
    let sent = sample.sent.payload_bytes();
    let recognisable = Protocol::is_recognised_on(key.protocol, key.server_port);
    let certainty = match content(sample)? {
        Content::Unknown if takes_uploads(sample) => {
            (recognisable && sent >= UNKNOWN_BYTES).then_some(0.8)
        }
        Content::Unknown if sent >= UNKNOWN_BYTES => Some(0.9),
        Content::Unknown => (sent >= UNKNOWN_SMALL_BYTES).then_some(0.8),
        Content::Elsewhere(_) => (sent >= UNKNOWN_BYTES).then_some(0.8),
    }?;
    let text = format!("{} in {}", volumes(sample), content(sample)?.words(key.server_port));
    Some(Found { certainty, technique: Technique::BulkUpload, text })
}

/// Whether the sender is an FTP server that sends what its client has asked for. In active mode it opens
/// the data connection, too.
fn answers_download(sample: &Sample<'_>) -> bool {
    let download = sample.session.first_payloads.ftp_download;
    download.is_some_and(|download| download.by_client == (sample.sender == Side::Client))
}

/// What payloads are that no name explains.
enum Content {
    Unknown,
    /// A protocol whose servers listen elsewhere.
    Elsewhere(Protocol),
}

impl Content {
    fn words(&self, port: u16) -> String {
        match self {
            Self::Unknown => "a protocol that nothing names".to_owned(),
            Self::Elsewhere(found) => {
                format!("{}, which is not usual on port {port}", found.name())
            }
        }
    }
}

/// `None` where no payload was seen, and where the protocol is at home on the port or in the network:
/// inside, administrators choose ports as they like.
fn content(sample: &Sample<'_>) -> Option<Content> {
    let payloads = &sample.session.first_payloads;
    match payloads.protocol {
        None => (payloads.count != 0).then_some(Content::Unknown),
        Some(found) => {
            let opening = payloads.opened_as().unwrap_or(found);
            let usual = opening.is_usual_on(sample.session.key.server_port);
            (!usual && !sample.session.server_home).then_some(Content::Elsewhere(found))
        }
    }
}

fn one_way_datagrams(sample: &Sample<'_>) -> Option<Found> {
    let (key, sent) = (&sample.session.key, sample.sent);
    if key.protocol != protocol::UDP || sample.sender != Side::Client || !is_one_way(sample) {
        return None;
    }
    let full = sent.seen_payload_bytes >= DATAGRAM_FULL.saturating_mul(sent.payload_packets);
    if sent.payload_bytes() < DATAGRAM_BYTES || !full || takes_uploads(sample) {
        return None;
    }
    let content = content(sample)?;
    let what = content.words(key.server_port);
    let text = format!("{} in full datagrams that nobody acknowledges, in {what}", volumes(sample));
    Some(Found { certainty: 0.85, technique: Technique::BulkUpload, text })
}

fn nameless_upload(sample: &Sample<'_>) -> Option<Found> {
    let session = sample.session;
    let payloads = &session.first_payloads;
    if session.key.protocol != protocol::TCP || !payloads.tls || !opened(sample) {
        return None;
    }
    if sample.sent.payload_bytes() < NAMELESS_BYTES || !is_one_way(sample) {
        return None;
    }
    let port = session.key.server_port;
    // Mail and directories are found by other means than a name in the greeting.
    let web = matches!(port, 443 | 8080 | 8443 | 9443);
    let odd_port = !speaks_tls(port) && !takes_uploads(sample);
    let nameless = payloads.ja4.is_some() && session.name.is_none() && (web || odd_port);
    let (certainty, what) = match (nameless, odd_port) {
        (true, true) => (0.9, "to a server without a name, on a port not assigned to TLS"),
        (true, false) => (0.8, "to a server without a name"),
        (false, true) => (0.45, "on a port not assigned to TLS"),
        (false, false) => return None,
    };
    let text = format!("{} over TLS {what}", volumes(sample));
    Some(Found { certainty, technique: Technique::BulkUpload, text })
}

/// Whether the port is assigned to TLS, or to something that is often used inside it (IANA).
fn speaks_tls(port: u16) -> bool {
    matches!(
        port,
        25 | 110
            | 143
            | 443
            | 465
            | 563
            | 587
            | 636
            | 853
            | 989
            | 990
            | 992
            | 993
            | 994
            | 995
            | 1883
            | 2525
            | 3389
            | 5061
            | 5222
            | 5223
            | 5228
            | 5269
            | 5349
            | 5671
            | 6679
            | 6697
            | 8080
            | 8443
            | 8883
            | 9001
            | 9443
    )
}

fn large_upload(sample: &Sample<'_>) -> Option<Found> {
    let stream = matches!(sample.session.key.protocol, protocol::TCP | protocol::UDP);
    let sent = sample.sent.payload_bytes();
    let watched = sample.context.receiver_known_days.is_some();
    if !stream || watched || !opened(sample) || sent < LARGE_BYTES || !is_one_way(sample) {
        return None;
    }
    if answers_download(sample) {
        return None;
    }
    let certainty = match sample.session.name.as_deref().and_then(services::of) {
        Some(Service::Meeting | Service::SpeedTest | Service::Publishing) => return None,
        Some(Service::Storage) => 0.3,
        None if takes_uploads(sample) => 0.3,
        None => 0.5,
    };
    let text = format!("{}, and this host has no baseline yet", volumes(sample));
    Some(Found { certainty, technique: Technique::BulkUpload, text })
}

fn overflow_upload(sample: &Sample<'_>) -> Option<Found> {
    let (sent, received) = (sample.sent.payload_bytes(), sample.received.payload_bytes());
    let overflow = sample.session.overflow.is_some() && sample.sender == Side::Client;
    if !overflow || sent < OVERFLOW_BYTES || sent < received.saturating_mul(OVERFLOW_RATIO) {
        return None;
    }
    let text = format!("{} while the flow table was full", volumes(sample));
    Some(Found { certainty: 0.8, technique: Technique::BulkUpload, text })
}

fn beacon_upload(sample: &Sample<'_>) -> Option<Found> {
    let session = sample.session;
    let (sent, received) = (sample.sent.payload_bytes(), sample.received.payload_bytes());
    if session.domain.is_some() || sample.sender != Side::Client || session.key.server_port == 53 {
        return None;
    }
    if sent < BEACON_BYTES || sent < received.saturating_mul(2) {
        return None;
    }
    let beat = session.inter_arrival.as_deref().and_then(InterArrival::stats)?;
    let regular = beat.deviation <= BEACON_DEVIATION && beat.skew <= BEACON_SKEW;
    if beat.intervals < BEACON_INTERVALS || !regular {
        return None;
    }
    let named = session.name.is_some();
    let certainty = if named { BEACON_CERTAINTY * NAMED_DISCOUNT } else { BEACON_CERTAINTY };
    let text = format!(
        "{} in connections that begin every {}",
        volumes(sample),
        units::seconds(beat.median)
    );
    Some(Found { certainty, technique: Technique::BeaconUpload, text })
}

/// The sender opened the session, and that was seen: a stream that is joined in its middle begins
/// with bytes that mean nothing.
fn opened(sample: &Sample<'_>) -> bool {
    let Volume { tcp_flags, .. } = *sample.sent;
    let begun =
        sample.session.key.protocol != protocol::TCP || tcp_flags & u16::from(tcp::SYN) != 0;
    sample.sender == Side::Client && begun
}

fn is_one_way(sample: &Sample<'_>) -> bool {
    sample.sent.payload_bytes() >= sample.received.payload_bytes().saturating_mul(ONE_WAY)
}

/// Whether the port is assigned (IANA) to a service whose clients hand over far more than they get:
/// logs and measurements, files, disks, printers, databases, queues, peers of a ledger.
fn takes_uploads(sample: &Sample<'_>) -> bool {
    matches!(
        sample.session.key.server_port,
        104 | 139 | 445 | 514 | 515 | 548 | 601 | 631 | 873 | 1433 | 1521 | 2003 | 2049 | 2055 | 2056
            | 2057 | 3205 | 3260 | 3306 | 4739 | 4740 | 1935 | 5044 | 5432 | 5514 | 6343 | 6379 | 6514
            | 6800..=7300 | 8086 | 8125 | 8333 | 9092 | 9100..=9107 | 9200 | 9995 | 9996 | 10_051
            | 11_112 | 25_826 | 27_017 | 30_303
    )
}

fn volumes(sample: &Sample<'_>) -> String {
    let (sent, received) = (sample.sent.payload_bytes(), sample.received.payload_bytes());
    format!("sent {} and received {}", units::bytes(sent), units::bytes(received))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::features::{Context, example};
    use crate::flow::session::OverflowPeer;
    use crate::flow::session::transfer::FtpDownload;
    use crate::flow::{Session, SessionKey};

    fn session(number: u8, port: u16, sent: u64, received: u64) -> Session {
        let mut session = example::session(SessionKey {
            protocol: number,
            server_port: port,
            ..SessionKey::default()
        });
        session.up = Volume {
            seen_payload_bytes: sent,
            payload_packets: sent / 1_000 + 1,
            tcp_flags: u16::from(tcp::SYN),
            ..Volume::default()
        };
        session.down = Volume { seen_payload_bytes: received, ..Volume::default() };
        session.first_payloads.count = 1;
        session
    }

    #[track_caller]
    fn check(find: fn(&Sample<'_>) -> Option<Found>, session: &Session, expected: Option<f64>) {
        let found = find(&Sample::new(session, Side::Client, 0)).map(|found| found.certainty);
        assert_eq!(found, expected);
    }

    #[test]
    fn an_upload_without_a_flow_is_told_by_its_bytes() {
        let check = |sent, received, overflow: bool, expected: bool| {
            let mut session = session(0, 0, sent, received);
            let peer = OverflowPeer { address: [9; 16].into(), port: 443, protocol: protocol::TCP };
            session.overflow = overflow.then_some(peer);
            let sample = Sample::new(&session, Side::Client, 1_000_000_000);
            assert_eq!(
                overflow_upload(&sample).is_some(),
                expected,
                "{sent} {received} {overflow}"
            );
        };
        check(300_000, 10_000, true, true);
        check(300_000, 10_000, false, false);
        check(300_000, 100_000, true, false);
        check(200_000, 0, true, false);
    }

    #[test]
    fn an_upload_in_a_protocol_without_a_name() {
        let find = unknown_protocol_upload;
        check(find, &session(protocol::TCP, 4444, 600_000, 2_000), Some(0.9));
        check(find, &session(protocol::TCP, 4444, 20_000, 0), Some(0.8));
        check(find, &session(protocol::TCP, 4444, 3_000, 0), None);
        check(find, &session(protocol::TCP, 4444, 600_000, 60_000), None);
        // What a port is assigned to is recognised there, or cannot be recognised at all.
        check(find, &session(protocol::TCP, 5432, 600_000, 0), Some(0.8));
        check(find, &session(protocol::TCP, 5432, 20_000, 0), None);
        check(find, &session(protocol::TCP, 9100, 600_000, 0), None);
        let redis = |port, sent, server_home| {
            let mut session = session(protocol::TCP, port, sent, 0);
            session.first_payloads.protocol = Some(Protocol::Redis);
            Session { server_home, ..session }
        };
        check(find, &redis(6379, 600_000, false), None);
        check(find, &redis(4444, 600_000, false), Some(0.8));
        check(find, &redis(4444, 20_000, false), None);
        check(find, &redis(4444, 600_000, true), None);
        let mut read = session(protocol::TCP, 4444, 600_000, 0);
        read.first_payloads.protocol = Some(Protocol::Tls);
        check(find, &read, None);
        let download = |by_client| {
            let mut session = session(protocol::TCP, 50_123, 600_000, 0);
            session.first_payloads.ftp_download = Some(FtpDownload { by_client });
            session
        };
        check(find, &download(true), None);
        // Who asked for a file does not send one.
        check(find, &download(false), Some(0.9));
        let mut joined = session(protocol::TCP, 4444, 600_000, 0);
        joined.up.tcp_flags = 0x10;
        check(find, &joined, None);
        let blind = Session {
            first_payloads: Default::default(),
            ..session(protocol::TCP, 4444, 600_000, 0)
        };
        check(find, &blind, None);
    }

    #[test]
    fn datagrams_without_an_answer() {
        let find = one_way_datagrams;
        check(find, &session(protocol::UDP, 9999, 400_000, 100), Some(0.85));
        check(find, &session(protocol::UDP, 9999, 400_000, 100_000), None);
        check(find, &session(protocol::UDP, 25_826, 400_000, 0), None);
        let mut small = session(protocol::UDP, 9999, 400_000, 0);
        small.up.payload_packets = 2_000;
        check(find, &small, None);
    }

    #[test]
    fn an_upload_over_tls_to_nobody() {
        let tls = |port, ja4: Option<&str>, name: Option<&str>| {
            let mut session = session(protocol::TCP, port, 200_000, 5_000);
            session.first_payloads.tls = true;
            session.first_payloads.ja4 = ja4.map(Into::into);
            session.name = name.map(Into::into);
            session
        };
        let ja4 = Some("t13i0909h2_8daaf6152771_e5627efa2ab1");
        check(nameless_upload, &tls(443, ja4, None), Some(0.8));
        check(nameless_upload, &tls(4444, ja4, None), Some(0.9));
        check(nameless_upload, &tls(4444, ja4, Some("api.example")), Some(0.45));
        check(nameless_upload, &tls(443, ja4, Some("api.example")), None);
        // The greeting was cut before its end: it may have named one.
        check(nameless_upload, &tls(443, None, None), None);
    }

    #[test]
    fn a_large_upload_is_a_hint_until_habits_are_known() {
        let large = session(protocol::TCP, 443, 5 << 20, 10_000);
        check(large_upload, &large, Some(0.5));
        let named = |name: &str| Session { name: Some(name.into()), ..large.clone() };
        check(large_upload, &named("content.dropboxapi.com"), Some(0.3));
        check(large_upload, &named("test.ooklaserver.net"), None);
        check(large_upload, &session(protocol::TCP, 443, 5 << 20, 1 << 20), None);
        let known = Context { receiver_known_days: Some(0.0), ..Context::default() };
        let sample = Sample::new(&large, Side::Client, 0).with_context(known);
        assert_eq!(large_upload(&sample), None);
    }

    #[test]
    fn a_beat_that_carries_something_out() {
        let beating = |period: &[u64], sent, received| {
            let mut session = session(protocol::TCP, 80, sent, received);
            let mut at_ns = 0;
            let mut inter_arrival = InterArrival::new(0);
            for seconds in period.iter().cycle().take(12) {
                at_ns += seconds * 1_000_000_000;
                inter_arrival.note(at_ns);
            }
            session.inter_arrival = Some(Box::new(inter_arrival));
            session
        };
        check(beacon_upload, &beating(&[60], 50_000, 5_000), Some(0.8));
        check(beacon_upload, &beating(&[55, 60, 65], 50_000, 5_000), Some(0.8));
        check(beacon_upload, &beating(&[60], 50_000, 80_000), None);
        check(beacon_upload, &beating(&[1, 60, 5], 50_000, 5_000), None);
        let named = Session { name: Some("api.example".into()), ..beating(&[60], 50_000, 0) };
        check(beacon_upload, &named, Some(0.48));
    }
}
