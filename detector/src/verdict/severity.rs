//! How bad an alert is: by what has left, and by how sure the score is.

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

/// A closed list, in rising order.
#[derive(
    Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, ToSchema,
)]
#[serde(rename_all = "snake_case")]
pub enum Severity {
    #[default]
    Low,
    Medium,
    High,
    Critical,
}

/// Payload bytes at which the severity rises by itself: a password file, a mailbox, a database.
const STEPS: [u64; 3] = [64 << 10, 4 << 20, 256 << 20];

impl Severity {
    pub const ALL: [Self; 4] = [Self::Low, Self::Medium, Self::High, Self::Critical];

    /// One step for each size passed, and one for a score in the upper half above the threshold.
    #[must_use]
    pub fn of(payload_bytes: u64, score: f64, threshold: f64) -> Self {
        let size = STEPS.iter().filter(|step| payload_bytes >= **step).count();
        let sure = usize::from(score >= threshold + (1.0 - threshold) / 2.0);
        Self::ALL[(size + sure).min(Self::ALL.len() - 1)]
    }

    /// 0 to 3.
    #[must_use]
    pub fn rank(self) -> u8 {
        self as u8
    }

    /// The severity of a rank; the highest where there is none.
    #[must_use]
    pub fn of_rank(rank: u8) -> Self {
        Self::ALL.get(usize::from(rank)).copied().unwrap_or(Self::Critical)
    }

    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Low => "low",
            Self::Medium => "medium",
            Self::High => "high",
            Self::Critical => "critical",
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bytes_and_certainty_raise_it() {
        let check = |payload: u64, score: f64, expected: &str| {
            assert_eq!(Severity::of(payload, score, 0.6).name(), expected, "{payload} {score}");
        };
        check(100, 0.6, "low");
        check(100, 0.8, "medium");
        check(64 << 10, 0.7, "medium");
        check(5 << 20, 0.7, "high");
        check(5 << 20, 0.9, "critical");
        check(1 << 40, 1.0, "critical");
    }
}
