//! The alerts that were reported: what becomes of their traffic later is reported with them. That is a
//! block, whoever placed it, and its end.
//!
//! It decides nothing and asks nobody: it is handed what drops an alert's traffic now. An alert is
//! remembered for a day. Where there are too many, the oldest make room, counted.

use std::collections::{HashMap, VecDeque};
use std::sync::Arc;
use std::time::Duration;

use crate::flow::Volume;
use crate::network::Address;
use crate::response::policy_state::FlaggedFlow;
use crate::response::{Change, ChangeKind, EntryNumber};
use crate::timestamp::Timestamp;
use crate::verdict::{ActionTaken, Alert, AlertId, Technique};

/// Alerts that are remembered: some 5 kB each with their vector and payload samples.
const MAX_ALERTS: usize = 4_096;
const REMEMBERED: Duration = Duration::from_secs(86_400);

/// What drops an alert's traffic.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Cause {
    Block(EntryNumber),
    Budget,
}

/// What drops an alert's traffic, and in words.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Stop {
    pub(super) cause: Cause,
    pub(super) note: String,
}

/// What a sender has sent and received by now; none where the alert says so already.
pub(super) type CarriedNow = Option<(Volume, Volume)>;

#[derive(Debug)]
struct Reported {
    alert: Arc<Alert>,
    flagged: FlaggedFlow,
    stopped_by: Option<Cause>,
    /// Revisions that were added to those of the scorer.
    amendments: u32,
    since: Timestamp,
}

/// The alerts by id.
#[derive(Debug, Default)]
pub(super) struct ReportedAlerts {
    alerts: HashMap<AlertId, Reported>,
    /// In the order in which they were reported first.
    order: VecDeque<AlertId>,
    forgotten: u64,
}

impl ReportedAlerts {
    /// Alerts that had to make room: a later block is not added to them.
    pub(super) fn forgotten(&self) -> u64 {
        self.forgotten
    }

    /// Completes an alert that opened or grew with what is known of its traffic's blocks.
    pub(super) fn report(
        &mut self,
        mut alert: Box<Alert>,
        flagged: FlaggedFlow,
        stop: Option<Stop>,
        carried: CarriedNow,
        now: Timestamp,
    ) -> Arc<Alert> {
        let earlier = self.alerts.remove(&alert.id);
        let (mut amendments, mut since, mut was_stopped) = (0, now, false);
        if let Some(earlier) = &earlier {
            (amendments, since) = (earlier.amendments, earlier.since);
            was_stopped = earlier.stopped_by.is_some();
            alert.revision += amendments;
            keep_block(&mut alert, &earlier.alert);
        } else {
            self.order.push_back(alert.id);
        }
        match &stop {
            Some(stop) => note_stop(&mut alert, stop, carried, now),
            None if was_stopped => alert.block_ended = Some(now),
            None => {}
        }
        let (id, alert) = (alert.id, Arc::from(alert));
        let stopped_by = stop.map(|stop| stop.cause);
        let reported =
            Reported { alert: Arc::clone(&alert), flagged, stopped_by, amendments, since };
        self.alerts.insert(id, reported);
        self.make_room();
        alert
    }

    /// The session of an alert is over, and this is all that it carried.
    pub(super) fn ended(&mut self, id: AlertId, sent: &Volume, received: &Volume) {
        if let Some(reported) = self.alerts.get_mut(&id)
            && reported.alert.domain.is_none()
        {
            set_carried(Arc::make_mut(&mut reported.alert), sent, received);
        }
    }

