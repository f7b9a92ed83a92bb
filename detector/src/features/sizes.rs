//! How large things usually were: a histogram by doublings, in constant memory.

use serde::{Deserialize, Serialize};

/// Doublings that are distinguished: up to a tebibyte.
const BINS: usize = 41;

/// Sizes in bytes, as many as there were in each doubling.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Sizes {
    #[serde(with = "super::array")]
    bins: [u32; BINS],
    count: u32,
}

impl Default for Sizes {
    fn default() -> Self {
        Self { bins: [0; BINS], count: 0 }
    }
}

impl Sizes {
    pub(super) fn add(&mut self, bytes: u64) {
        if let Some(bin) = self.bins.get_mut(bin_of(bytes)) {
            *bin = bin.saturating_add(1);
            self.count = self.count.saturating_add(1);
        }
    }

    pub(super) fn count(&self) -> u32 {
        self.count
    }

    /// The upper end, in bytes, of the doubling that `share` of the sizes do not exceed; 1 without
    /// any.
    pub(super) fn quantile(&self, share: f64) -> f64 {
        let wanted = share * f64::from(self.count);
        let mut below = 0.0;
        for (bin, count) in self.bins.iter().enumerate() {
            below += f64::from(*count);
            if below >= wanted && *count != 0 {
                return (bin as f64).exp2();
            }
        }
        1.0
    }
}

/// Bin 0 holds 0 and 1, bin n what is above 2ⁿ⁻¹ and at most 2ⁿ.
fn bin_of(bytes: u64) -> usize {
    let bits = u64::BITS - bytes.saturating_sub(1).leading_zeros();
    (bits as usize).min(BINS - 1)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn quantiles_are_upper_ends_of_doublings() {
        let mut sizes = Sizes::default();
        assert_eq!((sizes.count(), sizes.quantile(0.99)), (0, 1.0));
        (0..99).for_each(|_| sizes.add(1_000));
        sizes.add(1 << 30);
        for (share, expected) in [(0.5, 1_024.0), (0.99, 1_024.0), (1.0, (1_u64 << 30) as f64)] {
            assert_eq!(sizes.quantile(share), expected, "{share}");
        }
        for (bytes, expected) in [(0, 0), (1, 0), (2, 1), (3, 2), (4, 2), (5, 3), (u64::MAX, 40)] {
            assert_eq!(bin_of(bytes), expected, "{bytes}");
        }
    }
}
