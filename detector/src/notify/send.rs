//! One attempt to send one message, whatever the channel.

use std::time::Duration;

use sha2::{Digest as _, Sha256};

use super::http::Client;
use super::message::Body;
use super::{email, slack, sms, syslog, webhook};
use crate::config::notify::Channel;
use crate::store::outbox::Outgoing;

/// Why a message did not go out.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Failure {
    /// Nothing goes out over this channel now; the receiver may have said how long to wait.
    Channel { error: String, wait: Option<Duration> },
    /// This one does not now; others may.
    Later(String),
    /// This one never will.
    Refused(String),
}

impl Failure {
    /// A failure of the channel's, with its causes.
    pub(super) fn channel(error: &anyhow::Error) -> Self {
        Self::Channel { error: format!("{error:#}"), wait: None }
    }

    pub(super) fn error(&self) -> &str {
        match self {
            Self::Channel { error, .. } | Self::Later(error) | Self::Refused(error) => error,
        }
    }
}

/// A configured channel that is ready to send.
#[derive(Debug)]
pub(super) struct Sender {
    channel: Channel,
    timeout: Duration,
    /// For those that use HTTP; made at the first message, and again after it failed.
    client: Option<Client>,
}

impl Sender {
    pub(super) fn new(channel: Channel, timeout: Duration) -> Self {
        Self { channel, timeout, client: None }
    }

    /// Tries once, and returns when the receiver has taken the message or the attempt has failed.
    pub(super) fn send(&mut self, message: &Outgoing) -> Result<(), Failure> {
        let body = serde_json::from_str(&message.message).map_err(|error| {
            Failure::Refused(format!("failed to read the stored message: {error}"))
        })?;
        let timeout = self.timeout;
        match (&self.channel, body) {
            (Channel::Email(config), Body::Email { text, html }) => {
                email::send(config, timeout, message, text, html)
            }
            (Channel::Sms(config), Body::Sms { text }) => {
                let client = client(&mut self.client, config.ca_file.as_ref(), timeout)?;
                sms::send(config, client, message, &text)
            }
            (Channel::Webhook(config), Body::Webhook { json }) => {
                let client = client(&mut self.client, config.ca_file.as_ref(), timeout)?;
                webhook::send(config, client, message, &json)
            }
            (Channel::Slack(config), Body::Slack { text }) => {
                let client = client(&mut self.client, config.ca_file.as_ref(), timeout)?;
                slack::send(config, client, message, &text)
            }
            (Channel::Syslog(config), Body::Syslog { severity, id, elements, text }) => {
                let line = syslog::Line { severity, id: &id, elements: &elements, text: &text };
                syslog::send(config, timeout, message.time_ns, &line)
            }
            (channel, _) => {
                let (name, kind) = (channel.name(), channel.kind());
                let why = format!(
                    "the message was made when the channel `{name}` was not of the kind {kind}"
                );
                Err(Failure::Refused(why))
            }
        }
    }
}

fn client<'a>(
    kept: &'a mut Option<Client>,
    ca_file: Option<&std::path::PathBuf>,
    timeout: Duration,
) -> Result<&'a Client, Failure> {
    if kept.is_none() {
        let made = Client::new(ca_file, timeout).map_err(|error| Failure::channel(&error))?;
        *kept = Some(made);
    }
    kept.as_ref().ok_or_else(|| Failure::Later("there is no HTTP client".to_owned()))
}

/// What stays the same when a message is tried again, and shows the receiver nothing else.
pub(super) fn public_id(message: &Outgoing) -> String {
    // The time distinguishes messages that another database gave the same mark.
    let hash = Sha256::digest(format!("{}\0{}", message.time_ns, message.mark));
    hash[..16].iter().map(|byte| format!("{byte:02x}")).collect()
}
