//! Why compressed content was not read to its end, and how often that was so.

use std::error::Error;
use std::fmt;
use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

/// Why compressed content was not read to its end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Reason {
    MaxBytes,
    MaxRatio,
    Window,
    CutOff,
    Damaged,
}

impl Reason {
    pub const ALL: [Self; 5] =
        [Self::MaxBytes, Self::MaxRatio, Self::Window, Self::CutOff, Self::Damaged];

    /// Of its counter.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::MaxBytes => "decompression_beyond_max_bytes",
            Self::MaxRatio => "decompression_beyond_max_ratio",
            Self::Window => "decompression_window_too_large",
            Self::CutOff => "compressed_data_cut_off",
            Self::Damaged => "compressed_data_damaged",
        }
    }

    /// What the counter counts.
    #[must_use]
    pub fn text(self) -> &'static str {
        match self {
            Self::MaxBytes => "compressed files read up to decompression.max_bytes and no further",
            Self::MaxRatio => "compressed files read up to decompression.max_ratio and no further",
            Self::Window => "compressed files refused: they need a window of more than 128 MiB",
            Self::CutOff => "compressed files that end too early: read as far as they go",
            Self::Damaged => "compressed files that are damaged: read up to the damage",
        }
    }
}

/// The error that ends the reading.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Stop {
    pub reason: Reason,
    pub(super) text: String,
}

impl Stop {
    /// The one that `error` comes from, where it comes from one.
    #[must_use]
    pub fn of(error: &anyhow::Error) -> Option<&Self> {
        let mut inner = error.chain().filter_map(|cause| cause.downcast_ref::<io::Error>());
        inner.find_map(|error| error.get_ref()?.downcast_ref())
    }
}

impl fmt::Display for Stop {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(&self.text)
    }
}

impl Error for Stop {}

/// How often compressed content was not read to its end, by reason. Clones share the counters.
#[derive(Clone, Debug, Default)]
pub struct StopCounts(Arc<[AtomicU64; Reason::ALL.len()]>);

impl StopCounts {
    pub fn note(&self, reason: Reason) {
        self.0[reason as usize].fetch_add(1, Ordering::Relaxed);
    }

    /// All reasons, with their counts.
    pub fn counts(&self) -> impl Iterator<Item = (Reason, u64)> + '_ {
        let counts = self.0.iter().map(|count| count.load(Ordering::Relaxed));
        Reason::ALL.into_iter().zip(counts)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_reason_has_its_counter() {
        let counts = StopCounts::default();
        for (number, reason) in Reason::ALL.into_iter().enumerate() {
            (0..=number).for_each(|_| counts.clone().note(reason));
        }
        let counted: Vec<_> = counts.counts().collect();
        let expected: Vec<_> = Reason::ALL.into_iter().zip(1..).collect();
        assert_eq!(counted, expected);
    }
}
