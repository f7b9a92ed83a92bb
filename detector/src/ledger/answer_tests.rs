//! What explains an answer of an internal service, and what does not.

use super::tests::{Bed, SECOND_NS, session, v4};
use super::*;

const DAY_SECS: u64 = 86_400;

/// A session with the service of 10.0.0.7 that an external client opened.
fn answer_to(network: u8, host: u8) -> Session {
    let mut session = session();
    (session.key.client, session.key.server) = (v4([198, 51, network, host]), v4([10, 0, 0, 7]));
    (session.client_home, session.server_home) = (false, true);
    session.up.seen_packets = 1;
    session
}

/// What happens between one client and the service on a day.
#[derive(Clone, Copy)]
struct Exchange {
    day: u64,
    network: u8,
    host: u8,
    asked: u64,
    answered: u64,
}

/// `answered` bytes on each of `days` to each of `networks`.
fn usual(
    days: std::ops::Range<u64>,
    networks: std::ops::Range<u8>,
    answered: u64,
) -> Vec<Exchange> {
    let on = |day| {
        networks.clone().map(move |network| Exchange {
            day,
            network,
            host: 1,
            asked: 500,
            answered,
        })
    };
    days.flat_map(on).collect()
}

fn explained(bed: &Bed) -> u64 {
    bed.ledger.sums().explained(Explanation::Answer)
}

fn play(bed: &mut Bed, exchanges: &[Exchange], change: impl Fn(&mut Session)) {
    for exchange in exchanges {
        let Exchange { day, network, host, asked, answered } = *exchange;
        let mut session = answer_to(network, host);
        change(&mut session);
        bed.carry(&session, Side::Server, answered, asked, day * DAY_SECS + 700);
        bed.settle(day * DAY_SECS + 800);
    }
}

fn without_exchange() -> LedgerConfig {
    let mut config = LedgerConfig::default();
    config.exchange.bytes_per_hour = 0;
    config
}

/// Payload of an answer that is explained after these days; each packet of 1,000 bytes has a header of 40.
#[track_caller]
fn check(name: &str, before: &[Exchange], last: Exchange, expected: u64) {
    let mut bed = Bed::new(without_exchange());
    play(&mut bed, before, |_| {});
    let earlier = explained(&bed);
    play(&mut bed, &[last], |_| {});
    let payload = (explained(&bed) - earlier) * 100 / 104;
    // Headers are explained in proportion, rounded.
    assert!(payload.abs_diff(expected) <= 1, "{name}: {payload}, not {expected}");
}

#[test]
fn an_answer_is_explained_by_earlier_days() {
    let last = Exchange { day: 4, network: 1, host: 9, asked: 500, answered: 3_000_000 };
    check("being addressed explains nothing", &[], last, 0);
    check("two days are too few", &usual(1..3, 1..2, 500_000), last, 0);
    check("twice as much as usual", &usual(1..4, 1..2, 500_000), last, 1_000_000);
    check("no more than 5 MB to begin with", &usual(1..4, 1..2, 8_000_000), last, 3_000_000);
    let much = Exchange { answered: 9_000_000, ..last };
    check("no more than 5 MB to begin with", &usual(1..4, 1..2, 8_000_000), much, 5_000_000);
    let outlier = [&usual(1..5, 1..2, 100_000)[..], &usual(5..6, 1..2, 5_000_000)].concat();
    check("one large day is none", &outlier, Exchange { day: 6, ..last }, 200_000);
    let sudden = [&usual(1..4, 1..2, 100_000)[..], &usual(4..9, 1..2, 4_000_000)].concat();
    // It may have grown by 64 KiB on each of five days.
    check("it grows slowly", &sudden, Exchange { day: 9, ..last }, 200_000 + 5 * (64 << 10));
}

#[test]
fn a_new_client_is_answered_what_it_asked_for_and_what_is_usual() {
    let before = usual(1..4, 1..11, 100_000);
    let new = Exchange { day: 4, network: 99, host: 1, asked: 50_000, answered: 1_000_000 };
    check("what clients are usually answered in a day", &before, new, 100_000);
    check("twenty times what it asked", &before, Exchange { asked: 1_000, ..new }, 20_000);
    check("it asked nothing", &before, Exchange { asked: 0, ..new }, 0);
    check("too few clients", &usual(1..4, 1..7, 100_000), new, 0);
}

