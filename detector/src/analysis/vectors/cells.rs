//! The cells of one row, read strictly: what is wrong is named by its column.

use std::borrow::Cow;
use std::fmt::Display;
use std::str::FromStr;

use anyhow::{Context as _, Result, anyhow, bail, ensure};
use csv::ByteRecord;

use super::header::Header;
use super::{LABEL, Subject, Vector};
use crate::features::record::Protocol;
use crate::features::{Kind, Record, Timestamp, record_vector};
use crate::verdict::alert::protocol_number;

/// A row with the names of its cells.
pub(super) struct Cells<'a> {
    pub(super) header: &'a Header,
    pub(super) row: &'a ByteRecord,
}

impl Cells<'_> {
    pub(super) fn vector(&self, line: u64) -> Result<Vector> {
        self.check_width()?;
        let label = self.label()?;
        match self.header.kind {
            Kind::Session => self.session(line, label),
            Kind::Record => self.record(line, label),
        }
    }

    fn check_width(&self) -> Result<()> {
        let (width, found) = (self.header.width, self.row.len());
        if found < width {
            let missing = self.header.places.iter().find(|(_, place)| **place == found);
            let name = missing.map_or("", |(name, _)| name);
            bail!("column {name} is missing: the row has {found} cells for {width} columns");
        }
        ensure!(found == width, "the row has {found} cells for {width} columns");
        Ok(())
    }

    fn text(&self, name: &str) -> Option<Cow<'_, str>> {
        let place = *self.header.places.get(name)?;
        self.row.get(place).map(String::from_utf8_lossy)
    }

    fn parse<T: FromStr<Err: Display>>(&self, name: &str) -> Result<T> {
        let text = self.text(name).with_context(|| format!("column {name} is missing"))?;
        text.parse().map_err(|error| anyhow!("column {name}: `{}`: {error}", text.escape_debug()))
    }

    fn label(&self) -> Result<Option<bool>> {
        let Some(text) = self.text(LABEL) else { return Ok(None) };
        match text.to_ascii_lowercase().as_str() {
            "1" | "true" => Ok(Some(true)),
            "0" | "false" => Ok(Some(false)),
            other => bail!("column {LABEL}: `{}`: expected 0 or 1", other.escape_debug()),
        }
    }

    fn session(&self, line: u64, label: Option<bool>) -> Result<Vector> {
        let time = self.text("time").unwrap_or_default().into_owned();
        self.parse::<Timestamp>("time")?;
        let subject = Subject {
            session: Some((self.parse("file")?, self.parse("session")?)),
            time,
            src: self.parse("src")?,
            dst: self.parse("dst")?,
            dst_port: self.parse("dst_port")?,
            protocol: self.parse::<Named>("protocol_name")?.0,
            bytes_out: None,
        };
        self.parse::<Share>("score")?;
        let rules = self.parse::<Share>("rules")?.0;
        let value = |(name, place): &(&'static str, usize)| self.value(name, *place);
        let values = self.header.values.iter().map(value).collect::<Result<_>>()?;
        let baseline = self.parse::<bool>("baseline")?;
        Ok(Vector { line, subject, rules, baseline, label, values })
    }

    fn value(&self, name: &str, place: usize) -> Result<f32> {
        let text = self.row.get(place).and_then(|cell| str::from_utf8(cell).ok());
        let value =
            text.and_then(|text| text.parse::<f32>().ok()).filter(|value| value.is_finite());
        value.with_context(|| {
            format!(
                "column {name}: `{}` is not a finite number",
                text.unwrap_or_default().escape_debug()
            )
        })
    }

    fn record(&self, line: u64, label: Option<bool>) -> Result<Vector> {
        let record = Record::parse(|name| self.text(name))?;
        let mut values = Vec::new();
        record_vector(&record, &mut values);
        let subject = Subject {
            session: None,
            time: self.text("timestamp").unwrap_or_default().into_owned(),
            src: record.source_ip.into(),
            dst: record.destination_ip.into(),
            dst_port: record.destination_port,
            protocol: match record.protocol {
                Protocol::Tcp | Protocol::Http | Protocol::Https => 6,
                Protocol::Udp => 17,
                Protocol::Icmp => 1,
            },
            bytes_out: Some(record.bytes_sent),
        };
        Ok(Vector { line, subject, rules: 1.0, baseline: false, label, values })
    }
}

/// A protocol by the name that we write.
struct Named(u8);

impl FromStr for Named {
    type Err = anyhow::Error;

    fn from_str(text: &str) -> Result<Self> {
        protocol_number(text).map(Self).context("expected a protocol such as tcp")
    }
}

/// A number from 0 to 1.
struct Share(f64);

impl FromStr for Share {
    type Err = anyhow::Error;

    fn from_str(text: &str) -> Result<Self> {
        let value = text.parse::<f64>().ok().filter(|value| (0.0..=1.0).contains(value));
        value.map(Self).context("expected a number from 0 to 1")
    }
}
