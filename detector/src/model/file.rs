//! The model file: metadata and forest in one file of our own.
//!
//! ```text
//! magic "DTCTMODL" · u32 format version · u32 metadata bytes · metadata, JSON
//! u32 columns · u32 trees · u32 nodes of each tree
//! per tree: u16 column of each node (65535: leaf) · f32 threshold of each split
//!           f64 mean of each node
//! u32 CRC-32 of all before
//! ```
//!
//! Little-endian throughout. Nodes are in breadth-first order, which gives the children, so a
//! cycle cannot be written. The checksum finds damage, not malice: a model is trusted like the
//! program that reads it. There is no date in it, so that training twice gives the same file.

use std::fmt::{self, Display, Formatter};
use std::fs::{self, File, OpenOptions};
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use anyhow::{Context as _, Result, anyhow, bail, ensure};
use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};

use super::calibrate::Calibration;
use super::evaluate::Report;
use super::forest::{Forest, Split, TreeNode};
use super::table::Table;
use super::train::{TrainConfig, Trained};
use crate::features::columns::ColumnId;
use crate::features::{ColumnSet, Kind, Mismatch, Selection};

const MAGIC: &[u8; 8] = b"DTCTMODL";
const FORMAT_VERSION: u32 = 2;
const CHECKSUM_BYTES: usize = 4;
const LEAF: u16 = u16::MAX;

/// A forest with all that is needed to use it and to know where it comes from.
#[derive(Clone, Debug, PartialEq)]
pub struct Model {
    /// What the forest is for and how it was made.
    pub meta: Meta,
    /// Scores rows of the columns that `meta` names, in its order.
    pub forest: Arc<Forest>,
}

/// Stored as JSON at the head of the file.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Meta {
    /// What the rows describe, and the columns that are read.
    #[serde(flatten)]
    pub schema: Schema,
    /// A score at or above it is over the threshold.
    pub threshold: f64,
    /// Share of the impurity removed by each column; sums to 1.
    pub importances: Vec<f64>,
    /// What the trees were grown with, the seed among it.
    pub config: TrainConfig,
    /// What they were grown on.
    pub training: TrainingSummary,
    /// Out-of-fold figures at the threshold, when there was a validation.
    pub validation: Option<Report>,
    /// Parts that the data was divided into for these figures; 0: trained without. None in models
    /// that do not say.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub folds: Option<usize>,
    /// Of each column, between which values nine of ten ordinary rows lie; empty in models that do
    /// not say.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub ordinary: Vec<(f32, f32)>,
    /// From scores to probabilities; none in models that have not been calibrated.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub calibration: Option<Calibration>,
    /// Program and version that trained the model.
    pub created_by: String,
}

/// The columns that a model reads.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Schema {
    /// What the rows describe.
    #[serde(rename = "schema")]
    pub name: String,
    /// In the order of the forest's column numbers.
    pub columns: ColumnSet,
}

impl Schema {
    /// All columns of this kind that this program computes.
    #[must_use]
    pub fn of(kind: Kind) -> Self {
        Self { name: kind.schema_name().to_owned(), columns: kind.column_set().clone() }
    }
}

/// `session-0123456789abcdef`: the name, and the hash over the columns.
impl Display for Schema {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        write!(f, "{}-{:016x}", self.name, self.columns.hash())
    }
}

/// Counts over the training table.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct TrainingSummary {
    /// Rows of either label.
    pub rows: usize,
    /// Rows that belong to an exfiltration.
    pub positive_rows: usize,
    /// Distinct sessions.
    pub sessions: usize,
    /// Sessions with a positive row.
    pub positive_sessions: usize,
    /// Captures and scenarios.
    pub groups: usize,
    /// Groups with a positive row.
    pub positive_groups: usize,
}

impl TrainingSummary {
    /// Counts what `table` holds.
    pub fn of(table: &Table) -> Self {
        Self {
            rows: table.len(),
            positive_rows: table.labels.iter().filter(|label| **label).count(),
            sessions: distinct(&table.sessions),
            positive_sessions: distinct(positive(&table.sessions, &table.labels)),
            groups: distinct(&table.groups),
            positive_groups: distinct(positive(&table.groups, &table.labels)),
        }
    }
}

