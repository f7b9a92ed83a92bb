//! List changes of policy with author, time and reason.

use axum::extract::State;
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};
use utoipa_axum::routes;

use super::contacts::{cursor, page};
use super::extract::{Json, Query};
use super::problem::Problem;
use super::{App, Routes};
use crate::audit::Action;
use crate::store::audit::{Entry, Filter, damaged, search};
use crate::units::rfc3339;
use crate::values;

pub(super) fn routes() -> Routes {
    Routes::default().read(routes!(list))
}

#[derive(Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
#[serde(deny_unknown_fields)]
struct Wanted {
    /// Text that the record contains
    q: Option<String>,
    /// Such as `placed`, `allowed` or `alert`
    action: Option<String>,
    /// Only changes because of this alert or to it
    alert: Option<String>,
    /// Not before this time
    from: Option<String>,
    /// 1 to 500; default: 50
    #[param(minimum = 1, maximum = 500)]
    limit: Option<u32>,
    /// `next` of the previous page
    cursor: Option<String>,
}

/// A change of policy; fields that do not apply are left out
#[derive(Serialize, ToSchema)]
struct AuditRecord {
    time: String,
    /// `agent`, `uid 0 (root)`, `api laptop`
    who: String,
    action: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    target: Option<String>,
    /// The block's number
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    number: Option<u32>,
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    why: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    alert: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    ttl_secs: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    until: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    packets: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    bytes: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    mode: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
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
    /// Number of damaged lines in the log
    damaged: u64,
    /// Cursor of the next page; null at the end
    next: Option<String>,
}

/// List changes of policy with author, time and reason
#[utoipa::path(
    get, path = "/api/audit", tag = "State",
    responses((status = OK, description = "Changes, newest first", body = AuditList))
)]
async fn list(
    State(app): State<App>,
    Query(wanted): Query<Wanted>,
) -> Result<Json<AuditList>, Problem> {
    let (limit, before) = (page(wanted.limit)?, cursor(wanted.cursor.as_deref())?);
    let filter = wanted.filter()?;
    let dir = app.config.state_dir.clone();
    let (entries, damaged) = app
        .with_store(move |store| {
            store.follow_audit(&dir)?;
            store.read(|connection| {
                Ok((search(connection, &filter, before, limit)?, damaged(connection)?))
            })
        })
        .await?;
    let is_full = entries.len() == limit as usize;
    let next = entries.last().filter(|_| is_full).map(|entry| entry.key.to_string());
    let items = entries.into_iter().map(|Entry { record, .. }| record.into()).collect();
    Ok(Json(AuditList { items, damaged, next }))
}

impl Wanted {
    fn filter(self) -> Result<Filter, Problem> {
        let given = |text: Option<String>| text.filter(|text| !text.trim().is_empty());
        let action = match given(self.action) {
            Some(name) => Some(action(&name)?.name().to_owned()),
            None => None,
        };
        let since = values::time("from", self.from.as_deref())?.map(rfc3339);
        Ok(Filter { action, alert: given(self.alert), text: given(self.q), since })
    }
}

/// As the log has it, or as a list shows it.
fn action(name: &str) -> Result<Action, Problem> {
    match Action::of(&name.replace(' ', "_")) {
        Action::Other => {
            let detail = format!("action: `{}` is unknown", name.escape_debug());
            Err(Problem::field("action", &detail))
        }
        action => Ok(action),
    }
}
