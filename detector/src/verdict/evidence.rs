//! Who is scored at a checkpoint, and what is too little to score.
//!
//! The same test comes before training, so that a model is asked only what it was taught. It is
//! also what keeps a capture of a hundred thousand short look-ups cheap.

use detector_common::parse::protocol;

use crate::flow::content::echo::Carried;
use crate::flow::dns::Dns;
use crate::flow::{Session, Side, Volume};

use super::rules::services::is_lookup_service;

/// Packets of both directions below which a shape says nothing: forests served on fewer lose up to
/// a third of their precision (arXiv 2407.02856).
pub const MIN_PACKETS: u64 = 7;

/// Payload bytes below which a sender without DNS queries or echo messages carried nothing worth
/// mentioning: a request line with its headers is larger.
pub const MIN_PAYLOAD_BYTES: u64 = 384;

/// Bytes that the labels below a domain must be able to carry before it is scored: a directory
/// look-up with a GUID in it holds some 20, the shortest query of a file that was seen 37.
pub const MIN_NAME_BYTES: f64 = 32.0;

/// Domains below which names are addresses backwards and hold nothing else.
const REVERSE_DOMAINS: [&str; 2] = ["in-addr.arpa", "ip6.arpa"];

/// Bytes of a filling that says something even where no other is seen. The pads of monitors and of
/// testing tools repeat within less: an alphabet in both cases has 52.
pub const MIN_ECHO_BYTES: u64 = 64;

/// Different echo payload patterns from which on they are a stream rather than a greeting.
pub const MIN_ECHO_FILLINGS: u64 = 3;

/// Times that echo sizes went up after down or down after up below which they are a sweep, or a
/// search for the path's MTU: that halves a span of 1,472 bytes eleven times.
pub const MIN_SIZE_TURNS: u64 = 12;

/// The senders of a session that are scored: at home, and with enough sent.
pub fn scored(session: &Session) -> impl Iterator<Item = Side> {
    [Side::Client, Side::Server].into_iter().filter(|side| is_scored(session, *side))
}

fn is_scored(session: &Session, sender: Side) -> bool {
    let receiver = match sender {
        Side::Client => &session.key.server,
        Side::Server => &session.key.client,
    };
    let stays =
        receiver.is_group() || receiver.is_loopback() || session.key.client == session.key.server;
    if !session.sends_out(sender) || stays || is_broadcast(session) {
        return false;
    }
    let sent = session.sent(sender);
    let (dns, icmp) =
        (session.first_payloads.dns.as_deref(), session.first_payloads.icmp.as_deref());
    if let Some(domain) = session.domain.as_deref() {
        return sender == Side::Client && dns.is_some_and(|dns| asks(dns, domain));
    }
    if dns.is_some_and(is_dns) {
        return false;
    }
    match icmp {
        Some(icmp) if icmp.requests + icmp.replies != 0 => {
            carries(icmp.carried(sender), session.checkpoints.ended)
        }
        _ => enough(sent, session.packets()),
    }
}

/// Datagrams to all hosts of an internal network, which no router hands on: the link sent them to a
/// group, their address is one that such a network may have for this, and nobody answered.
fn is_broadcast(session: &Session) -> bool {
    let [.., last] = session.key.server.octets();
    session.to_group
        && session.server_home
        && session.key.protocol == protocol::UDP
        && last & 3 == 3
        && session.down.seen_packets == 0
}

/// Whether a session on a DNS port speaks DNS: then its domains are scored, each for itself. Else
/// it is as any other session, and so it is where what the client sends is mostly something else.
fn is_dns(dns: &Dns) -> bool {
    let foreign_client = dns.undecoded_queries != 0 && dns.undecoded_queries >= dns.queries;
    dns.queries + dns.responses > dns.undecoded && !foreign_client && !dns.hides()
}

/// Names of addresses hold nothing but addresses, a few short names hold too little, and some
/// services are asked by content.
fn asks(dns: &Dns, domain: &str) -> bool {
    let Some(names) = dns.names.as_deref() else { return false };
    // No label carries more than its own bytes.
    names.name_bytes as f64 >= MIN_NAME_BYTES
        && !REVERSE_DOMAINS.contains(&domain)
        && !is_lookup_service(domain)
        && names.information.sum().bytes >= MIN_NAME_BYTES
}

/// Echo payloads hold nothing where all are those of an ordinary ping or return one and their sizes
/// stay or only grow. One or two payload patterns are a monitor's greeting, unless they are long
/// and, when all is over, were sent no more than once or twice.
fn carries(carried: &Carried, ended: bool) -> bool {
    let few = ended && carried.own_bytes >= MIN_ECHO_BYTES && !carried.repeats();
    carried.payload_patterns.count() >= MIN_ECHO_FILLINGS
        || carried.inner_packets != 0
        || carried.size_turns >= MIN_SIZE_TURNS
        || few
}

