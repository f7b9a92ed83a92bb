//! `POST /api/models/{hash}/evaluate`: how good a model is on labelled rows.

use std::io::Cursor;
use std::path::Path as FilePath;
use std::sync::Arc;

use anyhow::Context as _;
use axum::body::Bytes;
use axum::extract::{FromRequest as _, Request, State};
use serde::Serialize;
use utoipa::ToSchema;

use super::{Importance, Known, MOST_SAMPLES, find, importances, labelled};
use crate::analysis::vectors::VectorFile;
use crate::api::App;
use crate::api::extract::{Json, Path};
use crate::api::problem::Problem;
use crate::builtin_models::threshold_of;
use crate::features::Kind;
use crate::model::evaluate::{by_session, report, roc_auc};
use crate::model::{Model, Report, Scored};
use crate::verdict::score;

/// What errors call the body.
const BODY: &str = "the body";

/// Quality of a model on labelled rows; each sender counts with its highest score
#[derive(Serialize, ToSchema)]
pub(super) struct Evaluation {
    rows: usize,
    /// Senders of sessions, or records
    units: usize,
    #[serde(flatten)]
    report: Report,
    /// Area under the receiver operating characteristic
    roc_auc: Option<f64>,
    importances: Vec<Importance>,
}

/// Rows to measure on.
#[derive(Default)]
struct Rows {
    /// Row after row.
    values: Vec<f32>,
    labels: Vec<bool>,
    scored: Vec<Scored>,
}

/// Measure a model on labelled rows
///
/// The body is a CSV file with a column `label`. It has vectors of `GET
/// /api/captures/{id}/features`, or records. An empty body measures on the samples that were
/// labelled here.
#[utoipa::path(
    post, path = "/api/models/{hash}/evaluate", tag = "Models", params(("hash" = String, Path)),
    request_body(content = Option<String>, content_type = "text/csv"),
    responses((status = OK, description = "The result", body = Evaluation))
)]
pub(super) async fn evaluate(
    State(app): State<App>,
    Path(hash): Path<String>,
    request: Request,
) -> Result<Json<Evaluation>, Problem> {
    let Known { model, kind, .. } = find(&app, &hash).await?;
    let kind = kind.ok_or_else(|| {
        Problem::conflict(
            "the model reads columns that this program does not compute: train it again",
        )
    })?;
    let body = Bytes::from_request(request, &()).await?;
    let scored = Arc::clone(&model);
    let rows = if body.trim_ascii().is_empty() {
        app.with_store(move |store| {
            let (values, labels) = labelled(store, kind, &scored)?;
            Ok(Rows::of_samples(&scored, values, labels))
        })
        .await?
    } else {
        let work = move || Rows::of_file(&scored, kind, body);
        let done = tokio::task::spawn_blocking(work).await;
        done.context("the evaluation was interrupted: try again")??
    };
    if rows.labels.is_empty() {
        return Err(Problem::conflict(
            "there are no labelled samples: send a file with a column `label`, or mark alerts as \
             benign or confirmed first",
        ));
    }
    let threshold = threshold_of(kind, &model, &app.config);
    // As many as it does not take long for, spread over the whole.
    let (values, labels) = rows.thinned(model.forest.columns());
    let importances = importances(model, values, labels).await?;
    Ok(Json(rows.evaluation(threshold, importances)))
}

impl Rows {
    /// Each sample by itself: which session it was of is not kept.
    fn of_samples(model: &Model, values: Vec<f32>, labels: Vec<bool>) -> Self {
        let rows = values.chunks(model.forest.columns().max(1));
        let scored = rows.zip(&labels).zip(0..).map(|((row, label), session)| Scored {
            score: model.probability(model.forest.score(row)),
            label: *label,
            session,
        });
        Self { scored: scored.collect(), values, labels }
    }

    fn of_file(model: &Model, kind: Kind, body: Bytes) -> Result<Self, Problem> {
        let wrong = |error: anyhow::Error| Problem::field("body", &format!("{error:#}"));
        let mut file = VectorFile::read(FilePath::new(BODY), Cursor::new(body)).map_err(wrong)?;
        if file.kind() != kind {
            let (found, wanted) = (file.kind().schema_name(), kind.schema_name());
            let detail =
                format!("the rows have schema {found}, and the model reads schema {wanted}");
            return Err(Problem::field("body", &detail));
        }
        file.select(&model.meta.schema.columns).map_err(wrong)?;
        let mut rows = Self::default();
        let mut senders = std::collections::HashMap::new();
        while let Some((vector, label)) = file.next_labelled().map_err(wrong)? {
            let next = senders.len() as u64;
            // A record is a sender of its own.
            let sender = (vector.subject.session.clone(), vector.subject.src);
            let line = sender.0.is_none().then_some(vector.line);
            let session = *senders.entry((sender, line)).or_insert(next);
            let forest = model.probability(model.forest.score(&vector.values));
            let score = score::of_doubt(forest, vector.rules, vector.baseline);
            rows.scored.push(Scored { score, label, session });
            rows.values.extend_from_slice(&vector.values);
            rows.labels.push(label);
        }
        Ok(rows)
    }

    fn thinned(&self, width: usize) -> (Vec<f32>, Vec<bool>) {
        let step = self.labels.len().div_ceil(MOST_SAMPLES).max(1);
        let rows = self.values.chunks(width.max(1)).step_by(step);
        (rows.flatten().copied().collect(), self.labels.iter().copied().step_by(step).collect())
    }

    fn evaluation(self, threshold: f64, importances: Vec<Importance>) -> Evaluation {
        let units = by_session(&self.scored);
        Evaluation {
            rows: self.labels.len(),
            units: units.len(),
            report: report(&self.scored, threshold),
            roc_auc: roc_auc(&units),
            importances,
        }
    }
}
