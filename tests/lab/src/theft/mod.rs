//! Thefts: each carries a document out of the client and shows that the receiver has all of it.

pub(super) mod dns;
pub(super) mod drip;
pub(super) mod echo;
pub(super) mod ftp;
pub(super) mod http;
pub(super) mod icmp;
pub(super) mod mail;
pub(super) mod names;
pub(super) mod post;
pub(super) mod quic;
pub(super) mod raw;
pub(super) mod ssh;
pub(super) mod tunnel;
pub(super) mod upload;

use super::random::Random;

/// No transfer shall take longer, whatever its size.
const LONGEST_SECS: f64 = 14.0;

/// A size in bytes, and a rate at which it takes at most `LONGEST_SECS`, or up to twenty times less.
fn size_and_rate(random: &mut Random, smallest: u64, largest: u64) -> (usize, u64) {
    let size = random.size(smallest, largest);
    let slowest = (size as f64 / LONGEST_SECS).max(2_000.0);
    (size, random.log_uniform(slowest, slowest * 20.0) as u64)
}
