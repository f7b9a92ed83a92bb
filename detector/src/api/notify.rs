//! Rules, channels and what became of messages.
#![expect(unused_qualifications, reason = "utoipa's macro writes them")]

use axum::extract::State;
use axum::http::StatusCode;
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};
use utoipa_axum::routes;

use super::contacts::{cursor, page};
use super::extract::{Json, Path, Query};
use super::problem::Problem;
use super::{App, Routes};
use crate::network::Network;
use crate::notify::{ChannelHealth, channels, check, test};
use crate::status::bus::{PageEvent, Topic};
use crate::store::outbox::{self, Filter, State as DeliveryState};
use crate::store::rules::{self, RuleSpec};
use crate::units;
use crate::verdict::Severity;

pub(super) fn routes() -> Routes {
    Routes::default()
        .read(routes!(list_rules))
        .read(routes!(get_rule))
        .admin(routes!(add_rule))
        .admin(routes!(change_rule, remove_rule))
        .read(routes!(list_deliveries))
        .read(routes!(list_channels))
        .admin(routes!(send_test))
}

/// A rule: which alerts go to which group, over which channel.
#[derive(Debug, Serialize, ToSchema)]
struct Rule {
    id: i64,
    name: String,
    enabled: bool,
    /// Null: the channel's own recipients.
    group: Option<i64>,
    channel: String,
    min_severity: Severity,
    /// Empty: all techniques.
    techniques: Vec<String>,
    /// Only alerts from or to this address or network.
    host: Option<String>,
    /// Collect alerts for this long into one message; 0: a message for each alert.
    digest_secs: u32,
    /// Notify about the same alert again after this long; 0: only once.
    repeat_secs: u32,
    /// Why the rule notifies nobody, with the current configuration.
    held: Option<String>,
}

impl Rule {
    fn new(rule: rules::Rule, app: &App) -> Self {
        let held = check::why_not_told(&rule.wish, &app.current.get().notify);
        let RuleSpec {
            name, enabled, channel, group, techniques, digest_secs, repeat_secs, ..
        } = rule.wish;
        let min_severity = rule.wish.min_severity;
        let host = rule.wish.host.map(|host| host.short());
        let id = rule.id;
        Self {
            id,
            name,
            enabled,
            group,
            channel,
            min_severity,
            techniques,
            host,
            digest_secs,
            repeat_secs,
            held,
        }
    }
}

/// A rule to add or change.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
struct RuleBody {
    #[schema(min_length = 1, max_length = 100)]
    name: String,
    #[serde(default = "yes")]
    #[schema(default = true)]
    enabled: bool,
    group: Option<i64>,
    channel: String,
    /// `low`, `medium`, `high` or `critical`; default: `low`.
    min_severity: Option<String>,
    #[serde(default)]
    techniques: Vec<String>,
    /// An address or a network, such as `10.0.0.0/24`.
    host: Option<String>,
    #[serde(default)]
    digest_secs: u32,
    /// Without it an hour, and 0 where the channel is a webhook or syslog.
    repeat_secs: Option<u32>,
}

fn yes() -> bool {
    true
}

impl RuleBody {
    fn wish(self, app: &App) -> Result<RuleSpec, Problem> {
        let min_severity = check::severity(self.min_severity.as_deref().unwrap_or("low"))?;
        let host = self.host.as_deref().filter(|host| !host.is_empty());
        let host = host.map(str::parse::<Network>).transpose();
        let host = host.map_err(|error| Problem::field("host", &format!("{error:#}")))?;
        let Self { name, enabled, group, channel, techniques, digest_secs, repeat_secs, .. } = self;
        let current = app.current.get();
        let notify = &current.notify;
        let wish = RuleSpec {
            name,
            enabled,
            group,
            min_severity,
            techniques,
            host,
            digest_secs,
            repeat_secs: repeat_secs.unwrap_or_else(|| check::default_repeat(&channel, notify)),
            channel,
        };
        Ok(check::rule(wish, notify)?)
    }
}

#[derive(Debug, Serialize, ToSchema)]
struct RulePage {
    items: Vec<Rule>,
    next: Option<String>,
}

