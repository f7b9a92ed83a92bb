//! Ordinary work, and above all the kind that looks like a theft to a counter of bytes.

pub(super) mod backup;
pub(super) mod echo;
pub(super) mod ftp;
pub(super) mod mail;
pub(super) mod names;
pub(super) mod network;
pub(super) mod office;
pub(super) mod post;
pub(super) mod presence;
pub(super) mod quic;
pub(super) mod raw;
pub(super) mod remote;
pub(super) mod tunnel;
pub(super) mod web;

use std::time::Duration;

use super::random::Random;

/// How long a scenario without an end of its own goes on.
const LENGTH_SECS: f64 = 10.0;

/// Somebody reads, thinks or waits.
pub(super) fn pause(random: &mut Random, low_secs: f64, high_secs: f64) {
    std::thread::sleep(Duration::from_secs_f64(random.uniform(low_secs, high_secs)));
}
