//! The first payload bytes of the flows that were heard of last, for whoever looks at an alert.

use std::collections::{HashMap, VecDeque};

use detector_common::flow::{Direction, FlowKey};
use foldhash::fast::RandomState;

use crate::flow::FlowView;
use crate::verdict::{PayloadSample, Way};

/// Flows whose payload samples are kept, and samples of each direction: at most 4 MiB.
const MAX_FLOWS: usize = 4_096;
const EACH_WAY: usize = 2;

#[derive(Debug)]
struct Kept {
    direction: Direction,
    payload_bytes: u32,
    bytes: Box<[u8]>,
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
            kept.push(Kept { direction, payload_bytes, bytes: bytes.into() });
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
