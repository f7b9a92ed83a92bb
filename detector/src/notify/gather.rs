//! Messages from alerts that wait: who is notified, in how many messages, or why nobody is.

use std::collections::BTreeMap;

use super::memory::{KnownRule, Memory, Subject};
use super::message::{Notice, compose};
use super::pace::Pace;
use crate::alerts::{Status, StoredAlert};
use crate::config::notify::{Channel, Notify};
use crate::store::outbox::{self, AddressField, Due, NewDelivery};
use crate::store::rules::{self, Notified, RuleSpec};
use crate::store::{Connection, Store, alerts, contacts};
use crate::units;
use crate::verdict::Alert;

/// Alerts of one rule that are reported each by itself at a time; more become one message.
const ONE_BY_ONE: usize = 10;
const SECOND_NS: u64 = 1_000_000_000;

/// How fast each channel may send.
pub(super) type Paces = BTreeMap<String, std::sync::Arc<std::sync::Mutex<Pace>>>;

/// What messages are made with.
#[derive(Clone, Copy)]
pub(super) struct Desk<'a> {
    pub(super) store: &'a Store,
    pub(super) memory: &'a Memory,
    pub(super) notify: &'a Notify,
    pub(super) base_url: &'a str,
    pub(super) paces: &'a Paces,
}

/// Puts everything into the outbox whose time has come and whose channel has room. Returns whether
/// there was anything.
pub(super) fn gather(desk: Desk<'_>, now_ns: u64) -> anyhow::Result<bool> {
    let mut any = false;
    for due in desk.store.read(|connection| outbox::due(connection, now_ns))? {
        any |= tell(desk, &due, now_ns)?;
    }
    Ok(any)
}

/// The rules that are in force and whom they reach, for messages that go out without the database.
pub(super) fn known_rules(
    connection: &Connection,
    notify: &Notify,
) -> anyhow::Result<Vec<KnownRule>> {
    let mut known = Vec::new();
    for rule in rules::rules(connection)? {
        let Some(channel) = notify.channel(&rule.wish.channel) else { continue };
        if is_told(connection, &rule.wish)? {
            let recipients = recipients(connection, channel, &rule.wish)?;
            known.push(KnownRule { rule, recipients });
        }
    }
    Ok(known)
}

fn tell(desk: Desk<'_>, due: &Due, now_ns: u64) -> anyhow::Result<bool> {
    let Desk { store, memory, notify, base_url, paces } = desk;
    let wish = &due.rule.wish;
    let Some(channel) = notify.channel(&wish.channel) else {
        return give_up_held(store, notify, due, now_ns);
    };
    // What was decided since they were noted counts: a rule or a group that was turned off.
    if !store.read(|connection| is_told(connection, wish))? {
        return put(store, Vec::new(), due, now_ns);
    }
    let recipients = store.read(|connection| recipients(connection, channel, wish))?;
    let (sent, alerts): (Vec<StoredAlert>, Vec<StoredAlert>) =
        load_open(store, due)?.into_iter().partition(|alert| was_sent(memory, alert));
    let mut messages = Vec::new();
    if let Some(first) = sent.first() {
        let why = "sent from memory because the database was unavailable";
        messages.push(unsent(due, &sent, first, why));
    }
    let Some(first) = alerts.first() else { return put(store, messages, due, now_ns) };
    if recipients.is_empty() {
        let why = "nobody in the group has an address for this channel";
        messages.push(unsent(due, &alerts, first, why));
        return put(store, messages, due, now_ns);
    }
    let queued = store.read(|connection| outbox::queued(connection, channel.name()))?;
    let room = room(channel.name(), queued, paces, now_ns);
    let Some(groups) = divide(channel, &alerts, wish, recipients.len(), room) else {
        return Ok(false);
    };
    let digest = format!("{} {}", due.pending.first().map_or(0, |one| one.id), due.since_ns);
    messages.extend(groups.into_iter().flat_map(|alerts| {
        let mark = match alerts {
            // Two rules that notify the same person of the same make one message.
            [alert] => format!("alert {} revision {}", alert.key, alert.alert.revision),
            _ => format!("rule {} digest {digest}", due.rule.id),
        };
        addressed(channel, alerts, &recipients, Some(due.rule.id), &mark, base_url)
    }));
    for StoredAlert { alert, .. } in &alerts {
        memory.note_notified(due.rule.id, subjects(alert), notified(alert, now_ns));
    }
    put(store, messages, due, now_ns)
}

