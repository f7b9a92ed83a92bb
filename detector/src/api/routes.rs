//! Routes in groups, by what one must be allowed to do to use them.

use axum::Router;
use axum::extract::{DefaultBodyLimit, Request};
use axum::http::{Method, StatusCode, Uri};
use axum::middleware::{Next, from_fn};
use axum::response::{IntoResponse as _, Response};
use utoipa_axum::router::{OpenApiRouter, UtoipaMethodRouter};

use super::caller::Caller;
use super::problem::Problem;
use super::{App, openapi, ui};
use crate::store::tokens::Scope;

/// The routes of a resource.
#[derive(Default)]
pub struct Routes {
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
        self.read = self.read.routes(route);
        self
    }

    #[must_use]
    pub fn respond(mut self, route: UtoipaMethodRouter<App>) -> Self {
        self.respond = self.respond.routes(route);
        self
    }

    #[must_use]
    pub fn admin(mut self, route: UtoipaMethodRouter<App>) -> Self {
        self.admin = self.admin.routes(route);
        self
    }

    /// The routes of two resources.
    #[must_use]
    pub fn and(self, other: Self) -> Self {
        Self {
            read: self.read.merge(other.read),
            respond: self.respond.merge(other.respond),
            admin: self.admin.merge(other.admin),
        }
    }
}

/// Everything that is served. The document of it is kept in `app`.
pub(super) fn router(app: &App) -> Router {
    let Routes { read, respond, admin } = super::all();
    let (read, mut document) = read.split_for_parts();
    let (respond, of_respond) = respond.split_for_parts();
    let (admin, of_admin) = admin.split_for_parts();
    openapi::join(&mut document, of_respond, Scope::Respond);
    openapi::join(&mut document, of_admin, Scope::Admin);
    app.shared.document.get_or_init(|| openapi::finish(document));
    let max_body_bytes = usize::try_from(app.config.api.max_body_bytes).unwrap_or(usize::MAX);
    // Reading is checked for every request, before it comes here.
    read.merge(needing(respond, Scope::Respond))
        .merge(needing(admin, Scope::Admin))
        .method_not_allowed_fallback(method_not_allowed)
        .fallback(not_found)
        .layer(DefaultBodyLimit::max(max_body_bytes))
        .with_state(app.clone())
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
        None => Err(Problem::unauthorized("nobody knows who asks")),
    };
    match checked {
        Ok(()) => next.run(request).await,
        Err(problem) => problem.into_response(),
    }
}

async fn method_not_allowed(method: Method, uri: Uri) -> Problem {
    let detail = format!("{} does not take {method}: see /api/openapi.json", uri.path());
    Problem::new(StatusCode::METHOD_NOT_ALLOWED, &detail)
}

async fn not_found(method: Method, uri: Uri) -> Response {
    let path = uri.path();
    if ui::is_page(path) && (method == Method::GET || method == Method::HEAD) {
        return ui::page(path);
    }
    Problem::not_found("there is nothing here: see /api/openapi.json").into_response()
}
