//! The programs: XDP and tc ingress, tc egress, and two that the agent runs by hand.
//!
//! Each entry turns its context into a frame and the decision into a return code; everything
//! between is shared. A program never cuts traffic off but for a block whose time has not run out.
#![no_std]
#![no_main]
#![feature(core_intrinsics)]
#![expect(unreachable_pub, reason = "the macros that declare programs want their functions public")]
#![expect(
    internal_features,
    reason = "XADD, the only atomic that Linux 5.10 loads, is an intrinsic"
)]

mod account;
mod enforce;
mod events;
mod frame;
mod reference;
mod stats;

use aya_ebpf::bindings::{TC_ACT_SHOT, TC_ACT_UNSPEC, xdp_action};
use aya_ebpf::macros::{classifier, xdp};
use aya_ebpf::programs::{TcContext, XdpContext};
use detector_common::abi::Hook;
use detector_common::policy::Decision;

use crate::frame::{Fragments, Linear, Skb};

/// XDP on frames that lie in one buffer.
#[xdp]
pub fn xdp_ingress(context: XdpContext) -> u32 {
    match account::account(&Linear(&context), Hook::Ingress) {
        Decision::Pass => xdp_action::XDP_PASS,
        Decision::Drop => xdp_action::XDP_DROP,
    }
}

/// XDP on frames of several buffers: an MTU above one page.
#[xdp(frags)]
pub fn xdp_ingress_frags(context: XdpContext) -> u32 {
    match account::account(&Fragments(&context), Hook::Ingress) {
        Decision::Pass => xdp_action::XDP_PASS,
        Decision::Drop => xdp_action::XDP_DROP,
    }
}

#[classifier]
pub fn tc_ingress(context: TcContext) -> i32 {
    match account::account(&Skb(&context), Hook::Ingress) {
        Decision::Pass => TC_ACT_UNSPEC,
        Decision::Drop => TC_ACT_SHOT as i32,
    }
}

#[classifier]
pub fn tc_egress(context: TcContext) -> i32 {
    match account::account(&Skb(&context), Hook::Egress) {
        Decision::Pass => TC_ACT_UNSPEC,
        Decision::Drop => TC_ACT_SHOT as i32,
    }
}

/// Marks the flows whose keys make up the packet as closing. Run by the agent.
#[classifier]
pub fn close_flows(context: TcContext) -> i32 {
    account::close(&Skb(&context))
}

/// Reads both clocks into CLOCKS. Run by the agent.
#[classifier]
pub fn read_clocks(_context: TcContext) -> i32 {
    stats::read_clocks()
}

#[panic_handler]
fn panic(_: &core::panic::PanicInfo<'_>) -> ! {
    loop {}
}

#[unsafe(link_section = "license")]
#[unsafe(no_mangle)]
static LICENSE: [u8; 13] = *b"Dual MIT/GPL\0";
