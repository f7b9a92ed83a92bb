//! Webhooks: the message as JSON, and a signature that shows that it is ours and new.

use hmac::{Hmac, KeyInit as _, Mac as _};
use sha2::Sha256;

use super::http::{Client, Post};
use super::secret::Secret;
use super::send::{Failure, public_id};
use crate::clock::now_ns;
use crate::config::notify::Webhook;
use crate::store::outbox::Outgoing;

pub(super) fn send(
    config: &Webhook,
    client: &Client,
    message: &Outgoing,
    json: &str,
) -> Result<(), Failure> {
    let secret = Secret::read(config.secret_file.as_ref(), config.secret_env.as_ref());
    let secret = secret.map_err(|error| Failure::channel(&error))?;
    let timestamp = (now_ns() / 1_000_000_000).to_string();
    let mut headers = vec![
        ("Content-Type", "application/json".to_owned()),
        ("X-Detector-Delivery", public_id(message)),
        ("X-Detector-Timestamp", timestamp.clone()),
    ];
    if let Some(secret) = secret {
        let signature = signature(secret.reveal(), &timestamp, json);
        headers.push(("X-Detector-Signature", format!("sha256={signature}")));
    }
    client.post(&Post { method: "POST", url: &config.url, headers, body: json })
}

/// In hexadecimal. The time is signed too: an old message cannot be sent again as a new one.
fn signature(secret: &str, timestamp: &str, body: &str) -> String {
    // HMAC takes keys of any length.
    let Ok(mut mac) = Hmac::<Sha256>::new_from_slice(secret.as_bytes()) else {
        return String::new();
    };
    mac.update(timestamp.as_bytes());
    mac.update(b".");
    mac.update(body.as_bytes());
    mac.finalize().into_bytes().iter().map(|byte| format!("{byte:02x}")).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Made with `printf '1700000000.{"a":1}' | openssl dgst -sha256 -hmac opensesame`.
    #[test]
    fn the_signature_is_that_of_other_programs() {
        let expected = "5abe8159e02f1ff302a9105edc276ec3508794db021514bfdc95836d646fe459";
        assert_eq!(signature("opensesame", "1700000000", "{\"a\":1}"), expected);
    }
}
