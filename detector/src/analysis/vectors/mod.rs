//! Vectors from comma-separated values: what `analyze --features` wrote, and records of a log.
//!
//! Strict: a column that is missing, one too many or mistyped is an error that names file, line and
//! column. The header shows which schema a file is in, in any order of its columns.

mod cells;
mod header;

use std::fs::File;
use std::io::Read;
use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result, ensure};
use csv::{ByteRecord, Reader, ReaderBuilder};

use crate::features::{ColumnSet, Kind, Selection};
use crate::network::Address;
use crate::store::models::samples;
use crate::store::{Store, is_database};
use cells::Cells;
use header::Header;

/// Whether the row is an exfiltration, where that is known.
pub(crate) const LABEL: &str = "label";

/// One row.
#[derive(Clone, Debug)]
pub struct Vector {
    /// Of the file, from 1.
    pub line: u64,
    pub subject: Subject,
    /// What the rules left open of the score, 0 to 1; 1 for a record, on which there are no rules.
    pub rules: f64,
    /// The host's baseline cut the forest's part in the score.
    pub baseline: bool,
    pub label: Option<bool>,
    /// Of the columns of the file, or of those that were asked for with [`VectorFile::select`].
    pub values: Vec<f32>,
}

/// Whom a row is about.
#[derive(Clone, Debug)]
pub struct Subject {
    /// The capture, and the session in it; none for a record.
    pub session: Option<(String, u64)>,
    /// As the file has it.
    pub time: String,
    pub src: Address,
    pub dst: Address,
    pub dst_port: u16,
    /// As IP numbers it.
    pub protocol: u8,
    /// None where the file does not say.
    pub bytes_out: Option<u64>,
}

/// A file that is read row by row.
pub struct VectorFile {
    path: PathBuf,
    reader: Reader<Box<dyn Read>>,
    header: Header,
    selection: Option<Selection>,
    row: ByteRecord,
}

impl VectorFile {
    pub fn open(path: &Path) -> Result<Self> {
        let file =
            File::open(path).with_context(|| format!("failed to open {}", path.display()))?;
        Self::read(path, file)
    }

    /// The same from elsewhere; messages name it `path`.
    pub fn read(path: &Path, input: impl Read + 'static) -> Result<Self> {
        let name = || path.display().to_string();
        let input: Box<dyn Read> = Box::new(input);
        // Rows of another width are for us to name.
        let mut reader = ReaderBuilder::new().flexible(true).from_reader(input);
        let header = reader.byte_headers().with_context(|| format!("failed to read {}", name()))?;
        let header = Header::of(header).with_context(|| format!("{}: line 1", name()))?;
        let row = ByteRecord::new();
        Ok(Self { path: path.to_owned(), reader, header, selection: None, row })
    }

    pub fn kind(&self) -> Kind {
        self.header.kind
    }

    /// What rows consist of before anything is selected: the columns of the schema that the file
    /// has.
    pub fn columns(&self) -> &ColumnSet {
        &self.header.columns
    }

    /// Has rows consist of the `wanted` columns, in their order.
    pub fn select(&mut self, wanted: &ColumnSet) -> Result<()> {
        let selection = self.header.select(wanted);
        let selection = selection.with_context(|| format!("{}: line 1", self.path.display()))?;
        self.selection = Some(selection);
        Ok(())
    }

    /// The next row; none at the end.
    pub fn read_next(&mut self) -> Result<Option<Vector>> {
        let name = self.path.display();
        let more = self.reader.read_byte_record(&mut self.row);
        if !more.with_context(|| format!("failed to read {name}"))? {
            return Ok(None);
        }
        let line = self.row.position().map_or(0, csv::Position::line);
        let cells = Cells { header: &self.header, row: &self.row };
        let mut vector = cells.vector(line).with_context(|| format!("{name}: line {line}"))?;
        if let Some(selection) = &self.selection {
            vector.values = selection
                .apply(&vector.values)
                .context("the row has another number of cells than the header")?;
        }
        Ok(Some(vector))
    }

    /// The next row of a file to learn from or to measure on.
    pub(crate) fn next_labelled(&mut self) -> Result<Option<(Vector, bool)>> {
        let Some(vector) = self.read_next()? else { return Ok(None) };
        let label = vector.label.with_context(|| {
            format!("{}: line 1: column {LABEL} is missing", self.path.display())
        })?;
        Ok(Some((vector, label)))
    }
}

/// The schema that everything at `paths` is in: captures, which directories hold, files, and
/// databases.
pub(crate) fn common_kind(paths: &[PathBuf]) -> Result<Kind> {
    let mut common: Option<(Kind, &Path)> = None;
    for path in paths {
        // A database may hold vectors of both.
        if is_database(path) {
            continue;
        }
        let kind = if path.is_file() { VectorFile::open(path)?.kind() } else { Kind::Session };
        let (first, other) = *common.get_or_insert((kind, path));
        ensure!(
            first == kind,
            "{} has schema {} and {} has schema {}: train a model on one of them",
            other.display(),
            first.schema_name(),
            path.display(),
            kind.schema_name()
        );
    }
    match common {
        Some((kind, _)) => Ok(kind),
        None => kind_of_samples(paths),
    }
}

/// The schema of what people have labelled in databases: that of sessions, unless there are records
/// only.
fn kind_of_samples(databases: &[PathBuf]) -> Result<Kind> {
    let mut records = false;
    for path in databases {
        let store = Store::open_existing(path)?;
        let any = |kind: Kind| {
            let any = |connection: &_| samples(connection, kind, kind.column_set(), 1);
            store.read(|connection| Ok(!any(connection)?.0.is_empty()))
        };
        if any(Kind::Session)? {
            return Ok(Kind::Session);
        }
        records |= any(Kind::Record)?;
    }
    Ok(if records { Kind::Record } else { Kind::Session })
}

#[cfg(test)]
mod tests {
    use std::io::Cursor;

    use super::*;
    use crate::analysis::features::SESSION_FIELDS;

    const FIELDS: &str = "a.pcap,1,2024-01-01T12:00:00Z,10.0.0.7,192.0.2.1,443,tcp,0.5,1,false";

    fn file(columns: &[&str], values: &str) -> Result<VectorFile> {
        let header = SESSION_FIELDS.iter().chain(columns).copied().collect::<Vec<_>>().join(",");
        let text = format!("{header}\n{FIELDS},{values}\n");
        VectorFile::read(Path::new("input"), Cursor::new(text))
    }

    /// A file from before columns were added, and one whose columns are otherwise.
    #[test]
    fn rows_are_read_by_name() {
        let column = |name: &str| {
            let mut all = Kind::Session.column_set().iter();
            all.find(|column| column.name == name).cloned().unwrap()
        };
        let wanted = ["flows", "sent_rate"].map(|name| (name.to_owned(), column(name).hash));
        let wanted = ColumnSet::new(wanted);
        let check = |columns: &[&str], values: &str| {
            let mut file = file(columns, values).unwrap();
            file.select(&wanted).unwrap();
            assert_eq!(file.read_next().unwrap().unwrap().values, [2.0, 7.0], "{columns:?}");
        };
        check(&["sent_rate", "flows"], "7,2");
        check(&["flows", "duration", "sent_rate"], "2,3,7");
        let error = file(&["flows"], "2").unwrap().select(&wanted).unwrap_err();
        let expected = "input: line 1: column sent_rate is missing, as schema session has it";
        assert_eq!(format!("{error:#}"), expected);
        assert!(file(&["flows", "colour"], "2,3").is_err());
    }
}
