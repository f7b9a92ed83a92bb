//! How many alerts about unexplained bytes there may be: a maximum, never a target.

use super::{Class, DAY_NS};

/// Days' worth of alerts that may be carried over.
const MAX_CARRIED: u64 = 3;
/// At least one alert a day for so many senders.
const SENDERS_PER_ALERT: u64 = 30;

/// The alerts of one day.
#[derive(Clone, Copy, Debug)]
pub(super) struct AlertBudget {
    per_day: u64,
    day: Option<u64>,
    /// What the day may have, with what earlier days left.
    room: u64,
    spent: u64,
    /// Of those, about receivers that are named or proven.
    spent_new: u64,
}

impl AlertBudget {
    pub(super) fn new(per_day: u32) -> Self {
        Self { per_day: per_day.into(), day: None, room: 0, spent: 0, spent_new: 0 }
    }

    /// Whether there may be another alert; it is spent then. Half of a day's alerts, rounded down, is kept
    /// for missing evidence.
    pub(super) fn take(&mut self, class: Class, senders: u64, now_ns: u64) -> bool {
        if self.per_day == 0 {
            return false;
        }
        let today = self.per_day.max(senders / SENDERS_PER_ALERT);
        self.turn(today, now_ns);
        let room = self.room;
        let is_new = class == Class::New;
        if self.spent >= room || is_new && self.spent_new >= room - room / 2 {
            return false;
        }
        self.spent += 1;
        self.spent_new += u64::from(is_new);
        true
    }

    /// An alert of this day was raised in an earlier run.
    pub(super) fn spent_before(&mut self, class: Class, now_ns: u64) {
        self.turn(self.per_day, now_ns);
        self.spent += 1;
        self.spent_new += u64::from(class == Class::New);
    }

    fn turn(&mut self, today: u64, now_ns: u64) {
        let day = now_ns / DAY_NS;
        if self.day.is_none_or(|before| day > before) {
            let left = self.room.saturating_sub(self.spent).min(MAX_CARRIED);
            *self = Self { day: Some(day), room: today + left, spent: 0, spent_new: 0, ..*self };
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_day_has_so_many() {
        let mut budget = AlertBudget::new(2);
        let mut take = |class, senders, day| budget.take(class, senders, day * DAY_NS);
        assert_eq!([Class::New; 2].map(|class| take(class, 1, 10)), [true, false]);
        assert_eq!([Class::Evidence; 2].map(|class| take(class, 1, 10)), [true, false]);
        // Nothing was left over; a quiet day leaves two.
        assert!(take(Class::Evidence, 1, 11));
        assert_eq!([Class::Evidence; 4].map(|class| take(class, 1, 12)), [true, true, true, false]);
        assert_eq!(
            [Class::Evidence; 4].map(|class| take(class, 90, 13)),
            [true, true, true, false]
        );
        assert!(!AlertBudget::new(0).take(Class::Evidence, 900, DAY_NS));
    }
}
