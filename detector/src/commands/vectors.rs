//! Vectors from comma-separated values: what `analyze --features` wrote, and records of a log.
//!
//! Strict: a column that is missing, one too many or mistyped is an error that names file, line and
//! column. The header tells which schema a file is in, in any order of its columns.

use std::collections::HashMap;
use std::fmt::Display;
use std::fs::File;
use std::net::IpAddr;
use std::path::{Path, PathBuf};
use std::str::FromStr;

use anyhow::{Context as _, Result, anyhow, bail, ensure};
use csv::{ByteRecord, Reader, ReaderBuilder};

use crate::features::record::Protocol;
use crate::features::{Kind, RECORD_FIELDS, Record, Timestamp, record_vector};
use crate::verdict::alert::protocol_name;

/// What stands before a session's columns.
pub(super) const SESSION_FIELDS: [&str; 9] =
    ["file", "session", "time", "src", "dst", "dst_port", "protocol_name", "score", "rules"];

/// Whether the row is a theft, where that is known.
pub(super) const LABEL: &str = "label";

/// One row.
#[derive(Clone, Debug)]
pub(super) struct Vector {
    /// Of the file, from 1.
    pub(super) line: u64,
    pub(super) subject: Subject,
    /// What the rules left open of the score, 0 to 1; 1 for a record, on which there are no rules.
    pub(super) rules: f64,
    pub(super) label: Option<bool>,
    /// In the order of the schema.
    pub(super) values: Vec<f32>,
}

/// Whom a row is about.
#[derive(Clone, Debug)]
pub(super) struct Subject {
    /// The capture, and the session in it; none for a record.
    pub(super) session: Option<(String, u64)>,
    /// As the file has it.
    pub(super) time: String,
    pub(super) src: IpAddr,
    pub(super) dst: IpAddr,
    pub(super) dst_port: u16,
    /// As IP numbers it.
    pub(super) protocol: u8,
    /// None where the file does not say.
    pub(super) bytes_out: Option<u64>,
}

/// A file that is read row by row.
#[derive(Debug)]
pub(super) struct VectorFile {
    path: PathBuf,
    reader: Reader<File>,
    header: Header,
    row: ByteRecord,
}

impl VectorFile {
    /// # Errors
    ///
    /// A file that cannot be read, or whose header is of neither schema or not whole.
    pub(super) fn open(path: &Path) -> Result<Self> {
        let name = || path.display().to_string();
        let file = File::open(path).with_context(|| format!("failed to open {}", name()))?;
        // Rows of another width are for us to name.
        let mut reader = ReaderBuilder::new().flexible(true).from_reader(file);
        let header = reader.byte_headers().with_context(|| format!("failed to read {}", name()))?;
        let header = Header::of(header).with_context(|| format!("{}: line 1", name()))?;
        Ok(Self { path: path.to_owned(), reader, header, row: ByteRecord::new() })
    }

    pub(super) fn kind(&self) -> Kind {
        self.header.kind
    }

    /// The next row; none at the end.
    ///
    /// # Errors
    ///
    /// A row that is not understood.
    pub(super) fn next(&mut self) -> Result<Option<Vector>> {
        let name = self.path.display();
        let more = self.reader.read_byte_record(&mut self.row);
        if !more.with_context(|| format!("failed to read {name}"))? {
            return Ok(None);
        }
        let line = self.row.position().map_or(0, csv::Position::line);
        let cells = Cells { header: &self.header, row: &self.row };
        cells.vector(line).map(Some).with_context(|| format!("{name}: line {line}"))
    }

    /// The next row of a file to learn from or to measure on.
    ///
    /// # Errors
    ///
    /// Those of [`VectorFile::next`], and a row without a label.
    pub(super) fn next_labelled(&mut self) -> Result<Option<(Vector, bool)>> {
        let Some(vector) = self.next()? else { return Ok(None) };
        let label = vector.label.with_context(|| {
            format!("{}: line 1: column {LABEL} is missing", self.path.display())
        })?;
        Ok(Some((vector, label)))
    }
}

