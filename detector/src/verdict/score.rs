//! How the forest and the rules become one score.
//!
//! Each is a witness with a probability of being right, and they are taken as independent:
//! `score = 1 − (1 − forest) × Π (1 − certainty)`. One sure witness is enough, two half sure ones
//! make up for each other, and a silent one changes nothing. What is a baseline of the host is no
//! news: the forest, which knows shapes and no baseline, then counts for less.

use super::rules::{Found, Rule};

/// What is left of the forest's probability where the host has long been doing the same: one alert
/// in ten is kept for the exfiltration that hides in a baseline.
const HABIT_SHARE: f64 = 0.1;

/// An alert that is open keeps growing while the score is within this share of the threshold: an
/// exfiltration does not end because one checkpoint looks a little better.
const HYSTERESIS: f64 = 0.8;

/// The joined witnesses, all 0 to 1.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Joined {
    pub score: f64,
    /// The score without rules that may not block alone.
    pub without_anomalies: f64,
    /// Product of the doubts that all rules leave.
    pub rules: f64,
}

/// Joins the forest's probability with what the rules found.
#[must_use]
pub fn join(forest: f64, found: &[(&Rule, Found)], baseline: bool) -> Joined {
    let doubt = |rules: &mut dyn Iterator<Item = &(&Rule, Found)>| {
        rules.fold(1.0, |doubt, (_, found)| doubt * (1.0 - found.certainty))
    };
    let rules = doubt(&mut found.iter());
    let sure = doubt(&mut found.iter().filter(|(rule, _)| rule.may_block));
    Joined {
        score: of_doubt(forest, rules, baseline),
        without_anomalies: of_doubt(forest, sure, baseline),
        rules,
    }
}

/// The score of a forest's probability and the rules' doubt.
#[must_use]
pub fn of_doubt(forest: f64, rules: f64, baseline: bool) -> f64 {
    let forest = if baseline { forest * HABIT_SHARE } else { forest };
    (1.0 - (1.0 - forest) * rules).clamp(0.0, 1.0)
}

/// The score that supports an alert: the threshold, or less where one is open already.
#[must_use]
pub fn needed(threshold: f64, open: bool) -> f64 {
    if open { threshold * HYSTERESIS } else { threshold }
}

#[cfg(test)]
mod tests {
    use super::super::Technique;
    use super::*;

    static SURE: Rule = Rule {
        name: "sure",
        meaning: "",
        source: "",
        may_block: true,
        excused_by_baseline: false,
        find: |_| None,
    };
    static ANOMALY: Rule = Rule {
        name: "anomaly",
        meaning: "",
        source: "",
        may_block: false,
        excused_by_baseline: false,
        find: |_| None,
    };

    #[test]
    fn witnesses_add_up() {
        let found = |rule: &'static Rule, certainty| {
            let text = String::new();
            (rule, Found { certainty, technique: Technique::BulkUpload, text })
        };
        let check = |forest, rules: &[(&'static Rule, f64)], baseline, expected: (f64, f64)| {
            let found: Vec<_> = rules.iter().map(|(rule, sure)| found(rule, *sure)).collect();
            let joined = join(forest, &found, baseline);
            let same = (joined.score - expected.0).abs() < 1e-12
                && (joined.without_anomalies - expected.1).abs() < 1e-12;
            assert!(same, "{forest} {joined:?}");
            assert_eq!(of_doubt(forest, joined.rules, baseline), joined.score);
        };
        check(0.3, &[], false, (0.3, 0.3));
        check(0.3, &[], true, (0.03, 0.03));
        check(0.0, &[(&SURE, 0.95)], false, (0.95, 0.95));
        check(0.5, &[(&SURE, 0.5)], false, (0.75, 0.75));
        check(0.5, &[(&ANOMALY, 0.5)], false, (0.75, 0.5));
        check(0.2, &[(&SURE, 0.5), (&ANOMALY, 0.5)], false, (0.8, 0.6));
        check(1.0, &[(&SURE, 0.1)], false, (1.0, 1.0));
    }
}
