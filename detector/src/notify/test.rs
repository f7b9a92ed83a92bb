//! Test messages: whether a channel works, without an alert.

use std::time::Duration;

use super::address;
use super::check::wrong;
use super::message::{Notice, compose};
use super::send::Sender;
use crate::clock::now_ns;
use crate::config::notify::{Channel, Notify};
use crate::refusal::Refusal;
use crate::store::Store;
use crate::store::outbox::{self, Delivery, NewDelivery, Outcome, Outgoing};

/// A test message over this channel, to `to` or the first of the channel's own recipients.
pub fn message(notify: &Notify, channel: &str, to: Option<&str>) -> Result<NewDelivery, Refusal> {
    let channel = notify.channel(channel).ok_or_else(|| {
        let why =
            format!("there is no channel `{channel}`: add it to [notify] in the configuration");
        wrong("channel", why)
    })?;
    let recipient = recipient(channel, to)?;
    let now_ns = now_ns();
    let composed = compose(channel, Notice::Test, "").into_iter().next();
    let composed = composed.ok_or_else(|| wrong("channel", "the channel has no messages"))?;
    Ok(NewDelivery {
        mark: format!("{} {recipient} test {now_ns}", channel.name()),
        channel: channel.name().to_owned(),
        recipient,
        rule: None,
        alerts: Vec::new(),
        subject: composed.subject,
        message: composed.body.text(),
        dropped: None,
    })
}

fn recipient(channel: &Channel, to: Option<&str>) -> Result<String, Refusal> {
    let given = |why| wrong("to", why);
    match (channel.own_recipients(), to) {
        (None, None) => Ok(channel.kind().to_owned()),
        (None, Some(_)) => {
            Err(given("this channel has a fixed receiver: leave the recipient out".to_owned()))
        }
        (Some(own), None) => own
            .first()
            .cloned()
            .ok_or_else(|| given("the channel has no recipients of its own: give one".to_owned())),
        (Some(_), Some(to)) => match channel {
            Channel::Sms(_) => address::phone(to).map_err(given),
            _ => address::email(to).map_err(given),
        },
    }
}

/// Puts a test message into the outbox, for whoever sends from there.
pub fn queue(store: &Store, message: NewDelivery) -> anyhow::Result<Delivery> {
    store.write(move |connection| {
        outbox::put(connection, &[message], &[], now_ns())?;
        outbox::delivery(connection, connection.last_insert_rowid())
    })
}

/// Sends a test message from here, once, and puts what became of it into the outbox.
///
/// # Errors
///
/// A database that cannot be written to. That the message did not go out is none.
pub fn send(store: &Store, notify: &Notify, message: NewDelivery) -> anyhow::Result<Delivery> {
    let now = now_ns();
    let sent = match notify.channel(&message.channel) {
        Some(channel) => {
            let outgoing = Outgoing {
                id: 0,
                mark: message.mark.clone(),
                time_ns: now,
                recipient: message.recipient.clone(),
                subject: message.subject.clone(),
                message: message.message.clone(),
                attempts: 0,
            };
            Sender::new(channel.clone(), Duration::from_secs(notify.timeout_secs)).send(&outgoing)
        }
        None => Ok(()),
    };
    let outcome = match sent {
        Ok(()) => Outcome::Sent,
        Err(failure) => Outcome::Failed { error: failure.error().to_owned() },
    };
    // In one step: a worker in another process never sees it queued.
    store.write(move |connection| {
        outbox::put(connection, &[message], &[], now)?;
        let id = connection.last_insert_rowid();
        outbox::record(connection, id, &outcome, now_ns())?;
        outbox::delivery(connection, id)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_test_goes_to_whom_the_channel_reaches() {
        let text = r#"channels = [
            { kind = "email", name = "a", host = "h", from = "a@b.example", to = ["c@d.example"] },
            { kind = "sms", name = "b", url = "http://h", body = "{to}{text}" },
            { kind = "slack", name = "c" },
        ]"#;
        let notify: Notify = toml::from_str(text).unwrap();
        let to = |channel, to| message(&notify, channel, to).map(|message| message.recipient);
        assert_eq!(to("a", None).unwrap(), "c@d.example");
        assert_eq!(to("a", Some("e@f.example")).unwrap(), "e@f.example");
        assert_eq!(to("b", Some("+1 555 0100")).unwrap(), "+15550100");
        assert_eq!(to("c", None).unwrap(), "slack");
        for (channel, person) in
            [("a", Some("x")), ("b", None), ("b", Some("x")), ("c", Some("x")), ("d", None)]
        {
            assert!(to(channel, person).is_err(), "{channel} {person:?}");
        }
    }
}
