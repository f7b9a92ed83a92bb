//! Slack, Mattermost and what takes the same: an incoming webhook whose address is the secret.

use serde_json::json;

use super::http::{Client, Post};
use super::secret::Secret;
use super::send::{Failure, public_id};
use crate::config::notify::Slack;
use crate::store::outbox::Outgoing;

pub(super) fn send(
    config: &Slack,
    client: &Client,
    message: &Outgoing,
    text: &str,
) -> Result<(), Failure> {
    let url = Secret::read(config.url_file.as_ref(), config.url_env.as_ref())
        .map_err(|error| Failure::channel(&error))?;
    let Some(url) = url else {
        return Err(Failure::Refused("the channel has no address".to_owned()));
    };
    let headers = vec![
        ("Content-Type", "application/json".to_owned()),
        ("X-Detector-Delivery", public_id(message)),
    ];
    // Headlines have names from the wire: no previews are fetched of what they may link to.
    let body = json!({ "text": text, "unfurl_links": false, "unfurl_media": false }).to_string();
    client.post(&Post { method: "POST", url: url.reveal(), headers, body: &body })
}
