//! Why an address is blocked or not, and what hosts may still send.

use axum::extract::State;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;
use utoipa_axum::routes;

use super::extract::{Json, Path};
use super::problem::Problem;
use super::request_parsing::{parse, unexpected};
use super::{App, Caller, Routes};
use crate::control::{Answer, BudgetLine, Explanation, Request};
use crate::status::bus::{PageEvent, Topic};

pub(super) fn routes() -> Routes {
    Routes::default().read(routes!(explain)).read(routes!(budgets)).respond(routes!(raise))
}

#[derive(Serialize, ToSchema)]
struct BudgetList {
    items: Vec<BudgetLine>,
    /// Number of budgets beyond the limit of the list
    more: u64,
    /// Always null
    next: Option<String>,
}

/// A new limit for a budget
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
struct Raise {
    home: String,
    destination: String,
    /// Payload bytes in total; default: unlimited
    bytes: Option<u64>,
}

/// Explain whether an address is blocked, and by which entry
#[utoipa::path(
    get, path = "/api/explain/{address}", tag = "Response",
    params(("address" = String, Path, example = "192.0.2.1")),
    responses((status = OK, description = "The answer first, then the evidence",
        body = Explanation))
)]
async fn explain(
    State(app): State<App>,
    caller: Caller,
    Path(address): Path<String>,
) -> Result<Json<Explanation>, Problem> {
    let address = parse("address", &address)?;
    match app.ask(Request::Explain { address }, caller.peer()).await? {
        Answer::Explanation(explanation) => Ok(Json(explanation)),
        _ => Err(unexpected()),
    }
}

/// List the byte budgets of hosts with limit, use and held payload
#[utoipa::path(
    get, path = "/api/budgets", tag = "Response",
    responses((status = OK, description = "Up to 10,000 budgets", body = BudgetList))
)]
async fn budgets(State(app): State<App>, caller: Caller) -> Result<Json<BudgetList>, Problem> {
    match app.ask(Request::Budgets {}, caller.peer()).await? {
        Answer::Budgets { budgets, more } => {
            Ok(Json(BudgetList { items: budgets, more, next: None }))
        }
        _ => Err(unexpected()),
    }
}

/// Raise the budget of a host to a destination
#[utoipa::path(
    post, path = "/api/budgets/raise", tag = "Response", request_body = Raise,
    responses((status = OK, description = "The budget after the change", body = BudgetLine))
)]
async fn raise(
    State(app): State<App>,
    caller: Caller,
    Json(wanted): Json<Raise>,
) -> Result<Json<BudgetLine>, Problem> {
    let request = Request::BudgetsRaise {
        home: parse("home", &wanted.home)?,
        destination: parse("destination", &wanted.destination)?,
        bytes: wanted.bytes,
    };
    match app.ask(request, caller.peer()).await? {
        Answer::Raised { budget } => {
            app.bus.emit(PageEvent::change(Topic::Blocks, None));
            Ok(Json(budget))
        }
        _ => Err(unexpected()),
    }
}
