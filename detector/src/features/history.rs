//! What hosts usually do, learned where nobody gives labels: to whom they send, at which hours, how
//! much.
//!
//! Per home host: its receivers, each with its sessions, hours and largest session, and the upload
//! of every hour by kind of service, on weekdays and on weekends. All of it on packet time and
//! bounded; what has no room is counted. A session that was scored an exfiltration is not learned.

use std::collections::HashMap;

use anyhow::Context as _;
use detector_common::parse::protocol;
use foldhash::fast::RandomState;

use serde::{Deserialize, Serialize};

use crate::flow::content::distinct::hash;
use crate::flow::{Session, Side};

use super::context::{Context, Learning};
use super::hours::Hours;
use super::measure::service_class;
use super::sizes::Sizes;
use crate::network::Address;

const HOUR_NS: u64 = 3_600_000_000_000;
const DAY_NS: u64 = 24 * HOUR_NS;
/// Of the days of learning, so many must have been seen: a host that is off at weekends is learned
/// all the same.
const ACTIVE_SHARE: f64 = 0.6;
/// Days after which a host's receivers mean something, and hours after which its upload does.
const RECEIVER_MIN_NS: u64 = DAY_NS;
const SHARE_MIN_NS: u64 = HOUR_NS;
/// Sessions with a receiver below which there is no usual size, and days below which no usual hour.
const MIN_SESSIONS: u32 = 3;
const MIN_DAYS: u32 = 3;
/// First sessions with a receiver below which nothing is usual about them.
const MIN_FIRSTS: u32 = 10;
const FIRSTS_SHARE: f64 = 0.8;

/// Bounds and pace of learning.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct HistoryConfig {
    /// Days from the first sight of a host until its baseline is ready.
    pub learning_days: u32,
    pub max_hosts: u32,
    /// Of each host.
    pub max_receivers: u32,
}

impl Default for HistoryConfig {
    fn default() -> Self {
        Self { learning_days: 28, max_hosts: 1_024, max_receivers: 512 }
    }
}

/// What was learned, and what had no room.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct HistoryCounts {
    pub hosts_learning: u64,
    pub hosts_ready: u64,
    /// Days until the next host is ready; none where all are, or none is known.
    pub days_left: Option<u32>,
    /// Sessions of hosts that were not learned because the table was full.
    pub refused: u64,
    /// Receivers forgotten for others.
    pub receivers_evicted: u64,
    /// Sessions scored an exfiltration, which were not learned.
    pub withheld: u64,
}

/// One host's baseline in short.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct HostLearning {
    pub address: Address,
    pub learning: Learning,
    /// Known receivers, and days on which the host was seen.
    pub receivers: u64,
    pub days: u32,
}

/// The baselines of all hosts.
#[derive(Debug, Default)]
pub struct History {
    config: HistoryConfig,
    hosts: HashMap<Address, Host, RandomState>,
    counts: HistoryCounts,
}

/// What was learned about one host, as it is kept between runs.
#[derive(Debug, Serialize, Deserialize)]
struct Host {
    first_seen_ns: u64,
    /// Days since the epoch on which it was seen last, and how many days it was seen on.
    last_day: u64,
    days: u32,
    receivers: HashMap<u64, Receiver, RandomState>,
    kinds: HashMap<u8, Hours, RandomState>,
    /// What the first session with each receiver sent.
    firsts: Sizes,
    /// Upload of all kinds: this hour's number, what was sent in it and in the one before.
    hour: u64,
    sent_this_hour: u64,
    sent_last_hour: u64,
}

#[derive(Clone, Copy, Debug, Serialize, Deserialize)]
struct Receiver {
    first_seen_ns: u64,
    last_seen_ns: u64,
    last_day: u64,
    days: u32,
    sessions: u32,
    largest: u64,
    /// One bit for each hour of a weekday (0 to 23) and of a weekend's day (24 to 47).
    hours: u64,
}

impl History {
    #[must_use]
    pub fn new(config: HistoryConfig) -> Self {
        Self { config, ..Self::default() }
    }

