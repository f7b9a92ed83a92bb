//! What is never blocked and raises no alerts.

use axum::extract::State;
use axum::http::StatusCode;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;
use utoipa_axum::routes;

use super::blocks::Confirmed;
use super::extract::{Json, Path, Query};
use super::problem::Problem;
use super::request_parsing::{parse_opt, unexpected};
use super::{App, Caller, Routes};
use crate::control::{AllowLine, Answer, Pending, Request};
use crate::status::bus::{PageEvent, Topic};

pub(super) fn routes() -> Routes {
    Routes::default().read(routes!(list)).respond(routes!(add)).respond(routes!(remove))
}

#[derive(Serialize, ToSchema)]
struct AllowList {
    items: Vec<AllowLine>,
    /// Always null: all are here
    next: Option<String>,
}

/// What fits everything that is named is allowed
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
struct NewAllow {
    /// From whom: an address or a prefix
    source: Option<String>,
    /// To whom
    #[schema(example = "192.0.2.0/24")]
    destination: Option<String>,
    /// The receiver's name, and all names in it
    #[schema(max_length = 253)]
    name: Option<String>,
    /// The server's
    port: Option<u16>,
    #[schema(min_length = 1, max_length = 500)]
    reason: String,
    /// None: for good
    #[schema(minimum = 1)]
    ttl_secs: Option<u64>,
    /// Undo it unless it is confirmed within this time
    #[schema(minimum = 1, maximum = 86_400)]
    confirm_within_secs: Option<u64>,
}

/// A new exception
#[derive(Serialize, ToSchema)]
struct Allowed {
    entry: AllowLine,
    /// Active blocks that it ended
    released: u64,
    pending: Option<Pending>,
}

/// An exception that is gone, or will be once it is confirmed
#[derive(Serialize, ToSchema)]
struct Disallowed {
    entry: AllowLine,
    pending: Option<Pending>,
}

/// Every exception, where it comes from and how often it was hit
#[utoipa::path(
    get, path = "/api/allow", tag = "Response",
    responses((status = OK, description = "All of them", body = AllowList))
)]
async fn list(State(app): State<App>, caller: Caller) -> Result<Json<AllowList>, Problem> {
    match app.ask(Request::AllowList {}, caller.peer()).await? {
        Answer::Allow { allow } => Ok(Json(AllowList { items: allow, next: None })),
        _ => Err(unexpected()),
    }
}

/// Allow something, at once
///
/// Active blocks of it end, and its open alerts are not repeated.
#[utoipa::path(
    post, path = "/api/allow", tag = "Response", request_body = NewAllow,
    responses((status = CREATED, description = "It is allowed", body = Allowed))
)]
async fn add(
    State(app): State<App>,
    caller: Caller,
    Json(new): Json<NewAllow>,
) -> Result<(StatusCode, Json<Allowed>), Problem> {
    let request = Request::AllowAdd {
        source: parse_opt("source", new.source.as_deref())?,
        destination: parse_opt("destination", new.destination.as_deref())?,
        name: new.name,
        port: new.port,
        reason: new.reason,
        ttl_secs: new.ttl_secs,
        confirm_within_secs: new.confirm_within_secs,
    };
    match app.ask(request, caller.peer()).await? {
        Answer::Allowed { entry, released, pending } => {
            app.bus.emit(PageEvent::change(Topic::Allow, Some(&entry.id)));
            app.bus.emit(PageEvent::change(Topic::Blocks, None));
            Ok((StatusCode::CREATED, Json(Allowed { entry, released, pending })))
        }
        _ => Err(unexpected()),
    }
}

/// Remove an exception that was added at run time
#[utoipa::path(
    delete, path = "/api/allow/{id}", tag = "Response",
    params(("id" = String, Path)),
    responses((status = OK, description = "It is gone", body = Disallowed))
)]
async fn remove(
    State(app): State<App>,
    caller: Caller,
    Path(id): Path<String>,
    Query(Confirmed { confirm_within_secs }): Query<Confirmed>,
) -> Result<Json<Disallowed>, Problem> {
    match app.ask(Request::AllowRemove { id, confirm_within_secs }, caller.peer()).await? {
        Answer::Disallowed { entry, pending } => {
            app.bus.emit(PageEvent::change(Topic::Allow, Some(&entry.id)));
            Ok(Json(Disallowed { entry, pending }))
        }
        _ => Err(unexpected()),
    }
}