/// Many new clients get no more than the service has answered in all.
#[test]
fn a_day_has_a_bound_over_all_clients() {
    let mut bed = Bed::new(without_exchange());
    play(&mut bed, &usual(1..4, 1..11, 100_000), |_| {});
    let new = Exchange { day: 4, network: 0, host: 1, asked: 50_000, answered: 1_000_000 };
    let many: Vec<_> = (100..200).map(|network| Exchange { network, ..new }).collect();
    play(&mut bed, &many, |_| {});
    assert_eq!(explained(&bed) * 100 / 104, 2_000_000);
}

#[test]
fn nothing_is_explained_or_learned_from_what_is_suspicious() {
    let last = [Exchange { day: 4, network: 1, host: 1, asked: 500, answered: 500_000 }];
    let check = |name: &str, learned: fn(&mut Session), then: fn(&mut Session), expected| {
        let mut bed = Bed::new(without_exchange());
        play(&mut bed, &usual(1..4, 1..2, 500_000), learned);
        play(&mut bed, &last, then);
        assert_eq!(explained(&bed), expected, "{name}");
    };
    let nothing = |_: &mut Session| {};
    check("ordinary", nothing, nothing, 520_000);
    check("no handshake", nothing, |session| session.up.tcp_flags = 0x10, 0);
    check("unknown protocol", nothing, |session| session.first_payloads.protocol = None, 0);
    check("another port", nothing, |session| session.key.server_port = 22, 0);
    check("another server", nothing, |session| session.key.server = v4([10, 0, 0, 8]), 0);
    check("learned without a handshake", |session| session.up.tcp_flags = 0x10, nothing, 0);
    // Of internal clients nothing is learned: they raise no alert.
    check("an internal client", nothing, |session| session.client_home = true, 0);
    let mut bed = Bed::new(LedgerConfig { new_bytes: 400_000, ..without_exchange() });
    play(&mut bed, &usual(1..4, 1..2, 500_000), nothing);
    assert_eq!(bed.findings.len(), 3);
    play(&mut bed, &last, nothing);
    assert_eq!(explained(&bed), 0, "each day had an alert");
}

/// A restart forgets neither what was learned nor what of the day was spent.
#[test]
fn what_was_learned_lasts() {
    let mut bed = Bed::new(without_exchange());
    play(&mut bed, &usual(1..4, 1..2, 500_000), |_| {});
    let last = Exchange { day: 4, network: 1, host: 1, asked: 500, answered: 800_000 };
    play(&mut bed, &[last], |_| {});
    assert_eq!(explained(&bed), 832_000);
    let kept: Vec<_> = bed.ledger.services_changed_since(0).collect();
    assert_eq!(kept.len(), 1);
    let mut again = Bed::new(without_exchange());
    assert!(again.ledger.recall_services(kept[0].0, &kept[0].1).unwrap());
    assert!(again.ledger.recall_services(kept[0].0, "{").is_err());
    play(&mut again, &[last], |_| {});
    assert_eq!(explained(&again), 208_000, "200 of 1,000 kB were left");
    play(&mut again, &[Exchange { day: 5, ..last }], |_| {});
    assert_eq!(explained(&again), 208_000 + 832_000, "another day");
    let since = bed.ledger.services_changed_since(5 * DAY_SECS * SECOND_NS);
    assert_eq!(since.count(), 0);
}

#[test]
fn what_has_no_room_is_counted() {
    let mut bed = Bed::new(without_exchange());
    let refused =
        |bed: &Bed| *bed.ledger.left_out().iter().find(|it| it.0.starts_with("answers_")).unwrap();
    let day = 700;
    for network in 0..=255 {
        for client in [1, 2] {
            let mut session = answer_to(network, 1);
            session.key.client = v4([198, client, network, 1]);
            bed.carry(&session, Side::Server, 1_000, 500, day);
        }
    }
    assert_eq!(refused(&bed), ("answers_to_clients_not_learned", 256));
    for port in 1..=9 {
        let mut session = answer_to(1, 1);
        session.key.server_port = port;
        bed.carry(&session, Side::Server, 1_000, 500, day);
    }
    assert_eq!(refused(&bed).1, 256 + 2, "seven ports besides 443");
    for host in 0..100 {
        let mut session = answer_to(1, 1);
        session.key.server = v4([10, 1, 0, host]);
        bed.carry(&session, Side::Server, 1_000, 500, day);
    }
    assert_eq!(refused(&bed).1, 258 + 37, "63 hosts besides the first");
    bed.settle(day + 100);
}
