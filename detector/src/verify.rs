//! Whether blocks hold: what they dropped and what passed them while somebody was looking.
//!
//! The counters are read twice. Where nothing came by in between and this host is an end of what is
//! blocked, empty datagrams are sent through the path, and the counters say what became of them.
//! Each finding names which of the two it rests on.

use std::collections::BTreeSet;
use std::net::{IpAddr, SocketAddr, UdpSocket};
use std::thread::sleep;
use std::time::Duration;

use anyhow::{Context as _, bail};

use crate::control::{
    Answer, BlockLine, BlockState, EffectWanted, Request, VerifiedHow, VerifyLine,
};
use crate::network::Address;
use crate::response::Target;
use crate::source::host::own_addresses;
use crate::units::counted;

/// How long traffic is watched at a time, and how long a probe may take to come by.
const WATCH: Duration = Duration::from_millis(500);
/// How often more where nothing has come by.
const LOOKS: u32 = 5;
/// Packets of one probe: one may wait for the next hop's address in vain.
const PROBES: u32 = 3;
/// Readings until a packet that was being counted has been counted whole.
const READINGS: usize = 4;
/// What an agent of another version does.
const OTHER: &str = "the agent's answer is of an unknown kind: restart the agent after an upgrade";
/// Where a datagram does nothing (RFC 863).
const DISCARD: u16 = 9;

/// Asks the agent; an error where it refuses or is not there.
type Ask<'a> = dyn FnMut(Request) -> anyhow::Result<Answer> + 'a;

/// Looks at the block of this number, or at those on `target`, or at all. Takes up to three
/// seconds: not for an asynchronous task.
pub fn verify(
    target: Option<Target>,
    number: Option<u32>,
    ask: &mut Ask<'_>,
) -> anyhow::Result<Vec<VerifyLine>> {
    let Answer::Blocks { blocks } = ask(Request::BlocksList {})? else { bail!(OTHER) };
    let mut read = || match ask(Request::BlocksVerify { target, number })? {
        Answer::Verified { blocks } => Ok(blocks),
        _ => bail!(OTHER),
    };
    let before = read()?;
    if before.is_empty() {
        return Ok(before);
    }
    sleep(WATCH);
    let mut after = read()?;
    let own = own_addresses().unwrap_or_default();
    let probed: BTreeSet<u32> = before
        .iter()
        .filter(|line| block_of(&blocks, line).is_some_and(is_probed))
        .filter(|line| seen(line, &after) == Some((0, 0)))
        .filter(|line| way(&line.target, &own).is_some_and(|way| way.probe().is_ok()))
        .map(|line| line.number)
        .collect();
    // A connection that is cut off tries again after longer and longer whiles.
    for _ in 0..LOOKS {
        if !before.iter().any(|line| seen(line, &after) == Some((0, 0))) {
            break;
        }
        sleep(WATCH);
        after = read()?;
    }
    for _ in 1..READINGS {
        let settled = !before.iter().any(|line| matches!(seen(line, &after), Some((_, 1..))));
        if settled {
            break;
        }
        after = least(after, &read()?);
    }
    Ok(before
        .iter()
        .map(|line| assess(line, &after, &blocks, probed.contains(&line.number)))
        .collect())
}

fn block_of<'a>(blocks: &'a [BlockLine], line: &VerifyLine) -> Option<&'a BlockLine> {
    blocks.iter().find(|block| block.number == line.number)
}

/// Whether it should stop each single packet now. A rate lets a probe pass.
fn is_probed(block: &BlockLine) -> bool {
    is_in_force(block) && !matches!(block.effect, EffectWanted::Police { .. })
}

fn is_in_force(block: &BlockLine) -> bool {
    !block.simulated && !matches!(block.state, BlockState::Suspended { .. })
}

/// Packets that were dropped and that passed since; none where the block has ended meanwhile.
fn seen(before: &VerifyLine, after: &[VerifyLine]) -> Option<(u64, u64)> {
    let after = after.iter().find(|line| line.number == before.number)?;
    Some((
        after.dropped_packets.saturating_sub(before.dropped_packets),
        after.passed_packets.saturating_sub(before.passed_packets),
    ))
}

/// A packet that is dropped is counted as one of its flow first and as dropped then: between the
/// two it looks as if it had passed. What looks so in every reading has.
fn least(mut lines: Vec<VerifyLine>, again: &[VerifyLine]) -> Vec<VerifyLine> {
    for line in &mut lines {
        if let Some(again) = again.iter().find(|again| again.number == line.number) {
            line.passed_packets = line.passed_packets.min(again.passed_packets);
            line.dropped_packets = again.dropped_packets;
        }
    }
    lines
}

