//! Why the text of a configuration cannot be read, in one line.

use super::Config;
use crate::fields::{self, Fault, FieldError};

/// Keys that had another name, with the name that they have now.
const RENAMED: &[(&str, &str)] = &[("heads", "payload_samples")];

/// The parser's message on one line, with the line it is about and, for an unknown key, the nearest
/// known one.
pub(super) fn explain(text: &str, error: &toml::de::Error) -> String {
    let fault = fault(text);
    let message = error.message().trim().replace('\n', " ");
    let line =
        error.span().map(|span| text[..span.start.min(text.len())].matches('\n').count() + 1);
    let place = line.map_or(String::new(), |line| format!("line {line}: "));
    match fault {
        Some(FieldError { fault: Fault::Unknown { name: key, known }, text })
            if text == message =>
        {
            let hint = match RENAMED.iter().find(|(old, _)| *old == key) {
                Some((_, new)) => format!(": its name is `{new}` now"),
                None => nearest(&key, known)
                    .map_or(String::new(), |near| format!(", did you mean `{near}`?")),
            };
            format!("{place}there is no key `{key}`{hint}")
        }
        _ => match error.span().and_then(|span| key_at(text, span.start)) {
            Some(key) => format!("{place}{key}: {message}"),
            None => format!("{place}{message}"),
        },
    }
}

/// The key of the line at an offset, where that is one.
fn key_at(text: &str, offset: usize) -> Option<&str> {
    let start = text.get(..offset)?.rfind('\n').map_or(0, |end| end + 1);
    let (key, _) = text[start..].lines().next()?.split_once('=')?;
    let key = key.trim();
    let plain = |letter: char| letter.is_ascii_alphanumeric() || "_-.".contains(letter);
    (!key.is_empty() && key.chars().all(plain)).then_some(key)
}

/// What serde knows of the first value that does not fit; none where the text is no TOML.
fn fault(text: &str) -> Option<FieldError> {
    fields::fault::<Config>(&toml::from_str(text).ok()?)
}

fn nearest<'a>(key: &str, known: &[&'a str]) -> Option<&'a str> {
    let (distance, near) =
        known.iter().map(|candidate| (edit_distance(key, candidate), *candidate)).min()?;
    (distance <= 1 + key.len() / 3).then_some(near)
}

/// Levenshtein's distance.
fn edit_distance(left: &str, right: &str) -> usize {
    let right: Vec<char> = right.chars().collect();
    let mut row: Vec<usize> = (0..=right.len()).collect();
    for (from, a) in left.chars().enumerate() {
        let mut diagonal = row[0];
        row[0] = from + 1;
        for (to, b) in right.iter().enumerate() {
            let replaced = diagonal + usize::from(a != *b);
            diagonal = row[to + 1];
            row[to + 1] = replaced.min(diagonal + 1).min(row[to] + 1);
        }
    }
    row[right.len()]
}
