//! What a vector consists of: columns by name, each tied to its definition by a hash.
//!
//! Models and stored vectors carry the columns that they were made of, and rows are read by name.
//! So columns may be added anywhere: only a column that was removed or redefined breaks those
//! who read it.

use std::fmt::{self, Display, Formatter};

use serde::{Deserialize, Serialize};

/// A column as a model or a stored vector refers to it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ColumnId {
    pub name: String,
    /// Over name, unit and definition version; 16 hexadecimal digits in JSON.
    #[serde(with = "hexadecimal")]
    pub hash: u64,
}

/// The columns of a vector, in its order.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct ColumnSet(Vec<ColumnId>);

impl ColumnSet {
    /// From the name and hash of each.
    pub fn new(columns: impl IntoIterator<Item = (String, u64)>) -> Self {
        Self(columns.into_iter().map(|(name, hash)| ColumnId { name, hash }).collect())
    }

    #[must_use]
    pub fn len(&self) -> usize {
        self.0.len()
    }

    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    pub fn iter(&self) -> impl Iterator<Item = &ColumnId> {
        self.0.iter()
    }

    pub fn names(&self) -> impl Iterator<Item = &str> {
        self.0.iter().map(|column| column.name.as_str())
    }

    /// Names the set: two sets with one hash have the same columns in the same order.
    #[must_use]
    pub fn hash(&self) -> u64 {
        fnv(self.0.iter().flat_map(|column| column.hash.to_le_bytes()))
    }

    /// Finds each of the `wanted` columns in rows of these.
    ///
    /// # Errors
    ///
    /// The first wanted column that is missing here, or has another definition.
    pub fn select(&self, wanted: &Self) -> Result<Selection, Mismatch> {
        let positions = wanted.iter().map(|column| self.find(column)).collect::<Result<_, _>>()?;
        Ok(Selection { positions, width: self.len() })
    }

    fn find(&self, wanted: &ColumnId) -> Result<usize, Mismatch> {
        let position = self.0.iter().position(|column| column.name == wanted.name);
        let found = position.map(|position| self.0[position].hash);
        match position {
            Some(position) if found == Some(wanted.hash) => Ok(position),
            _ => Err(Mismatch { wanted: wanted.clone(), found }),
        }
    }
}

/// Where the columns of one set are in rows of another.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Selection {
    positions: Vec<usize>,
    width: usize,
}

impl Selection {
    /// For each selected column its place in the row.
    #[must_use]
    pub fn positions(&self) -> &[usize] {
        &self.positions
    }

    /// Values of the rows that are selected from.
    #[must_use]
    pub fn width(&self) -> usize {
        self.width
    }

    /// Whether a row is selected whole, in its own order.
    #[must_use]
    pub fn is_whole(&self) -> bool {
        self.positions.len() == self.width
            && self.positions.iter().enumerate().all(|(at, position)| at == *position)
    }

    /// The selected values of a row; none where the row has another width.
    #[must_use]
    pub fn apply(&self, row: &[f32]) -> Option<Vec<f32>> {
        (row.len() == self.width)
            .then(|| self.positions.iter().map(|position| row[*position]).collect())
    }
}

/// A column that is wanted and not there as it is wanted.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Mismatch {
    pub wanted: ColumnId,
    /// The hash of the column of this name, where there is one.
    pub found: Option<u64>,
}

impl Display for Mismatch {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        let ColumnId { name, hash } = &self.wanted;
        match self.found {
            None => write!(f, "column {name} ({hash:016x}) is missing"),
            Some(found) => {
                write!(f, "column {name} has definition {found:016x} instead of {hash:016x}")
            }
        }
    }
}

impl std::error::Error for Mismatch {}

/// The hash of a column. Its meaning in words may be put better without a change of the hash.
pub(super) fn column_hash(name: &str, unit: &str, version: u32) -> u64 {
    let words = [name, unit, &version.to_string()];
    fnv(words.into_iter().flat_map(|word| word.bytes().chain([0])))
}

/// FNV-1a, 64 bits.
fn fnv(bytes: impl Iterator<Item = u8>) -> u64 {
    bytes.fold(0xcbf2_9ce4_8422_2325, |hash, byte| {
        (hash ^ u64::from(byte)).wrapping_mul(0x0000_0100_0000_01b3)
    })
}

/// JSON numbers hold 53 bits in many readers; a hash needs 64.
mod hexadecimal {
    use serde::{Deserialize as _, Deserializer, Serializer, de::Error as _};

    pub(super) fn serialize<S: Serializer>(hash: &u64, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&format!("{hash:016x}"))
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<u64, D::Error> {
        let digits = String::deserialize(deserializer)?;
        u64::from_str_radix(&digits, 16).map_err(D::Error::custom)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn set(columns: &[(&str, u64)]) -> ColumnSet {
        ColumnSet::new(columns.iter().map(|(name, hash)| ((*name).to_owned(), *hash)))
    }

    #[test]
    fn rows_are_read_by_name() {
        let wanted = set(&[("a", 1), ("b", 2)]);
        let check = |here: &[(&str, u64)], row: &[f32], expected: Option<&[f32]>| {
            let selection = set(here).select(&wanted).unwrap();
            assert_eq!(selection.apply(row).as_deref(), expected, "{here:?}");
            assert_eq!(selection.is_whole(), set(here) == wanted, "{here:?}");
        };
        check(&[("a", 1), ("b", 2)], &[10.0, 20.0], Some(&[10.0, 20.0]));
        check(&[("b", 2), ("c", 3), ("a", 1)], &[20.0, 30.0, 10.0], Some(&[10.0, 20.0]));
        check(&[("a", 1), ("b", 2), ("c", 3)], &[10.0, 20.0, 30.0], Some(&[10.0, 20.0]));
        check(&[("a", 1), ("b", 2), ("c", 3)], &[10.0, 20.0], None);
    }

    #[test]
    fn what_is_missing_or_changed_is_named_with_its_hashes() {
        let check = |here: &[(&str, u64)], expected: &str| {
            let mismatch = set(here).select(&set(&[("a", 1), ("b", 0xb)])).unwrap_err();
            assert_eq!(mismatch.to_string(), expected);
        };
        check(&[("a", 1)], "column b (000000000000000b) is missing");
        check(
            &[("b", 0xc), ("a", 1)],
            "column b has definition 000000000000000c instead of 000000000000000b",
        );
    }

    #[test]
    fn a_hash_is_of_name_unit_and_version_alone() {
        let hash = column_hash("sent_rate", "log2(1 + bytes/s)", 1);
        assert_eq!(hash, column_hash("sent_rate", "log2(1 + bytes/s)", 1));
        for other in [
            column_hash("sent_rates", "log2(1 + bytes/s)", 1),
            column_hash("sent_rate", "bytes/s", 1),
            column_hash("sent_rate", "log2(1 + bytes/s)", 2),
        ] {
            assert_ne!(hash, other);
        }
    }

    #[test]
    fn what_was_written_is_read() {
        let columns = set(&[("a", 1), ("b", u64::MAX)]);
        let text = serde_json::to_string(&columns).unwrap();
        assert_eq!(serde_json::from_str::<ColumnSet>(&text).unwrap(), columns);
        assert!(text.contains(r#"{"name":"b","hash":"ffffffffffffffff"}"#), "{text}");
    }
}
