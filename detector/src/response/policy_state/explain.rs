//! Why traffic of an address is blocked, or is not.

use super::{ActiveBlock, PolicyState};
use crate::network::Address;
use crate::response::mode::Mode;
use crate::timestamp::Timestamp;

impl PolicyState {
    /// In words, the answer first: whether traffic of an address is blocked, and why or why not.
    #[must_use]
    pub fn explain(&self, address: Address, now: Timestamp) -> Vec<String> {
        let name = address.ip();
        let mut sentences = Vec::new();
        let mut blocked = false;
        let meant = self.blocks().filter(|(_, block)| block.order.target.concerns(address));
        for (number, standing) in meant {
            let ActiveBlock { order, by, why, .. } = standing;
            let state = if !order.span.holds(now) {
                "is suspended"
            } else if order.simulated || (order.by_agent && self.mode != Mode::Block) {
                "only counts"
            } else {
                blocked = true;
                "is active"
            };
            sentences.push(format!("block {number} ({}) {state}: by {by}, {why}", order.target));
        }
        for (network, number, source) in self.exceptions() {
            if network.contains(address) && source.span.holds(now) {
                let what = source.kind.name();
                sentences.push(format!(
                    "exception {number} ({}) exempts it: {what}, {}",
                    network.short(),
                    if source.why.is_empty() { "by construction" } else { &source.why }
                ));
            }
        }
        for ((src, dst), until) in self.releases() {
            if [*src, *dst].contains(&address) && until > now {
                let minutes = now.seconds_until(until).div_ceil(60);
                sentences.push(format!(
                    "an operator unblocked {} to {}: the agent does not block it for {minutes} min",
                    src, dst
                ));
            }
        }
        let answer = if blocked {
            format!("{name} is blocked, in part or whole")
        } else {
            format!("{name} is not blocked: no active block covers it")
        };
        sentences.insert(0, answer);
        sentences
    }
}
