//! Which time a record counts at: a clock for each interface, and a second look at what is far off.
//!
//! A record whose time is more than a minute from its neighbours' is held until the next ones tell.
//! Where they agree with it, the time is a new one; where they do not, the record is a stray, which
//! counts beside its neighbours. Pure: it sees times alone, and the records stay with the caller.

use super::TICKS_PER_SECOND;

/// Records further apart than this are not neighbours in time.
const NEAR: u64 = 60 * TICKS_PER_SECOND;
/// So many far records in a row are a new time.
const RUN: usize = 3;
/// Records without a time that wait for the first that has one.
const MAX_UNTIMED: usize = 16;
/// At the end of a capture nothing contradicts a last record from further ahead than a day.
const LAST_AHEAD: u64 = 86_400 * TICKS_PER_SECOND;

/// The clock of one interface of a section.
#[derive(Clone, Copy, Debug, Default)]
struct Clock {
    /// Ticks to add to its times.
    offset: i64,
    /// The latest of its times that was not far off.
    latest: Option<u64>,
    shifted: bool,
}

/// A record's time and where it came from.
#[derive(Clone, Copy, Debug)]
pub(super) struct Reading {
    pub(super) section: u32,
    pub(super) interface: u32,
    /// `None` where the format has none.
    pub(super) tick: Option<u64>,
}

/// What to do with a record.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Offer {
    /// It counts at this tick.
    At(u64),
    /// It counts at the time that it is.
    Now,
    /// Keep it, and go on.
    Hold,
    /// Let go of what is held, see [`Clocks::settle`], and offer this one again.
    Settle,
}

/// The clocks of a capture's interfaces.
#[derive(Debug, Default)]
pub(super) struct Clocks {
    section: u32,
    clocks: Vec<Clock>,
    held: Vec<Reading>,
    /// Where each held record counts, once that is known.
    settled: Vec<Offer>,
    started: bool,
    /// Records that counted beside their neighbours.
    pub(super) strays: u64,
    /// Records of formats or blocks that have no time.
    pub(super) untimed: u64,
    /// Interfaces whose clock was not that of the others.
    pub(super) own_clocks: u64,
}

impl Clocks {
    /// Looks at the next record while the time is `now`.
    #[inline]
    pub(super) fn offer(&mut self, now: u64, reading: Reading) -> Offer {
        if self.started
            && self.held.is_empty()
            && reading.section == self.section
            && let Some(tick) = reading.tick
            && let Some(clock) = self.clocks.get_mut(reading.interface as usize)
            && clock.offset == 0
            && tick.abs_diff(now) <= NEAR
        {
            clock.latest = Some(tick);
            return Offer::At(tick);
        }
        self.look(now, reading)
    }

    #[cold]
    fn look(&mut self, now: u64, reading: Reading) -> Offer {
        if reading.section != self.section {
            if !self.held.is_empty() {
                self.settle_all(now, reading);
                return Offer::Settle;
            }
            self.section = reading.section;
            self.clocks.clear();
        }
        let place = reading.interface as usize;
        if self.clocks.len() <= place {
            self.clocks.resize(place + 1, Clock::default());
        }
        let Some(tick) = reading.tick else { return self.untimed(reading) };
        if self.started {
            self.started_look(now, reading, tick)
        } else {
            self.first_look(reading, tick)
        }
    }

    fn untimed(&mut self, reading: Reading) -> Offer {
        if self.started || self.held.len() >= MAX_UNTIMED {
            self.untimed += 1;
            return Offer::Now;
        }
        self.held.push(reading);
        Offer::Hold
    }

    /// The time begins with the first two records that are neighbours.
    fn first_look(&mut self, reading: Reading, tick: u64) -> Offer {
        let earlier = || self.held.iter().filter_map(|held| held.tick);
        if earlier().count() == 0 {
            self.held.push(reading);
            return Offer::Hold;
        }
        let within = |most: u64| earlier().find(|earlier| earlier.abs_diff(tick) <= most);
        let near = within(NEAR);
        if near.is_none() && earlier().count() + 1 < RUN {
            self.held.push(reading);
            return Offer::Hold;
        }
        let start = near.or_else(|| within(LAST_AHEAD)).or_else(|| earlier().next());
        let start = start.unwrap_or(tick);
        self.start_at(start, Some(reading));
        Offer::Settle
    }

