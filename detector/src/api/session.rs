//! Who I am, logging a browser in, and logging it out.
//!
//! A login link carries its code behind the `#`, which browsers send to nobody; the page sends it
//! here once.

use axum::extract::State;
use axum::http::{HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;
use utoipa_axum::routes;

use super::auth::COOKIE;
use super::caller::Caller;
use super::extract::Json;
use super::problem::Problem;
use super::{App, Routes};
use crate::audit::Action;
use crate::clock::now_secs;
use crate::store::Store;
use crate::store::tokens::{self, LOGIN_SECS, Scope, Secret, Token};

pub(super) fn routes() -> Routes {
    Routes::default().read(routes!(whoami, log_in, log_out))
}

/// The caller and its rights
#[derive(Serialize, ToSchema)]
#[schema(as = Session)]
struct SessionBody {
    /// Whether the caller has a token or a login
    authenticated: bool,
    /// The token's name
    name: Option<String>,
    scopes: Vec<ScopeName>,
    /// The value that changes need in the header X-CSRF-Token; null without a cookie
    csrf: Option<String>,
    /// Whether reading needs no token
    loopback: bool,
}

/// Rights; each scope includes the ones before it
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub(super) enum ScopeName {
    Read,
    Respond,
    Admin,
}

impl From<Scope> for ScopeName {
    fn from(scope: Scope) -> Self {
        match scope {
            Scope::Read => Self::Read,
            Scope::Respond => Self::Respond,
            Scope::Admin => Self::Admin,
        }
    }
}

impl From<ScopeName> for Scope {
    fn from(name: ScopeName) -> Self {
        match name {
            ScopeName::Read => Self::Read,
            ScopeName::Respond => Self::Respond,
            ScopeName::Admin => Self::Admin,
        }
    }
}

/// Credentials of a browser: exactly one of the two
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
struct Credentials {
    /// The code of a login link; it works once
    code: Option<String>,
    token: Option<String>,
}

/// Who asks, and what they may do
#[utoipa::path(
    get, path = "/api/session", tag = "Session", security((), ("token" = []), ("login" = [])),
    responses((status = OK, description = "The caller", body = SessionBody))
)]
async fn whoami(State(app): State<App>, caller: Caller) -> Json<SessionBody> {
    let csrf = caller.login.as_ref().map(|login| login.csrf.to_string());
    let name = caller.name.as_deref().map(str::to_owned);
    Json(session(&app, name, caller.scope, csrf))
}

fn session(
    app: &App,
    name: Option<String>,
    scope: Option<Scope>,
    csrf: Option<String>,
) -> SessionBody {
    let scopes = Scope::ALL.into_iter().filter(|one| scope.is_some_and(|scope| scope >= *one));
    SessionBody {
        authenticated: name.is_some(),
        name,
        scopes: scopes.map(ScopeName::from).collect(),
        csrf,
        loopback: app.config.api.is_loopback(),
    }
}

/// Log a browser in
///
/// With the code of a login link or with a token. Sets the cookie `detector_session`.
#[utoipa::path(
    post, path = "/api/session", tag = "Session", security(()), request_body = Credentials,
    responses((status = OK, description = "Logged in", body = SessionBody))
)]
async fn log_in(
    State(app): State<App>,
    caller: Caller,
    Json(credentials): Json<Credentials>,
) -> Result<Response, Problem> {
    let (hash, is_code) = match &credentials {
        Credentials { code: Some(code), token: None } => (tokens::hash(code), true),
        Credentials { code: None, token: Some(token) } => (tokens::hash(token), false),
        _ => return Err(Problem::field("code", "send either `code` or `token`")),
    };
    let (cookie, csrf) = (Secret::new("")?, Secret::new("")?.text);
    let (kept, kept_csrf) = (cookie.hash, csrf.clone());
    let found = app
        .with_store(move |store| {
            let Some(token) = token_of(store, hash, is_code)? else { return Ok(None) };
            let of = token.clone();
            store.write(move |connection| {
                tokens::log_in(connection, &kept, &kept_csrf, &of, now_secs())
            })?;
            Ok(Some(token))
        })
        .await?;
    let Some(token) = found else {
        let what = if is_code { "an invalid login code" } else { "an invalid token" };
        return Err(app.note_failure(caller.from, what));
    };
    app.note(&token.name, Action::Login, format!("logged in from {}", caller.from));
    let body = session(&app, Some(token.name), Some(token.scope), Some(csrf));
    let cookie = set_cookie(&app, &cookie.text, LOGIN_SECS)?;
    Ok(([(header::SET_COOKIE, cookie)], Json(body)).into_response())
}

fn token_of(store: &Store, hash: [u8; 32], is_code: bool) -> anyhow::Result<Option<Token>> {
    if is_code {
        store.write(move |connection| tokens::take_code(connection, &hash, now_secs()))
    } else {
        store.read(|connection| tokens::find(connection, &hash, now_secs()))
    }
}

/// Log the browser out
#[utoipa::path(
    delete, path = "/api/session", tag = "Session", security((), ("login" = [])),
    responses((status = NO_CONTENT, description = "Logged out"))
)]
async fn log_out(State(app): State<App>, caller: Caller) -> Result<impl IntoResponse, Problem> {
    caller.check_change()?;
    if let Some(login) = caller.login {
        let work = move |store: &Store| {
            store.write(move |connection| tokens::log_out(connection, &login.hash))
        };
        app.with_store(work).await?;
        app.forget_known();
    }
    Ok((StatusCode::NO_CONTENT, [(header::SET_COOKIE, set_cookie(&app, "", 0)?)]))
}

fn set_cookie(app: &App, value: &str, max_age_secs: u64) -> Result<HeaderValue, Problem> {
    let secure = if app.config.api.scheme() == "https" { "; Secure" } else { "" };
    let text = format!(
        "{COOKIE}={value}; Path=/; HttpOnly; SameSite=Strict; Max-Age={max_age_secs}{secure}"
    );
    HeaderValue::try_from(text).map_err(|error| anyhow::Error::new(error).into())
}
