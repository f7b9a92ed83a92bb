//! An alert's score computed again, from what was stored with it.

use anyhow::Context as _;
use axum::extract::State;
use serde::Serialize;
use utoipa::ToSchema;

use super::super::App;
use super::super::extract::{Json, Path};
use super::super::problem::Problem;
use super::{find_key, read_id};
use crate::builtin_models;
use crate::features::Kind;
use crate::model::Model;
use crate::store::Connection;
use crate::store::alerts::{self, Evidence};
use crate::verdict::AlertId;
use crate::verdict::score;

/// What computing it again came to
#[derive(Clone, Debug, PartialEq, Serialize, ToSchema)]
pub(crate) struct Replayed {
    pub(crate) score: f64,
    pub(crate) stored_score: f64,
    /// The forest's output
    pub(crate) raw_score: f64,
    pub(crate) stored_raw_score: f64,
    /// To the last bit
    pub(crate) identical: bool,
    pub(crate) text: String,
}

/// Compute an alert's score again
#[utoipa::path(
    post, path = "/api/alerts/{id}/replay", tag = "Alerts", params(("id" = String, Path)),
    responses((status = OK, description = "Both scores", body = Replayed))
)]
pub(super) async fn replay(
    State(app): State<App>,
    Path(id): Path<String>,
) -> Result<Json<Replayed>, Problem> {
    let id = read_id(&id)?;
    let replayed =
        app.with_store(move |store| store.read(|connection| again(connection, id))).await?;
    Ok(Json(replayed))
}

/// Computes an alert's score again, with the model that gave it.
///
/// # Errors
///
/// An alert, or a model, that is not there, as a [`Problem`]; a database that cannot be read.
pub(crate) fn again(connection: &Connection, id: AlertId) -> anyhow::Result<Replayed> {
    let key = find_key(connection, id)?;
    let evidence = alerts::evidence(connection, key)?.context("the alert has no evidence")?;
    let model = builtin_models::find(connection, &evidence.model_hash)?.ok_or_else(|| {
        Problem::conflict(&format!(
            "the model {} that judged it is not here any more: add it again",
            evidence.model_hash
        ))
    })?;
    let raw_score = model.forest.score(&row(&evidence, &model)?);
    let is_record = model.meta.schema.name == Kind::Record.schema_name();
    let score = if is_record {
        model.probability(raw_score)
    } else {
        score::of_doubt(model.probability(raw_score), evidence.rules, evidence.habit)
    };
    let identical = score.to_bits() == evidence.score.to_bits()
        && raw_score.to_bits() == evidence.raw_score.to_bits();
    let text = if identical {
        format!("the score is {score}, as it was, to the last bit")
    } else {
        format!("the score is {score}, it was {}", evidence.score)
    };
    Ok(Replayed {
        score,
        stored_score: evidence.score,
        raw_score,
        stored_raw_score: evidence.raw_score,
        identical,
        text,
    })
}

/// The stored vector as the model reads it.
fn row(evidence: &Evidence, model: &Model) -> Result<Vec<f32>, Problem> {
    let Some(columns) = &evidence.columns else {
        return Err(Problem::conflict(
            "its vector was stored by an earlier version, which did not name the columns",
        ));
    };
    let selection = columns.select(&model.meta.schema.columns).map_err(|mismatch| {
        Problem::conflict(&format!("the model cannot read its vector: {mismatch}"))
    })?;
    selection.apply(&evidence.vector).ok_or_else(|| {
        let (values, columns) = (evidence.vector.len(), columns.len());
        Problem::conflict(&format!("its vector has {values} values for {columns} columns"))
    })
}
