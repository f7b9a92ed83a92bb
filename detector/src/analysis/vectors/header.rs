//! The header of a file of vectors or records: its schema, and where each column is.

use std::collections::HashMap;

use anyhow::{Context as _, Result, anyhow, bail};
use csv::ByteRecord;

use super::LABEL;
use crate::analysis::features::{PACKET_FIELDS, SESSION_FIELDS};
use crate::features::{ColumnSet, Kind, RECORD_FIELDS, Selection};

/// Where each column is.
#[derive(Debug)]
pub(super) struct Header {
    pub(super) kind: Kind,
    pub(super) places: HashMap<String, usize>,
    /// Of a session the columns that the file has, in the schema's order; none where they are
    /// computed from the fields.
    pub(super) values: Vec<(&'static str, usize)>,
    /// What a row's vector consists of.
    pub(super) columns: ColumnSet,
    pub(super) width: usize,
}

impl Header {
    pub(super) fn of(row: &ByteRecord) -> Result<Self> {
        let mut places = HashMap::new();
        for (place, name) in row.iter().enumerate() {
            let name = String::from_utf8_lossy(name).trim().to_owned();
            if let Some(first) = places.insert(name.clone(), place) {
                bail!(
                    "column {name:?} appears twice, at positions {} and {}",
                    first + 1,
                    place + 1
                );
            }
        }
        let kind = nearest(&places)?;
        let required = required(kind);
        if let Some(missing) = required.iter().find(|name| !places.contains_key(**name)) {
            return Err(missing_column(missing, kind));
        }
        let optional = optional(kind);
        let known =
            |name: &str| name == LABEL || required.contains(&name) || optional.contains(&name);
        let mut names: Vec<&String> = places.keys().filter(|name| !known(name)).collect();
        names.sort_by_key(|name| places[*name]);
        if let Some(extra) = names.first() {
            bail!("schema {} has no column {extra:?}", kind.schema_name());
        }
        let (values, columns) = match kind {
            Kind::Session => session_columns(&places),
            Kind::Record => (Vec::new(), kind.column_set().clone()),
        };
        Ok(Self { kind, places, values, columns, width: row.len() })
    }

    /// Where the `wanted` columns are in a row's vector.
    pub(super) fn select(&self, wanted: &ColumnSet) -> Result<Selection> {
        self.columns.select(wanted).map_err(|mismatch| match mismatch.found {
            None => missing_column(&mismatch.wanted.name, self.kind),
            Some(_) => mismatch.into(),
        })
    }
}

/// The schema's columns that are here, and where. A name represents the column as it is defined
/// now.
fn session_columns(places: &HashMap<String, usize>) -> (Vec<(&'static str, usize)>, ColumnSet) {
    let (columns, set) = (Kind::Session.columns(), Kind::Session.column_set());
    let here = |name: &str| places.get(name).copied();
    let values = columns.into_iter().filter_map(|name| Some((name, here(name)?))).collect();
    let kept = set.iter().filter(|column| here(&column.name).is_some());
    (values, ColumnSet::new(kept.map(|column| (column.name.clone(), column.hash))))
}

fn missing_column(name: &str, kind: Kind) -> anyhow::Error {
    anyhow!("column {name} is missing, as schema {} has it", kind.schema_name())
}

/// What every file of this kind has.
fn required(kind: Kind) -> &'static [&'static str] {
    match kind {
        Kind::Session => &SESSION_FIELDS,
        Kind::Record => &RECORD_FIELDS,
    }
}

/// What it may have. Which of the schema's columns are needed depends on who reads them.
fn optional(kind: Kind) -> Vec<&'static str> {
    match kind {
        Kind::Session => PACKET_FIELDS.into_iter().chain(kind.columns()).collect(),
        Kind::Record => Vec::new(),
    }
}

/// The schema that most of the names are of.
fn nearest(places: &HashMap<String, usize>) -> Result<Kind> {
    let known = |kind: Kind| {
        let columns = if kind == Kind::Session { kind.columns() } else { Vec::new() };
        let names = required(kind).iter().copied().chain(columns);
        names.filter(|name| places.contains_key(*name)).count()
    };
    let best = Kind::ALL.into_iter().max_by_key(|kind| known(*kind));
    best.filter(|kind| known(*kind) > 0).with_context(|| {
        let names = Kind::ALL.map(Kind::schema_name).join(" or ");
        format!("the file has no column of schema {names}")
    })
}
