//! Evidence of several kinds that adds up to one finding.
//!
//! Each piece has a weight, and from a sum of `needed` on there is a finding, the surer the more
//! there is. No one piece is enough by itself: each of them is seen in ordinary traffic, their
//! company is not.

use super::{Found, Technique};

/// How sure a finding is whose weights are just enough. None of the labelled captures' and the
/// laboratory's ordinary sessions has one; four right of five leaves room for what they lack.
const CERTAINTY_ENOUGH: f64 = 0.8;
/// No sum of circumstances is surer than this.
const CERTAINTY_MAX: f64 = 0.95;

/// Pieces of evidence that were found.
#[derive(Clone, Debug, Default)]
pub(super) struct Pieces {
    weight: f64,
    words: Vec<&'static str>,
}

impl Pieces {
    /// Adds a piece where it holds; a negative weight counts against.
    pub(super) fn add(&mut self, holds: bool, weight: f64, words: &'static str) {
        if holds {
            self.weight += weight;
            self.words.push(words);
        }
    }

    pub(super) fn weight(&self) -> f64 {
        self.weight
    }

    /// What the pieces amount to, from a sum of `needed` on.
    pub(super) fn found(self, needed: f64, technique: Technique, what: &str) -> Option<Found> {
        // Sums of tenths are not exact.
        if self.weight + 1e-9 < needed {
            return None;
        }
        let text = format!("{what}: {}", self.words.join(", "));
        let certainty = (CERTAINTY_ENOUGH * self.weight / needed).min(CERTAINTY_MAX);
        Some(Found { certainty, technique, text })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pieces_add_up() {
        let check = |weights: &[f64], expected: Option<f64>| {
            let mut pieces = Pieces::default();
            weights.iter().for_each(|weight| pieces.add(true, *weight, "a piece"));
            pieces.add(false, 1.0, "not there");
            let found = pieces.found(0.5, Technique::ClearUpload, "an upload");
            let certainty = found.map(|found| (found.certainty * 100.0).round() / 100.0);
            assert_eq!(certainty, expected, "{weights:?}");
        };
        check(&[], None);
        check(&[0.4], None);
        check(&[0.3, 0.2], Some(0.8));
        check(&[0.3, 0.25], Some(0.88));
        check(&[0.6, -0.3], None);
        check(&[0.9, 0.9], Some(0.95));
    }
}
