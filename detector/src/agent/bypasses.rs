//! What went past the monitor, or was taken from it, as alerts: one a day for each subject, which grows at most once a minute,
//! with a record in the audit log each time.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use detector_common::abi::Bypass;

use super::Agent;
use crate::flow::TimeBase;
use crate::response::policy_state::AGENT;
use crate::response::{Change, ChangeKind};
use crate::source::kernel::{Displaced, Misplaced, PastPrograms, Restored};
use crate::text::clean;
use crate::timestamp::Timestamp;
use crate::verdict::Alert;
use crate::verdict::monitor::{self, MonitorEvent};

/// Subjects a day: who asks under a new name each time gets no alert each time.
const MAX_SUBJECTS: usize = 64;
/// The subject of all others.
const OTHERS: &str = "others";
const GROWS_AFTER: Duration = Duration::from_secs(60);
/// Records read at a time: who asks without end must not keep the loop.
const READ_AT_ONCE: usize = 1_024;
const DAY_NS: u64 = 24 * 3_600_000_000_000;

/// What is said of the monitor today.
#[derive(Debug)]
pub(super) struct Bypasses {
    base: TimeBase,
    sensor: Option<Arc<str>>,
    open: BTreeMap<(u64, String), Open>,
    alerts: u64,
    sockets: u64,
    out_of_place: u64,
}

/// What was counted of it, since the start.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct BypassCounts {
    /// Alerts opened.
    pub(super) alerts: u64,
    /// Sockets that went past the programs: seen, and seen by the kernel but not reported.
    sockets: u64,
    sockets_not_reported: u64,
    /// How often a program was not where it was attached.
    out_of_place: u64,
}

impl BypassCounts {
    /// By name, without the alerts.
    pub(super) fn counters(&self) -> [(&'static str, u64); 3] {
        [
            ("sockets_past_programs", self.sockets),
            ("sockets_past_programs_not_reported", self.sockets_not_reported),
            ("programs_out_of_place", self.out_of_place),
        ]
    }
}

#[derive(Debug)]
struct Open {
    event: MonitorEvent,
    revision: u32,
    reported: Timestamp,
    /// How many of the events the last report said.
    said: u64,
}

/// One thing that happened to the monitor.
pub(super) struct Happened {
    pub(super) subject: String,
    pub(super) text: String,
    pub(super) consequence: &'static str,
    pub(super) at: Timestamp,
}

impl Bypasses {
    pub(super) fn new(base: TimeBase, sensor: Option<Arc<str>>) -> Self {
        Self { base, sensor, open: BTreeMap::new(), alerts: 0, sockets: 0, out_of_place: 0 }
    }

    /// Notes it. The alert, where one opens or may grow already.
    fn note(&mut self, happened: Happened) -> Option<Alert> {
        let Happened { subject, text, consequence, at } = happened;
        let day = at.ns() / DAY_NS;
        let today = self.open.range((day, String::new())..).count();
        let known = self.open.contains_key(&(day, subject.clone()));
        let subject = if known || today < MAX_SUBJECTS { subject } else { OTHERS.to_owned() };
        let key = (day, subject);
        if let Some(open) = self.open.get_mut(&key) {
            open.event.count += 1;
            (open.event.text, open.event.latest) = (text, at);
            let due = at.since(open.reported) >= GROWS_AFTER;
            return due.then(|| grown(open, at, self.sensor.as_ref()));
        }
        let subject = key.1.clone();
        let event = MonitorEvent { subject, text, consequence, first: at, latest: at, count: 1 };
        let open = Open { event, revision: 0, reported: at, said: 0 };
        let open = self.open.entry(key).or_insert(open);
        self.alerts += 1;
        Some(grown(open, at, self.sensor.as_ref()))
    }

