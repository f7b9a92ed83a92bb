//! An alert's score computed again, from what was stored with it.

use serde::Serialize;
use utoipa::ToSchema;

use crate::features::{ColumnSet, Kind};
use crate::model::Model;
use crate::refusal::Refusal;
use crate::verdict::{PayloadSample, score};

/// What an alert was scored on.
#[derive(Clone, Debug, PartialEq)]
pub struct Evidence {
    pub vector: Vec<f32>,
    /// Of the vector; none where it was stored when that was not yet said.
    pub columns: Option<ColumnSet>,
    pub rules: f64,
    pub baseline: bool,
    pub score: f64,
    pub raw_score: f64,
    pub model_hash: String,
    pub config_hash: String,
    pub payload_samples: Vec<PayloadSample>,
}

/// The result of computing the score again
#[derive(Clone, Debug, PartialEq, Serialize, ToSchema)]
pub struct Replayed {
    pub score: f64,
    pub stored_score: f64,
    /// The forest's output
    pub raw_score: f64,
    pub stored_raw_score: f64,
    /// Identical to the last bit
    pub identical: bool,
    pub text: String,
}

/// Computes the score that an alert was given again, with the model that gave it.
pub fn replay(evidence: &Evidence, model: &Model) -> Result<Replayed, Refusal> {
    let raw_score = model.forest.score(&row(evidence, model)?);
    let is_record = model.meta.schema.name == Kind::Record.schema_name();
    let score = if is_record {
        model.probability(raw_score)
    } else {
        score::of_doubt(model.probability(raw_score), evidence.rules, evidence.baseline)
    };
    let identical = score.to_bits() == evidence.score.to_bits()
        && raw_score.to_bits() == evidence.raw_score.to_bits();
    let text = if identical {
        format!("the score is {score}, identical to the last bit")
    } else {
        format!("the score is {score}, and the alert has {}", evidence.score)
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
fn row(evidence: &Evidence, model: &Model) -> Result<Vec<f32>, Refusal> {
    let Some(columns) = &evidence.columns else {
        return Err(Refusal::conflict(
            "an earlier version stored this alert's vector without column names",
        ));
    };
    let selection = columns.select(&model.meta.schema.columns).map_err(|mismatch| {
        Refusal::conflict(format!("the model cannot read its vector: {mismatch}"))
    })?;
    selection.apply(&evidence.vector).ok_or_else(|| {
        let (values, columns) = (evidence.vector.len(), columns.len());
        Refusal::conflict(format!("its vector has {values} values for {columns} columns"))
    })
}
