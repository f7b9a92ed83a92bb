//! Addresses of people: for mail, and for telephones.

use lettre::Address;
use lettre::message::Mailbox;

/// The shortest and the longest number (ITU-T E.164, section 6).
const DIGITS: std::ops::RangeInclusive<usize> = 7..=15;

/// A mail address such as `name@example.org`.
pub fn email(text: &str) -> Result<String, String> {
    let text = text.trim();
    let address: Address = text
        .parse()
        .map_err(|_| format!("`{text}` is not a mail address: write it as name@example.org"))?;
    Ok(address.to_string())
}

/// A telephone number such as `+15550100`, without what people write between the digits.
pub fn phone(text: &str) -> Result<String, String> {
    let number: String =
        text.trim().chars().filter(|letter| !" -.()/\u{a0}".contains(*letter)).collect();
    let digits = number.strip_prefix('+').unwrap_or_default();
    let good = DIGITS.contains(&digits.len())
        && digits.bytes().all(|digit| digit.is_ascii_digit())
        && !digits.starts_with('0');
    if good {
        Ok(number)
    } else {
        Err(format!(
            "`{text}` is not a telephone number: write it with its country code, as +15550100"
        ))
    }
}

/// A sender: an address, or `Name <address>`.
pub(super) fn mailbox(text: &str) -> anyhow::Result<Mailbox> {
    text.parse().map_err(|error| anyhow::anyhow!("`{text}` is not a mail address: {error}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn mail_addresses() {
        assert_eq!(email(" zoë@example.org "), Ok("zoë@example.org".to_owned()));
        assert_eq!(email("o'neill@example.org"), Ok("o'neill@example.org".to_owned()));
        for text in ["", "a", "a@", "@b", "a b@c.example", "a@b@c", "a@b.example\r\nBcc: x@y"] {
            assert!(email(text).is_err(), "{text}");
        }
    }

    #[test]
    fn telephone_numbers() {
        assert_eq!(phone("+1 (555) 0100-1"), Ok("+155501001".to_owned()));
        for text in ["", "5550100", "+0155501001", "+1555a100", "+123456", "+1234567890123456"] {
            assert!(phone(text).is_err(), "{text}");
        }
    }
}
