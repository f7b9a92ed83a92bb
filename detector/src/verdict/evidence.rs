//! Who is judged at a checkpoint, and what is too little to judge.
//!
//! The same test stands before training, so that a model is asked only what it was taught. It is
//! also what keeps a capture of a hundred thousand short look-ups cheap.

use std::net::IpAddr;

use crate::features::name_information;
use crate::flow::echo::Carried;
use crate::flow::session::Dns;
use crate::flow::{Session, Side, Volume};
use crate::network::ip;

/// Packets of both directions below which a shape says nothing: forests served on fewer lose up to
/// a third of their precision (arXiv 2407.02856).
pub const MIN_PACKETS: u64 = 7;

/// Payload bytes below which a sender without DNS queries or echo messages carried nothing to speak of: a
/// request line with its headers is larger.
pub const MIN_PAYLOAD_BYTES: u64 = 384;

/// Bytes that a client's DNS names must be able to carry before it is judged: a directory look-up
/// with a GUID in it holds 35, one query name full of encoded content 60 and more.
pub const MIN_NAME_BYTES: f64 = 48.0;

/// Bytes of a filling that says something even where no other is seen. The pads of monitors and of
/// testing tools repeat within less: an alphabet in both cases has 52.
pub const MIN_ECHO_BYTES: u64 = 64;

/// Different echo fillings from which on they are a stream rather than a greeting.
pub const MIN_ECHO_FILLINGS: u64 = 3;

/// Times that echo sizes went up after down or down after up below which they are a sweep, or a
/// search for the path's MTU: that halves a span of 1,472 bytes eleven times.
pub const MIN_SIZE_TURNS: u64 = 12;

/// The senders of a session that are judged: at home, and with enough sent.
pub fn judged(session: &Session) -> impl Iterator<Item = Side> {
    [Side::Client, Side::Server].into_iter().filter(|side| is_judged(session, *side))
}

fn is_judged(session: &Session, sender: Side) -> bool {
    let receiver = match sender {
        Side::Client => &session.key.server,
        Side::Server => &session.key.client,
    };
    if !session.sends_out(sender) || is_group(receiver) {
        return false;
    }
    let sent = session.sent(sender);
    let (dns, icmp) = (session.heads.dns.as_deref(), session.heads.icmp.as_deref());
    if let Some(dns) = dns.filter(|dns| sender == Side::Client && dns.queries != 0) {
        return asks(dns);
    }
    match icmp {
        Some(icmp) if icmp.requests + icmp.replies != 0 => {
            carries(icmp.carried(sender), session.checkpoints.ended)
        }
        _ => enough(sent, session.packets()),
    }
}

/// Names of addresses hold nothing but addresses, and a few short names hold too little.
fn asks(dns: &Dns) -> bool {
    // The sums are a cheap upper bound.
    dns.ptr < dns.queries
        && dns.name_bytes as f64 >= MIN_NAME_BYTES
        && name_information(dns) >= MIN_NAME_BYTES
}

/// Echo payloads hold nothing where all are those of an ordinary ping or return one and their sizes
/// stay or only grow. One or two fillings are a monitor's greeting, unless they are long and, when all
/// is over, were sent no more than once or twice.
fn carries(carried: &Carried, ended: bool) -> bool {
    let few = ended && carried.own_bytes >= MIN_ECHO_BYTES && !carried.repeats();
    carried.fillings.count() >= MIN_ECHO_FILLINGS
        || carried.inner_packets != 0
        || carried.size_turns >= MIN_SIZE_TURNS
        || few
}

/// Multicast and broadcast, which name no host that could receive a theft.
fn is_group(address: &[u8; 16]) -> bool {
    match ip(address) {
        IpAddr::V4(address) => address.is_multicast() || address.is_broadcast(),
        IpAddr::V6(address) => address.is_multicast(),
    }
}

fn enough(sent: &Volume, packets: u64) -> bool {
    packets >= MIN_PACKETS && sent.payload_bytes >= MIN_PAYLOAD_BYTES
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn groups_are_no_receivers() {
        for (address, expected) in [
            ("224.0.0.251", true),
            ("255.255.255.255", true),
            ("ff02::fb", true),
            ("192.0.2.255", false),
            ("::", false),
        ] {
            assert_eq!(
                is_group(&crate::network::octets(address.parse().unwrap())),
                expected,
                "{address}"
            );
        }
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

    #[test]
    fn names_hold_little_or_much() {
        let check = |queries: u64, ptr: u64, length: u64, entropy: f64, expected: bool| {
            let mut dns = Dns { queries, ptr, name_bytes: queries * length, ..Dns::default() };
            dns.name_entropy.add(entropy);
            for name in 0..queries {
                let spread = name.wrapping_add(1).wrapping_mul(0x9e37_79b9_7f4a_7c15);
                dns.distinct.insert(spread);
            }
            assert_eq!(asks(&dns), expected, "{queries} {ptr} {length} {entropy}");
        };
        check(1, 0, 64, 4.35, false);
        check(1, 0, 118, 5.5, true);
        check(3, 0, 24, 3.7, false);
        check(1, 0, 117, 4.2, true);
        check(40, 0, 24, 3.7, true);
        check(40, 40, 72, 3.1, false);
    }

    #[test]
    fn a_shape_needs_packets_and_bytes() {
        let sent = |payload_bytes| Volume { payload_bytes, ..Volume::default() };
        for (payload, packets, expected) in [(10_000, 6, false), (383, 100, false), (384, 7, true)]
        {
            assert_eq!(enough(&sent(payload), packets), expected, "{payload} {packets}");
        }
    }
}
