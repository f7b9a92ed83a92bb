//! Records: lines of a firewall's or proxy's log, and their vector under schema `record`.
//!
//! Parsing is strict: what is not understood is an error that names the field.

mod columns;
mod timestamp;

pub(super) use columns::markdown;
pub use columns::{RECORD_COLUMNS, RECORD_SCHEMA_NAME, RecordColumn, record_vector};
pub use timestamp::Timestamp;

use std::borrow::Cow;
use std::fmt::Display;
use std::net::{AddrParseError, IpAddr, Ipv6Addr};
use std::str::FromStr;

use anyhow::{Context as _, Result, anyhow, bail};

/// The fields of a record, in the order in which logs have them.
pub const RECORD_FIELDS: [&str; 9] = [
    "timestamp",
    "source_ip",
    "destination_ip",
    "source_port",
    "destination_port",
    "protocol",
    "bytes_sent",
    "bytes_received",
    "action",
];

/// One line of a log.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Record {
    pub timestamp: Timestamp,
    pub source_ip: IpAddr,
    pub destination_ip: IpAddr,
    pub source_port: u16,
    pub destination_port: u16,
    pub protocol: Protocol,
    /// Bytes from the source to the destination.
    pub bytes_sent: u64,
    /// Bytes from the destination to the source.
    pub bytes_received: u64,
    pub action: Action,
}

impl Record {
    /// Reads each field of [`RECORD_FIELDS`] from what `text_of` has for it.
    pub fn parse<'a>(text_of: impl Fn(&str) -> Option<Cow<'a, str>>) -> Result<Self> {
        Ok(Self {
            timestamp: field(&text_of, "timestamp")?,
            source_ip: field::<Address>(&text_of, "source_ip")?.0,
            destination_ip: field::<Address>(&text_of, "destination_ip")?.0,
            source_port: field(&text_of, "source_port")?,
            destination_port: field(&text_of, "destination_port")?,
            protocol: field(&text_of, "protocol")?,
            bytes_sent: field(&text_of, "bytes_sent")?,
            bytes_received: field(&text_of, "bytes_received")?,
            action: field(&text_of, "action")?,
        })
    }

    /// The fields as text, in the order of [`RECORD_FIELDS`].
    #[must_use]
    pub fn fields(&self) -> [String; RECORD_FIELDS.len()] {
        [
            self.timestamp.to_string(),
            self.source_ip.to_string(),
            self.destination_ip.to_string(),
            self.source_port.to_string(),
            self.destination_port.to_string(),
            self.protocol.name().to_owned(),
            self.bytes_sent.to_string(),
            self.bytes_received.to_string(),
            self.action.name().to_owned(),
        ]
    }
}

fn field<'a, T: FromStr<Err: Display>>(
    text_of: &impl Fn(&str) -> Option<Cow<'a, str>>,
    name: &str,
) -> Result<T> {
    let text = text_of(name).with_context(|| format!("column {name} is missing"))?;
    text.parse().map_err(|error| anyhow!("column {name}: `{}`: {error}", excerpt(&text)))
}

/// The start of a text that was not understood, made harmless: a log's line may have a megabyte.
pub(crate) fn excerpt(text: &str) -> String {
    const LONGEST: usize = 64;
    let mut letters = text.chars();
    let start: String = letters.by_ref().take(LONGEST).flat_map(char::escape_debug).collect();
    if letters.next().is_some() { start + "…" } else { start }
}

/// An address as logs write it: with the zone of a link-local one, which says nothing elsewhere, and
/// IPv6 in brackets.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Address(pub(crate) IpAddr);

impl FromStr for Address {
    type Err = AddrParseError;

    fn from_str(text: &str) -> Result<Self, AddrParseError> {
        let bare = text.strip_prefix('[').and_then(|text| text.strip_suffix(']'));
        match bare.unwrap_or(text).split_once('%') {
            Some((address, zone)) if !zone.is_empty() => {
                address.parse::<Ipv6Addr>().map(|address| Self(address.into()))
            }
            _ if bare.is_some() => bare.unwrap_or(text).parse().map(|it: Ipv6Addr| Self(it.into())),
            _ => text.parse().map(Self),
        }
    }
}

/// The protocol that a log names.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Protocol {
    Tcp,
    Udp,
    Http,
    Https,
    Icmp,
}

