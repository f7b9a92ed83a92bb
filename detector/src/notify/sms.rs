//! SMS through a service's HTTP interface, whatever it looks like: the configuration has a template.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

use super::http::{Client, Post};
use super::secret::Secret;
use super::send::{Failure, public_id};
use crate::config::notify::{BodyFormat, Method, Sms};
use crate::store::outbox::Outgoing;

pub(super) fn send(
    config: &Sms,
    client: &Client,
    message: &Outgoing,
    text: &str,
) -> Result<(), Failure> {
    let token = Secret::read(config.token_file.as_ref(), config.token_env.as_ref())
        .map_err(|error| Failure::channel(&error))?;
    let body = fill(&config.body, config.format, &message.recipient, text, &public_id(message));
    let method = match config.method {
        Method::Post => "POST",
        Method::Put => "PUT",
    };
    let headers = headers(config, token.as_ref());
    client.post(&Post { method, url: &config.url, headers, body: &body })
}

fn headers<'a>(config: &'a Sms, token: Option<&Secret>) -> Vec<(&'a str, String)> {
    let kind = match config.format {
        BodyFormat::Form => "application/x-www-form-urlencoded",
        BodyFormat::Json => "application/json",
    };
    let mut headers = vec![("Content-Type", kind.to_owned())];
    let token = token.map_or("", Secret::reveal);
    let placed = config.headers.values().any(|value| value.contains("{token}"));
    let own = config.headers.iter();
    headers.extend(own.map(|(name, value)| (name.as_str(), value.replace("{token}", token))));
    match &config.user {
        _ if placed || token.is_empty() => {}
        Some(user) => {
            let login = STANDARD.encode(format!("{user}:{token}"));
            headers.push(("Authorization", format!("Basic {login}")));
        }
        None => headers.push(("Authorization", format!("Bearer {token}"))),
    }
    headers
}

/// The template with its places filled, in one pass: what is filled in is not looked at again.
fn fill(template: &str, format: BodyFormat, to: &str, text: &str, id: &str) -> String {
    let escape = match format {
        BodyFormat::Form => form,
        BodyFormat::Json => json,
    };
    let places = [("{to}", to), ("{text}", text), ("{id}", id)];
    let mut filled = String::new();
    let mut rest = template;
    while let Some(at) = rest.find('{') {
        filled.push_str(&rest[..at]);
        rest = &rest[at..];
        match places.iter().find(|(name, _)| rest.starts_with(name)) {
            Some((name, value)) => {
                filled.push_str(&escape(value));
                rest = &rest[name.len()..];
            }
            None => {
                filled.push('{');
                rest = &rest[1..];
            }
        }
    }
    filled + rest
}

/// As the URL standard has it for forms, blanks as `%20`.
fn form(text: &str) -> String {
    let mut escaped = String::new();
    for byte in text.bytes() {
        if byte.is_ascii_alphanumeric() || b"-_.*".contains(&byte) {
            escaped.push(char::from(byte));
        } else {
            escaped.push_str(&format!("%{byte:02X}"));
        }
    }
    escaped
}

/// The inside of a JSON string.
fn json(text: &str) -> String {
    let quoted = serde_json::Value::from(text).to_string();
    quoted[1..quoted.len() - 1].to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn templates_are_filled_and_escaped() {
        let check = |template: &str, format, text: &str, expected: &str| {
            assert_eq!(fill(template, format, "+1555", text, "ab"), expected);
        };
        let form = "To={to}&Body={text}&id={id}&x={x}";
        check(form, BodyFormat::Form, "a&b ü", "To=%2B1555&Body=a%26b%20%C3%BC&id=ab&x={x}");
        check(form, BodyFormat::Form, "{to}", "To=%2B1555&Body=%7Bto%7D&id=ab&x={x}");
        let json = "{\"to\": \"{to}\", \"text\": \"{text}\"}";
        check(json, BodyFormat::Json, "a\"\n", "{\"to\": \"+1555\", \"text\": \"a\\\"\\n\"}");
        check(json, BodyFormat::Json, "{to}", "{\"to\": \"+1555\", \"text\": \"{to}\"}");
    }

    #[test]
    fn the_token_goes_where_the_service_wants_it() {
        let check = |keys: &str, expected: (&str, &str)| {
            let text = format!("name = \"a\"\nurl = \"http://h\"\nbody = \"\"\n{keys}");
            let config: Sms = toml::from_str(&text).unwrap();
            let file = std::env::temp_dir().join(format!("detector-token-{}", std::process::id()));
            std::fs::write(&file, "secret").unwrap();
            let token = Secret::read(Some(&file), None).unwrap();
            let headers = headers(&config, token.as_ref());
            assert_eq!(headers.last().map(|(name, value)| (*name, value.as_str())), Some(expected));
        };
        check("", ("Authorization", "Bearer secret"));
        check("user = \"u\"", ("Authorization", "Basic dTpzZWNyZXQ="));
        check("headers = { X-Key = \"k {token}\" }", ("X-Key", "k secret"));
    }
}
