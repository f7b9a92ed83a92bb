//! Flows, sessions and names, from the observations of a source.
//!
//! Four rooms, each of which knows only those before it: [`content`], what payloads say; [`dns`],
//! names and the messages about them; [`table`], flows; [`session`], what is scored. The
//! [`Tracker`] is above them.
//!
//! Pure: time comes as an argument, results leave through a [`Visitor`]. No clock, no I/O, nothing
//! per packet. Memory is bounded by [`TrackerConfig`].

pub mod config;
pub mod content;
pub mod dns;
pub mod observation;
pub mod session;
mod side;
pub mod table;
#[cfg(test)]
mod tests;
mod tracker;

pub use config::{Timeouts, TrackerConfig};
pub use observation::{Cause, Observation, Piece, TimeBase};
pub use session::{Booking, Portion, Session, SessionCheckpoint, SessionKey, is_domain};
pub use side::Side;
pub use table::Volume;
pub use table::record::{FlowEndReason, FlowRecord, FlowView};
pub use tracker::{CarriedNow, FlowPlace, Tracker, TrackerCounts};

use detector_common::flow::{Direction, FlowKey};

/// Receives what the tracker finds.
pub trait Visitor {
    /// A session crossed a checkpoint at `now_ns`, nanoseconds since the Unix epoch. `flow` is the
    /// flow that brought it there; for a second's checkpoint and at the end, its latest.
    fn score(&mut self, session: &Session, flow: &FlowView, cause: SessionCheckpoint, now_ns: u64);

    /// A flow ended, or its active timeout passed.
    fn flow_record(&mut self, record: &FlowRecord);

    /// A DNS message of the session's client or server was decoded; the session's own sums have it
    /// already. Called for every one, before a [`Visitor::score`] that it may bring about.
    fn dns_message(
        &mut self,
        _session: &Session,
        _message: &dns::message::Message,
        _from_client: bool,
        _now_ns: u64,
    ) {
    }

    /// The first bytes of one of a flow's payloads came in. Called before any [`Visitor::score`]
    /// that it may bring about.
    fn first_payload(
        &mut self,
        _flow: &FlowView,
        _direction: Direction,
        _payload_bytes: u32,
        _bytes: &[u8],
    ) {
    }

    /// What one end of a session sent since it was booked last: every second, at each byte checkpoint and
    /// at its end.
    fn booked(&mut self, _booking: &Booking<'_>) {}

    /// All sessions that carried packets in the last second are booked.
    fn all_booked(&mut self, _now_ns: u64) {}

    /// A session is over and will not be heard of again. Comes after its last verdict.
    fn session_ended(&mut self, session: &Session);
}

/// Whom a source delivers to: a tracker, and whatever hears what it finds.
pub trait Follower {
    /// Takes in one observation.
    fn observe(&mut self, observation: &Observation<'_>, base: &TimeBase);

    /// See [`Tracker::finish`].
    fn finish(&mut self);

    fn tracker(&self) -> &Tracker;

    /// See [`Tracker::take_expired`].
    fn take_expired(&mut self, keys: &mut Vec<FlowKey>);
}

/// A tracker that calls a visitor directly.
impl<V: Visitor> Follower for (Tracker, V) {
    fn observe(&mut self, observation: &Observation<'_>, base: &TimeBase) {
        self.0.observe(observation, base, &mut self.1);
    }

    fn finish(&mut self) {
        self.0.finish(&mut self.1);
    }

    fn tracker(&self) -> &Tracker {
        &self.0
    }

    fn take_expired(&mut self, keys: &mut Vec<FlowKey>) {
        self.0.take_expired(keys);
    }
}
