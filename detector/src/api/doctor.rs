//! Whether this machine can run the detector.

use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::Context as _;
use axum::extract::State;
use serde::Serialize;
use tokio::sync::Mutex;
use utoipa::ToSchema;
use utoipa_axum::routes;

use super::extract::Json;
use super::problem::Problem;
use super::{App, Routes};
use crate::doctor::{self, Check, Outcome};

/// Looking loads the programs into the kernel for a moment: not more often than this.
const FRESH: Duration = Duration::from_secs(10);

pub(super) fn routes() -> Routes {
    Routes::default().read(routes!(examine))
}

/// What was found, and when; held while somebody looks, so that others wait for the same.
pub(super) type Latest = Mutex<Option<(Vec<CheckBody>, Instant)>>;

/// The subject of the check
#[derive(Clone, Debug, Serialize, ToSchema)]
#[schema(as = Check)]
pub(super) struct CheckBody {
    name: String,
    state: CheckState,
    text: String,
    /// The remedy
    remedy: Option<String>,
}

#[derive(Clone, Copy, Debug, Serialize, ToSchema)]
#[serde(rename_all = "snake_case")]
enum CheckState {
    Ok,
    /// It works with a limitation
    Warning,
    /// It does not work
    Failed,
}

#[derive(Serialize, ToSchema)]
struct Checks {
    checks: Vec<CheckBody>,
}

impl From<&Check> for CheckBody {
    fn from(check: &Check) -> Self {
        Self {
            name: check.subject.clone(),
            state: match check.outcome {
                Outcome::Ok => CheckState::Ok,
                Outcome::Warning => CheckState::Warning,
                Outcome::Problem => CheckState::Failed,
            },
            text: check.finding.clone(),
            remedy: check.remedy.clone(),
        }
    }
}

/// Check whether this machine can run the detector, and how it would attach
///
/// The checks of `detector doctor`, at most ten seconds old.
#[utoipa::path(
    get, path = "/api/doctor", tag = "State",
    responses((status = OK, description = "The checks in their order", body = Checks))
)]
async fn examine(State(app): State<App>) -> Result<Json<Checks>, Problem> {
    let mut latest = app.shared.doctor.lock().await;
    if let Some((checks, since)) = latest.as_ref()
        && since.elapsed() < FRESH
    {
        return Ok(Json(Checks { checks: checks.clone() }));
    }
    let config = Arc::clone(&app.config);
    let work = move || -> Vec<CheckBody> {
        doctor::examine(None, &config).checks().iter().map(CheckBody::from).collect()
    };
    let done = tokio::task::spawn_blocking(work).await;
    let checks = done.context("the check of the machine was interrupted")?;
    *latest = Some((checks.clone(), Instant::now()));
    Ok(Json(Checks { checks }))
}
