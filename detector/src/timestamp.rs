//! A moment, kept as a number until it is shown.

use std::fmt;

use serde::de::Error as _;
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use utoipa::ToSchema;

use crate::units;

/// Nanoseconds since the Unix epoch. Shown, and written to JSON, as RFC 3339 in UTC.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, PartialOrd, Ord, ToSchema)]
#[schema(value_type = String, format = DateTime)]
pub struct Timestamp(u64);

impl Timestamp {
    #[must_use]
    pub const fn from_ns(ns: u64) -> Self {
        Self(ns)
    }

    #[must_use]
    pub const fn ns(self) -> u64 {
        self.0
    }

    /// Seconds that have gone by since `earlier`; 0 where that is later.
    #[must_use]
    pub fn seconds_since(self, earlier: Self) -> f64 {
        self.0.saturating_sub(earlier.0) as f64 / 1e9
    }
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
