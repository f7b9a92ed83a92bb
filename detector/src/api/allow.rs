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
    /// Always null: the list is complete
    next: Option<String>,
}

/// A new exception: traffic that matches every given field is allowed
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
struct NewAllow {
    /// Sender: an address or a prefix
    source: Option<String>,
    /// Receiver: an address or a prefix
    #[schema(example = "192.0.2.0/24")]
    destination: Option<String>,
    /// The receiver's DNS name, with all names below it
    #[schema(max_length = 253)]
    name: Option<String>,
    /// The server's
    port: Option<u16>,
    #[schema(min_length = 1, max_length = 500)]
    reason: String,
    /// Default: no end
    #[schema(minimum = 1)]
    ttl_secs: Option<u64>,
    /// Undo the change unless it is confirmed within this time
    #[schema(minimum = 1, maximum = 86_400)]
    confirm_within_secs: Option<u64>,
}

/// A new exception
#[derive(Serialize, ToSchema)]
struct Allowed {
    entry: AllowLine,
    /// Number of active blocks that it ended
    released: u64,
    pending: Option<Pending>,
}

/// An exception that was removed, or will be once the change is confirmed
#[derive(Serialize, ToSchema)]
struct Disallowed {
    entry: AllowLine,
    pending: Option<Pending>,
}

/// List every exception with its origin and its hits
#[utoipa::path(
    get, path = "/api/allow", tag = "Response",
    responses((status = OK, description = "Every exception", body = AllowList))
)]
async fn list(State(app): State<App>, caller: Caller) -> Result<Json<AllowList>, Problem> {
    match app.ask(Request::AllowList {}, caller.peer()).await? {
        Answer::Allow { allow } => Ok(Json(AllowList { items: allow, next: None })),
        _ => Err(unexpected()),
    }
}

/// Allow expected traffic, at once
///
/// Matching blocks end, and open alerts are not repeated.
#[utoipa::path(
    post, path = "/api/allow", tag = "Response", request_body = NewAllow,
    responses((status = CREATED, description = "The exception is active", body = Allowed))
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
    responses((status = OK, description = "The exception is removed", body = Disallowed))
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
