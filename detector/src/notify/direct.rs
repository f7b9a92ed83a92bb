//! Messages straight from alerts that the database has not taken. It reads no database: the rules are
//! those that were in force when it could be read last.

use super::counters::channel_counters;
use super::gather::{Paces, addressed, divide, notified, room, subjects};
use super::memory::{GRACE, KnownRule, Memory, Message};
use crate::alerts::{Origin, StoredAlert};
use crate::config::notify::{Channel, Notify};
use crate::status::sinks::Board;
use crate::store::outbox::{NewDelivery, Outgoing};
use crate::store::rules::{Candidate, Rule, RuleSpec};
use crate::verdict::{Alert, Severity};

const SECOND_NS: u64 = 1_000_000_000;
/// Alerts that may wait for a rule's digest or a channel's pace.
const MOST: usize = 4_096;

/// Makes messages of alerts that are overdue.
pub(super) struct Direct<'a> {
    memory: &'a Memory,
    notify: &'a Notify,
    base_url: &'a str,
    paces: &'a Paces,
    board: &'a Board,
    /// Whether there is a database that may still take an alert.
    stored: bool,
    waiting: Vec<Waiting>,
}

/// An alert that a rule is about.
struct Waiting {
    rule: i64,
    due_ns: u64,
    alert: StoredAlert,
}

impl<'a> Direct<'a> {
    pub(super) fn new(
        memory: &'a Memory,
        notify: &'a Notify,
        base_url: &'a str,
        paces: &'a Paces,
        board: &'a Board,
        stored: bool,
    ) -> Self {
        Self { memory, notify, base_url, paces, board, stored, waiting: Vec::new() }
    }

    /// Takes what is overdue and makes messages of what is due. Returns whether there were any.
    pub(super) fn turn(&mut self, now_ns: u64) -> bool {
        let grace_ns = if self.stored { GRACE.as_nanos() as u64 } else { 0 };
        let overdue = self.memory.take_overdue(now_ns.saturating_sub(grace_ns));
        if overdue.is_empty() && self.waiting.is_empty() {
            return false;
        }
        let rules = self.memory.rules().unwrap_or_else(|| default_rules(self.notify).into());
        for alert in &overdue {
            self.note(alert, &rules, now_ns);
        }
        let mut any = false;
        for known in &*rules {
            any |= self.send_due(known, now_ns);
        }
        // A rule that was removed has nothing to send.
        self.waiting.retain(|waiting| rules.iter().any(|known| known.rule.id == waiting.rule));
        self.memory.set_in_hand(self.waiting.len());
        any
    }

    /// Notes an alert for every rule to which it is news.
    fn note(&mut self, alert: &Alert, rules: &[KnownRule], now_ns: u64) {
        let [same, like] = subjects(alert);
        let candidate = Candidate {
            key: 0,
            severity: alert.severity.rank(),
            technique: alert.technique.name(),
            src: alert.src,
            dst: alert.dst,
        };
        for KnownRule { rule, .. } in
            rules.iter().filter(|known| known.rule.wish.is_for(&candidate))
        {
            let same = self.memory.notified(rule.id, same);
            let like = self.memory.notified(rule.id, like);
            let Some(mut due_ns) = rule.wish.due(same, like, candidate.severity, now_ns) else {
                continue;
            };
            if rule.wish.digest_secs != 0 {
                due_ns = self.digest_due(rule, now_ns);
            }
            if self.waiting.len() == MOST {
                // The next revision is news again.
                self.count_dropped(&rule.wish.channel);
                continue;
            }
            self.memory.note_notified(rule.id, subjects(alert), notified(alert, now_ns));
            let alert = StoredAlert::new(alert.clone(), Origin::Live);
            self.waiting.push(Waiting { rule: rule.id, due_ns, alert });
        }
    }

    /// A digest ends a while after the first alert in it.
    fn digest_due(&self, rule: &Rule, now_ns: u64) -> u64 {
        let own = self.waiting.iter().filter(|waiting| waiting.rule == rule.id);
        let begun = own.map(|waiting| waiting.due_ns).filter(|due_ns| *due_ns > now_ns).min();
        begun.unwrap_or(now_ns + u64::from(rule.wish.digest_secs) * SECOND_NS)
    }