    /// What is known about the sender and the receiver of a session at `now_ns`.
    #[must_use]
    pub fn context(&self, session: &Session, sender: Side, now_ns: u64) -> Context {
        // Everybody knows its resolver; that says nothing about the domains asked for.
        if session.domain.is_some() {
            return Context::default();
        }
        let Some(host) = self.hosts.get(&sender_address(session, sender)) else {
            return Context::default();
        };
        let watched_ns = now_ns.saturating_sub(host.first_seen_ns);
        let sent = session.sent(sender).payload_bytes();
        let learning = host.learning(now_ns, &self.config);
        let receiver = host.receivers.get(&receiver_of(session, sender));
        let known = receiver.filter(|receiver| receiver.sessions >= MIN_SESSIONS);
        Context {
            learning,
            receiver_known_days: (watched_ns >= RECEIVER_MIN_NS)
                .then(|| receiver.map_or(0.0, |receiver| receiver.age_days(now_ns))),
            receiver_sessions: receiver.map_or(0, |receiver| receiver.sessions),
            hour_known: receiver
                .filter(|receiver| receiver.days >= MIN_DAYS)
                .map(|receiver| receiver.knows_hour(now_ns)),
            sent_over_habit: known
                .map(|known| ((sent + 1) as f64 / (known.largest + 1) as f64).log2() as f32),
            sent_over_first_contact: (learning == Learning::Ready)
                .then(|| host.over_first_contact(sent))
                .flatten(),
            hour_deviation: (learning == Learning::Ready)
                .then(|| host.hour_deviation(kind(session), sent, now_ns)),
            upload_share: (watched_ns >= SHARE_MIN_NS).then(|| host.share(sent, now_ns)),
        }
    }

    /// Learns from a session that is over, unless it was scored an exfiltration.
    pub fn learn(&mut self, session: &Session, sender: Side, theft: bool) {
        let sent = session.sent(sender).payload_bytes();
        if sent == 0 || session.domain.is_some() || session.overflow.is_some() {
            return;
        }
        if theft {
            self.counts.withheld += 1;
            return;
        }
        let now_ns = session.last_seen_ns;
        let address = sender_address(session, sender);
        let full = self.hosts.len() >= self.config.max_hosts as usize;
        if full && !self.hosts.contains_key(&address) {
            self.counts.refused += 1;
            return;
        }
        let host = self.hosts.entry(address).or_insert_with(|| Host::new(session.first_seen_ns));
        host.see(sent, kind(session), now_ns);
        let receiver = receiver_of(session, sender);
        if let Some(known) = host.receivers.get_mut(&receiver) {
            known.see(sent, session.first_seen_ns, now_ns);
            return;
        }
        host.firsts.add(sent);
        self.counts.receivers_evicted +=
            u64::from(host.make_room(self.config.max_receivers as usize));
        let mut first = Receiver::new(session.first_seen_ns);
        first.see(sent, session.first_seen_ns, now_ns);
        host.receivers.insert(receiver, first);
    }

    /// The hosts that were seen at `since_ns` or later, to the hour.
    pub fn seen_since(&self, since_ns: u64) -> impl Iterator<Item = Address> {
        let recent = self.hosts.iter().filter(move |(_, host)| host.last_seen_ns() >= since_ns);
        recent.map(|(address, _)| *address)
    }

    /// What was learned about a host, as a text that [`History::recall`] reads.
    #[must_use]
    pub fn learned(&self, address: Address) -> Option<String> {
        // Numbers and lists of them are all there is: there is nothing that JSON cannot hold.
        self.hosts.get(&address).and_then(|host| serde_json::to_string(host).ok())
    }

    /// Takes in what was learned about a host in an earlier run.
    pub fn recall(&mut self, address: Address, learned: &str) -> anyhow::Result<()> {
        let host: Host = serde_json::from_str(learned).context("failed to read a baseline")?;
        anyhow::ensure!(
            self.hosts.len() < self.config.max_hosts as usize,
            "baseline.max_hosts is {}: too few for the stored baselines, raise it",
            self.config.max_hosts
        );
        self.hosts.insert(address, host);
        Ok(())
    }

