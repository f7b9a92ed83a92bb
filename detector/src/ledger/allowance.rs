//! What a client must be able to send to receive: an allowance of the sender, over all its connections
//! and destinations.
//!
//! An allowance for each connection would hide an upload that opens enough of them; one for each
//! sender does not. Measured on 24.5 capture-hours of ordinary traffic: over TCP the 95th percentile of
//! what downloads send back is .045 of what they receive; over QUIC the median is .05 and the 90th
//! percentile .30. These captures cannot set the rates of any other network, so all are configurable.

use super::{HOUR_NS, SLOT_NS};

/// Slots for which received bytes allow sent ones.
const CREDIT_SLOTS: usize = 6;

/// The sizes of the allowance.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct ExchangeConfig {
    /// Bytes an hour that need no received ones.
    pub bytes_per_hour: u64,
    /// Share of what was received in the last 60 s, and over QUIC.
    pub received_share: f64,
    pub received_share_quic: f64,
    /// Bytes a day to one destination that the sender did not send to on an earlier day.
    pub new_destination_bytes_per_day: u64,
}

impl Default for ExchangeConfig {
    fn default() -> Self {
        Self {
            bytes_per_hour: 64 << 10,
            received_share: 0.05,
            received_share_quic: 0.10,
            new_destination_bytes_per_day: 1_000_000,
        }
    }
}

/// What is left of one sender's allowance.
#[derive(Clone, Debug)]
pub(super) struct Allowance {
    /// Of the bytes an hour.
    hourly: u64,
    refilled_ns: u64,
    /// When something was received last: a sender that nobody answers exchanges nothing.
    answered_ns: Option<u64>,
    /// Allowed by what was received in each of the last slots, the latest first.
    credits: [u64; CREDIT_SLOTS],
    slot: u64,
}

impl Allowance {
    pub(super) fn new(config: &ExchangeConfig, now_ns: u64) -> Self {
        Self {
            hourly: config.bytes_per_hour,
            refilled_ns: now_ns,
            answered_ns: None,
            credits: [0; CREDIT_SLOTS],
            slot: now_ns / SLOT_NS,
        }
    }

    /// Takes in that packets were received, with so many bytes of payload.
    pub(super) fn receive(&mut self, bytes: u64, share: f64, now_ns: u64) {
        self.turn(now_ns);
        self.answered_ns = Some(now_ns);
        self.credits[0] = self.credits[0].saturating_add((bytes as f64 * share) as u64);
    }

    /// What is left of the bytes an hour, and when they were refilled last.
    pub(super) fn hourly(&self) -> (u64, u64) {
        (self.hourly, self.refilled_ns)
    }

    /// So much of the bytes an hour was left.
    pub(super) fn set_hourly(&mut self, bytes: u64) {
        self.hourly = bytes;
    }

    /// Whether anything was ever received.
    pub(super) fn was_answered(&self) -> bool {
        self.answered_ns.is_some()
    }

    /// What may be spent now.
    pub(super) fn left(&mut self, config: &ExchangeConfig, now_ns: u64) -> u64 {
        self.turn(now_ns);
        self.refill(config, now_ns);
        let answered = self.answered_ns.is_some_and(|at| now_ns < at.saturating_add(HOUR_NS));
        let hourly = if answered { self.hourly } else { 0 };
        self.credits.iter().fold(hourly, |sum, credit| sum.saturating_add(*credit))
    }

    /// Spends of what [`Allowance::left`] said, what expires first before the rest.
    pub(super) fn spend(&mut self, mut amount: u64) {
        for left in self.credits.iter_mut().rev().chain([&mut self.hourly]) {
            let spent = amount.min(*left);
            *left -= spent;
            amount -= spent;
        }
    }

    fn turn(&mut self, now_ns: u64) {
        let slot = now_ns / SLOT_NS;
        let passed = slot.saturating_sub(self.slot);
        let passed = usize::try_from(passed).unwrap_or(CREDIT_SLOTS).min(CREDIT_SLOTS);
        self.credits.rotate_right(passed);
        self.credits[..passed].fill(0);
        self.slot = self.slot.max(slot);
    }

    fn refill(&mut self, config: &ExchangeConfig, now_ns: u64) {
        let passed_ns = now_ns.saturating_sub(self.refilled_ns).min(HOUR_NS);
        let refill =
            u128::from(config.bytes_per_hour) * u128::from(passed_ns) / u128::from(HOUR_NS);
        let refill = u64::try_from(refill).unwrap_or(u64::MAX);
        // Parts of a byte are not lost: the time of the refill moves only with one.
        if refill != 0 {
            self.hourly = self.hourly.saturating_add(refill).min(config.bytes_per_hour);
            self.refilled_ns = now_ns;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND_NS: u64 = 1_000_000_000;

    #[test]
    fn the_hour_refills_and_credits_expire() {
        let config = ExchangeConfig { bytes_per_hour: 3_600, ..ExchangeConfig::default() };
        let mut allowance = Allowance::new(&config, 0);
        assert_eq!(allowance.left(&config, 0), 0);
        allowance.receive(0, 0.05, 0);
        assert_eq!(allowance.left(&config, 0), 3_600);
        allowance.spend(3_600);
        assert_eq!(allowance.left(&config, 10 * SECOND_NS), 10);
        allowance.receive(1_000, 0.05, 10 * SECOND_NS);
        assert_eq!(allowance.left(&config, 15 * SECOND_NS), 65);
        allowance.spend(30);
        assert_eq!(allowance.left(&config, 15 * SECOND_NS), 35);
        assert_eq!(allowance.left(&config, 69 * SECOND_NS), 20 + 15 + 54);
        // Sixty seconds after the slot in which they were earned, credits are gone; the hour stays full.
        assert_eq!(allowance.left(&config, 70 * SECOND_NS), 15 + 55);
        allowance.receive(0, 0.05, 7_000 * SECOND_NS);
        assert_eq!(allowance.left(&config, 7_200 * SECOND_NS), 3_600);
        assert_eq!(allowance.left(&config, 20_000 * SECOND_NS), 0);
    }
}
