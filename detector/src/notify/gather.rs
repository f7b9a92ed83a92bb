//! Messages from alerts that wait: who is told, in how many messages, or why nobody is.

use std::collections::BTreeMap;

use super::message::{Notice, compose};
use super::pace::Pace;
use crate::alerts::{Status, StoredAlert};
use crate::config::notify::{Channel, Notify};
use crate::store::outbox::{self, AddressField, Due, NewDelivery};
use crate::store::rules::RuleSpec;
use crate::store::{Connection, Store, alerts, contacts};

/// Alerts of one rule that are told each by itself at a time; more become one message.
const ONE_BY_ONE: usize = 10;
const SECOND_NS: u64 = 1_000_000_000;

/// How fast each channel may send.
pub(super) type Paces = BTreeMap<String, std::sync::Arc<std::sync::Mutex<Pace>>>;

/// Puts everything into the outbox whose time has come and whose channel has room. Returns whether
/// there was anything.
pub(super) fn gather(
    store: &Store,
    notify: &Notify,
    base_url: &str,
    paces: &Paces,
    now_ns: u64,
) -> anyhow::Result<bool> {
    let mut any = false;
    for due in store.read(|connection| outbox::due(connection, now_ns))? {
        any |= tell(store, notify, base_url, paces, &due, now_ns)?;
    }
    Ok(any)
}

fn tell(
    store: &Store,
    notify: &Notify,
    base_url: &str,
    paces: &Paces,
    due: &Due,
    now_ns: u64,
) -> anyhow::Result<bool> {
    let wish = &due.rule.wish;
    let Some(channel) = notify.channel(&wish.channel) else {
        return give_up_held(store, notify, due, now_ns);
    };
    // What was decided since they were noted counts: a rule or a group that was turned off.
    if !store.read(|connection| is_told(connection, wish))? {
        return put(store, Vec::new(), due, now_ns);
    }
    let recipients = store.read(|connection| recipients(connection, channel, wish))?;
    let alerts = load_open(store, due)?;
    let Some(first) = alerts.first() else { return put(store, Vec::new(), due, now_ns) };
    if recipients.is_empty() {
        let mut message = dropped(due, "there is nobody in the group whom this channel reaches");
        message.alerts = alerts.iter().map(|alert| alert.key).collect();
        message.subject = super::message::subject(Notice::Alerts(std::slice::from_ref(first)));
        return put(store, vec![message], due, now_ns);
    }
    let room = room(store, channel.name(), paces, now_ns)?;
    let Some(groups) = divide(&alerts, wish, recipients.len(), room) else { return Ok(false) };
    let messages = groups
        .into_iter()
        .flat_map(|alerts| addressed(channel, alerts, &recipients, due, base_url))
        .collect();
    put(store, messages, due, now_ns)
}

fn put(store: &Store, messages: Vec<NewDelivery>, due: &Due, now_ns: u64) -> anyhow::Result<bool> {
    let pending = due.pending.clone();
    store.write(move |connection| outbox::put(connection, &messages, &pending, now_ns))?;
    Ok(true)
}

/// A rule whose channel is gone keeps what it has to tell for a while, in case that it comes back.
fn give_up_held(store: &Store, notify: &Notify, due: &Due, now_ns: u64) -> anyhow::Result<bool> {
    if now_ns.saturating_sub(due.since_ns) < notify.give_up_secs.saturating_mul(SECOND_NS) {
        return Ok(false);
    }
    let mut message = dropped(due, "given up: the channel is not in the configuration any more");
    message.alerts = due.pending.iter().map(|pending| pending.alert).collect();
    message.subject = format!("{} alerts", due.pending.len());
    put(store, vec![message], due, now_ns)
}

fn dropped(due: &Due, why: &str) -> NewDelivery {
    let first = due.pending.first().map_or(0, |pending| pending.id);
    NewDelivery {
        mark: format!("rule {} dropped {first} {}", due.rule.id, due.since_ns),
        channel: due.rule.wish.channel.clone(),
        recipient: String::new(),
        rule: Some(due.rule.id),
        alerts: Vec::new(),
        subject: String::new(),
        message: String::new(),
        dropped: Some(why.to_owned()),
    }
}

fn is_told(connection: &Connection, wish: &RuleSpec) -> anyhow::Result<bool> {
    let alertable = match wish.group {
        Some(group) => contacts::group(connection, group)?.alertable,
        None => true,
    };
    Ok(wish.enabled && alertable)
}

