//! What `cargo xtask bench` measures the accounting against. Never attached by the agent.

use aya_ebpf::bindings::{TC_ACT_UNSPEC, xdp_action};
use aya_ebpf::macros::{classifier, xdp};
use aya_ebpf::programs::{TcContext, XdpContext};
use detector_common::abi::Hook;

use crate::account;
use crate::frame::{Linear, Skb};

/// The cost of being called.
#[xdp]
pub fn xdp_empty(_context: XdpContext) -> u32 {
    xdp_action::XDP_PASS
}

#[classifier]
pub fn tc_empty(_context: TcContext) -> i32 {
    TC_ACT_UNSPEC
}

/// The cost of being called and reading the frame.
#[xdp]
pub fn xdp_parse(context: XdpContext) -> u32 {
    account::parse_only(&Linear(&context));
    xdp_action::XDP_PASS
}

#[classifier]
pub fn tc_parse(context: TcContext) -> i32 {
    account::parse_only(&Skb(&context));
    TC_ACT_UNSPEC
}

/// Takes every frame off a device without a look.
#[xdp]
pub fn xdp_drop(_context: XdpContext) -> u32 {
    xdp_action::XDP_DROP
}

/// Accounts every frame and then takes it off, so that what is measured is the accounting and not
/// the network stack behind it.
#[xdp]
pub fn xdp_account_drop(context: XdpContext) -> u32 {
    account::account(&Linear(&context), Hook::Ingress);
    xdp_action::XDP_DROP
}
