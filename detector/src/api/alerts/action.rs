//! What follows from looking at an alert: it was benign, or is to be stopped, or let go.

use axum::extract::State;
use axum::http::StatusCode;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::super::App;
use super::super::auth::record;
use super::super::caller::Caller;
use super::super::extract::{Json, Path};
use super::super::problem::Problem;
use super::{check_note, find, find_key, is_because_of, read_id};
use crate::alerts::Resolution;
use crate::alerts::expected::{Scope, exception, lasts_secs};
use crate::audit::{Action, Record};
use crate::clock;
use crate::control::{AllowLine, Answer, BlockLine, EffectWanted, Pending, Request};
use crate::response::{ChangeKind, Target};
use crate::status::bus::{PageEvent, Topic};
use crate::store::alerts::{self, TimelinePoint};
use crate::verdict::alert::protocol_name;
use crate::verdict::allow::Entry;
use crate::verdict::{ActionTaken, Alert, AlertId};

/// The reach and duration of the exception
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct Benign {
    #[serde(default)]
    scope: Scope,
    /// Default: 30 days
    #[schema(minimum = 1, maximum = 31_622_400)]
    ttl_secs: Option<u64>,
    #[schema(max_length = 4000)]
    note: Option<String>,
}

/// The result
#[derive(Serialize, ToSchema)]
pub(super) struct BenignDone {
    /// The exception; null when no agent runs
    allow: Option<AllowLine>,
    /// Labelled vectors that were kept for training
    samples: u64,
    text: String,
}

/// Mark an alert as benign: close it, add an exception, and keep its vector for training
#[utoipa::path(
    post, path = "/api/alerts/{id}/benign", tag = "Alerts", params(("id" = String, Path)),
    request_body = Benign,
    responses((status = OK, description = "The alert is closed", body = BenignDone))
)]
pub(super) async fn benign(
    State(app): State<App>,
    caller: Caller,
    Path(id): Path<String>,
    Json(benign): Json<Benign>,
) -> Result<Json<BenignDone>, Problem> {
    let id = read_id(&id)?;
    if let Some(note) = &benign.note {
        check_note("note", note)?;
    }
    let ttl_secs = lasts_secs(benign.ttl_secs)?;
    let detail = app.with_store(move |store| store.read(|connection| find(connection, id))).await?;
    let allow = match app.agent {
        Some(_) => Some(allow(&app, &caller, &detail.stored.alert, benign.scope, ttl_secs).await?),
        None => None,
    };
    label(&app, &caller, id, Resolution::Benign, benign.note).await?;
    app.bus.emit(PageEvent::change(Topic::Allow, None));
    let text = match &allow {
        Some(allow) => {
            format!(
                "the alert is closed, and entry {} allows its traffic: {}",
                allow.id, allow.reason
            )
        }
        None => "the alert is closed; without a running agent there is no exception".to_owned(),
    };
    Ok(Json(BenignDone { allow, samples: 1, text }))
}

async fn allow(
    app: &App,
    caller: &Caller,
    alert: &Alert,
    scope: Scope,
    ttl_secs: u64,
) -> Result<AllowLine, Problem> {
    let Entry { source, destination, name, port, reason, .. } = exception(alert, scope)?;
    let request = Request::AllowAdd {
        source,
        destination,
        name,
        port,
        reason,
        ttl_secs: Some(ttl_secs),
        confirm_within_secs: None,
    };
    match app.ask(request, caller.peer()).await? {
        Answer::Allowed { entry, .. } => Ok(entry),
        _ => Err(Problem::conflict(
            "the agent's answer is of an unknown kind: restart the agent after an upgrade",
        )),
    }
}

/// What was found
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct Confirmation {
    #[schema(max_length = 4000)]
    note: Option<String>,
}

/// The result
#[derive(Serialize, ToSchema)]
pub(super) struct ConfirmationDone {
    /// Labelled vectors that were kept for training
    samples: u64,
}

/// Confirm that an alert is exfiltration: close it and keep its vector for training
#[utoipa::path(
    post, path = "/api/alerts/{id}/confirm", tag = "Alerts", params(("id" = String, Path)),
    request_body = Confirmation,
    responses((status = OK, description = "The alert is closed", body = ConfirmationDone))
)]
pub(super) async fn confirm(
    State(app): State<App>,
    caller: Caller,
    Path(id): Path<String>,
    Json(Confirmation { note }): Json<Confirmation>,
) -> Result<Json<ConfirmationDone>, Problem> {
    let id = read_id(&id)?;
    if let Some(note) = &note {
        check_note("note", note)?;
    }
    label(&app, &caller, id, Resolution::Confirmed, note).await?;
    Ok(Json(ConfirmationDone { samples: 1 }))
}

async fn label(
    app: &App,
    caller: &Caller,
    id: AlertId,
    resolution: Resolution,
    note: Option<String>,
) -> Result<(), Problem> {
    let who = caller.peer().to_string();
    app.with_store(move |store| {
        store.write(move |connection| {
            let key = find_key(connection, id)?;
            let now_ns = clock::now_ns();
            if let Some(note) = &note {
                alerts::add_note(connection, key, &who, note, now_ns)?;
            }
            alerts::resolve(connection, key, resolution, &who, now_ns)
        })
    })
    .await?;
    app.bus.alerts_changed(Some(&id.to_string()));
    let said = record(&caller.who(), Action::Alert, format!("closed, {}", resolution.name()));
    app.note_all(vec![Record { alert: Some(id.to_string()), ..said }]);
    Ok(())
}

