//! What people ask of the running agent, carried out between two packets' events: each request goes
//! to whoever can answer it.

use std::sync::Arc;
use std::time::Duration;

use detector_common::policy::BudgetKey;

use super::Agent;
use super::reading::Reading;
use super::reporter::outbound::outbound;
use super::responder::{Caller, WRITTEN_WITHIN, Waiting, effect};
use crate::builtin_models;
use crate::control::server::Call;
use crate::control::{Answer, Reply, Request, StatusReply, TableUse};
use crate::features::Kind;
use crate::model::Model;
use crate::refusal::Refusal;
use crate::response::policy_state::Add;
use crate::timestamp::Timestamp;
use crate::verdict::allow;

/// What came of a request.
enum Carried {
    Out(Box<Answer>),
    /// Something is to be read first, which the loop does not wait for.
    Reads(Reading),
}

impl Agent {
    /// Answers one call, now or once what it asks for was read.
    pub(super) fn answer(&mut self, call: Call) {
        let who = call.peer.to_string();
        match self.carry_out(&call.request, &who) {
            Ok(Carried::Out(answer)) => self.settle(call, &who, Ok(*answer)),
            Ok(Carried::Reads(reading)) => {
                self.read_away(reading, move |agent, outcome| agent.settle(call, &who, outcome));
            }
            Err(refusal) => self.settle(call, &who, Err(refusal)),
        }
    }

    /// Sends what came of a call, once it is on disk where it is a change.
    fn settle(&mut self, call: Call, who: &str, outcome: Result<Answer, Refusal>) {
        let Call { request, peer, reply } = call;
        if let Err(refusal) = &outcome {
            tracing::info!("refused a request of {who}: {refusal}");
            self.responder.note_refusal(&request, who, refusal);
        }
        let answer = move |unwritten| {
            if reply.send(Reply::of(outcome, unwritten)).is_err() {
                tracing::debug!("{peer} did not wait for the answer");
            }
        };
        if request.is_change() {
            answer_in_time(self.responder.write_and_answer(answer));
        } else {
            answer(None);
        }
        self.follow_changes();
    }

    fn carry_out(&mut self, request: &Request, who: &str) -> Result<Carried, Refusal> {
        let now = self.sensor.now()?;
        let confirm = request.confirm_within_secs().map(Duration::from_secs);
        let caller = Caller { who, confirm, now };
        let Self { sensor, responder, .. } = self;
        let kernel = &mut sensor.kernel;
        let answer = match request {
            Request::BlocksList {} => Ok(responder.blocks_answer(now, kernel)?),
            Request::BlocksAdd { target, ttl_secs, effect: wanted, simulate, reason, .. } => {
                let add = Add {
                    target: *target,
                    effect: effect(*wanted),
                    simulated: *simulate,
                    ttl: ttl_secs.map(Duration::from_secs),
                    why: reason.clone(),
                };
                responder.add_block(&add, caller, kernel)
            }
            Request::BlocksRemove { target, number, .. } => {
                responder.remove_block(*number, target.as_ref(), caller, kernel)
            }
            Request::BlocksFlush { .. } => responder.flush_blocks(caller, kernel),
            Request::BlocksVerify { target, number } => {
                let meant = responder.to_verify(*number, target.as_ref())?;
                let targets: Vec<_> = meant.iter().map(|(_, target)| *target).collect();
                let passed = sensor.packets_passed(&targets)?;
                Ok(responder.verified(meant, passed, &mut sensor.kernel)?)
            }
            Request::BlocksExport {} => Ok(responder.domains_answer(now)),
            Request::AllowList {} => Ok(responder.allow_answer(now, kernel)?),
            Request::AllowAdd { source, destination, name, port, reason, ttl_secs, .. } => {
                let entry = allow::Entry {
                    source: *source,
                    destination: *destination,
                    name: name.clone(),
                    port: *port,
                    reason: reason.clone(),
                    expires: None,
                };
                responder.allow(entry, ttl_secs.map(Duration::from_secs), caller, kernel)
            }
            Request::AllowRemove { id, .. } => responder.disallow(id, caller, kernel),
            Request::Mode {} => Ok(responder.mode_answer(now)),
            Request::SetMode { mode, .. } => responder.set_mode(*mode, caller, kernel),
            Request::Confirm { id } => responder.confirm(*id, caller, kernel),
            Request::Explain { address } => Ok(responder.explain(*address, now, kernel)?),
            Request::Budgets {} => Ok(responder.budgets_answer(now, kernel)?),
            Request::BudgetsRaise { home, destination, bytes } => {
                let key = BudgetKey { home: home.octets(), destination: destination.octets() };
                responder.raise_budget(&key, *bytes, caller, kernel)
            }
            Request::Status {} => Ok(Answer::Status(self.status_reply(now)?)),
            Request::Sessions { sort, limit } => Ok(sensor.session_lines(*sort, *limit)?),
            Request::Baselines {} => Ok(sensor.baseline_lines()?),
            Request::Interfaces {} => Ok(sensor.interface_lines()?),
            Request::Watch { name } => Ok(self.watch(name, true)?),
            Request::Unwatch { name } => Ok(self.watch(name, false)?),
            Request::UseModel { hash } => return self.model_reading(hash).map(Carried::Reads),
            Request::Reload {} => return Ok(Carried::Reads(self.reload_reading(who))),
        };
        answer.map(|answer| Carried::Out(Box::new(answer)))
    }