    /// Begins at `start`: what is near counts at its own time, and so does what follows in order.
    fn start_at(&mut self, start: u64, next: Option<Reading>) {
        self.started = true;
        let mut latest = start;
        let contradicted =
            next.and_then(|next| next.tick).is_some_and(|tick| tick.abs_diff(start) <= NEAR);
        for held in std::mem::take(&mut self.held) {
            let settled = match held.tick {
                None => {
                    self.untimed += 1;
                    Offer::At(latest)
                }
                Some(tick) if tick.abs_diff(start) <= NEAR => Offer::At(tick),
                Some(tick) if !contradicted && tick > latest && tick - latest <= LAST_AHEAD => {
                    Offer::At(tick)
                }
                Some(tick) => {
                    self.stray(held, tick, start, next);
                    Offer::At(latest)
                }
            };
            if let Offer::At(tick) = settled {
                latest = latest.max(tick);
            }
            if let (Some(tick), Some(clock)) =
                (held.tick, self.clocks.get_mut(held.interface as usize))
                && settled == Offer::At(tick)
            {
                clock.latest = Some(tick);
            }
            self.settled.push(settled);
        }
    }

    fn started_look(&mut self, now: u64, reading: Reading, tick: u64) -> Offer {
        let Some(&clock) = self.clocks.get(reading.interface as usize) else { return Offer::Now };
        let mapped = tick.saturating_add_signed(clock.offset);
        let unshifted = tick.abs_diff(now) <= NEAR;
        if unshifted || mapped.abs_diff(now) <= NEAR {
            if !self.held.is_empty() {
                self.settle_all(now, reading);
                return Offer::Settle;
            }
            let offset = if unshifted { 0 } else { clock.offset };
            self.learn(reading, offset, tick);
            return Offer::At(tick.saturating_add_signed(offset));
        }
        if self.held.is_empty() {
            // It goes on as it did; another interface's clock has moved the time.
            let goes_on = clock.latest.is_some_and(|latest| latest.abs_diff(tick) <= NEAR);
            if goes_on && self.clocks.len() > 1 {
                self.learn(reading, now.cast_signed() - tick.cast_signed(), tick);
                return Offer::Now;
            }
        } else if !self.continues(now, reading, tick) || self.held.len() + 1 >= RUN {
            self.settle_all(now, reading);
            return Offer::Settle;
        }
        self.held.push(reading);
        Offer::Hold
    }

    /// Whether a far record goes on where the held ones stopped.
    fn continues(&self, now: u64, reading: Reading, tick: u64) -> bool {
        self.held.last().is_some_and(|last| {
            let latest = last.tick.unwrap_or(now);
            last.interface == reading.interface
                && (latest > now) == (tick > now)
                && tick.saturating_add(NEAR) >= latest
        })
    }

    /// Says where each held record counts, now that `next` is known.
    fn settle_all(&mut self, now: u64, next: Reading) {
        if !self.started {
            let start = self.held.iter().find_map(|held| held.tick).unwrap_or(now);
            return self.start_at(start, None);
        }
        let tick = next.tick.unwrap_or(now);
        let is_new_time = next.section == self.section
            && self.held.len() + 1 >= RUN
            && self.continues(now, next, tick);
        if is_new_time { self.new_time(now) } else { self.strays(now, Some(next)) }
    }

    /// A run of far records. Back in time, on an interface that was not heard before while others
    /// were, it is that interface's clock.
    fn new_time(&mut self, now: u64) {
        let held = std::mem::take(&mut self.held);
        let Some(&Reading { interface, tick: Some(first), .. }) = held.first() else { return };
        let is_heard = |clock: &Clock| clock.latest.is_some();
        let others = self.clocks.iter().enumerate();
        let others = others.filter(|(place, _)| *place != interface as usize);
        let own_clock = first < now
            && !self.clocks.get(interface as usize).is_some_and(is_heard)
            && others.map(|(_, clock)| clock).any(is_heard);
        let offset = if own_clock { now.cast_signed() - first.cast_signed() } else { 0 };
        for reading in held {
            let tick = reading.tick.unwrap_or(first);
            self.learn(reading, offset, tick);
            self.settled.push(Offer::At(tick.saturating_add_signed(offset)));
        }
    }