fn enough(sent: &Volume, packets: u64) -> bool {
    packets >= MIN_PACKETS && sent.payload_bytes() >= MIN_PAYLOAD_BYTES
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::features::example::session;
    use crate::flow::SessionKey;
    use crate::flow::dns::DnsNames;

    #[test]
    fn what_stays_here_is_not_scored() {
        let check = |client: [u8; 4], server: [u8; 4], to_group, answers, expected: bool| {
            let mut session = session(SessionKey {
                client: client.into(),
                server: server.into(),
                protocol: 17,
                server_port: 15_600,
            });
            session.server_home = true;
            session.to_group = to_group;
            session.up =
                Volume { seen_packets: 10, seen_payload_bytes: 5_000, ..Volume::default() };
            session.down.seen_packets = answers;
            let scored = is_scored(&session, Side::Client);
            assert_eq!(scored, expected, "{client:?} {server:?} {to_group} {answers}");
        };
        let host = [192, 168, 7, 20];
        check(host, [192, 168, 7, 21], false, 0, true);
        check([127, 0, 0, 1], [127, 0, 0, 1], false, 0, false);
        check([127, 0, 0, 1], [127, 0, 1, 1], false, 0, false);
        check(host, host, false, 0, false);
        check(host, [239, 1, 1, 1], false, 0, false);
        check(host, [192, 168, 7, 255], true, 0, false);
        check(host, [192, 168, 7, 63], true, 0, false);
        // A host that answers, one that the link found, and one with another host's address.
        check(host, [192, 168, 7, 255], true, 1, true);
        check(host, [192, 168, 7, 255], false, 0, true);
        check(host, [192, 168, 7, 21], true, 0, true);
    }

    #[test]
    fn an_ordinary_ping_holds_nothing() {
        let check = |own_bytes, size_turns, expected| {
            let carried = Carried { own_bytes, size_turns, ..Carried::default() };
            let found = [false, true].map(|ended| carries(&carried, ended));
            assert_eq!(found, expected, "{own_bytes} {size_turns}");
        };
        check(0, 0, [false, false]);
        check(0, 11, [false, false]);
        check(0, 12, [true, true]);
        check(38, 0, [false, false]);
        check(64, 0, [false, true]);
    }

    fn dns_key() -> SessionKey {
        SessionKey { server: [198, 51, 100, 9].into(), server_port: 53, ..SessionKey::default() }
    }

    /// A domain whose subdomains are `names`.
    fn domain(domain: &str, names: &[String]) -> Session {
        let mut facts = DnsNames::default();
        for name in names {
            facts.name_bytes += name.len() as u64;
            facts.information.learn(name.as_bytes());
        }
        let dns = Dns { queries: names.len() as u64, names: Some(facts.into()), ..Dns::default() };
        let mut session = session(dns_key());
        session.domain = Some(domain.into());
        session.first_payloads.dns = Some(dns.into());
        session
    }

    #[test]
    fn names_hold_little_or_much() {
        let check = |name: &str, names: &[String], expected: bool| {
            let session = domain(name, names);
            assert_eq!(scored(&session).count(), usize::from(expected), "{name} {names:?}");
        };
        let coded = |number: u64| {
            format!(
                "{:016x}{:016x}",
                number.wrapping_mul(0x9e37_79b9_7f4a_7c15),
                !number.wrapping_mul(0xc4ce_b9fe_1a85_ec53)
            )
        };
        let hosts = ["www", "mail", "shop", "static", "api"].map(str::to_owned);
        check("site.example", &hosts, false);
        check("site.example", &[coded(1)], false);
        check("site.example", &[coded(1), coded(2), coded(3)], true);
        check("mcafee.com", &[coded(1), coded(2), coded(3)], false);
        let addresses: Vec<String> =
            (0..500).map(|host| format!("{}.{}.0.192", host % 256, host / 256)).collect();
        check("in-addr.arpa", &addresses, false);
    }

    #[test]
    fn a_dns_port_may_carry_something_else() {
        let check = |queries, undecoded, expected: bool| {
            let mut session = session(dns_key());
            session.up =
                Volume { seen_packets: 10, seen_payload_bytes: 5_000, ..Volume::default() };
            session.first_payloads.dns = Some(Dns { queries, undecoded, ..Dns::default() }.into());
            assert_eq!(scored(&session).count(), usize::from(expected), "{queries} {undecoded}");
        };
        check(10, 0, false);
        check(10, 9, false);
        check(5, 5, true);
        check(0, 10, true);
    }

    #[test]
    fn a_shape_needs_packets_and_bytes() {
        let sent =
            |payload_bytes| Volume { seen_payload_bytes: payload_bytes, ..Volume::default() };
        for (payload, packets, expected) in [(10_000, 6, false), (383, 100, false), (384, 7, true)]
        {
            assert_eq!(enough(&sent(payload), packets), expected, "{payload} {packets}");
        }
    }
}