    /// The alerts that have grown and may say so now. Forgets those of earlier days.
    fn due(&mut self, now: Timestamp) -> Vec<Alert> {
        let today = now.ns() / DAY_NS;
        let sensor = self.sensor.as_ref();
        let due = self.open.iter_mut().filter(|((day, _), open)| {
            let may = *day < today || now.since(open.reported) >= GROWS_AFTER;
            may && open.said < open.event.count
        });
        let alerts = due.map(|(_, open)| grown(open, now, sensor)).collect();
        self.open.retain(|(day, _), _| *day >= today);
        alerts
    }
}

/// The alert's next revision.
fn grown(open: &mut Open, now: Timestamp, sensor: Option<&Arc<str>>) -> Alert {
    open.revision += 1;
    (open.reported, open.said) = (now, open.event.count);
    Alert { sensor: sensor.cloned(), ..monitor::alert(&open.event, open.revision) }
}

/// A socket in words.
fn socket(past: &PastPrograms, base: &TimeBase) -> Happened {
    let PastPrograms { bypass, uid, process, now } = past;
    let (name, who) = match process {
        Some(process) => {
            let name = clean(&process.name);
            let who = format!("{name} (pid {}, uid {uid})", process.pid);
            (name, who)
        }
        None => (String::new(), format!("a process of uid {uid} (this kernel does not say which)")),
    };
    let (way, did, consequence) = match bypass {
        Bypass::NoQueue => (
            "packet socket",
            "has a packet socket send past tc (PACKET_QDISC_BYPASS)",
            "what the socket sends is in no flow and in no counter, and no block stops it: find out \
             what the process does",
        ),
        Bypass::XdpRing => (
            "AF_XDP",
            "opened a ring of AF_XDP, which sends past tc and may take packets from XDP",
            "what the ring sends is in no flow and in no counter, and no block stops it: find out \
             what the process does",
        ),
    };
    Happened {
        subject: format!("{way} {uid} {name}"),
        text: format!("{who} {did}"),
        consequence,
        at: base.time(*now),
    }
}

/// A program that was not where it was attached, in words.
fn place(misplaced: &Misplaced, at: Timestamp) -> Happened {
    let Misplaced { interface, attachment, egress, displaced, restored } = misplaced;
    let packets = if *egress { "sent" } else { "received" };
    let program = format!("the {attachment} program on {interface} for {packets} packets");
    let what = match displaced {
        None => program,
        Some(Displaced::TakenOff) => format!("{program} was taken off"),
        Some(Displaced::Replaced) => format!("{program} was replaced"),
        Some(Displaced::Behind) => format!("another program was put before {program}"),
        Some(Displaced::Unpinned) => format!("the pin of {program} was removed"),
    };
    let text = match restored {
        Restored::Back if displaced.is_none() => format!("{what} is back"),
        Restored::Back => format!("{what}; it is back"),
        Restored::Stays => format!("{what}, and stays there"),
        Restored::Failed(error) => {
            format!("{what}; putting it back failed and is tried again: {error:#}")
        }
    };
    let kind = displaced.map_or("back", Displaced::name);
    let consequence = match displaced {
        Some(Displaced::Unpinned) => {
            "no packet passed unseen, and blocks would have ended with the agent: find out who did it"
        }
        _ => {
            "packets that passed meanwhile are in no flow and in no counter, and no block stopped \
             them: find out who did it"
        }
    };
    Happened { subject: format!("{kind} {interface} {packets}"), text, consequence, at }
}

impl Agent {
    /// Looks whether the programs are where they were attached, and reports those that were not.
    pub(super) fn restore_programs(&mut self, now: Timestamp) {
        let text = match self.sensor.kernel.restore_sight() {
            Ok(false) => None,
            Ok(true) => {
                self.bypasses.out_of_place += 1;
                Some("the program that sees sockets was taken off; it is back".to_owned())
            }
            Err(error) => {
                Some(format!("putting the program that sees sockets back failed: {error:#}"))
            }
        };
        if let Some(text) = text {
            let consequence = "sockets that were opened meanwhile may send past the programs unseen: \
                find out who did it";
            self.report_bypass(Happened {
                subject: "sight".to_owned(),
                text,
                consequence,
                at: now,
            });
        }
        for misplaced in self.sensor.kernel.restore() {
            self.bypasses.out_of_place += u64::from(misplaced.displaced.is_some());
            let happened = place(&misplaced, now);
            let text = happened.text.clone();
            if !self.report_bypass(happened) {
                tracing::warn!("{text}");
            }
        }
    }

    pub(super) fn bypass_counts(&self) -> anyhow::Result<BypassCounts> {
        Ok(BypassCounts {
            alerts: self.bypasses.alerts,
            sockets: self.bypasses.sockets,
            sockets_not_reported: self.sensor.kernel.past_programs_lost()?,
            out_of_place: self.bypasses.out_of_place,
        })
    }

    /// Reads which sockets went past the programs, and reports them.
    pub(super) fn see_bypasses(&mut self) {
        for _ in 0..READ_AT_ONCE {
            let Some(past) = self.sensor.kernel.next_past_programs() else { return };
            self.bypasses.sockets += 1;
            let happened = socket(&past, &self.bypasses.base);
            self.report_bypass(happened);
        }
    }

