//! Hosts: what each carried, the state of its baseline, its peers.
#![expect(
    unused_qualifications,
    reason = "the macros that describe parameters name their place as our extractor is named"
)]

use std::collections::HashMap;

use axum::extract::State;
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};
use utoipa_axum::routes;

use super::caller::Caller;
use super::extract::{Json, Path, Query};
use super::problem::Problem;
use super::traffic::{PeriodQuery, step};
use super::{App, Routes};
use crate::alerts::StoredAlert;
use crate::alerts::search::Filter;
use crate::control::{Answer, BaselineLine, Request};
use crate::network::{Address, Network};
use crate::store::alerts;
use crate::store::traffic::hosts::{self, HostPoint, HostRow};
use crate::store::traffic::{self, Talk};
use crate::values;

pub(super) fn routes() -> Routes {
    Routes::default().read(routes!(list)).read(routes!(show))
}

/// Alerts and peers on a host's page.
const SHOWN: usize = 20;

/// State of a host's baseline
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, ToSchema)]
#[serde(rename_all = "snake_case")]
enum BaselineState {
    Learning,
    Ready,
    /// The host has no baseline, or no agent runs
    None,
}

/// A host's baseline
#[derive(Clone, Debug, Serialize, ToSchema)]
struct Baseline {
    state: BaselineState,
    days_left: Option<u32>,
    /// Known receivers
    receivers: u64,
    /// Days on which the host was seen
    days_seen: u32,
}

/// A host
#[derive(Clone, Debug, Serialize, ToSchema)]
struct Host {
    address: String,
    home: bool,
    first_seen: Option<String>,
    last_seen: Option<String>,
    /// IP bytes in total
    bytes_out: u64,
    bytes_in: u64,
    /// Open alerts, among the newest 10,000
    alerts_open: u64,
    baseline: Baseline,
}

impl Host {
    fn of(row: HostRow, baselines: &HashMap<Address, BaselineLine>) -> Self {
        Self {
            address: row.address.to_string(),
            home: row.home,
            first_seen: Some(row.first_seen),
            last_seen: Some(row.last_seen),
            bytes_out: row.bytes_out,
            bytes_in: row.bytes_in,
            alerts_open: row.alerts_open,
            baseline: baseline(baselines.get(&row.address)),
        }
    }
}

fn baseline(line: Option<&BaselineLine>) -> Baseline {
    match line {
        None => {
            Baseline { state: BaselineState::None, days_left: None, receivers: 0, days_seen: 0 }
        }
        Some(line) => Baseline {
            state: match line.days_left {
                Some(_) => BaselineState::Learning,
                None => BaselineState::Ready,
            },
            days_left: line.days_left,
            receivers: line.receivers,
            days_seen: line.days_seen,
        },
    }
}

async fn baselines(app: &App, caller: &Caller) -> HashMap<Address, BaselineLine> {
    match app.ask(Request::Baselines {}, caller.peer()).await {
        Ok(Answer::Baselines { hosts }) => {
            hosts.into_iter().map(|line| (line.address, line)).collect()
        }
        _ => HashMap::new(),
    }
}

#[derive(Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
struct HostQuery {
    /// 1 to 500
    #[param(value_type = Option<u16>)]
    limit: Option<String>,
}

#[derive(Serialize, ToSchema)]
struct HostList {
    items: Vec<Host>,
    /// Always null: the list has the largest senders
    next: Option<String>,
}

/// The internal hosts
#[utoipa::path(
    get, path = "/api/hosts", tag = "Hosts", params(HostQuery),
    responses((status = OK, description = "Hosts, largest sender first", body = HostList))
)]
async fn list(
    State(app): State<App>,
    caller: Caller,
    Query(HostQuery { limit }): Query<HostQuery>,
) -> Result<Json<HostList>, Problem> {
    let limit = values::limit(limit.as_deref())?;
    let rows = app
        .with_store(move |store| store.read(|connection| hosts::hosts(connection, None, limit)))
        .await?;
    let baselines = baselines(&app, &caller).await;
    let items = rows.into_iter().map(|row| Host::of(row, &baselines)).collect();
    Ok(Json(HostList { items, next: None }))
}

#[derive(Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
struct StepQuery {
    /// Seconds between two points: whole minutes
    #[param(value_type = Option<u64>)]
    step: Option<String>,
}

/// A host with its history
#[derive(Serialize, ToSchema)]
struct HostDetail {
    #[serde(flatten)]
    host: Host,
    step_secs: u64,
    points: Vec<HostPoint>,
    /// The peers with the most traffic
    peers: Vec<Talk>,
    alerts: Vec<StoredAlert>,
}

/// Show one host with its traffic, peers and alerts
#[utoipa::path(
    get, path = "/api/hosts/{address}", tag = "Hosts",
    params(("address" = String, Path), PeriodQuery, StepQuery),
    responses((status = OK, description = "The host; lists are empty for an unknown host",
        body = HostDetail))
)]
async fn show(
    State(app): State<App>,
    caller: Caller,
    Path(address): Path<String>,
    Query(period): Query<PeriodQuery>,
    Query(StepQuery { step: wanted }): Query<StepQuery>,
) -> Result<Json<HostDetail>, Problem> {
    let address: Address = address.parse().map_err(|_| {
        Problem::field(
            "address",
            &format!("address: `{}` is not an IP address", address.escape_debug()),
        )
    })?;
    let period = period.period()?;
    let step_secs = step(wanted.as_deref(), period)?;
    let (row, points, peers, alerts) = app
        .with_store(move |store| {
            store.read(|connection| {
                let filter = Filter { address: Some(Network::of(address)), ..Filter::default() };
                Ok((
                    hosts::host(connection, address)?,
                    hosts::host_points(connection, address, period, step_secs)?,
                    traffic::talks(connection, period, Some(address), SHOWN)?,
                    alerts::search(connection, &filter, None, SHOWN)?.rows,
                ))
            })
        })
        .await?;
    let baselines = baselines(&app, &caller).await;
    let host = match row {
        Some(row) => Host::of(row, &baselines),
        None => Host {
            address: address.to_string(),
            home: false,
            first_seen: None,
            last_seen: None,
            bytes_out: 0,
            bytes_in: 0,
            alerts_open: 0,
            baseline: baseline(baselines.get(&address)),
        },
    };
    Ok(Json(HostDetail { host, step_secs, points, peers, alerts }))
}
