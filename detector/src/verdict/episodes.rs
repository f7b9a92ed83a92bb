//! One story, one alert: what a sender does with one technique, with pauses below an hour, is an
//! *episode*.
//!
//! Sessions to a receiver that has an alert in the episode join that alert. The first few receivers have
//! alerts of their own; all further ones share one, which counts and lists them. A sender has at most
//! [`ALERTS_A_DAY`] alerts of a technique a day (UTC), however many sessions it opens: what comes after
//! that joins the latest shared alert. So do senders beyond [`CROWD`] within an hour, of whom most are
//! forged, or a person could not look at them one by one: they share one alert of the technique.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use crate::flow::Side;
use crate::network::Address;
use crate::timestamp::Timestamp;
use crate::units;

use super::alert::day;
use super::reason::{RULE_PREFIX, Reason};
use super::{Alert, AlertId, Basis, Severity, Technique};

/// An episode ends with a pause of this length.
const PAUSE: Duration = Duration::from_secs(3_600);
/// Receivers of an episode that have an alert each.
const SINGLE_ALERTS: usize = 5;
/// Alerts of one sender and technique in a day.
const ALERTS_A_DAY: u32 = 20;
/// Senders that begin an episode of one technique within an hour, beyond which they share one.
const CROWD: u32 = 200;
/// Episodes that are remembered, some 6 kB each, and 20 kB more where an alert has many receivers. It is
/// more than all crowds of an hour.
const MAX_EPISODES: usize = 4_096;
/// Receivers of one alert that are counted one by one.
const MAX_RECEIVERS: usize = 256;
/// Receivers that the reason names.
const NAMED: usize = 8;
/// An alert is repeated when this many times its bytes were sent, or it has twice the receivers.
const GROWTH: u64 = 4;

/// What became of an alert that the scorer opened or grew.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Joined {
    /// The first of its story.
    Opened,
    Grew,
    /// Its story has been reported as it is.
    Unchanged,
}

/// The episodes of all senders.
#[derive(Debug, Default)]
pub struct Episodes {
    episodes: HashMap<(Address, Technique), Episode>,
    stories: HashMap<AlertId, Story>,
    members: HashMap<(u64, Side), Member>,
    /// Of each technique, the start of an hour and the senders that began an episode in it.
    begun: HashMap<Technique, (Timestamp, u32)>,
}

/// What one sender does with one technique.
#[derive(Debug, Default)]
struct Episode {
    latest: Timestamp,
    /// The day that `opened` counts.
    day: u64,
    opened: u32,
    stories: Vec<(Receiver, AlertId)>,
}

/// Whom an alert is about.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Receiver {
    Address(Address),
    /// A tunnel's domain, whichever resolver carries it.
    Domain(Arc<str>),
    /// Whoever comes after the first few.
    Any,
}

impl Receiver {
    fn of(alert: &Alert) -> Self {
        alert
            .domain
            .as_ref()
            .map_or(Self::Address(alert.dst), |domain| Self::Domain(domain.clone()))
    }
}

/// One alert, with the sums of the sessions that it is about.
#[derive(Debug)]
struct Story {
    /// As it opened, without the evidence of its score.
    opened: Alert,
    /// All that were in it.
    sessions: u64,
    /// They have one sender.
    is_own: bool,
    sums: Carried,
    /// IP bytes that each receiver was sent.
    receivers: HashMap<Box<str>, u64>,
    /// IP bytes to receivers that are not among them.
    further_bytes: u64,
    reported_bytes: u64,
    reported_receivers: usize,
    severity: Severity,
    revision: u32,
    /// Open sessions.
    members: usize,
    /// Its episode is over.
    past: bool,
}

/// A session that is in a story.
#[derive(Clone, Copy, Debug)]
struct Member {
    story: AlertId,
    sender: Address,
    technique: Technique,
    carried: Carried,
}

/// The volumes of an alert, or of a part of it.
#[derive(Clone, Copy, Debug, Default)]
struct Carried {
    bytes_out: u64,
    bytes_in: u64,
    packets_out: u64,
    packets_in: u64,
    bytes_attempted: u64,
    bytes_stopped: u64,
}

impl Carried {
    fn of(alert: &Alert) -> Self {
        let Alert { bytes_out, bytes_in, packets_out, packets_in, .. } = *alert;
        let Alert { bytes_attempted, bytes_stopped, .. } = *alert;
        Self { bytes_out, bytes_in, packets_out, packets_in, bytes_attempted, bytes_stopped }
    }

