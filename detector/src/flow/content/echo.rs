//! What the ICMP echo messages of a session have carried, for each end by itself.
//!
//! A reply that returns a request carries nothing of its own. A filling that comes again carries
//! nothing beyond its first, and one that differs in a counter is the same again.

use super::distinct::{self, Distinct};
use super::entropy::{SAMPLE_MIN_BYTES, entropy};
use super::{Echo, FirstPayload, Mean, ping};
use crate::flow::Side;

/// Distinct payload patterns that are counted exactly; beyond, about.
const EXACT: usize = 32;

/// How often a filling is sent, on average, before it is a greeting: once, and once more where no
/// answer came.
const FILLING_REPEATS: u64 = 2;

/// The ICMP echo payloads of a session.
#[derive(Clone, Debug, Default)]
pub struct Icmp {
    pub requests: u64,
    pub replies: u64,
    /// Payload samples of messages that are no echo.
    pub others: u64,
    /// Echo payloads that no ordinary ping sends.
    pub unusual: u64,
    /// Replies whose payload is none of the latest requests'.
    pub replies_unlike: u64,
    /// Shannon entropy of payloads of 16 bytes and more, in bits per byte.
    pub entropy: Mean,
    pub payload_bytes: u64,
    /// Smallest and largest payload in bytes.
    pub size_min: u32,
    pub size_max: u32,
    /// Times a payload's size differed from the one before in its direction.
    pub size_changes: u64,
    /// Hashes of the latest request payloads, against which replies are compared.
    recent_requests: [u64; 8],
    /// The latest payload size up and down; 0 before the first.
    latest_sizes: [u32; 2],
    /// What the client and the server sent of their own.
    client: Carried,
    server: Carried,
}

/// What one end's echo messages carry beyond an ordinary ping's.
#[derive(Clone, Debug, Default)]
pub struct Carried {
    /// Echo messages that return nothing: requests, and replies unlike them.
    pub messages: u64,
    /// Those with bytes that the sender chose.
    pub unusual: u64,
    /// Distinct payload patterns among them.
    pub payload_patterns: PayloadPatterns,
    /// Bytes of the distinct payload patterns: what can have been carried.
    pub own_bytes: u64,
    /// Printable share of the distinct payload patterns, 0 to 1.
    pub printable: Mean,
    /// Bytes of the longest filling that is a message in words by itself; 0 for none.
    pub longest_prose: u64,
    /// Messages that hold an IP packet.
    pub inner_packets: u64,
    /// Times the size of a message went the other way than before: up after down, down after up.
    pub size_turns: u64,
    /// The latest filling and size, and which way the size went last.
    pub(crate) latest: Vec<u8>,
    pub(crate) latest_size: Option<u32>,
    pub(crate) growing: Option<bool>,
}

/// Distinct payload patterns: exactly while they are few, about beyond.
#[derive(Clone, Debug, Default)]
pub struct PayloadPatterns {
    few: Vec<u64>,
    many: Option<Box<Distinct>>,
}

impl PayloadPatterns {
    /// Adds one by its hash; false where it was there.
    fn insert(&mut self, hash: u64) -> bool {
        if let Some(many) = &mut self.many {
            return many.insert(hash);
        }
        if self.few.contains(&hash) {
            return false;
        }
        self.few.push(hash);
        if self.few.len() > EXACT {
            let mut many = Box::<Distinct>::default();
            for hash in self.few.drain(..) {
                many.insert(hash);
            }
            self.many = Some(many);
        }
        true
    }

    #[must_use]
    pub fn count(&self) -> u64 {
        match &self.many {
            Some(many) => many.count().round() as u64,
            None => self.few.len() as u64,
        }
    }
}

impl Icmp {
    /// What `side` sent of its own.
    #[must_use]
    pub fn carried(&self, side: Side) -> &Carried {
        match side {
            Side::Client => &self.client,
            Side::Server => &self.server,
        }
    }

    pub(crate) fn learn(&mut self, payload: &FirstPayload<'_>) {
        self.payload_bytes += u64::from(payload.payload_bytes);
        self.learn_size(payload);
        if payload.bytes.len() >= SAMPLE_MIN_BYTES {
            self.entropy.add(entropy(payload.bytes));
        }
        let Some(echo) = payload.echo else {
            self.others += 1;
            return;
        };
        let returned = self.learn_echo(echo, payload.bytes);
        let own = ping::own_bytes(payload.bytes);
        self.unusual += u64::from(!own.is_empty());
        if returned {
            return;
        }
        let side = if payload.from_client { &mut self.client } else { &mut self.server };
        side.learn(payload, own);
    }

    /// Whether the message is a reply that returns a recent request.
    fn learn_echo(&mut self, echo: Echo, bytes: &[u8]) -> bool {
        let hash = distinct::hash(bytes.iter().copied());
        match echo {
            Echo::Request => {
                let place = usize::try_from(self.requests % 8).unwrap_or(0);
                self.recent_requests[place] = hash;
                self.requests += 1;
                false
            }
            Echo::Reply => {
                self.replies += 1;
                let returned = self.recent_requests.contains(&hash);
                self.replies_unlike += u64::from(self.requests != 0 && !returned);
                returned
            }
        }
    }

