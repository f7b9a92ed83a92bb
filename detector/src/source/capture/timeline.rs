//! Packet time as a clock: it never goes back, and where a capture does, it says so.
//!
//! Captures glued together jump by years either way. A small step back is a packet out of order:
//! the clock does not move. A large one is another capture: everything that was followed ends, and
//! the clock starts again.

use super::TICKS_PER_SECOND;

/// A step back by more than this is another capture, not a packet out of order.
const RESTART_SECS: u64 = 60;
/// A silence longer than this is a gap worth reporting.
const GAP_SECS: u64 = 300;

/// The clock, and what was odd about it.
#[derive(Debug, Default)]
pub(super) struct Timeline {
    /// The tick of the latest packet.
    pub(super) now: u64,
    started: bool,
    pub(super) first: Option<u64>,
    pub(super) last: Option<u64>,
    /// Packets older than one before them.
    pub(super) backwards: u64,
    /// Steps back by more than a minute.
    pub(super) restarts: u64,
    /// Silences of more than five minutes.
    pub(super) gaps: u64,
}

/// What a packet's time does to the clock.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Step {
    Same,
    /// A second began, or several.
    Second,
    /// The clock must be set back.
    Restart,
}

impl Timeline {
    /// Moves the clock to a packet's tick. After [`Step::Restart`] it has not moved: the caller
    /// ends what it follows and calls [`Timeline::restart`].
    #[inline]
    pub(super) fn step(&mut self, tick: u64) -> Step {
        if tick == self.now {
            return Step::Same;
        }
        if !self.started {
            self.start(tick);
            return Step::Second;
        }
        if tick < self.now {
            self.backwards += 1;
            return if self.now - tick > RESTART_SECS * TICKS_PER_SECOND {
                Step::Restart
            } else {
                Step::Same
            };
        }
        if tick - self.now > GAP_SECS * TICKS_PER_SECOND {
            self.gaps += 1;
        }
        let second = self.now / TICKS_PER_SECOND;
        self.now = tick;
        self.last = self.last.max(Some(tick));
        if tick / TICKS_PER_SECOND == second { Step::Same } else { Step::Second }
    }

    fn start(&mut self, tick: u64) {
        self.started = true;
        self.now = tick;
        self.first = self.first.map_or(Some(tick), |first| Some(first.min(tick)));
        self.last = self.last.max(Some(tick));
    }

    pub(super) fn restart(&mut self, tick: u64) {
        self.restarts += 1;
        self.start(tick);
    }
}

#[cfg(test)]
mod tests {
    use super::{Step, Timeline};

    #[test]
    fn the_clock_follows_packets_and_tells_what_is_odd() {
        let mut timeline = Timeline::default();
        assert_eq!(timeline.step(1_000), Step::Second);
        assert_eq!(timeline.step(1_000), Step::Same);
        assert_eq!(timeline.step(1_099), Step::Same);
        assert_eq!(timeline.step(1_100), Step::Second);
        // Out of order: does not move.
        assert_eq!(timeline.step(1_050), Step::Same);
        assert_eq!((timeline.now, timeline.backwards), (1_100, 1));
        assert_eq!(timeline.step(1_000_000), Step::Second);
        assert_eq!(timeline.gaps, 1);
        assert_eq!(timeline.step(500), Step::Restart);
        timeline.restart(500);
        assert_eq!((timeline.now, timeline.restarts), (500, 1));
        assert_eq!((timeline.first, timeline.last), (Some(500), Some(1_000_000)));
    }
}