fn was_sent(memory: &Memory, stored: &StoredAlert) -> bool {
    memory.has_sent(stored.alert.id, stored.alert.revision)
}

/// What a rule does not repeat soon once it was sent.
pub(super) fn subjects(alert: &Alert) -> [Subject; 2] {
    let Alert { id, src, dst, technique, .. } = *alert;
    [Subject::Same(id), Subject::Like { src, dst, technique }]
}

pub(super) fn notified(alert: &Alert, now_ns: u64) -> Notified {
    Notified { severity: alert.severity.rank(), time_ns: now_ns }
}

/// A record that these alerts are not sent, and why.
fn unsent(due: &Due, alerts: &[StoredAlert], first: &StoredAlert, why: &str) -> NewDelivery {
    let mut message = dropped(due, why);
    message.alerts = alerts.iter().map(|alert| alert.key).collect();
    message.subject = super::message::subject(Notice::Alerts(std::slice::from_ref(first)));
    message
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
    let mut message = dropped(due, "given up: the channel was removed from the configuration");
    message.alerts = due.pending.iter().map(|pending| pending.alert).collect();
    message.subject = units::counted(due.pending.len() as u64, "alert");
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
pub(super) struct Room {
    free: u64,
    most: u64,
}

/// A channel's room beside the messages that are queued already.
pub(super) fn room(channel: &str, queued: u64, paces: &Paces, now_ns: u64) -> Room {
    let Some(pace) = paces.get(channel) else { return Room { free: 0, most: 0 } };
    let mut pace = pace.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
    Room { free: pace.available(now_ns).saturating_sub(queued), most: pace.capacity() }
}

/// The alerts as messages are to tell them: each by itself where there is room or a program reads them,
/// else all in one; none where they must wait.
pub(super) fn divide<'a>(
    channel: &Channel,
    alerts: &'a [StoredAlert],
    wish: &RuleSpec,
    recipients: usize,
    room: Room,
) -> Option<Vec<&'a [StoredAlert]>> {
    let recipients = recipients as u64;
    // A group that is larger than a minute's worth is reported as room comes.
    if room.free < recipients.min(room.most) {
        return None;
    }
    let all = recipients * alerts.len() as u64;
    let together = wish.digest_secs != 0 || alerts.len() > ONE_BY_ONE || all > room.free;
    Some(if together && !channel.is_for_programs() {
        vec![alerts]
    } else {
        alerts.chunks(1).collect()
    })
}

/// A message for each recipient; two with the same mark are the same message.
pub(super) fn addressed(
    channel: &Channel,
    alerts: &[StoredAlert],
    recipients: &[String],
    rule: Option<i64>,
    mark: &str,
    base_url: &str,
) -> Vec<NewDelivery> {
    let messages = compose(channel, Notice::Alerts(alerts), base_url);
    let to_all = recipients
        .iter()
        .flat_map(|recipient| messages.iter().zip(1..).map(move |message| (recipient, message)));
    to_all
        .map(|(recipient, (message, part))| NewDelivery {
            mark: format!("{} {recipient} {mark} part {part}", channel.name()),
            channel: channel.name().to_owned(),
            recipient: recipient.clone(),
            rule,
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
        let channel =
            |keys: &str| -> Channel { toml::from_str(&format!("name = \"a\"\n{keys}")).unwrap() };
        let people = channel("kind = \"slack\"");
        let divided = |channel: &Channel, count: usize, digest, recipients, free| {
            let room = Room { free, most: 60 };
            let divided = divide(channel, &alerts[..count], &wish(digest), recipients, room);
            divided.map(|messages| messages.len())
        };
        let check = |count, digest, recipients, free, expected: Option<usize>| {
            let found = divided(&people, count, digest, recipients, free);
            assert_eq!(found, expected, "{count} {free}");
        };
        for keys in
            ["kind = \"syslog\"\naddress = \"a:1\"", "kind = \"webhook\"\nurl = \"http://a\""]
        {
            let program = channel(keys);
            for (count, digest, free, expected) in [
                (1, 0, 60, Some(1)),
                (20, 600, 60, Some(20)),
                (20, 0, 3, Some(20)),
                (20, 0, 0, None),
            ] {
                assert_eq!(divided(&program, count, digest, 1, free), expected, "{keys} {count}");
            }
        }
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