    /// Each of its volumes with that of another.
    fn with(self, other: Self, each: fn(u64, u64) -> u64) -> Self {
        Self {
            bytes_out: each(self.bytes_out, other.bytes_out),
            bytes_in: each(self.bytes_in, other.bytes_in),
            packets_out: each(self.packets_out, other.packets_out),
            packets_in: each(self.packets_in, other.packets_in),
            bytes_attempted: each(self.bytes_attempted, other.bytes_attempted),
            bytes_stopped: each(self.bytes_stopped, other.bytes_stopped),
        }
    }
}

impl Episodes {
    /// The alert that speaks for a session, which may be that of an earlier session.
    #[must_use]
    pub fn alert_of(&self, session: u64, side: Side, own: AlertId) -> AlertId {
        self.members.get(&(session, side)).map_or(own, |member| member.story)
    }

    /// A session that has an alert is scored again: its episode goes on.
    pub fn goes_on(&mut self, session: u64, side: Side, now: Timestamp) {
        if let Some(member) = self.members.get(&(session, side))
            && let Some(episode) = self.episodes.get_mut(&(member.sender, member.technique))
        {
            episode.latest = episode.latest.max(now);
        }
    }

    /// Takes in an alert that a session opened or grew, and makes of it the alert of its story.
    pub fn join(&mut self, session: u64, side: Side, alert: &mut Alert) -> Joined {
        let key = (session, side);
        if let Some(member) = self.members.get(&key) {
            let (story, before) = (member.story, member.carried);
            return self.add(key, story, before, alert);
        }
        // It could not be remembered when it opened.
        if alert.revision > 1 {
            return Joined::Grew;
        }
        let (sender, technique) = (self.sender_for(alert), alert.technique);
        let episode = self.episodes.entry((sender, technique)).or_default();
        let past = episode.advance(alert.time);
        let (story, opens) = episode.story_for(alert, sender == alert.src);
        for id in past {
            self.end_story(id);
        }
        self.members.insert(key, Member { story, sender, technique, carried: Carried::of(alert) });
        if !opens {
            if let Some(story) = self.stories.get_mut(&story) {
                story.members += 1;
                story.sessions += 1;
            }
            return self.add(key, story, Carried::default(), alert);
        }
        alert.id = story;
        self.stories.insert(story, Story::open(alert, sender == alert.src));
        Joined::Opened
    }

    /// Whether the alert that speaks for a session is about it alone.
    #[must_use]
    pub fn is_alone(&self, session: u64, side: Side) -> bool {
        let member = self.members.get(&(session, side));
        let story = member.and_then(|member| self.stories.get(&member.story));
        story.is_none_or(|story| story.sessions == 1)
    }

    /// The session is over.
    pub fn leave(&mut self, session: u64, side: Side) {
        let Some(member) = self.members.remove(&(session, side)) else { return };
        if let Some(story) = self.stories.get_mut(&member.story) {
            story.members -= 1;
            if story.past && story.members == 0 {
                self.stories.remove(&member.story);
            }
        }
    }

    fn add(
        &mut self,
        key: (u64, Side),
        story: AlertId,
        before: Carried,
        alert: &mut Alert,
    ) -> Joined {
        let carried = Carried::of(alert);
        if let Some(member) = self.members.get_mut(&key) {
            member.carried = carried;
        }
        match self.stories.get_mut(&story) {
            Some(story) => story.add(carried.with(before, u64::saturating_sub), alert),
            None => Joined::Unchanged,
        }
    }

    fn end_story(&mut self, id: AlertId) {
        if let Some(story) = self.stories.get_mut(&id) {
            story.past = true;
            if story.members == 0 {
                self.stories.remove(&id);
            }
        }
    }

    /// The sender whose episode an alert belongs to: its own, or that of a crowd, which has no address.
    fn sender_for(&mut self, alert: &Alert) -> Address {
        if self.episodes.contains_key(&(alert.src, alert.technique)) {
            return alert.src;
        }
        let (start, senders) = self.begun.entry(alert.technique).or_insert((alert.time, 0));
        if alert.time.since(*start) > PAUSE {
            (*start, *senders) = (alert.time, 0);
        }
        *senders = senders.saturating_add(1);
        if *senders > CROWD || !self.has_room(alert.time) { Address::default() } else { alert.src }
    }

    /// Makes room where it can, by forgetting the episodes that are over.
    fn has_room(&mut self, now: Timestamp) -> bool {
        if self.episodes.len() < MAX_EPISODES {
            return true;
        }
        let mut past = Vec::new();
        self.episodes.retain(|_, episode| {
            let keep = now.since(episode.latest) <= PAUSE;
            if !keep {
                past.extend(episode.stories.drain(..).map(|(_, id)| id));
            }
            keep
        });
        for id in past {
            self.end_story(id);
        }
        self.episodes.len() < MAX_EPISODES
    }
}

