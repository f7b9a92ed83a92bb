//! Sums over the last minutes, hours and days, in bounded memory.

const MINUTE_NS: u64 = 60_000_000_000;
const HOUR_NS: u64 = 60 * MINUTE_NS;
const DAY_NS: u64 = 24 * HOUR_NS;

/// Sums that slide in steps of a minute, an hour and a day.
#[derive(Clone, Debug, Default)]
pub struct Windows {
    minutes: Ring<60, MINUTE_NS>,
    hours: Ring<24, HOUR_NS>,
    days: Ring<7, DAY_NS>,
}

impl Windows {
    pub(super) fn add(&mut self, bytes: u64, at_ns: u64) {
        self.minutes.add(bytes, at_ns);
        self.hours.add(bytes, at_ns);
        self.days.add(bytes, at_ns);
    }

    /// Of the last minutes, at most 60.
    #[must_use]
    pub fn minutes(&self, count: usize, now_ns: u64) -> u64 {
        self.minutes.sum(count, now_ns)
    }

    /// Of the last hours, at most 24.
    #[must_use]
    pub fn hours(&self, count: usize, now_ns: u64) -> u64 {
        self.hours.sum(count, now_ns)
    }

    /// Of the last days, at most 7.
    #[must_use]
    pub fn days(&self, count: usize, now_ns: u64) -> u64 {
        self.days.sum(count, now_ns)
    }
}

/// The last `N` steps, the one of `latest` included.
#[derive(Clone, Debug)]
struct Ring<const N: usize, const STEP_NS: u64> {
    sums: [u64; N],
    latest: u64,
}

impl<const N: usize, const STEP_NS: u64> Default for Ring<N, STEP_NS> {
    fn default() -> Self {
        Self { sums: [0; N], latest: 0 }
    }
}

impl<const N: usize, const STEP_NS: u64> Ring<N, STEP_NS> {
    fn add(&mut self, bytes: u64, at_ns: u64) {
        let step = at_ns / STEP_NS;
        let skipped = step.saturating_sub(self.latest).min(N as u64);
        for passed in 0..skipped {
            self.sums[((step - passed) % N as u64) as usize] = 0;
        }
        self.latest = self.latest.max(step);
        // What is older than the ring counts in no window.
        if self.latest - step < N as u64 {
            self.sums[(step % N as u64) as usize] += bytes;
        }
    }

    fn sum(&self, count: usize, now_ns: u64) -> u64 {
        let now = now_ns / STEP_NS;
        let first = now.saturating_sub((count.min(N) - 1) as u64);
        let oldest = self.latest.saturating_sub(N as u64 - 1);
        let steps = first.max(oldest)..=self.latest.min(now);
        steps.map(|step| self.sums[(step % N as u64) as usize]).sum()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sums_slide() {
        let mut windows = Windows::default();
        for minute in [0, 1, 59, 60, 3_000] {
            windows.add(1, minute * MINUTE_NS);
        }
        let at = |minute: u64| minute * MINUTE_NS;
        assert_eq!(windows.minutes(1, at(3_000)), 1);
        assert_eq!(windows.minutes(60, at(3_059)), 1);
        assert_eq!(windows.minutes(60, at(3_060)), 0);
        assert_eq!(windows.hours(24, at(3_000)), 1);
        assert_eq!(windows.days(7, at(3_000)), 5);
        assert_eq!(windows.days(1, at(3_000)), 1);
        assert_eq!(windows.days(7, at(3_000) + 7 * DAY_NS), 0);
        // Late by more than the window: in no sum.
        windows.add(9, at(0));
        assert_eq!(windows.minutes(60, at(3_000)), 1);
        assert_eq!(windows.days(7, at(3_000)), 14);
    }
}