    /// How far each host's baseline is at `now_ns`.
    pub fn hosts(&self, now_ns: u64) -> impl Iterator<Item = HostLearning> {
        self.hosts.iter().map(move |(address, host)| HostLearning {
            address: *address,
            learning: host.learning(now_ns, &self.config),
            receivers: host.receivers.len() as u64,
            days: host.days,
        })
    }

    /// Counts at `now_ns`.
    #[must_use]
    pub fn counts(&self, now_ns: u64) -> HistoryCounts {
        let left = |host: &Host| match host.learning(now_ns, &self.config) {
            Learning::DaysLeft(days) => Some(days),
            Learning::Ready | Learning::Unknown => None,
        };
        let learning: Vec<u32> = self.hosts.values().filter_map(left).collect();
        let hosts_learning = learning.len() as u64;
        let hosts_ready = self.hosts.len() as u64 - hosts_learning;
        let days_left = learning.into_iter().min();
        HistoryCounts { hosts_learning, hosts_ready, days_left, ..self.counts }
    }
}

impl Host {
    fn new(first_seen_ns: u64) -> Self {
        Self {
            first_seen_ns,
            last_day: u64::MAX,
            days: 0,
            receivers: HashMap::default(),
            kinds: HashMap::default(),
            firsts: Sizes::default(),
            hour: 0,
            sent_this_hour: 0,
            sent_last_hour: 0,
        }
    }

    /// To the hour.
    fn last_seen_ns(&self) -> u64 {
        self.hour.saturating_add(1).saturating_mul(HOUR_NS)
    }

    fn see(&mut self, sent: u64, kind: u8, now_ns: u64) {
        let day = now_ns / DAY_NS;
        self.days += u32::from(self.last_day != day);
        self.last_day = day;
        (self.sent_this_hour, self.sent_last_hour) = self.hours_at(now_ns);
        self.hour = self.hour.max(now_ns / HOUR_NS);
        self.sent_this_hour += sent;
        self.kinds.entry(kind).or_default().add(sent, now_ns);
    }

    /// What was sent in the hour of `now_ns` and in the one before, as far as it is over.
    fn hours_at(&self, now_ns: u64) -> (u64, u64) {
        match (now_ns / HOUR_NS).checked_sub(self.hour) {
            Some(1) => (0, self.sent_this_hour),
            Some(0) | None => (self.sent_this_hour, self.sent_last_hour),
            Some(_) => (0, 0),
        }
    }

    fn share(&self, sent: u64, now_ns: u64) -> f32 {
        let (this_hour, last_hour) = self.hours_at(now_ns);
        let all = this_hour + last_hour + sent;
        if all == 0 { 0.0 } else { (sent as f64 / all as f64) as f32 }
    }

    fn learning(&self, now_ns: u64, config: &HistoryConfig) -> Learning {
        let watched = now_ns.saturating_sub(self.first_seen_ns) / DAY_NS;
        let watched = u32::try_from(watched).unwrap_or(u32::MAX);
        let active = (f64::from(config.learning_days) * ACTIVE_SHARE).ceil() as u32;
        let left =
            config.learning_days.saturating_sub(watched).max(active.saturating_sub(self.days));
        if left == 0 { Learning::Ready } else { Learning::DaysLeft(left) }
    }

    fn hour_deviation(&self, kind: u8, sent: u64, now_ns: u64) -> f32 {
        match self.kinds.get(&kind) {
            Some(hours) => hours.deviation(sent, now_ns),
            // A host that never did anything of this kind.
            None => Hours::default().deviation(sent, now_ns),
        }
    }

    fn over_first_contact(&self, sent: u64) -> Option<f32> {
        let usual = self.firsts.quantile(FIRSTS_SHARE);
        (self.firsts.count() >= MIN_FIRSTS).then(|| (sent.max(1) as f64 / usual).log2() as f32)
    }

