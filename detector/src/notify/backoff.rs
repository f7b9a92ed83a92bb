//! How long to wait before a message, or a channel, is tried again.

use std::time::Duration;

use sha2::{Digest as _, Sha256};

const FIRST: Duration = Duration::from_secs(1);

/// After `failures` in a row: twice as long each time, up to `longest`, and up to a fifth more or
/// less, so that what failed together is not tried together. The spread follows from `seed`.
pub(super) fn wait(failures: u32, seed: &str, longest: Duration) -> Duration {
    let doublings = failures.saturating_sub(1).min(30);
    let wait = FIRST.saturating_mul(1 << doublings).min(longest);
    let hash = Sha256::digest(format!("{seed} {failures}"));
    let spread = f64::from(hash[0]) / 255.0;
    wait.mul_f64(0.8 + 0.4 * spread)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn waits_double_up_to_the_longest() {
        let check = |failures, expected: f64| {
            for seed in ["a", "b", "c"] {
                let secs = wait(failures, seed, Duration::from_secs(300)).as_secs_f64();
                assert!((0.79..1.21).contains(&(secs / expected)), "{failures} {seed}: {secs}");
            }
        };
        check(0, 1.0);
        check(1, 1.0);
        check(2, 2.0);
        check(5, 16.0);
        check(10, 300.0);
        check(u32::MAX, 300.0);
        let longest = Duration::from_secs(300);
        assert_eq!(wait(3, "a", longest), wait(3, "a", longest));
        assert_ne!(wait(3, "a", longest), wait(3, "b", longest));
    }
}
