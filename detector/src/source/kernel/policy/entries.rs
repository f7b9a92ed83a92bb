//! Orders and exceptions as the kernel's entries, and back.

use detector_common::FlowKey;
use detector_common::policy::{Entry, TargetKey};

use crate::flow::TimeBase;
use crate::network::{Address, Network};
use crate::response::{BlockSpec, Effect, Exception, Span, Target};
use crate::timestamp::Timestamp;

const SECOND_NS: i128 = 1_000_000_000;

/// The first tick at or after `time`: what ends then is not cut short.
pub(super) fn tick_from(base: &TimeBase, time: Timestamp) -> u64 {
    tick(base, time, SECOND_NS - 1)
}

/// The last tick at or before `time`: what begins now does not wait for the next.
fn tick_until(base: &TimeBase, time: Timestamp) -> u64 {
    tick(base, time, 0)
}

fn tick(base: &TimeBase, time: Timestamp, round: i128) -> u64 {
    if time == Timestamp::MAX {
        return u64::MAX;
    }
    let since_zero = i128::from(time.ns()) - i128::from(base.tick_zero_ns);
    let ticks = (since_zero * i128::from(base.ticks_per_second) + round).div_euclid(SECOND_NS);
    u64::try_from(ticks.max(0)).unwrap_or(u64::MAX)
}

fn time(base: &TimeBase, tick: u64) -> Timestamp {
    if tick == u64::MAX { Timestamp::MAX } else { base.time(tick) }
}

fn span(base: &TimeBase, entry: &Entry) -> Span {
    Span { from: time(base, entry.not_before), until: time(base, entry.deadline) }
}

/// The entry that represents an order.
pub(super) fn of_order(base: &TimeBase, order: &BlockSpec) -> Entry {
    let mut entry = Entry {
        not_before: tick_until(base, order.span.from),
        deadline: tick_from(base, order.span.until),
        reason: order.reason,
        ..Entry::default()
    };
    match order.effect {
        Effect::Drop => entry.action = Entry::DROP,
        Effect::Police { bytes_per_second, burst_bytes } => {
            entry.action = Entry::POLICE;
            (entry.bytes_per_second, entry.burst_bytes) = (bytes_per_second, burst_bytes);
        }
        Effect::Mark { dscp } => (entry.action, entry.dscp) = (Entry::MARK, dscp & 0x3f),
    }
    for (is, flag) in [
        (order.by_agent, Entry::BY_AGENT),
        (order.simulated, Entry::SIMULATED),
        (destination_is_low(&order.target), Entry::DESTINATION_LOW),
    ] {
        if is {
            entry.flags |= flag;
        }
    }
    if let Target::Destination(network) = order.target {
        entry.prefix_length = length(&network);
    }
    entry
}

/// The entry that represents an exception.
pub(super) fn of_exception(base: &TimeBase, exception: &Exception) -> Entry {
    Entry {
        not_before: tick_until(base, exception.span.from),
        deadline: tick_from(base, exception.span.until),
        action: Entry::NEVER,
        flags: if exception.as_destination { Entry::AS_DESTINATION } else { 0 },
        prefix_length: length(&exception.network),
        ..Entry::default()
    }
}

/// The order that an entry represents; none for one that is no order.
pub(super) fn order(base: &TimeBase, target: Target, entry: &Entry) -> Option<BlockSpec> {
    let effect = match entry.action {
        Entry::DROP => Effect::Drop,
        Entry::POLICE => Effect::Police {
            bytes_per_second: entry.bytes_per_second,
            burst_bytes: entry.burst_bytes,
        },
        Entry::MARK => Effect::Mark { dscp: entry.dscp },
        _ => return None,
    };
    Some(BlockSpec {
        target,
        effect,
        span: span(base, entry),
        by_agent: entry.flags & Entry::BY_AGENT != 0,
        simulated: entry.flags & Entry::SIMULATED != 0,
        reason: entry.reason,
    })
}

/// The exception that an entry represents; none for one that is no exception.
pub(super) fn exception(base: &TimeBase, network: Network, entry: &Entry) -> Option<Exception> {
    (entry.action == Entry::NEVER && entry.deadline != 0).then(|| Exception {
        network,
        as_destination: entry.flags & Entry::AS_DESTINATION != 0,
        span: span(base, entry),
    })
}