    /// Forgets the receiver that was silent longest where another would be one too many.
    fn make_room(&mut self, limit: usize) -> bool {
        if self.receivers.len() < limit {
            return false;
        }
        let oldest = self.receivers.iter().min_by_key(|(name, entry)| (entry.last_seen_ns, **name));
        let Some(oldest) = oldest.map(|(name, _)| *name) else { return false };
        self.receivers.remove(&oldest).is_some()
    }
}

impl Receiver {
    fn new(first_seen_ns: u64) -> Self {
        Self {
            first_seen_ns,
            last_seen_ns: first_seen_ns,
            last_day: u64::MAX,
            days: 0,
            sessions: 0,
            largest: 0,
            hours: 0,
        }
    }

    fn see(&mut self, sent: u64, from_ns: u64, now_ns: u64) {
        let day = now_ns / DAY_NS;
        self.days += u32::from(self.last_day != day);
        self.last_day = day;
        self.last_seen_ns = self.last_seen_ns.max(now_ns);
        self.sessions = self.sessions.saturating_add(1);
        self.largest = self.largest.max(sent);
        let hours = (now_ns.saturating_sub(from_ns) / HOUR_NS).min(23);
        for hour in 0..=hours {
            self.hours |= 1 << Hours::slot(from_ns + hour * HOUR_NS);
        }
    }

    fn age_days(&self, now_ns: u64) -> f32 {
        (now_ns.saturating_sub(self.first_seen_ns) as f64 / DAY_NS as f64) as f32
    }

    /// An hour before or after is the same baseline.
    fn knows_hour(&self, now_ns: u64) -> bool {
        let near = [now_ns.saturating_sub(HOUR_NS), now_ns, now_ns.saturating_add(HOUR_NS)];
        near.into_iter().any(|at_ns| self.hours & 1 << Hours::slot(at_ns) != 0)
    }
}

fn sender_address(session: &Session, sender: Side) -> Address {
    match sender {
        Side::Client => session.key.client,
        Side::Server => session.key.server,
    }
}

/// A receiver is its name where it has one: a service has many addresses. Hashed, as only equality
/// matters.
fn receiver_of(session: &Session, sender: Side) -> u64 {
    let (name, address) = match sender {
        Side::Client => (&session.name, session.key.server),
        Side::Server => (&session.client_name, session.key.client),
    };
    match name {
        Some(name) => hash(name.bytes()),
        None => hash(address.octets()),
    }
}

