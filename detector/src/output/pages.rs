//! Live pages: alerts, changes of policy and the status reach them straight from the agent, whether
//! they are stored or not.

use std::sync::Arc;

use super::{Event, Kind, Progress, Sink};
use crate::alerts::{Origin, StoredAlert};
use crate::response::ChangeKind;
use crate::status::bus::{Bus, PageEvent, Topic};
use crate::verdict::Alert;

/// Publishes events on the bus that pages listen to.
#[derive(Debug)]
pub struct LivePages {
    bus: Arc<Bus>,
}

impl LivePages {
    #[must_use]
    pub fn new(bus: Arc<Bus>) -> Self {
        Self { bus }
    }
}

impl Sink for LivePages {
    fn name(&self) -> &'static str {
        "live pages"
    }

    fn wants(&self) -> &'static [Kind] {
        &[Kind::Alert, Kind::Change, Kind::Status]
    }

    fn write(&mut self, events: &[Event], progress: &mut Progress) {
        for event in events {
            match event {
                Event::Alert(alert) => {
                    let stored = StoredAlert::new(Alert::clone(alert), Origin::Live);
                    self.bus.emit(PageEvent::alert(&stored));
                }
                Event::Change(changed) => {
                    self.bus.emit(PageEvent::change(topic(changed.change.kind), None));
                }
                Event::Status(status) => self.bus.publish_status(status.body.clone()),
                _ => {}
            }
        }
        progress.written(events.len());
    }
}

/// The page that shows what a change is about. A confirmation may be of anything: its blocks are the
/// most that it can be about.
fn topic(kind: ChangeKind) -> Topic {
    match kind {
        ChangeKind::Allowed | ChangeKind::Disallowed => Topic::Allow,
        ChangeKind::Mode => Topic::Mode,
        ChangeKind::Placed
        | ChangeKind::Extended
        | ChangeKind::Released
        | ChangeKind::Expired
        | ChangeKind::Suspended
        | ChangeKind::Replaced
        | ChangeKind::Flushed
        | ChangeKind::Confirmed
        | ChangeKind::Reverted
        | ChangeKind::Adopted
        | ChangeKind::BudgetRaised
        | ChangeKind::Refused
        | ChangeKind::Started
        | ChangeKind::Stopped
        | ChangeKind::Reloaded
        | ChangeKind::Bypassed => Topic::Blocks,
    }
}