impl Episode {
    /// To the time of another alert. Gives the stories that are over.
    fn advance(&mut self, now: Timestamp) -> Vec<AlertId> {
        if self.day != day(now.ns()) {
            (self.day, self.opened) = (day(now.ns()), 0);
        }
        let pause = now.since(self.latest);
        self.latest = self.latest.max(now);
        if pause <= PAUSE || self.opened >= ALERTS_A_DAY {
            return Vec::new();
        }
        self.stories.drain(..).map(|(_, id)| id).collect()
    }

    /// The story of a session's first alert, and whether the session opens it. `is_own`: the episode is its
    /// sender's, and no crowd's.
    fn story_for(&mut self, alert: &Alert, is_own: bool) -> (AlertId, bool) {
        let receiver = Receiver::of(alert);
        let story_of = |wanted: &Receiver| self.stories.iter().find(|(known, _)| known == wanted);
        if let Some((_, id)) = story_of(&receiver).or_else(|| story_of(&Receiver::Any)) {
            return (*id, false);
        }
        let alone = self.stories.len() < SINGLE_ALERTS && self.opened + 1 < ALERTS_A_DAY;
        let (receiver, id) = match alone && is_own {
            true => (receiver, alert.id),
            false => (Receiver::Any, AlertId::of_episode(alert.src, alert.technique, alert.time)),
        };
        self.opened += 1;
        self.stories.push((receiver, id));
        (id, true)
    }
}

impl Story {
    fn open(alert: &mut Alert, is_own: bool) -> Self {
        let sums = Carried::of(alert);
        let opened = Alert { basis: Basis::default(), reasons: Vec::new(), ..alert.clone() };
        Self {
            opened,
            sessions: 1,
            sums,
            receivers: HashMap::from([(receiver_text(alert, is_own), sums.bytes_out)]),
            is_own,
            further_bytes: 0,
            reported_bytes: sums.bytes_out,
            reported_receivers: 1,
            severity: alert.severity,
            revision: 1,
            members: 1,
            past: false,
        }
    }

    /// What a session carried since it was added last, and the alert as the session has it. That
    /// becomes the alert of the whole.
    fn add(&mut self, more: Carried, alert: &mut Alert) -> Joined {
        self.sums = self.sums.with(more, u64::saturating_add);
        let receiver = receiver_text(alert, self.is_own);
        if self.receivers.len() < MAX_RECEIVERS || self.receivers.contains_key(&receiver) {
            *self.receivers.entry(receiver).or_default() += more.bytes_out;
        } else {
            self.further_bytes += more.bytes_out;
        }
        let severity = Severity::of(self.sums.bytes_out, alert.score, alert.threshold);
        let severity = severity.max(alert.severity).max(self.severity);
        let grew = severity > self.severity
            || self.sums.bytes_out >= self.reported_bytes.saturating_mul(GROWTH).max(1)
            || self.receivers.len() >= 2 * self.reported_receivers
            // Of one session the scorer has decided it.
            || self.sessions == 1;
        if !grew {
            return Joined::Unchanged;
        }
        self.severity = severity;
        self.reported_bytes = self.sums.bytes_out;
        self.reported_receivers = self.receivers.len();
        self.revision += 1;
        self.speak(alert);
        Joined::Grew
    }

    /// The ends and the beginning are those of the first session, the volumes the sums, and the score
    /// with its evidence that of the latest.
    fn speak(&self, alert: &mut Alert) {
        let Carried { bytes_out, bytes_in, packets_out, packets_in, .. } = self.sums;
        let Carried { bytes_attempted, bytes_stopped, .. } = self.sums;
        if self.sessions == 1 {
            (alert.id, alert.revision) = (self.opened.id, self.revision);
            return;
        }
        let latest = std::mem::take(alert);
        *alert = Alert {
            time: latest.time,
            severity: self.severity,
            score: latest.score,
            raw_score: latest.raw_score,
            threshold: latest.threshold,
            model: latest.model,
            reasons: latest.reasons,
            basis: latest.basis,
            ja4: latest.ja4.or_else(|| self.opened.ja4.clone()),
            bytes_out,
            bytes_in,
            packets_out,
            packets_in,
            bytes_attempted,
            bytes_stopped,
            revision: self.revision,
            receivers: u32::try_from(self.receivers.len()).unwrap_or(u32::MAX),
            ..self.opened.clone()
        };
        alert.reasons.insert(0, self.reason());
    }

