//! Points in time as logs write them: RFC 3339 and what is near it, a web server's
//! `31/Jan/2024:12:00:00 +0100`, and Unix time.
//!
//! What counts for a record is the hour and the weekday where it was written, so the zone is kept
//! and a fraction of a second is not. Zones by name are never looked up.

use std::fmt;
use std::str::FromStr;

use anyhow::{Context as _, Result, bail, ensure};
use jiff::civil::DateTime;
use jiff::fmt::temporal::{DateTimePrinter, Pieces};
use jiff::tz::Offset;

use super::excerpt;

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
        let wrong = || format!("`{}` is not a time such as 2024-01-31T12:00:00Z", excerpt(text));
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

/// Digits alone, with or without a fraction: seconds, of which eleven digits reach the year 5138, or
/// by their number thousandths, millionths and billionths, from 2001 to 2286.
fn unix_secs(text: &str) -> Option<i64> {
    let is_digits = |text: &str| !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    let (whole, fraction) = text.split_once('.').unwrap_or((text, "0"));
    if !is_digits(whole) || !is_digits(fraction) {
        return None;
    }
    let in_a_second = match whole.len() {
        ..=11 => 1,
        13 => 1_000,
        16 => 1_000_000,
        19 => 1_000_000_000,
        _ => return None,
    };
    Some(whole.parse::<i64>().ok()? / in_a_second)
}

/// A date and a time of day, with a zone as a number or without one.
fn written(text: &str) -> Result<Timestamp> {
    // ISO 8601 has a minus sign of its own.
    let text = text.replace('\u{2212}', "-");
    let (second, rest) = match day_first(&text) {
        Some(parts) => parts,
        None => year_first(&text)?,
    };
    let plain = second + &zone(after_fraction(rest)?)?;
    let pieces = Pieces::parse(&plain)?;
    let time = pieces.time().context("it has no time of day")?;
    let offset = pieces.to_numeric_offset().unwrap_or(Offset::UTC);
    // RFC 3339, section 5.6: a leap second is second 60, which jiff reads as 59.
    let leap = i64::from(plain.get(17..19) == Some("60"));
    let time = offset.to_timestamp(pieces.date().to_datetime(time))?;
    let time = jiff::Timestamp::from_second(time.as_second() + leap)?;
    Ok(Timestamp { time, offset })
}

/// `2024-01-31T12:00:00` or `2024-01-31 12:00`, and what follows.
fn year_first(text: &str) -> Result<(String, &str)> {
    // jiff reads more of ISO 8601: dates and times without punctuation.
    let has =
        |at: usize, these: &[u8]| text.as_bytes().get(at).is_some_and(|it| these.contains(it));
    let whole = has(4, b"-") && has(7, b"-") && has(10, b"Tt ") && has(13, b":");
    ensure!(whole, "it is not of this form");
    if has(16, b":") {
        let (second, rest) = text.split_at_checked(19).context("there is no second")?;
        return Ok((second.to_owned(), rest));
    }
    let (minute, rest) = text.split_at_checked(16).context("there is no minute")?;
    Ok((format!("{minute}:00"), rest))
}

/// `31/Jan/2024:12:00:00`, as web servers write it, and what follows.
fn day_first(text: &str) -> Option<(String, &str)> {
    const MONTHS: [&str; 12] =
        ["Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"];
    let text = text.strip_prefix('[').and_then(|text| text.strip_suffix(']')).unwrap_or(text);
    let (second, rest) = text.split_at_checked(20)?;
    let (date, time) = second.split_once(':')?;
    let [day, month, year] = date.split('/').collect::<Vec<_>>().try_into().ok()?;
    let month = MONTHS.iter().position(|name| name.eq_ignore_ascii_case(month))? + 1;
    Some((format!("{year}-{month:02}-{day}T{time}"), rest))
}

/// A fraction does not count, and may have more digits than jiff reads. Some write it after a comma.
fn after_fraction(rest: &str) -> Result<&str> {
    let Some(fraction) = rest.strip_prefix(['.', ',']) else { return Ok(rest) };
    let after = fraction.trim_start_matches(|digit: char| digit.is_ascii_digit());
    ensure!(after.len() != fraction.len(), "there is no digit after the point");
    Ok(after)
}

/// A zone as jiff reads it. A name in brackets adds nothing to an offset, and alone it is not looked
/// up.
fn zone(text: &str) -> Result<String> {
    let text = text.strip_prefix(' ').unwrap_or(text);
    let text = match text.split_once('[') {
        Some((offset, name)) if !offset.is_empty() && name.ends_with(']') => offset,
        _ => text,
    };
    match text.as_bytes() {
        [] | [b'Z' | b'z'] => Ok(text.to_owned()),
        b"UTC" | b"GMT" => Ok("Z".to_owned()),
        [b'+' | b'-', digits @ ..]
            if digits.len() == 4 && digits.iter().all(u8::is_ascii_digit) =>
        {
            let (hours, minutes) = text.split_at(3);
            Ok(format!("{hours}:{minutes}"))
        }
        [b'+' | b'-', ..] => Ok(text.to_owned()),
        _ => bail!("it has no zone as a number"),
    }
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
            "2024-01-01T12:00:00,123",
            "2024-01-01T12:00Z",
            "2024-01-01 12:00:00 UTC",
            "2024-01-01T12:00:00+00:00[Etc/UTC]",
            "01/Jan/2024:12:00:00 +0000",
            "[01/jan/2024:12:00:00 +0000]",
            "1704110400",
            "1704110400123",
            "1704110400123.0",
            "1704110400123456",
            "1704110400123456789",
        ] {
            check(text, 12, 0, noon);
        }
        check("1704110400.25", 12, 0, noon);
        check("2024-01-01T12:00:00+00:00", 12, 0, noon);
        check("2024-01-01T01:30:00+02:00", 1, 0, "2023-12-31T23:30:00Z");
        check("2023-12-31 23:30:00-05:30", 23, 6, "2024-01-01T05:00:00Z");
        for zone in ["+0200", " +0200", " +02:00", "+02", ",5+0200", "+02:00[Africa/Cairo]"] {
            check(&format!("2024-01-01T01:30:00{zone}"), 1, 0, "2023-12-31T23:30:00Z");
        }
        check("2023-12-31 23:30:00\u{2212}05:30", 23, 6, "2024-01-01T05:00:00Z");
        check("01/Jan/2024:01:30:00 +0200", 1, 0, "2023-12-31T23:30:00Z");
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
            "2024-01-01T12:",
            "2024-01-01T12:0",
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
            "99999999999999",
            "99999999999999999999",
            "2024-01-01T12:00:00 CET",
            "2024-01-01T12:00:00+02000",
            "2024-01-01T12:00:00+0é0",
            "01/Jun/24:12:00:00 +0000",
            "32/Jan/2024:12:00:00 +0000",
            "01/01/2024 12:00:00",
        ] {
            let error = text.parse::<Timestamp>().unwrap_err().to_string();
            assert!(error.contains(&format!("`{text}` is not a time")), "{error}");
        }
        // An offset of four bytes that are not four digits.
        assert!("2024-01-01T12:00:00+\u{feff}0".parse::<Timestamp>().is_err());
    }
}
