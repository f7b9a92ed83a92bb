//! What is asked of the agent, read strictly: a value that makes no sense names its field before
//! the agent hears of it.

use std::fmt::Display;
use std::str::FromStr;

use super::problem::Problem;

/// Reads a value that is text in a body or an address.
///
/// # Errors
///
/// 422, and the field is named.
pub fn parse<T: FromStr<Err: Display>>(field: &str, text: &str) -> Result<T, Problem> {
    text.parse().map_err(|error| Problem::field(field, &format!("{error:#}")))
}

/// The same where it may be left out.
///
/// # Errors
///
/// 422, and the field is named.
pub fn parse_opt<T: FromStr<Err: Display>>(
    field: &str,
    text: Option<&str>,
) -> Result<Option<T>, Problem> {
    text.map(|text| parse(field, text)).transpose()
}

/// What only an agent of another version would answer.
pub(super) fn unexpected() -> Problem {
    Problem::conflict(
        "the agent's answer is of an unknown kind: restart the agent after an upgrade",
    )
}
