//! What a host uploads of one kind in each hour of the day, weekdays and weekends apart.

use jiff::civil::Weekday;
use serde::{Deserialize, Serialize};

use crate::units;

const HOUR_NS: u64 = 3_600_000_000_000;
/// 24 hours of a weekday, 24 of a Saturday or Sunday.
pub(super) const SLOTS: usize = 48;
/// Latest values kept of each slot: more than a month of weekends, half a month of weekdays.
const KEPT: usize = 10;
/// Hours without upload that are filled in after a silence; two weeks.
const MAX_SILENCE: u64 = 14 * 24;
/// One doubling counts as a deviation where the past knows none: hours are never quite alike.
const MIN_DEVIATION: f64 = 1.0;
/// The median absolute deviation of a normal distribution is 0.6745 of its standard deviation.
const MAD_SCALE: f64 = 1.4826;

/// log2(1 + bytes) of past hours by slot. Memory: 2 kB.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(super) struct Hours {
    #[serde(with = "super::array::boxed")]
    slots: Box<[Slot; SLOTS]>,
    /// The hour that is being added up, and its bytes; none before the first.
    hour: Option<u64>,
    bytes: u64,
}

#[derive(Clone, Copy, Debug, Default, Serialize, Deserialize)]
struct Slot {
    values: [f32; KEPT],
    count: u32,
}

impl Default for Hours {
    fn default() -> Self {
        Self { slots: Box::new([Slot::default(); SLOTS]), hour: None, bytes: 0 }
    }
}

impl Hours {
    /// The slot of a moment, in UTC.
    pub(super) fn slot(now_ns: u64) -> usize {
        let time = units::civil(now_ns);
        let weekend = matches!(time.weekday(), Weekday::Saturday | Weekday::Sunday);
        usize::from(time.hour().unsigned_abs()) + if weekend { 24 } else { 0 }
    }

    /// Adds bytes to the hour of `now_ns`, and closes the hours before it.
    pub(super) fn add(&mut self, bytes: u64, now_ns: u64) {
        let hour = now_ns / HOUR_NS;
        match self.hour {
            Some(open) if hour > open => {
                self.close(open, self.bytes);
                let silent_from = (open + 1).max(hour.saturating_sub(MAX_SILENCE));
                for silent in silent_from..hour {
                    self.close(silent, 0);
                }
                self.bytes = 0;
                self.hour = Some(hour);
            }
            Some(_) => {}
            None => self.hour = Some(hour),
        }
        self.bytes += bytes;
    }

    fn close(&mut self, hour: u64, bytes: u64) {
        let slot = &mut self.slots[Self::slot(hour * HOUR_NS)];
        slot.values[slot.count as usize % KEPT] = log(bytes) as f32;
        slot.count = slot.count.wrapping_add(1);
    }

    /// How far `sent`, with what the hour has already, lies above the median of its slot.
    pub(super) fn deviation(&self, sent: u64, now_ns: u64) -> f32 {
        let so_far = if self.hour == Some(now_ns / HOUR_NS) { self.bytes } else { 0 };
        let slot = &self.slots[Self::slot(now_ns)];
        let kept = (slot.count as usize).min(KEPT);
        let mut values: Vec<f64> =
            slot.values.iter().take(kept).map(|value| f64::from(*value)).collect();
        let median = median(&mut values).unwrap_or(0.0);
        let mut deviations: Vec<f64> = values.iter().map(|value| (value - median).abs()).collect();
        let spread = MAD_SCALE * self::median(&mut deviations).unwrap_or(0.0);
        ((log(so_far + sent) - median) / spread.max(MIN_DEVIATION)) as f32
    }
}

fn log(bytes: u64) -> f64 {
    (bytes as f64 + 1.0).log2()
}

fn median(values: &mut [f64]) -> Option<f64> {
    values.sort_unstable_by(f64::total_cmp);
    let middle = values.len() / 2;
    let upper = *values.get(middle)?;
    let lower = if values.len().is_multiple_of(2) { *values.get(middle - 1)? } else { upper };
    Some(f64::midpoint(lower, upper))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn slots_tell_hours_and_weekends() {
        let check = |day: u64, hour: u64, expected: usize| {
            assert_eq!(Hours::slot((day * 24 + hour) * HOUR_NS), expected, "{day} {hour}");
        };
        check(0, 0, 0);
        check(1, 23, 23);
        check(2, 0, 24);
        check(3, 13, 37);
        check(4, 13, 13);
    }

    #[test]
    fn the_usual_hour_is_usual() {
        let mut hours = Hours::default();
        // A megabyte each night at two.
        for day in 4..32 {
            hours.add(1_000_000, (day * 24 + 2) * HOUR_NS);
        }
        let at = |hour: u64, sent| hours.deviation(sent, (32 * 24 + hour) * HOUR_NS);
        assert!(at(2, 1_000_000).abs() < 0.5);
        assert!((at(2, 16_000_000) - 4.0).abs() < 0.5);
        assert!(at(14, 1_000_000) > 15.0);
    }
}
