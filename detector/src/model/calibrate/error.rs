//! How far probabilities are from what came true.

use serde::{Deserialize, Serialize};

/// Bins of the calibration error, as is usual (Guo et al. 2017 use 15 on far larger sets).
const BINS: usize = 10;

/// How far probabilities are from what came true.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Ece {
    /// Mean distance between a bin's probability and its share of positives, weighted by its count:
    /// the expected calibration error, 0 to 1.
    pub value: f64,
    /// Units looked at.
    pub n: usize,
    /// In order of the probability.
    pub bins: Vec<Bin>,
}

/// Units of about the same probability.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Bin {
    pub count: usize,
    /// Mean, 0 to 1.
    pub probability: f64,
    /// Positives over all, 0 to 1.
    pub share: f64,
}

/// The expected calibration error over ten bins of equal count; equal probabilities stay in one
/// bin, so that there may be fewer. None without units.
#[must_use]
pub fn ece(units: &[(f64, bool)]) -> Option<Ece> {
    let mut ordered = units.to_vec();
    ordered.sort_by(|a, b| a.0.total_cmp(&b.0));
    let mut bins = Vec::new();
    let (mut start, mut end) = (0, 0);
    for same in ordered.chunk_by(|a, b| a.0 == b.0) {
        end += same.len();
        if end * BINS >= (bins.len() + 1) * ordered.len() {
            bins.push(bin(&ordered[start..end]));
            start = end;
        }
    }
    let n = ordered.len();
    let gap = |bin: &Bin| (bin.probability - bin.share).abs() * bin.count as f64;
    let value = bins.iter().map(gap).sum::<f64>() / n as f64;
    (n > 0).then_some(Ece { value, n, bins })
}

fn bin(units: &[(f64, bool)]) -> Bin {
    let count = units.len() as f64;
    let positives = units.iter().filter(|(_, label)| *label).count() as f64;
    let probability = units.iter().map(|(probability, _)| probability).sum::<f64>() / count;
    Bin { count: units.len(), probability, share: positives / count }
}

/// Mean square of the distance between probability and truth (Brier 1950), 0 to 1. None without
/// units.
#[must_use]
pub fn brier(units: &[(f64, bool)]) -> Option<f64> {
    let square =
        |(probability, label): &(f64, bool)| (probability - f64::from(u8::from(*label))).powi(2);
    let sum = units.iter().map(square).sum::<f64>();
    (!units.is_empty()).then_some(sum / units.len() as f64)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn close(value: f64, expected: f64) {
        assert!((value - expected).abs() < 1e-9, "{value} is not {expected}");
    }

    #[test]
    fn errors_by_hand() {
        let units: Vec<(f64, bool)> =
            (0..20).map(|number| (f64::from(number / 2) / 10.0, number % 2 == 0)).collect();
        let ece = ece(&units).unwrap();
        assert_eq!((ece.n, ece.bins.len()), (20, 10));
        assert_eq!(ece.bins[2], Bin { count: 2, probability: 0.2, share: 0.5 });
        // Of 0.0 to 0.9 in steps of 0.1, the mean distance to 0.5.
        close(ece.value, 0.25);
        close(brier(&[(1.0, true), (0.5, false), (0.0, true)]).unwrap(), 1.25 / 3.0);
        assert_eq!((super::ece(&[]), brier(&[])), (None, None));
        // One bin where all are equal.
        assert_eq!(super::ece(&[(0.3, true); 7]).unwrap().bins.len(), 1);
    }
}
