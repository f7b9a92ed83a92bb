//! What a host may send to a destination before somebody has looked at it, kept and enforced here
//! so that it holds while the agent is stopped.

use core::mem::offset_of;

use aya_ebpf::bindings::BPF_NOEXIST;
use aya_ebpf::macros::map;
use aya_ebpf::maps::{Array, HashMap};
use detector_common::Packet;
use detector_common::abi::{BUDGET_RULES as RULES, Totals};
use detector_common::flow::{Add as _, Clock, Direction, FlowCounters, FlowKey};
use detector_common::frame::Frame as _;
use detector_common::policy::{Budget, BudgetKey, Mode, PortClass, budget_rule, is_private};

use crate::decide::home_class;
use crate::events;
use crate::frame::Context;
use crate::stats::{self, Point, Variant, Xadd};

/// Key: [`BudgetKey`]. Value: [`Budget`]. A hash and not an LRU: an evicted budget would begin
/// anew.
#[map]
static BUDGETS: HashMap<BudgetKey, Budget> = HashMap::with_max_entries(65_536, 0);

/// Key: [`budget_rule`]. Value: payload bytes; 0 for no budget.
#[map]
static BUDGET_RULES: Array<u64> = Array::with_max_entries(RULES, 0);

/// The budget that packets in `direction` draw on, which come from a home host.
///
/// The addresses are found by arithmetic. A branch would decide where in the key each of them is
/// written, and the verifier of Linux 5.15 does not see that either way both places are: "invalid
/// indirect read from stack".
#[inline(always)]
fn budget_of(key: &FlowKey, direction: Direction) -> BudgetKey {
    const { assert!(offset_of!(FlowKey, low) == 0 && offset_of!(FlowKey, high) == 16) };
    let direction = direction as u8;
    // SAFETY: a local variable. The compiler, which knows its two values, would make a branch of it.
    let home = usize::from(unsafe { core::ptr::read_volatile(&raw const direction) } & 1);
    let addresses = core::ptr::from_ref(key).cast::<[u8; 16]>();
    // SAFETY: a key begins with its two addresses.
    unsafe { BudgetKey { home: *addresses.add(home), destination: *addresses.add(home ^ 1) } }
}

/// A budget as it is when somebody sends for the first time.
#[inline(always)]
fn fresh(limit: u64, now: u64) -> Budget {
    Budget { limit, opened: now, ..Budget::default() }
}

/// Opens the budget of a flow of which one end, `home`, is home. False where there is none for it.
#[inline(never)]
pub(crate) fn open(key: &FlowKey, home: u8, clock: &Clock, totals: &mut Totals) -> bool {
    let outbound =
        if home == FlowCounters::HOME_LOW { Direction::FromLow } else { Direction::FromHigh };
    let budget = budget_of(key, outbound);
    let (_, port) = key.destination(outbound);
    let class = home_class(&budget);
    let ports = PortClass::of(key.protocol, port);
    let rule = budget_rule(class, ports, is_private(&budget.destination));
    let limit = match BUDGET_RULES.get(rule) {
        Some(limit) if *limit != 0 => *limit,
        _ => return false,
    };
    if BUDGETS.get_ptr(&budget).is_some() {
        return true;
    }
    match BUDGETS.insert(&budget, fresh(limit, clock.now), u64::from(BPF_NOEXIST)) {
        Ok(()) | Err(EEXIST) => true,
        Err(_) => {
            totals.budgets_refused += 1;
            false
        }
    }
}

/// Another processor was first.
const EEXIST: i32 = -17;

/// Charges an outbound packet with payload to its budget. False where it is held.
#[inline(never)]
pub(crate) fn charge<V: Variant>(packet: &Packet, now: u64, totals: &mut Totals) -> bool {
    let key = budget_of(&packet.key, packet.direction);
    let Some(budget) = BUDGETS.get_ptr_mut(&key) else { return true };
    // SAFETY: a value of a preallocated map stays in place; what has several writers is added to
    // atomically.
    let budget = unsafe { &mut *budget };
    let control = stats::control();
    let payload = u64::from(packet.payload_bytes);
    budget.last_seen = now;
    if take::<V>(budget, payload) {
        return true;
    }
    if budget.held_since == 0 {
        budget.held_since = now;
        events::budget(&packet.key, &key, budget.limit, now, totals);
    }
    if now.saturating_sub(budget.held_since) >= control.budget_hold_ticks {
        budget.limit = Budget::FREE;
        budget.timed_out = 1;
        totals.budgets_timed_out += 1;
        Xadd::add(&mut budget.charged, payload);
        return true;
    }
    if control.mode_at(now) != Mode::BLOCK {
        Xadd::add(&mut budget.charged, payload);
        stats::count(&mut totals.simulated, packet.segments, packet.ip_bytes);
        return true;
    }
    Xadd::add(&mut budget.held_packets, u64::from(packet.segments));
    Xadd::add(&mut budget.held_bytes, payload);
    stats::count(&mut totals.held, packet.segments, packet.ip_bytes);
    false
}

/// Charges what fits. Exact between processors where additions return the old value; else each
/// processor may be a packet late to see what the others have charged.
#[inline(always)]
fn take<V: Variant>(budget: &mut Budget, payload: u64) -> bool {
    let limit = budget.limit;
    if !V::FETCH {
        let fits = budget.charged.saturating_add(payload) <= limit;
        if fits {
            Xadd::add(&mut budget.charged, payload);
        }
        return fits;
    }
    // Looked at before anything is added: what a crowd of held packets adds for an instant would
    // otherwise hold a smaller one that fits.
    if budget.charged.saturating_add(payload) > limit {
        return false;
    }
    let before = V::fetch_add(&mut budget.charged, payload);
    let fits = before.saturating_add(payload) <= limit;
    if !fits {
        Xadd::add(&mut budget.charged, payload.wrapping_neg());
    }
    fits
}

/// Gives the budget whose key the frame begins with the limit that follows, and opens it where
/// nobody has sent yet. 0 where that is done.
#[inline(always)]
pub(crate) fn set<C: Context>(context: &C) -> i32 {
    let Some(Point { word, .. }) = stats::numbered(0) else { return 1 };
    let Some(words) = context.frame(word).load(0) else { return 1 };
    let (key, limit) = BudgetKey::with_limit(words);
    if let Some(budget) = BUDGETS.get_ptr_mut(&key) {
        // SAFETY: a value of a preallocated map stays in place, and each field is one store.
        unsafe {
            (*budget).limit = limit;
            (*budget).timed_out = 0;
            (*budget).held_since = 0;
        }
        return 0;
    }
    let now = stats::clock(stats::control()).now;
    i32::from(BUDGETS.insert(&key, fresh(limit, now), u64::from(BPF_NOEXIST)).is_err())
}
