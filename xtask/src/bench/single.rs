//! One packet again and again through each program, and the first packets of flows.
//!
//! Where a flow lies in the hash map moves a figure by several nanoseconds: the object is loaded
//! again for every round. A packet counted by one observation point is a duplicate at another,
//! so each program gets a flow of its own.

use anyhow::Result;

use super::figures::Figures;
use super::kernel::{ACK, Bed, SYN, tcp, ticks_per_second};

/// Where the kernel puts a program's code moves an XDP figure by as much as ten: many loads.
const LOADS: u16 = 25;
/// Flows opened in a round.
const OPENED: u32 = 32_768;
const MAX_FLOWS: u32 = 262_144;
/// Of the frames: data in a small segment.
const PAYLOAD: usize = 128;

const XDP: [(&str, &str); 5] = [
    ("xdp_empty_ns", "xdp_empty"),
    ("xdp_parse_ns", "xdp_parse"),
    ("xdp_hit_ns", "xdp_ingress"),
    // The same with the policy compiled out.
    ("xdp_nopolicy_ns", "xdp_account_nopolicy"),
    // What is attached where the driver takes it.
    ("xdp_frags_hit_ns", "xdp_ingress_frags"),
];

const TC: [(&str, &str); 3] =
    [("tc_empty_ns", "tc_empty"), ("tc_parse_ns", "tc_parse"), ("tc_hit_ns", "tc_egress")];

/// What a kernel with additions that return the old value has attached.
const BUDGETED: &str = "tc_egress_fetch";

const MANY: [&str; 2] = ["xdp_many_parse", "xdp_many_account"];

pub(super) fn measure(figures: &mut Figures) -> Result<()> {
    let ticks = ticks_per_second()?;
    for load in 0..LOADS {
        let mut bed = Bed::load(MAX_FLOWS, ticks)?;
        XDP.iter().map(|(_, name)| *name).chain(MANY).try_for_each(|name| bed.load_xdp(name))?;
        TC.iter().try_for_each(|(_, name)| bed.load_tc(name))?;
        bed.load_tc(BUDGETED)?;
        measure_round(&mut bed, figures, 40_000 + 16 * load)?;
    }
    Ok(())
}

fn measure_round(bed: &mut Bed, figures: &mut Figures, port: u16) -> Result<()> {
    let mut parse = 0.0;
    for (own, (figure, program)) in (0..).zip(XDP) {
        let nanoseconds = bed.time_xdp(program, &tcp(port + own, ACK, PAYLOAD))?;
        figures.sample(figure, nanoseconds);
        if program == "xdp_parse" {
            parse = nanoseconds;
        }
    }
    for (own, (figure, program)) in (8..).zip(TC) {
        figures.sample(figure, bed.time_tc(program, &tcp(port + own, ACK, PAYLOAD))?);
    }
    bed.set_budgets(true)?;
    figures.sample("tc_hit_budget_ns", bed.time_tc(BUDGETED, &tcp(port + 15, ACK, PAYLOAD))?);
    bed.set_budgets(false)?;
    let syn = tcp(1, SYN, 0);
    // Beyond the first 65,536 numbers, which are those of the flows above.
    let opened = bed.open_flows(&syn, 1 << 16, OPENED)?;
    let rewrite = bed.walk("xdp_many_parse", &syn, OPENED)? - parse;
    figures.sample("xdp_insert_ns", opened - rewrite);
    Ok(())
}
