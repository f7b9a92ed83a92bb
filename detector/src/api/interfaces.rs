//! Interfaces: which are watched, how, and what was seen.

use axum::extract::State;
use serde::Serialize;
use utoipa::ToSchema;
use utoipa_axum::routes;

use super::caller::Caller;
use super::extract::{Json, Path};
use super::problem::Problem;
use super::{App, Routes};
use crate::control::{Answer, InterfaceLine, Request};

pub(super) fn routes() -> Routes {
    Routes::default().read(routes!(list)).admin(routes!(attach)).admin(routes!(detach))
}

#[derive(Serialize, ToSchema)]
struct InterfaceList {
    items: Vec<InterfaceLine>,
}

async fn ask(app: &App, caller: &Caller, request: Request) -> Result<Json<InterfaceList>, Problem> {
    match app.ask(request, caller.peer()).await? {
        Answer::Interfaces { interfaces } => Ok(Json(InterfaceList { items: interfaces })),
        _ => Err(Problem::conflict(
            "the agent's answer is of an unknown kind: restart the agent after an upgrade",
        )),
    }
}

/// List the interfaces of this network namespace
#[utoipa::path(
    get, path = "/api/interfaces", tag = "Interfaces",
    responses((status = OK, description = "The interfaces, by name", body = InterfaceList))
)]
async fn list(State(app): State<App>, caller: Caller) -> Result<Json<InterfaceList>, Problem> {
    ask(&app, &caller, Request::Interfaces {}).await
}

/// Watch an interface until the end of the run
#[utoipa::path(
    post, path = "/api/interfaces/{name}/attach", tag = "Interfaces",
    params(("name" = String, Path)),
    responses((status = OK, description = "The interfaces after the change", body = InterfaceList))
)]
async fn attach(
    State(app): State<App>,
    caller: Caller,
    Path(name): Path<String>,
) -> Result<Json<InterfaceList>, Problem> {
    ask(&app, &caller, Request::Watch { name }).await
}

/// Stop watching an interface: its traffic is neither seen nor blocked
#[utoipa::path(
    post, path = "/api/interfaces/{name}/detach", tag = "Interfaces",
    params(("name" = String, Path)),
    responses((status = OK, description = "The interfaces after the change", body = InterfaceList))
)]
async fn detach(
    State(app): State<App>,
    caller: Caller,
    Path(name): Path<String>,
) -> Result<Json<InterfaceList>, Problem> {
    ask(&app, &caller, Request::Unwatch { name }).await
}
