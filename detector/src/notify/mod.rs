//! Notifying people: mail, SMS, webhooks, chat and syslog.
//!
//! Alerts are noted by the store in the commit that stores them. The worker here makes messages of
//! them and sends these, each channel in threads of its own, so that one that fails holds up none
//! of the others. What is sent, and what is not, is in the outbox. What the database does not take
//! is sent from memory ([`Memory`]).
//!
//! Every message goes out at least once. It goes out twice only where the program, or the
//! connection, ends between the receiver's taking it and our hearing of that; then mail has the
//! same Message-ID, and HTTP the same delivery id, both times.

pub mod address;
mod backoff;
pub mod check;
mod counters;
mod direct;
mod email;
mod gather;
mod http;
mod memory;
mod message;
mod pace;
mod secret;
mod send;
pub mod servers;
mod slack;
mod sms;
mod sms_text;
mod switch;
mod syslog;
pub mod test;
mod webhook;
mod worker;

use serde::Serialize;
use utoipa::ToSchema;

use crate::config::notify::{Channel, Encryption, Notify, Transport};
use crate::store::outbox::Tally;

pub use memory::Memory;
pub use switch::Switch;
pub use worker::{Hear, Notifier, Resources, start};

/// A configured channel with its state.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ChannelState {
    pub name: String,
    pub kind: &'static str,
    /// Its destination, without secrets.
    pub target: String,
    pub state: ChannelHealth,
    pub tally: Tally,
}

/// How a channel does.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum ChannelHealth {
    Ok,
    /// The latest attempt failed.
    Failing,
    /// It has had nothing to send.
    Unused,
}

impl ChannelHealth {
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Ok => "ok",
            Self::Failing => "failing",
            Self::Unused => "unused",
        }
    }
}

/// The configured channels with what the outbox knows of them.
#[must_use]
pub fn channels(notify: &Notify, tallies: &[Tally]) -> Vec<ChannelState> {
    let state = |channel: &Channel| {
        let known = tallies.iter().find(|tally| tally.channel == channel.name());
        let tally = known.cloned().unwrap_or_default();
        let state = match &tally {
            Tally { error: Some(_), .. } => ChannelHealth::Failing,
            Tally { queued: 0, sent: 0, failed: 0, .. } => ChannelHealth::Unused,
            _ => ChannelHealth::Ok,
        };
        let (name, kind, target) = (channel.name().to_owned(), channel.kind(), target(channel));
        ChannelState { name, kind, target, state, tally }
    };
    notify.channels.iter().map(state).collect()
}

/// Where a channel leads. A path may be a secret, a host is none.
fn target(channel: &Channel) -> String {
    match channel {
        Channel::Email(email) => {
            let encryption = match email.encryption {
                Encryption::Starttls => "STARTTLS",
                Encryption::Tls => "TLS",
                Encryption::None => "not encrypted",
            };
            format!("{}:{} ({encryption})", email.host, email::port(email))
        }
        Channel::Sms(sms) => http::origin(&sms.url).to_owned(),
        Channel::Webhook(webhook) => http::origin(&webhook.url).to_owned(),
        Channel::Slack(slack) => match (&slack.url_file, &slack.url_env) {
            (Some(file), _) => format!("the address in {}", file.display()),
            (None, Some(variable)) => format!("the address in ${variable}"),
            (None, None) => String::new(),
        },
        Channel::Syslog(syslog) => {
            let transport = match syslog.transport {
                Transport::Udp => "udp",
                Transport::Tcp => "tcp",
            };
            format!("{transport} {}", syslog.address)
        }
    }
}

#[cfg(test)]
mod example;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn channels_show_no_secrets_and_how_they_do() {
        let text = r#"
            channels = [
                { kind = "webhook", name = "a", url = "https://a.example/secret?x", secret_env = "S" },
                { kind = "slack", name = "b", url_file = "/etc/b" },
                { kind = "syslog", name = "c", address = "c.example:514" },
            ]"#;
        let notify: Notify = toml::from_str(text).unwrap();
        let sent = Tally { channel: "a".into(), sent: 3, ..Tally::default() };
        let error = Some("refused".to_owned());
        let failing = Tally { channel: "b".into(), queued: 1, error, ..Tally::default() };
        let states = channels(&notify, &[sent, failing]);
        let seen: Vec<_> =
            states.iter().map(|state| (&*state.target, state.state.name())).collect();
        let expected = [
            ("https://a.example", "ok"),
            ("the address in /etc/b", "failing"),
            ("udp c.example:514", "unused"),
        ];
        assert_eq!(seen, expected);
    }
}