    fn learn_size(&mut self, payload: &FirstPayload<'_>) {
        let size = payload.payload_bytes;
        let first = self.requests + self.replies + self.others == 0;
        self.size_min = if first { size } else { self.size_min.min(size) };
        self.size_max = self.size_max.max(size);
        let latest = &mut self.latest_sizes[usize::from(!payload.from_client)];
        self.size_changes += u64::from(*latest != 0 && *latest != size);
        *latest = size;
    }
}

impl Carried {
    /// Whether payload patterns come again and again, as a monitor's greeting does.
    #[must_use]
    pub fn repeats(&self) -> bool {
        self.unusual > self.payload_patterns.count().saturating_mul(FILLING_REPEATS)
    }

    fn learn(&mut self, payload: &FirstPayload<'_>, own: &[u8]) {
        self.messages += 1;
        self.learn_size(payload.payload_bytes);
        if own.is_empty() {
            return;
        }
        self.unusual += 1;
        self.inner_packets += u64::from(ping::has_inner_packet(payload.bytes));
        let varied = ping::is_variation(&self.latest, own);
        self.latest.clear();
        self.latest.extend_from_slice(own);
        if varied || !self.payload_patterns.insert(distinct::hash(own.iter().copied())) {
            return;
        }
        self.own_bytes += own_size(payload, own);
        let printable =
            own.iter().filter(|byte| matches!(byte, b' '..=b'~' | b'\t' | b'\r' | b'\n'));
        self.printable.add(printable.count() as f64 / own.len() as f64);
        if ping::is_prose(own) {
            self.longest_prose = self.longest_prose.max(own.len() as u64);
        }
    }

    fn learn_size(&mut self, size: u32) {
        let latest = self.latest_size.replace(size).unwrap_or(size);
        if latest == size {
            return;
        }
        let grew = size > latest;
        self.size_turns += u64::from(self.growing == Some(!grew));
        self.growing = Some(grew);
    }
}

/// Bytes that a filling represents: where it continues to the end of a payload sample that was cut,
/// those beyond the cut, too.
fn own_size(payload: &FirstPayload<'_>, own: &[u8]) -> u64 {
    let beyond = (payload.payload_bytes as usize).saturating_sub(payload.bytes.len());
    let to_the_end = own.len() + ping::STAMP_BYTES >= payload.bytes.len();
    (own.len() + if to_the_end { beyond } else { 0 }) as u64
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::flow::session::example::{learn, say, session};
    use crate::flow::{Session, SessionKey};
    use detector_common::parse::protocol;

    fn pings() -> Session {
        session(SessionKey { protocol: protocol::ICMP, ..SessionKey::default() })
    }

    fn carried(session: &Session, side: Side) -> &Carried {
        session.first_payloads.icmp.as_deref().expect("pings").carried(side)
    }

    #[test]
    fn a_filling_counts_once_and_its_echo_not_at_all() {
        let mut session = pings();
        for text in ["the first line", "a second line", "the first line"] {
            say(&mut session, Side::Client, text.as_bytes());
            say(&mut session, Side::Server, text.as_bytes());
        }
        let client = carried(&session, Side::Client);
        assert_eq!((client.messages, client.unusual, client.payload_patterns.count()), (3, 3, 2));
        assert_eq!(client.own_bytes, 27);
        assert_eq!(carried(&session, Side::Server).messages, 0);
        say(&mut session, Side::Server, b"an answer of its own");
        assert_eq!(carried(&session, Side::Server).own_bytes, 20);
    }

    #[test]
    fn a_counter_in_a_filling_is_the_same_again() {
        let mut session = pings();
        for number in 0..9 {
            let text = format!("monitor 7 of the eastern site, probe {number:04}");
            say(&mut session, Side::Client, text.as_bytes());
        }
        let client = carried(&session, Side::Client);
        assert_eq!((client.unusual, client.payload_patterns.count()), (9, 1));
    }

    #[test]
    fn what_a_head_leaves_out_is_counted() {
        let mut session = pings();
        let bytes: Vec<u8> = (0..512_u32).map(|number| (number * number % 251) as u8).collect();
        learn(&mut session, Side::Client, &bytes, 1_400);
        assert_eq!(carried(&session, Side::Client).own_bytes, 1_384);
    }

    #[test]
    fn sizes_that_turn_are_told_from_sweeps() {
        let check = |sizes: &[u32], expected: u64| {
            let mut session = pings();
            sizes.iter().for_each(|size| learn(&mut session, Side::Client, b"", *size));
            assert_eq!(carried(&session, Side::Client).size_turns, expected, "{sizes:?}");
        };
        check(&[56, 56, 56], 0);
        check(&[16, 64, 256, 1_024], 0);
        check(&[104, 101, 108, 108, 111, 32, 116], 3);
    }

    #[test]
    fn many_fillings_are_counted_about() {
        let mut payload_patterns = PayloadPatterns::default();
        for number in 0..1_000_u32 {
            payload_patterns.insert(distinct::hash(number.to_be_bytes()));
        }
        assert!((900..1_100).contains(&payload_patterns.count()), "{}", payload_patterns.count());
    }
}
