//! Numbers as people read them: bytes, durations, times. Exact values belong in JSON.

use jiff::civil::DateTime;
use jiff::fmt::friendly::SpanParser;
use jiff::fmt::temporal::DateTimePrinter;
use jiff::tz::Offset;
use jiff::{SpanRelativeTo, Timestamp};

const NANOS_PER_SEC: u64 = 1_000_000_000;

/// `1.4 MB`, in powers of a thousand.
#[must_use]
pub fn bytes(count: u64) -> String {
    if count < 1_000 {
        return format!("{count} B");
    }
    format!("{}B", scaled(count as f64))
}

/// `1.2 M`, in powers of a thousand; small counts as they are.
#[must_use]
pub fn count(count: u64) -> String {
    if count < 10_000 {
        return count.to_string();
    }
    scaled(count as f64).trim_end().to_owned()
}

/// Three digits or fewer, a space and the prefix.
fn scaled(mut value: f64) -> String {
    let mut prefixes = ["", "k", "M", "G", "T", "P"].into_iter();
    let mut prefix = prefixes.next().unwrap_or_default();
    // 999.5 and more would be shown as 1000.
    while value >= 999.5 {
        let Some(larger) = prefixes.next() else { break };
        prefix = larger;
        value /= 1_000.0;
    }
    if value < 9.95 { format!("{value:.1} {prefix}") } else { format!("{value:.0} {prefix}") }
}

/// `0.4 s`, `12 s`, `5 min`, `3 h`, `2 d`.
#[must_use]
pub fn seconds(seconds: f64) -> String {
    match seconds {
        _ if seconds < 9.95 => format!("{seconds:.1} s"),
        _ if seconds < 119.5 => format!("{seconds:.0} s"),
        _ if seconds < 7_170.0 => format!("{:.0} min", seconds / 60.0),
        _ if seconds < 172_000.0 => format!("{:.0} h", seconds / 3_600.0),
        _ => format!("{:.0} d", seconds / 86_400.0),
    }
}

/// Microseconds, cut off and not rounded: every record has times of this form.
static PRINTER: DateTimePrinter = DateTimePrinter::new().precision(Some(6));

/// `2023-09-08T14:38:32.616950Z` from nanoseconds since 1970.
#[must_use]
pub fn rfc3339(time_ns: u64) -> String {
    // The last of `u64`'s nanoseconds is in the year 2554, jiff's in 9999.
    PRINTER.timestamp_to_string(&timestamp(time_ns))
}

/// The civil time in UTC of nanoseconds since 1970.
#[must_use]
pub(crate) fn civil(time_ns: u64) -> DateTime {
    Offset::UTC.to_datetime(timestamp(time_ns))
}

fn timestamp(time_ns: u64) -> Timestamp {
    let (seconds, rest) = (time_ns / NANOS_PER_SEC, time_ns % NANOS_PER_SEC);
    Timestamp::new(seconds.cast_signed(), rest as i32).unwrap_or_default()
}

/// Seconds in `90s`, `10m`, `1h30m`, `2h`, `1d` or `90`; none where it is no such duration.
#[must_use]
pub fn parse_seconds(text: &str) -> Option<u64> {
    if let Some(seconds) = parse_scaled(text, |_| None) {
        return Some(seconds);
    }
    let span = SpanParser::new().parse_span(text).ok()?;
    let duration = span.to_duration(SpanRelativeTo::days_are_24_hours()).ok()?;
    if duration.subsec_nanos() == 0 { duration.as_secs().try_into().ok() } else { None }
}

/// Bytes in `500`, `10k`, `4M` or `1G`, in powers of a thousand; none where it is no such number.
#[must_use]
pub fn parse_bytes(text: &str) -> Option<u64> {
    let unit = |letter| match letter {
        'k' => Some(1_000),
        'M' => Some(1_000_000),
        'G' => Some(1_000_000_000),
        _ => None,
    };
    parse_scaled(text, unit)
}

/// Digits, and a unit where there is a last letter.
fn parse_scaled(text: &str, unit: impl Fn(char) -> Option<u64>) -> Option<u64> {
    let (number, factor) = match text.char_indices().last()? {
        (_, digit) if digit.is_ascii_digit() => (text, 1),
        (at, letter) => (&text[..at], unit(letter)?),
    };
    let digits = !number.is_empty() && number.bytes().all(|byte| byte.is_ascii_digit());
    if digits { number.parse::<u64>().ok()?.checked_mul(factor) } else { None }
}

/// `1 block`, `2 blocks`.
#[must_use]
pub fn counted(count: u64, what: &str) -> String {
    if count == 1 { format!("1 {what}") } else { format!("{count} {what}s") }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bytes_and_counts() {
        let all = [0, 999, 1_000, 1_449, 9_960, 48_000_000, 999_400, 999_600, u64::MAX];
        let expected =
            ["0 B", "999 B", "1.0 kB", "1.4 kB", "10 kB", "48 MB", "999 kB", "1.0 MB", "18447 PB"];
        assert_eq!(all.map(bytes), expected);
        assert_eq!([9_999, 10_000, 2_000_000].map(count), ["9999", "10 k", "2.0 M"]);
    }

    #[test]
    fn durations() {
        let all = [0.04, 0.44, 12.0, 125.0, 7_200.0, 180_000.0].map(seconds);
        assert_eq!(all, ["0.0 s", "0.4 s", "12 s", "2 min", "2 h", "2 d"]);
    }

    #[test]
    fn durations_and_bytes_are_read() {
        for (text, expected) in [
            ("90", Some(90)),
            ("90s", Some(90)),
            ("10m", Some(600)),
            ("2h", Some(7_200)),
            ("1d", Some(86_400)),
            ("0", Some(0)),
            ("", None),
            ("m", None),
            ("+1", None),
            ("1h30m", Some(5_400)),
            ("1d 12h", Some(129_600)),
            ("1.5h", Some(5_400)),
            ("1 h", Some(3_600)),
            ("1w", Some(604_800)),
            ("-1s", None),
            ("0.5s", None),
            ("500ms", None),
            ("1mo", None),
            ("30m1h", None),
            ("PT1H", None),
            ("10ü", None),
            ("99999999999999999999", None),
            ("999999999999999999d", None),
        ] {
            assert_eq!(parse_seconds(text), expected, "{text}");
        }
        let all = ["500", "10k", "4M", "1G", "1K", "k"].map(parse_bytes);
        assert_eq!(
            all,
            [Some(500), Some(10_000), Some(4_000_000), Some(1_000_000_000), None, None]
        );
    }

    #[test]
    fn times() {
        assert_eq!(rfc3339(0), "1970-01-01T00:00:00.000000Z");
        assert_eq!(rfc3339(951_782_399_999_999_999), "2000-02-28T23:59:59.999999Z");
        assert_eq!(rfc3339(951_868_799_000_000_000), "2000-02-29T23:59:59.000000Z");
        assert_eq!(rfc3339(1_694_185_912_616_950_000), "2023-09-08T15:11:52.616950Z");
        assert_eq!(rfc3339(u64::MAX), "2554-07-21T23:34:33.709551Z");
    }
}
