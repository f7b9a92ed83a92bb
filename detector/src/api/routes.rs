//! Routes in groups, by what one must be allowed to do to use them.

use axum::Router;
use axum::body::Bytes;
use axum::extract::{DefaultBodyLimit, Request};
use axum::http::{Method, StatusCode, Uri};
use axum::middleware::{Next, from_fn};
use axum::response::{IntoResponse as _, Response};
use utoipa::openapi::OpenApi;
#[cfg(test)]
use utoipa::openapi::{RefOr, Schema};
use utoipa_axum::router::{OpenApiRouter, UtoipaMethodRouter};

use super::caller::Caller;
use super::problem::Problem;
use super::{App, openapi, ui};
use crate::store::tokens::Scope;

/// The routes of a resource.
#[derive(Default)]
pub struct Routes {
    /// Every type of the document under its name, as each route brings it.
    #[cfg(test)]
    pub schemas: Vec<(String, RefOr<Schema>)>,
    /// Looking. Free on this machine.
    pub read: OpenApiRouter<App>,
    /// Acknowledging, blocking, uploading.
    pub respond: OpenApiRouter<App>,
    /// Contacts, tokens, models, mode.
    pub admin: OpenApiRouter<App>,
}

impl Routes {
    #[must_use]
    pub fn read(mut self, route: UtoipaMethodRouter<App>) -> Self {
        #[cfg(test)]
        self.schemas.extend_from_slice(&route.0);
        self.read = self.read.routes(route);
        self
    }

    #[must_use]
    pub fn respond(mut self, route: UtoipaMethodRouter<App>) -> Self {
        #[cfg(test)]
        self.schemas.extend_from_slice(&route.0);
        self.respond = self.respond.routes(route);
        self
    }

    #[must_use]
    pub fn admin(mut self, route: UtoipaMethodRouter<App>) -> Self {
        #[cfg(test)]
        self.schemas.extend_from_slice(&route.0);
        self.admin = self.admin.routes(route);
        self
    }

    /// The routes of two resources.
    #[must_use]
    pub fn and(self, other: Self) -> Self {
        Self {
            #[cfg(test)]
            schemas: [self.schemas, other.schemas].concat(),
            read: self.read.merge(other.read),
            respond: self.respond.merge(other.respond),
            admin: self.admin.merge(other.admin),
        }
    }
}

/// Everything that is served. The document of it is kept in `app`.
pub(super) fn router(app: &App) -> Router {
    let (Groups { read, respond, admin }, document) = described();
    // A document of our own types has nothing that JSON cannot hold.
    app.shared.document.get_or_init(|| document.to_json().map(Bytes::from).unwrap_or_default());
    let max_body_bytes = usize::try_from(app.config.api.max_body_bytes).unwrap_or(usize::MAX);
    // Reading is checked for every request, before it comes here.
    read.merge(needing(respond, Scope::Respond))
        .merge(needing(admin, Scope::Admin))
        .method_not_allowed_fallback(method_not_allowed)
        .fallback(not_found)
        .layer(DefaultBodyLimit::max(max_body_bytes))
        .with_state(app.clone())
}

/// The routes of each group.
struct Groups {
    read: Router<App>,
    respond: Router<App>,
    admin: Router<App>,
}

/// All routes, and the document that describes them.
fn described() -> (Groups, OpenApi) {
    let Routes { read, respond, admin, .. } = super::all();
    let (read, mut document) = read.split_for_parts();
    let (respond, of_respond) = respond.split_for_parts();
    let (admin, of_admin) = admin.split_for_parts();
    openapi::join(&mut document, of_respond, Scope::Respond);
    openapi::join(&mut document, of_admin, Scope::Admin);
    (Groups { read, respond, admin }, openapi::finish(document))
}

fn needing(routes: Router<App>, scope: Scope) -> Router<App> {
    // A layer around nothing is refused.
    if !routes.has_routes() {
        return routes;
    }
    routes.route_layer(from_fn(move |request: Request, next: Next| admit(scope, request, next)))
}

async fn admit(scope: Scope, request: Request, next: Next) -> Response {
    let checked = match request.extensions().get::<Caller>() {
        // What only looks changes nothing, whoever sends a browser there.
        Some(caller) if request.method().is_safe() => caller.check(scope),
        Some(caller) => caller.check(scope).and_then(|()| caller.check_change()),
        None => Err(Problem::unauthorized("the request has no client address")),
    };
    match checked {
        Ok(()) => next.run(request).await,
        Err(problem) => problem.into_response(),
    }
}

async fn method_not_allowed(method: Method, uri: Uri) -> Problem {
    let detail = format!("{} does not support {method}: see /api/openapi.json", uri.path());
    Problem::new(StatusCode::METHOD_NOT_ALLOWED, &detail)
}

async fn not_found(method: Method, uri: Uri) -> Response {
    let path = uri.path();
    if ui::is_page(path) && (method == Method::GET || method == Method::HEAD) {
        return ui::page(path);
    }
    Problem::not_found("this path does not exist: see /api/openapi.json").into_response()
}

#[cfg(test)]
mod tests {
    use std::collections::{BTreeMap, BTreeSet};
    use std::path::Path;
    use std::{env, fs};

    use super::*;
    use crate::api::required::referred;

    /// The pages' types are made from this file. `UPDATE_GOLDEN=1 cargo test` writes it.
    #[test]
    fn the_document_is_the_one_that_the_pages_are_built_from() {
        let (_, document) = described();
        let text = document.to_pretty_json().unwrap() + "\n";
        let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("ui/openapi.json");
        if env::var_os("UPDATE_GOLDEN").is_some() {
            fs::write(&path, &text).unwrap();
        }
        let known = fs::read_to_string(&path).unwrap_or_default();
        assert!(
            known == text,
            "ui/openapi.json is old: run UPDATE_GOLDEN=1 cargo test --package detector --lib, \
             then npm run types in detector/ui"
        );
    }

    #[test]
    fn two_types_never_have_one_name_in_the_document() {
        let mut known: BTreeMap<String, RefOr<Schema>> = BTreeMap::new();
        let mut clashes = Vec::new();
        for (name, schema) in super::super::all().schemas {
            let first = known.entry(name.clone()).or_insert_with(|| schema.clone());
            if *first != schema {
                clashes.push(name);
            }
        }
        assert_eq!(clashes, [""; 0]);
    }

    #[test]
    fn every_type_that_the_document_refers_to_is_in_it() {
        let (_, document) = described();
        let referred: BTreeSet<String> = referred(&document).into_iter().collect();
        let known = document.components.unwrap().schemas.into_keys().collect();
        let missing: Vec<&String> = referred.difference(&known).collect();
        assert_eq!(missing, [""; 0]);
    }
}