/// The values that one in twenty ordinary rows lie below and above, column by column.
fn ordinary(table: &Table) -> Vec<(f32, f32)> {
    const TAIL: f64 = 0.05;
    let rows: Vec<&[f32]> =
        (0..table.len()).filter(|row| !table.labels[*row]).map(|row| table.row(row)).collect();
    let last = rows.len().saturating_sub(1) as f64;
    let range = |column: usize| {
        let mut values: Vec<f32> = rows.iter().filter_map(|row| row.get(column).copied()).collect();
        values.sort_unstable_by(f32::total_cmp);
        let at = |share: f64| values.get((share * last) as usize).copied().unwrap_or(0.0);
        (at(TAIL), at(1.0 - TAIL))
    };
    (0..table.columns.len()).map(range).collect()
}

fn positive<'a, T>(values: &'a [T], labels: &'a [bool]) -> impl Iterator<Item = &'a T> {
    values.iter().zip(labels).filter(|(_, label)| **label).map(|(value, _)| value)
}

fn distinct<'a, T: Ord + 'a>(values: impl IntoIterator<Item = &'a T>) -> usize {
    values.into_iter().collect::<std::collections::BTreeSet<_>>().len()
}

impl Model {
    /// Joins what training gave with what it was given.
    pub fn new(
        schema: Schema,
        table: &Table,
        config: &TrainConfig,
        trained: Trained,
        threshold: f64,
        validation: Option<Report>,
    ) -> Result<Self> {
        ensure!(
            schema.columns.names().eq(table.columns.iter().map(String::as_str)),
            "the table's columns differ from schema {}",
            schema.name
        );
        let meta = Meta {
            schema,
            threshold,
            importances: trained.importances,
            config: config.clone(),
            training: TrainingSummary::of(table),
            validation,
            folds: None,
            ordinary: ordinary(table),
            calibration: None,
            created_by: concat!("detector ", env!("CARGO_PKG_VERSION")).into(),
        };
        let model = Self { meta, forest: Arc::new(trained.forest) };
        model.check()?;
        Ok(model)
    }

    /// The forest's output as a probability.
    #[must_use]
    pub fn probability(&self, raw_score: f64) -> f64 {
        self.meta.calibration.as_ref().map_or(raw_score, |calibration| calibration.apply(raw_score))
    }

    /// Finds the columns that the model reads in this program's rows of this kind.
    pub fn selection(&self, kind: Kind) -> Result<Selection> {
        const REMEDY: &str = "train it again with `detector train`, or use the built-in model";
        let Schema { name, columns } = &self.meta.schema;
        let expected = kind.schema_name();
        ensure!(
            name == expected,
            "the model is for schema {name}, schema {expected} is needed: {REMEDY}"
        );
        kind.column_set().select(columns).map_err(|mismatch| {
            let Mismatch { wanted: ColumnId { name, hash }, found } = mismatch;
            match found {
                Some(found) => anyhow!(
                    "the model reads column {name} by definition {hash:016x}, this program \
                     computes \
                     it by definition {found:016x}: {REMEDY}"
                ),
                None => anyhow!(
                    "the model reads column {name} (definition {hash:016x}), this program has no \
                     such \
                     column: {REMEDY}"
                ),
            }
        })
    }

    fn check(&self) -> Result<()> {
        let (meta, columns) = (&self.meta, self.forest.columns());
        ensure!(
            meta.threshold.is_finite(),
            "the threshold is {}: it must be 0 to 1",
            meta.threshold
        );
        ensure!(
            meta.schema.columns.len() == columns,
            "{} column names for {columns} columns",
            meta.schema.columns.len()
        );
        ensure!(
            meta.importances.len() == columns,
            "{} importances for {columns} columns",
            meta.importances.len()
        );
        ensure!(
            meta.config.trees == self.forest.tree_count(),
            "{} trees announced, {} found",
            meta.config.trees,
            self.forest.tree_count()
        );
        meta.calibration.as_ref().map_or(Ok(()), Calibration::check)
    }

