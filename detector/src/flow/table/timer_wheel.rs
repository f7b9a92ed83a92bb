//! Timers by the second: a ring of buckets, looked at once each as time passes.
//!
//! A timer that is moved later is not moved in the ring; it is looked at when its old time comes
//! and put in again. So a packet costs nothing, and nothing is ever scanned in full. Times of
//! sources jump: a jump beyond the ring looks at every bucket once.

use super::slab::Handle;

/// Buckets in the ring: more than the longest ordinary timeout in seconds. A timer beyond that is
/// looked at early and put in again.
const BUCKETS: u64 = 512;

/// A set of slab entries, each due at some second.
#[derive(Debug)]
pub(crate) struct Wheel {
    buckets: Vec<Vec<Handle>>,
    /// All buckets before this second are empty.
    now_secs: u64,
}

impl Wheel {
    pub(crate) fn new() -> Self {
        Self { buckets: vec![Vec::new(); bucket(u64::MAX) + 1], now_secs: 0 }
    }

    /// Has `entry` looked at when `due_secs` begins, or as near to it as the ring reaches. Returns
    /// the second at which it will be.
    pub(crate) fn schedule(&mut self, due_secs: u64, entry: Handle) -> u64 {
        let due = due_secs.clamp(self.now_secs, self.now_secs + BUCKETS - 1);
        if let Some(entries) = self.buckets.get_mut(bucket(due)) {
            entries.push(entry);
        }
        due
    }

    /// Moves every timer due by `now_secs` into `due`, in order of time.
    pub(crate) fn advance(&mut self, now_secs: u64, due: &mut Vec<Handle>) {
        if now_secs < self.now_secs {
            return;
        }
        let steps = (now_secs - self.now_secs + 1).min(BUCKETS);
        for step in 0..steps {
            if let Some(entries) = self.buckets.get_mut(bucket(self.now_secs + step)) {
                // Its room goes back: in each bucket of the ring, it would add up.
                due.extend(std::mem::take(entries));
            }
        }
        self.now_secs = now_secs + 1;
    }

    /// The timer that comes next, taken out of the ring.
    pub(crate) fn pop_next(&mut self) -> Option<Handle> {
        (0..BUCKETS).find_map(|step| self.buckets.get_mut(bucket(self.now_secs + step))?.pop())
    }
}

fn bucket(second: u64) -> usize {
    usize::try_from(second % BUCKETS).unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::{Handle, Wheel};

    fn entry(slot: u32) -> Handle {
        Handle { slot, generation: 0 }
    }

    #[track_caller]
    fn check(wheel: &mut Wheel, now_secs: u64, expected: &[u32]) {
        let mut due = Vec::new();
        wheel.advance(now_secs, &mut due);
        let slots: Vec<u32> = due.iter().map(|entry| entry.slot).collect();
        assert_eq!(slots, expected, "at {now_secs}");
    }

    #[test]
    fn timers_come_due_in_order() {
        let mut wheel = Wheel::new();
        check(&mut wheel, 1_000_000_000, &[]);
        wheel.schedule(1_000_000_005, entry(5));
        wheel.schedule(1_000_000_003, entry(3));
        wheel.schedule(7, entry(0));
        check(&mut wheel, 1_000_000_001, &[0]);
        check(&mut wheel, 1_000_000_002, &[]);
        check(&mut wheel, 1_000_000_010, &[3, 5]);
        assert!(wheel.buckets.iter().all(|entries| entries.capacity() == 0), "room is kept");
    }

    #[test]
    fn jumps_and_far_timers_are_looked_at_once() {
        let mut wheel = Wheel::new();
        check(&mut wheel, 100, &[]);
        wheel.schedule(9_999, entry(1));
        wheel.schedule(200, entry(2));
        check(&mut wheel, 1_000_000, &[2, 1]);
        check(&mut wheel, 2_000_000, &[]);
        // Backwards: nothing happens.
        check(&mut wheel, 5, &[]);
    }

    #[test]
    fn the_next_timer_can_be_taken() {
        let mut wheel = Wheel::new();
        check(&mut wheel, 100, &[]);
        wheel.schedule(300, entry(1));
        wheel.schedule(200, entry(2));
        assert_eq!(wheel.pop_next(), Some(entry(2)));
        assert_eq!(wheel.pop_next(), Some(entry(1)));
        assert_eq!(wheel.pop_next(), None);
    }
}