    /// Watches an interface, or no longer.
    fn watch(&mut self, name: &str, watch: bool) -> anyhow::Result<Answer> {
        let answer = self.sensor.say_interface(name, watch);
        self.responder.set_home(self.sensor.kernel.home());
        answer
    }

    /// Reads another model, to score by it from then on.
    fn model_reading(&self, hash: &str) -> Result<Reading, Refusal> {
        let nothing = "other models need the database: set store.enabled = true, or name a file \
            in model.path";
        let store = self.reporter.store().cloned();
        let store = store.ok_or_else(|| Refusal::conflict(nothing))?;
        let hash = hash.to_owned();
        Ok(Box::new(move || {
            let found = store.read(|connection| builtin_models::find(connection, &hash))?;
            let unknown = || Refusal::not_found(format!("there is no model {hash}"));
            let model = found.ok_or_else(unknown)?;
            builtin_models::check(Kind::Session, &model)?;
            Ok(Box::new(move |agent: &mut Self| agent.use_model(model, hash)))
        }))
    }

    /// Scores by another model from now on.
    fn use_model(&mut self, model: Arc<Model>, hash: String) -> Result<Answer, Refusal> {
        self.sensor.pipeline.mode_mut().use_model(model)?;
        self.reloads.model_serves(&hash);
        self.reporter.model_changed(&hash);
        tracing::info!("model {hash} now scores live traffic");
        Ok(Answer::Model { hash })
    }

    /// How the agent is doing.
    pub(super) fn status_reply(&mut self, now: Timestamp) -> anyhow::Result<StatusReply> {
        let accounting = self.sensor.kernel.accounting()?;
        let passed = self.bypass_counts()?;
        let totals = &accounting.totals;
        let counters = [
            ("packets", totals.frames.packets),
            ("bytes", totals.frames.bytes),
            ("flows", u64::from(accounting.live_flows)),
            ("unaccounted_bytes", accounting.unaccounted_bytes.unsigned_abs()),
            ("alerts", self.sensor.pipeline.mode().alerts() + passed.alerts),
            ("dropped_packets", totals.dropped.packets),
            ("dropped_bytes", totals.dropped.bytes),
            ("policed_packets", totals.policed.packets),
            ("held_packets", totals.held.packets),
            ("marked_packets", totals.marked.packets),
            ("simulated_packets", totals.simulated.packets),
            ("budgets_refused", totals.budgets_refused),
            ("budgets_timed_out", totals.budgets_timed_out),
            ("overflow_bytes", totals.overflow.bytes),
            ("events_lost", totals.events_lost),
            ("payload_samples_skipped", totals.first_payloads_refused),
            ("output_lines_dropped", self.reporter.output_lines_dropped()),
            ("audit_records_lost", self.responder.records_lost()),
        ];
        let counters = counters.into_iter().chain(passed.counters());
        let tables = self.sensor.kernel.policy_tables()?;
        let when_full = |name: &str| match name {
            "BUDGETS" => "the kernel gives new pairs no budget and counts them as budgets_refused",
            _ => "the kernel refuses new entries and evicts none",
        };
        Ok(StatusReply {
            pid: std::process::id(),
            version: env!("CARGO_PKG_VERSION").to_owned(),
            mode: self.responder.mode(),
            interfaces: self
                .sensor
                .kernel
                .watched()
                .map(|watched| watched.interface.name.clone())
                .collect(),
            outbound: outbound(self.sensor.pipeline.mode().ledger(), now.ns()),
            tables: tables
                .into_iter()
                .map(|table| TableUse {
                    name: table.name.to_owned(),
                    used: u64::from(table.used),
                    capacity: u64::from(table.capacity),
                    bytes: table.bytes,
                    when_full: when_full(table.name).to_owned(),
                })
                .collect(),
            counters: counters.map(|(name, count)| (name.to_owned(), count)).collect(),
            pending: self.responder.pending_lines(now),
        })
    }
}

/// Has the answer given without the disk where the disk takes too long.
fn answer_in_time(waiting: Option<Waiting>) {
    if let Some(waiting) = waiting {
        tokio::spawn(async move {
            tokio::time::sleep(WRITTEN_WITHIN).await;
            waiting.give_up();
        });
    }
}
