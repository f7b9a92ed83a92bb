//! Notifications without the database: alerts that it has not taken, and messages made of them.
//!
//! Every alert waits here until the database confirms that it is stored; from then on the outbox
//! answers for it. One that is not confirmed within [`GRACE`], or where there is no database, is sent
//! from here. That is not safe from a crash, which the channels' states say while it is so. What was
//! sent from here is remembered, so that the outbox does not send it once more when the database
//! works again.

use std::collections::{BTreeMap, HashMap, VecDeque};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use crate::network::Address;
use crate::store::outbox::Outgoing;
use crate::store::rules::{Notified, Rule};
use crate::verdict::{Alert, AlertId, Technique};

/// How long the database may take to store an alert.
pub(super) const GRACE: Duration = Duration::from_secs(2);
/// Alerts that may wait for the database: they take about 4 kB each.
const ALERTS: usize = 4_096;
/// Messages that may wait for one channel.
const MESSAGES: usize = 1_024;
/// Alerts that are remembered as stored, as sent from here, or as sent about by a rule.
const REMEMBERED: usize = 16_384;

/// Shared by whoever brings alerts, whoever stores them, and the threads that send.
#[derive(Debug, Default)]
pub struct Memory(Mutex<State>);

#[derive(Debug, Default)]
struct State {
    /// Not confirmed yet, with when they came.
    waiting: VecDeque<(u64, Arc<Alert>)>,
    /// The latest revision that is stored.
    stored: Latest,
    /// The latest revision that was sent from here.
    sent: Latest,
    messages: BTreeMap<String, VecDeque<Message>>,
    /// Alerts that wait for a digest or for a channel's pace.
    in_hand: usize,
    /// The program ends: nothing waits for the database any more.
    ending: bool,
    /// As the database had them last; none: it was never read.
    rules: Option<Arc<[KnownRule]>>,
    /// What rules have sent, from here or from the outbox.
    notified: HashMap<(i64, Subject), Notified>,
}

/// A rule and whom it reaches.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct KnownRule {
    pub(super) rule: Rule,
    pub(super) recipients: Vec<String>,
}

/// What a rule does not repeat.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) enum Subject {
    /// The same alert.
    Same(AlertId),
    /// Another alert between the same hosts, by technique.
    Like { src: Address, dst: Address, technique: Technique },
}

/// A message and when it is to be tried.
#[derive(Clone, Debug)]
pub(super) struct Message {
    pub(super) at_ns: u64,
    pub(super) outgoing: Outgoing,
}

/// Alerts with their latest revision; the oldest is forgotten first.
#[derive(Debug, Default)]
struct Latest {
    revisions: HashMap<AlertId, u32>,
    order: VecDeque<AlertId>,
}

impl Latest {
    fn note(&mut self, id: AlertId, revision: u32) {
        match self.revisions.get_mut(&id) {
            Some(known) => *known = revision.max(*known),
            None => {
                self.revisions.insert(id, revision);
                self.order.push_back(id);
            }
        }
        if self.order.len() > REMEMBERED
            && let Some(oldest) = self.order.pop_front()
        {
            self.revisions.remove(&oldest);
        }
    }

    fn has(&self, id: AlertId, revision: u32) -> bool {
        self.revisions.get(&id).is_some_and(|known| *known >= revision)
    }
}

impl Memory {
    /// Takes an alert until it is stored. Returns whether there was room.
    #[must_use]
    pub fn offer(&self, alert: &Arc<Alert>, now_ns: u64) -> bool {
        let mut state = self.lock();
        if state.stored.has(alert.id, alert.revision) {
            return true;
        }
        let room = state.waiting.len() < ALERTS;
        if room {
            state.waiting.push_back((now_ns, Arc::clone(alert)));
        }
        room
    }

    /// The database has this alert: the outbox answers for it.
    pub fn confirm(&self, id: AlertId, revision: u32) {
        let mut state = self.lock();
        state.stored.note(id, revision);
        state.waiting.retain(|(_, alert)| alert.id != id || alert.revision > revision);
    }

    /// The alerts that came before then and are not stored. They are sent from here.
    pub(super) fn take_overdue(&self, before_ns: u64) -> Vec<Arc<Alert>> {
        let mut state = self.lock();
        let State { waiting, sent, ending, .. } = &mut *state;
        let is_overdue = |(at_ns, _): &&(u64, _)| *ending || *at_ns <= before_ns;
        let overdue = waiting.iter().take_while(is_overdue).count();
        let overdue: Vec<Arc<Alert>> = waiting.drain(..overdue).map(|(_, alert)| alert).collect();
        for alert in &overdue {
            sent.note(alert.id, alert.revision);
        }
        overdue
    }

