//! Draws from a seed, one after the other.

use crate::model::random::fraction;

/// A sequence that its seed alone decides.
#[derive(Debug)]
pub(super) struct Draws {
    seed: u64,
    number: u64,
}

impl Draws {
    pub(super) fn new(seed: u64) -> Self {
        Self { seed, number: 0 }
    }

    /// From 0 up to but not including 1.
    pub(super) fn fraction(&mut self) -> f64 {
        self.number += 1;
        fraction(self.seed, self.number)
    }

    /// Whole, from 0 up to but not including `bound`, alike often.
    pub(super) fn below(&mut self, bound: u64) -> u64 {
        (self.fraction() * bound as f64) as u64
    }

    /// Whole, from `low` to `high`, alike often.
    pub(super) fn within(&mut self, (low, high): (u64, u64)) -> u64 {
        low + self.below(high - low + 1)
    }

    /// From `low` to `high`, each power of ten alike often.
    pub(super) fn spread(&mut self, (low, high): (f64, f64)) -> f64 {
        low * (high / low).powf(self.fraction())
    }

    /// One of some, alike often.
    pub(super) fn pick<T: Copy, const N: usize>(&mut self, of: &[T; N]) -> T {
        const { assert!(N > 0, "there is nothing to pick") };
        of[self.below(N as u64) as usize]
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bounds_are_kept_and_reached() {
        let mut draws = Draws::new(7);
        let whole: Vec<u64> = (0..1_000).map(|_| draws.within((3, 7))).collect();
        assert_eq!((whole.iter().min(), whole.iter().max()), (Some(&3), Some(&7)));
        let spread: Vec<f64> = (0..1_000).map(|_| draws.spread((10.0, 1_000.0))).collect();
        assert!(spread.iter().all(|value| (10.0..1_000.0).contains(value)));
        let below = spread.iter().filter(|value| **value < 100.0).count();
        assert!((450..550).contains(&below), "{below} of 1000 in the lower decade");
        assert!((0..1_000).all(|_| draws.pick(&[1, 2]) < 3));
    }
}
