//! Who changed what, when and why.

use axum::extract::State;
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};
use utoipa_axum::routes;

use super::extract::{Json, Query};
use super::problem::Problem;
use super::{App, Routes};
use crate::audit::{FILE, read};

pub(super) fn routes() -> Routes {
    Routes::default().read(routes!(list))
}

#[derive(Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
#[serde(deny_unknown_fields)]
struct Wanted {
    /// The latest so many
    #[param(minimum = 1, maximum = 500, default = 50)]
    limit: Option<usize>,
}

/// A change of policy; what does not apply is left out
#[derive(Serialize, ToSchema)]
struct AuditRecord {
    time: String,
    /// `agent`, `uid 0 (root)`, `api laptop`
    who: String,
    action: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    target: Option<String>,
    /// Of the block
    #[serde(skip_serializing_if = "Option::is_none")]
    number: Option<u32>,
    #[serde(skip_serializing_if = "Option::is_none")]
    why: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    alert: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    ttl_secs: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    until: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    packets: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    bytes: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    mode: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    detail: Option<String>,
}

impl From<crate::audit::Record> for AuditRecord {
    fn from(record: crate::audit::Record) -> Self {
        Self {
            time: record.time,
            who: record.who,
            action: record.action.name().to_owned(),
            target: record.target.map(|target| target.to_string()),
            number: record.number,
            why: record.why,
            alert: record.alert,
            ttl_secs: record.ttl_secs,
            until: record.until,
            packets: record.packets,
            bytes: record.bytes,
            mode: record.mode.map(|mode| mode.to_string()),
            detail: record.detail,
        }
    }
}

#[derive(Serialize, ToSchema)]
struct AuditList {
    items: Vec<AuditRecord>,
    /// Lines of the log that are no records
    damaged: u64,
    /// Always null
    next: Option<String>,
}

/// Who changed what, when and why
#[utoipa::path(
    get, path = "/api/audit", tag = "State",
    responses((status = OK, description = "The latest first", body = AuditList))
)]
async fn list(
    State(app): State<App>,
    Query(Wanted { limit }): Query<Wanted>,
) -> Result<Json<AuditList>, Problem> {
    let limit = limit.unwrap_or(50);
    if !(1..=500).contains(&limit) {
        return Err(Problem::field("limit", "limit: use 1 to 500"));
    }
    let dir = app.config.state_dir.clone();
    let work = move || {
        // Before the first change there is no log.
        if dir.join(FILE).exists() { read(&dir, None, Some(limit)) } else { Ok(Default::default()) }
    };
    let done = tokio::task::spawn_blocking(work).await;
    let history = done.map_err(anyhow::Error::new)??;
    let items = history.records.into_iter().rev().map(AuditRecord::from).collect();
    Ok(Json(AuditList { items, damaged: history.damaged, next: None }))
}
