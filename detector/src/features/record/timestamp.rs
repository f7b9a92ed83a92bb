//! Points in time as logs write them: RFC 3339, the same without a zone or with a space for the T,
//! and Unix seconds.
//!
//! What counts for a record is the hour and the weekday where it was written, so the zone is kept
//! and a fraction of a second is not. Zones by name are never looked up.

use std::fmt;
use std::str::FromStr;

use anyhow::{Context as _, Result, ensure};
use jiff::civil::DateTime;
use jiff::fmt::temporal::{DateTimePrinter, Pieces};
use jiff::tz::Offset;

/// Whole seconds.
static PRINTER: DateTimePrinter = DateTimePrinter::new().precision(Some(0));

/// A second in a zone.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Timestamp {
    time: jiff::Timestamp,
    /// UTC where none was written.
    offset: Offset,
}

impl Timestamp {
    /// A second since 1970, in UTC.
    #[must_use]
    pub fn from_unix_secs(unix_secs: u32) -> Self {
        // jiff's last second is in the year 9999, `u32`'s in 2106.
        let time = jiff::Timestamp::from_second(unix_secs.into()).unwrap_or_default();
        Self { time, offset: Offset::UTC }
    }

    /// Seconds since 1970 in UTC.
    #[must_use]
    pub fn unix_secs(self) -> i64 {
        self.time.as_second()
    }

    /// 0 to 23, in its own zone.
    #[must_use]
    pub fn hour(self) -> u8 {
        self.local().hour().unsigned_abs()
    }

    /// 0 (Monday) to 6 (Sunday), in its own zone.
    #[must_use]
    pub fn weekday(self) -> u8 {
        self.local().weekday().to_monday_zero_offset().unsigned_abs()
    }

    fn local(self) -> DateTime {
        self.offset.to_datetime(self.time)
    }
}

impl Default for Timestamp {
    fn default() -> Self {
        Self::from_unix_secs(0)
    }
}

impl FromStr for Timestamp {
    type Err = anyhow::Error;

    fn from_str(text: &str) -> Result<Self> {
        let wrong = || format!("`{text}` is no time such as 2024-01-31T12:00:00Z");
        if let Some(unix_secs) = unix_secs(text) {
            let time = jiff::Timestamp::from_second(unix_secs).with_context(wrong)?;
            return Ok(Self { time, offset: Offset::UTC });
        }
        written(text).with_context(wrong)
    }
}

/// In UTC, whatever zone it was written in.
impl fmt::Display for Timestamp {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(&PRINTER.timestamp_to_string(&self.time))
    }
}

/// Digits alone, with or without a fraction. Eleven digits reach the year 5138.
fn unix_secs(text: &str) -> Option<i64> {
    let is_digits = |text: &str| !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    let (whole, fraction) = text.split_once('.').unwrap_or((text, "0"));
    let digits = is_digits(whole) && whole.len() <= 11 && is_digits(fraction);
    if digits { whole.parse().ok() } else { None }
}

/// A date and a time of day to the second at least, with a zone as a number or without one.
fn written(text: &str) -> Result<Timestamp> {
    // jiff reads more of ISO 8601: dates and times without punctuation, and times without seconds.
    let has =
        |at: usize, these: &[u8]| text.as_bytes().get(at).is_some_and(|it| these.contains(it));
    let whole = has(4, b"-") && has(7, b"-") && has(10, b"Tt ") && has(13, b":") && has(16, b":");
    ensure!(whole, "it is not of this form");
    let (second, rest) = text.split_at_checked(19).context("there is no second")?;
    // A fraction does not count, and may have more digits than jiff reads.
    let zone = match rest.strip_prefix('.') {
        Some(fraction) => fraction.trim_start_matches(|digit: char| digit.is_ascii_digit()),
        None => rest,
    };
    ensure!(rest.len() != zone.len() + 1, "there is no digit after the dot");
    ensure!(zone.is_empty() || zone.starts_with(['Z', 'z', '+', '-']), "`{zone}` is no zone");
    let plain = format!("{second}{zone}");
    let pieces = Pieces::parse(&plain)?;
    ensure!(pieces.time_zone_annotation().is_none(), "zones by name are not read");
    let time = pieces.time().context("there is no time of day")?;
    let offset = pieces.to_numeric_offset().unwrap_or(Offset::UTC);
    // RFC 3339, section 5.6: a leap second is second 60, which jiff reads as 59.
    let leap = i64::from(second.ends_with("60"));
    let time = offset.to_timestamp(pieces.date().to_datetime(time))?;
    let time = jiff::Timestamp::from_second(time.as_second() + leap)?;
    Ok(Timestamp { time, offset })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_form_is_read() {
        let check = |text: &str, hour: u8, weekday: u8, utc: &str| {
            let time: Timestamp = text.parse().unwrap_or_else(|error| panic!("{text}: {error:#}"));
            assert_eq!((time.hour(), time.weekday(), &*time.to_string()), (hour, weekday, utc));
        };
        let noon = "2024-01-01T12:00:00Z";
        for text in [
            "2024-01-01T12:00:00Z",
            "2024-01-01 12:00:00",
            "2024-01-01t12:00:00.999z",
            "2024-01-01T12:00:00.123456789012Z",
            "1704110400",
        ] {
            check(text, 12, 0, noon);
        }
        check("1704110400.25", 12, 0, noon);
        check("2024-01-01T12:00:00+00:00", 12, 0, noon);
        check("2024-01-01T01:30:00+02:00", 1, 0, "2023-12-31T23:30:00Z");
        check("2023-12-31 23:30:00-05:30", 23, 6, "2024-01-01T05:00:00Z");
        check("2024-02-29T23:59:59", 23, 3, "2024-02-29T23:59:59Z");
        check("2016-12-31T23:59:60Z", 0, 6, "2017-01-01T00:00:00Z");
        check("0001-01-01T00:00:00", 0, 0, "0001-01-01T00:00:00Z");
        check("0", 0, 3, "1970-01-01T00:00:00Z");
    }

    #[test]
    fn what_is_no_time_is_refused() {
        for text in [
            "",
            "noon",
            "2024-01-01",
            "2024-01-01T",
            "2024-01-01T12:00",
            "2024-01-01T24:00:00",
            "2024-01-01T12:00:61",
            "2024-13-01T12:00:00",
            "2024-00-01T12:00:00",
            "2023-02-29T12:00:00",
            "2024-01-00T12:00:00",
            "24-01-01T12:00:00",
            "2024-01-01T12:00:00.Z",
            "2024-01-01T12:00:00.",
            "2024-01-01T12:00:00.5.5Z",
            "2024-01-01T12:00:00[UTC]",
            "20240101T120000Z",
            "2024-01-01T12:00:00+2",
            "2024-01-01T12:00:00Z+02:00",
            "2024-01-01T12:00:00é",
            "-5",
            "1e9",
            "999999999999",
        ] {
            let error = text.parse::<Timestamp>().unwrap_err().to_string();
            assert!(error.contains(&format!("`{text}` is no time")), "{error}");
        }
    }
}