/// The target of the block
#[derive(Clone, Copy, Debug, Default, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
#[schema(as = BlockedWhat)]
enum What {
    /// All traffic between sender and receiver
    #[default]
    Pair,
    /// The receiver's port, for every internal host
    Service,
    /// The receiver, for every internal host
    Destination,
    /// The sender, with every receiver
    Host,
}

/// The target and duration of the block
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct BlockAlert {
    #[serde(default)]
    what: What,
    /// Default: the configured time
    #[schema(minimum = 1)]
    ttl_secs: Option<u64>,
    /// The agent undoes the block unless it is confirmed within this time
    #[schema(minimum = 1, maximum = 86400)]
    confirm_within_secs: Option<u64>,
}

/// An active block
#[derive(Serialize, ToSchema)]
pub(super) struct BlockDone {
    block: BlockLine,
    pending: Option<Pending>,
}

/// Block the traffic of an alert
#[utoipa::path(
    post, path = "/api/alerts/{id}/block", tag = "Alerts", params(("id" = String, Path)),
    request_body = BlockAlert,
    responses((status = CREATED, description = "The block is active", body = BlockDone))
)]
pub(super) async fn block(
    State(app): State<App>,
    caller: Caller,
    Path(id): Path<String>,
    Json(new): Json<BlockAlert>,
) -> Result<(StatusCode, Json<BlockDone>), Problem> {
    let id = read_id(&id)?;
    let detail = app.with_store(move |store| store.read(|connection| find(connection, id))).await?;
    let request = Request::BlocksAdd {
        target: target(&detail.stored.alert, new.what)?,
        ttl_secs: new.ttl_secs,
        effect: EffectWanted::Drop,
        simulate: false,
        reason: format!("alert {id}"),
        confirm_within_secs: new.confirm_within_secs,
    };
    let answer = app.ask(request, caller.peer()).await?;
    let Answer::Placed { block, pending } = answer else {
        return Err(Problem::conflict(
            "the agent's answer is of an unknown kind: restart the agent after an upgrade",
        ));
    };
    note(&app, id, TimelinePoint::Acted(ActionTaken::Blocked)).await?;
    app.bus.emit(PageEvent::change(Topic::Blocks, None));
    Ok((StatusCode::CREATED, Json(BlockDone { block, pending })))
}

/// The target of a block of this kind.
fn target(alert: &Alert, what: What) -> Result<Target, Problem> {
    if alert.monitor_event.is_some() {
        let detail = "the alert is about the monitor itself, so there is no traffic to block";
        return Err(Problem::conflict(detail));
    }
    let port = || {
        let missing = "what: the alert's protocol has no ports, so there is no service to block";
        alert.dst_port.ok_or_else(|| Problem::field("what", missing))
    };
    let text = match what {
        What::Pair => format!("pair {} {}", alert.src, alert.dst),
        What::Service => {
            let (end, protocol) = (alert.dst.with_port(Some(port()?)), alert.protocol);
            format!("service {end} {}", protocol_name(protocol))
        }
        What::Destination => format!("destination {}", alert.dst),
        What::Host => format!("host {}", alert.src),
    };
    text.parse().map_err(|error: anyhow::Error| Problem::field("what", &format!("{error:#}")))
}

/// Blocks that were removed
#[derive(Serialize, ToSchema)]
pub(super) struct Released {
    blocks: Vec<BlockLine>,
}

/// Remove every block that was placed because of an alert
#[utoipa::path(
    post, path = "/api/alerts/{id}/release", tag = "Alerts", params(("id" = String, Path)),
    responses((status = OK, description = "The removed blocks with their last counters",
        body = Released))
)]
pub(super) async fn release(
    State(app): State<App>,
    caller: Caller,
    Path(id): Path<String>,
) -> Result<Json<Released>, Problem> {
    let id = read_id(&id)?;
    let detail = app.with_store(move |store| store.read(|connection| find(connection, id))).await?;
    let Answer::Blocks { blocks } = app.ask(Request::BlocksList {}, caller.peer()).await? else {
        return Err(Problem::conflict(
            "the agent's answer is of an unknown kind: restart the agent after an upgrade",
        ));
    };
    let mut released = Vec::new();
    for block in blocks.into_iter().filter(|block| is_because_of(block, id)) {
        let request = Request::BlocksRemove {
            target: None,
            number: Some(block.number),
            confirm_within_secs: None,
        };
        if let Answer::Removed { blocks, .. } = app.ask(request, caller.peer()).await? {
            released.extend(blocks);
        }
    }
    if released.is_empty() {
        let detail = format!("alert {} has no active block", detail.stored.alert.id);
        return Err(Problem::conflict(&detail));
    }
    note(&app, id, TimelinePoint::Changed(ChangeKind::Released)).await?;
    app.bus.emit(PageEvent::change(Topic::Blocks, None));
    Ok(Json(Released { blocks: released }))
}

/// Notes in the alert's timeline what was done.
async fn note(app: &App, id: AlertId, point: TimelinePoint) -> Result<(), Problem> {
    app.with_store(move |store| {
        store.write(move |connection| {
            let key = find_key(connection, id)?;
            alerts::note_action(connection, key, clock::now_ns(), point)
        })
    })
    .await?;
    app.bus.alerts_changed(Some(&id.to_string()));
    Ok(())
}
