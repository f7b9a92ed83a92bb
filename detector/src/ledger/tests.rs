//! The ledger over sessions made by hand.

use std::net::IpAddr;

use detector_common::FlowKey;
use detector_common::flow::Direction;
use detector_common::parse::protocol;

use super::*;
use crate::flow::SessionKey;
use crate::flow::content::Protocol;
use crate::flow::session::example;

const SECOND_NS: u64 = 1_000_000_000;

fn v4(octets: [u8; 4]) -> Address {
    IpAddr::from(octets).into()
}

/// An ordinary session over TLS of an internal client, ten minutes after the start.
fn session() -> Session {
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
    session.down.packets = 1;
    session.first_payloads.protocol = Some(Protocol::Tls);
    session
}

fn flow(session: &Session) -> FlowView {
    FlowView {
        key: FlowKey { protocol: session.key.protocol, ..FlowKey::default() },
        initiator: Direction::FromLow,
        icmp: 0,
        first_seen_ns: session.first_seen_ns,
        last_seen_ns: session.first_seen_ns,
    }
}

fn portion(payload_bytes: u64) -> Portion {
    let packets = payload_bytes.div_ceil(1_000);
    Portion {
        packets,
        payload_packets: packets,
        ip_bytes: payload_bytes + 40 * packets,
        payload_bytes,
    }
}

/// A ledger that began ten minutes ago, and what was booked.
struct Bed {
    ledger: Ledger,
    booked: u64,
    findings: Vec<Finding>,
}

impl Bed {
    fn new(config: LedgerConfig) -> Self {
        let mut bed = Self { ledger: Ledger::new(config), booked: 0, findings: Vec::new() };
        let mut first = session();
        first.first_seen_ns = 0;
        bed.carry(&first, Side::Client, 0, 1, 0);
        bed
    }

    fn carry(&mut self, session: &Session, sender: Side, sent: u64, received: u64, second: u64) {
        let flow = flow(session);
        let usage = Usage {
            session,
            flow: &flow,
            sender,
            sent: portion(sent),
            received: portion(received),
            now_ns: second * SECOND_NS,
            alerted: false,
            allowed: false,
            baseline: false,
            known: false,
        };
        self.book(&usage);
    }

    fn book(&mut self, usage: &Usage<'_>) {
        self.booked += usage.sent.ip_bytes;
        self.findings.extend(self.ledger.book(usage));
    }

    fn settle(&mut self, second: u64) {
        self.findings.extend(self.ledger.settle(second * SECOND_NS));
        self.check();
    }

    /// Explained, waiting and unexplained bytes are what was booked.
    fn check(&self) {
        let known = self.ledger.sums().total() + self.ledger.pending_bytes();
        assert_eq!(known, self.booked);
        for sender in self.ledger.senders() {
            let sums = Class::ALL.map(|class| sender.sums.unexplained(class)).iter().sum::<u64>();
            assert_eq!(sums, sender.sums.all_unexplained());
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
    let revisions: Vec<u32> = bed.findings.iter().map(|finding| finding.revision).collect();
    assert_eq!(revisions, [1, 2]);
    bed.carry(&unknown, Side::Client, 2_000_000, 0, 90_000);
    assert_eq!(bed.findings.last().unwrap().revision, 1);
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
    assert!(bed.findings[0].members > 50, "{:?}", bed.findings[0]);
}

#[test]
fn what_explains_itself_waits_for_nothing() {
    let check = |name: &str, session: &Session, allowed, baseline, expected: Explanation| {
        let mut bed = Bed::new(LedgerConfig::default());
        let flow = flow(session);
        let sent = portion(3_000);
        bed.book(&Usage {
            session,
            flow: &flow,
            sender: Side::Client,
            sent,
            received: portion(0),
            now_ns: 601 * SECOND_NS,
            alerted: false,
            allowed,
            baseline,
            known: false,
        });
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