/// List all rules
#[utoipa::path(get, path = "/api/rules", tag = "People",
    responses((status = 200, body = RulePage)))]
async fn list_rules(State(app): State<App>) -> Result<Json<RulePage>, Problem> {
    let all = app.with_store(|store| store.read(rules::rules)).await?;
    let items = all.into_iter().map(|rule| Rule::new(rule, &app)).collect();
    Ok(Json(RulePage { items, next: None }))
}

/// Show one rule
#[utoipa::path(get, path = "/api/rules/{id}", tag = "People",
    params(("id" = i64, Path, description = "The rule's id")),
    responses((status = 200, body = Rule), ))]
async fn get_rule(State(app): State<App>, Path(id): Path<i64>) -> Result<Json<Rule>, Problem> {
    let found = app.with_store(move |store| store.read(|c| rules::rule(c, id))).await?;
    Ok(Json(Rule::new(found, &app)))
}

/// Add a rule
#[utoipa::path(post, path = "/api/rules", tag = "People", request_body = RuleBody,
    responses((status = 201, body = Rule),
        ))]
async fn add_rule(
    State(app): State<App>,
    Json(body): Json<RuleBody>,
) -> Result<(StatusCode, Json<Rule>), Problem> {
    let wish = body.wish(&app)?;
    let added =
        app.with_store(move |store| store.write(move |c| rules::add_rule(c, &wish))).await?;
    app.bus.emit(PageEvent::change(Topic::Contacts, None));
    Ok((StatusCode::CREATED, Json(Rule::new(added, &app))))
}

/// Change a rule
#[utoipa::path(put, path = "/api/rules/{id}", tag = "People", request_body = RuleBody,
    params(("id" = i64, Path, description = "The rule's id")),
    responses((status = 200, body = Rule), ))]
async fn change_rule(
    State(app): State<App>,
    Path(id): Path<i64>,
    Json(body): Json<RuleBody>,
) -> Result<Json<Rule>, Problem> {
    let wish = body.wish(&app)?;
    let changed =
        app.with_store(move |store| store.write(move |c| rules::change_rule(c, id, &wish))).await?;
    app.bus.emit(PageEvent::change(Topic::Contacts, None));
    Ok(Json(Rule::new(changed, &app)))
}

/// Remove a rule and its waiting messages
#[utoipa::path(delete, path = "/api/rules/{id}", tag = "People",
    params(("id" = i64, Path, description = "The rule's id")),
    responses((status = 204), ))]
async fn remove_rule(State(app): State<App>, Path(id): Path<i64>) -> Result<StatusCode, Problem> {
    app.with_store(move |store| store.write(move |c| rules::remove_rule(c, id))).await?;
    app.bus.emit(PageEvent::change(Topic::Contacts, None));
    Ok(StatusCode::NO_CONTENT)
}

/// A message to one recipient with its delivery state.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct Delivery {
    id: i64,
    time: String,
    channel: String,
    recipient: String,
    /// The first alert in the message.
    alert: Option<String>,
    /// Number of alerts in the message.
    alerts: u64,
    state: DeliveryState,
    attempts: u32,
    next_attempt: Option<String>,
    error: Option<String>,
    subject: String,
}

impl From<outbox::Delivery> for Delivery {
    fn from(delivery: outbox::Delivery) -> Self {
        Self {
            id: delivery.id,
            time: units::rfc3339(delivery.time_ns),
            channel: delivery.channel,
            recipient: delivery.recipient,
            alert: delivery.alert,
            alerts: delivery.alerts,
            state: delivery.state,
            attempts: delivery.attempts,
            next_attempt: delivery.next_attempt_ns.map(units::rfc3339),
            error: delivery.error,
            subject: delivery.subject,
        }
    }
}

#[derive(Debug, Serialize, ToSchema)]
struct DeliveryPage {
    items: Vec<Delivery>,
    next: Option<String>,
}

/// Filter and page of the list of messages.
#[derive(Debug, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
struct DeliverySearch {
    /// An alert's id.
    alert: Option<String>,
    /// `queued`, `sent`, `failed` or `dropped`.
    state: Option<String>,
    channel: Option<String>,
    /// 1 to 500; default: 50.
    #[param(minimum = 1, maximum = 500)]
    limit: Option<u32>,
    /// `next` of the previous page.
    cursor: Option<String>,
}