fn recipients(
    connection: &Connection,
    channel: &Channel,
    wish: &RuleSpec,
) -> anyhow::Result<Vec<String>> {
    let Some(own) = channel.own_recipients() else { return Ok(vec![channel.kind().to_owned()]) };
    let field = match channel {
        Channel::Sms(_) => AddressField::Phone,
        _ => AddressField::Email,
    };
    match wish.group {
        Some(group) => outbox::addresses(connection, group, field),
        None => Ok(own.to_vec()),
    }
}

/// The alerts that are still news: not those that somebody has closed meanwhile.
fn load_open(store: &Store, due: &Due) -> anyhow::Result<Vec<StoredAlert>> {
    store.read(|connection| {
        let mut open = Vec::new();
        for pending in &due.pending {
            let alert = alerts::load(connection, pending.alert)?;
            open.extend(alert.filter(|alert| alert.status != Status::Closed));
        }
        Ok(open)
    })
}

/// How many messages the channel can take now, and how many it takes in a minute.
#[derive(Clone, Copy, Debug)]
struct Room {
    free: u64,
    most: u64,
}

fn room(store: &Store, channel: &str, paces: &Paces, now_ns: u64) -> anyhow::Result<Room> {
    let queued = store.read(|connection| outbox::queued(connection, channel))?;
    let Some(pace) = paces.get(channel) else { return Ok(Room { free: 0, most: 0 }) };
    let mut pace = pace.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
    Ok(Room { free: pace.available(now_ns).saturating_sub(queued), most: pace.capacity() })
}

/// The alerts as messages are to tell them: each by itself where there is room, else all in one;
/// none where they must wait.
fn divide<'a>(
    alerts: &'a [StoredAlert],
    wish: &RuleSpec,
    recipients: usize,
    room: Room,
) -> Option<Vec<&'a [StoredAlert]>> {
    let recipients = recipients as u64;
    // A group that is larger than a minute's worth is told as room comes.
    if room.free < recipients.min(room.most) {
        return None;
    }
    let all = recipients * alerts.len() as u64;
    let together = wish.digest_secs != 0 || alerts.len() > ONE_BY_ONE || all > room.free;
    Some(if together { vec![alerts] } else { alerts.chunks(1).collect() })
}

fn addressed(
    channel: &Channel,
    alerts: &[StoredAlert],
    recipients: &[String],
    due: &Due,
    base_url: &str,
) -> Vec<NewDelivery> {
    let messages = compose(channel, Notice::Alerts(alerts), base_url);
    let what = match alerts {
        // Two rules that tell the same person of the same make one message.
        [alert] => format!("alert {} revision {}", alert.key, alert.alert.revision),
        _ => {
            let first = due.pending.first().map_or(0, |pending| pending.id);
            format!("rule {} digest {first} {}", due.rule.id, due.since_ns)
        }
    };
    let to_all = recipients
        .iter()
        .flat_map(|recipient| messages.iter().zip(1..).map(move |message| (recipient, message)));
    to_all
        .map(|(recipient, (message, part))| NewDelivery {
            mark: format!("{} {recipient} {what} part {part}", channel.name()),
            channel: channel.name().to_owned(),
            recipient: recipient.clone(),
            rule: Some(due.rule.id),
            alerts: alerts.iter().map(|alert| alert.key).collect(),
            subject: message.subject.clone(),
            message: message.body.text(),
            dropped: None,
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::super::example::alert;
    use super::*;

    #[test]
    fn what_there_is_no_room_for_waits_and_is_told_together() {
        let alerts: Vec<StoredAlert> = (0..20).map(|_| alert()).collect();
        let wish = |digest_secs| RuleSpec {
            name: "a".into(),
            enabled: true,
            channel: "mail".into(),
            group: None,
            min_severity: crate::verdict::Severity::Low,
            techniques: Vec::new(),
            host: None,
            digest_secs,
            repeat_secs: 0,
        };
        let check = |count: usize, digest, recipients, free, expected: Option<usize>| {
            let room = Room { free, most: 60 };
            let divided = divide(&alerts[..count], &wish(digest), recipients, room);
            assert_eq!(divided.map(|messages| messages.len()), expected, "{count} {free}");
        };
        check(1, 0, 1, 60, Some(1));
        check(5, 0, 1, 60, Some(5));
        check(5, 600, 1, 60, Some(1));
        check(20, 0, 1, 60, Some(1));
        check(5, 0, 2, 9, Some(1));
        check(5, 0, 2, 1, None);
        check(5, 0, 1, 0, None);
        check(5, 0, 100, 60, Some(1));
        check(5, 0, 100, 59, None);
    }
}
