//! The programs that `cargo xtask bench` measures the accounting against. Built with the feature `bench`
//! alone; the object that is shipped has none of them.

use aya_ebpf::bindings::{TC_ACT_UNSPEC, xdp_action};
use aya_ebpf::macros::{classifier, map, xdp};
use aya_ebpf::maps::Array;
use aya_ebpf::programs::{TcContext, XdpContext};
use detector_common::abi::Hook;
use detector_common::frame::LinkType;
use detector_common::parse::{Decapsulation, parse};

use crate::account::account;
use crate::frame::{Context, Linear, Skb};
use crate::stats::{self, Adding, Point, Variant};

/// Reads a frame and does nothing with it.
#[inline(always)]
fn parse_only<C: Context>(context: &C) {
    let Some(Point { packet, word, .. }) = stats::numbered(0) else { return };
    let frame = context.frame(word);
    if parse(&frame, LinkType::Ethernet, Decapsulation::default(), packet).is_err() {
        packet.segments = 0;
    }
}

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
    parse_only(&Linear(&context));
    xdp_action::XDP_PASS
}

#[classifier]
pub fn tc_parse(context: TcContext) -> i32 {
    parse_only(&Skb(&context));
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
    account::<Adding, _>(&Linear(&context), Hook::Ingress);
    xdp_action::XDP_DROP
}

/// Nothing but counting.
struct Counting;

impl Variant for Counting {
    const POLICY: bool = false;
    const FETCH: bool = false;

    #[inline(always)]
    fn fetch_add(_counter: &mut u64, _amount: u64) -> u64 {
        0
    }
}

/// Accounts every frame with the policy compiled out: what that costs a packet is the difference.
#[xdp]
pub fn xdp_account_nopolicy(context: XdpContext) -> u32 {
    account::<Counting, _>(&Linear(&context), Hook::Ingress);
    xdp_action::XDP_PASS
}

/// Entry 0: the position of the next packet. Entries from 1 on: which flow the packet at that
/// position belongs to. The bench gives it room and fills it; the agent leaves it at one entry.
#[map]
static SEQUENCE: Array<u32> = Array::with_max_entries(1, 0);

/// Positions in SEQUENCE, a power of two.
const POSITIONS: u32 = 1 << 20;

/// Where an IPv4 header without options has the lower half of the source address, and TCP its
/// source port, behind Ethernet.
const SOURCE_LOWER: usize = 14 + 14;
const SOURCE_PORT: usize = 14 + 20;

/// Accounts one frame as a packet of one flow after the other.
#[xdp]
pub fn xdp_many_account(context: XdpContext) -> u32 {
    next_flow(&context);
    account::<Adding, _>(&Linear(&context), Hook::Ingress);
    xdp_action::XDP_PASS
}

/// The same where the agent has just changed a map, each time: every packet asks the policy.
#[xdp]
pub fn xdp_many_decide(context: XdpContext) -> u32 {
    stats::control().generation += 1;
    next_flow(&context);
    account::<Adding, _>(&Linear(&context), Hook::Ingress);
    xdp_action::XDP_PASS
}

/// The same without the accounting: what the change of the frame costs.
#[xdp]
pub fn xdp_many_parse(context: XdpContext) -> u32 {
    next_flow(&context);
    parse_only(&Linear(&context));
    xdp_action::XDP_PASS
}

/// Sends the frame out of the device it came by. As a live frame it comes by where the bench says.
#[xdp]
pub fn xdp_send(_context: XdpContext) -> u32 {
    xdp_action::XDP_TX
}

/// Gives the frame the source of the flow that is next.
#[inline(always)]
fn next_flow(context: &XdpContext) {
    let Some(cursor) = SEQUENCE.get_ptr_mut(0) else { return };
    // SAFETY: the entry of an array map; the bench runs one program at a time.
    let position = unsafe { *cursor };
    // SAFETY: as above.
    unsafe { *cursor = (position + 1) & (POSITIONS - 1) };
    let Some(flow) = SEQUENCE.get(position + 1) else { return };
    let start = context.data();
    if start + SOURCE_PORT + 2 > context.data_end() {
        return;
    }
    // SAFETY: both places were just compared with the end of the packet.
    unsafe {
        *((start + SOURCE_LOWER) as *mut u16) = (*flow >> 16) as u16;
        *((start + SOURCE_PORT) as *mut u16) = *flow as u16;
    }
}
