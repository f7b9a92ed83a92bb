//! The header of a file of vectors or records: its schema, and where each column stands.

use std::collections::HashMap;

use anyhow::{Context as _, Result, bail};
use csv::ByteRecord;

use super::LABEL;
use crate::analysis::features::{PACKET_FIELDS, SESSION_FIELDS};
use crate::features::{Kind, RECORD_FIELDS};

/// Where each column stands.
#[derive(Debug)]
pub(super) struct Header {
    pub(super) kind: Kind,
    pub(super) places: HashMap<String, usize>,
    /// Of the schema's columns, in its order; none where they are computed from the fields.
    pub(super) values: Vec<(&'static str, usize)>,
    pub(super) width: usize,
}

impl Header {
    pub(super) fn of(row: &ByteRecord) -> Result<Self> {
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
        let optional: &[&str] = if kind == Kind::Session { &PACKET_FIELDS } else { &[] };
        let known =
            |name: &str| name == LABEL || required.contains(&name) || optional.contains(&name);
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
