//! When things happen on a host's days: backups at two in the morning, office work from nine to six,
//! little at the weekend. Times only; what happens is clips.

use super::layout::{Clip, DAY_US, FIRST_DAY_US, HOUR_US, Placed};
use super::random::Random;

const NIGHT_HOUR: f64 = 2.0;
/// How late or early a nightly job starts.
const NIGHT_JITTER_H: f64 = 0.12;
const OFFICE_HOURS: (f64, f64) = (9.0, 18.0);
const WEEKEND_HOURS: (f64, f64) = (10.0, 22.0);
/// Neither anybody's night job nor anybody's office day.
const ODD_HOURS: (f64, f64) = (19.5, 23.0);
/// Clips of office work on a day; each has a slot of its own, so that none overlaps itself.
const ON_WORKDAYS: usize = 5;
const ON_WEEKENDS: usize = 2;

/// Clips with their times.
#[derive(Debug)]
pub(super) struct Calendar<'a> {
    random: &'a mut Random,
    pub(super) placed: Vec<Placed>,
}

impl<'a> Calendar<'a> {
    pub(super) fn new(random: &'a mut Random) -> Self {
        Self { random, placed: Vec::new() }
    }

    /// One of the nightly clips.
    pub(super) fn night(&mut self, day: u64, clips: &[Clip]) {
        let clip = *self.random.pick(clips);
        let hour = NIGHT_HOUR + self.random.uniform(-NIGHT_JITTER_H, NIGHT_JITTER_H);
        self.place(day, hour, clip);
    }

    /// A day's office work, or a weekend's little of it.
    pub(super) fn office(&mut self, day: u64, clips: &[Clip]) {
        let (hours, count) = if is_weekend(day) {
            (WEEKEND_HOURS, ON_WEEKENDS)
        } else {
            (OFFICE_HOURS, ON_WORKDAYS)
        };
        self.spread(day, hours, count, clips);
    }

    /// `count` clips between two hours, each in a slot of its own.
    pub(super) fn spread(&mut self, day: u64, hours: (f64, f64), count: usize, clips: &[Clip]) {
        let slot = (hours.1 - hours.0) / count as f64;
        for number in 0..count {
            let clip = *self.random.pick(clips);
            let hour = hours.0 + slot * (number as f64 + self.random.uniform(0.05, 0.85));
            self.place(day, hour, clip);
        }
    }

    /// Right after the nightly job, or in the evening.
    pub(super) fn theft(&mut self, day: u64, clip: Clip, usual_hour: bool) -> Placed {
        let hour = if usual_hour {
            NIGHT_HOUR + self.random.uniform(0.2, 0.5)
        } else {
            self.random.uniform(ODD_HOURS.0, ODD_HOURS.1)
        };
        self.place(day, hour, clip)
    }

    fn place(&mut self, day: u64, hour: f64, clip: Clip) -> Placed {
        let at_us = FIRST_DAY_US + day * DAY_US + (hour * HOUR_US as f64) as u64;
        let placed = Placed { clip, at_us };
        self.placed.push(placed);
        placed
    }
}

fn is_weekend(day: u64) -> bool {
    day % 7 >= 5
}

/// From the first clip to the midnight that begins `day`.
pub(super) fn seconds_until(day: u64, placed: &[Placed]) -> f64 {
    let first = placed.iter().map(|placed| placed.at_us).min().unwrap_or(FIRST_DAY_US);
    (FIRST_DAY_US + day * DAY_US).saturating_sub(first) as f64 / 1e6
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn days_have_their_hours() {
        let clips = [Clip { from_us: 0, until_us: 30_000_000 }, Clip { from_us: 40, until_us: 50 }];
        let mut random = Random::new(7, "calendar");
        for day in 0..14 {
            let mut calendar = Calendar::new(&mut random);
            calendar.night(day, &clips);
            calendar.office(day, &clips);
            let hours: Vec<f64> = calendar
                .placed
                .iter()
                .map(|placed| (placed.at_us - FIRST_DAY_US - day * DAY_US) as f64 / HOUR_US as f64)
                .collect();
            let expected = 1 + if day % 7 >= 5 { ON_WEEKENDS } else { ON_WORKDAYS };
            assert_eq!(hours.len(), expected, "day {day}");
            assert!((hours[0] - NIGHT_HOUR).abs() <= NIGHT_JITTER_H, "day {day} {hours:?}");
            assert!(hours.is_sorted() && hours[1] >= OFFICE_HOURS.0, "day {day} {hours:?}");
        }
    }
}
