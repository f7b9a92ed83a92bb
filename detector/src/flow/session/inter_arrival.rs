//! When a session's flows began: a program that calls home keeps a beat, people do not.

use crate::flow::observation::SECOND_NS;

/// Latest beginnings that are remembered; beyond it the oldest are forgotten.
const KEPT: usize = 32;
/// Flows that begin within this time are one beat: parallel connections.
const TOGETHER_NS: u64 = SECOND_NS / 2;

/// The latest beginnings of a session's flows, in the order in which they were heard of.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct InterArrival {
    starts_ns: [u64; KEPT],
    noted: u64,
}

/// How regular the intervals between beginnings are (the measures of RITA's beacon score, v5).
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct InterArrivalStats {
    /// Intervals looked at.
    pub intervals: u64,
    /// In seconds.
    pub median: f64,
    /// Median absolute deviation over the median: 0 where every interval is alike.
    pub deviation: f64,
    /// Bowley's skew without its sign: 0 where long and short intervals balance, at most 1.
    pub skew: f64,
}

impl InterArrival {
    #[must_use]
    pub fn new(first_ns: u64) -> Self {
        let mut inter_arrival = Self { starts_ns: [0; KEPT], noted: 0 };
        inter_arrival.note(first_ns);
        inter_arrival
    }

    /// Another flow began.
    pub fn note(&mut self, start_ns: u64) {
        let place = usize::try_from(self.noted % KEPT as u64).unwrap_or(0);
        if let Some(slot) = self.starts_ns.get_mut(place) {
            *slot = start_ns;
        }
        self.noted += 1;
    }

    /// What the beat is like; none below four intervals.
    #[must_use]
    pub fn stats(&self) -> Option<InterArrivalStats> {
        let kept = usize::try_from(self.noted).unwrap_or(KEPT).min(KEPT);
        let mut starts = self.starts_ns;
        let starts = starts.get_mut(..kept)?;
        starts.sort_unstable();
        let mut last = None;
        let mut intervals: Vec<f64> = Vec::with_capacity(kept);
        for &start in starts.iter() {
            match last {
                Some(earlier) if start - earlier < TOGETHER_NS => continue,
                Some(earlier) => intervals.push((start - earlier) as f64 / 1e9),
                None => {}
            }
            last = Some(start);
        }
        of_intervals(intervals)
    }
}

fn of_intervals(mut intervals: Vec<f64>) -> Option<InterArrivalStats> {
    if intervals.len() < 4 {
        return None;
    }
    intervals.sort_unstable_by(f64::total_cmp);
    let [low, median, high] = [0.25, 0.5, 0.75].map(|share| quantile(&intervals, share));
    let mut deviations: Vec<f64> = intervals.iter().map(|value| (value - median).abs()).collect();
    deviations.sort_unstable_by(f64::total_cmp);
    let spread = high - low;
    let skew = if spread > 0.0 { ((high + low - 2.0 * median) / spread).abs() } else { 0.0 };
    Some(InterArrivalStats {
        intervals: intervals.len() as u64,
        median,
        deviation: quantile(&deviations, 0.5) / median.max(f64::MIN_POSITIVE),
        skew,
    })
}

/// By linear interpolation between the sorted values; there is at least one.
fn quantile(sorted: &[f64], share: f64) -> f64 {
    let position = share * (sorted.len() - 1) as f64;
    let below = position.floor();
    let at = |place: f64| sorted.get(place as usize).copied().unwrap_or(0.0);
    let (lower, upper) = (at(below), at(position.ceil()));
    lower + (upper - lower) * (position - below)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn inter_arrival(seconds: &[f64]) -> InterArrival {
        let mut starts = seconds.iter().map(|at| (at * 1e9) as u64);
        let mut inter_arrival = InterArrival::new(starts.next().unwrap());
        starts.for_each(|start| inter_arrival.note(start));
        inter_arrival
    }

    #[test]
    fn a_beat_is_told_from_a_conversation() {
        let check = |seconds: &[f64], expected: Option<(f64, f64, f64)>| {
            let beat = inter_arrival(seconds).stats();
            let found = beat.map(|beat| (beat.median, beat.deviation, beat.skew));
            let close = |a: f64, b: f64| (a - b).abs() < 0.01;
            let same = match (found, expected) {
                (Some(a), Some(b)) => close(a.0, b.0) && close(a.1, b.1) && close(a.2, b.2),
                (None, None) => true,
                _ => false,
            };
            assert!(same, "{seconds:?}: {found:?}");
        };
        check(&[0.0, 10.0, 20.0, 30.0, 40.0], Some((10.0, 0.0, 0.0)));
        check(&[0.0, 9.0, 20.0, 29.0, 40.0], Some((10.0, 0.1, 0.0)));
        // Heard of in another order, and with a second connection beside each.
        check(&[20.0, 0.0, 0.1, 10.0, 10.2, 40.0, 30.0], Some((10.0, 0.0, 0.0)));
        check(&[0.0, 1.0, 2.0, 3.0, 60.0, 120.0], Some((1.0, 0.0, 1.0)));
        check(&[0.0, 10.0, 20.0], None);
    }

    #[test]
    fn the_oldest_beginnings_are_forgotten() {
        let mut inter_arrival = inter_arrival(&[0.0, 1_000.0, 5_000.0]);
        for beat in 0..40_u64 {
            inter_arrival.note((10_000 + beat * 60) * SECOND_NS);
        }
        let beat = inter_arrival.stats().unwrap();
        assert_eq!((beat.intervals, beat.median, beat.deviation), (31, 60.0, 0.0));
    }
}
