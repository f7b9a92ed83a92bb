//! `POST /api/logs`: logs of connections, scored and kept.
#![expect(
    unused_qualifications,
    reason = "the macros that describe parameters name their place as our extractor is named"
)]

use std::collections::BTreeMap;
use std::io::BufReader;

use axum::body::Bytes;
use axum::extract::State;
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};
use utoipa_axum::routes;

use super::extract::{Json, Query};
use super::problem::Problem;
use super::{App, Routes};
use crate::builtin_models;
use crate::decompress::Expand;
use crate::features::Kind;
use crate::ingest::{EndedEarly, Format, Keeper, Unreadable, ingest};

pub(super) fn routes() -> Routes {
    Routes::default().respond(routes!(take))
}

/// The format of the log
#[derive(Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
struct LogQuery {
    /// `auto`, `json`, `ndjson`, `csv`, `zeek` or `eve`; default: `auto`
    #[param(inline, value_type = Option<FormatName>)]
    format: Option<String>,
}

/// The format of a log
#[derive(ToSchema)]
#[schema(rename_all = "lowercase")]
#[expect(dead_code, reason = "only the API document uses it")]
enum FormatName {
    Auto,
    Json,
    Ndjson,
    Csv,
    Zeek,
    Eve,
}

/// The result
#[derive(Serialize, ToSchema)]
struct LogReport {
    /// Records that were scored
    accepted: u64,
    rejected: u64,
    /// Events of other kinds and connections of other protocols
    skipped: u64,
    /// Accepted records that look like exfiltration
    alerts: u64,
    /// Why lines were skipped and what was corrected in those that were accepted, with the number of
    /// lines: `other_event`, `other_log`, `other_protocol`, `flow_read_before`, `flow_forgotten`,
    /// `half_of_a_flow`, `bytes_not_seen`
    notes: BTreeMap<String, u64>,
    /// The first 100 rejected records
    errors: Vec<LogError>,
    /// Why a compressed log was not read to its end; what came before counts
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    ended_early: Option<LogEnd>,
}

/// Why a log was not read to its end
#[derive(Serialize, ToSchema)]
struct LogEnd {
    /// `decompression_beyond_max_bytes`, `decompression_beyond_max_ratio`,
    /// `decompression_window_too_large`, `compressed_data_cut_off` or `compressed_data_damaged`
    reason: &'static str,
    detail: String,
}

/// An error in a line
#[derive(Serialize, ToSchema)]
struct LogError {
    /// Line number, from 1
    #[schema(minimum = 1)]
    line: u64,
    field: Option<String>,
    detail: String,
}

/// Score the records of a log, and store the alerts
///
/// Records of a firewall or proxy as JSON, NDJSON or CSV with the fields of `/predict`, Zeek's
/// conn.log, or Suricata's EVE, of which the flows are read. It may be compressed with gzip, zstd,
/// bzip2, xz or LZ4. The answer reports each line that cannot be read,
/// and the next one is read. Every record enters the history of probabilities at its own time; one that
/// looks like exfiltration becomes an alert of the origin `record`. Read twice, a log gives the same
/// alerts.
#[utoipa::path(
    post, path = "/api/logs", tag = "Records", params(LogQuery),
    request_body(content = String, description = "The log",
        content_type = "application/octet-stream"),
    responses((status = OK, description = "The number of accepted, rejected and skipped records",
        body = LogReport))
)]
async fn take(
    State(app): State<App>,
    Query(query): Query<LogQuery>,
    body: Result<Bytes, axum::extract::rejection::BytesRejection>,
) -> Result<Json<LogReport>, Problem> {
    let format = format(query.format.as_deref())?;
    let body = body?;
    if body.trim_ascii().is_empty() {
        return Err(Problem::malformed("the body is empty: send a log file"));
    }
    let config = app.current.get();
    let report = app
        .with_store(move |store| {
            let model = builtin_models::in_use(Kind::Record, Some(store), &config)?;
            let threshold = builtin_models::threshold_of(Kind::Record, &model, &config);
            let mut keeper = Keeper::new(store.clone(), model, threshold, config.hash())?;
            let body = Expand::new(&body[..], config.decompression);
            let read = ingest(BufReader::new(body), format, &mut keeper);
            read.map_err(unreadable)
        })
        .await?;
    let ended_early = report.ended_early.map(|EndedEarly { reason, detail }| {
        app.shared.stops.note(reason);
        LogEnd { reason: reason.name(), detail }
    });
    if let Some(LogEnd { detail, .. }) = &ended_early
        && report.accepted + report.rejected + report.skipped == 0
    {
        return Err(Problem::new(axum::http::StatusCode::UNPROCESSABLE_ENTITY, detail));
    }
    if report.alerts != 0 {
        app.bus.alerts_changed(None);
    }
    let notes = report.notes.into_iter().map(|(note, lines)| (note.name().to_owned(), lines));
    let errors = report.errors.into_iter().map(|error| LogError {
        line: error.line,
        field: error.field,
        detail: error.detail,
    });
    Ok(Json(LogReport {
        accepted: report.accepted,
        rejected: report.rejected,
        skipped: report.skipped,
        alerts: report.alerts,
        notes: notes.collect(),
        errors: errors.collect(),
        ended_early,
    }))
}

fn format(name: Option<&str>) -> Result<Option<Format>, Problem> {
    match name {
        None | Some("" | "auto") => Ok(None),
        Some(name) => {
            let known = Format::ALL.into_iter().find(|format| format.name() == name);
            known.map(Some).ok_or_else(|| {
                let detail = "format: use auto, json, ndjson, csv, zeek or eve";
                Problem::field("format", detail)
            })
        }
    }
}

fn unreadable(error: anyhow::Error) -> anyhow::Error {
    match error.downcast::<Unreadable>() {
        Ok(Unreadable { field: Some(field), detail }) => Problem::field(&field, &detail).into(),
        Ok(Unreadable { field: None, detail }) => {
            Problem::new(axum::http::StatusCode::UNPROCESSABLE_ENTITY, &detail).into()
        }
        Err(error) => error,
    }
}
