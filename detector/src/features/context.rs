//! What is known of a host beyond the session that is scored. Everything may be unknown, and then
//! says so.

/// How far the baseline of a host is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Learning {
    /// Nothing is kept about this host, or there is no history at all, as in training.
    #[default]
    Unknown,
    /// Days that are still missing.
    DaysLeft(u32),
    Ready,
}

/// The history of a sender and its receiver at one moment, without the session that is scored.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Context {
    pub learning: Learning,
    /// Days since the sender first sent to this receiver; 0 where it never did. Unknown until the
    /// sender has been watched for a day.
    pub receiver_known_days: Option<f32>,
    /// Sessions that the sender had with this receiver.
    pub receiver_sessions: u32,
    /// Whether the sender was active towards this receiver at this hour of the day before, on a
    /// weekday or on a weekend as today is. Unknown without sessions on three days.
    pub hour_known: Option<bool>,
    /// log2 of what was sent over the most that a session with this receiver sent before. Unknown
    /// below three sessions.
    pub sent_over_habit: Option<f32>,
    /// log2 of what was sent over what four of five first sessions with a receiver sent. Unknown until the
    /// baseline is ready and ten receivers are known.
    pub sent_over_first_contact: Option<f32>,
    /// How far the host's upload of this kind in this hour lies above what is usual at it, in robust
    /// deviations. Unknown until the baseline is ready.
    pub hour_deviation: Option<f32>,
    /// Share of the sender's upload of this and the last hour that this session makes, 0 to 1.
    /// Unknown until the sender has been watched for an hour.
    pub upload_share: Option<f32>,
}

/// A session may send so many doublings more than the largest before and still be a baseline: archives
/// grow, and a factor of ten (3.3 doublings) is none.
const BASELINE_DOUBLINGS: f32 = 2.0;
/// Days since the first session after which going on is a baseline.
const HABIT_DAYS: f32 = 3.0;

impl Context {
    /// Whether this sender has long been sending as much to this receiver at this hour.
    #[must_use]
    pub fn has_baseline(&self) -> bool {
        self.receiver_known_days.is_some_and(|days| days >= HABIT_DAYS)
            && self.hour_known == Some(true)
            && self.sent_over_habit.is_some_and(|doublings| doublings <= BASELINE_DOUBLINGS)
    }

    /// Whether the sender is known well enough to say that this receiver is new to it.
    #[must_use]
    pub fn is_new_receiver(&self) -> bool {
        self.learning == Learning::Ready && self.receiver_known_days == Some(0.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_habit_needs_days_hour_and_size() {
        let check = |days, hour, doublings, expected| {
            let context = Context {
                receiver_known_days: days,
                hour_known: hour,
                sent_over_habit: doublings,
                ..Context::default()
            };
            assert_eq!(context.has_baseline(), expected, "{context:?}");
        };
        check(Some(9.0), Some(true), Some(0.5), true);
        check(Some(2.0), Some(true), Some(0.5), false);
        check(Some(9.0), Some(false), Some(0.5), false);
        check(Some(9.0), Some(true), Some(3.3), false);
        check(None, None, None, false);
    }
}
