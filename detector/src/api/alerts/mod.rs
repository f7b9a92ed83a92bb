//! Alerts: found, looked at, and what people say and do about them.
#![expect(
    unused_qualifications,
    reason = "the macros that describe parameters name their place as our extractor is named"
)]

mod action;
mod replay;

use std::io::{BufWriter, Write as _};

use axum::extract::State;
use axum::http::{HeaderValue, header};
use axum::response::{IntoResponse as _, Response};
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};
use utoipa_axum::routes;

use super::auth::record;
use super::caller::Caller;
use super::extract::{Json, Path, Query};
use super::notify::Delivery;
use super::pieces::written;
use super::problem::Problem;
use super::{App, Routes};
use crate::alerts::export;
use crate::alerts::search::AlertQuery;
use crate::alerts::{Status, StoredAlert};
use crate::audit::{Action, Record};
use crate::clock;
use crate::control::{Answer, BlockLine, Request};
use crate::store::Connection;
use crate::store::alerts::{self, Detail};
use crate::store::outbox;
use crate::verdict::AlertId;

pub(super) fn routes() -> Routes {
    Routes::default()
        .read(routes!(list))
        .read(routes!(export_file))
        .read(routes!(show))
        .read(routes!(evidence))
        .read(routes!(replay::replay))
        .respond(routes!(acknowledge))
        .respond(routes!(close))
        .respond(routes!(reopen))
        .respond(routes!(add_note))
        .respond(routes!(action::benign))
        .respond(routes!(action::confirm))
        .respond(routes!(action::block))
        .respond(routes!(action::release))
}

/// Most alerts that one request marks.
const MAX_MARKED: usize = 1_000;
/// The longest note, in bytes.
const MAX_NOTE_BYTES: usize = 4_000;

/// A page of alerts, newest first
#[derive(Serialize, ToSchema)]
pub(super) struct AlertPage {
    items: Vec<StoredAlert>,
    /// Cursor of the next page; null at the end
    next: Option<String>,
    /// Number of matching alerts
    total: u64,
    /// False when more than `total` match
    total_exact: bool,
}

/// List alerts by any of their fields
#[utoipa::path(
    get, path = "/api/alerts", tag = "Alerts", params(AlertQuery),
    responses((status = OK, description = "Alerts, newest first", body = AlertPage))
)]
async fn list(
    State(app): State<App>,
    Query(query): Query<AlertQuery>,
) -> Result<Json<AlertPage>, Problem> {
    let limit = query.limit()?;
    let cursor = query.cursor()?;
    let filter = query.filter()?;
    let found = app
        .with_store(move |store| {
            store.read(|connection| alerts::search(connection, &filter, cursor, limit))
        })
        .await?;
    Ok(Json(AlertPage {
        items: found.rows,
        next: found.next.map(|key| format!("{key:x}")),
        total: found.total as u64,
        total_exact: found.total_exact,
    }))
}

/// Format of an export
#[derive(Clone, Copy, Default, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
enum ExportFormat {
    #[default]
    Json,
    Csv,
}

#[derive(Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
struct ExportQuery {
    /// `json`: one object a line. `csv`: a header and rows
    #[serde(default)]
    #[param(inline)]
    format: ExportFormat,
}

/// What is sent at once of an export.
const PIECE_BYTES: usize = 64 << 10;

/// Export alerts to one file
#[utoipa::path(
    get, path = "/api/alerts/export", tag = "Alerts", params(AlertQuery, ExportQuery),
    responses((status = OK, description = "All of them, the newest first", content(
        (String = "application/x-ndjson"), (String = "text/csv")
    )))
)]
async fn export_file(
    State(app): State<App>,
    Query(query): Query<AlertQuery>,
    Query(ExportQuery { format }): Query<ExportQuery>,
) -> Result<Response, Problem> {
    let filter = query.filter()?;
    let store = app.store()?.clone();
    let (kind, name) = match format {
        ExportFormat::Json => ("application/x-ndjson", "alerts.ndjson"),
        ExportFormat::Csv => ("text/csv; charset=utf-8", "alerts.csv"),
    };
    let body = written(move |output| {
        let mut output = BufWriter::with_capacity(PIECE_BYTES, output);
        let mut is_first = true;
        alerts::search_all(&store, &filter, |rows| {
            let is_first = std::mem::take(&mut is_first);
            match format {
                ExportFormat::Json => export::write_lines(&mut output, rows),
                ExportFormat::Csv => export::write_csv(&mut output, rows, is_first),
            }
        })?;
        Ok(output.flush()?)
    });
    let headers = [
        (header::CONTENT_TYPE, HeaderValue::from_static(kind)),
        (header::CONTENT_DISPOSITION, attachment(name)),
    ];
    Ok((headers, body).into_response())
}