    /// Reports those that may grow by now, and what one reading has left.
    pub(super) fn report_bypasses(&mut self, now: Timestamp) {
        self.see_bypasses();
        let due = self.bypasses.due(now);
        due.into_iter().for_each(|alert| self.report_monitor(alert));
    }

    /// False where its alert may not grow yet.
    fn report_bypass(&mut self, happened: Happened) -> bool {
        let alert = self.bypasses.note(happened);
        alert.map(|alert| self.report_monitor(alert)).is_some()
    }

    fn report_monitor(&mut self, alert: Alert) {
        let (why, alert_id) = (alert.headline(), Some(alert.id));
        tracing::warn!("{why}");
        self.responder.note(Change {
            why,
            alert: alert_id,
            ..Change::new(ChangeKind::Bypassed, AGENT)
        });
        self.reporter.alert(Arc::new(alert));
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::source::kernel::Process;

    const HOUR_NS: u64 = 3_600_000_000_000;

    fn bypasses() -> Bypasses {
        Bypasses::new(TimeBase::PACKET_TIME, None)
    }

    fn happened(subject: &str, at_secs: u64) -> Happened {
        Happened {
            subject: subject.to_owned(),
            text: format!("{subject} at {at_secs}"),
            consequence: "it is not seen",
            at: Timestamp::from_ns(HOUR_NS + at_secs * 1_000_000_000),
        }
    }

    #[test]
    fn an_alert_grows_once_a_minute() {
        let mut bypasses = bypasses();
        let mut revisions = Vec::new();
        for second in 0..=150 {
            let alert = bypasses.note(happened("nc", second));
            revisions.extend(alert.map(|alert| (second, alert.revision)));
        }
        assert_eq!(revisions, [(0, 1), (60, 2), (120, 3)]);
        // The rest is said a minute later, once.
        let at = |second| happened("nc", second).at;
        assert!(bypasses.due(at(179)).is_empty());
        let due = bypasses.due(at(180));
        assert_eq!((due[0].revision, due[0].headline()), (4, "nc at 150".to_owned()));
        assert!(due[0].reasons[2].text.starts_with("151 times"), "{due:?}");
        assert!(bypasses.due(at(9_000)).is_empty());
        assert_eq!(bypasses.alerts, 1);
    }

    #[test]
    fn each_subject_has_its_own_and_their_number_is_bounded() {
        let mut bypasses = bypasses();
        let opened = (0..1_000)
            .filter(|number| bypasses.note(happened(&format!("nc{number}"), 0)).is_some());
        // The last is about all that had no room.
        assert_eq!(opened.count(), MAX_SUBJECTS + 1);
        let others = bypasses.due(happened("", 60).at);
        assert_eq!(others.len(), 1);
        assert!(others[0].reasons[2].text.starts_with("936 times"), "{others:?}");
    }

    #[test]
    fn the_next_day_has_an_alert_of_its_own() {
        let mut bypasses = bypasses();
        let first = bypasses.note(happened("nc", 0)).unwrap();
        assert!(bypasses.note(happened("nc", 1)).is_none());
        let tomorrow = happened("nc", 86_400);
        let (now, second) = (tomorrow.at, bypasses.note(tomorrow).unwrap());
        assert_ne!(second.id, first.id);
        // What the first had not said yet is said at the end of its day.
        let due: Vec<_> = bypasses.due(now).iter().map(|alert| alert.id).collect();
        assert_eq!(due, [first.id]);
        assert_eq!(bypasses.open.len(), 1);
    }

    #[test]
    fn a_socket_is_named_as_far_as_the_kernel_does() {
        let base = TimeBase::PACKET_TIME;
        let process = Process { pid: 7, name: "n\u{1b}c".to_owned() };
        let named =
            PastPrograms { bypass: Bypass::NoQueue, uid: 5, process: Some(process), now: 0 };
        let text = socket(&named, &base).text;
        assert_eq!(
            text,
            "n\u{fffd}c (pid 7, uid 5) has a packet socket send past tc (PACKET_QDISC_BYPASS)"
        );
        let nameless = PastPrograms { bypass: Bypass::XdpRing, process: None, ..named };
        let text = socket(&nameless, &base).text;
        assert!(text.starts_with("a process of uid 5 (this kernel does not say which) opened"));
    }
}
