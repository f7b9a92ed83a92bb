//! Points in time as logs write them: RFC 3339, the same without a zone or with a space for the T,
//! and Unix seconds.
//!
//! What counts for a record is the hour and the weekday where it was written, so the zone is kept
//! and a fraction of a second is not.

use std::fmt;
use std::str::FromStr;

use anyhow::{Context as _, Result, bail, ensure};

use crate::units::date;

const DAY_SECS: i64 = 86_400;

/// A second in a zone.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Timestamp {
    /// Seconds since 1970 in UTC.
    unix_secs: i64,
    /// What the zone is ahead of UTC, in seconds; 0 where none was written.
    offset_secs: i64,
}

impl Timestamp {
    /// A second since 1970, in UTC.
    #[must_use]
    pub fn from_unix_secs(unix_secs: u32) -> Self {
        Self { unix_secs: unix_secs.into(), offset_secs: 0 }
    }

    /// Seconds since 1970 in UTC.
    #[must_use]
    pub fn unix_secs(self) -> i64 {
        self.unix_secs
    }

    /// 0 to 23, in its own zone.
    #[must_use]
    pub fn hour(self) -> u8 {
        (self.local_secs().rem_euclid(DAY_SECS) / 3_600) as u8
    }

    /// 0 (Monday) to 6 (Sunday), in its own zone.
    #[must_use]
    pub fn weekday(self) -> u8 {
        // The first of January 1970 was a Thursday.
        (self.local_secs().div_euclid(DAY_SECS) + 3).rem_euclid(7) as u8
    }

    fn local_secs(self) -> i64 {
        self.unix_secs + self.offset_secs
    }
}

impl FromStr for Timestamp {
    type Err = anyhow::Error;

    fn from_str(text: &str) -> Result<Self> {
        let wrong = || format!("`{text}` is no time such as 2024-01-31T12:00:00Z");
        ensure!(text.is_ascii(), wrong());
        if let Some(unix_secs) = unix_secs(text) {
            return Ok(Self { unix_secs, offset_secs: 0 });
        }
        written(text).with_context(wrong)
    }
}

/// In UTC, whatever zone it was written in.
impl fmt::Display for Timestamp {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (year, month, day) = date(self.unix_secs.div_euclid(DAY_SECS));
        let second = self.unix_secs.rem_euclid(DAY_SECS);
        let (hour, minute, second) = (second / 3_600, second / 60 % 60, second % 60);
        write!(formatter, "{year:04}-{month:02}-{day:02}T{hour:02}:{minute:02}:{second:02}Z")
    }
}

/// Digits alone, with or without a fraction. Eleven digits reach the year 5138.
fn unix_secs(text: &str) -> Option<i64> {
    let (whole, fraction) = text.split_once('.').unwrap_or((text, "0"));
    let digits = is_digits(whole) && whole.len() <= 11 && is_digits(fraction);
    if digits { whole.parse().ok() } else { None }
}

fn is_digits(text: &str) -> bool {
    !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit())
}

/// `text` is ASCII.
fn written(text: &str) -> Result<Timestamp> {
    let (date, time) = text.split_once(['T', 't', ' ']).context("there is no time of day")?;
    let zone_at = time.find(['Z', 'z', '+', '-']).unwrap_or(time.len());
    let (time, zone) = time.split_at(zone_at);
    let (time, fraction) = time.split_once('.').unwrap_or((time, "0"));
    ensure!(is_digits(fraction), "`{fraction}` is no fraction of a second");
    let offset_secs = offset(zone)?;
    let local = days(date)? * DAY_SECS + second_of_day(time)?;
    Ok(Timestamp { unix_secs: local - offset_secs, offset_secs })
}

/// Two or four digits, no more than `most`.
fn number(text: &str, digits: usize, most: i64) -> Result<i64> {
    ensure!(text.len() == digits && is_digits(text), "`{text}` has not {digits} digits");
    let value = text.parse()?;
    ensure!(value <= most, "{value} is more than {most}");
    Ok(value)
}

fn second_of_day(text: &str) -> Result<i64> {
    let parts: Vec<&str> = text.split(':').collect();
    let &[hour, minute, second] = parts.as_slice() else { bail!("`{text}` is no time of day") };
    // RFC 3339, section 5.6: a leap second is second 60.
    Ok(number(hour, 2, 23)? * 3_600 + number(minute, 2, 59)? * 60 + number(second, 2, 60)?)
}

/// `Z`, `+02:00`, or nothing.
fn offset(zone: &str) -> Result<i64> {
    if zone.is_empty() || zone.eq_ignore_ascii_case("z") {
        return Ok(0);
    }
    let (sign, size) = zone.split_at(1);
    let (hours, minutes) = size.split_once(':').with_context(|| format!("`{zone}` is no zone"))?;
    let size = number(hours, 2, 23)? * 3_600 + number(minutes, 2, 59)? * 60;
    match sign {
        "+" => Ok(size),
        "-" => Ok(-size),
        _ => bail!("`{zone}` is no zone"),
    }
}

/// Day number since 1970, in eras of 400 years that start in March (Howard Hinnant,
/// chrono-compatible low-level date algorithms).
fn days(text: &str) -> Result<i64> {
    let parts: Vec<&str> = text.split('-').collect();
    let &[year, month, day] = parts.as_slice() else { bail!("`{text}` is no date") };
    let (year, month, day) = (number(year, 4, 9_999)?, number(month, 2, 12)?, number(day, 2, 31)?);
    let shifted_year = year - i64::from(month <= 2);
    let (era, year_of_era) = (shifted_year.div_euclid(400), shifted_year.rem_euclid(400));
    let day_of_year = (153 * ((month + 9) % 12) + 2) / 5 + day - 1;
    let day_of_era = year_of_era * 365 + year_of_era / 4 - year_of_era / 100 + day_of_year;
    let days = era * 146_097 + day_of_era - 719_468;
    ensure!(date(days) == (year, month, day), "there is no {text}");
    Ok(days)
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
