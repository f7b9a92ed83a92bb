//! How everything is doing, in one answer: what the agent says of itself, and what is stored.

use axum::extract::State;
use serde::Serialize;
use utoipa::ToSchema;
use utoipa_axum::routes;

use super::extract::Json;
use super::problem::Problem;
use super::{App, Routes};
use crate::clock::now_ns;
use crate::control::{Pending, TableUse};
use crate::response::Mode;
use crate::store::counts::{self, Counts};
use crate::units::rfc3339;

pub(super) fn routes() -> Routes {
    Routes::default().read(routes!(show))
}

/// How everything is doing
#[derive(Clone, Debug, Default, PartialEq, Serialize, ToSchema)]
#[schema(as = Status)]
pub struct StatusBody {
    pub version: String,
    /// None without an agent
    #[schema(value_type = Option<crate::control::ModeName>)]
    pub mode: Option<Mode>,
    /// Whether an agent watches interfaces
    pub capturing: bool,
    pub started: String,
    pub uptime_secs: u64,
    pub rates: Rates,
    pub flows: u64,
    pub interfaces: u64,
    pub coverage: Coverage,
    /// What was not seen, not kept or not told, by reason; what is 0 may be left out
    pub loss: Vec<Loss>,
    pub baselines: Baselines,
    pub alerts: AlertCounts,
    pub blocks: u64,
    pub pending: Vec<Pending>,
    pub tables: Vec<TableUse>,
    pub store: StoreState,
    pub sinks: Vec<SinkState>,
    /// `learning, ready in 27 days`
    pub learning: Option<String>,
}

/// In a second, over the last second
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, ToSchema)]
pub struct Rates {
    pub packets: f64,
    pub bytes: f64,
    pub bytes_out: f64,
    pub bytes_in: f64,
}

/// The bytes that interfaces carried, and those accounted to a flow or a reason to skip
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, ToSchema)]
pub struct Coverage {
    pub seen_bytes: u64,
    pub accounted_bytes: u64,
    pub unaccounted_bytes: u64,
    /// None where nothing was seen
    pub ratio: Option<f64>,
}

/// Something that was lost
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, ToSchema)]
pub struct Loss {
    pub name: String,
    pub count: u64,
    pub text: String,
}

/// Hosts whose habits are known
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, ToSchema)]
pub struct Baselines {
    pub ready: u64,
    pub learning: u64,
    /// Until the next is ready
    pub days_left: Option<u32>,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, ToSchema)]
pub struct AlertCounts {
    pub open: u64,
    pub acknowledged: u64,
    pub last_24h: u64,
    /// Of those that are open
    pub by_severity: BySeverity,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, ToSchema)]
pub struct BySeverity {
    pub low: u64,
    pub medium: u64,
    pub high: u64,
    pub critical: u64,
}

/// The database
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, ToSchema)]
pub struct StoreState {
    pub state: StoreStateName,
    pub path: Option<String>,
    pub bytes: u64,
    /// What could not be stored, and is given up
    pub not_stored: Vec<NotStored>,
    pub error: Option<String>,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum StoreStateName {
    Ok,
    /// The last write failed
    Failing,
    /// There is none
    #[default]
    Off,
}

#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, ToSchema)]
pub struct NotStored {
    pub name: String,
    pub count: u64,
}

/// A way in which results are told
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, ToSchema)]
pub struct SinkState {
    pub name: String,
    pub state: String,
    pub queued: u64,
    pub sent: u64,
    pub failed: u64,
    pub dropped: u64,
}

/// What the database was asked for, and answered a moment ago.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Stored {
    counts: Counts,
    bytes: u64,
}

/// How everything is doing
#[utoipa::path(
    get, path = "/api/status", tag = "State",
    responses((status = OK, description = "As it was less than two seconds ago",
        body = StatusBody))
)]
async fn show(State(app): State<App>) -> Json<StatusBody> {
    Json(current(&app))
}

/// The latest, or in the first moment of all what is known without asking.
pub(super) fn current(app: &App) -> StatusBody {
    let status = app.live.status();
    if status.version.is_empty() {
        return without_agent(app).with_stored(app, &Stored::default());
    }
    StatusBody::clone(&status)
}

/// Asks the database.
pub(super) async fn stored(app: &App) -> Result<Stored, Problem> {
    if app.store.is_none() {
        return Ok(Stored::default());
    }
    app.with_store(|store| {
        let counts = store.read(|connection| counts::alerts(connection, now_ns()))?;
        Ok(Stored { counts, bytes: store.used_bytes()? })
    })
    .await
}

/// What there is to say where no agent runs.
pub(super) fn without_agent(app: &App) -> StatusBody {
    let uptime = app.shared.started.elapsed();
    let uptime_ns = u64::try_from(uptime.as_nanos()).unwrap_or(u64::MAX);
    StatusBody {
        version: env!("CARGO_PKG_VERSION").to_owned(),
        started: rfc3339(now_ns().saturating_sub(uptime_ns)),
        uptime_secs: uptime.as_secs(),
        ..StatusBody::default()
    }
}

impl StatusBody {
    pub(super) fn with_stored(mut self, app: &App, stored: &Stored) -> Self {
        let Counts { open, acknowledged, last_24h, by_severity: [low, medium, high, critical] } =
            stored.counts;
        let by_severity = BySeverity { low, medium, high, critical };
        self.alerts = AlertCounts { open, acknowledged, last_24h, by_severity };
        if let Some(store) = &app.store {
            let state = store.health().state();
            let failing = state.failing.is_some();
            let count = |(name, count): (&&str, &u64)| NotStored {
                name: (*name).to_owned(),
                count: *count,
            };
            self.store = StoreState {
                state: if failing { StoreStateName::Failing } else { StoreStateName::Ok },
                path: Some(store.path().display().to_string()),
                bytes: stored.bytes,
                not_stored: state.not_stored.iter().map(count).collect(),
                error: state.failing,
            };
        }
        self
    }
}
