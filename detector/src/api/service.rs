//! Whether it runs at all.

use serde::Serialize;
use utoipa::ToSchema;
use utoipa_axum::routes;

use super::Routes;
use super::extract::Json;

pub(super) fn routes() -> Routes {
    Routes::default().read(routes!(healthz))
}

/// The service answers
#[derive(Serialize, ToSchema)]
struct Health {
    /// Always `ok`
    status: &'static str,
}

/// Check that the service answers
///
/// It asks neither the database nor the agent.
#[utoipa::path(
    get, path = "/healthz", tag = "Service", security(()),
    responses((status = OK, description = "The service answers", body = Health))
)]
async fn healthz() -> Json<Health> {
    Json(Health { status: "ok" })
}
