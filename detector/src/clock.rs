//! The wall clock, for what is written down with its time. What is scored has packet time.

use std::time::{SystemTime, UNIX_EPOCH};

/// Nanoseconds since the Unix epoch; 0 where the clock is before it.
#[must_use]
pub fn now_ns() -> u64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    u64::try_from(since.as_nanos()).unwrap_or(u64::MAX)
}

/// Seconds since the Unix epoch.
#[must_use]
pub fn now_secs() -> u64 {
    now_ns() / 1_000_000_000
}