/// A file to be saved under this ASCII name.
pub(super) fn attachment(name: &str) -> HeaderValue {
    let plain = |letter: char| letter.is_ascii_alphanumeric() || matches!(letter, '.' | '-' | '_');
    let name: String =
        name.chars().map(|letter| if plain(letter) { letter } else { '_' }).collect();
    HeaderValue::from_str(&format!("attachment; filename=\"{name}\""))
        .unwrap_or(HeaderValue::from_static("attachment"))
}

/// An alert with its blocks and messages
#[derive(Serialize, ToSchema)]
struct AlertDetail {
    #[serde(flatten)]
    detail: Detail,
    /// Active blocks that were placed because of it
    blocks: Vec<BlockLine>,
    /// Messages about it
    deliveries: Vec<Delivery>,
}

/// Show one alert
#[utoipa::path(
    get, path = "/api/alerts/{id}", tag = "Alerts", params(("id" = String, Path)),
    responses((status = OK, description = "The alert with the notes evidence, blocks and \
        messages", body = AlertDetail))
)]
async fn show(
    State(app): State<App>,
    caller: Caller,
    Path(id): Path<String>,
) -> Result<Json<AlertDetail>, Problem> {
    let id = read_id(&id)?;
    let (detail, deliveries) = app
        .with_store(move |store| {
            store.read(|connection| Ok((find(connection, id)?, deliveries_of(connection, id)?)))
        })
        .await?;
    let blocks = blocks_of(&app, &caller, id).await;
    Ok(Json(AlertDetail { detail, blocks, deliveries }))
}

fn deliveries_of(connection: &Connection, id: AlertId) -> anyhow::Result<Vec<Delivery>> {
    const MOST: u32 = 100;
    let filter = outbox::Filter { alert: Some(id), limit: MOST, ..outbox::Filter::default() };
    let found = outbox::deliveries(connection, &filter)?;
    Ok(found.into_iter().map(Delivery::from).collect())
}

/// The active blocks that were placed because of an alert; none when no agent runs.
async fn blocks_of(app: &App, caller: &Caller, id: AlertId) -> Vec<BlockLine> {
    if id.analysis != 0 {
        return Vec::new();
    }
    match app.ask(Request::BlocksList {}, caller.peer()).await {
        Ok(Answer::Blocks { blocks }) => {
            blocks.into_iter().filter(|block| is_because_of(block, id)).collect()
        }
        _ => Vec::new(),
    }
}

/// Whether the agent or an operator placed a block because of an alert.
fn is_because_of(block: &BlockLine, id: AlertId) -> bool {
    block.alert.as_ref() == Some(&id.to_string()) || block.reason == format!("alert {id}")
}

fn read_id(text: &str) -> Result<AlertId, Problem> {
    text.parse().map_err(|_| alerts::unknown(text).into())
}

fn find(connection: &Connection, id: AlertId) -> anyhow::Result<Detail> {
    let detail = alerts::detail(connection, id)?;
    Ok(detail.ok_or_else(|| alerts::unknown(&id.to_string()))?)
}

fn find_key(connection: &Connection, id: AlertId) -> anyhow::Result<i64> {
    let key = alerts::key_of(connection, id)?;
    Ok(key.ok_or_else(|| alerts::unknown(&id.to_string()))?)
}

/// Export the evidence of an alert to one file
#[utoipa::path(
    get, path = "/api/alerts/{id}/evidence", tag = "Alerts", params(("id" = String, Path)),
    responses((status = OK, description = "A file to be saved", body = Bundle))
)]
async fn evidence(State(app): State<App>, Path(id): Path<String>) -> Result<Response, Problem> {
    let id = read_id(&id)?;
    let bundle =
        app.with_store(move |store| store.read(|connection| bundle(connection, id))).await?;
    let name = format!("alert-{id}.json");
    let headers = [(header::CONTENT_DISPOSITION, attachment(&name))];
    Ok((headers, Json(bundle)).into_response())
}

/// The evidence of an alert
#[derive(Serialize, ToSchema)]
pub(crate) struct Bundle {
    /// Version of the program that wrote it
    version: &'static str,
    alert: Detail,
    /// Traffic between its two hosts about that time
    flows: Vec<crate::store::traffic::SessionRow>,
}

