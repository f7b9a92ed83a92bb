//! Flows, sessions and names, from the observations of a source.
//!
//! Pure: time comes as an argument, results leave through a [`Visitor`]. No clock, no I/O, nothing
//! per packet. Memory is bounded by [`TrackerConfig`].

pub mod biflow;
pub mod community_id;
pub mod config;
pub mod distinct;
mod dns_stream;
mod domains;
pub mod echo;
pub mod entropy_sketch;
#[cfg(test)]
pub(crate) mod example;
pub mod facts;
pub mod head;
mod heads;
pub(crate) mod index;
pub mod inter_arrival;
mod ip_lookup_clients;
mod live_domain;
mod live_flow;
mod live_session;
pub mod mail;
pub mod names;
pub mod observation;
mod queries;
pub mod record;
mod registered;
mod resolvers;
pub mod session;
mod sessions;
mod slab;
mod table;
#[cfg(test)]
mod tests;
mod timer_wheel;
mod tracker;
pub mod traffic_log;
pub mod transfer;
pub mod web;

pub use config::{Timeouts, TrackerConfig};
pub use domains::is_domain;
pub use observation::{Cause, Observation, TimeBase};
pub use record::{FlowEndReason, FlowRecord, FlowView};
pub use session::{Session, SessionCheckpoint, SessionKey, Side, Volume};
pub use tracker::{FlowPlace, Tracker, TrackerCounts};

use detector_common::flow::Direction;
use head::dns;

/// Who is told what the tracker finds.
pub trait Visitor {
    /// A session crossed a checkpoint at `now_ns`, nanoseconds since the Unix epoch. `flow` is the
    /// flow that brought it there; for a second's checkpoint and at the end, its latest.
    fn judge(&mut self, session: &Session, flow: &FlowView, cause: SessionCheckpoint, now_ns: u64);

    /// A flow ended, or its active timeout passed.
    fn flow_record(&mut self, record: &FlowRecord);

    /// A DNS message was decoded; the session's own sums have it already. Called for every one,
    /// before a [`Visitor::judge`] that it may bring about.
    fn dns_message(
        &mut self,
        _session: &Session,
        _flow: &FlowView,
        _message: &dns::Message,
        _now_ns: u64,
    ) {
    }

    /// The first bytes of one of a flow's payloads came in. Called before any [`Visitor::judge`] that
    /// it may bring about.
    fn head(
        &mut self,
        _flow: &FlowView,
        _direction: Direction,
        _payload_bytes: u32,
        _bytes: &[u8],
    ) {
    }

    /// A session is over and will not be heard of again. Comes after its last judgement.
    fn session_ended(&mut self, session: &Session);
}
