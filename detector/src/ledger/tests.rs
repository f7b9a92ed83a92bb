//! The ledger over sessions made by hand.

use std::collections::BTreeMap;
use std::net::IpAddr;

use detector_common::FlowKey;
use detector_common::flow::Direction;
use detector_common::parse::protocol;

use super::*;
use crate::flow::content::Protocol;
use crate::flow::dns::Dns;
use crate::flow::session::example;
use crate::flow::{FlowView, Portion, Session, SessionKey};

pub(super) const SECOND_NS: u64 = 1_000_000_000;

pub(super) fn v4(octets: [u8; 4]) -> Address {
    IpAddr::from(octets).into()
}

/// An ordinary session over TLS of an internal client, ten minutes after the start.
pub(super) fn session() -> Session {
    let key = SessionKey {
        client: v4([10, 0, 0, 7]),
        server: v4([203, 0, 113, 5]),
        protocol: protocol::TCP,
        server_port: 443,
    };
    let mut session = Session { named_by_dns: true, ..example::session(key) };
    (session.client_home, session.server_home) = (true, false);
    session.first_seen_ns = 600 * SECOND_NS;
    session.up.tcp_flags = 0x02;
    session.down.seen_packets = 1;
    session.first_payloads.protocol = Some(Protocol::Tls);
    session
}

pub(super) fn flow(session: &Session) -> FlowView {
    FlowView {
        key: FlowKey { protocol: session.key.protocol, ..FlowKey::default() },
        initiator: Direction::FromLow,
        icmp: 0,
        first_seen_ns: session.first_seen_ns,
        last_seen_ns: session.first_seen_ns,
    }
}

pub(super) fn portion(payload_bytes: u64) -> Portion {
    let packets = payload_bytes.div_ceil(1_000);
    Portion {
        packets,
        payload_packets: packets,
        ip_bytes: payload_bytes + 40 * packets,
        payload_bytes,
    }
}

