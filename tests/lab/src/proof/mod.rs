//! `--proof`: scenarios whose tools, ports, rates and seeds no training recording has. What a detector
//! finds here it has not learned by heart.

pub(super) mod benign;
pub(super) mod channels;
pub(super) mod theft;
mod ways;

/// Added to the seed: other names, addresses, lines and sizes than in training.
pub(super) const SEED: u64 = 1_000_000;
