//! Numbers that look random and depend on their arguments alone: seeds for the parts of a forest,
//! an order for folds.
//!
//! Not for secrets.

/// The `number`-th output of SplitMix64 (Steele, Lea and Flood 2014) started at `seed`.
pub(super) fn mix(seed: u64, number: u64) -> u64 {
    let mut z = seed.wrapping_add(number.wrapping_add(1).wrapping_mul(0x9e37_79b9_7f4a_7c15));
    z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    z ^ (z >> 31)
}

/// The same as a fraction, from 0 up to but not including 1.
pub(super) fn fraction(seed: u64, number: u64) -> f64 {
    (mix(seed, number) >> 11) as f64 / (1_u64 << 53) as f64
}

#[cfg(test)]
mod tests {
    use super::{fraction, mix};

    #[test]
    fn equals_the_published_generator() {
        assert_eq!(mix(0, 0), 0xe220_a839_7b1d_cdaf);
        assert_eq!(mix(0, 1), 0x6e78_9e6a_a1b9_65f4);
    }

    #[test]
    fn fractions_stay_below_one() {
        assert!((0..1000).all(|number| (0.0..1.0).contains(&fraction(7, number))));
    }
}
