//! How the forest and the rules become one score.
//!
//! Each is a witness with a probability of being right, and they are taken as independent:
//! `score = 1 − (1 − forest) × Π (1 − certainty)`. One sure witness is enough, two half sure ones
//! make up for each other, and a silent one changes nothing.

use super::rules::Found;

/// Joins the forest's probability with what the rules found. All of 0 to 1.
#[must_use]
pub fn join<'a>(forest: f64, found: impl IntoIterator<Item = &'a Found>) -> f64 {
    let doubt =
        found.into_iter().fold(1.0 - forest, |doubt, found| doubt * (1.0 - found.certainty));
    (1.0 - doubt).clamp(0.0, 1.0)
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
            let score = join(forest, &found);
            assert!((score - expected).abs() < 1e-12, "{forest} {certainties:?}: {score}");
        };
        check(0.3, &[], 0.3);
        check(0.0, &[0.95], 0.95);
        check(0.5, &[0.5], 0.75);
        check(0.2, &[0.5, 0.5], 0.8);
        check(1.0, &[0.1], 1.0);
    }
}
