//! Show the state of the agent, its interfaces, the database and the outputs, in one answer: what
//! the agent says of itself, and what is stored.

use std::time::{Duration, Instant};

use axum::extract::State;
use tokio::time::{MissedTickBehavior, interval};
use utoipa_axum::routes;

use super::extract::Json;
use super::problem::Problem;
use super::{App, Routes};
use crate::clock::now_ns;
use crate::status::{
    AlertCounts, BySeverity, Loss, NotStored, StatusBody, StoreState, StoreStateName,
};
use crate::store::counts::{self, Counts};
use crate::units::rfc3339;

const TICK: Duration = Duration::from_secs(1);
/// How often the database is asked how many alerts there are, though no change was reported.
const LOOK_AGAIN: Duration = Duration::from_secs(15);

pub(super) fn routes() -> Routes {
    Routes::default().read(routes!(show))
}

/// What the database was asked for, and answered a moment ago.
#[derive(Clone, Copy, Debug, Default)]
struct Stored {
    counts: Counts,
    bytes: u64,
}

/// Show the state of the agent, its interfaces, the database and the outputs
#[utoipa::path(
    get, path = "/api/status", tag = "State",
    responses((status = OK, description = "The status, less than two seconds old",
        body = StatusBody))
)]
async fn show(State(app): State<App>) -> Json<StatusBody> {
    Json(current(&app))
}

/// The latest, or in the first moment of all what is known without asking.
pub(super) fn current(app: &App) -> StatusBody {
    let status = app.bus.status();
    if status.version.is_empty() {
        return with_stored(without_agent(app), app, &Stored::default());
    }
    StatusBody::clone(&status)
}

/// Asks the database.
async fn stored(app: &App) -> Result<Stored, Problem> {
    if app.store.is_none() {
        return Ok(Stored::default());
    }
    app.with_store(|store| {
        let counts = store.read(|connection| counts::alerts(connection, now_ns()))?;
        Ok(Stored { counts, bytes: store.used_bytes()? })
    })
    .await
}

/// Joins, once a second, the agent's status with what the database and the outputs know.
pub(super) async fn tick(app: App) {
    let mut ticks = interval(TICK);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let mut known = Stored::default();
    let mut asked: Option<Instant> = None;
    loop {
        ticks.tick().await;
        let changed = app.bus.take_alerts_changed();
        if changed || asked.is_none_or(|asked| asked.elapsed() >= LOOK_AGAIN) {
            match stored(&app).await {
                Ok(found) => known = found,
                Err(problem) => tracing::debug!("failed to count the alerts: {problem}"),
            }
            asked = Some(Instant::now());
        }
        let body = app.bus.published().unwrap_or_else(|| without_agent(&app));
        app.bus.set_status(with_stored(body, &app, &known));
    }
}

/// What there is to say where no agent runs.
fn without_agent(app: &App) -> StatusBody {
    let uptime = app.shared.started.elapsed();
    let uptime_ns = u64::try_from(uptime.as_nanos()).unwrap_or(u64::MAX);
    StatusBody {
        version: env!("CARGO_PKG_VERSION").to_owned(),
        started: rfc3339(now_ns().saturating_sub(uptime_ns)),
        uptime_secs: uptime.as_secs(),
        ..StatusBody::default()
    }
}

/// Adds what the database and the outputs know.
fn with_stored(mut status: StatusBody, app: &App, stored: &Stored) -> StatusBody {
    let Counts { open, acknowledged, last_24h, capped, by_severity } = stored.counts;
    let [low, medium, high, critical] = by_severity;
    let by_severity = BySeverity { low, medium, high, critical };
    status.sinks = app.bus.sinks().states();
    let stops = app.shared.stops.counts().filter(|(_, count)| *count != 0);
    status.loss.extend(stops.map(|(reason, count)| Loss {
        name: reason.name().to_owned(),
        count,
        text: reason.text().to_owned(),
    }));
    status.alerts = AlertCounts { open, acknowledged, last_24h, capped, by_severity };
    if let Some(store) = &app.store {
        let state = store.health().state();
        let failing = state.failing.is_some();
        let count =
            |(name, count): (&&str, &u64)| NotStored { name: (*name).to_owned(), count: *count };
        status.store = StoreState {
            state: if failing { StoreStateName::Failing } else { StoreStateName::Ok },
            path: Some(store.path().display().to_string()),
            bytes: stored.bytes,
            not_stored: state.not_stored.iter().map(count).collect(),
            error: state.failing,
        };
    }
    status
}
