//! Which end of a flow began it (RFC 5103 section 4), from what its counters show.

use detector_common::flow::{Direction, FlowCounters, FlowKey};
use detector_common::parse::{protocol, tcp};

/// Ports above this are ephemeral on Linux (`ip_local_port_range`), and near it elsewhere.
const REGISTERED_PORT_MAX: u16 = 32_767;
const WELL_KNOWN_PORT_MAX: u16 = 1_023;

/// Ports at or above 1,024 on which servers listen, where the other port does not say
/// (IANA service names registry).
const SERVICES: [u16; 28] = [
    1194, 1433, 1521, 1812, 1883, 2049, 2375, 3128, 3268, 3306, 3389, 4500, 5060, 5061, 5222, 5353,
    5355, 5432, 5671, 5672, 5900, 6379, 8080, 8443, 8883, 9200, 27017, 51820,
];

/// The direction in which the initiator sends: by SYN, else SYN-ACK, whichever comes first in a capture, else ICMP echo, else the
/// well-known port as the responder's, else the flow's first packet.
#[must_use]
pub(super) fn initiator(key: &FlowKey, counters: &FlowCounters) -> Direction {
    let first = first_direction(counters);
    let told = match key.protocol {
        protocol::TCP => by_handshake(counters, first).or_else(|| by_port(key, true)),
        protocol::ICMP | protocol::ICMPV6 => by_echo(key.protocol, counters),
        _ => by_port(key, false),
    };
    told.unwrap_or(first)
}

/// The initiator of a flow of which only a payload in `direction` is known.
#[must_use]
pub(super) fn guess(key: &FlowKey, direction: Direction) -> Direction {
    by_port(key, key.protocol == protocol::TCP).unwrap_or(direction)
}

fn first_direction(counters: &FlowCounters) -> Direction {
    if counters.first_direction == Direction::FromHigh as u8 {
        Direction::FromHigh
    } else {
        Direction::FromLow
    }
}

fn by_handshake(counters: &FlowCounters, first: Direction) -> Option<Direction> {
    const SYN: u8 = tcp::SYN;
    const BOTH: u8 = tcp::SYN | tcp::ACK;
    let began = |direction| {
        let half = counters.half(direction);
        if half.packets == 0 { 0 } else { half.first_tcp_flags & BOTH }
    };
    match (began(Direction::FromLow), began(Direction::FromHigh)) {
        // Both ends opened at once (RFC 9293 section 3.5).
        (SYN, SYN) => Some(first),
        (SYN, _) | (_, BOTH) => Some(Direction::FromLow),
        (_, SYN) | (BOTH, _) => Some(Direction::FromHigh),
        _ => None,
    }
}

fn by_echo(number: u8, counters: &FlowCounters) -> Option<Direction> {
    let (request, reply) = match number {
        protocol::ICMP => (8, 0),
        _ => (128, 129),
    };
    [Direction::FromLow, Direction::FromHigh]
        .into_iter()
        .filter(|&direction| counters.half(direction).packets != 0)
        .find_map(|direction| {
            let [kind, _code] = counters.half(direction).icmp.to_be_bytes();
            if kind == request {
                Some(direction)
            } else if kind == reply && counters.half(direction.reverse()).packets == 0 {
                Some(direction.reverse())
            } else {
                None
            }
        })
}

/// The side with the ephemeral port, where only one of them is. Which of a registered and an
/// ephemeral port serves is asked for TCP alone, where a capture that begins in mid-connection
/// makes the first packet a coin toss; over UDP the first packet is the better witness.
fn by_port(key: &FlowKey, mid_connection: bool) -> Option<Direction> {
    let low = u16::from_be_bytes(key.low_port);
    let high = u16::from_be_bytes(key.high_port);
    if low == high {
        return None;
    }
    let mut marks: [fn(u16) -> bool; 3] = [
        |port| port <= WELL_KNOWN_PORT_MAX,
        |port| SERVICES.contains(&port),
        |port| port <= REGISTERED_PORT_MAX,
    ];
    if !mid_connection {
        marks[2] = marks[1];
    }
    marks.iter().find_map(|serves| match (serves(low), serves(high)) {
        (true, false) => Some(Direction::FromHigh),
        (false, true) => Some(Direction::FromLow),
        _ => None,
    })
}

