//! Traffic: by the minute, by who sends most, by who sends where, by session.
#![expect(
    unused_qualifications,
    reason = "the macros that describe parameters name their place as our extractor is named"
)]

use axum::extract::State;
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};
use utoipa_axum::routes;

use super::caller::Caller;
use super::extract::{Json, Query};
use super::problem::Problem;
use super::{App, Routes};
use crate::clock;
use crate::control::{Answer, Request, SessionLine, SessionOrder};
use crate::store::traffic::{
    self, By, Cursor, Period, SessionFilter, SessionRow, Talk, Top, TrafficPoint,
};
use crate::values;

pub(super) fn routes() -> Routes {
    Routes::default()
        .read(routes!(by_the_minute))
        .read(routes!(top))
        .read(routes!(talks))
        .read(routes!(flows))
        .read(routes!(sessions))
}

const MINUTE: u64 = 60;
const DAY: u64 = 86_400;
/// Points of a curve: a page is not wider.
const MAX_POINTS: u64 = 2_000;
const SECOND_NS: u64 = 1_000_000_000;

/// A time range
#[derive(Clone, Debug, Default, Deserialize, IntoParams)]
#[serde(default)]
#[into_params(parameter_in = Query)]
pub(super) struct PeriodQuery {
    /// RFC 3339; default: a day before `to`
    from: Option<String>,
    /// RFC 3339; default: now
    to: Option<String>,
}

impl PeriodQuery {
    pub(super) fn period(&self) -> Result<Period, Problem> {
        let to = values::time("to", self.to.as_deref())?.map(|time| time / SECOND_NS);
        let to = to.unwrap_or_else(|| clock::now_secs() + 1);
        let from = values::time("from", self.from.as_deref())?.map(|time| time / SECOND_NS);
        let from = from.unwrap_or_else(|| to.saturating_sub(DAY));
        if from >= to {
            return Err(Problem::field("from", "from: use a time before `to`"));
        }
        Ok(Period { from, to })
    }
}

/// The step that was asked for, in whole minutes, or one that makes a curve of some 300 points.
pub(super) fn step(text: Option<&str>, period: Period) -> Result<u64, Problem> {
    let length = period.to - period.from;
    let Some(step) = values::number::<u64>("step", text)? else {
        return Ok((length / 300).div_ceil(MINUTE).max(1) * MINUTE);
    };
    if step < MINUTE || step % MINUTE != 0 || length / step > MAX_POINTS {
        let detail = format!("step: use a multiple of 60 s that gives at most {MAX_POINTS} points");
        return Err(Problem::field("step", &detail));
    }
    Ok(step)
}

#[derive(Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
struct StepQuery {
    /// Seconds between two points: whole minutes
    #[param(value_type = Option<u64>)]
    step: Option<String>,
}

/// A time series
#[derive(Serialize, ToSchema)]
struct Curve {
    step_secs: u64,
    /// Points with data
    points: Vec<TrafficPoint>,
}

/// Show outbound and inbound traffic and the probability of exfiltration over time
#[utoipa::path(
    get, path = "/api/traffic", tag = "Traffic", params(PeriodQuery, StepQuery),
    responses((status = OK, description = "Points, oldest first", body = Curve))
)]
async fn by_the_minute(
    State(app): State<App>,
    Query(period): Query<PeriodQuery>,
    Query(StepQuery { step: wanted }): Query<StepQuery>,
) -> Result<Json<Curve>, Problem> {
    let period = period.period()?;
    let step_secs = step(wanted.as_deref(), period)?;
    let points = app
        .with_store(move |store| {
            store.read(|connection| traffic::traffic(connection, period, step_secs))
        })
        .await?;
    Ok(Json(Curve { step_secs, points }))
}

/// The grouping of the sums
#[derive(Clone, Copy, Debug, Default, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
enum ByName {
    #[default]
    Sources,
    Destinations,
    Ports,
    Protocols,
}

#[derive(Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
struct TopQuery {
    #[serde(default)]
    #[param(inline)]
    by: ByName,
    /// 1 to 500
    #[param(value_type = Option<u16>)]
    limit: Option<String>,
}

#[derive(Serialize, ToSchema)]
struct TopList {
    items: Vec<Top>,
}

/// List the largest senders or receivers
#[utoipa::path(
    get, path = "/api/top", tag = "Traffic", params(PeriodQuery, TopQuery),
    responses((status = OK, description = "Sums, largest first", body = TopList))
)]
async fn top(
    State(app): State<App>,
    Query(period): Query<PeriodQuery>,
    Query(TopQuery { by, limit }): Query<TopQuery>,
) -> Result<Json<TopList>, Problem> {
    let (period, limit) = (period.period()?, values::limit(limit.as_deref())?);
    let by = match by {
        ByName::Sources => By::Sources,
        ByName::Destinations => By::Destinations,
        ByName::Ports => By::Ports,
        ByName::Protocols => By::Protocols,
    };
    let items = app
        .with_store(move |store| {
            store.read(|connection| traffic::top(connection, by, period, limit))
        })
        .await?;
    Ok(Json(TopList { items }))
}