    /// Reads a model file.
    pub fn read(path: &Path) -> Result<Self> {
        let bytes =
            fs::read(path).with_context(|| format!("failed to read model {}", path.display()))?;
        Self::from_bytes(&bytes).with_context(|| format!("failed to load model {}", path.display()))
    }

    /// Reads a model from the bytes of its file.
    pub fn from_bytes(bytes: &[u8]) -> Result<Self> {
        let mut reader = Reader { rest: bytes };
        ensure!(reader.take(MAGIC.len())? == MAGIC, "this is not a detector model");
        let version = reader.u32()?;
        ensure!(
            version == FORMAT_VERSION,
            "the model has format version {version}, this program reads {FORMAT_VERSION}"
        );
        let body_bytes = bytes.len().saturating_sub(CHECKSUM_BYTES);
        let (body, checksum) = bytes.split_at(body_bytes);
        let (stored, computed) = (Reader { rest: checksum }.u32()?, crc32fast::hash(body));
        ensure!(
            stored == computed,
            "the model is damaged: checksum {computed:08x} instead of {stored:08x}"
        );

        let metadata_bytes = reader.u32()? as usize;
        let meta = serde_json::from_slice(reader.take(metadata_bytes)?)
            .context("failed to read the metadata")?;
        let forest = reader.forest().context("failed to read the forest")?;
        ensure!(
            reader.rest.len() == CHECKSUM_BYTES,
            "{} bytes follow the forest",
            reader.rest.len()
        );
        let model = Self { meta, forest: Arc::new(forest) };
        model.check()?;
        Ok(model)
    }

    /// The bytes of the model's file.
    pub fn to_bytes(&self) -> Result<Vec<u8>> {
        let metadata =
            serde_json::to_vec_pretty(&self.meta).context("failed to write the metadata")?;
        let mut bytes = MAGIC.to_vec();
        put_u32(&mut bytes, FORMAT_VERSION as usize)?;
        put_u32(&mut bytes, metadata.len())?;
        bytes.extend_from_slice(&metadata);
        put_u32(&mut bytes, self.forest.columns())?;
        put_u32(&mut bytes, self.forest.tree_count())?;
        let trees: Vec<_> = self.forest.trees().collect();
        for tree in &trees {
            put_u32(&mut bytes, tree.len())?;
        }
        for tree in &trees {
            put_tree(&mut bytes, tree);
        }
        let checksum = crc32fast::hash(&bytes);
        bytes.extend_from_slice(&checksum.to_le_bytes());
        Ok(bytes)
    }

    /// Names the model: the first 64 bits of its file's SHA-256, in hexadecimal digits.
    pub fn hash(&self) -> Result<String> {
        let digest = Sha256::digest(self.to_bytes()?);
        Ok(digest.iter().take(8).map(|byte| format!("{byte:02x}")).collect())
    }

    /// Writes the model so that `path` holds either its former content or all of this model,
    /// whatever happens.
    ///
    /// # Errors
    ///
    /// When the directory cannot be written to; nothing is left behind then.
    pub fn write(&self, path: &Path) -> Result<()> {
        let bytes = self.to_bytes()?;
        let temporary = temporary_beside(path)?;
        let written = write_synced(&temporary, &bytes).and_then(|()| fs::rename(&temporary, path));
        if let Err(error) = written {
            // The first error is the one to report.
            drop(fs::remove_file(&temporary));
            return Err(error).with_context(|| format!("failed to write model {}", path.display()));
        }
        sync_directory(path)
            .with_context(|| format!("failed to write {} to the disk", path.display()))
    }
}

fn temporary_beside(path: &Path) -> Result<PathBuf> {
    let name =
        path.file_name().with_context(|| format!("{} is not a file's name", path.display()))?;
    let mut hidden = std::ffi::OsString::from(".");
    hidden.push(name);
    hidden.push(format!(".{}.tmp", std::process::id()));
    Ok(path.with_file_name(hidden))
}

fn write_synced(path: &Path, bytes: &[u8]) -> std::io::Result<()> {
    let mut file = OpenOptions::new().write(true).create(true).truncate(true).open(path)?;
    file.write_all(bytes)?;
    file.sync_all()
}