#[cfg(test)]
mod tests {
    use detector_common::flow::{Direction, FlowCounters, FlowKey};

    use super::initiator;

    const SYN: u16 = 0x02;
    const ACK: u16 = 0x10;

    fn key(protocol: u8, low_port: u16, high_port: u16) -> FlowKey {
        FlowKey {
            low: [1; 16],
            high: [2; 16],
            low_port: low_port.to_be_bytes(),
            high_port: high_port.to_be_bytes(),
            protocol,
            padding: [0; 3],
        }
    }

    /// Packets and TCP flags (or ICMP type and code) of the low and of the high endpoint.
    fn counters(first: Direction, low: (u64, u16), high: (u64, u16)) -> FlowCounters {
        let mut counters = FlowCounters { first_direction: first as u8, ..FlowCounters::default() };
        for (half, (packets, word)) in counters.halves.iter_mut().zip([low, high]) {
            half.packets = packets;
            half.tcp_flags = word;
            half.first_tcp_flags = word as u8;
            half.icmp = word;
        }
        counters
    }

    #[track_caller]
    fn check(key: &FlowKey, counters: &FlowCounters, expected: Direction) {
        assert_eq!(initiator(key, counters), expected);
    }

    /// The flags of each end's first packet, whichever of them came first.
    #[test]
    fn the_handshake_tells() {
        let key = key(6, 443, 50_000);
        for first in [Direction::FromLow, Direction::FromHigh] {
            let check = |low: (u64, u16), high: (u64, u16), expected| {
                check(&key, &counters(first, low, high), expected);
            };
            check((3, SYN), (2, SYN | ACK), Direction::FromLow);
            check((3, SYN | ACK), (2, SYN), Direction::FromHigh);
            check((1, SYN), (0, 0), Direction::FromLow);
            check((0, 0), (1, SYN), Direction::FromHigh);
            // The answer alone: the one who answers did not begin.
            check((1, SYN | ACK), (0, 0), Direction::FromHigh);
            check((0, 0), (1, SYN | ACK), Direction::FromLow);
            check((1, SYN), (1, 0x14), Direction::FromLow);
            check((4, SYN | ACK), (4, ACK), Direction::FromHigh);
            check((4, ACK), (4, SYN | ACK), Direction::FromLow);
            check((1, SYN), (1, SYN), first);
        }
    }

    #[test]
    fn ports_tell_where_the_handshake_is_missing() {
        let middle = counters(Direction::FromLow, (4, ACK), (4, ACK));
        check(&key(6, 443, 50_000), &middle, Direction::FromHigh);
        check(&key(6, 50_000, 443), &middle, Direction::FromLow);
        check(&key(6, 9_999, 50_000), &middle, Direction::FromHigh);
        // Nothing to tell: the first packet.
        check(&key(6, 50_001, 50_000), &middle, Direction::FromLow);
        let reply = counters(Direction::FromHigh, (0, 0), (1, 0));
        check(&key(17, 40_000, 53), &reply, Direction::FromLow);
        check(&key(17, 6_881, 40_000), &reply, Direction::FromHigh);
        check(&key(17, 123, 123), &reply, Direction::FromHigh);
    }

    #[test]
    fn echo_requests_tell() {
        let echo = counters(Direction::FromLow, (1, 0), (1, 8 << 8));
        check(&key(1, 7, 7), &echo, Direction::FromHigh);
        let reply_only = counters(Direction::FromLow, (1, 0), (0, 0));
        check(&key(1, 7, 7), &reply_only, Direction::FromHigh);
        let unreachable = counters(Direction::FromHigh, (0, 0), (1, 3 << 8 | 3));
        check(&key(1, 0, 0), &unreachable, Direction::FromHigh);
    }
}
