//! The models inside the program, and which model is used for what.

use std::path::Path;
use std::sync::Arc;

use anyhow::Context as _;

use crate::alerts::replay::{Replayed, replay};
use crate::config::Config;
use crate::features::Kind;
use crate::model::Model;
use crate::refusal::Refusal;
use crate::store::{Connection, Store, alerts, models};
use crate::verdict::AlertId;

/// The built-in model. After a change of a column that it reads it is made again, from the
/// root of the project, by `detector train --data target/lab --data DIR --out
/// detector/models/session.model`, DIR being a set of labelled captures.
const SESSION: &[u8] = include_bytes!("../models/session.model");

/// The model for records, of synthetic ones alone: `docs/detection.md` says how it is made.
const RECORD: &[u8] = include_bytes!("../models/record.model");

/// The file of the model inside the program for this kind of vector.
#[must_use]
pub fn bytes_of(kind: Kind) -> &'static [u8] {
    match kind {
        Kind::Session => SESSION,
        Kind::Record => RECORD,
    }
}

/// Loads the model at `path`, else the configured one, else the one inside the program.
pub fn load_model(path: Option<&Path>, config: &Config) -> anyhow::Result<Arc<Model>> {
    let model = match path.or(config.model.path.as_deref()) {
        Some(path) => Model::read(path)?,
        None => {
            Model::from_bytes(SESSION).context("failed to load the model inside the program")?
        }
    };
    Ok(Arc::new(model))
}

/// Loads the model for this kind of vector: the one at `path`, else the one that is configured (for
/// sessions), else the one inside the program.
pub fn model_of(kind: Kind, path: Option<&Path>, config: &Config) -> anyhow::Result<Arc<Model>> {
    let model = match (kind, path) {
        (Kind::Session, path) => load_model(path, config)?,
        (Kind::Record, Some(path)) => Arc::new(Model::read(path)?),
        (Kind::Record, None) => Model::from_bytes(RECORD)
            .map(Arc::new)
            .context("failed to load the record model inside the program")?,
    };
    check(kind, &model)?;
    Ok(model)
}

/// The model of this hash: one inside the program, or one that was added to the database.
pub fn find(connection: &Connection, hash: &str) -> anyhow::Result<Option<Arc<Model>>> {
    for kind in Kind::ALL {
        let model = Model::from_bytes(bytes_of(kind))?;
        if model.hash()? == hash {
            return Ok(Some(Arc::new(model)));
        }
    }
    let Some(file) = models::file(connection, hash)? else { return Ok(None) };
    Ok(Some(Arc::new(Model::from_bytes(&file)?)))
}

/// The model that serves a kind of vector: the one that was chosen, else the configured one (for
/// sessions), else the one inside the program.
pub fn in_use(kind: Kind, store: Option<&Store>, config: &Config) -> anyhow::Result<Arc<Model>> {
    let chosen = store.map(|store| {
        store.read(|connection| match models::active(connection, kind.schema_name())? {
            Some(hash) => find(connection, &hash),
            None => Ok(None),
        })
    });
    match chosen.transpose()?.flatten() {
        Some(model) => check(kind, &model).map(|()| model),
        None => model_of(kind, None, config),
    }
}

/// Sees that this program computes every column that the model reads.
pub fn check(kind: Kind, model: &Model) -> anyhow::Result<()> {
    model.selection(kind).map(drop)
}

/// Scores of at least this count as exfiltration. The configured one is for sessions.
#[must_use]
pub fn threshold_of(kind: Kind, model: &Model, config: &Config) -> f64 {
    let configured = if kind == Kind::Session { config.model.threshold } else { None };
    configured.unwrap_or(model.meta.threshold)
}

/// Computes an alert's score again, with the model that gave it.
pub fn replay_alert(connection: &Connection, id: AlertId) -> anyhow::Result<Replayed> {
    let key = alerts::key_of(connection, id)?;
    let key = key.ok_or_else(|| alerts::unknown(&id.to_string()))?;
    let evidence = alerts::evidence(connection, key)?.context("the alert has no evidence")?;
    let hash = &evidence.model_hash;
    let model = find(connection, hash)?.ok_or_else(|| {
        Refusal::conflict(format!("model {hash} scored this alert and was deleted: add it again"))
    })?;
    Ok(replay(&evidence, &model)?)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::features::ColumnSet;

    #[test]
    fn the_shipped_models_are_as_this_program_writes_them() {
        for kind in Kind::ALL {
            let bytes = bytes_of(kind);
            assert!(Model::from_bytes(bytes).unwrap().to_bytes().unwrap() == bytes);
        }
    }

    /// Whatever columns are added, the shipped models score as they did.
    #[test]
    fn the_shipped_models_keep_their_scores_when_columns_are_added() {
        for kind in Kind::ALL {
            let model = Model::from_bytes(bytes_of(kind)).unwrap();
            let columns = &model.meta.schema.columns;
            let added = columns.iter().flat_map(|column| {
                [(format!("added_before_{}", column.name), 1), (column.name.clone(), column.hash)]
            });
            let selection = ColumnSet::new(added).select(columns).unwrap();
            let over = model.forest.over(&selection).unwrap();
            let trees: Vec<_> = model.forest.trees().collect();
            for tree in trees.iter().take(20) {
                // A row that is on the edges of this tree's splits.
                let mut own = vec![0.0; columns.len()];
                let splits = tree.iter().filter_map(|node| node.split);
                splits.for_each(|split| own[usize::from(split.column)] = split.threshold);
                let wide: Vec<f32> = own.iter().flat_map(|value| [f32::MAX, *value]).collect();
                assert_eq!(over.score(&wide).to_bits(), model.forest.score(&own).to_bits());
            }
        }
    }
}
