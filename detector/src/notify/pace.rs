//! A channel's rate: a bucket that fills evenly and holds a minute's worth.

use std::num::NonZeroU32;

const MINUTE_NS: f64 = 60e9;

/// How many messages may go out now.
#[derive(Clone, Debug)]
pub(super) struct Pace {
    capacity: f64,
    available: f64,
    at_ns: u64,
}

impl Pace {
    pub(super) fn new(per_minute: NonZeroU32, now_ns: u64) -> Self {
        let capacity = f64::from(per_minute.get());
        Self { capacity, available: capacity, at_ns: now_ns }
    }

    /// Messages that may go out at `now_ns`.
    pub(super) fn available(&mut self, now_ns: u64) -> u64 {
        // A clock that was set back fills nothing.
        let passed = now_ns.saturating_sub(self.at_ns) as f64;
        self.at_ns = now_ns;
        self.available = (self.available + passed / MINUTE_NS * self.capacity).min(self.capacity);
        // Sums of fractions fall a little short of whole messages.
        (self.available + 1e-9) as u64
    }

    /// Takes one message's share, if there is one.
    pub(super) fn take(&mut self, now_ns: u64) -> bool {
        let free = self.available(now_ns) > 0;
        if free {
            self.available -= 1.0;
        }
        free
    }

    pub(super) fn capacity(&self) -> u64 {
        self.capacity as u64
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_minute_has_so_many_and_no_more() {
        let secs = |secs: u64| secs * 1_000_000_000;
        let mut pace = Pace::new(NonZeroU32::new(6).unwrap(), secs(100));
        let mut taken = |at| (0..100).filter(|_| pace.take(secs(at))).count();
        assert_eq!([100, 100, 109, 110, 130, 1_000].map(&mut taken), [6, 0, 0, 1, 2, 6]);
        assert_eq!(taken(10), 0);
        assert_eq!(pace.capacity(), 6);
    }
}
