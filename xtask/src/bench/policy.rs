//! What it costs to ask the policy maps, as a flow's first packet does, with none, a thousand and a
//! hundred thousand entries of all kinds in them.
//!
//! A bench program makes every packet ask: packets of many flows with and without the asking, and
//! the difference. Nothing covers the flows, as nothing covers most first packets.

use anyhow::Result;

use super::figures::{Figures, ROUNDS};
use super::kernel::{ACK, Bed, tcp, ticks_per_second};

/// The object is loaded again so many times.
const LOADS: usize = 3;
/// Flows that packets go to in turn: more than the processor's caches hold.
const FLOWS: u32 = 65_536;
const MAX_FLOWS: u32 = 262_144;

const CASES: [(&str, u32); 3] =
    [("policy_lookup_ns_0", 0), ("policy_lookup_ns_1k", 1_000), ("policy_lookup_ns_100k", 100_000)];

pub(super) fn measure(figures: &mut Figures) -> Result<()> {
    let ticks = ticks_per_second()?;
    let frame = tcp(1, ACK, 128);
    for _ in 0..LOADS {
        for (figure, entries) in CASES {
            let mut bed = Bed::load(MAX_FLOWS, ticks)?;
            ["xdp_many_account", "xdp_many_decide"]
                .into_iter()
                .try_for_each(|name| bed.load_xdp(name))?;
            bed.set_home(true)?;
            bed.fill_policy(entries)?;
            bed.open_flows(&frame, 0, FLOWS)?;
            for _ in 0..ROUNDS / LOADS {
                let asks = bed.walk("xdp_many_decide", &frame, FLOWS)?;
                // The first packet of each flow asks here, too: once more than it is counted.
                bed.walk("xdp_many_account", &frame, FLOWS)?;
                let knows = bed.walk("xdp_many_account", &frame, FLOWS)?;
                figures.sample(figure, asks - knows);
            }
        }
    }
    Ok(())
}