    /// The alerts whose traffic these changes may have blocked or let pass again.
    pub(super) fn concerned(&self, changes: &[Change]) -> Vec<AlertId> {
        let concerns = |reported: &Reported| {
            changes.iter().any(|change| match change.kind {
                ChangeKind::Placed | ChangeKind::Adopted => {
                    change.target.is_some_and(|target| reported.flagged.is_covered(&target))
                }
                ChangeKind::Released
                | ChangeKind::Expired
                | ChangeKind::Replaced
                | ChangeKind::Flushed => reported.stopped_by == change.number.map(Cause::Block),
                ChangeKind::Suspended
                | ChangeKind::Allowed
                | ChangeKind::Disallowed
                | ChangeKind::Mode
                | ChangeKind::Confirmed
                | ChangeKind::Reverted => true,
                _ => false,
            })
        };
        let concerned = self.alerts.iter().filter(|(_, reported)| concerns(reported));
        concerned.map(|(id, _)| *id).collect()
    }

    /// The alerts about what this home host sends to this destination.
    pub(super) fn between(&self, home: Address, destination: Address) -> Vec<AlertId> {
        self.find(|reported| reported.flagged.src == home && reported.flagged.dst == destination)
    }

    /// The alerts whose traffic a budget holds.
    pub(super) fn held(&self) -> Vec<AlertId> {
        self.find(|reported| reported.stopped_by == Some(Cause::Budget))
    }

    /// The alerts whose traffic is dropped.
    pub(super) fn stopped(&self) -> Vec<AlertId> {
        self.find(|reported| reported.stopped_by.is_some())
    }

    fn find(&self, meant: impl Fn(&Reported) -> bool) -> Vec<AlertId> {
        let found = self.alerts.iter().filter(|(_, reported)| meant(reported));
        found.map(|(id, _)| *id).collect()
    }

    /// An alert as it was reported last, and its flow.
    pub(super) fn get(&self, id: AlertId) -> Option<(Arc<Alert>, FlaggedFlow)> {
        let reported = self.alerts.get(&id)?;
        Some((Arc::clone(&reported.alert), reported.flagged))
    }

    /// Whether this is news: something else drops the alert's traffic than when it was reported last.
    pub(super) fn is_news(&self, id: AlertId, stop: Option<&Stop>) -> bool {
        let cause = stop.map(|stop| stop.cause);
        self.alerts.get(&id).is_some_and(|reported| reported.stopped_by != cause)
    }

    /// The next revision of an alert whose traffic is now dropped by `stop`, or by nothing any more.
    pub(super) fn amend(
        &mut self,
        id: AlertId,
        stop: Option<Stop>,
        carried: CarriedNow,
        now: Timestamp,
    ) -> Option<Arc<Alert>> {
        let reported = self.alerts.get_mut(&id)?;
        let alert = Arc::make_mut(&mut reported.alert);
        reported.amendments += 1;
        alert.revision += 1;
        match &stop {
            Some(stop) => note_stop(alert, stop, carried, now),
            None => {
                if let Some((sent, received)) = &carried {
                    set_carried(alert, sent, received);
                }
                alert.block_ended = Some(now);
            }
        }
        reported.stopped_by = stop.map(|stop| stop.cause);
        Some(Arc::clone(&reported.alert))
    }

    /// Forgets those that were reported long ago.
    pub(super) fn tick(&mut self, now: Timestamp) {
        while let Some(oldest) = self.order.front() {
            let is_old = |reported: &Reported| {
                now.since(reported.since) >= REMEMBERED && reported.stopped_by.is_none()
            };
            if !self.alerts.get(oldest).is_none_or(is_old) {
                return;
            }
            self.alerts.remove(oldest);
            self.order.pop_front();
        }
    }

    fn make_room(&mut self) {
        while self.alerts.len() > MAX_ALERTS
            && let Some(oldest) = self.order.pop_front()
        {
            self.forgotten += u64::from(self.alerts.remove(&oldest).is_some());
        }
    }
}

