//! How the forest and the rules become one score.
//!
//! Each is a witness with a probability of being right, and they are taken as independent:
//! `score = 1 − (1 − forest) × Π (1 − certainty)`. One sure witness is enough, two half sure ones
//! make up for each other, and a silent one changes nothing.

use super::rules::Found;

/// An alert that is open grows on while the score is within this share of the threshold: a theft
/// does not end because one checkpoint looks a little better.
const HYSTERESIS: f64 = 0.8;

/// What the rules leave open: 1 where all are silent, 0 where one is sure.
#[must_use]
pub fn doubt<'a>(found: impl IntoIterator<Item = &'a Found>) -> f64 {
    found.into_iter().map(|found| 1.0 - found.certainty).product()
}

/// Joins the forest's probability with the [`doubt`] that the rules leave. All of 0 to 1.
#[must_use]
pub fn join(forest: f64, doubt: f64) -> f64 {
    (1.0 - (1.0 - forest) * doubt).clamp(0.0, 1.0)
}

/// The score that speaks for an alert: the threshold, or less where one is open already.
#[must_use]
pub fn needed(threshold: f64, open: bool) -> f64 {
    if open { threshold * HYSTERESIS } else { threshold }
}

#[cfg(test)]
mod tests {
    use super::super::Technique;
    use super::*;

    #[test]
    fn witnesses_add_up() {
        let found =
            |certainty| Found { certainty, technique: Technique::BulkUpload, text: String::new() };
        let check = |forest, certainties: &[f64], expected: f64| {
            let found: Vec<Found> = certainties.iter().copied().map(found).collect();
            let score = join(forest, doubt(&found));
            assert!((score - expected).abs() < 1e-12, "{forest} {certainties:?}: {score}");
        };
        check(0.3, &[], 0.3);
        check(0.0, &[0.95], 0.95);
        check(0.5, &[0.5], 0.75);
        check(0.2, &[0.5, 0.5], 0.8);
        check(1.0, &[0.1], 1.0);
    }
}
