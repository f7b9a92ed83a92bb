//! Totals by observation point, the interfaces they belong to, the control word and the clocks.

use aya_ebpf::helpers::generated::{bpf_jiffies64, bpf_ktime_get_ns};
use aya_ebpf::macros::map;
use aya_ebpf::maps::{Array, PerCpuArray};
use detector_common::abi::{
    Clocks, Control, Count, Hook, INTERFACE_INDEX_SLOTS, Interface, MAX_INTERFACES, PointTotals,
    SCRATCH_WORDS, Totals, observation_point,
};
use detector_common::flow::{Add, Seen};
use detector_common::{Clock, Packet};

use crate::frame::Context;

/// Key: observation point. Value: [`PointTotals`]. Per processor, because every frame writes it and it
/// must cost nothing; the agent adds the processors up.
#[map]
static TOTALS: PerCpuArray<PointTotals> = PerCpuArray::with_max_entries(MAX_INTERFACES * 2, 0);

/// Key: the low 16 bits of an interface index. Value: its slot, link type and role. An array, because a
/// hash lookup per packet would cost a fifth of the whole program.
#[map]
static INTERFACES: Array<Interface> = Array::with_max_entries(INTERFACE_INDEX_SLOTS, 0);

/// What the agent tells the programs at run time: a global, which is an array map with one entry
/// and without the lookup.
#[unsafe(no_mangle)]
static mut CONTROL: Control = Control {
    generation: 0,
    full_until: 0,
    ticks_per_second: 0,
    first_payloads_per_second: 0,
    close_cursor: 0,
    targets: 0,
    mode: 0,
    mode_until: 0,
    mode_after: 0,
    budgets: 0,
    budget_hold_ticks: 0,
};

/// One entry: the result of `read_clocks`.
#[map]
static CLOCKS: Array<Clocks> = Array::with_max_entries(1, 0);

/// Atomic addition without a fetch: XADD, which every supported kernel loads.
pub(crate) struct Xadd;

impl Add for Xadd {
    #[inline(always)]
    fn add(counter: &mut u64, amount: u64) {
        // SAFETY: `counter` is a valid, aligned u64 in a map value. The result must stay unused:
        // a used one compiles to an instruction that 5.10 does not have.
        unsafe {
            core::intrinsics::atomic_xadd::<u64, u64, { core::intrinsics::AtomicOrdering::Relaxed }>(
                counter, amount,
            );
        }
    }
}

/// What a program is built with. The kernel's verifier sees each on its own, so that one object
/// holds what only newer kernels load.
pub(crate) trait Variant {
    /// Without it packets are counted and no more: what the rest costs is measured against that.
    const POLICY: bool;
    /// Additions that return the old value, from Linux 5.12 on.
    const FETCH: bool;

    /// Adds and returns what was there before. Not to be called without `FETCH`.
    fn fetch_add(counter: &mut u64, amount: u64) -> u64;
}

/// Additions without a fetch.
pub(crate) struct Adding;

impl Variant for Adding {
    const POLICY: bool = true;
    const FETCH: bool = false;

    #[inline(always)]
    fn fetch_add(_counter: &mut u64, _amount: u64) -> u64 {
        0
    }
}

/// Additions with a fetch.
pub(crate) struct Fetching;

impl Variant for Fetching {
    const POLICY: bool = true;
    const FETCH: bool = true;

    #[inline(always)]
    fn fetch_add(counter: &mut u64, amount: u64) -> u64 {
        // SAFETY: `counter` is a valid, aligned u64 in a map value. A weaker order compiles to code
        // that returns the amount.
        unsafe {
            core::intrinsics::atomic_xadd::<u64, u64, { core::intrinsics::AtomicOrdering::SeqCst }>(
                counter, amount,
            )
        }
    }
}

#[inline(always)]
pub(crate) fn count(counter: &mut Count, packets: u32, bytes: u32) {
    counter.packets += u64::from(packets);
    counter.bytes += u64::from(bytes);
}

/// The entry of an attached interface.
#[inline(always)]
pub(crate) fn interface(index: u32) -> Option<Interface> {
    let interface = *INTERFACES.get(index & (INTERFACE_INDEX_SLOTS - 1))?;
    if interface.slot == 0 || interface.index != index { None } else { Some(interface) }
}

/// Where a packet is seen on its way, at a hook of an attached interface; none where another device counts
/// all that passes the hook.
#[inline(always)]
pub(crate) fn seen<C: Context>(context: &C, interface: Interface, hook: Hook) -> Option<Seen> {
    if interface.role & Interface::COUNTS == 0 {
        return None;
    }
    if hook == Hook::Ingress {
        return Some(Seen::Received);
    }
    if interface.role & Interface::SEEN_BY_PEER != 0 {
        return None;
    }
    let from = context.received_by();
    if from == 0 {
        return Some(Seen::Sent);
    }
    match INTERFACES.get(from & (INTERFACE_INDEX_SLOTS - 1)) {
        Some(known) if known.index == from && known.role & Interface::COVERS != 0 => {
            Some(Seen::Forwarded)
        }
        _ => Some(Seen::Sent),
    }
}

/// What this processor keeps for one observation point while it accounts a packet.
pub(crate) struct Point {
    pub(crate) totals: &'static mut Totals,
    /// Where the packet is put. In a map for its size, and because the verifier does not follow
    /// what is in a map: all ways through the parser are one afterwards.
    pub(crate) packet: &'static mut Packet,
    /// A word to pass an offset through, see [`detector_common::Frame::forget`].
    pub(crate) word: *mut u32,
}

/// The observation point of an interface's hook.
#[inline(always)]
pub(crate) fn point(interface: Interface, hook: Hook) -> Option<Point> {
    numbered(observation_point(interface.slot - 1, hook))
}

#[inline(always)]
pub(crate) fn numbered(number: u16) -> Option<Point> {
    let value = TOTALS.get_ptr_mut(u32::from(number))?;
    // SAFETY: this processor's own entry, and one program runs on it at a time. The scratch has
    // room for a packet and, in its last word, an offset; a packet's enums hold what this program
    // wrote, or 0, which each of them has.
    unsafe {
        let scratch = &raw mut (*value).scratch;
        Some(Point {
            totals: &mut (*value).totals,
            packet: &mut *scratch.cast::<Packet>(),
            word: scratch.cast::<u64>().add(SCRATCH_WORDS - 1).cast::<u32>(),
        })
    }
}

#[expect(clippy::deref_addrof, reason = "a plain reference to a mutable global is refused")]
#[inline(always)]
pub(crate) fn control() -> &'static mut Control {
    // SAFETY: the global lives as long as the program. The agent and other processors write single
    // words of it, and reading an older one is as good.
    unsafe { &mut *(&raw mut CONTROL) }
}

#[inline(always)]
pub(crate) fn clock(control: &Control) -> Clock {
    // SAFETY: the helper takes no arguments.
    Clock { now: unsafe { bpf_jiffies64() }, ticks_per_second: control.ticks_per_second }
}

#[inline(always)]
pub(crate) fn read_clocks() -> i32 {
    if let Some(clocks) = CLOCKS.get_ptr_mut(0) {
        // SAFETY: the entry of an array map; the helpers take no arguments.
        unsafe {
            (*clocks).jiffies = bpf_jiffies64();
            (*clocks).monotonic_ns = bpf_ktime_get_ns();
        }
    }
    0
}
