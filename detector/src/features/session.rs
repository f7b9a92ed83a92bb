//! The vector of one sender in one session.

use crate::flow::{Session, Side, Volume};

use super::context::Context;
use super::schema::COLUMNS;

/// What a column is computed from: a session as one of its ends sees it.
#[derive(Clone, Copy, Debug)]
pub struct Sample<'a> {
    pub session: &'a Session,
    /// The end whose sending is scored.
    pub sender: Side,
    pub sent: &'a Volume,
    pub received: &'a Volume,
    /// Nanoseconds since the Unix epoch.
    pub now_ns: u64,
    /// What the host's history says.
    pub context: Context,
}

impl<'a> Sample<'a> {
    #[must_use]
    pub fn new(session: &'a Session, sender: Side, now_ns: u64) -> Self {
        let (sent, received) = (session.sent(sender), session.received(sender));
        Self { session, sender, sent, received, now_ns, context: Context::default() }
    }

    #[must_use]
    pub fn with_context(self, context: Context) -> Self {
        Self { context, ..self }
    }
}

/// Puts the vector into `out`, in the order of [`COLUMNS`]. Allocates only while `out` is smaller
/// than that.
pub fn vector(sample: &Sample<'_>, out: &mut Vec<f32>) {
    out.clear();
    out.extend(COLUMNS.iter().map(|column| (column.value)(sample)));
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::features::index_of;
    use crate::flow::SessionKey;

    fn session() -> Session {
        crate::features::example::session(SessionKey {
            protocol: 6,
            server_port: 443,
            ..SessionKey::default()
        })
    }

    fn check(session: &Session, sender: Side, expected: &[(&str, f32)]) {
        let mut row = Vec::new();
        vector(&Sample::new(session, sender, 0), &mut row);
        assert_eq!(row.len(), COLUMNS.len());
        for (column, value) in COLUMNS.iter().zip(&row) {
            assert!(value.is_finite(), "{} is {value}", column.name);
        }
        for (name, value) in expected {
            let found = row[index_of(name).unwrap()];
            assert!((found - value).abs() < 1e-3, "{name} is {found}, not {value}");
        }
    }

    #[test]
    fn an_empty_session_has_finite_columns() {
        check(&session(), Side::Client, &[("producer_consumer_ratio", 0.0), ("dns_queries", -1.0)]);
        check(&session(), Side::Server, &[("sender_opened", 0.0)]);
    }

    #[test]
    fn the_sides_mirror() {
        let mut session = session();
        session.up = Volume {
            seen_packets: 10,
            seen_bytes: 10_400,
            seen_payload_bytes: 10_000,
            payload_packets: 8,
            size_min: 40,
            size_max: 1_500,
            size_square_sum: 10 * 1_040 * 1_040,
            ..Volume::default()
        };
        session.last_seen_ns = 2_000_000_000;
        session.flows = 1;
        let up = [
            ("producer_consumer_ratio", 1.0),
            ("sender_opened", 1.0),
            ("sent_payload_per_packet", 1_250.0),
            ("sent_size_mean", 1_040.0),
            ("sent_size_deviation", 0.0),
            ("sent_rate", (5_001.0_f32).log2()),
        ];
        check(&session, Side::Client, &up);
        check(&session, Side::Server, &[("producer_consumer_ratio", -1.0), ("sender_opened", 0.0)]);
    }
}