    fn strays(&mut self, now: u64, next: Option<Reading>) {
        for held in std::mem::take(&mut self.held) {
            self.stray(held, held.tick.unwrap_or(now), now, next);
            self.settled.push(Offer::Now);
        }
    }

    /// A record that counts beside its neighbours. Another interface's, which was never near, tells
    /// how far its clock is off.
    fn stray(&mut self, held: Reading, tick: u64, now: u64, next: Option<Reading>) {
        let unheard =
            self.clocks.get(held.interface as usize).is_some_and(|clock| clock.latest.is_none());
        if unheard && next.is_some_and(|next| next.interface != held.interface) {
            self.learn(held, now.cast_signed() - tick.cast_signed(), tick);
            return;
        }
        self.strays += 1;
    }

    fn learn(&mut self, reading: Reading, offset: i64, tick: u64) {
        let Some(clock) = self.clocks.get_mut(reading.interface as usize) else { return };
        self.own_clocks += u64::from(offset != 0 && !clock.shifted);
        *clock = Clock { offset, latest: Some(tick), shifted: clock.shifted || offset != 0 };
    }

    /// The capture has ended: what is held is let go of.
    pub(super) fn end(&mut self, now: u64) {
        if !self.started {
            let start = self.held.iter().find_map(|held| held.tick).unwrap_or(now);
            return self.start_at(start, None);
        }
        let ahead =
            |held: &Reading| held.tick.is_some_and(|tick| tick > now && tick - now <= LAST_AHEAD);
        if self.held.iter().all(ahead) { self.new_time(now) } else { self.strays(now, None) }
    }

    /// Where the held records count, in their order.
    pub(super) fn settle(&mut self) -> Vec<Offer> {
        std::mem::take(&mut self.settled)
    }
}

#[cfg(test)]
mod tests {
    use super::{Clocks, Offer, Reading, TICKS_PER_SECOND};

    const NEVER: u64 = u64::MAX;

    /// Reads records of the given interfaces and seconds, as the capture reader does; gives the second
    /// at which each counts, in their order.
    fn placed(records: &[(u32, u64)]) -> (Vec<u64>, Clocks) {
        let (mut clocks, mut now) = (Clocks::default(), 0);
        let (mut places, mut held) = (vec![NEVER; records.len()], Vec::new());
        let mut place = |at: usize, offer: Offer, now: &mut u64| {
            if let Offer::At(tick) = offer {
                // The clock of the capture stands still for a small step back.
                *now = if tick + 60 * TICKS_PER_SECOND < *now { tick } else { tick.max(*now) };
            }
            places[at] = *now / TICKS_PER_SECOND;
        };
        for (at, &(interface, second)) in records.iter().enumerate() {
            let tick = (second != NEVER).then(|| second * TICKS_PER_SECOND);
            let reading = Reading { section: 0, interface, tick };
            loop {
                match clocks.offer(now, reading) {
                    Offer::Hold => held.push(at),
                    Offer::Settle => {
                        for (at, offer) in held.drain(..).zip(clocks.settle()) {
                            place(at, offer, &mut now);
                        }
                        continue;
                    }
                    offer => place(at, offer, &mut now),
                }
                break;
            }
        }
        clocks.end(now);
        for (at, offer) in held.drain(..).zip(clocks.settle()) {
            place(at, offer, &mut now);
        }
        (places, clocks)
    }

    #[track_caller]
    fn check(seconds: &[u64], expected: &[u64], strays: u64) {
        let records: Vec<_> = seconds.iter().map(|&second| (0, second)).collect();
        let (places, clocks) = placed(&records);
        assert_eq!((&places[..], clocks.strays), (expected, strays), "{seconds:?}");
    }

    const DAY: u64 = 86_400;
    const T: u64 = 1_700_000_000;

