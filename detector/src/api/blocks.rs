//! What the kernel blocks.

use anyhow::Context as _;
use axum::extract::State;
use axum::http::StatusCode;
use serde::{Deserialize, Serialize};
use tokio::runtime::Handle;
use utoipa::{IntoParams, ToSchema};
use utoipa_axum::routes;

use super::extract::{Json, Path, Query};
use super::problem::Problem;
use super::request_parsing::{parse, unexpected};
use super::{App, Caller, Routes};
use crate::control::{Answer, BlockLine, EffectWanted, Pending, Request, VerifyLine};
use crate::status::bus::{PageEvent, Topic};

pub(super) fn routes() -> Routes {
    Routes::default()
        .read(routes!(list))
        .respond(routes!(verify))
        .respond(routes!(add))
        .respond(routes!(remove))
        .respond(routes!(flush))
}

#[derive(Serialize, ToSchema)]
struct BlockList {
    items: Vec<BlockLine>,
    /// Always null: the list is complete
    next: Option<String>,
}

/// A new block
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
struct NewBlock {
    /// `pair HOST DESTINATION`, `destination ADDRESS[/LENGTH]`, `service ADDRESS:PORT`,
    /// `host ADDRESS` or `flow PROTOCOL ADDRESS:PORT ADDRESS:PORT`
    #[schema(example = "pair 10.0.0.7 192.0.2.1")]
    target: String,
    /// Default: the configured time
    #[schema(minimum = 1)]
    ttl_secs: Option<u64>,
    /// `drop`, `{"police": {"bytes_per_second"}}` or `{"mark": {"dscp"}}`
    #[serde(default)]
    effect: EffectWanted,
    /// Drop nothing, and count the packets that the block would drop
    #[serde(default)]
    simulate: bool,
    #[schema(min_length = 1, max_length = 500)]
    reason: String,
    /// Undo the change unless it is confirmed within this time
    #[schema(minimum = 1, maximum = 86_400)]
    confirm_within_secs: Option<u64>,
}

/// A block that was placed
#[derive(Serialize, ToSchema)]
struct Placed {
    block: BlockLine,
    pending: Option<Pending>,
}

/// Removed blocks, or those to remove once the change is confirmed, with their last counters
#[derive(Serialize, ToSchema)]
struct Removed {
    blocks: Vec<BlockLine>,
    pending: Option<Pending>,
}

/// Options of every change
#[derive(Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
#[serde(deny_unknown_fields)]
pub(super) struct Confirmed {
    /// Undo the change unless it is confirmed within this time
    #[param(minimum = 1, maximum = 86_400)]
    pub(super) confirm_within_secs: Option<u64>,
}

/// Whether blocks work, with the evidence
#[derive(Serialize, ToSchema)]
struct VerifyList {
    items: Vec<VerifyLine>,
}

/// List every block with its drops and its end
#[utoipa::path(
    get, path = "/api/blocks", tag = "Response",
    responses((status = OK, description = "Every block", body = BlockList))
)]
async fn list(State(app): State<App>, caller: Caller) -> Result<Json<BlockList>, Problem> {
    match app.ask(Request::BlocksList {}, caller.peer()).await? {
        Answer::Blocks { blocks } => Ok(Json(BlockList { items: blocks, next: None })),
        _ => Err(unexpected()),
    }
}

/// Block a target for a time
///
/// The agent refuses targets that are never blocked, such as gateways and resolvers.
#[utoipa::path(
    post, path = "/api/blocks", tag = "Response", request_body = NewBlock,
    responses((status = CREATED, description = "The block is active", body = Placed))
)]
async fn add(
    State(app): State<App>,
    caller: Caller,
    Json(new): Json<NewBlock>,
) -> Result<(StatusCode, Json<Placed>), Problem> {
    let request = Request::BlocksAdd {
        target: parse("target", &new.target)?,
        ttl_secs: new.ttl_secs,
        effect: new.effect,
        simulate: new.simulate,
        reason: new.reason,
        confirm_within_secs: new.confirm_within_secs,
    };
    match app.ask(request, caller.peer()).await? {
        Answer::Placed { block, pending } => {
            tell(&app, Some(block.number));
            Ok((StatusCode::CREATED, Json(Placed { block, pending })))
        }
        _ => Err(unexpected()),
    }
}

/// Remove a block
///
/// The agent does not block the target again by itself for `block.released_secs`.
#[utoipa::path(
    delete, path = "/api/blocks/{number}", tag = "Response",
    params(("number" = u32, Path)),
    responses((status = OK, description = "The block is removed", body = Removed))
)]
async fn remove(
    State(app): State<App>,
    caller: Caller,
    Path(number): Path<u32>,
    Query(Confirmed { confirm_within_secs }): Query<Confirmed>,
) -> Result<Json<Removed>, Problem> {
    let request = Request::BlocksRemove { target: None, number: Some(number), confirm_within_secs };
    removed(&app, request, &caller, Some(number)).await
}

/// Remove every block
#[utoipa::path(
    post, path = "/api/blocks/flush", tag = "Response",
    responses((status = OK, description = "The blocks are removed", body = Removed))
)]
async fn flush(
    State(app): State<App>,
    caller: Caller,
    Query(Confirmed { confirm_within_secs }): Query<Confirmed>,
) -> Result<Json<Removed>, Problem> {
    removed(&app, Request::BlocksFlush { confirm_within_secs }, &caller, None).await
}

async fn removed(
    app: &App,
    request: Request,
    caller: &Caller,
    number: Option<u32>,
) -> Result<Json<Removed>, Problem> {
    match app.ask(request, caller.peer()).await? {
        Answer::Removed { blocks, pending } => {
            tell(app, number);
            Ok(Json(Removed { blocks, pending }))
        }
        _ => Err(unexpected()),
    }
}

/// Verify that a block works, and show the evidence
///
/// It reads the block's counters for three seconds, and sends a probe if they do not move. It
/// changes nothing.
#[utoipa::path(
    post, path = "/api/blocks/{number}/verify", tag = "Response", params(("number" = u32, Path)),
    responses((status = OK, description = "The result with its evidence", body = VerifyList))
)]
async fn verify(
    State(app): State<App>,
    caller: Caller,
    Path(number): Path<u32>,
) -> Result<Json<VerifyList>, Problem> {
    // That there is such a block, in the agent's words where there is none.
    let request = Request::BlocksVerify { target: None, number: Some(number) };
    app.ask(request, caller.peer()).await?;
    let work = move || {
        let asks = Handle::current();
        let mut ask =
            |request| asks.block_on(app.ask(request, caller.peer())).map_err(anyhow::Error::new);
        crate::verify::verify(None, Some(number), &mut ask)
    };
    let items = tokio::task::spawn_blocking(work)
        .await
        .context("the verification was interrupted: try again")??;
    Ok(Json(VerifyList { items }))
}

fn tell(app: &App, number: Option<u32>) {
    let id = number.map(|number| number.to_string());
    app.bus.emit(PageEvent::change(Topic::Blocks, id.as_deref()));
}
