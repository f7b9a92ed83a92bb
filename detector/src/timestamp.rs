//! A moment, kept as a number until it is shown.

use std::fmt;
use std::ops::{Add, AddAssign, Sub};
use std::time::Duration;

use serde::de::Error as _;
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use utoipa::ToSchema;

use crate::units;

/// Nanoseconds since the Unix epoch. Shown, and written to JSON, as RFC 3339 in UTC.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, PartialOrd, Ord, ToSchema)]
#[schema(value_type = String, format = DateTime)]
pub struct Timestamp(u64);

impl Timestamp {
    pub const EPOCH: Self = Self(0);
    /// For what has no end.
    pub const MAX: Self = Self(u64::MAX);

    #[must_use]
    pub const fn from_ns(ns: u64) -> Self {
        Self(ns)
    }

    #[must_use]
    pub const fn ns(self) -> u64 {
        self.0
    }

    /// The time since `earlier`; 0 where that is later.
    #[must_use]
    pub const fn since(self, earlier: Self) -> Duration {
        Duration::from_nanos(self.0.saturating_sub(earlier.0))
    }

    /// Seconds that have gone by since `earlier`; 0 where that is later.
    #[must_use]
    pub fn seconds_since(self, earlier: Self) -> f64 {
        self.0.saturating_sub(earlier.0) as f64 / 1e9
    }

    /// Seconds until `later`, rounded up; 0 where that is not later.
    #[must_use]
    pub const fn seconds_until(self, later: Self) -> u64 {
        later.0.saturating_sub(self.0).div_ceil(1_000_000_000)
    }
}

/// Stops at [`Timestamp::MAX`].
impl Add<Duration> for Timestamp {
    type Output = Self;

    fn add(self, length: Duration) -> Self {
        Self(self.0.saturating_add(nanoseconds(length)))
    }
}

impl AddAssign<Duration> for Timestamp {
    fn add_assign(&mut self, length: Duration) {
        *self = *self + length;
    }
}

/// Stops at [`Timestamp::EPOCH`].
impl Sub<Duration> for Timestamp {
    type Output = Self;

    fn sub(self, length: Duration) -> Self {
        Self(self.0.saturating_sub(nanoseconds(length)))
    }
}

fn nanoseconds(length: Duration) -> u64 {
    u64::try_from(length.as_nanos()).unwrap_or(u64::MAX)
}

impl fmt::Display for Timestamp {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(&units::rfc3339(self.0))
    }
}

impl Serialize for Timestamp {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for Timestamp {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        let time: jiff::Timestamp = text.parse().map_err(D::Error::custom)?;
        let ns = u64::try_from(time.as_nanosecond());
        ns.map(Self).map_err(|_| D::Error::custom("the time is before 1970 or after 2554"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lengths_of_time_are_added_and_taken_away() {
        let second = Duration::from_secs(1);
        let start = Timestamp::from_ns(1_500_000_000);
        assert_eq!((start + second).ns(), 2_500_000_000);
        assert_eq!((start - second).ns(), 500_000_000);
        assert_eq!(start - 2 * second, Timestamp::EPOCH);
        assert_eq!(start + Duration::MAX, Timestamp::MAX);
        assert_eq!((start + second).since(start), second);
        assert_eq!(start.since(start + second), Duration::ZERO);
        let check = |later: u64, expected| {
            assert_eq!(start.seconds_until(Timestamp::from_ns(later)), expected, "{later}");
        };
        check(0, 0);
        check(1_500_000_000, 0);
        check(1_500_000_001, 1);
        check(2_500_000_000, 1);
        check(2_500_000_001, 2);
    }

    #[test]
    fn a_moment_is_a_number_until_it_is_shown() {
        let later = Timestamp::from_ns(1_694_185_912_616_950_000);
        let earlier = Timestamp::from_ns(later.ns() - 40_000_000_000);
        assert_eq!(later.seconds_since(earlier), 40.0);
        assert_eq!(earlier.seconds_since(later), 0.0);
        let text = serde_json::to_string(&later).unwrap();
        assert_eq!(text, r#""2023-09-08T15:11:52.616950Z""#);
        assert_eq!(serde_json::from_str::<Timestamp>(&text).unwrap(), later);
        assert!(serde_json::from_str::<Timestamp>("\"1969-12-31T23:59:59Z\"").is_err());
    }
}
