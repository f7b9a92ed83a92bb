//! How far the agent goes by itself, and the changes that wait for somebody to confirm them.

use axum::extract::State;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;
use utoipa_axum::routes;

use super::extract::{Json, Path};
use super::problem::Problem;
use super::request_parsing::unexpected;
use super::{App, Caller, Routes};
use crate::control::{Answer, ModeName, ModeState, Pending, Request};
use crate::response::Mode;
use crate::status::bus::{PageEvent, Topic};

pub(super) fn routes() -> Routes {
    Routes::default()
        .read(routes!(show))
        .read(routes!(waiting))
        .respond(routes!(confirm))
        .admin(routes!(set))
}

/// A new mode
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
struct NewMode {
    #[schema(value_type = ModeName)]
    mode: Mode,
    /// Return to the old mode unless the change is confirmed within this time
    #[schema(minimum = 1, maximum = 86_400)]
    confirm_within_secs: Option<u64>,
}

/// Changes that wait for confirmation
#[derive(Serialize, ToSchema)]
struct PendingList {
    items: Vec<Pending>,
    /// Always null: the list is complete
    next: Option<String>,
}

/// Show the agent's mode
#[utoipa::path(
    get, path = "/api/mode", tag = "Response",
    responses((status = OK, description = "The current mode", body = ModeState))
)]
async fn show(State(app): State<App>, caller: Caller) -> Result<Json<ModeState>, Problem> {
    match app.ask(Request::Mode {}, caller.peer()).await? {
        Answer::Mode(state) => Ok(Json(state)),
        _ => Err(unexpected()),
    }
}

/// Set the agent's mode: observe, simulate or block
#[utoipa::path(
    put, path = "/api/mode", tag = "Response", request_body = NewMode,
    responses((status = OK, description = "The new mode", body = ModeState))
)]
async fn set(
    State(app): State<App>,
    caller: Caller,
    Json(NewMode { mode, confirm_within_secs }): Json<NewMode>,
) -> Result<Json<ModeState>, Problem> {
    match app.ask(Request::SetMode { mode, confirm_within_secs }, caller.peer()).await? {
        Answer::Mode(state) => {
            app.bus.emit(PageEvent::change(Topic::Mode, None));
            Ok(Json(state))
        }
        _ => Err(unexpected()),
    }
}

/// List the changes that wait for confirmation
#[utoipa::path(
    get, path = "/api/confirmations", tag = "Response",
    responses((status = OK, description = "Every waiting change", body = PendingList))
)]
async fn waiting(State(app): State<App>, caller: Caller) -> Result<Json<PendingList>, Problem> {
    Ok(Json(PendingList { items: pending(&app, &caller).await?, next: None }))
}

async fn pending(app: &App, caller: &Caller) -> Result<Vec<Pending>, Problem> {
    match app.ask(Request::Status {}, caller.peer()).await? {
        Answer::Status(status) => Ok(status.pending),
        _ => Err(unexpected()),
    }
}

/// Confirm a change
#[utoipa::path(
    post, path = "/api/confirmations/{id}", tag = "Response", params(("id" = u64, Path)),
    responses((status = OK, description = "The confirmed change", body = PendingList))
)]
async fn confirm(
    State(app): State<App>,
    caller: Caller,
    Path(id): Path<u64>,
) -> Result<Json<PendingList>, Problem> {
    if !pending(&app, &caller).await?.iter().any(|waits| waits.id == id) {
        return Err(Problem::not_found(&format!("no change {id} waits for confirmation")));
    }
    match app.ask(Request::Confirm { id: Some(id) }, caller.peer()).await? {
        Answer::Confirmed { confirmed } => {
            for topic in [Topic::Mode, Topic::Blocks, Topic::Allow] {
                app.bus.emit(PageEvent::change(topic, None));
            }
            Ok(Json(PendingList { items: confirmed, next: None }))
        }
        _ => Err(unexpected()),
    }
}
