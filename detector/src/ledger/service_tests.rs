//! What must be true of a known service before it explains anything.

use std::sync::Arc;

use detector_common::parse::protocol;

use super::tests::{Bed, SECOND_NS, session, v4};
use super::*;

const CLIENT: [u8; 4] = [10, 0, 0, 7];
const RESOLVER: [u8; 4] = [10, 0, 0, 1];
const SERVICE: [u8; 4] = [203, 0, 113, 5];
const LISTED: &str = "ocsp.digicert.com";
const TTL_SECS: u32 = 60;

/// An ordinary look-up of a listed service, followed by an ordinary upload to it.
#[derive(Clone)]
struct Scene {
    known: KnownServices,
    resolver: [u8; 4],
    resolver_is_internal: bool,
    /// Who asks for which name, and which name the answer is about.
    asker: [u8; 4],
    asked: Option<&'static str>,
    answered: &'static str,
    /// The answer comes from the resolver.
    from_resolver: bool,
    answer_second: u64,
    address: [u8; 4],
    /// Another name that the address was given, and when.
    also: Option<(&'static str, u64)>,
    upload_second: u64,
    upload: Session,
    written_name: Option<&'static str>,
}

impl Scene {
    fn new() -> Self {
        Self {
            known: KnownServices::default(),
            resolver: RESOLVER,
            resolver_is_internal: true,
            asker: CLIENT,
            asked: Some(LISTED),
            answered: LISTED,
            from_resolver: true,
            answer_second: 601,
            address: SERVICE,
            also: None,
            upload_second: 610,
            upload: session(),
            written_name: None,
        }
    }

    fn dns(&self, client: [u8; 4]) -> Session {
        let mut dns = session();
        (dns.key.client, dns.key.server) = (v4(client), v4(self.resolver));
        (dns.key.protocol, dns.key.server_port) = (protocol::UDP, 53);
        dns.server_home = self.resolver_is_internal;
        dns
    }

