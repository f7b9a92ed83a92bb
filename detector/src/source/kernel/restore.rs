//! Putting programs back where they were attached. What cannot be put back is tried again at the next
//! look.

use super::KernelSource;
use super::places::{self, Displaced, SIDES};

/// A program that was not where it was attached.
#[derive(Debug)]
pub struct Misplaced {
    pub interface: String,
    /// How it watches, for people.
    pub attachment: String,
    /// Whether it watches what is sent.
    pub egress: bool,
    /// None where it was reported before, and is back now.
    pub displaced: Option<Displaced>,
    pub restored: Restored,
}

/// What came of putting a program back.
#[derive(Debug)]
pub enum Restored {
    Back,
    /// Filters run by priority, which each has chosen for itself.
    Stays,
    Failed(anyhow::Error),
}

impl KernelSource {
    /// Puts the program that sees sockets back where it was taken off; true where it was.
    pub fn restore_sight(&mut self) -> anyhow::Result<bool> {
        let Self { sockets, object, .. } = self;
        sockets.as_mut().map_or(Ok(false), |sockets| sockets.restore(object))
    }

    /// Looks whether every program is where it was attached, and puts back what is not. What is not back
    /// yet is reported once, and once more when it is.
    pub fn restore(&mut self) -> Vec<Misplaced> {
        let Self { slots, object, pins, .. } = self;
        let (mut misplaced, mut failed) = (Vec::new(), Vec::new());
        for watched in slots.watched_mut() {
            let interface = &watched.interface;
            // A rescan lets go of those that are not.
            if !places::is_there(interface) {
                continue;
            }
            for (side, place) in watched.attached.places.iter_mut().enumerate() {
                let displaced = match places::look(place, object, interface, side, pins) {
                    Ok(None) => {
                        place.displaced = false;
                        continue;
                    }
                    Ok(Some(displaced)) => displaced,
                    Err(error) => {
                        failed.push(error);
                        continue;
                    }
                };
                let done = match displaced {
                    Displaced::Unpinned => place.pin_again(interface, pins),
                    Displaced::Behind if place.hook.is_none() => {
                        place.before += 1;
                        Ok(())
                    }
                    _ => place.attach_again(object, interface, SIDES[side], pins),
                };
                let restored = match done {
                    Ok(()) if displaced == Displaced::Behind && place.hook.is_none() => {
                        Restored::Stays
                    }
                    Ok(()) => Restored::Back,
                    Err(error) => Restored::Failed(error),
                };
                let is_away = matches!(restored, Restored::Failed(_));
                let was_displaced = std::mem::replace(&mut place.displaced, is_away);
                if was_displaced && is_away {
                    continue;
                }
                misplaced.push(Misplaced {
                    interface: interface.name.clone(),
                    attachment: place.attachment.to_string(),
                    egress: side == 1,
                    displaced: (!was_displaced).then_some(displaced),
                    restored,
                });
            }
        }
        let complained = std::mem::replace(&mut self.look_failed, !failed.is_empty());
        if let (false, Some(error)) = (complained, failed.first()) {
            tracing::error!("whether programs were taken away is not known: {error:#}");
        }
        misplaced
    }
}
