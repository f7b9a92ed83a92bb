//! Data in ICMP echo payloads: what the sender's own messages carry beyond an ordinary ping's.

use crate::features::Sample;
use crate::flow::content::echo::{Carried, Icmp};

use super::super::Technique;
use super::super::evidence::MIN_SIZE_TURNS;
use super::{Found, Rule};

pub(super) const RULES: &[Rule] = &[
    Rule {
        name: "icmp_packets_inside",
        meaning: "echo payloads hold IP packets: a tunnel",
        source: "RFC 791 checksum; the headers of icmptunnel, hans and ptunnel",
        may_block: true,
        excused_by_baseline: false,
        find: packets_inside,
    },
    Rule {
        name: "icmp_content",
        meaning: "echo payloads that differ from every ordinary ping, and from each other",
        source: "iputils, BSD, Windows, busybox, fping, hping and Cisco send one payload pattern \
            each",
        may_block: true,
        excused_by_baseline: false,
        find: content,
    },
    Rule {
        name: "icmp_message",
        meaning: "one echo payload of 64 bytes or more consists of words",
        source: "MITRE ATT&CK T1095; paddings of pings and monitors repeat or count",
        may_block: true,
        excused_by_baseline: false,
        find: message,
    },
    Rule {
        name: "icmp_sizes",
        meaning: "echo sizes that go up and down, one letter of a message each",
        source: "a path MTU search (RFC 8899) changes direction at most eleven times, a sweep \
            never",
        may_block: true,
        excused_by_baseline: false,
        find: sizes,
    },
];

/// Distinct payload patterns from which on they are no accident, and from which on they are a
/// stream.
const FILLINGS_FEW: u64 = 3;
const FILLINGS_MANY: u64 = 5;
/// Bytes in these payload patterns below which nothing worth a tunnel was carried: an account and
/// its password.
const CARRIED_FEW_BYTES: u64 = 24;
const CARRIED_MANY_BYTES: u64 = 64;

fn carried<'a>(sample: &Sample<'a>) -> Option<&'a Carried> {
    let icmp: &Icmp = sample.session.first_payloads.icmp.as_deref()?;
    Some(icmp.carried(sample.sender))
}

fn found(certainty: f64, text: String) -> Option<Found> {
    Some(Found { certainty, technique: Technique::IcmpTunnel, text })
}

fn packets_inside(sample: &Sample<'_>) -> Option<Found> {
    let packets = carried(sample)?.inner_packets;
    let certainty = match packets {
        0 => return None,
        1 => 0.9,
        _ => 0.95,
    };
    found(certainty, format!("{packets} echo payloads hold an IP packet"))
}

fn content(sample: &Sample<'_>) -> Option<Found> {
    let carried = carried(sample)?;
    let (payload_patterns, bytes) = (carried.payload_patterns.count(), carried.own_bytes);
    let certainty = if payload_patterns >= FILLINGS_MANY && bytes >= CARRIED_MANY_BYTES {
        0.95
    } else if payload_patterns >= FILLINGS_FEW && bytes >= CARRIED_FEW_BYTES {
        0.8
    } else {
        return None;
    };
    let kind = if carried.printable.mean().unwrap_or(0.0) > 0.9 { " of text" } else { "" };
    found(
        certainty,
        format!("{payload_patterns} different echo payloads unlike any ping, {bytes} bytes{kind}"),
    )
}

/// A monitor that greets in words does so again and again.
fn message(sample: &Sample<'_>) -> Option<Found> {
    let carried = carried(sample)?;
    let bytes = carried.longest_prose;
    if bytes == 0 || carried.repeats() {
        return None;
    }
    found(0.85, format!("an echo payload is a text message of {bytes} bytes"))
}

