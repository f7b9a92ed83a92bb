//! The first payload bytes of the flows that were heard of last, for whoever looks at an alert.

use std::collections::{HashMap, VecDeque};

use bytes::Bytes;
use detector_common::flow::{Direction, FlowKey};
use foldhash::fast::RandomState;

use crate::flow::FlowView;
use crate::verdict::{PayloadSample, Way};

/// Flows whose payload samples are kept, and samples of each direction: at most 4 MiB.
const MAX_FLOWS: usize = 4_096;
const EACH_WAY: usize = 2;

/// A payload sample, copied once from the source's buffer. All alerts of its flow share it.
#[derive(Debug)]
struct Kept {
    direction: Direction,
    payload_bytes: u32,
    bytes: Bytes,
}

/// The oldest flow is forgotten first.
#[derive(Debug, Default)]
pub(super) struct KeptPayloads {
    flows: HashMap<FlowKey, Vec<Kept>, RandomState>,
    order: VecDeque<FlowKey>,
}

impl KeptPayloads {
    pub(super) fn keep(
        &mut self,
        flow: &FlowView,
        direction: Direction,
        payload_bytes: u32,
        bytes: &[u8],
    ) {
        if !self.flows.contains_key(&flow.key) {
            if self.order.len() >= MAX_FLOWS
                && let Some(oldest) = self.order.pop_front()
            {
                self.flows.remove(&oldest);
            }
            self.order.push_back(flow.key);
        }
        let kept = self.flows.entry(flow.key).or_default();
        if kept.iter().filter(|payload| payload.direction == direction).count() < EACH_WAY {
            kept.push(Kept { direction, payload_bytes, bytes: Bytes::copy_from_slice(bytes) });
        }
    }

    /// The payload samples of a flow in the order in which they came; `outbound` is the sender's
    /// direction.
    pub(super) fn of(&self, key: &FlowKey, outbound: Direction) -> Vec<PayloadSample> {
        let told = |kept: &Kept| PayloadSample {
            direction: if kept.direction == outbound { Way::Out } else { Way::In },
            first: kept.bytes.clone(),
            payload_bytes: kept.payload_bytes,
        };
        self.flows.get(key).map_or_else(Vec::new, |kept| kept.iter().map(told).collect())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn flow() -> FlowView {
        let key = FlowKey::default();
        let initiator = Direction::FromLow;
        FlowView { key, initiator, icmp: 0, first_seen_ns: 0, last_seen_ns: 0 }
    }

    #[test]
    fn alerts_of_a_flow_share_its_samples() {
        let mut kept = KeptPayloads::default();
        let (flow, up, down) = (flow(), Direction::FromLow, Direction::FromHigh);
        for (direction, bytes) in
            [(up, b"PUT /a"), (down, b"200 OK"), (up, b"PUT /b"), (up, b"PUT /c")]
        {
            kept.keep(&flow, direction, 600, bytes);
        }
        let first = kept.of(&flow.key, up);
        let said: Vec<_> = first.iter().map(|one| (one.direction, &one.first[..])).collect();
        assert_eq!(said, [(Way::Out, &b"PUT /a"[..]), (Way::In, b"200 OK"), (Way::Out, b"PUT /b")]);
        let second = kept.of(&flow.key, up);
        for (one, other) in first.iter().zip(&second) {
            assert_eq!(one.first.as_ptr(), other.first.as_ptr());
            assert_eq!(one.clone().first.as_ptr(), one.first.as_ptr());
        }
    }

    #[test]
    fn the_oldest_flow_makes_room() {
        let mut kept = KeptPayloads::default();
        let key = |number: u16| FlowKey { low_port: number.to_be_bytes(), ..FlowKey::default() };
        for number in 0..=u16::try_from(MAX_FLOWS).expect("few") {
            kept.keep(&FlowView { key: key(number), ..flow() }, Direction::FromLow, 1, b"x");
        }
        assert_eq!(kept.flows.len(), MAX_FLOWS);
        assert!(kept.of(&key(0), Direction::FromLow).is_empty());
        assert_eq!(kept.of(&key(1), Direction::FromLow).len(), 1);
    }
}
