//! What is asked of the agent, read strictly: a value that makes no sense names its field before the
//! agent hears of it.

use std::fmt::Display;
use std::str::FromStr;

use super::problem::Problem;
use super::{App, Caller};
use crate::control::{Answer, Request};

/// What the request's own check says, by the field that it is about.
const FIELDS: [(&str, &str); 8] = [
    ("confirm_within_secs", "confirm_within_secs"),
    ("a ttl", "ttl_secs"),
    ("reason", "reason"),
    ("a rate", "effect"),
    ("the DSCP", "effect"),
    ("allow everything", "destination"),
    ("two addresses", "destination"),
    ("name", "name"),
];

impl App {
    /// Checks a request, then asks the agent.
    ///
    /// # Errors
    ///
    /// 422 for a value out of its bounds, and those of [`App::ask`].
    pub async fn ask_checked(&self, request: Request, who: &Caller) -> Result<Answer, Problem> {
        request.check().map_err(|error| {
            let text = error.to_string();
            let field = FIELDS.iter().find(|(words, _)| text.contains(words));
            Problem::field(field.map_or("body", |(_, field)| field), &text)
        })?;
        self.ask(request, who.peer()).await
    }
}

/// Reads a value that stands as text in a body or an address.
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
    Problem::conflict("the agent answered something else than it was asked")
}