fn sizes(sample: &Sample<'_>) -> Option<Found> {
    let carried = carried(sample)?;
    let (turns, messages) = (carried.size_turns, carried.messages);
    // Letters in a text turn at two of three.
    if turns < MIN_SIZE_TURNS || turns * 3 < messages {
        return None;
    }
    found(0.8, format!("the size of {messages} echo messages changed direction {turns} times"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::flow::session::example::{learn, say, session};
    use crate::flow::{Session, SessionKey, Side};

    fn pings() -> Session {
        session(SessionKey { protocol: 1, ..SessionKey::default() })
    }

    /// The rules that find something, in order.
    #[track_caller]
    fn check(what: &str, session: &Session, sender: Side, expected: &[&str]) {
        let sample = Sample::new(session, sender, 0);
        let names: Vec<_> = RULES
            .iter()
            .filter(|rule| (rule.find)(&sample).is_some())
            .map(|rule| rule.name)
            .collect();
        assert_eq!(names, expected, "{what}");
    }

    #[track_caller]
    fn check_payloads(what: &str, payloads: &[Vec<u8>], expected: &[&str]) {
        let mut session = pings();
        for payload in payloads {
            say(&mut session, Side::Client, payload);
            say(&mut session, Side::Server, payload);
        }
        check(what, &session, Side::Client, expected);
        check(what, &session, Side::Server, &[]);
    }

    fn stamped(number: u8, filling: &[u8]) -> Vec<u8> {
        let stamp = [0x68, 0xbc, 0x44, 0x65, 0, 0, 0, 0, number, 0x0a, 0x07, 0, 0, 0, 0, 0];
        [&stamp[..], filling].concat()
    }

    /// Bytes as random as a cipher's.
    fn random(number: u8, length: usize) -> Vec<u8> {
        let mut state = u32::from(number) + 1;
        std::iter::repeat_with(|| {
            state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
            (state >> 24) as u8
        })
        .take(length)
        .collect()
    }

    const PASSWD: &[u8] = b"root:x:0:0:root:/root:/bin/bash\ndaemon:x:1:1:daemon:/usr/sbin:/usr/sbin/\
        nologin\nbin:x:2:2:bin:/bin:/usr/sbin/nologin\nada:x:1000:1000:Ada,,,:/home/ada:/bin/bash\n";

    #[test]
    fn tools_that_carry_data_are_found() {
        let ipv4 = b"E\x00\x00T\x00\x00@\x00@\x01#\xe9\x0a\x5f\x01\x01\x0a\x5f\x01\x02\x08\x00";
        let chunks = |length| PASSWD.chunks(length).map(<[u8]>::to_vec).collect::<Vec<_>>();
        let numbered = |make: &dyn Fn(u8) -> Vec<u8>| (0..6).map(make).collect::<Vec<_>>();
        let content = &["icmp_content"][..];

        check_payloads("icmpsh, nishang: the shell's lines", &chunks(60), content);
        check_payloads("a script of one line: 12 bytes each", &chunks(12), content);
        check_payloads("five packets of text", &chunks(36)[..5], content);
        check_payloads("text behind a stamp", &numbered(&|n| stamped(n, &random(n, 56))), content);
        let pattern = |n: u8| stamped(n, &PASSWD.chunks(16).nth(usize::from(n)).unwrap().repeat(3));
        check_payloads("ping -p with another pattern each time", &numbered(&pattern), content);
        let loki =
            |n| [&[0xb1, n][..], PASSWD.chunks(54).nth(usize::from(n % 3)).unwrap()].concat();
        check_payloads("loki", &numbered(&loki), content);
        let ptunnel =
            |n| [&b"\xd5\x20\x08\x80\x0a\0\0\x01\0\0\0\x16"[..], &random(n, 300)].concat();
        check_payloads("ptunnel", &numbered(&ptunnel), content);
        let both = &["icmp_packets_inside", "icmp_content"];
        let hans = |n| [&b"hanst"[..], ipv4, &random(n, 60)].concat();
        check_payloads("hans", &numbered(&hans), both);
        check_payloads("icmptunnel", &[[&ipv4[..], b"rest"].concat()], &both[..1]);
        let chat = b"\xbcD\x8d\x15\0\0\0\0\0\0\0\0Chat10.0.0.9   Transfer all of the money to the \
            account I gave you. Do it tonight, and tell nobody.";
        check_payloads("a chat of one packet", &[chat.to_vec()], &["icmp_message"]);
    }

    #[test]
    fn answers_that_carry_data_are_the_servers() {
        let mut session = pings();
        for line in PASSWD.chunks(50) {
            say(&mut session, Side::Client, b"");
            say(&mut session, Side::Server, line);
        }
        check("polled", &session, Side::Client, &[]);
        check("polled", &session, Side::Server, &["icmp_content"]);
    }

    #[test]
    fn letters_as_sizes_are_found() {
        let mut session = pings();
        for letter in b"the password of the database is hunter2" {
            learn(&mut session, Side::Client, b"", u32::from(*letter));
        }
        check("sizes", &session, Side::Client, &["icmp_sizes"]);
    }

    #[test]
    fn ordinary_pings_are_quiet() {
        let numbered = |make: &dyn Fn(u8) -> Vec<u8>| (0..30).map(make).collect::<Vec<_>>();
        let counting = |length: u16| (16..length).map(|n| n as u8).collect::<Vec<_>>();
        let check = |what, make: &dyn Fn(u8) -> Vec<u8>| check_payloads(what, &numbered(make), &[]);
        check("Linux", &|n| stamped(n, &counting(56)));
        check("large", &|n| stamped(n, &counting(1_472)));
        check("Windows", &|_| b"abcdefghijklmnopqrstuvwabcdefghi".to_vec());
        check("Cisco", &|n| stamped(n, &[0xab, 0xcd].repeat(40)));
        check("fping, busybox", &|n| stamped(n, &[0; 40]));
        check("hping", &|_| vec![b'X'; 100]);
        check("nmap", &|_| vec![0; 120]);
        check("a pad", &|_| b"1234567890ABCDEFGHIJKLMNOPQRSTUVWXYZ__".repeat(30));
        check("a constant", &|n| stamped(n, b"\x01\x99\x43\xff\x11\x08\x07\x99"));
        check("a constant of random bytes", &|n| stamped(n, &random(7, 400)));
        check("a short stamp", &|n| random(n, 8));
        check("a probe that counts", &|n| {
            format!("probe of the eastern site, {n:05}").into_bytes()
        });
        let sweep: Vec<Vec<u8>> = (1..40).map(|n| stamped(0, &counting(16 + n * 8))).collect();
        check_payloads("a sweep", &sweep, &[]);
    }

    #[test]
    fn a_greeting_that_repeats_is_a_monitor() {
        let greeting =
            b"This is the monitor of the data centre, we look after your network, thank you";
        let mut session = pings();
        (0..3).for_each(|_| say(&mut session, Side::Client, greeting));
        check("a greeting", &session, Side::Client, &[]);
    }
}