    /// Who received how much, the most first.
    fn reason(&self) -> Reason {
        let mut receivers: Vec<(&str, u64)> =
            self.receivers.iter().map(|(name, bytes)| (&**name, *bytes)).collect();
        receivers.sort_by(|a, b| b.1.cmp(&a.1).then_with(|| a.0.cmp(b.0)));
        let named = receivers.iter().take(NAMED);
        let mut parts: Vec<String> =
            named.map(|(name, bytes)| format!("{name} {}", units::bytes(*bytes))).collect();
        let others = receivers.iter().skip(NAMED);
        let other_bytes = self.further_bytes + others.clone().map(|(_, bytes)| bytes).sum::<u64>();
        if other_bytes != 0 || others.len() != 0 {
            let more = if self.further_bytes == 0 { "" } else { "more than " };
            let others = units::counted(others.len() as u64, "other");
            parts.push(format!("{more}{others} {}", units::bytes(other_bytes)));
        }
        let sessions = if self.is_own { "sessions" } else { "sessions of many senders" };
        Reason {
            feature: format!("{RULE_PREFIX}several_sessions").into(),
            value: None,
            contribution: 0.0,
            text: format!("{} {sessions} in one alert: {}", self.sessions, parts.join(", ")),
        }
    }
}

/// `drop.example:443`; of a crowd, with the sender in front.
fn receiver_text(alert: &Alert, is_own: bool) -> Box<str> {
    let port = alert.dst_port.map_or(String::new(), |port| format!(":{port}"));
    let receiver = match alert.domain.as_ref().or(alert.dst_name.as_ref()) {
        Some(name) => format!("{name}{port}"),
        None => alert.dst.with_port(alert.dst_port),
    };
    if is_own { receiver.into() } else { format!("{} to {receiver}", alert.src).into() }
}

#[cfg(test)]
mod tests {
    use super::super::alert::example;
    use super::*;

    const START: Timestamp = Timestamp::from_ns(1_700_000_000_000_000_000);

    /// An alert of a session to the `receiver`-th address that has sent so much.
    fn alert(session: u64, receiver: u8, bytes: u64, seconds: u64) -> Alert {
        Alert {
            id: AlertId::live(session),
            time: START + Duration::from_secs(seconds),
            src: [10, 0, 0, 7].into(),
            dst: [192, 0, 2, receiver].into(),
            dst_name: None,
            severity: Severity::of(bytes, 0.875, 0.5),
            bytes_out: bytes,
            bytes_attempted: bytes,
            revision: 1,
            ..example::alert()
        }
    }

    /// What is reported when a session's alert opens: how it joined, its number where it is a session's
    /// own, revision, bytes and receivers.
    fn open(
        episodes: &mut Episodes,
        (session, receiver, bytes, seconds): (u64, u8, u64, u64),
    ) -> (Joined, Option<u64>, u32, u64, u32) {
        let mut alert = alert(session, receiver, bytes, seconds);
        let joined = episodes.join(session, Side::Client, &mut alert);
        let own = Some(alert.id.number).filter(|number| *number < 1_000);
        (joined, own, alert.revision, alert.bytes_out, alert.receivers)
    }

    use Joined::{Grew, Opened, Unchanged};

    #[test]
    fn sessions_to_one_receiver_share_an_alert() {
        let mut episodes = Episodes::default();
        assert_eq!(open(&mut episodes, (1, 1, 1_000, 0)), (Opened, Some(1), 1, 1_000, 1));
        let (joined, ..) = open(&mut episodes, (2, 1, 1_000, 60));
        assert_eq!(joined, Unchanged, "it has not grown by as much");
        let (joined, own, revision, bytes, receivers) = open(&mut episodes, (3, 1, 2_000, 120));
        assert_eq!((joined, own, revision, bytes, receivers), (Grew, Some(1), 2, 4_000, 1));
        assert_eq!(episodes.alert_of(3, Side::Client, AlertId::live(3)), AlertId::live(1));
        assert!(!episodes.is_alone(1, Side::Client));
        // The first grows: the sum has what it had before but once.
        let mut grown = Alert { revision: 2, ..alert(1, 1, 14_000, 130) };
        assert_eq!(episodes.join(1, Side::Client, &mut grown), Grew);
        assert_eq!((grown.bytes_out, grown.revision), (17_000, 3));
        assert_eq!(grown.reasons[0].text, "3 sessions in one alert: 192.0.2.1:443 17 kB");
    }

