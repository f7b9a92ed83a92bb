//! Notifications to people as an output: every alert is handed to the notifier, whether it is
//! stored or not. How the sending goes is counted by channel.

use anyhow::ensure;

use super::{Event, Kind, Progress, Sink};
use crate::notify::Switch;

/// Hands alerts to the notifier.
pub struct Notifications {
    notifier: Switch,
}

impl Notifications {
    #[must_use]
    pub fn new(notifier: Switch) -> Self {
        Self { notifier }
    }
}

impl Sink for Notifications {
    fn name(&self) -> &'static str {
        "notifications"
    }

    fn wants(&self) -> &'static [Kind] {
        &[Kind::Alert]
    }

    fn write(&mut self, events: &[Event], progress: &mut Progress) {
        progress.each(events, |event| {
            let Event::Alert(alert) = event else { return Ok(()) };
            ensure!(
                self.notifier.offer(alert),
                "dropped because too many alerts wait for the database"
            );
            Ok(())
        });
    }
}