/// A rename survives a power cut only once its directory is synced.
fn sync_directory(path: &Path) -> std::io::Result<()> {
    let parent = path.parent().filter(|parent| !parent.as_os_str().is_empty());
    File::open(parent.unwrap_or(Path::new(".")))?.sync_all()
}

fn put_u32(bytes: &mut Vec<u8>, value: usize) -> Result<()> {
    let value =
        u32::try_from(value).with_context(|| format!("{value} does not fit the model format"))?;
    bytes.extend_from_slice(&value.to_le_bytes());
    Ok(())
}

fn put_tree(bytes: &mut Vec<u8>, tree: &[TreeNode]) {
    for node in tree {
        bytes.extend_from_slice(&node.split.map_or(LEAF, |split| split.column).to_le_bytes());
    }
    for split in tree.iter().filter_map(|node| node.split) {
        bytes.extend_from_slice(&split.threshold.to_le_bytes());
    }
    for node in tree {
        bytes.extend_from_slice(&node.mean.to_le_bytes());
    }
}

/// What is left to read. Lengths are checked against it before anything of that length is
/// allocated.
struct Reader<'a> {
    rest: &'a [u8],
}

impl<'a> Reader<'a> {
    fn take(&mut self, count: usize) -> Result<&'a [u8]> {
        let Some((taken, rest)) = self.rest.split_at_checked(count) else {
            bail!("the model is truncated: {count} bytes expected, {} left", self.rest.len());
        };
        self.rest = rest;
        Ok(taken)
    }

    fn values<const N: usize>(&mut self, count: usize) -> Result<&'a [[u8; N]]> {
        let bytes = count
            .checked_mul(N)
            .with_context(|| format!("the model is damaged: {count} values are too many"))?;
        Ok(self.take(bytes)?.as_chunks().0)
    }

    fn u32(&mut self) -> Result<u32> {
        let [value] = self.values(1)? else { bail!("the model is truncated") };
        Ok(u32::from_le_bytes(*value))
    }

    fn forest(&mut self) -> Result<Forest> {
        let columns = self.u32()? as usize;
        let trees = self.u32()? as usize;
        let sizes = self.values(trees)?;
        let trees = sizes
            .iter()
            .map(|size| self.tree(u32::from_le_bytes(*size) as usize))
            .collect::<Result<Vec<_>>>()?;
        Forest::from_trees(columns, &trees)
    }

    fn tree(&mut self, nodes: usize) -> Result<Vec<TreeNode>> {
        let columns = self.values(nodes)?;
        let splits = columns.iter().filter(|column| u16::from_le_bytes(**column) != LEAF).count();
        let mut thresholds = self.values(splits)?.iter();
        let means = self.values(nodes)?;
        let node = |(column, mean): (&[u8; 2], &[u8; 8])| {
            let column = u16::from_le_bytes(*column);
            let split = if column == LEAF { None } else { thresholds.next() };
            let split =
                split.map(|threshold| Split { column, threshold: f32::from_le_bytes(*threshold) });
            TreeNode { mean: f64::from_le_bytes(*mean), split }
        };
        Ok(columns.iter().zip(means).map(node).collect())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::evaluate::report;
    use crate::model::train::train;
    use crate::model::validate::cross_validate;

    fn small_model() -> Model {
        let table = Table::noise(120, 3, 5);
        let config = TrainConfig { trees: 3, depth: 3, seed: u64::MAX, ..TrainConfig::default() };
        let scored = cross_validate(&table, &config, 2).unwrap();
        // A threshold that a careless reader of decimal numbers gets wrong in the last bit.
        let threshold = 0.500_000_000_000_000_1_f64.next_up() / 3.0;
        let columns = table.columns.iter().cloned().zip(0xfedc_ba98_7654_3210..);
        let schema = Schema { name: "flow".into(), columns: ColumnSet::new(columns) };
        let trained = train(&table, &config).unwrap();
        Model::new(schema, &table, &config, trained, threshold, Some(report(&scored, threshold)))
            .unwrap()
    }

    #[test]
    fn what_was_written_is_read() {
        let mut model = small_model();
        let points = vec![(0.1, 1.0 / 3.0), (0.2, 0.7)];
        model.meta.calibration = Some(Calibration { prior: 0.01, points });
        let bytes = model.to_bytes().unwrap();
        let read = Model::from_bytes(&bytes).unwrap();
        assert_eq!(read.forest, model.forest);
        assert_eq!(read.meta.threshold.to_bits(), model.meta.threshold.to_bits());
        assert_eq!(read.meta.importances, model.meta.importances);
        assert_eq!(read.meta, Meta { config: read.meta.config.clone(), ..model.meta });
        assert_eq!(read.to_bytes().unwrap(), bytes);
    }

    #[test]
    fn every_damaged_byte_is_an_error() {
        let mut bytes = small_model().to_bytes().unwrap();
        for position in 0..bytes.len() {
            for damage in [0x01, 0x80, 0xff] {
                bytes[position] ^= damage;
                assert!(
                    Model::from_bytes(&bytes).is_err(),
                    "byte {position} damaged by {damage:#x} was not noticed"
                );
                bytes[position] ^= damage;
            }
        }
    }

    #[test]
    fn every_truncation_and_addition_is_an_error() {
        let mut bytes = small_model().to_bytes().unwrap();
        for length in 0..bytes.len() {
            assert!(
                Model::from_bytes(&bytes[..length]).is_err(),
                "cut to {length} bytes was not noticed"
            );
        }
        bytes.push(0);
        assert!(Model::from_bytes(&bytes).is_err());
    }

    /// Damage that a valid checksum covers: written so, or by a faulty program.
    #[test]
    fn nonsense_under_a_valid_checksum_never_panics() {
        let sound = small_model().to_bytes().unwrap();
        let body = sound.len() - CHECKSUM_BYTES;
        for position in MAGIC.len()..body {
            for damage in [0x01, 0x80, 0xff] {
                let mut bytes = sound.clone();
                bytes[position] ^= damage;
                let checksum = crc32fast::hash(&bytes[..body]);
                bytes[body..].copy_from_slice(&checksum.to_le_bytes());
                if let Ok(model) = Model::from_bytes(&bytes) {
                    assert!(model.forest.score(&[0.5; 3]).is_finite());
                }
            }
        }
    }

    #[test]
    fn errors_say_what_is_wrong() {
        let check = |bytes: &[u8], expected: &str| {
            let error = format!("{:#}", Model::from_bytes(bytes).unwrap_err());
            assert!(error.contains(expected), "{error}");
        };
        let bytes = small_model().to_bytes().unwrap();
        check(&[], "truncated");
        check(b"{\"model\": 1}", "not a detector model");
        check(
            &[&MAGIC[..], &7_u32.to_le_bytes()].concat(),
            "format version 7, this program reads 2",
        );
        check(&bytes[..bytes.len() - 9], "the model is damaged");
    }

    #[test]
    fn another_schema_and_other_columns_are_refused_by_name() {
        let mut model = small_model();
        let mut check = |name: &str, columns: ColumnSet, expected: &str| {
            model.meta.schema = Schema { name: name.to_owned(), columns };
            let error = model.selection(Kind::Session).unwrap_err().to_string();
            assert!(error.contains(expected), "{error}");
        };
        let own = small_model().meta.schema.columns;
        check("flow", own.clone(), "for schema flow, schema session is needed");
        check("session", own, "column column_0 (definition fedcba9876543210)");
        let other = ColumnSet::new([("sent_rate".to_owned(), 0xab)]);
        check("session", other, "column sent_rate by definition 00000000000000ab");
    }

    #[test]
    fn a_write_replaces_the_file_and_leaves_nothing_else() {
        let directory = std::env::temp_dir().join(format!("detector-model-{}", std::process::id()));
        fs::create_dir_all(&directory).unwrap();
        let path = directory.join("test.model");
        fs::write(&path, "former").unwrap();
        let model = small_model();
        model.write(&path).unwrap();
        assert_eq!(Model::read(&path).unwrap().forest, model.forest);
        assert_eq!(fs::read_dir(&directory).unwrap().count(), 1);

        let error =
            format!("{:#}", model.write(&directory.join("absent").join("test.model")).unwrap_err());
        assert!(error.contains("failed to write model"), "{error}");
        fs::remove_dir_all(&directory).unwrap();
    }
}
