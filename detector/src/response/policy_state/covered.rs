//! Which block an alert's flow meets, whoever placed it.

use detector_common::FlowKey;

use super::{ActiveBlock, PolicyState};
use crate::network::{Address, Network};
use crate::response::enforcer::{Effect, EntryNumber};
use crate::response::mode::Mode;
use crate::response::target::Target;
use crate::timestamp::Timestamp;

/// The flow that an alert is about, as its sender sees it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct FlaggedFlow {
    pub src: Address,
    pub dst: Address,
    /// None where the protocol has none.
    pub dst_port: Option<u16>,
    pub flow: FlowKey,
}

impl FlaggedFlow {
    /// The targets that name this flow, but for wider networks of its destination.
    fn targets(&self) -> impl Iterator<Item = Target> {
        let Self { src, dst, dst_port, flow } = *self;
        let service = dst_port.map(|port| Target::Service { destination: dst, port });
        let exact = [
            Target::Flow { key: flow, destination: dst },
            Target::Pair { home: src, destination: dst },
            Target::Destination(Network::of(dst)),
            Target::Host(src),
            Target::Host(dst),
        ];
        exact.into_iter().chain(service)
    }

    /// Whether a block of this target covers it.
    #[must_use]
    pub fn is_covered(&self, target: &Target) -> bool {
        match target {
            Target::Destination(network) => network.contains(self.dst),
            target => self.targets().any(|own| own.identity() == target.identity()),
        }
    }
}

impl PolicyState {
    /// The first block of the flagged flow that is `meant`: those that name it, then those of wider
    /// networks.
    pub(super) fn find_block(
        &self,
        flagged: &FlaggedFlow,
        meant: impl Fn(&ActiveBlock) -> bool,
    ) -> Option<EntryNumber> {
        let is_meant = |number: &EntryNumber| self.blocks.get(number).is_some_and(&meant);
        let named = flagged.targets();
        named
            .filter_map(|target| self.numbers.get(&target.identity()).copied())
            .find(is_meant)
            .or_else(|| {
                let wider = |(_, standing): &(&EntryNumber, &ActiveBlock)| {
                    matches!(standing.order.target, Target::Destination(network)
                        if network.contains(flagged.dst))
                };
                self.blocks.iter().filter(wider).map(|(number, _)| *number).find(is_meant)
            })
    }

    /// The block that drops the flagged flow now.
    #[must_use]
    pub fn dropping(
        &self,
        flagged: &FlaggedFlow,
        now: Timestamp,
    ) -> Option<(EntryNumber, &ActiveBlock)> {
        let number = self.find_block(flagged, |standing| {
            let order = &standing.order;
            let acts = !order.simulated && (!order.by_agent || self.mode == Mode::Block);
            acts && order.effect == Effect::Drop && order.span.holds(now)
        })?;
        self.blocks.get(&number).map(|standing| (number, standing))
    }
}
