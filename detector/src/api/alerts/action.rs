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
use crate::audit::{Action, Record};
use crate::clock;
use crate::control::{AllowLine, Answer, BlockLine, EffectWanted, Pending, Request};
use crate::network::Network;
use crate::response::{ChangeKind, Target};
use crate::status::bus::{PageEvent, Topic};
use crate::store::alerts::{self, TimelinePoint};
use crate::verdict::alert::protocol_name;
use crate::verdict::{ActionTaken, Alert, AlertId};

/// How long what was found benign raises no alerts: 30 days.
const BENIGN_SECS: u64 = 30 * 86_400;

/// What else is benign with it
#[derive(Clone, Copy, Debug, Default, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
#[schema(as = BenignScope)]
enum Scope {
    /// All that this host sends to that one
    #[default]
    Pair,
    /// All that is sent to that host and port
    Service,
    /// All that is sent to that host
    Destination,
    /// All that is sent to hosts of that name
    Name,
}

/// What was benign, and for how long that holds
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct Benign {
    #[serde(default)]
    scope: Scope,
    /// Left out: 30 days
    #[schema(minimum = 1)]
    ttl_secs: Option<u64>,
    #[schema(max_length = 400)]
    note: Option<String>,
}

/// What came of it
#[derive(Serialize, ToSchema)]
pub(super) struct BenignDone {
    /// The exception; null where no agent runs that could heed it
    allow: Option<AllowLine>,
    /// Resolution vectors that were kept, to train on
    samples: u64,
    text: String,
}

/// It was no theft: leave it alone for a while, and learn from it
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
    let ttl_secs = benign.ttl_secs.unwrap_or(BENIGN_SECS);
    if ttl_secs == 0 {
        return Err(Problem::field("ttl_secs", "ttl_secs: use at least 1"));
    }
    let detail = app.with_store(move |store| store.read(|connection| find(connection, id))).await?;
    let allow = match app.agent {
        Some(_) => Some(allow(&app, &caller, &detail.stored.alert, benign.scope, ttl_secs).await?),
        None => None,
    };
    label(&app, &caller, id, Resolution::Benign, benign.note).await?;
    app.bus.emit(PageEvent::change(Topic::Allow, None));
    let text = match &allow {
        Some(allow) => {
            format!("the alert is closed, and entry {} raises no more: {}", allow.id, allow.reason)
        }
        None => {
            "the alert is closed; no agent runs here that could leave its like alone".to_owned()
        }
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
    let (source, destination) = (Network::of(alert.src), Network::of(alert.dst));
    let name = alert.domain.as_deref().or(alert.dst_name.as_deref()).map(str::to_owned);
    let (source, destination, name, port) = match scope {
        Scope::Pair => (Some(source), Some(destination), None, None),
        Scope::Service => (None, Some(destination), None, alert.dst_port),
        Scope::Destination => (None, Some(destination), None, None),
        Scope::Name if name.is_none() => {
            return Err(Problem::field("scope", "scope: no name is known of the receiver"));
        }
        Scope::Name => (None, None, name, None),
    };
    let request = Request::AllowAdd {
        source,
        destination,
        name,
        port,
        reason: format!("alert {} was benign", alert.id),
        ttl_secs: Some(ttl_secs),
        confirm_within_secs: None,
    };
    match app.ask(request, caller.peer()).await? {
        Answer::Allowed { entry, .. } => Ok(entry),
        _ => Err(Problem::conflict("the agent answered something else")),
    }
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

/// What is blocked
#[derive(Clone, Copy, Debug, Default, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
#[schema(as = BlockedWhat)]
enum What {
    /// The two hosts, each with the other
    #[default]
    Pair,
    /// The receiver's port, for everybody
    Service,
    /// The receiver, for everybody
    Destination,
    /// The host that leaks, with everybody
    Host,
}

/// What is blocked, and for how long
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct BlockAlert {
    #[serde(default)]
    what: What,
    /// Left out: as configured
    #[schema(minimum = 1)]
    ttl_secs: Option<u64>,
    /// It is undone unless it is confirmed within so long
    #[schema(minimum = 1, maximum = 86400)]
    confirm_within_secs: Option<u64>,
}

/// An active block
#[derive(Serialize, ToSchema)]
pub(super) struct BlockDone {
    block: BlockLine,
    pending: Option<Pending>,
}

/// Block what an alert flags
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
        return Err(Problem::conflict("the agent answered something else"));
    };
    note(&app, id, TimelinePoint::Acted(ActionTaken::Blocked)).await?;
    app.bus.emit(PageEvent::change(Topic::Blocks, None));
    Ok((StatusCode::CREATED, Json(BlockDone { block, pending })))
}

/// What a block of this kind is placed on.
fn target(alert: &Alert, what: What) -> Result<Target, Problem> {
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

/// Blocks that are gone
#[derive(Serialize, ToSchema)]
pub(super) struct Released {
    blocks: Vec<BlockLine>,
}

/// Release every block that concerns an alert's two hosts because of it
#[utoipa::path(
    post, path = "/api/alerts/{id}/release", tag = "Alerts", params(("id" = String, Path)),
    responses((status = OK, description = "The blocks with their last counters", body = Released))
)]
pub(super) async fn release(
    State(app): State<App>,
    caller: Caller,
    Path(id): Path<String>,
) -> Result<Json<Released>, Problem> {
    let id = read_id(&id)?;
    let detail = app.with_store(move |store| store.read(|connection| find(connection, id))).await?;
    let Answer::Blocks { blocks } = app.ask(Request::BlocksList {}, caller.peer()).await? else {
        return Err(Problem::conflict("the agent answered something else"));
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
