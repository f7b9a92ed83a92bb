//! Records as the older service took them: nine fields, texts as texts and numbers as numbers.
//!
//! A number in quotes is refused, and so is one with a fraction: what is meant by it is not ours to
//! guess. What else is in a record is let pass.

use std::borrow::Cow;
use std::fmt::Display;
use std::net::IpAddr;
use std::str::FromStr;

use serde::Deserialize;
use serde::de::{Deserializer, IgnoredAny, MapAccess, SeqAccess, Visitor};
use utoipa::ToSchema;

use crate::features::record::{Action, Address, Protocol, excerpt};
use crate::features::{RECORD_FIELDS, Record, Timestamp};

/// A line of a firewall's or proxy's log
#[derive(ToSchema)]
#[schema(as = LogRecord, example = json!({
    "timestamp": "2024-01-01T12:00:00Z", "source_ip": "192.168.1.100",
    "destination_ip": "10.0.0.1", "source_port": 12345, "destination_port": 80,
    "protocol": "TCP", "bytes_sent": 1500, "bytes_received": 500, "action": "allow"
}))]
#[expect(dead_code, reason = "only the API document uses it")]
pub(super) struct RecordBody {
    /// RFC 3339, with or without a zone, or Unix seconds as text
    #[schema(format = DateTime)]
    timestamp: String,
    source_ip: String,
    destination_ip: String,
    #[schema(minimum = 0, maximum = 65535)]
    source_port: u16,
    #[schema(minimum = 0, maximum = 65535)]
    destination_port: u16,
    #[schema(value_type = ProtocolName)]
    protocol: String,
    /// From the source to the destination
    #[schema(minimum = 0)]
    bytes_sent: u64,
    /// From the destination to the source
    #[schema(minimum = 0)]
    bytes_received: u64,
    #[schema(value_type = ActionName)]
    action: String,
}

/// The protocol, in upper or lower case
#[derive(ToSchema)]
#[schema(rename_all = "UPPERCASE")]
#[expect(dead_code, reason = "only the API document uses it")]
pub(super) enum ProtocolName {
    Tcp,
    Udp,
    Http,
    Https,
    Icmp,
}

/// The firewall's action, in upper or lower case
#[derive(ToSchema)]
#[schema(rename_all = "lowercase")]
#[expect(dead_code, reason = "only the API document uses it")]
pub(super) enum ActionName {
    Allow,
    Deny,
    Drop,
}

/// What is wrong with a record.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Wrong {
    pub(super) field: &'static str,
    pub(super) detail: String,
}

/// A record's nine values as they are in the JSON, of any type.
#[derive(Debug, Default)]
pub(super) struct Fields<'a>([Option<Cell<'a>>; RECORD_FIELDS.len()]);

#[derive(Clone, Debug)]
enum Cell<'a> {
    Text(Cow<'a, str>),
    Whole(u64),
    /// Negative, too large, or with a fraction.
    Number(f64),
    /// What it is instead.
    Other(&'static str),
}

impl Fields<'_> {
    pub(super) fn record(&self) -> Result<Record, Wrong> {
        Ok(Record {
            timestamp: self.text::<Timestamp>(0)?,
            source_ip: self.address(1)?,
            destination_ip: self.address(2)?,
            source_port: self.port(3)?,
            destination_port: self.port(4)?,
            protocol: self.text::<Protocol>(5)?,
            bytes_sent: self.whole(6)?,
            bytes_received: self.whole(7)?,
            action: self.text::<Action>(8)?,
        })
    }

    fn cell(&self, at: usize) -> Result<&Cell<'_>, Wrong> {
        let cell = self.0.get(at).and_then(Option::as_ref);
        cell.ok_or_else(|| wrong(at, "missing: send all nine fields"))
    }

    fn text<T: FromStr<Err: Display>>(&self, at: usize) -> Result<T, Wrong> {
        match self.cell(at)? {
            Cell::Text(text) => text.parse().map_err(|error: T::Err| wrong(at, error)),
            other => Err(wrong(at, format!("expected a string, found {}", other.kind()))),
        }
    }

    fn address(&self, at: usize) -> Result<IpAddr, Wrong> {
        match self.cell(at)? {
            Cell::Text(text) => match text.parse::<Address>() {
                Ok(Address(address)) => Ok(address),
                Err(_) => Err(wrong(at, format!("`{}` is not an IP address", excerpt(text)))),
            },
            other => Err(wrong(at, format!("expected an IP address, found {}", other.kind()))),
        }
    }

    fn whole(&self, at: usize) -> Result<u64, Wrong> {
        match self.cell(at)? {
            Cell::Whole(number) => Ok(*number),
            // JSON has one kind of number: 1500.0 is 1500.
            Cell::Number(number)
                if number.fract() == 0.0 && (0.0..9_007_199_254_740_992.0).contains(number) =>
            {
                Ok(*number as u64)
            }
            Cell::Number(number) => {
                Err(wrong(at, format!("expected a whole number from 0, found {number}")))
            }
            other => Err(wrong(at, format!("expected a number, found {}", other.kind()))),
        }
    }

    fn port(&self, at: usize) -> Result<u16, Wrong> {
        let number = self.whole(at)?;
        u16::try_from(number)
            .map_err(|_| wrong(at, format!("{number} is not a port: use 0 to 65535")))
    }
}

fn wrong(at: usize, detail: impl Display) -> Wrong {
    let field = RECORD_FIELDS.get(at).copied().unwrap_or_default();
    Wrong { field, detail: format!("{field}: {detail}") }
}

