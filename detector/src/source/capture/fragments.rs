//! The ports of first fragments, for the later ones that do not carry them.

use std::collections::{HashMap, VecDeque};

use detector_common::abi::{FRAGMENT_SECONDS, FragmentKey, FragmentPorts, MAX_FRAGMENTS};
use detector_common::parse::{Fragment, Packet};

use super::TICKS_PER_SECOND;

/// First fragments, bounded as in the kernel; the oldest makes room.
#[derive(Debug, Default)]
pub(super) struct Fragments {
    ports: HashMap<FragmentKey, FragmentPorts>,
    order: VecDeque<(FragmentKey, u64)>,
    /// First fragments that had to make room.
    pub(super) forgotten: u64,
}

impl Fragments {
    /// Remembers a first fragment's ports and gives them to its later ones. False for a later one
    /// whose first is not known.
    pub(super) fn resolve(&mut self, packet: &mut Packet, now: u64) -> bool {
        let key = FragmentKey::of(packet);
        match packet.fragment {
            Fragment::None => true,
            Fragment::First => {
                self.remember(key, FragmentPorts::of(packet, now));
                true
            }
            Fragment::Later => {
                let known = self.ports.get(&key).copied();
                let Some(ports) = known.filter(|ports| is_fresh(ports, now)) else {
                    return false;
                };
                packet.key = packet.key.with_ports(
                    packet.direction,
                    ports.source_port,
                    ports.destination_port,
                );
                true
            }
        }
    }

    fn remember(&mut self, key: FragmentKey, ports: FragmentPorts) {
        while self.order.len() >= MAX_FRAGMENTS as usize {
            self.forget_oldest(ports.seen);
        }
        self.order.push_back((key, ports.seen));
        self.ports.insert(key, ports);
    }

    fn forget_oldest(&mut self, now: u64) {
        let Some((key, seen)) = self.order.pop_front() else {
            return;
        };
        // An identification that came again is younger than its place in the order.
        if self.ports.get(&key).is_some_and(|ports| ports.seen == seen)
            && let Some(ports) = self.ports.remove(&key)
        {
            self.forgotten += u64::from(is_fresh(&ports, now));
        }
    }
}

fn is_fresh(ports: &FragmentPorts, now: u64) -> bool {
    now.saturating_sub(ports.seen) <= FRAGMENT_SECONDS * TICKS_PER_SECOND
}