/// List messages with their delivery state, newest first
#[utoipa::path(get, path = "/api/deliveries", tag = "People", params(DeliverySearch),
    responses((status = 200, body = DeliveryPage), ))]
async fn list_deliveries(
    State(app): State<App>,
    Query(search): Query<DeliverySearch>,
) -> Result<Json<DeliveryPage>, Problem> {
    let (limit, before) = (page(search.limit)?, cursor(search.cursor.as_deref())?);
    let state = search.state.as_deref().map(|name| {
        DeliveryState::of(name).ok_or_else(|| {
            Problem::field(
                "state",
                &format!("`{name}` is unknown: use queued, sent, failed or dropped"),
            )
        })
    });
    let alert = search.alert.as_deref().map(str::parse);
    let alert = alert.transpose().map_err(|why: String| Problem::field("alert", &why))?;
    let channel = search.channel;
    // One more than is listed shows whether there are more.
    let filter = Filter { alert, state: state.transpose()?, channel, before, limit: limit + 1 };
    let mut rows =
        app.with_store(move |store| store.read(|c| outbox::deliveries(c, &filter))).await?;
    let more = rows.len() > limit as usize;
    rows.truncate(limit as usize);
    let next = rows.last().filter(|_| more).map(|row| row.id.to_string());
    Ok(Json(DeliveryPage { items: rows.into_iter().map(Delivery::from).collect(), next }))
}

/// A notification channel with its state.
#[derive(Debug, Serialize, ToSchema)]
struct Channel {
    name: String,
    /// `email`, `sms`, `webhook`, `slack` or `syslog`.
    kind: &'static str,
    /// Its destination, without secrets.
    target: String,
    state: ChannelHealth,
    queued: u64,
    sent: u64,
    failed: u64,
    last_error: Option<String>,
}

#[derive(Debug, Serialize, ToSchema)]
struct ChannelList {
    items: Vec<Channel>,
}

/// List the configured channels
#[utoipa::path(get, path = "/api/channels", tag = "People",
    responses((status = 200, body = ChannelList)))]
async fn list_channels(State(app): State<App>) -> Result<Json<ChannelList>, Problem> {
    let tallies = app.with_store(|store| store.read(outbox::tallies)).await?;
    let states = channels(&app.current.get().notify, &tallies);
    let items = states.into_iter().map(|state| Channel {
        name: state.name,
        kind: state.kind,
        target: state.target,
        state: state.state,
        queued: state.tally.queued,
        sent: state.tally.sent,
        failed: state.tally.failed,
        last_error: state.tally.error,
    });
    Ok(Json(ChannelList { items: items.collect() }))
}

/// The destination of a test message.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
struct TestBody {
    channel: String,
    /// The recipient; default: the channel's own first recipient.
    to: Option<String>,
}

/// Send a test message
///
/// The message goes through the outbox. The answer has its state so far, and `/api/deliveries` has
/// it later.
#[utoipa::path(post, path = "/api/notify/test", tag = "People", request_body = TestBody,
    responses((status = 201, body = Delivery), ))]
async fn send_test(
    State(app): State<App>,
    Json(body): Json<TestBody>,
) -> Result<(StatusCode, Json<Delivery>), Problem> {
    let message = test::message(&app.current.get().notify, &body.channel, body.to.as_deref())?;
    let queued = app.with_store(move |store| test::queue(store, message)).await?;
    app.bus.emit(PageEvent::change(Topic::Deliveries, Some(&queued.id.to_string())));
    Ok((StatusCode::CREATED, Json(queued.into())))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The parameters come from the handlers' own types.
    #[test]
    fn the_document_has_the_parameters() {
        let document = serde_json::to_value(routes().read.into_openapi()).unwrap();
        let parameters = document["paths"]["/api/deliveries"]["get"]["parameters"].clone();
        let names: Vec<&str> =
            parameters.as_array().unwrap().iter().filter_map(|one| one["name"].as_str()).collect();
        assert_eq!(names, ["alert", "state", "channel", "limit", "cursor"]);
        assert_eq!(parameters[3]["schema"]["maximum"], 500);
    }
}