impl Protocol {
    pub const ALL: [Self; 5] = [Self::Tcp, Self::Udp, Self::Http, Self::Https, Self::Icmp];

    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Tcp => "TCP",
            Self::Udp => "UDP",
            Self::Http => "HTTP",
            Self::Https => "HTTPS",
            Self::Icmp => "ICMP",
        }
    }
}

impl FromStr for Protocol {
    type Err = anyhow::Error;

    fn from_str(text: &str) -> Result<Self> {
        let found = Self::ALL.into_iter().find(|one| one.name().eq_ignore_ascii_case(text));
        found.context("expected TCP, UDP, HTTP, HTTPS or ICMP")
    }
}

/// What the firewall did.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Action {
    Allow,
    Deny,
    Drop,
}

impl Action {
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Allow => "allow",
            Self::Deny => "deny",
            Self::Drop => "drop",
        }
    }
}

impl FromStr for Action {
    type Err = anyhow::Error;

    fn from_str(text: &str) -> Result<Self> {
        match text.to_ascii_lowercase().as_str() {
            "allow" => Ok(Self::Allow),
            "deny" => Ok(Self::Deny),
            "drop" => Ok(Self::Drop),
            _ => bail!("expected allow, deny or drop"),
        }
    }
}

/// An ordinary request.
#[cfg(test)]
pub(crate) fn example() -> Record {
    Record {
        timestamp: Timestamp::from_unix_secs(1_704_110_400),
        source_ip: IpAddr::from([192, 168, 1, 100]),
        destination_ip: IpAddr::from([10, 0, 0, 1]),
        source_port: 12_345,
        destination_port: 80,
        protocol: Protocol::Tcp,
        bytes_sent: 1_500,
        bytes_received: 500,
        action: Action::Allow,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(texts: &[String; 9]) -> Result<Record> {
        Record::parse(|name| {
            let position = RECORD_FIELDS.iter().position(|field| *field == name)?;
            (texts[position] != "absent").then(|| Cow::Borrowed(texts[position].as_str()))
        })
    }

    #[test]
    fn what_is_written_is_read() {
        let fields = example().fields();
        assert_eq!(fields[0], "2024-01-01T12:00:00Z");
        assert_eq!(parse(&fields).unwrap(), example());
        for protocol in Protocol::ALL {
            for action in [Action::Allow, Action::Deny, Action::Drop] {
                let record = Record { protocol, action, ..example() };
                assert_eq!(parse(&record.fields()).unwrap(), record);
            }
        }
    }

    #[test]
    fn what_is_wrong_is_named() {
        let check = |name: &str, text: &str, expected: &str| {
            let mut fields = example().fields();
            let position = RECORD_FIELDS.iter().position(|field| *field == name).unwrap();
            fields[position] = text.to_owned();
            let error = format!("{:#}", parse(&fields).unwrap_err());
            assert!(error.contains(name) && error.contains(expected), "{error}");
        };
        for name in RECORD_FIELDS {
            check(name, "absent", "is missing");
            check(name, "", "``");
            check(name, "x\u{1b}[31m", "`x\\u{1b}[31m`");
        }
        check("source_ip", "10.0.0.256", "`10.0.0.256`");
        check("source_port", "65536", "`65536`");
        check("destination_port", "-1", "`-1`");
        check("bytes_sent", "1500.0", "`1500.0`");
        check("bytes_received", "-5", "`-5`");
        check("protocol", "SCTP", "expected TCP, UDP, HTTP, HTTPS or ICMP");
        check("action", "reject", "expected allow, deny or drop");
        check("source_ip", "10.0.0.1%eth0", "invalid IPv6");
        check("source_ip", "fe80::1%", "`fe80::1%`");
        check("source_ip", &"x".repeat(100), &format!("`{}…`", "x".repeat(64)));
    }

    #[test]
    fn an_addresss_zone_and_brackets_do_not_count() {
        for text in ["fe80::1", "fe80::1%eth0", "fe80::1%3", "[fe80::1]", "[fe80::1%eth0]"] {
            let address: Address = text.parse().unwrap();
            assert_eq!(address.0.to_string(), "fe80::1", "{text}");
        }
        for text in ["[10.0.0.1]", "[fe80::1", "fe80::1]", "%eth0", ""] {
            assert!(text.parse::<Address>().is_err(), "{text}");
        }
    }
}
