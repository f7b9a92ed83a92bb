//! Whether it runs at all.

use serde::Serialize;
use utoipa::ToSchema;
use utoipa_axum::routes;

use super::Routes;
use super::extract::Json;

pub(super) fn routes() -> Routes {
    Routes::default().read(routes!(healthz))
}

/// That it answers
#[derive(Serialize, ToSchema)]
struct Health {
    /// Always `ok`
    status: &'static str,
}

/// Whether it answers
///
/// Asks nobody else: neither the database nor the agent.
#[utoipa::path(
    get, path = "/healthz", tag = "Service", security(()),
    responses((status = OK, description = "It does", body = Health))
)]
async fn healthz() -> Json<Health> {
    Json(Health { status: "ok" })
}
