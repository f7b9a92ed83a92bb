//! The active configuration, without secrets.

use anyhow::Context as _;
use axum::extract::State;
use serde_json::Value;
use utoipa_axum::routes;

use super::extract::Json;
use super::problem::Problem;
use super::{App, Routes};
use crate::config::Config;

/// Keys that name a place for a secret, which is no secret itself: a file's path or a variable's
/// name.
const TOLD: [&str; 2] = ["_file", "_env"];
/// Parts of the names of keys that may hold one.
const SECRET: [&str; 6] = ["password", "secret", "token", "authorization", "headers", "body"];
const HIDDEN: &str = "hidden";

pub(super) fn routes() -> Routes {
    Routes::default().read(routes!(show))
}

/// Show the active configuration, without secrets
#[utoipa::path(
    get, path = "/api/config", tag = "State",
    responses((status = OK, description = "Every key, in the form of the file", body = Object))
)]
async fn show(State(app): State<App>) -> Result<Json<Value>, Problem> {
    let config = Config { api: app.config.api.clone(), ..Config::clone(&app.current.get()) };
    let mut value = serde_json::to_value(config).context("failed to write the configuration")?;
    if let Some(notify) = value.get_mut("notify") {
        hide(notify);
    }
    Ok(Json(value))
}

/// The configuration should have no secret, only the place of one. A secret in an address or a
/// header is hidden all the same.
fn hide(value: &mut Value) {
    match value {
        Value::Object(fields) => {
            for (name, value) in fields {
                let told = TOLD.iter().any(|ending| name.ends_with(ending));
                if !told && SECRET.iter().any(|part| name.contains(part)) && !value.is_number() {
                    *value = if value.is_null() { Value::Null } else { HIDDEN.into() };
                } else if name == "url" {
                    cut(value);
                } else {
                    hide(value);
                }
            }
        }
        Value::Array(items) => items.iter_mut().for_each(hide),
        _ => {}
    }
}

/// `https://hooks.example/…`: the path of such an address is what lets one in.
fn cut(value: &mut Value) {
    let Some(text) = value.as_str() else { return };
    let start = text.find("://").map_or(0, |at| at + 3);
    let (scheme, rest) = text.split_at(start);
    let host = rest.split(['/', '?', '#']).next().unwrap_or_default();
    let host = host.rsplit('@').next().unwrap_or_default();
    *value = format!("{scheme}{host}/…").into();
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn secrets_are_not_told() {
        let mut value = serde_json::json!({ "channels": [{
            "name": "ops", "url": "https://user:pass@hooks.example/T0/B1/abc?x=y",
            "password_file": "/etc/p", "secret_env": "X", "password": "hunter2",
            "headers": { "Authorization": "Basic abc" }, "token": null,
        }]});
        hide(&mut value);
        let expected = serde_json::json!({ "channels": [{
            "name": "ops", "url": "https://hooks.example/…",
            "password_file": "/etc/p", "secret_env": "X", "password": "hidden",
            "headers": "hidden", "token": null,
        }]});
        assert_eq!(value, expected);
    }
}