/// What a key of BLOCKS is about; none for a kind that this agent does not know.
pub(super) fn target(key: &TargetKey, entry: &Entry) -> Option<Target> {
    let low_receives = entry.flags & Entry::DESTINATION_LOW != 0;
    let (low, high) = (Address::from(key.low), Address::from(key.high));
    let (destination, home) = if low_receives { (low, high) } else { (high, low) };
    Some(match key.kind {
        TargetKey::FLOW => {
            let flow = FlowKey {
                low: key.low,
                high: key.high,
                low_port: key.low_port,
                high_port: key.high_port,
                protocol: key.protocol,
                ..FlowKey::default()
            };
            Target::Flow { key: flow, destination }
        }
        TargetKey::PAIR => Target::Pair { home, destination },
        TargetKey::SERVICE => {
            Target::Service { destination: low, port: u16::from_be_bytes(key.low_port) }
        }
        TargetKey::HOST => Target::Host(low),
        _ => return None,
    })
}

fn destination_is_low(target: &Target) -> bool {
    match target {
        // Where both ends are one address it does not matter.
        Target::Flow { key, destination } => key.low == destination.octets(),
        Target::Pair { home, destination } => destination < home,
        Target::Destination(_) | Target::Service { .. } | Target::Host(_) => false,
    }
}

fn length(network: &Network) -> u8 {
    // At most 128.
    network.prefix().length as u8
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    const BASE: TimeBase =
        TimeBase { ticks_per_second: 250, tick_zero_ns: 1_000_000_000_000_000_000 };

    fn at(tick: u64) -> Timestamp {
        Timestamp::from_ns(BASE.tick_zero_ns as u64 + tick * 4_000_000)
    }

    #[test]
    fn times_become_ticks() {
        let ns = Duration::from_nanos(1);
        for (time, until, from) in [
            (Timestamp::MAX, u64::MAX, u64::MAX),
            (Timestamp::EPOCH, 0, 0),
            (at(5), 5, 5),
            (at(5) + ns, 5, 6),
            (at(6) - ns, 5, 6),
        ] {
            assert_eq!((tick_until(&BASE, time), tick_from(&BASE, time)), (until, from), "{time}");
        }
    }

    #[test]
    fn orders_come_back_as_they_were() {
        // Both tick and grain begin at a multiple of 20 ms.
        let span = Span { from: at(5), until: at(1_000) };
        let forever = Span::until(Timestamp::MAX);
        let effects = [
            Effect::Drop,
            Effect::Police { bytes_per_second: 1_000, burst_bytes: 9_000 },
            Effect::Mark { dscp: 46 },
        ];
        for text in [
            "flow 6 10.0.0.7:1234 192.0.2.1:443",
            "flow 17 192.0.2.1:443 10.0.0.7:1234",
            "pair 10.0.0.7 192.0.2.1",
            "pair 192.0.2.1 10.0.0.7",
            "destination 192.0.2.0/24",
            "destination 2001:db8::1",
            "service [2001:db8::1]:443",
            "host 10.0.0.7",
        ] {
            let target: Target = text.parse().unwrap();
            for (by_agent, simulated) in [(false, false), (true, false), (false, true)] {
                for effect in effects {
                    for span in [span, forever] {
                        let expected =
                            BlockSpec { target, effect, span, by_agent, simulated, reason: 77 };
                        let entry = of_order(&BASE, &expected);
                        let read = match target.key() {
                            Some(key) => super::target(&key, &entry).unwrap(),
                            None => target,
                        };
                        let read = order(&BASE, read, &entry);
                        // Nothing is before the epoch.
                        let span = Span { from: span.from.max(at(0)), ..span };
                        assert_eq!(read, Some(BlockSpec { span, ..expected }));
                        assert_eq!(exception(&BASE, "::/0".parse().unwrap(), &entry), None);
                    }
                }
            }
        }
    }

    #[test]
    fn exceptions_come_back_as_they_were() {
        let network: Network = "192.0.2.0/24".parse().unwrap();
        let span = Span { from: at(5), until: Timestamp::MAX };
        for as_destination in [false, true] {
            let expected = Exception { network, as_destination, span };
            let entry = of_exception(&BASE, &expected);
            assert_eq!(entry.prefix_length, 120);
            assert_eq!(exception(&BASE, network, &entry), Some(expected));
            assert_eq!(order(&BASE, Target::Destination(network), &entry), None);
        }
        assert_eq!(exception(&BASE, network, &Entry::default()), None, "an empty place");
    }
}