fn assess(
    before: &VerifyLine,
    after: &[VerifyLine],
    blocks: &[BlockLine],
    probed: bool,
) -> VerifyLine {
    let (Some(block), Some((dropped, passed))) = (block_of(blocks, before), seen(before, after))
    else {
        let text = "the block ended during the check".to_owned();
        return VerifyLine { how: VerifiedHow::NoTraffic, holds: None, text, ..before.clone() };
    };
    let how = match (dropped, passed, probed) {
        (0, 0, _) => VerifiedHow::NoTraffic,
        (_, _, true) => VerifiedHow::Probe,
        (_, _, false) => VerifiedHow::DropCounters,
    };
    let (holds, text) = finding(block, dropped, passed, probed);
    VerifyLine {
        how,
        holds,
        text,
        dropped_packets: dropped,
        passed_packets: passed,
        ..before.clone()
    }
}

fn finding(block: &BlockLine, dropped: u64, passed: u64, probed: bool) -> (Option<bool>, String) {
    let packets = |count| counted(count, "packet");
    if !is_in_force(block) {
        return (None, format!("the block {}: it drops nothing", verb(&block.state)));
    }
    match (block.effect, dropped, passed) {
        (EffectWanted::Drop, 0, 0) if probed => {
            (None, "the probe passed no watched interface".to_owned())
        }
        (EffectWanted::Drop, 0, 0) => (None, "no matching packet passed".to_owned()),
        (EffectWanted::Drop, _, 0) => {
            (Some(true), format!("{} dropped, none passed", packets(dropped)))
        }
        (EffectWanted::Drop, ..) => {
            let passed = packets(passed);
            (
                Some(false),
                format!("{passed} passed: check for an exception with `detector explain ADDRESS`"),
            )
        }
        (EffectWanted::Police { .. }, 0, _) => (None, "no packet exceeded the rate".to_owned()),
        (EffectWanted::Police { .. }, ..) => {
            (Some(true), format!("{} beyond the rate dropped", packets(dropped)))
        }
        (EffectWanted::Mark { .. }, 0, _) => (None, "no outbound packet passed".to_owned()),
        (EffectWanted::Mark { .. }, ..) => (Some(true), format!("{} marked", packets(dropped))),
    }
}

/// `counts only`, `is suspended until …`.
fn verb(state: &BlockState) -> String {
    match state {
        BlockState::Suspended { .. } => format!("is {state}"),
        BlockState::InForce | BlockState::CountsOnly | BlockState::Unconfirmed { .. } => {
            state.to_string()
        }
    }
}

/// From where and to where a probe goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Way {
    from: Option<IpAddr>,
    to: SocketAddr,
}

/// None where this host is no end of what is blocked, or would have to take part in a connection.
fn way(target: &Target, own: &BTreeSet<Address>) -> Option<Way> {
    let discard = |to: Address, from| Some(Way { from, to: SocketAddr::new(to.ip(), DISCARD) });
    match target {
        Target::Flow { .. } => None,
        Target::Pair { home, destination } if own.contains(home) => {
            discard(*destination, Some(home.ip()))
        }
        Target::Pair { home, destination } if own.contains(destination) => {
            discard(*home, Some(destination.ip()))
        }
        Target::Pair { .. } => None,
        Target::Destination(network) => {
            let mut to = network.prefix().address;
            // The first address of a prefix may represent all of a network.
            to[15] |= u8::from(network.prefix().length < 128);
            if own.iter().any(|own| network.contains(*own)) {
                None
            } else {
                discard(to.into(), None)
            }
        }
        Target::Service { destination, .. } | Target::Host(destination)
            if own.contains(destination) =>
        {
            None
        }
        Target::Service { destination, port } => {
            Some(Way { from: None, to: SocketAddr::new(destination.ip(), *port) })
        }
        Target::Host(host) => discard(*host, None),
    }
}