    /// The program ends: what waits for the database is sent from here.
    pub(super) fn hurry(&self) {
        self.lock().ending = true;
    }

    /// Says how many alerts are being made into messages.
    pub(super) fn set_in_hand(&self, alerts: usize) {
        self.lock().in_hand = alerts;
    }

    /// Whether there is nothing that is still to be sent from here.
    pub(super) fn is_empty(&self) -> bool {
        let state = self.lock();
        let no_message = state.messages.values().all(VecDeque::is_empty);
        state.waiting.is_empty() && state.in_hand == 0 && no_message
    }

    /// Whether this alert was sent from here.
    pub(super) fn has_sent(&self, id: AlertId, revision: u32) -> bool {
        self.lock().sent.has(id, revision)
    }

    /// Takes over the rules as the database has them.
    pub(super) fn set_rules(&self, rules: Vec<KnownRule>) {
        self.lock().rules = Some(rules.into());
    }

    /// The rules; none where the database was never read.
    pub(super) fn rules(&self) -> Option<Arc<[KnownRule]>> {
        self.lock().rules.clone()
    }

    /// Notes that a rule has sent a message about these.
    pub(super) fn note_notified(&self, rule: i64, subjects: [Subject; 2], notified: Notified) {
        let mut state = self.lock();
        if state.notified.len() >= REMEMBERED {
            // Rare enough to be coarse: older halves are forgotten, which repeats a message at worst.
            let mut times: Vec<u64> = state.notified.values().map(|one| one.time_ns).collect();
            let (_, median, _) = times.select_nth_unstable(REMEMBERED / 2);
            let median = *median;
            state.notified.retain(|_, one| one.time_ns > median);
        }
        for subject in subjects {
            state.notified.insert((rule, subject), notified);
        }
    }

    /// What a rule has sent about this last.
    pub(super) fn notified(&self, rule: i64, subject: Subject) -> Option<Notified> {
        self.lock().notified.get(&(rule, subject)).copied()
    }

    /// Keeps a message until it is sent. Returns whether there was room.
    #[must_use]
    pub(super) fn push(&self, channel: &str, message: Message) -> bool {
        let mut state = self.lock();
        let messages = state.messages.entry(channel.to_owned()).or_default();
        let room = messages.len() < MESSAGES;
        if room {
            messages.push_back(message);
        }
        room
    }

    /// The first message of a channel whose time has come.
    pub(super) fn pop(&self, channel: &str, now_ns: u64) -> Option<Outgoing> {
        let mut state = self.lock();
        let messages = state.messages.get_mut(channel)?;
        let due = messages.iter().position(|message| message.at_ns <= now_ns)?;
        messages.remove(due).map(|message| message.outgoing)
    }

    /// Messages that wait for a channel.
    pub(super) fn queued(&self, channel: &str) -> u64 {
        self.lock().messages.get(channel).map_or(0, |messages| messages.len() as u64)
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::verdict::alert::example::alert;

    #[test]
    fn what_is_stored_in_time_is_not_sent_from_here() {
        let memory = Memory::default();
        let first = Arc::new(alert());
        let grown = Arc::new(Alert { revision: 3, ..alert() });
        let id = first.id;
        assert!(memory.offer(&first, 10) && memory.offer(&grown, 20));
        memory.confirm(id, 2);
        assert!(memory.take_overdue(19).is_empty());
        assert_eq!(memory.take_overdue(20), [grown]);
        assert!(memory.has_sent(id, 3) && !memory.has_sent(id, 4));
        // The database may be faster than whoever brings the alert.
        assert!(memory.offer(&first, 30));
        assert!(memory.take_overdue(u64::MAX).is_empty());
    }

    #[test]
    fn what_waits_is_bounded() {
        let memory = Memory::default();
        let alert = Arc::new(alert());
        let taken = (0..2 * ALERTS).filter(|_| memory.offer(&alert, 0)).count();
        assert_eq!(taken, ALERTS);
        for number in 0..2 * REMEMBERED as u64 {
            memory.confirm(AlertId::live(number), 1);
        }
        assert_eq!(memory.lock().stored.revisions.len(), REMEMBERED);
    }
}
