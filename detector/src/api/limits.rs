//! How much one client may ask for, and how often it may be wrong about who it is.
//!
//! Everything takes the time as an argument.

use std::collections::HashMap;
use std::net::IpAddr;
use std::time::{Duration, Instant};

/// Most clients that are remembered; after that the memory starts again, which helps nobody much.
const MOST_CLIENTS: usize = 10_000;
/// Wrong tokens and codes of one address within [`FAILURE_WINDOW`].
const FAILURES: u32 = 10;
const FAILURE_WINDOW: Duration = Duration::from_secs(60);

/// Requests that a client may make: so many at once, and so many a second.
#[derive(Clone, Copy, Debug)]
pub(super) struct Allowance {
    burst: f64,
    per_second: f64,
}

impl Allowance {
    /// On this machine: what keeps one program from taking all there is, and no other.
    pub(super) const LOCAL: Self = Self { burst: 1_000_000.0, per_second: 500_000.0 };
    /// From elsewhere: several browsers behind one address.
    pub(super) const REMOTE: Self = Self { burst: 1_000.0, per_second: 200.0 };
}

/// What is left to each client.
#[derive(Debug)]
pub(super) struct Requests {
    allowance: Allowance,
    left: HashMap<IpAddr, (f64, Instant)>,
}

impl Requests {
    pub(super) fn new(allowance: Allowance) -> Self {
        Self { allowance, left: HashMap::new() }
    }

    /// Takes one request off a client's allowance.
    ///
    /// # Errors
    ///
    /// None is left: the seconds until there is one.
    pub(super) fn take(&mut self, client: IpAddr, now: Instant) -> Result<(), u32> {
        let Allowance { burst, per_second } = self.allowance;
        if self.left.len() >= MOST_CLIENTS && !self.left.contains_key(&client) {
            self.left.clear();
        }
        let (left, since) = self.left.entry(client).or_insert((burst, now));
        let gained = now.saturating_duration_since(*since).as_secs_f64() * per_second;
        *left = (*left + gained).min(burst);
        *since = now;
        if *left < 1.0 {
            return Err(((1.0 - *left) / per_second).ceil().max(1.0) as u32);
        }
        *left -= 1.0;
        Ok(())
    }
}

/// Who has shown wrong tokens.
#[derive(Debug, Default)]
pub(super) struct Failures(HashMap<IpAddr, (u32, Instant)>);

impl Failures {
    /// Counts one. Who has been right in the meantime is not excused.
    ///
    /// # Errors
    ///
    /// Too many: the seconds until counting starts again.
    pub(super) fn count(&mut self, client: IpAddr, now: Instant) -> Result<(), u32> {
        if self.0.len() >= MOST_CLIENTS && !self.0.contains_key(&client) {
            self.0.clear();
        }
        let (count, since) = self.0.entry(client).or_insert((0, now));
        let passed = now.saturating_duration_since(*since);
        if passed >= FAILURE_WINDOW {
            (*count, *since) = (0, now);
        }
        *count = count.saturating_add(1);
        if *count <= FAILURES {
            return Ok(());
        }
        let left = FAILURE_WINDOW.saturating_sub(passed).as_secs().max(1);
        Err(u32::try_from(left).unwrap_or(u32::MAX))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const CLIENT: IpAddr = IpAddr::V4(std::net::Ipv4Addr::LOCALHOST);

    #[test]
    fn a_burst_passes_and_then_so_many_a_second() {
        let mut requests = Requests::new(Allowance { burst: 3.0, per_second: 2.0 });
        let start = Instant::now();
        for _ in 0..3 {
            requests.take(CLIENT, start).unwrap();
        }
        assert_eq!(requests.take(CLIENT, start), Err(1));
        requests.take([10, 0, 0, 7].into(), start).unwrap();
        requests.take(CLIENT, start + Duration::from_millis(500)).unwrap();
        assert!(requests.take(CLIENT, start + Duration::from_millis(500)).is_err());
    }

    #[test]
    fn wrong_tokens_are_counted_by_the_minute() {
        let mut failures = Failures::default();
        let start = Instant::now();
        for _ in 0..FAILURES {
            failures.count(CLIENT, start).unwrap();
        }
        assert_eq!(failures.count(CLIENT, start + Duration::from_secs(20)), Err(40));
        failures.count([10, 0, 0, 7].into(), start).unwrap();
        failures.count(CLIENT, start + FAILURE_WINDOW).unwrap();
    }
}
