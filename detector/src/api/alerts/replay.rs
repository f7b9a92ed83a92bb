//! An alert's score computed again, from what was stored with it.

use axum::extract::State;

use super::super::App;
use super::super::extract::{Json, Path};
use super::super::problem::Problem;
use super::read_id;
use crate::alerts::replay::Replayed;
use crate::builtin_models::replay_alert;

/// Compute an alert's score again
#[utoipa::path(
    post, path = "/api/alerts/{id}/replay", tag = "Alerts", params(("id" = String, Path)),
    responses((status = OK, description = "The stored score and the computed score",
        body = Replayed))
)]
pub(super) async fn replay(
    State(app): State<App>,
    Path(id): Path<String>,
) -> Result<Json<Replayed>, Problem> {
    let id = read_id(&id)?;
    let replayed =
        app.with_store(move |store| store.read(|connection| replay_alert(connection, id))).await?;
    Ok(Json(replayed))
}