    #[test]
    fn a_stray_counts_beside_its_neighbours() {
        check(&[], &[], 0);
        check(&[T], &[T], 0);
        check(&[T, T + 1, T + 50], &[T, T + 1, T + 50], 0);
        // Zero, the future, minutes back: in the middle, two together, and apart.
        for stray in [0, T + 100 * DAY, T + 600, T - 600, u64::from(u32::MAX)] {
            check(&[T, T + 1, stray, T + 2], &[T, T + 1, T + 1, T + 2], 1);
            check(&[T, T + 1, stray, stray, T + 2], &[T, T + 1, T + 1, T + 1, T + 2], 2);
            check(
                &[T, T + 1, stray, T + 2, stray, T + 3],
                &[T, T + 1, T + 1, T + 2, T + 2, T + 3],
                2,
            );
            check(&[T, stray, T + 2], &[T, T, T + 2], 1);
            // The first one.
            check(&[stray, T, T + 1], &[T, T, T + 1], 1);
        }
        // The last one.
        check(&[T, T + 1, 0], &[T, T + 1, T + 1], 1);
        check(&[T, T + 1, T + 2 * DAY], &[T, T + 1, T + 1], 1);
        check(&[0, T, T + 100], &[T, T, T + 100], 1);
    }

    #[test]
    fn silence_is_no_stray() {
        check(&[T, T + 600], &[T, T + 600], 0);
        check(&[T, T + 1, T + 600], &[T, T + 1, T + 600], 0);
        let slow: Vec<u64> = (0..9).map(|number| T + number * 600).collect();
        check(&slow, &slow, 0);
        let slow: Vec<u64> = (0..9).map(|number| number * 3_600).collect();
        check(&slow, &slow, 0);
    }

    #[test]
    fn a_run_is_a_new_time() {
        let back = [T, T + 1, T - DAY, T - DAY + 1, T - DAY + 2, T - DAY + 3];
        check(&back, &back, 0);
        let ahead = [T, T + 1, T + DAY, T + DAY + 1, T + DAY + 70, T + DAY + 71];
        check(&ahead, &ahead, 0);
    }

    #[test]
    fn records_without_a_time_have_their_neighbours() {
        check(&[NEVER, NEVER, T, T + 1], &[T, T, T, T + 1], 0);
        check(&[T, T + 1, NEVER, T + 2], &[T, T + 1, T + 1, T + 2], 0);
        check(&[NEVER; 40], &[0; 40], 0);
        let (_, clocks) = placed(&[(0, NEVER), (0, T), (0, NEVER)]);
        assert_eq!(clocks.untimed, 2);
    }

    #[test]
    fn each_interface_has_a_clock() {
        let check = |records: &[(u32, u64)], expected: &[u64], own_clocks: u64| {
            let (places, clocks) = placed(records);
            assert_eq!((&places[..], clocks.strays), (expected, 0), "{records:?}");
            assert_eq!(clocks.own_clocks, own_clocks, "{records:?}");
        };
        let hour = 3_600;
        for other in [T - hour, T + hour, 5] {
            // Packet by packet, and one after the other.
            check(
                &[(0, T), (1, other), (0, T + 1), (1, other + 1), (0, T + 2), (1, other + 2)],
                &[T, T, T + 1, T + 1, T + 2, T + 2],
                1,
            );
        }
        let turns = [(0, T), (0, T + 1), (1, 5), (1, 6), (1, 7), (1, 8), (0, T + 5), (1, 10)];
        check(&turns, &[T, T + 1, T + 1, T + 2, T + 3, T + 4, T + 5, T + 6], 1);
        // Alike, and silent for an hour: the same clock.
        let late = [(0, T), (0, T + 1), (1, T + hour), (1, T + hour + 1), (1, T + hour + 2)];
        check(&late, &late.map(|(_, second)| second), 0);
    }

    #[test]
    fn a_new_section_has_new_clocks() {
        let mut clocks = Clocks::default();
        let mut offer = |section, tick| {
            let reading = Reading { section, interface: 0, tick: Some(tick) };
            clocks.offer(1_000_000, reading)
        };
        assert_eq!(offer(1, 1_000_000), Offer::Hold);
        assert_eq!(offer(1, 1_000_001), Offer::Settle);
        assert_eq!(offer(1, 1_000_001), Offer::At(1_000_001));
        assert_eq!(offer(2, 5), Offer::Hold);
        assert_eq!(offer(2, 6), Offer::Hold);
        assert_eq!(offer(2, 7), Offer::Settle);
        assert_eq!(clocks.settle()[1..], [Offer::At(5), Offer::At(6)]);
    }
}