impl Way {
    fn probe(self) -> anyhow::Result<()> {
        let any: IpAddr = if self.to.is_ipv4() { [0; 4].into() } else { [0; 16].into() };
        let socket = UdpSocket::bind((self.from.unwrap_or(any), 0)).context("failed to bind")?;
        for _ in 0..PROBES {
            socket.send_to(&[], self.to).context("failed to send")?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::commands::example::block;

    fn line(dropped_packets: u64, passed_packets: u64) -> VerifyLine {
        VerifyLine {
            number: 4,
            target: block().target,
            how: VerifiedHow::DropCounters,
            holds: None,
            dropped_packets,
            passed_packets,
            text: String::new(),
        }
    }

    #[test]
    fn findings_name_what_they_rest_on() {
        use VerifiedHow::{DropCounters, NoTraffic, Probe};
        let police = EffectWanted::Police { bytes_per_second: 1 };
        let mark = EffectWanted::Mark { dscp: 8 };
        let check = |effect, (dropped, passed), probed, how, holds, text: &str| {
            let blocks = [BlockLine { effect, ..block() }];
            let after = [line(100 + dropped, 50 + passed)];
            let scored = assess(&line(100, 50), &after, &blocks, probed);
            assert_eq!((scored.how, scored.holds), (how, holds), "{}", scored.text);
            assert_eq!((scored.dropped_packets, scored.passed_packets), (dropped, passed));
            assert!(scored.text.contains(text), "{}", scored.text);
        };
        let drop = EffectWanted::Drop;
        check(drop, (7, 0), false, DropCounters, Some(true), "7 packets dropped, none passed");
        check(drop, (3, 0), true, Probe, Some(true), "3 packets dropped");
        check(drop, (7, 1), false, DropCounters, Some(false), "1 packet passed");
        check(drop, (0, 3), true, Probe, Some(false), "3 packets passed");
        check(drop, (0, 0), true, NoTraffic, None, "no watched interface");
        check(drop, (0, 0), false, NoTraffic, None, "no matching packet");
        check(police, (2, 9), false, DropCounters, Some(true), "beyond the rate dropped");
        check(police, (0, 9), false, DropCounters, None, "no packet exceeded the rate");
        check(mark, (2, 0), true, Probe, Some(true), "2 packets marked");
        check(mark, (0, 4), false, DropCounters, None, "no outbound packet");
    }

    #[test]
    fn a_block_without_effect_has_no_verdict() {
        for (state, simulated, text) in [
            (BlockState::CountsOnly, true, "the block counts only: it drops nothing"),
            (
                BlockState::Suspended { until: "2027".into() },
                false,
                "the block is suspended until 2027: it drops nothing",
            ),
        ] {
            let blocks = [BlockLine { state, simulated, ..block() }];
            let scored = assess(&line(1, 1), &[line(1, 9)], &blocks, false);
            assert_eq!((scored.holds, scored.text.as_str()), (None, text));
            assert!(!is_probed(&blocks[0]));
        }
        let scored = assess(&line(1, 1), &[], &[block()], false);
        assert_eq!((scored.holds, scored.how), (None, VerifiedHow::NoTraffic));
    }

    #[test]
    fn what_passed_in_every_reading_has() {
        let lines = least(vec![line(5, 3)], &[line(9, 1)]);
        assert_eq!((lines[0].dropped_packets, lines[0].passed_packets), (9, 1));
        assert_eq!(seen(&line(5, 3), &lines), Some((4, 0)));
    }

    #[test]
    fn probes_go_where_this_host_is_an_end() {
        let own = ["10.0.0.7", "fd00::7"].map(|own| own.parse().unwrap()).into();
        let check = |target: &str, expected: Option<(Option<&str>, &str)>| {
            let expected = expected.map(|(from, to)| Way {
                from: from.map(|from| from.parse().unwrap()),
                to: to.parse().unwrap(),
            });
            assert_eq!(way(&target.parse().unwrap(), &own), expected, "{target}");
        };
        check("pair 10.0.0.7 192.0.2.1", Some((Some("10.0.0.7"), "192.0.2.1:9")));
        check("pair 192.0.2.1 10.0.0.7", Some((Some("10.0.0.7"), "192.0.2.1:9")));
        check("pair 10.0.0.8 192.0.2.1", None);
        check("destination 192.0.2.0/24", Some((None, "192.0.2.1:9")));
        check("destination 192.0.2.4", Some((None, "192.0.2.4:9")));
        check("destination 10.0.0.0/24", None);
        check("service [2001:db8::1]:443", Some((None, "[2001:db8::1]:443")));
        check("service [fd00::7]:443", None);
        check("host 10.0.0.8", Some((None, "10.0.0.8:9")));
        check("host 10.0.0.7", None);
        check("flow 6 10.0.0.7:1234 192.0.2.1:443", None);
    }
}
