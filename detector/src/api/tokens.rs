//! Tokens: who has one, making one and taking it back.

use axum::extract::State;
use axum::http::StatusCode;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;
use utoipa_axum::routes;

use super::caller::Caller;
use super::extract::{Json, Path};
use super::problem::Problem;
use super::session::ScopeName;
use super::{App, Routes};
use crate::audit::Action;
use crate::clock::now_secs;
use crate::store::Store;
use crate::store::tokens::{self, PREFIX, Secret, Token};
use crate::units::rfc3339;

pub(super) fn routes() -> Routes {
    Routes::default().admin(routes!(list, create)).admin(routes!(revoke))
}

/// The longest life of a token that ends: ten years.
const MOST_SECS: u64 = 10 * 365 * 86_400;

/// A token without its secret
#[derive(Serialize, ToSchema)]
#[schema(as = Token)]
struct TokenBody {
    id: i64,
    name: String,
    scope: ScopeName,
    created: String,
    /// Null: never
    expires: Option<String>,
    /// Precise to the minute
    last_used: Option<String>,
}

impl From<Token> for TokenBody {
    fn from(token: Token) -> Self {
        Self {
            id: token.id,
            name: token.name,
            scope: token.scope.into(),
            created: time(token.created),
            expires: token.expires.map(time),
            last_used: token.last_used.map(time),
        }
    }
}

fn time(secs: u64) -> String {
    rfc3339(secs.saturating_mul(1_000_000_000))
}

#[derive(Serialize, ToSchema)]
struct TokenList {
    items: Vec<TokenBody>,
    /// Always null: the list is complete
    next: Option<String>,
}

/// A new token
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
struct NewToken {
    #[schema(min_length = 1, max_length = 100)]
    name: String,
    scope: ScopeName,
    /// Default: it does not expire
    #[schema(minimum = 1, maximum = 315_360_000)]
    expires_in_secs: Option<u64>,
}

/// A token with its secret, which is shown only once
#[derive(Serialize, ToSchema)]
struct CreatedToken {
    #[serde(flatten)]
    about: TokenBody,
    token: String,
    /// A link that logs a browser in, once, within ten minutes
    login_link: String,
}

/// List all tokens
#[utoipa::path(
    get, path = "/api/tokens", tag = "Session",
    responses((status = OK, description = "Tokens, oldest first", body = TokenList))
)]
async fn list(State(app): State<App>) -> Result<Json<TokenList>, Problem> {
    let found = app.with_store(|store| store.read(tokens::list)).await?;
    Ok(Json(TokenList { items: found.into_iter().map(TokenBody::from).collect(), next: None }))
}

/// Create a token, and a link that logs a browser in
#[utoipa::path(
    post, path = "/api/tokens", tag = "Session", request_body = NewToken,
    responses((status = CREATED, description = "The secret is not shown again",
        body = CreatedToken))
)]
async fn create(
    State(app): State<App>,
    caller: Caller,
    Json(new): Json<NewToken>,
) -> Result<(StatusCode, Json<CreatedToken>), Problem> {
    tokens::check_name(&new.name)?;
    if new.expires_in_secs.is_some_and(|secs| !(1..=MOST_SECS).contains(&secs)) {
        let detail = format!("expires_in_secs: use 1 to {MOST_SECS}, or leave it out for no end");
        return Err(Problem::field("expires_in_secs", &detail));
    }
    let (secret, code) = (Secret::new(PREFIX)?, Secret::new("")?);
    let (hash, code_hash, now) = (secret.hash, code.hash, now_secs());
    let token = app
        .with_store(move |store| {
            store.write(move |connection| {
                let expires = new.expires_in_secs.map(|secs| now + secs);
                let scope = new.scope.into();
                let token = tokens::create(connection, &new.name, scope, &hash, now, expires)?;
                tokens::add_code(connection, &code_hash, token.id, now)?;
                Ok(token)
            })
        })
        .await?;
    let detail =
        format!("created the token `{}` with the scope {}", token.name, token.scope.name());
    app.note(&caller.who(), Action::Token, detail);
    let created = CreatedToken {
        about: token.into(),
        token: secret.text,
        login_link: format!("{}/login#code={}", app.config.api.base_url(), code.text),
    };
    Ok((StatusCode::CREATED, Json(created)))
}

/// Revoke a token
///
/// Browsers that used it are logged out.
#[utoipa::path(
    delete, path = "/api/tokens/{id}", tag = "Session", params(("id" = i64, Path)),
    responses((status = NO_CONTENT, description = "The token is revoked"))
)]
async fn revoke(
    State(app): State<App>,
    caller: Caller,
    Path(id): Path<i64>,
) -> Result<StatusCode, Problem> {
    let work = move |store: &Store| store.write(move |connection| tokens::revoke(connection, id));
    let name = app.with_store(work).await?;
    app.forget_known();
    app.note(&caller.who(), Action::Token, format!("revoked the token `{name}`"));
    Ok(StatusCode::NO_CONTENT)
}
