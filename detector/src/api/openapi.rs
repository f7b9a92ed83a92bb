//! The document that describes every route, made from the routes themselves.

use axum::extract::State;
use axum::http::header;
use axum::response::IntoResponse;
use utoipa::openapi::path::Operation;
use utoipa::openapi::security::{ApiKey, ApiKeyValue, HttpAuthScheme, HttpBuilder, SecurityScheme};
use utoipa::openapi::{
    ComponentsBuilder, ContentBuilder, Info, InfoBuilder, LicenseBuilder, OpenApi, PathItem, Ref,
    RefOr, Response, ResponseBuilder, SecurityRequirement,
};
use utoipa::{PartialSchema as _, ToSchema as _};
use utoipa_axum::routes;

use super::problem::Problem;
use super::required::require_in_answers;
use super::{App, Routes};
use crate::store::tokens::Scope;

const ABOUT: &str = "On this machine, reading needs no token. Changes need a token, and so does \
    every request from another machine. `detector token create NAME --scope read|respond|admin` \
    makes a token; each scope includes the ones before it. A change with the browser's cookie \
    also needs the header X-CSRF-Token with the value from GET /api/session. Errors are problem \
    details (RFC 9457). Times are RFC 3339 in UTC, sizes are bytes.";

/// The errors that any route may answer.
const PROBLEMS: [(&str, &str); 10] = [
    ("400", "The request is malformed"),
    ("401", "There is no token, or it is unknown or has expired"),
    ("403", "The token's scope is too small, or the request is from another site's page"),
    ("404", "The resource does not exist"),
    ("409", "The current state does not allow it, such as without a running agent"),
    ("413", "The body is too long"),
    ("415", "The body's media type is not supported"),
    ("422", "A value is invalid: the answer names the field"),
    ("429", "Too many requests, or too many wrong tokens"),
    ("503", "The database, the kernel or the agent is unavailable"),
];

pub(super) fn routes() -> Routes {
    Routes::default().read(routes!(document))
}

/// Show this document
#[utoipa::path(
    get, path = "/api/openapi.json", tag = "Service",
    responses((status = OK, body = Object, content_type = "application/json"))
)]
async fn document(State(app): State<App>) -> impl IntoResponse {
    let document = app.shared.document.get().cloned().unwrap_or_default();
    ([(header::CONTENT_TYPE, "application/json")], document)
}

/// Adds the routes that need a scope.
pub(super) fn join(document: &mut OpenApi, mut other: OpenApi, scope: Scope) {
    for item in other.paths.paths.values_mut() {
        for operation in operations(item) {
            let needs = format!("Needs the scope {}.", scope.name());
            let description = operation.description.take();
            operation.description = Some(match description {
                Some(text) if !text.is_empty() => format!("{text}\n\n{needs}"),
                _ => needs,
            });
            operation.security = Some(vec![
                SecurityRequirement::new("token", [scope.name()]),
                SecurityRequirement::new("login", [scope.name()]),
            ]);
        }
    }
    document.merge(other);
}

/// The document as it is served.
pub(super) fn finish(mut document: OpenApi) -> OpenApi {
    document.info = info();
    let mut components =
        document.components.take().unwrap_or_else(|| ComponentsBuilder::new().build());
    components.schemas.insert(Problem::name().into_owned(), Problem::schema());
    let bearer = HttpBuilder::new().scheme(HttpAuthScheme::Bearer).build();
    components.add_security_scheme("token", SecurityScheme::Http(bearer));
    let cookie = ApiKey::Cookie(ApiKeyValue::new(super::auth::COOKIE));
    components.add_security_scheme("login", SecurityScheme::ApiKey(cookie));
    for (status, text) in PROBLEMS {
        components.responses.insert(format!("Problem{status}"), problem(text));
    }
    document.components = Some(components);
    for (path, item) in &mut document.paths.paths {
        for (method, operation) in named_operations(item) {
            // Handlers of different files have the same names.
            operation.operation_id = Some(operation_id(method, path));
            add_problems(operation);
            // Where nothing is said it is looking: free on this machine.
            operation.security.get_or_insert_with(|| {
                vec![
                    SecurityRequirement::default(),
                    SecurityRequirement::new("token", [Scope::Read.name()]),
                    SecurityRequirement::new("login", [Scope::Read.name()]),
                ]
            });
        }
    }
    require_in_answers(&mut document);
    document
}

fn info() -> Info {
    InfoBuilder::new()
        .title("detector")
        .version(env!("CARGO_PKG_VERSION"))
        .description(Some(ABOUT))
        .license(Some(LicenseBuilder::new().name(env!("CARGO_PKG_LICENSE")).build()))
        .build()
}

fn problem(text: &str) -> RefOr<Response> {
    let content =
        ContentBuilder::new().schema(Some(Ref::from_schema_name(Problem::name()))).build();
    ResponseBuilder::new()
        .description(text)
        .content("application/problem+json", content)
        .build()
        .into()
}

fn add_problems(operation: &mut Operation) {
    for (status, _) in PROBLEMS {
        let known = operation.responses.responses.entry(status.to_owned());
        known.or_insert_with(|| Ref::from_response_name(format!("Problem{status}")).into());
    }
}

fn operations(item: &mut PathItem) -> impl Iterator<Item = &mut Operation> {
    named_operations(item).map(|(_, operation)| operation)
}

fn named_operations(item: &mut PathItem) -> impl Iterator<Item = (&'static str, &mut Operation)> {
    let PathItem { get, put, post, delete, patch, .. } = item;
    [("get", get), ("put", put), ("post", post), ("delete", delete), ("patch", patch)]
        .into_iter()
        .filter_map(|(method, operation)| Some((method, operation.as_mut()?)))
}

/// `get_api_alerts_id`.
fn operation_id(method: &str, path: &str) -> String {
    let words = path.split(|letter: char| !letter.is_ascii_alphanumeric());
    let words = words.filter(|word| !word.is_empty());
    std::iter::once(method).chain(words).collect::<Vec<_>>().join("_")
}
