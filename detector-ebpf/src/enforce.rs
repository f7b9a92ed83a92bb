//! What the policy maps say about a flow. Consulted for a flow's first packet and after the agent
//! has changed a map; every other packet compares the word cached in its flow.

use aya_ebpf::macros::map;
use aya_ebpf::maps::HashMap;
use aya_ebpf::maps::lpm_trie::{Key, LpmTrie};
use detector_common::flow::{Add as _, FlowCounters, FlowKey};
use detector_common::policy::{Block, Cached, Decision};

use crate::stats::Xadd;

/// Key: prefix. Value: unused. Sources and destinations that no block may touch, both families.
#[map]
static NEVER_BLOCK: LpmTrie<[u8; 16], u32> =
    LpmTrie::with_max_entries(1024, aya_ebpf::bindings::BPF_F_NO_PREALLOC);

/// Key: prefix. Value: unused. The home networks, both families.
#[map]
static HOME: LpmTrie<[u8; 16], u32> =
    LpmTrie::with_max_entries(1024, aya_ebpf::bindings::BPF_F_NO_PREALLOC);

/// Key: flow. Value: deadline, reason, counters. A hash and not an LRU: a block is never evicted
/// in silence.
#[map]
static BLOCKS: HashMap<FlowKey, Block> = HashMap::with_max_entries(65_536, 0);

#[inline(always)]
fn contains(prefixes: &LpmTrie<[u8; 16], u32>, address: &[u8; 16]) -> bool {
    prefixes.get(&Key::new(128, *address)).is_some()
}

/// Which endpoints are home: the bits of [`FlowCounters::home`].
#[inline(never)]
pub(crate) fn home(key: &FlowKey) -> u8 {
    let mut home = 0;
    if contains(&HOME, &key.low) {
        home |= FlowCounters::HOME_LOW;
    }
    if contains(&HOME, &key.high) {
        home |= FlowCounters::HOME_HIGH;
    }
    home
}

/// The deadline of the block on a flow, or 0 where it may pass.
#[inline(never)]
pub(crate) fn blocked_until(key: &FlowKey, now: u64) -> u64 {
    // SAFETY: the entry is read once; a concurrent delete leaves its memory in place.
    let Some(block) = (unsafe { BLOCKS.get(key) }) else {
        return 0;
    };
    let deadline = block.deadline;
    if deadline <= now || contains(&NEVER_BLOCK, &key.low) || contains(&NEVER_BLOCK, &key.high) {
        return 0;
    }
    deadline
}

/// The word to cache and its deadline, under the generation read before the maps were.
#[inline(always)]
pub(crate) fn decide(key: &FlowKey, generation: u64, now: u64) -> (Cached, u64) {
    let deadline = blocked_until(key, now);
    let decision = if deadline == 0 { Decision::Pass } else { Decision::Drop };
    (Cached::new(decision, generation), deadline)
}

/// Adds a dropped packet to the counters of the block that dropped it.
#[inline(always)]
pub(crate) fn count_dropped(key: &FlowKey, packets: u32, bytes: u32) {
    if let Some(block) = BLOCKS.get_ptr_mut(key) {
        // SAFETY: a map value that stays in place; both counters have several writers.
        unsafe {
            Xadd::add(&mut (*block).packets, u64::from(packets));
            Xadd::add(&mut (*block).bytes, u64::from(bytes));
        }
    }
}