    #[test]
    fn the_sixth_receiver_begins_a_list() {
        let mut episodes = Episodes::default();
        for receiver in 1..=5 {
            let opened = open(&mut episodes, (receiver.into(), receiver, 1_000, 0));
            assert_eq!(opened, (Opened, Some(receiver.into()), 1, 1_000, 1));
        }
        assert_eq!(open(&mut episodes, (6, 6, 1_000, 1)), (Opened, None, 1, 1_000, 1));
        assert_eq!(open(&mut episodes, (7, 7, 500, 2)), (Grew, None, 2, 1_500, 2));
        assert_eq!(open(&mut episodes, (8, 8, 500, 3)).0, Unchanged);
        assert_eq!(open(&mut episodes, (9, 9, 500, 4)), (Grew, None, 3, 2_500, 4));
        let mut last = alert(10, 10, 60_000, 5);
        assert_eq!(episodes.join(10, Side::Client, &mut last), Grew);
        assert_eq!(last.dst, Address::from([192, 0, 2, 6]), "the first of them");
        assert!(last.headline().contains("to 192.0.2.6 and 4 others"), "{}", last.headline());
        assert_eq!(
            last.reasons[0].text,
            "5 sessions in one alert: 192.0.2.10:443 60 kB, 192.0.2.6:443 1.0 kB, \
             192.0.2.7:443 500 B, 192.0.2.8:443 500 B, 192.0.2.9:443 500 B"
        );
        // Another technique, and another sender, have episodes of their own.
        let mut other = Alert { technique: Technique::DnsTunnel, ..alert(20, 20, 1_000, 6) };
        assert_eq!(episodes.join(20, Side::Client, &mut other), Opened);
        assert_eq!(other.id, AlertId::live(20));
    }

    #[test]
    fn a_pause_begins_another_episode_and_a_day_has_twenty_alerts() {
        let mut episodes = Episodes::default();
        let mut opened = 0;
        let mut number = 0;
        // Eight episodes of ten receivers each, 90 minutes apart, in one day.
        let midnight = 86_400 - START.ns() / 1_000_000_000 % 86_400;
        for episode in 0..8 {
            for receiver in 1..=10 {
                number += 1;
                let at = midnight + episode * 5_400 + u64::from(receiver);
                opened += u32::from(open(&mut episodes, (number, receiver, 1_000, at)).0 == Opened);
                episodes.leave(number, Side::Client);
            }
        }
        assert_eq!(opened, ALERTS_A_DAY);
        // Each of what came later is in an alert, which grows.
        let (_, own, _, bytes, _) = open(&mut episodes, (500, 9, 1_000_000, midnight + 50_000));
        assert!(own.is_none() && bytes > 1_000_000, "{bytes}");
        let next = open(&mut episodes, (501, 1, 1_000, midnight + 86_400 + 7_200));
        assert_eq!(next, (Opened, Some(501), 1, 1_000, 1), "another day");
        assert_eq!(episodes.stories.len(), 1 + episodes.members.len().saturating_sub(1));
    }

    #[test]
    fn many_receivers_and_senders_have_bounds() {
        let mut episodes = Episodes::default();
        let mut last = Alert::default();
        for number in 0..1_000_u32 {
            let [.., high, low] = number.to_be_bytes();
            last = Alert { dst: [192, 0, high, low].into(), ..alert(number.into(), 0, 100, 0) };
            last.dst_port = None;
            episodes.join(number.into(), Side::Client, &mut last);
        }
        assert_eq!(last.receivers as usize, 1, "not reported: it is as the scorer made it");
        let mut grown = Alert { revision: 2, bytes_out: 1_000_000, ..last.clone() };
        assert_eq!(episodes.join(999, Side::Client, &mut grown), Grew);
        assert_eq!(grown.receivers as usize, MAX_RECEIVERS);
        assert_eq!(grown.bytes_out, 1_000_000 + 994 * 100);
        assert!(grown.reasons[0].text.ends_with("more than 248 others 1.1 MB"), "{grown:?}");
        let (mut opened, mut last) = (0, Alert::default());
        for number in 0..1_000_u32 {
            let src = Address::from(((0xfd00_u128 << 112) + u128::from(number)).to_be_bytes());
            let session = 2_000 + u64::from(number);
            last = Alert { src, ..alert(session, 1, 1_000, 0) };
            let joined = episodes.join(session, Side::Client, &mut last);
            opened += u32::from(joined == Opened);
        }
        let mut grown = Alert { revision: 2, bytes_out: 10_000_000, ..last };
        assert_eq!(episodes.join(2_999, Side::Client, &mut grown), Grew);
        let text = &grown.reasons[0].text;
        assert!(text.starts_with("801 sessions of many senders in one alert: fd00::"), "{text}");
        assert_eq!(opened, CROWD, "200 less the one that had begun, and one for all others");
        assert_eq!(episodes.episodes.len(), CROWD as usize + 1);
    }
}
