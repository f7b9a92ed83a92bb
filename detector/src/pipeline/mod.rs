//! One pipeline for live traffic, captures, training and evaluation: observations in, outputs out.
//!
//! It follows what a source observes with a tracker, knows what hosts usually do, and looks at every
//! sender at the same checkpoints. Its [`Mode`] says what comes of a look: [`Scoring`] gives alerts,
//! [`Labelled`] gives rows to learn from.
//!
//! Pure but for its memory: it carries out nothing and waits for nothing.

mod kept_payloads;
pub mod labelled;
pub mod scoring;

use std::fmt::Debug;
use std::vec::Drain;

use detector_common::flow::{Direction, FlowKey};

use crate::features::{Context, History, HistoryConfig, HistoryCounts};
use crate::flow::dns::message::Message;
use crate::flow::{
    Booking, FlowRecord, FlowView, Follower, Observation, Session, SessionCheckpoint, Side,
    TimeBase, Tracker, TrackerConfig, Visitor,
};
use crate::verdict::evidence;

pub use labelled::{Label, Labelled, LabelledRow};
pub use scoring::{Output, Row, Scoring, ScoringConfig};

/// A sender of a session at a checkpoint.
#[derive(Clone, Copy, Debug)]
pub struct Look<'a> {
    pub session: &'a Session,
    /// The flow that brought the session to the checkpoint.
    pub flow: &'a FlowView,
    pub sender: Side,
    pub now_ns: u64,
    /// What the sender's host usually does.
    pub context: Context,
}

/// What comes of looks at senders.
pub trait Mode {
    type Output: Debug;

    fn look(&mut self, look: &Look<'_>, outputs: &mut Vec<Self::Output>);

    /// A flow ended, or its active timeout passed.
    fn flow_record(&mut self, _record: &FlowRecord, _outputs: &mut Vec<Self::Output>) {}

    /// A DNS message came in, see [`Visitor::dns_message`].
    fn dns_message(
        &mut self,
        _session: &Session,
        _message: &Message,
        _from_client: bool,
        _now_ns: u64,
    ) {
    }

    /// One of a flow's first payloads came in.
    fn first_payload(
        &mut self,
        _flow: &FlowView,
        _direction: Direction,
        _payload_bytes: u32,
        _bytes: &[u8],
    ) {
    }

    /// A session is over; [`Mode::was_malicious`] follows for each of its senders.
    fn session_ended(&mut self, _session: &Session, _outputs: &mut Vec<Self::Output>) {}

    /// A sender sent something since its session was booked last, see [`Visitor::booked`].
    fn booked(&mut self, _booking: &Booking<'_>, _context: Context) {}

    /// All that an observation brought about is booked and looked at.
    fn observed(&mut self, _outputs: &mut Vec<Self::Output>) {}

    /// All of the last second is booked.
    fn all_booked(&mut self, _now_ns: u64, _outputs: &mut Vec<Self::Output>) {}

    /// The source has ended.
    fn finished(&mut self, _now_ns: u64, _outputs: &mut Vec<Self::Output>) {}

    /// Whether a sender of a session that is over is excluded from the baseline of its host.
    fn was_malicious(&mut self, session: &Session, sender: Side) -> bool;
}

/// Follows one source.
#[derive(Debug)]
pub struct Pipeline<M: Mode> {
    tracker: Tracker,
    stage: Stage<M>,
}

impl<M: Mode> Pipeline<M> {
    /// With `history` for the pace and the bounds of the hosts' baselines.
    #[must_use]
    pub fn new(tracker: &TrackerConfig, history: HistoryConfig, mode: M) -> Self {
        let history = History::new(history);
        let stage = Stage { mode, history, now_ns: 0, outputs: Vec::new() };
        Self { tracker: Tracker::new(tracker), stage }
    }

    /// Takes in one observation. What comes of it is handed out in order, all that came before it
    /// included.
    pub fn observe(
        &mut self,
        observation: &Observation<'_>,
        base: &TimeBase,
    ) -> Drain<'_, M::Output> {
        self.tracker.observe(observation, base, &mut self.stage);
        self.stage.mode.observed(&mut self.stage.outputs);
        self.stage.outputs.drain(..)
    }

    /// The source has ended, or its time starts again: ends all flows and sessions.
    pub fn finish(&mut self) -> Drain<'_, M::Output> {
        self.tracker.finish(&mut self.stage);
        self.stage.mode.finished(self.stage.now_ns, &mut self.stage.outputs);
        self.stage.outputs.drain(..)
    }

