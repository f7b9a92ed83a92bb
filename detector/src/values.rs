//! Values of queries, as people write them on a command line and pages in an address. What is empty
//! is as if it were not there.

use crate::features::Timestamp;
use crate::network::Network;
use crate::refusal::Refusal;

/// Rows of a page, unless it is said, and at most.
const LIMIT: usize = 50;
const MAX_LIMIT: usize = 500;

fn given(text: Option<&str>) -> Option<&str> {
    text.map(str::trim).filter(|text| !text.is_empty())
}

/// Rows of a page.
pub fn limit(text: Option<&str>) -> Result<usize, Refusal> {
    let Some(text) = given(text) else { return Ok(LIMIT) };
    let limit = text.parse().ok().filter(|limit| (1..=MAX_LIMIT).contains(limit));
    limit.ok_or_else(|| Refusal::invalid("limit", format!("limit: use 1 to {MAX_LIMIT}")))
}

/// A number within its type.
pub fn number<T: std::str::FromStr + Bounded>(
    field: &'static str,
    text: Option<&str>,
) -> Result<Option<T>, Refusal> {
    let Some(text) = given(text) else { return Ok(None) };
    let wrong = || {
        let detail = format!("{field}: `{}` is not a number of {}", text.escape_debug(), T::RANGE);
        Refusal::invalid(field, detail)
    };
    text.parse().map(Some).map_err(|_| wrong())
}

/// A number with its range in words.
pub trait Bounded {
    const RANGE: &'static str;
}

impl Bounded for u16 {
    const RANGE: &'static str = "0 to 65535";
}

impl Bounded for i64 {
    const RANGE: &'static str = "1 or more";
}

impl Bounded for u64 {
    const RANGE: &'static str = "0 or more";
}

/// An address or a network.
///
/// # Errors
///
/// What is none, with what would do.
pub fn network(field: &'static str, text: Option<&str>) -> Result<Option<Network>, Refusal> {
    let Some(text) = given(text) else { return Ok(None) };
    text.parse()
        .map(Some)
        .map_err(|error: anyhow::Error| Refusal::invalid(field, format!("{field}: {error:#}")))
}

/// A time, RFC 3339 or seconds since the Unix epoch, as nanoseconds since then.
pub fn time(field: &'static str, text: Option<&str>) -> Result<Option<u64>, Refusal> {
    let Some(text) = given(text) else { return Ok(None) };
    let wrong = |why: &str| Refusal::invalid(field, format!("{field}: {why}"));
    let time = text.parse::<Timestamp>().map_err(|error| wrong(&format!("{error:#}")))?;
    let secs = u64::try_from(time.unix_secs()).map_err(|_| wrong("the time is before 1970"))?;
    Ok(Some(secs.saturating_mul(1_000_000_000)))
}

/// The answer to a cursor that no page gave.
#[must_use]
pub fn stale_cursor() -> Refusal {
    Refusal::invalid("cursor", "cursor: this is not the cursor of a page: start again without one")
}