/// What was said of a block stays said.
fn keep_block(alert: &mut Alert, earlier: &Alert) {
    alert.bytes_leaked_before_block = earlier.bytes_leaked_before_block;
    alert.blocked_at = earlier.blocked_at;
    alert.block_ended = earlier.block_ended;
    // The ledger counts what left, and nothing else.
    if alert.technique == Technique::UnexplainedUpload {
        alert.bytes_stopped = earlier.bytes_stopped;
        alert.bytes_attempted = alert.bytes_out + alert.bytes_stopped;
    }
    if alert.action == ActionTaken::None {
        alert.action = earlier.action;
    }
    if alert.action == earlier.action && alert.action_note.is_none() {
        alert.action_note.clone_from(&earlier.action_note);
    }
}

/// The first block fixes what had left before it, for good.
fn note_stop(alert: &mut Alert, stop: &Stop, carried: CarriedNow, now: Timestamp) {
    if let Some((sent, received)) = &carried {
        set_carried(alert, sent, received);
    }
    alert.action = ActionTaken::Blocked;
    alert.action_note = Some(stop.note.clone());
    alert.block_ended = None;
    alert.blocked_at.get_or_insert(now);
    alert.bytes_leaked_before_block.get_or_insert(alert.bytes_out);
}

fn set_carried(alert: &mut Alert, sent: &Volume, received: &Volume) {
    alert.bytes_out = sent.ip_bytes();
    alert.bytes_in = received.ip_bytes();
    alert.packets_out = sent.packets();
    alert.packets_in = received.packets();
    alert.bytes_attempted = sent.seen_bytes;
    alert.bytes_stopped = sent.dropped_bytes;
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::response::Target;
    use crate::verdict::alert::example;

    fn at(seconds: u64) -> Timestamp {
        Timestamp::EPOCH + Duration::from_secs(seconds)
    }

    fn address(text: &str) -> Address {
        text.parse::<std::net::IpAddr>().unwrap().into()
    }

    fn flagged() -> FlaggedFlow {
        FlaggedFlow {
            src: address("10.0.0.7"),
            dst: address("192.0.2.1"),
            dst_port: Some(443),
            flow: detector_common::FlowKey::default(),
        }
    }

    fn opened() -> Box<Alert> {
        let alert = Alert { revision: 1, bytes_out: 16_400, ..example::alert() };
        Box::new(Alert { bytes_attempted: 16_400, ..alert })
    }

    fn stop(number: EntryNumber) -> Option<Stop> {
        Some(Stop { cause: Cause::Block(number), note: format!("block {number}") })
    }

    fn carried(left: u64, dropped: u64) -> CarriedNow {
        let sent = Volume {
            seen_packets: 2,
            seen_bytes: left + dropped,
            dropped_packets: 1,
            dropped_bytes: dropped,
            ..Volume::default()
        };
        Some((sent, Volume::default()))
    }

    /// Revision, what left, what was stopped, what left before the block, action, whether it ended.
    fn told(alert: &Alert) -> (u32, u64, u64, Option<u64>, &'static str, bool) {
        assert_eq!(alert.bytes_attempted, alert.bytes_out + alert.bytes_stopped);
        let before = alert.bytes_leaked_before_block;
        let ended = alert.block_ended.is_some();
        (alert.revision, alert.bytes_out, alert.bytes_stopped, before, alert.action.name(), ended)
    }

    #[test]
    fn a_later_block_is_added_and_stays_what_it_was() {
        let mut reported = ReportedAlerts::default();
        let id = opened().id;
        let alert = reported.report(opened(), flagged(), None, None, at(0));
        assert_eq!(told(&alert), (1, 16_400, 0, None, "none", false));
        assert!(!reported.is_news(id, None) && reported.is_news(id, stop(1).as_ref()));

        let alert = reported.amend(id, stop(1), carried(20_000, 500), at(1)).unwrap();
        assert_eq!(told(&alert), (2, 20_000, 500, Some(20_000), "blocked", false));
        assert_eq!(alert.action_note.as_deref(), Some("block 1"));
        assert!(!reported.is_news(id, stop(1).as_ref()) && reported.is_news(id, None));

        let alert = reported.amend(id, None, carried(20_000, 900_000), at(9)).unwrap();
        assert_eq!(told(&alert), (3, 20_000, 900_000, Some(20_000), "blocked", true));

        // The scorer's second revision knows nothing of that.
        let grown = Box::new(Alert { revision: 2, bytes_out: 80_000, ..*opened() });
        let grown = Box::new(Alert { bytes_attempted: 980_000, bytes_stopped: 900_000, ..*grown });
        let alert = reported.report(grown, flagged(), None, None, at(10));
        assert_eq!(told(&alert), (4, 80_000, 900_000, Some(20_000), "blocked", true));

        let alert = reported.amend(id, stop(2), carried(90_000, 900_000), at(11)).unwrap();
        assert_eq!(told(&alert), (5, 90_000, 900_000, Some(20_000), "blocked", false));
        assert_eq!(alert.blocked_at, Some(at(1)));
    }

    #[test]
    fn a_block_at_once_counts_what_left_until_then() {
        let mut reported = ReportedAlerts::default();
        let alert = reported.report(opened(), flagged(), stop(1), carried(17_000, 3_000), at(5));
        assert_eq!(told(&alert), (1, 17_000, 3_000, Some(17_000), "blocked", false));
        // A domain's messages were all read: the alert has the numbers.
        let alert = reported.report(opened(), flagged(), stop(1), None, at(5));
        assert_eq!(told(&alert), (1, 16_400, 0, Some(17_000), "blocked", false));
    }

    #[test]
    fn changes_concern_those_that_they_cover() {
        let mut reported = ReportedAlerts::default();
        let id = opened().id;
        let change = |kind, target: Option<&str>, number| Change {
            target: target.map(|target| target.parse().unwrap()),
            number,
            ..Change::new(kind, "agent")
        };
        let check = |reported: &ReportedAlerts, change: Change, expected: bool| {
            let concerned = reported.concerned(std::slice::from_ref(&change));
            assert_eq!(!concerned.is_empty(), expected, "{change:?}");
        };
        reported.report(opened(), flagged(), None, None, at(0));
        for (target, expected) in [
            ("pair 10.0.0.7 192.0.2.1", true),
            ("pair 10.0.0.8 192.0.2.1", false),
            ("destination 192.0.2.0/24", true),
            ("destination 198.51.100.0/24", false),
            ("service 192.0.2.1:443", true),
            ("service 192.0.2.1:444", false),
            ("host 10.0.0.7", true),
            ("host 10.0.0.8", false),
        ] {
            check(&reported, change(ChangeKind::Placed, Some(target), Some(1)), expected);
        }
        check(&reported, change(ChangeKind::Mode, None, None), true);
        check(&reported, change(ChangeKind::Extended, Some("host 10.0.0.7"), Some(1)), false);
        check(&reported, change(ChangeKind::Expired, Some("host 10.0.0.7"), Some(3)), false);
        reported.amend(id, stop(3), None, at(0));
        check(&reported, change(ChangeKind::Expired, Some("host 10.0.0.7"), Some(3)), true);
        check(&reported, change(ChangeKind::Expired, Some("host 10.0.0.7"), Some(4)), false);
        let target: Target = "host 10.0.0.7".parse().unwrap();
        assert!(flagged().is_covered(&target));
    }

    #[test]
    fn the_oldest_make_room_and_are_counted() {
        let mut reported = ReportedAlerts::default();
        for number in 0..MAX_ALERTS as u64 + 10 {
            let alert = Box::new(Alert { id: AlertId::live(number), ..Alert::default() });
            reported.report(alert, flagged(), None, None, at(0));
        }
        assert_eq!((reported.alerts.len(), reported.forgotten()), (MAX_ALERTS, 10));
        assert!(reported.get(AlertId::live(9)).is_none());
        reported.tick(at(86_400));
        assert_eq!((reported.alerts.len(), reported.order.len()), (0, 0));
    }
}