    /// Bytes that a known service explained, of 104,000.
    fn explained(&self) -> u64 {
        let config =
            LedgerConfig { services: Arc::new(self.known.clone()), ..LedgerConfig::default() };
        let mut bed = Bed::new(config);
        let dns = self.dns(self.asker);
        if let Some(name) = self.asked {
            bed.ledger.dns_message(&dns, &message(name, None), true, 600 * SECOND_NS);
        }
        let answer = message(self.answered, Some(self.address));
        let answer_ns = self.answer_second * SECOND_NS;
        bed.ledger.dns_message(&dns, &answer, !self.from_resolver, answer_ns);
        if let Some((name, second)) = self.also {
            let (dns, answer) = (self.dns([10, 0, 0, 99]), message(name, Some(self.address)));
            bed.ledger.dns_message(&dns, &answer, false, second * SECOND_NS);
        }
        let upload = Session { name: self.written_name.map(Into::into), ..self.upload.clone() };
        bed.carry(&upload, Side::Client, 100_000, 0, self.upload_second);
        bed.settle(self.upload_second + 100);
        bed.ledger.sums().explained(Explanation::Service)
    }
}

/// A question for a name, or its answer.
fn message(name: &str, address: Option<[u8; 4]>) -> Message {
    let (flags, answers) = if address.is_some() { (0x81, 1) } else { (0x01, 0) };
    let mut wire = vec![0, 1, flags, 0, 0, 1, 0, answers, 0, 0, 0, 0];
    for label in name.split('.') {
        wire.push(u8::try_from(label.len()).unwrap());
        wire.extend(label.as_bytes());
    }
    wire.extend([0, 0, 1, 0, 1]);
    if let Some(address) = address {
        wire.extend([0xc0, 12, 0, 1, 0, 1]);
        wire.extend(TTL_SECS.to_be_bytes());
        wire.extend([0, 4]);
        wire.extend(address);
    }
    Message::decode(&wire).unwrap()
}

#[test]
fn a_service_explains_where_everything_is_true_and_nothing_where_one_thing_is_not() {
    let check = |name: &str, explains: bool, change: fn(&mut Scene)| {
        let mut scene = Scene::new();
        change(&mut scene);
        let expected = if explains { 104_000 } else { 0 };
        assert_eq!(scene.explained(), expected, "{name}");
    };
    check("all is true", true, |_| {});
    check("the name's case does not count", true, |scene| scene.answered = "OCSP.digicert.COM");
    check("another name of the same domain", true, |scene| {
        scene.also = Some(("www.digicert.com", 605));
    });
    check("until an hour after the answer's life", true, |scene| scene.upload_second = 4_260);
    check("a resolver of the operator's", true, |scene| {
        (scene.resolver, scene.resolver_is_internal) = ([192, 0, 2, 53], false);
        scene.known.resolvers = vec!["192.0.2.53".parse().unwrap()];
    });
    check("a well-known resolver", true, |scene| {
        (scene.resolver, scene.resolver_is_internal) = ([9, 9, 9, 9], false);
    });
    check("a name of the operator's", true, |scene| {
        (scene.asked, scene.answered) = (Some("updates.example.com"), "updates.example.com");
        scene.known.names = vec!["updates.example.com".to_owned()];
    });

    check("any resolver", false, |scene| {
        (scene.resolver, scene.resolver_is_internal) = ([192, 0, 2, 53], false);
    });
    check("not asked", false, |scene| scene.asked = None);
    check("another name asked", false, |scene| scene.asked = Some("ocsp2.globalsign.com"));
    check("somebody else asked", false, |scene| scene.asker = [10, 0, 0, 8]);
    check("an answer of the sender's own", false, |scene| scene.from_resolver = false);
    check("a late answer", false, |scene| scene.answer_second = 631);
    check("a name below a listed one", false, |scene| {
        (scene.asked, scene.answered) = (Some("a.ocsp.digicert.com"), "a.ocsp.digicert.com");
    });
    check("a name written by the sender", false, |scene| {
        (scene.asked, scene.answered) = (Some("files.example.com"), "files.example.com");
        scene.written_name = Some(LISTED);
    });
    check("another address", false, |scene| scene.address = [203, 0, 113, 6]);
    check("over", false, |scene| scene.upload_second = 4_261);
    check("an address of several domains", false, |scene| {
        scene.also = Some(("files.example.com", 605));
    });
    check("an address of several domains before", false, |scene| {
        scene.also = Some(("files.example.com", 300));
    });
    check("no handshake", false, |scene| scene.upload.up.tcp_flags = 0x18);
    check("an unknown protocol", false, |scene| scene.upload.first_payloads.protocol = None);
    check("no answer", false, |scene| scene.upload.down.seen_packets = 0);
    check("another port", false, |scene| scene.upload.key.server_port = 8_443);
    check("no bytes a day", false, |scene| scene.known.bytes_per_day = 0);
}

#[test]
fn a_collector_needs_no_name() {
    let mut scene = Scene::new();
    scene.asked = None;
    scene.known.collectors = vec!["203.0.113.0/24".parse().unwrap()];
    assert_eq!(scene.explained(), 104_000);
}

/// The bound is of the sender and day, over all services, and a restart does not lift it.
#[test]
fn services_explain_so_much_in_a_day() {
    let collectors = vec!["203.0.113.0/24".parse().unwrap()];
    let services = Arc::new(KnownServices { collectors, ..KnownServices::default() });
    let limit = services.bytes_per_day;
    let config = LedgerConfig { services, ..LedgerConfig::default() };
    let explained = |bed: &Bed| bed.ledger.sums().explained(Explanation::Service);
    let upload = |bed: &mut Bed, second| {
        for host in 1..=10 {
            let mut session = session();
            session.key.server = v4([203, 0, 113, host]);
            bed.carry(&session, Side::Client, 100_000, 0, second);
        }
        bed.settle(second);
    };
    let mut bed = Bed::new(config.clone());
    upload(&mut bed, 601);
    // With the headers that go with it.
    assert!((limit..limit + limit / 20).contains(&explained(&bed)), "{}", explained(&bed));
    let kept: Vec<_> = bed.ledger.changed_since(0).collect();
    let mut again = Bed::new(config);
    for (address, text) in kept {
        assert!(again.ledger.recall(address, &text, 700 * SECOND_NS).unwrap());
    }
    upload(&mut again, 701);
    assert_eq!(explained(&again), 0);
    upload(&mut again, 86_401);
    assert!(explained(&again) >= limit, "another day");
}

/// What has no room is counted, and explains nothing.
#[test]
fn what_answers_say_is_bounded() {
    let scene = Scene::new();
    let mut bed = Bed::new(LedgerConfig::default());
    let refused = |bed: &Bed| {
        *bed.ledger.left_out().iter().find(|it| it.0 == "service_answers_not_kept").unwrap()
    };
    assert_eq!(refused(&bed), ("service_answers_not_kept", 0));
    for host in 0..70_000_u32 {
        let [_, a, b, c] = host.to_be_bytes();
        let client = [10, a, b, c];
        let dns = scene.dns(client);
        bed.ledger.dns_message(&dns, &message(LISTED, None), true, 600 * SECOND_NS);
        let answer = message(LISTED, Some([198, a, b, c]));
        bed.ledger.dns_message(&dns, &answer, false, 600 * SECOND_NS);
    }
    // 70,000 addresses of a day and as many answers, of which 65,536 and 16,384 have room.
    assert_eq!(refused(&bed).1, 70_000 - 65_536 + 70_000 - 16_384);
    let mut upload = session();
    let [_, a, b, c] = 69_999_u32.to_be_bytes();
    (upload.key.client, upload.key.server) = (v4([10, a, b, c]), v4([198, a, b, c]));
    bed.carry(&upload, Side::Client, 100_000, 0, 610);
    assert_eq!(bed.ledger.sums().explained(Explanation::Service), 0);
}