/// Collects the evidence of an alert.
///
/// # Errors
///
/// An alert that is not there, as a [`Problem`]; a database that cannot be read.
pub(crate) fn bundle(connection: &Connection, id: AlertId) -> anyhow::Result<Bundle> {
    let alert = find(connection, id)?;
    let flows = alerts::flows_of(connection, alert.stored.key)?;
    Ok(Bundle { version: env!("CARGO_PKG_VERSION"), alert, flows })
}

/// Alerts to mark, and the reason
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
struct Marked {
    #[schema(min_items = 1, max_items = 1000)]
    ids: Vec<String>,
    #[schema(max_length = 4000)]
    note: Option<String>,
}

#[derive(Serialize, ToSchema)]
struct Changed {
    /// Number of alerts whose state changed
    changed: u64,
}

/// Acknowledge alerts
#[utoipa::path(
    post, path = "/api/alerts/acknowledge", tag = "Alerts", request_body = Marked,
    responses((status = OK, description = "Number of alerts that changed", body = Changed))
)]
async fn acknowledge(
    State(app): State<App>,
    caller: Caller,
    Json(marked): Json<Marked>,
) -> Result<Json<Changed>, Problem> {
    mark(app, caller, marked, Status::Acknowledged).await
}

/// Close alerts
#[utoipa::path(
    post, path = "/api/alerts/close", tag = "Alerts", request_body = Marked,
    responses((status = OK, description = "Number of alerts that changed", body = Changed))
)]
async fn close(
    State(app): State<App>,
    caller: Caller,
    Json(marked): Json<Marked>,
) -> Result<Json<Changed>, Problem> {
    mark(app, caller, marked, Status::Closed).await
}

/// Reopen alerts
#[utoipa::path(
    post, path = "/api/alerts/reopen", tag = "Alerts", request_body = Marked,
    responses((status = OK, description = "Number of alerts that changed", body = Changed))
)]
async fn reopen(
    State(app): State<App>,
    caller: Caller,
    Json(marked): Json<Marked>,
) -> Result<Json<Changed>, Problem> {
    mark(app, caller, marked, Status::Open).await
}

async fn mark(
    app: App,
    caller: Caller,
    marked: Marked,
    status: Status,
) -> Result<Json<Changed>, Problem> {
    let Marked { ids, note } = marked;
    if ids.is_empty() || ids.len() > MAX_MARKED {
        return Err(Problem::field("ids", &format!("ids: name 1 to {MAX_MARKED} alerts")));
    }
    if let Some(note) = &note {
        check_note("note", note)?;
    }
    let ids = ids.iter().map(|id| read_id(id)).collect::<Result<Vec<_>, _>>()?;
    let who = caller.peer().to_string();
    let changed = app
        .with_store(move |store| {
            store.write(move |connection| {
                alerts::mark_all(connection, &ids, status, note.as_deref(), &who, clock::now_ns())
            })
        })
        .await?;
    app.bus.alerts_changed(None);
    let records = changed.iter().map(|id| Record {
        alert: Some(id.to_string()),
        ..record(&caller.who(), Action::Alert, status.name().to_owned())
    });
    app.note_all(records.collect());
    Ok(Json(Changed { changed: changed.len() as u64 }))
}

/// A note
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
struct NewNote {
    #[schema(min_length = 1, max_length = 4000)]
    text: String,
}

fn check_note(field: &str, text: &str) -> Result<(), Problem> {
    if text.trim().is_empty() || text.len() > MAX_NOTE_BYTES {
        let detail = format!("{field}: write 1 to {MAX_NOTE_BYTES} bytes");
        return Err(Problem::field(field, &detail));
    }
    Ok(())
}

/// Add a note to an alert
#[utoipa::path(
    post, path = "/api/alerts/{id}/notes", tag = "Alerts", params(("id" = String, Path)),
    request_body = NewNote,
    responses((status = CREATED, description = "The alert with the note", body = Detail))
)]
async fn add_note(
    State(app): State<App>,
    caller: Caller,
    Path(id): Path<String>,
    Json(NewNote { text }): Json<NewNote>,
) -> Result<(axum::http::StatusCode, Json<Detail>), Problem> {
    check_note("text", &text)?;
    let id = read_id(&id)?;
    let who = caller.peer().to_string();
    let detail = app
        .with_store(move |store| {
            store.write(move |connection| {
                let key = find_key(connection, id)?;
                alerts::add_note(connection, key, &who, &text, clock::now_ns())?;
                find(connection, id)
            })
        })
        .await?;
    app.bus.alerts_changed(Some(&id.to_string()));
    Ok((axum::http::StatusCode::CREATED, Json(detail)))
}
