//! Who asks for a way past the programs: a packet socket without queueing discipline, which tc never
//! sees, and a ring of AF_XDP, which sends and receives beside both tc and XDP.
//!
//! Run at every setsockopt of the machine. It only looks: every option goes on to the kernel as it was.

use aya_ebpf::bindings::bpf_sockopt;
use aya_ebpf::helpers::generated::{
    bpf_get_current_cgroup_id, bpf_get_current_comm, bpf_get_current_pid_tgid,
    bpf_get_current_uid_gid, bpf_get_netns_cookie, bpf_jiffies64,
};
use aya_ebpf::macros::map;
use aya_ebpf::maps::{PerCpuArray, RingBuf};
use aya_ebpf::programs::SockoptContext;
use detector_common::abi::{Bypass, BypassEvent};
use detector_common::flow::Add as _;

use crate::stats::Xadd;

/// Records of [`BypassEvent`]. Apart from EVENTS, so that traffic cannot fill it.
#[map]
static BYPASS_EVENTS: RingBuf = RingBuf::with_byte_size(64 << 10, 0);

/// One entry: records that found no room.
#[map]
static BYPASSES_LOST: PerCpuArray<u64> = PerCpuArray::with_max_entries(1, 0);

/// The machine's page. Set before the programs are loaded.
#[unsafe(no_mangle)]
static PAGE_SIZE: u32 = 4096;

/// The network namespace whose sockets are meant; 0 for all. Set before the programs are loaded.
#[unsafe(no_mangle)]
static NETNS_COOKIE: u64 = 0;

// Of include/linux/socket.h and the headers of the two families.
const AF_PACKET: u32 = 17;
const AF_XDP: u32 = 44;
const SOL_PACKET: i32 = 263;
const SOL_XDP: i32 = 283;
const PACKET_QDISC_BYPASS: i32 = 20;
const XDP_RX_RING: i32 = 2;
const XDP_TX_RING: i32 = 3;

/// Lets every option through. `NAMED`: this kernel says which process it is, and whose socket.
#[inline(always)]
pub(crate) fn see<const NAMED: bool>(context: &SockoptContext) -> i32 {
    let option = context.sockopt;
    if let Some(bypass) = bypass(option) {
        report::<NAMED>(context, bypass);
    }
    // The kernel shows programs a page of a longer value, and takes that for the whole value unless the
    // length is 0: 5.10 would refuse the tables of iptables.
    // SAFETY: constants of the loaded program; the context's length may be read and written.
    unsafe {
        let page = core::ptr::read_volatile(&raw const PAGE_SIZE);
        let length = (*option).optlen;
        if length > 0 && length.cast_unsigned() > page {
            (*option).optlen = 0;
        }
    }
    1
}

/// The way past the programs that an option asks for, if it does.
#[inline(always)]
fn bypass(option: *const bpf_sockopt) -> Option<Bypass> {
    // SAFETY: the context of the program, whose socket is there for every option.
    let (level, name, family) = unsafe {
        let socket = (*option).__bindgen_anon_1.sk;
        if socket.is_null() {
            return None;
        }
        ((*option).level, (*option).optname, (*socket).family)
    };
    let bypass = match (level, name, family) {
        (SOL_PACKET, PACKET_QDISC_BYPASS, AF_PACKET) => Bypass::NoQueue,
        (SOL_XDP, XDP_RX_RING | XDP_TX_RING, AF_XDP) => Bypass::XdpRing,
        _ => return None,
    };
    // SAFETY: four bytes between the value's start and its end, as is checked; 0 turns the way off, or is
    // refused.
    let asks = unsafe {
        let value = (*option).__bindgen_anon_2.optval.cast::<u8>();
        let end = (*option).__bindgen_anon_3.optval_end.cast::<u8>();
        value.add(4) <= end && value.cast::<u32>().read_unaligned() != 0
    };
    asks.then_some(bypass)
}

#[inline(always)]
fn report<const NAMED: bool>(context: &SockoptContext, bypass: Bypass) {
    if NAMED {
        // SAFETY: a constant of the loaded program; the helper takes the context.
        let other = unsafe {
            let meant = core::ptr::read_volatile(&raw const NETNS_COOKIE);
            meant != 0 && bpf_get_netns_cookie(context.sockopt.cast()) != meant
        };
        if other {
            return;
        }
    }
    let Some(mut entry) = BYPASS_EVENTS.reserve::<BypassEvent>(0) else {
        if let Some(lost) = BYPASSES_LOST.get_ptr_mut(0) {
            // SAFETY: this processor's own entry.
            Xadd::add(unsafe { &mut *lost }, 1);
        }
        return;
    };
    let event = entry.as_mut_ptr();
    // SAFETY: the reserved record has the event's size and is written in full; the helpers read the
    // current process, and write as many bytes as the name has.
    unsafe {
        (*event).bypass = bypass as u32;
        (*event).uid = bpf_get_current_uid_gid() as u32;
        (*event).cgroup = bpf_get_current_cgroup_id();
        (*event).now = bpf_jiffies64();
        (*event).comm = [0; 16];
        (*event).named = u32::from(NAMED);
        if NAMED {
            (*event).pid = (bpf_get_current_pid_tgid() >> 32) as u32;
            bpf_get_current_comm((&raw mut (*event).comm).cast(), 16);
        } else {
            (*event).pid = 0;
        }
    }
    entry.submit(0);
}