#[derive(Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
struct TalksQuery {
    /// Only traffic of this address
    host: Option<String>,
    /// 1 to 500
    #[param(value_type = Option<u16>)]
    limit: Option<String>,
}

#[derive(Serialize, ToSchema)]
struct TalkList {
    items: Vec<Talk>,
}

/// List traffic by sender and receiver
#[utoipa::path(
    get, path = "/api/talks", tag = "Traffic", params(PeriodQuery, TalksQuery),
    responses((status = OK, description = "Sums, largest first", body = TalkList))
)]
async fn talks(
    State(app): State<App>,
    Query(period): Query<PeriodQuery>,
    Query(TalksQuery { host, limit }): Query<TalksQuery>,
) -> Result<Json<TalkList>, Problem> {
    let (period, limit) = (period.period()?, values::limit(limit.as_deref())?);
    let host = values::network("host", host.as_deref())?.map(|host| host.bounds().0);
    let items = app
        .with_store(move |store| {
            store.read(|connection| traffic::talks(connection, period, host, limit))
        })
        .await?;
    Ok(Json(TalkList { items }))
}

/// Filters; all given ones must match
#[derive(Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
struct FlowQuery {
    /// Either end: an address or a network
    address: Option<String>,
    src: Option<String>,
    dst: Option<String>,
    /// The server's
    #[param(value_type = Option<u16>)]
    port: Option<String>,
    /// A protocol's name in lower case
    protocol: Option<String>,
    /// A DNS name, or the end of one
    name: Option<String>,
    /// 1 to 500
    #[param(value_type = Option<u16>)]
    limit: Option<String>,
    /// `next` of the previous page
    cursor: Option<String>,
}

/// A page of sessions
#[derive(Serialize, ToSchema)]
struct FlowPage {
    items: Vec<SessionRow>,
    next: Option<String>,
}

/// List the traffic of sessions, minute by minute
#[utoipa::path(
    get, path = "/api/flows", tag = "Traffic", params(PeriodQuery, FlowQuery),
    responses((status = OK, description = "Sessions, newest first", body = FlowPage))
)]
async fn flows(
    State(app): State<App>,
    Query(period): Query<PeriodQuery>,
    Query(query): Query<FlowQuery>,
) -> Result<Json<FlowPage>, Problem> {
    let limit = values::limit(query.limit.as_deref())?;
    let cursor = match query.cursor.as_deref().filter(|cursor| !cursor.is_empty()) {
        Some(text) => Some(Cursor::parse(text).ok_or_else(values::stale_cursor)?),
        None => None,
    };
    let text = |text: Option<String>| text.filter(|text| !text.trim().is_empty());
    let filter = SessionFilter {
        address: values::network("address", query.address.as_deref())?,
        src: values::network("src", query.src.as_deref())?,
        dst: values::network("dst", query.dst.as_deref())?,
        port: values::number("port", query.port.as_deref())?,
        protocol: text(query.protocol).map(|protocol| protocol.to_ascii_lowercase()),
        name: text(query.name).map(|name| name.trim_matches('.').to_owned()),
        period: Some(period.period()?),
    };
    let mut items = app
        .with_store(move |store| {
            store.read(|connection| {
                traffic::sessions(connection, &filter, cursor.as_ref(), limit + 1)
            })
        })
        .await?;
    let more = items.len() > limit;
    items.truncate(limit);
    let next = items.last().filter(|_| more).map(|last| last.cursor.clone());
    Ok(Json(FlowPage { items, next }))
}

/// The order of sessions
#[derive(Clone, Copy, Debug, Default, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
enum Sort {
    #[default]
    Rate,
    BytesOut,
    LastSeen,
}

#[derive(Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
struct SessionQuery {
    #[serde(default)]
    #[param(inline)]
    sort: Sort,
    /// 1 to 500
    #[param(value_type = Option<u16>)]
    limit: Option<String>,
}

#[derive(Serialize, ToSchema)]
struct SessionList {
    items: Vec<SessionLine>,
}

/// List the active sessions
#[utoipa::path(
    get, path = "/api/sessions", tag = "Traffic", params(SessionQuery),
    responses((status = OK, description = "Sessions in the requested order", body = SessionList))
)]
async fn sessions(
    State(app): State<App>,
    caller: Caller,
    Query(SessionQuery { sort, limit }): Query<SessionQuery>,
) -> Result<Json<SessionList>, Problem> {
    let limit = values::limit(limit.as_deref())? as u32;
    let sort = match sort {
        Sort::Rate => SessionOrder::Rate,
        Sort::BytesOut => SessionOrder::BytesOut,
        Sort::LastSeen => SessionOrder::LastSeen,
    };
    match app.ask(Request::Sessions { sort, limit }, caller.peer()).await? {
        Answer::Sessions { sessions } => Ok(Json(SessionList { items: sessions })),
        _ => Err(Problem::conflict(
            "the agent's answer is of an unknown kind: restart the agent after an upgrade",
        )),
    }
}