/// The schema that everything at `paths` is in: captures, which directories hold, and files.
///
/// # Errors
///
/// Two schemas, or a file of neither.
pub(super) fn common_kind(paths: &[PathBuf]) -> Result<Kind> {
    let mut common: Option<(Kind, &Path)> = None;
    for path in paths {
        let kind = if path.is_file() { VectorFile::open(path)?.kind() } else { Kind::Session };
        let (first, other) = *common.get_or_insert((kind, path));
        ensure!(
            first == kind,
            "{} is in schema {} and {} in schema {}: a model reads one of them",
            other.display(),
            first.schema_name(),
            path.display(),
            kind.schema_name()
        );
    }
    Ok(common.map_or(Kind::Session, |(kind, _)| kind))
}

/// Where each column stands.
#[derive(Debug)]
struct Header {
    kind: Kind,
    places: HashMap<String, usize>,
    /// Of the schema's columns, in its order; none where they are computed from the fields.
    values: Vec<(&'static str, usize)>,
    width: usize,
}

impl Header {
    fn of(row: &ByteRecord) -> Result<Self> {
        let mut places = HashMap::new();
        for (place, name) in row.iter().enumerate() {
            let name = String::from_utf8_lossy(name).trim().to_owned();
            if let Some(first) = places.insert(name.clone(), place) {
                bail!(
                    "column {name:?} stands there twice, as number {} and {}",
                    first + 1,
                    place + 1
                );
            }
        }
        let kind = nearest(&places)?;
        let required = required(kind);
        if let Some(missing) = required.iter().find(|name| !places.contains_key(**name)) {
            bail!("column {missing} is missing, as schema {} has it", kind.schema_name());
        }
        let known = |name: &str| name == LABEL || required.contains(&name);
        let mut names: Vec<&String> = places.keys().filter(|name| !known(name)).collect();
        names.sort_by_key(|name| places[*name]);
        if let Some(extra) = names.first() {
            bail!("column {extra:?} is not one of schema {}", kind.schema_name());
        }
        let values = match kind {
            Kind::Session => kind.columns().into_iter().map(|name| (name, places[name])).collect(),
            Kind::Record => Vec::new(),
        };
        Ok(Self { kind, places, values, width: row.len() })
    }
}

fn required(kind: Kind) -> Vec<&'static str> {
    match kind {
        Kind::Session => SESSION_FIELDS.into_iter().chain(kind.columns()).collect(),
        Kind::Record => RECORD_FIELDS.to_vec(),
    }
}

/// The schema that most of the names are of.
fn nearest(places: &HashMap<String, usize>) -> Result<Kind> {
    let known =
        |kind: Kind| required(kind).iter().filter(|name| places.contains_key(**name)).count();
    let best = Kind::ALL.into_iter().max_by_key(|kind| known(*kind));
    best.filter(|kind| known(*kind) > 0).with_context(|| {
        let names = Kind::ALL.map(Kind::schema_name).join(" nor ");
        format!("this is neither in schema {names}: no column has a name that we know")
    })
}

/// A row with the names of its cells.
struct Cells<'a> {
    header: &'a Header,
    row: &'a ByteRecord,
}

impl Cells<'_> {
    fn vector(&self, line: u64) -> Result<Vector> {
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
            bail!("column {name} is missing: there are {found} cells for {width} columns");
        }
        ensure!(found == width, "there are {found} cells for {width} columns");
        Ok(())
    }

    fn text(&self, name: &str) -> Option<std::borrow::Cow<'_, str>> {
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
        Ok(Vector { line, subject, rules, label, values })
    }

    fn value(&self, name: &str, place: usize) -> Result<f32> {
        let text = self.row.get(place).and_then(|cell| str::from_utf8(cell).ok());
        let value =
            text.and_then(|text| text.parse::<f32>().ok()).filter(|value| value.is_finite());
        value.with_context(|| {
            format!(
                "column {name}: `{}` is no finite number",
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
            src: record.source_ip,
            dst: record.destination_ip,
            dst_port: record.destination_port,
            protocol: match record.protocol {
                Protocol::Tcp | Protocol::Http | Protocol::Https => 6,
                Protocol::Udp => 17,
                Protocol::Icmp => 1,
            },
            bytes_out: Some(record.bytes_sent),
        };
        Ok(Vector { line, subject, rules: 1.0, label, values })
    }
}

/// A protocol by the name that we write.
struct Named(u8);

impl FromStr for Named {
    type Err = anyhow::Error;

    fn from_str(text: &str) -> Result<Self> {
        let number = (0..=u8::MAX).find(|number| protocol_name(*number) == text);
        number.map(Self).context("expected a protocol such as tcp")
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