impl Cell<'_> {
    fn kind(&self) -> &'static str {
        match self {
            Self::Text(_) => "a string",
            Self::Whole(_) | Self::Number(_) => "a number",
            Self::Other(kind) => kind,
        }
    }
}

impl<'de> Deserialize<'de> for Fields<'de> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_map(FieldsVisitor)
    }
}

struct FieldsVisitor;

impl<'de> Visitor<'de> for FieldsVisitor {
    type Value = Fields<'de>;

    fn expecting(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.write_str("a record: an object with nine fields")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Fields<'de>, A::Error> {
        let mut fields = Fields::default();
        while let Some(Name(name)) = map.next_key()? {
            match RECORD_FIELDS.iter().position(|field| *field == name) {
                Some(at) => fields.0[at] = Some(map.next_value()?),
                None => drop(map.next_value::<IgnoredAny>()?),
            }
        }
        Ok(fields)
    }
}

/// A name that is borrowed where it has no escapes.
struct Name<'a>(Cow<'a, str>);

impl<'de> Deserialize<'de> for Name<'de> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        match deserializer.deserialize_str(CellVisitor)? {
            Cell::Text(text) => Ok(Self(text)),
            other => Err(serde::de::Error::custom(format!("{} is not a known name", other.kind()))),
        }
    }
}

impl<'de> Deserialize<'de> for Cell<'de> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(CellVisitor)
    }
}

struct CellVisitor;

impl<'de> Visitor<'de> for CellVisitor {
    type Value = Cell<'de>;

    fn expecting(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.write_str("a value")
    }

    fn visit_borrowed_str<E>(self, text: &'de str) -> Result<Cell<'de>, E> {
        Ok(Cell::Text(Cow::Borrowed(text)))
    }

    fn visit_str<E>(self, text: &str) -> Result<Cell<'de>, E> {
        Ok(Cell::Text(Cow::Owned(text.to_owned())))
    }

    fn visit_u64<E>(self, number: u64) -> Result<Cell<'de>, E> {
        Ok(Cell::Whole(number))
    }

    fn visit_i64<E>(self, number: i64) -> Result<Cell<'de>, E> {
        Ok(u64::try_from(number).map_or(Cell::Number(number as f64), Cell::Whole))
    }

    fn visit_f64<E>(self, number: f64) -> Result<Cell<'de>, E> {
        Ok(Cell::Number(number))
    }

    fn visit_bool<E>(self, _: bool) -> Result<Cell<'de>, E> {
        Ok(Cell::Other("true or false"))
    }

    fn visit_unit<E>(self) -> Result<Cell<'de>, E> {
        Ok(Cell::Other("null"))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> Result<Cell<'de>, A::Error> {
        while list.next_element::<IgnoredAny>()?.is_some() {}
        Ok(Cell::Other("a list"))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Cell<'de>, A::Error> {
        while map.next_entry::<IgnoredAny, IgnoredAny>()?.is_some() {}
        Ok(Cell::Other("an object"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::features::record::example;

    const SAMPLE: &str = r#"{"timestamp":"2024-01-01T12:00:00Z","source_ip":"192.168.1.100",
        "destination_ip":"10.0.0.1","source_port":12345,"destination_port":80,"protocol":"TCP",
        "bytes_sent":1500,"bytes_received":500,"action":"allow"}"#;

    fn read(text: &str) -> Result<Record, Wrong> {
        serde_json::from_str::<Fields<'_>>(text).unwrap().record()
    }

    #[test]
    fn the_documented_sample_is_read() {
        assert_eq!(read(SAMPLE).unwrap(), example());
        let other = SAMPLE.replace("1500", "1500.0").replace("TCP", "tc\\u0070");
        assert_eq!(read(&other).unwrap(), example());
        assert_eq!(read(&SAMPLE.replace('{', r#"{"more":[{"a":null}],"#)).unwrap(), example());
    }

    #[test]
    fn what_is_wrong_is_named() {
        let check = |from: &str, to: &str, field: &str, detail: &str| {
            let text = SAMPLE.replacen(from, to, 1);
            assert_ne!(text, SAMPLE);
            let wrong = read(&text).unwrap_err();
            assert_eq!(wrong.field, field, "{text}");
            assert!(wrong.detail.contains(detail), "{}", wrong.detail);
        };
        for field in RECORD_FIELDS {
            check(&format!("\"{field}\""), "\"x\"", field, "missing");
            check(&format!("\"{field}\":"), &format!("\"{field}\":null,\"x\":"), field, "null");
        }
        check("12345", "\"12345\"", "source_port", "expected a number, found a string");
        check("12345", "65536", "source_port", "65536 is not a port");
        check("12345", "-1", "source_port", "from 0");
        check("1500", "1500.5", "bytes_sent", "1500.5");
        check("1500", "1e300", "bytes_sent", "whole number");
        check("1500", "[1500]", "bytes_sent", "a list");
        check("\"2024-01-01T12:00:00Z\"", "1704110400", "timestamp", "expected a string");
        check("2024-01-01T12:00:00Z", "yesterday", "timestamp", "is not a time");
        check("192.168.1.100", "192.168.1.300", "source_ip", "not an IP address");
        check("\"TCP\"", "\"SCTP\"", "protocol", "expected TCP");
        check("\"allow\"", "true", "action", "expected a string");
    }
}