    /// What is followed.
    #[must_use]
    pub fn tracker(&self) -> &Tracker {
        &self.tracker
    }

    /// See [`Tracker::take_expired`].
    pub fn take_expired(&mut self, keys: &mut Vec<FlowKey>) {
        self.tracker.take_expired(keys);
    }

    #[must_use]
    pub fn mode(&self) -> &M {
        &self.stage.mode
    }

    pub fn mode_mut(&mut self) -> &mut M {
        &mut self.stage.mode
    }

    /// What hosts usually do.
    #[must_use]
    pub fn history(&self) -> &History {
        &self.stage.history
    }

    /// What hosts usually do, to take in what was learned before.
    pub fn history_mut(&mut self) -> &mut History {
        &mut self.stage.history
    }

    /// How far the hosts' baselines are.
    #[must_use]
    pub fn baselines(&self) -> HistoryCounts {
        self.stage.history.counts(self.stage.now_ns)
    }

    /// Lets a source run it; each output goes to `take` as it comes.
    pub fn followed<F: FnMut(M::Output)>(&mut self, take: F) -> Followed<'_, M, F> {
        Followed { pipeline: self, take }
    }
}

/// What the tracker's findings go through.
#[derive(Debug)]
struct Stage<M: Mode> {
    mode: M,
    history: History,
    now_ns: u64,
    outputs: Vec<M::Output>,
}

impl<M: Mode> Visitor for Stage<M> {
    fn score(
        &mut self,
        session: &Session,
        flow: &FlowView,
        _cause: SessionCheckpoint,
        now_ns: u64,
    ) {
        self.now_ns = self.now_ns.max(now_ns);
        for sender in evidence::scored(session) {
            let context = self.history.context(session, sender, now_ns);
            let look = Look { session, flow, sender, now_ns, context };
            self.mode.look(&look, &mut self.outputs);
        }
    }

    fn flow_record(&mut self, record: &FlowRecord) {
        self.mode.flow_record(record, &mut self.outputs);
    }

    fn dns_message(
        &mut self,
        session: &Session,
        message: &Message,
        from_client: bool,
        now_ns: u64,
    ) {
        self.mode.dns_message(session, message, from_client, now_ns);
    }

    fn first_payload(
        &mut self,
        flow: &FlowView,
        direction: Direction,
        payload_bytes: u32,
        bytes: &[u8],
    ) {
        self.mode.first_payload(flow, direction, payload_bytes, bytes);
    }

    fn booked(&mut self, booking: &Booking<'_>) {
        let Booking { session, sender, now_ns, .. } = *booking;
        self.now_ns = self.now_ns.max(now_ns);
        if session.sends_out(sender) {
            let context = self.history.context(session, sender, now_ns);
            self.mode.booked(booking, context);
        }
    }

    fn all_booked(&mut self, now_ns: u64) {
        self.now_ns = self.now_ns.max(now_ns);
        self.mode.all_booked(now_ns, &mut self.outputs);
    }

    fn session_ended(&mut self, session: &Session) {
        self.mode.session_ended(session, &mut self.outputs);
        for sender in [Side::Client, Side::Server] {
            let malicious = self.mode.was_malicious(session, sender);
            if session.sends_out(sender) {
                self.history.learn(session, sender, malicious);
            }
        }
    }
}

/// A pipeline while a source runs it.
#[derive(Debug)]
pub struct Followed<'a, M: Mode, F> {
    pipeline: &'a mut Pipeline<M>,
    take: F,
}

impl<M: Mode, F: FnMut(M::Output)> Follower for Followed<'_, M, F> {
    fn observe(&mut self, observation: &Observation<'_>, base: &TimeBase) {
        self.pipeline.observe(observation, base).for_each(&mut self.take);
    }

    fn finish(&mut self) {
        self.pipeline.finish().for_each(&mut self.take);
    }

    fn tracker(&self) -> &Tracker {
        self.pipeline.tracker()
    }

    fn take_expired(&mut self, keys: &mut Vec<FlowKey>) {
        self.pipeline.take_expired(keys);
    }
}
