//! The programs: XDP and tc ingress, tc egress, the one at options of sockets, and those that the agent
//! runs by hand.
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
#![expect(
    clippy::needless_borrows_for_generic_args,
    reason = "a key handed over by value is a copy more on a stack of 512 bytes"
)]

mod account;
mod budget;
mod bypass;
mod decide;
mod enforce;
mod entry_stats;
mod events;
mod frame;
#[cfg(feature = "bench")]
mod reference;
mod stats;
mod trace;

use aya_ebpf::bindings::xdp_action::{XDP_DROP, XDP_PASS};
use aya_ebpf::bindings::{TC_ACT_SHOT, TC_ACT_UNSPEC};
use aya_ebpf::macros::{cgroup_sockopt, classifier, xdp};
use aya_ebpf::programs::{SockoptContext, TcContext, XdpContext};
use detector_common::abi::Hook;
use detector_common::policy::Decision;

use crate::account::account;
use crate::frame::{Fragments, Linear, Skb};
use crate::stats::{Adding, Fetching};

/// XDP on frames that lie in one buffer.
#[xdp]
pub fn xdp_ingress(context: XdpContext) -> u32 {
    xdp_action(account::<Adding, _>(&Linear(&context), Hook::Ingress))
}

#[xdp]
pub fn xdp_ingress_fetch(context: XdpContext) -> u32 {
    xdp_action(account::<Fetching, _>(&Linear(&context), Hook::Ingress))
}

/// XDP on frames of several buffers: an MTU above one page.
#[xdp(frags)]
pub fn xdp_ingress_frags(context: XdpContext) -> u32 {
    xdp_action(account::<Adding, _>(&Fragments(&context), Hook::Ingress))
}

#[xdp(frags)]
pub fn xdp_ingress_frags_fetch(context: XdpContext) -> u32 {
    xdp_action(account::<Fetching, _>(&Fragments(&context), Hook::Ingress))
}

#[classifier]
pub fn tc_ingress(context: TcContext) -> i32 {
    tc_action(account::<Adding, _>(&Skb(&context), Hook::Ingress))
}

#[classifier]
pub fn tc_ingress_fetch(context: TcContext) -> i32 {
    tc_action(account::<Fetching, _>(&Skb(&context), Hook::Ingress))
}

#[classifier]
pub fn tc_egress(context: TcContext) -> i32 {
    tc_action(account::<Adding, _>(&Skb(&context), Hook::Egress))
}

#[classifier]
pub fn tc_egress_fetch(context: TcContext) -> i32 {
    tc_action(account::<Fetching, _>(&Skb(&context), Hook::Egress))
}

#[inline(always)]
fn xdp_action(decision: Decision) -> u32 {
    match decision {
        Decision::Pass | Decision::Mark(_) => XDP_PASS,
        Decision::Drop => XDP_DROP,
    }
}

#[inline(always)]
fn tc_action(decision: Decision) -> i32 {
    match decision {
        Decision::Pass | Decision::Mark(_) => TC_ACT_UNSPEC,
        Decision::Drop => TC_ACT_SHOT,
    }
}

/// Marks the flows whose keys make up the packet as closing. Run by the agent.
#[classifier]
pub fn close_flows(context: TcContext) -> i32 {
    account::close(&Skb(&context))
}

/// Deletes the flows whose keys make up the packet, where they are closing. Run by the agent.
#[classifier]
pub fn remove_flows(context: TcContext) -> i32 {
    account::remove(&Skb(&context))
}

/// Gives the budget whose key makes up the packet the limit behind it. Run by the agent.
#[classifier]
pub fn set_budget(context: TcContext) -> i32 {
    budget::set(&Skb(&context))
}

/// Reads both clocks into CLOCKS. Run by the agent.
#[classifier]
pub fn read_clocks(_context: TcContext) -> i32 {
    stats::read_clocks()
}

/// Sees who asks for a way past the programs.
#[cgroup_sockopt(setsockopt)]
pub fn see_options(context: SockoptContext) -> i32 {
    bypass::see::<true>(&context)
}

/// The same on kernels that do not say here which process it is.
#[cgroup_sockopt(setsockopt)]
pub fn see_options_nameless(context: SockoptContext) -> i32 {
    bypass::see::<false>(&context)
}

#[panic_handler]
fn panic(_: &core::panic::PanicInfo<'_>) -> ! {
    loop {}
}

#[unsafe(link_section = "license")]
#[unsafe(no_mangle)]
static LICENSE: [u8; 13] = *b"Dual MIT/GPL\0";
