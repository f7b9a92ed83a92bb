//! Why a record got its score, as the API shows it.

use serde::Serialize;
use utoipa::ToSchema;

use crate::features::Record;
use crate::model::ServedModel;
use crate::verdict::record::reasons;

/// A contribution to the score
#[derive(Clone, Debug, Serialize, ToSchema)]
#[schema(as = RecordReason)]
pub(super) struct RecordReason {
    /// A column of the schema `record`
    feature: String,
    value: Option<f32>,
    /// Added to the score; all of them and the model's bias add up to it
    contribution: f64,
    text: String,
}

/// The columns that moved the score, the strongest first.
pub(super) fn of(model: &ServedModel, record: &Record, row: &[f32]) -> Vec<RecordReason> {
    let told = reasons(model, record, row).into_iter().map(|reason| RecordReason {
        feature: reason.feature.into_owned(),
        value: reason.value,
        contribution: reason.contribution,
        text: reason.text,
    });
    told.collect()
}