/// The kind of session whose upload is learned together.
fn kind(session: &Session) -> u8 {
    match session.key.protocol {
        protocol::TCP | protocol::UDP => service_class(session.key.server_port) as u8,
        protocol::ICMP | protocol::ICMPV6 => 100,
        _ => 101,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::features::example;
    use crate::flow::{SessionKey, Volume};

    const MONDAY: u64 = 4;

    /// A session to 192.0.2.`receiver` on a day at an hour.
    fn session(receiver: u8, sent: u64, day: u64, hour: u64) -> Session {
        let mut session = example::session(SessionKey {
            client: [10, 0, 0, 7].into(),
            server: [192, 0, 2, receiver].into(),
            protocol: protocol::TCP,
            server_port: 22,
        });
        session.up = Volume { seen_payload_bytes: sent, ..Volume::default() };
        session.first_seen_ns = (MONDAY + day) * DAY_NS + hour * HOUR_NS;
        session.last_seen_ns = session.first_seen_ns + 60_000_000_000;
        session
    }

    /// A host that backs up a megabyte to one receiver each night at two.
    fn baseline(days: u64) -> History {
        let mut history = History::new(HistoryConfig::default());
        for day in 0..days {
            history.learn(&session(1, 1_000_000 + day * 1_000, day, 2), Side::Client, false);
        }
        history
    }

    fn context(history: &History, session: &Session) -> Context {
        history.context(session, Side::Client, session.first_seen_ns)
    }

    #[test]
    fn a_baseline_is_learned_day_by_day() {
        let check = |days, today, expected| {
            let found = context(&baseline(days), &session(1, 1, today, 2)).learning;
            assert_eq!(found, expected, "{days} days, on day {today}");
        };
        check(0, 0, Learning::Unknown);
        check(1, 1, Learning::DaysLeft(27));
        check(20, 20, Learning::DaysLeft(8));
        check(28, 28, Learning::Ready);
        // Weeks in which it was off are no weeks of learning.
        check(2, 40, Learning::DaysLeft(15));
    }

    #[test]
    fn what_was_learned_outlives_a_run() {
        let before = baseline(30);
        let mut after = History::new(HistoryConfig::default());
        for address in before.seen_since(0) {
            after.recall(address, &before.learned(address).unwrap()).unwrap();
        }
        for (receiver, sent, hour) in [(1, 1_100_000, 2), (1, 12_000_000, 2), (2, 5_000, 14)] {
            let session = session(receiver, sent, 30, hour);
            assert_eq!(context(&after, &session), context(&before, &session));
        }
        assert_eq!(after.counts(40 * DAY_NS).hosts_ready, 1);
        assert!(before.seen_since(40 * DAY_NS).next().is_none());
        assert!(after.recall([1; 16].into(), "{}").is_err());
    }

    #[test]
    fn habits_are_told_from_what_is_new() {
        let history = baseline(30);
        let usual = context(&history, &session(1, 1_100_000, 30, 2));
        assert!(usual.has_baseline(), "{usual:?}");
        assert!(usual.hour_deviation.unwrap() < 1.0, "{usual:?}");
        let larger = context(&history, &session(1, 12_000_000, 30, 2));
        assert!(!larger.has_baseline() && larger.sent_over_habit.unwrap() > 3.0, "{larger:?}");
        let odd = context(&history, &session(1, 1_000_000, 30, 14));
        assert!(!odd.has_baseline() && odd.hour_known == Some(false), "{odd:?}");
        assert!(odd.hour_deviation.unwrap() > 10.0, "{odd:?}");
        let new = context(&history, &session(2, 1_000_000, 30, 2));
        assert!(new.is_new_receiver() && !usual.is_new_receiver(), "{new:?}");
    }

    #[test]
    fn first_sessions_have_a_usual_size() {
        let mut history = baseline(30);
        let over = |history: &History, sent| {
            context(history, &session(200, sent, 30, 14)).sent_over_first_contact
        };
        assert_eq!(over(&history, 1), None);
        for receiver in 10..110 {
            history.learn(&session(receiver, 4_000, 29, 14), Side::Client, false);
        }
        assert_eq!(over(&history, 4_096), Some(0.0));
        assert_eq!(over(&history, 4_096 << 5), Some(5.0));
    }

    #[test]
    fn a_theft_is_not_learned() {
        let mut history = baseline(30);
        history.learn(&session(2, 50_000_000, 30, 14), Side::Client, true);
        let again = context(&history, &session(2, 50_000_000, 30, 15));
        assert!(again.is_new_receiver(), "{again:?}");
        assert_eq!(history.counts(31 * DAY_NS).withheld, 1);
    }

    #[test]
    fn memory_is_bounded() {
        let config = HistoryConfig { max_hosts: 1, max_receivers: 2, ..HistoryConfig::default() };
        let mut history = History::new(config);
        for receiver in 1..=3 {
            history.learn(&session(receiver, 10, u64::from(receiver), 2), Side::Client, false);
        }
        let mut other = session(1, 10, 4, 2);
        other.key.client = [10, 0, 0, 8].into();
        history.learn(&other, Side::Client, false);
        let counts = history.counts(0);
        assert_eq!((counts.receivers_evicted, counts.refused, counts.hosts_learning), (1, 1, 1));
        assert_eq!(context(&history, &session(1, 10, 5, 2)).receiver_sessions, 0);
        assert_eq!(context(&history, &session(3, 10, 5, 2)).receiver_sessions, 1);
    }
}