fn usage(booking: Booking<'_>) -> Usage<'_> {
    Usage { booking, alerted: false, allowed: false, baseline: false, known: false }
}

/// A ledger that began ten minutes ago, and what was booked.
pub(super) struct Bed {
    pub(super) ledger: Ledger,
    /// IP bytes by sender.
    booked: BTreeMap<Address, u64>,
    pub(super) findings: Vec<Finding>,
}

impl Bed {
    pub(super) fn new(config: LedgerConfig) -> Self {
        let mut bed =
            Self { ledger: Ledger::new(config), booked: BTreeMap::new(), findings: Vec::new() };
        let mut first = session();
        first.first_seen_ns = 0;
        bed.carry(&first, Side::Client, 0, 1, 0);
        bed
    }

    pub(super) fn carry(
        &mut self,
        session: &Session,
        sender: Side,
        sent: u64,
        received: u64,
        second: u64,
    ) {
        let (sent, received) = (portion(sent), portion(received));
        let (flow, now_ns) = (flow(session), second * SECOND_NS);
        let booking = Booking { session, flow: &flow, sender, sent, received, now_ns };
        self.book(&usage(booking));
    }

    fn book(&mut self, usage: &Usage<'_>) {
        let Booking { session, sender, sent, .. } = usage.booking;
        let address = match sender {
            Side::Client => session.key.client,
            Side::Server => session.key.server,
        };
        *self.booked.entry(address).or_default() += sent.ip_bytes;
        self.ledger.book(usage);
        self.findings.extend(self.ledger.found());
    }

    pub(super) fn settle(&mut self, second: u64) {
        self.findings.extend(self.ledger.settle(second * SECOND_NS));
        self.check();
    }

    /// Explained, waiting and unexplained bytes are what was booked.
    fn check(&self) {
        let known = self.ledger.sums().total() + self.ledger.pending_bytes();
        assert_eq!(known, self.booked.values().sum::<u64>());
        for sender in self.ledger.senders() {
            let known = sender.sums.total() + sender.pending_bytes();
            assert_eq!(known, self.booked[&sender.address], "{}", sender.address);
        }
    }

    fn unexplained(&self, class: Class) -> u64 {
        self.ledger.sums().unexplained(class)
    }
}

#[test]
fn a_download_explains_its_requests_and_an_upload_nothing() {
    let mut bed = Bed::new(LedgerConfig::default());
    bed.carry(&session(), Side::Client, 400_000, 10_000_000, 601);
    bed.settle(601);
    assert_eq!(bed.ledger.pending_bytes(), 0);
    assert_eq!(bed.unexplained(Class::New), 0);
    bed.carry(&session(), Side::Client, 3_000_000, 1_000, 700);
    bed.settle(700);
    assert_eq!(bed.unexplained(Class::New), 0, "it may be explained for a minute");
    bed.settle(759);
    assert_eq!(bed.unexplained(Class::New), 0);
    bed.settle(760);
    // 64 kB an hour are explained, and 5 % of what was received.
    let left = bed.unexplained(Class::New);
    assert!((3_000_000..3_060_000).contains(&left), "{left}");
    assert!(bed.findings.is_empty(), "named, and below the bar");
}

#[test]
fn what_is_received_later_explains_what_was_sent_before() {
    let mut bed = Bed::new(LedgerConfig::default());
    bed.carry(&session(), Side::Client, 200_000, 1_000, 601);
    bed.settle(610);
    assert_ne!(bed.ledger.pending_bytes(), 0);
    bed.carry(&session(), Side::Client, 0, 4_000_000, 630);
    bed.settle(631);
    assert_eq!((bed.ledger.pending_bytes(), bed.ledger.sums().all_unexplained()), (0, 0));
}

#[test]
fn downloads_buy_no_more_than_a_day_s_exchange_with_a_new_destination() {
    let mut bed = Bed::new(LedgerConfig::default());
    for second in 601..900 {
        bed.carry(&session(), Side::Client, 40_000, 10_000_000, second);
        bed.settle(second);
    }
    bed.settle(1_000);
    let explained = bed.ledger.sums().explained(Explanation::Exchange);
    assert!((1_000_000..1_050_000).contains(&explained), "{explained}");
}

#[test]
fn missing_evidence_is_found_at_once() {
    let unnamed = Session { named_by_dns: false, ..session() };
    let mut no_start = session();
    no_start.up.tcp_flags = 0x18;
    let mut unknown = session();
    unknown.first_payloads.protocol = None;
    let gre = Session { key: SessionKey { protocol: 47, ..session().key }, ..session() };
    for (name, session, expected) in [
        ("named", session(), None),
        ("no handshake", no_start, Some(Class::Evidence)),
        ("unknown protocol", unknown, Some(Class::Evidence)),
        ("GRE", gre, Some(Class::Evidence)),
        // Nobody asks a resolver that is seen: that no name is known says nothing.
        ("no name", unnamed, None),
    ] {
        let mut bed = Bed::new(LedgerConfig::default());
        bed.carry(&session, Side::Client, 2_000_000, 0, 601);
        let found = bed.findings.first().map(|finding| finding.class);
        assert_eq!(found, expected, "{name}");
        bed.settle(700);
        assert_eq!(bed.findings.len(), usize::from(expected.is_some()), "{name}");
    }
}

#[test]
fn an_alert_is_repeated_when_it_grew_fourfold_and_on_another_day() {
    let mut bed = Bed::new(LedgerConfig::default());
    let mut unknown = session();
    unknown.first_payloads.protocol = None;
    for second in 601..=610 {
        bed.carry(&unknown, Side::Client, 1_000_000, 0, second);
        bed.settle(second);
    }
    let revisions: Vec<_> = bed.findings.iter().map(|finding| finding.revision).collect();
    assert_eq!(revisions, [Some(1), Some(2)]);
    let [first, grown] = &bed.findings[..] else { panic!("two") };
    assert_eq!(first.opened, grown.opened);
    assert!(first.opened.bytes == first.bytes && first.bytes < grown.bytes);
    bed.carry(&unknown, Side::Client, 2_000_000, 0, 90_000);
    assert_eq!(bed.findings.last().unwrap().revision, Some(1));
}

/// A session with another destination, of a protocol that nothing names.
fn unknown_to(host: u8) -> Session {
    let mut session = session();
    session.key.server = v4([203, 0, 113, host]);
    session.first_payloads.protocol = None;
    session
}

#[test]
fn yesterday_s_largest_destination_is_not_today_s() {
    let mut bed = Bed::new(LedgerConfig::default());
    bed.carry(&unknown_to(1), Side::Client, 3_000_000, 0, 700);
    bed.settle(800);
    bed.carry(&unknown_to(2), Side::Client, 1_200_000, 0, 90_000);
    bed.settle(90_100);
    let found: Vec<_> = bed
        .findings
        .iter()
        .map(|found| (found.destination.address, found.bytes / 100_000))
        .collect();
    assert_eq!(found, [(v4([203, 0, 113, 1]), 30), (v4([203, 0, 113, 2]), 12)]);
}

/// Others push it out of the table before it has spent its day's exchange, again and again.
#[test]
fn a_destination_that_made_room_does_not_begin_anew() {
    let mut bed = Bed::new(LedgerConfig::default());
    for second in 601..900 {
        bed.carry(&session(), Side::Client, 40_000, 10_000_000, second);
        if second % 10 == 0 {
            for host in 10..50 {
                bed.carry(&unknown_to(host), Side::Client, 3_000, 0, second);
            }
        }
        bed.settle(second);
    }
    bed.settle(1_000);
    let sent = portion(40_000).ip_bytes * 299;
    let explained = sent - bed.unexplained(Class::New);
    assert!(explained < 1_100_000, "{explained}");
}

/// First the destination with most of the bytes, then all of the sender.
#[test]
fn many_destinations_are_a_matter_of_the_sender() {
    let check = |police, named: bool, parts: &[(u8, u64)], expected: &[Option<Reach>]| {
        let mut bed = Bed::new(LedgerConfig {
            police,
            alerts_per_day: Some(0),
            always_bytes: 0,
            ..LedgerConfig::default()
        });
        let mut second = 601;
        let mut wanted = Vec::new();
        for (host, bytes) in parts {
            let mut session = session();
            session.key.server = v4([203, 0, 113, *host]);
            if !named {
                session.first_payloads.protocol = None;
            }
            bed.findings.clear();
            bed.carry(&session, Side::Client, *bytes, 1_000, second);
            second += 60;
            bed.settle(second);
            assert!(bed.findings.len() <= 1);
            let finding = bed.findings.first();
            assert!(finding.is_none_or(|finding| finding.revision.is_none()), "no room for alerts");
            let action = finding.and_then(|finding| finding.wanted);
            assert!(action.is_none_or(|action| action.answered));
            wanted.push(action.map(|action| action.reach));
        }
        assert_eq!(wanted, expected, "{parts:?}");
    };
    let (pair, sender) = (Some(Reach::Pair), Some(Reach::Sender));
    let police = Police::Evidence;
    check(police, false, &[(1, 500_000), (1, 600_000)], &[None, pair]);
    check(police, false, &[(1, 2_000_000), (1, 600_000), (1, 200_000)], &[pair, None, pair]);
    check(police, false, &[(1, 2_000_000), (2, 1_100_000)], &[pair, sender]);
    check(police, false, &[(1, 350_000), (2, 350_000), (3, 350_000)], &[None, None, sender]);
    check(police, true, &[(1, 30_000_000)], &[None]);
    check(Police::All, true, &[(1, 30_000_000)], &[pair]);
    check(Police::None, false, &[(1, 30_000_000)], &[None]);
}

#[test]
fn a_day_has_no_more_alerts_than_its_budget() {
    let config = LedgerConfig { alerts_per_day: Some(1), ..LedgerConfig::default() };
    let mut bed = Bed::new(config);
    for host in 1..=9 {
        let mut unknown = session();
        unknown.key.client = v4([10, 0, host, 7]);
        unknown.first_payloads.protocol = None;
        bed.carry(&unknown, Side::Client, 2_000_000, 0, 600 + u64::from(host));
        bed.carry(&unknown, Side::Client, 1_000, 0, 600 + u64::from(host));
    }
    assert_eq!((bed.findings.len(), bed.ledger.alerts_withheld()), (1, 8));
    let mut large = session();
    large.key.client = v4([10, 0, 77, 7]);
    large.first_payloads.protocol = None;
    bed.carry(&large, Side::Client, 200_000_000, 0, 700);
    assert_eq!(bed.findings.len(), 2, "always");
}

#[test]
fn many_addresses_of_one_network_are_one_finding() {
    let mut bed = Bed::new(LedgerConfig { max_senders: 100, ..LedgerConfig::default() });
    for host in 0..=u8::MAX {
        let mut unknown = session();
        unknown.key.client = v4([10, 9, 9, host]);
        unknown.first_payloads.protocol = None;
        bed.carry(&unknown, Side::Client, 10_000, 0, 601);
    }
    bed.settle(602);
    assert_eq!(bed.findings.len(), 1);
    let network = bed.findings[0].network.unwrap();
    assert_eq!(network.to_string(), "10.9.9.0/24");
    assert!(!bed.findings[0].destination.missing.start, "what is missing is the protocol");
}

#[test]
fn what_explains_itself_waits_for_nothing() {
    let check = |name: &str, session: &Session, allowed, baseline, expected: Explanation| {
        let mut bed = Bed::new(LedgerConfig::default());
        let (flow, now_ns) = (flow(session), 601 * SECOND_NS);
        let (sender, sent, received) = (Side::Client, portion(3_000), portion(0));
        let booking = Booking { session, flow: &flow, sender, sent, received, now_ns };
        bed.book(&Usage { allowed, baseline, ..usage(booking) });
        bed.check();
        assert_eq!(bed.ledger.sums().explained(expected), sent.ip_bytes, "{name}");
    };
    check("allowed", &session(), true, false, Explanation::Allowed);
    check("baseline", &session(), false, true, Explanation::Baseline);
    let mut group = session();
    group.key = SessionKey {
        server: v4([224, 0, 0, 251]),
        protocol: protocol::UDP,
        server_port: 5_353,
        ..group.key
    };
    check("mDNS", &group, false, false, Explanation::Local);
}

#[test]
fn internal_receivers_are_listed_and_never_found() {
    let mut bed = Bed::new(LedgerConfig::default());
    let internal = Session { server_home: true, ..session() };
    bed.carry(&internal, Side::Client, 500_000_000, 0, 601);
    bed.settle(700);
    assert!(bed.unexplained(Class::Internal) > 499_000_000);
    assert!(bed.findings.is_empty());
}

/// The bound is of ten seconds, not of a booking: whoever is booked more often sends no more for nothing.
#[test]
fn the_link_and_the_time_explain_so_much_in_ten_seconds() {
    let check = |server: [u8; 4], port, limit: u64| {
        let mut bed = Bed::new(LedgerConfig::default());
        let mut local = session();
        local.key = SessionKey {
            server: v4(server),
            protocol: protocol::UDP,
            server_port: port,
            ..local.key
        };
        for tenth in 0..100 {
            bed.carry(&local, Side::Client, 100_000, 0, 610 + tenth / 10);
        }
        bed.settle(620);
        let sums = bed.ledger.sums();
        let kinds = [Explanation::Local, Explanation::Service].map(|it| sums.explained(it));
        let explained = kinds.iter().sum::<u64>();
        // With the headers that go with it.
        assert!((limit..limit + limit / 10).contains(&explained), "{port}: {explained}");
    };
    check([224, 0, 0, 251], 5_353, evidence::LOCAL_BYTES);
    check([203, 0, 113, 5], 123, evidence::NTP_BYTES);
}

/// Names explain so much an hour, and more of a host that answers for them itself.
#[test]
fn names_explain_so_much_in_an_hour() {
    let check = |answers: u64, limit: u64| {
        let mut bed = Bed::new(LedgerConfig::default());
        let mut asks = session();
        asks.key.protocol = protocol::UDP;
        asks.key.server_port = 53;
        let dns = Dns { queries: 9, responses: 9, ..Dns::default() };
        asks.first_payloads.dns = Some(dns.into());
        let mut serves = asks.clone();
        (serves.key.client, serves.key.server) = (v4([10, 0, 0, 8]), asks.key.client);
        serves.server_home = true;
        bed.carry(&serves, Side::Server, answers * 1_000, 0, 3_601);
        for second in 3_602..3_702 {
            bed.carry(&asks, Side::Client, 50_000, 0, second);
        }
        bed.settle(3_702);
        let explained = bed.ledger.sums().explained(Explanation::Service);
        assert!((limit..limit + limit / 10).contains(&explained), "{answers}: {explained}");
    };
    // Each of the 5,000 packets of a thousand bytes counts as one query.
    check(0, evidence::DNS_BYTES);
    check(100, evidence::DNS_BYTES + 100 * 4 * evidence::DNS_QUERY_BYTES);
}

/// A restart forgets neither what was sent nor what was said of it.
#[test]
fn the_day_continues_after_a_restart() {
    let config = LedgerConfig {
        alerts_per_day: Some(1),
        police: Police::Evidence,
        ..LedgerConfig::default()
    };
    let mut unknown = session();
    unknown.first_payloads.protocol = None;
    let run = |kept: Vec<(Address, String)>, day: u64, first: u64, bytes: &[u64]| {
        let mut bed = Bed::new(config.clone());
        for (address, text) in &kept {
            let now_ns = first * SECOND_NS + day * DAY_NS;
            assert_eq!(bed.ledger.recall(*address, text, now_ns).unwrap(), day == 0);
        }
        for (second, bytes) in (first + day * 86_400..).zip(bytes) {
            bed.carry(&unknown, Side::Client, *bytes, 10_000, second);
            bed.settle(second);
        }
        let said: Vec<_> =
            bed.findings.iter().map(|found| (found.bytes / 100_000, found.revision)).collect();
        (said, bed.ledger.changed_since(0).collect::<Vec<_>>())
    };
    let (said, kept) = run(Vec::new(), 0, 700, &[500_000]);
    assert_eq!(said, []);
    let mut full = Bed::new(LedgerConfig { max_senders: 1, ..config.clone() });
    let error = full.ledger.recall(v4([10, 0, 0, 8]), &kept[0].1, 800 * SECOND_NS).unwrap_err();
    assert!(error.to_string().contains("max_senders is 1"), "{error}");
    let (said, kept) = run(kept, 0, 800, &[600_000]);
    assert_eq!(said, [(10, Some(1))]);
    let (said, kept) = run(kept, 0, 900, &[500_000, 600_000]);
    assert_eq!(said, [(22, None)], "the same alert, and a limit again");
    let (said, _) = run(kept, 1, 900, &[1_200_000]);
    assert_eq!(said, [(11, Some(1))], "another day");
    let mut bed = Bed::new(config);
    assert!(bed.ledger.recall(v4([10, 0, 0, 7]), "{}", 0).is_err());
}