    fn send_due(&mut self, known: &KnownRule, now_ns: u64) -> bool {
        let KnownRule { rule, recipients } = known;
        let is_due = |waiting: &Waiting| waiting.rule == rule.id && waiting.due_ns <= now_ns;
        let alerts: Vec<StoredAlert> =
            self.waiting.iter().filter(|one| is_due(one)).map(|one| one.alert.clone()).collect();
        let Some(channel) = self.notify.channel(&rule.wish.channel) else { return false };
        if alerts.is_empty() {
            return false;
        }
        let room = room(channel.name(), self.memory.queued(channel.name()), self.paces, now_ns);
        let Some(groups) = divide(channel, &alerts, &rule.wish, recipients.len(), room) else {
            return false;
        };
        for alerts in groups {
            let mark = match alerts {
                [alert] => format!("memory {} revision {}", alert.alert.id, alert.alert.revision),
                _ => format!("memory rule {} digest {now_ns}", rule.id),
            };
            let messages = addressed(channel, alerts, recipients, None, &mark, self.base_url);
            messages.into_iter().for_each(|message| self.push(message, now_ns));
        }
        self.waiting.retain(|waiting| !is_due(waiting));
        true
    }

    fn push(&self, message: NewDelivery, now_ns: u64) {
        let NewDelivery { mark, channel, recipient, subject, message, .. } = message;
        let outgoing =
            Outgoing { id: 0, mark, time_ns: now_ns, recipient, subject, message, attempts: 0 };
        if !self.memory.push(&channel, Message { at_ns: now_ns, outgoing }) {
            self.count_dropped(&channel);
        }
    }

    fn count_dropped(&self, channel: &str) {
        let counters = channel_counters(self.board, channel);
        counters.take(1);
        counters.drop_taken(1);
    }
}

/// Where no rule was ever read, every channel that knows its recipients reports every alert.
fn default_rules(notify: &Notify) -> Vec<KnownRule> {
    let rule = |(number, channel): (i64, &Channel)| {
        let recipients = match channel.own_recipients() {
            Some(own) => own.to_vec(),
            None => vec![channel.kind().to_owned()],
        };
        let wish = RuleSpec {
            name: channel.name().to_owned(),
            enabled: true,
            channel: channel.name().to_owned(),
            group: None,
            min_severity: Severity::Low,
            techniques: Vec::new(),
            host: None,
            digest_secs: 0,
            repeat_secs: channel.repeat_secs(),
        };
        (!recipients.is_empty())
            .then_some(KnownRule { rule: Rule { id: number, wish }, recipients })
    };
    // Numbers that no stored rule has.
    (i64::MIN..).zip(&notify.channels).filter_map(rule).collect()
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;
    use crate::notify::counters::channel_row;
    use crate::notify::memory::Subject;
    use crate::verdict::AlertId;
    use crate::verdict::alert::example::alert;

    /// Alerts wait for their digest; one that finds no room is counted, and is news again.
    #[test]
    fn what_waits_for_a_digest_is_bounded_and_counted() {
        let text =
            "channels = [{ kind = \"syslog\", name = \"log\", address = \"192.0.2.1:514\" }]";
        let notify: Notify = toml::from_str(text).unwrap();
        let (memory, board) = (Memory::default(), Board::default());
        let mut rules = default_rules(&notify);
        rules[0].rule.wish.digest_secs = 600;
        rules[0].rule.wish.repeat_secs = 0;
        let rule = rules[0].rule.id;
        memory.set_rules(rules);
        let paces = Paces::default();
        let mut direct = Direct::new(&memory, &notify, "http://localhost", &paces, &board, false);
        let mut offer = |number: u64| {
            let alert = Alert { id: AlertId::live(number), ..alert() };
            assert!(memory.offer(&Arc::new(alert), 1));
            assert!(!direct.turn(2));
        };
        (0..=MOST as u64).for_each(&mut offer);
        assert_eq!(board.dropped(&channel_row("log")), 1);
        let known = |number| memory.notified(rule, Subject::Same(AlertId::live(number))).is_some();
        assert!(known(MOST as u64 - 1) && !known(MOST as u64));
    }
}
