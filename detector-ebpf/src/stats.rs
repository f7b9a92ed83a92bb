//! Totals by observation point, the interfaces they belong to, the control word and the clocks.

use aya_ebpf::helpers::generated::{bpf_jiffies64, bpf_ktime_get_ns};
use aya_ebpf::macros::map;
use aya_ebpf::maps::{Array, PerCpuArray};
use detector_common::Clock;
use detector_common::abi::{
    Clocks, Control, Hook, INTERFACE_INDEX_SLOTS, Interface, MAX_INTERFACES, Totals,
    observation_point,
};
use detector_common::flow::Add;

/// Key: observation point. Value: [`Totals`]. Per processor, because every frame writes it and it
/// must cost nothing; the agent adds the processors up.
#[map]
static TOTALS: PerCpuArray<Totals> = PerCpuArray::with_max_entries(MAX_INTERFACES * 2, 0);

/// Key: the low 16 bits of an interface index. Value: its slot and link type. An array, because a
/// hash lookup per packet would cost a fifth of the whole program.
#[map]
static INTERFACES: Array<Interface> = Array::with_max_entries(INTERFACE_INDEX_SLOTS, 0);

/// One entry: what the agent tells the programs at run time.
#[map]
static CONTROL: Array<Control> = Array::with_max_entries(1, 0);

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

/// The entry of an attached interface.
#[inline(always)]
pub(crate) fn interface(index: u32) -> Option<Interface> {
    let interface = *INTERFACES.get(index & (INTERFACE_INDEX_SLOTS - 1))?;
    if interface.slot == 0 { None } else { Some(interface) }
}

/// This processor's totals for an interface's hook, and the observation point's number.
#[inline(always)]
pub(crate) fn totals(interface: Interface, hook: Hook) -> Option<(&'static mut Totals, u16)> {
    let point = observation_point(interface.slot - 1, hook);
    let totals = TOTALS.get_ptr_mut(u32::from(point))?;
    // SAFETY: this processor's own entry, and one program runs on it at a time.
    Some((unsafe { &mut *totals }, point))
}

#[inline(always)]
pub(crate) fn control() -> Option<&'static mut Control> {
    let control = CONTROL.get_ptr_mut(0)?;
    // SAFETY: the entry of an array map lives as long as the program.
    Some(unsafe { &mut *control })
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
