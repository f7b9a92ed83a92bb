//! What follows from a judgement: blocks, budgets, the audit log.

use detector_common::flow::{Checkpoint, FlowKey};
use detector_common::policy::BudgetKey;

use super::{Agent, Told};
use crate::audit::{Action, Record};
use crate::clock;
use crate::config::Config;
use crate::control::Request;
use crate::engine::Output;
use crate::flow::Cause;
use crate::network::octets;
use crate::refusal::Refusal;
use crate::response::policy_state::AGENT;
use crate::response::{Accusation, Change, ChangeKind, Enforcer as _, Mode, Outcome, Span};
use crate::state::{Kept, KeptAllow, KeptRelease};
use crate::units::rfc3339;
use crate::verdict::allow::Entry;
use crate::verdict::{ActionTaken, Alert};

impl Agent {
    /// The tick it is now, as time.
    pub(super) fn now_ns(&mut self) -> anyhow::Result<u64> {
        Ok(self.base.ns(self.kernel.now()?))
    }

    /// Takes over what stands, says what must not be cut off, and goes as far as the mode says.
    pub(super) fn adopt_and_arm(&mut self, config: &Config) -> anyhow::Result<()> {
        let now_ns = self.now_ns()?;
        self.policy.adopt(self.kernel.standing()?, now_ns);
        self.policy.adopt_exceptions(self.kernel.exceptions()?);
        self.restore_state(now_ns);
        self.refresh_exceptions(now_ns)?;
        self.kernel.set_mode(config.mode, None)?;
        self.kernel.commit()?;
        Ok(())
    }

    /// Says that it watches.
    pub(super) fn begin(&mut self, config: &Config) {
        if config.has_budgets() && config.mode == Mode::Observe {
            tracing::warn!("budgets hold nothing in mode observe: use block, or simulate to count");
        }
        self.record(Change { mode: Some(config.mode), ..Change::new(ChangeKind::Started, AGENT) });
        self.note_changes();
    }

    /// What a person said in an earlier run holds on. It watches without it, too, and says so.
    fn restore_state(&mut self, now_ns: u64) {
        let kept = self.state.load().unwrap_or_else(|error| {
            tracing::error!("what was said in an earlier run is not known: {error:#}");
            Kept::default()
        });
        for kept in kept.allow {
            if let Err(error) = self.allow_again(&kept, now_ns) {
                tracing::error!("entry {} is not allowed any more: {error:#}", kept.id);
            }
        }
        for release in kept.released {
            let (Ok(source), Ok(destination)) =
                (release.source.parse(), release.destination.parse())
            else {
                let KeptRelease { source, destination, .. } = release;
                tracing::error!("{source} to {destination} is no longer left alone: no addresses");
                continue;
            };
            self.policy.keep_released((octets(source), octets(destination)), release.until_ns);
        }
    }

    fn allow_again(&mut self, kept: &KeptAllow, now_ns: u64) -> anyhow::Result<()> {
        let KeptAllow { id, source, destination, name, port, reason, by, until_ns } = kept.clone();
        let until_ns = until_ns.unwrap_or(u64::MAX);
        if until_ns <= now_ns {
            return Ok(());
        }
        let entry = Entry { source, destination, name, port, reason, expires: None };
        let network = entry.whole_network();
        let span = Span { from_ns: 0, until_ns };
        let none = |_: &_| false;
        let why = entry.reason.clone();
        self.policy.allow(&id, network, &why, span, &none, &by, None, now_ns, &mut self.kernel)?;
        let list = self.engine.allow_mut();
        list.add(id.clone(), entry, true).map_err(anyhow::Error::msg)?;
        if let Some(allowed) = list.entry(&id) {
            (allowed.until_ns, allowed.by) = (until_ns, by);
        }
        Ok(())
    }

    /// Looks for what must not be cut off and spares it.
    pub(super) fn refresh_exceptions(&mut self, now_ns: u64) -> anyhow::Result<()> {
        let Some(surroundings) = self.peer_scanner.look(now_ns) else { return Ok(()) };
        let spared = self.policy.set_protected_peers(&surroundings, now_ns, &mut self.kernel);
        if spared.is_err() {
            self.peer_scanner.again();
        }
        spared
    }

    /// What time brings: ends, extensions, reversals, new connections of administrators.
    pub(super) fn look_after_policy(&mut self) -> anyhow::Result<()> {
        let now_ns = self.now_ns()?;
        // What is spared already stays so, and the rest is tried again.
        if let Err(error) = self.refresh_exceptions(now_ns) {
            self.peer_scanner.complain(format!("{error:#}"));
        }
        let mode = self.policy.mode();
        if let Err(error) = self.policy.tick(now_ns, &mut self.kernel) {
            tracing::error!("{error:#}");
        }
        if self.policy.mode() != mode {
            self.mode_changed();
        }
        self.engine.allow_mut().expire(now_ns);
        if let Some(capacity) = self.max_budgets {
            let base = self.base;
            let ns = |tick| base.ns(tick);
            let forgotten = self.policy.forget_budgets(now_ns, capacity, ns, &mut self.kernel);
            if let Err(error) = forgotten {
                tracing::error!("{error:#}");
            }
        }
        self.note_changes();
        Ok(())
    }

    /// The engine tells of sessions that go on only where somebody acts on it.
    pub(super) fn mode_changed(&mut self) {
        self.engine.set_respond(self.policy.mode() != Mode::Observe);
    }

    /// Carries out and passes on what the engine came to.
    pub(super) fn act(&mut self) -> anyhow::Result<()> {
        let outputs: Vec<Output> = self.engine.outputs().collect();
        for output in outputs {
            match output {
                Output::Alert { mut alert, accusation } => {
                    self.respond_to(&mut alert, accusation.as_deref())?;
                    if let Some(recorder) = &self.recorder {
                        recorder.offer(super::Entry::Alert(alert.clone()));
                    }
                    self.sink.offer(Told::Alert(alert));
                }
                Output::Again(accusation) => {
                    let now_ns = self.now_ns()?;
                    let outcome = self.policy.respond(&accusation, now_ns, &mut self.kernel);
                    if let Err(error) = outcome {
                        tracing::error!("alert {}: {error:#}", accusation.alert);
                    }
                    self.note_changes();
                }
                Output::Judged { src, dst, payload_bytes, standpoint } => {
                    let pair = (src, dst);
                    let judged =
                        self.policy.judged(pair, payload_bytes, standpoint, &mut self.kernel);
                    if let Err(error) = judged {
                        tracing::error!("{error:#}");
                    }
                    self.note_changes();
                }
                Output::Flow(record) => self.sink.offer(Told::Flow(record)),
            }
        }
        Ok(())
    }

    fn respond_to(
        &mut self,
        alert: &mut Alert,
        accusation: Option<&Accusation>,
    ) -> anyhow::Result<()> {
        let Some(accusation) = accusation else {
            if self.policy.mode() != Mode::Observe {
                alert.action_note = Some(
                    "only the host's habits speak for it, which is told and never acted on".into(),
                );
            }
            return Ok(());
        };
        let now_ns = self.now_ns()?;
        match self.policy.respond(accusation, now_ns, &mut self.kernel) {
            Ok(Outcome { action, note }) => (alert.action, alert.action_note) = (action, note),
            Err(error) => {
                tracing::error!("alert {}: {error:#}", alert.id);
                alert.action = ActionTaken::Failed;
                alert.action_note = Some(format!("{error:#}"));
            }
        }
        self.note_changes();
        if alert.action == ActionTaken::Blocked {
            alert.bytes_leaked_before_block = Some(alert.bytes_out);
            self.measure_leak(alert, &accusation.flow)?;
        }
        Ok(())
    }

    /// What left before the block stood: what the session's other flows had sent when it was judged,
    /// and what this one has passed.
    fn measure_leak(&mut self, alert: &mut Alert, key: &FlowKey) -> anyhow::Result<()> {
        let Some((latest, judged)) = self.latest.filter(|(latest, _)| latest == key) else {
            return Ok(());
        };
        let Some(now) = self.kernel.lookup(&latest)? else { return Ok(()) };
        let half = usize::from(key.low != alert.src.0);
        let (judged, now) = (&judged.halves[half], &now.halves[half]);
        let passed = now.ip_bytes.saturating_sub(now.dropped_bytes);
        // A block that stands already has dropped some of what the alert counts.
        let elsewhere = alert.bytes_out.saturating_sub(judged.ip_bytes);
        alert.bytes_leaked_before_block = Some(elsewhere + passed);
        Ok(())
    }

    /// A budget is spent: its session is judged on what the flow has sent by now.
    pub(super) fn budget_spent(&mut self, key: BudgetKey, flow: &FlowKey) -> anyhow::Result<()> {
        self.policy.budget_spent(key);
        let Some(counters) = self.kernel.lookup(flow)? else { return Ok(()) };
        self.observe_flow(flow, &counters, Cause::Checkpoint(Checkpoint::Bytes))
    }

    /// Takes the programs off, or leaves them to let the blocks run out.
    pub(super) fn shutdown(&mut self) -> anyhow::Result<()> {
        let blocks = self.policy.blocks().count();
        let detail = if self.keep_enforcing {
            self.kernel.keep()?;
            format!("{blocks} blocks are left to run out")
        } else {
            self.kernel.detach();
            format!("{blocks} blocks ended")
        };
        self.record(Change { detail: Some(detail), ..Change::new(ChangeKind::Stopped, AGENT) });
        Ok(())
    }

    /// Writes what the policy state has changed to the audit log, and says it.
    pub(super) fn note_changes(&mut self) {
        for change in self.policy.take_changes() {
            say(&change);
            self.say_changed(change.kind);
            if let (Some(recorder), Some(alert)) = (&self.recorder, change.alert) {
                let (time_ns, change) = (clock::now_ns(), change.kind);
                recorder.offer(super::Entry::Action { alert, time_ns, change });
            }
            self.record(change);
        }
    }

    pub(super) fn note_refusal(&mut self, request: &Request, who: &str, refusal: &Refusal) {
        let target = match request {
            Request::BlocksAdd { target, .. } => Some(*target),
            Request::BlocksRemove { target, .. } => *target,
            _ => None,
        };
        if request.is_change() {
            self.record(Change {
                target,
                why: refusal.text.clone(),
                ..Change::new(ChangeKind::Refused, who)
            });
        }
    }

    pub(super) fn record(&mut self, change: Change) {
        self.audit.record(Record {
            time: rfc3339(clock::now_ns()),
            who: change.who,
            action: Action::from(change.kind),
            target: change.target,
            number: change.number,
            why: (!change.why.is_empty()).then_some(change.why),
            alert: change.alert.map(|alert| alert.to_string()),
            ttl_secs: change.ttl_secs,
            until: change.until_ns.map(rfc3339),
            packets: change.hits.map(|hits| hits.packets),
            bytes: change.hits.map(|hits| hits.bytes),
            mode: change.mode,
            detail: change.detail,
        });
    }
}

fn say(change: &Change) {
    let target = change.target.map_or_else(String::new, |target| format!(" {target}"));
    let hits = change.hits.map_or_else(String::new, |hits| {
        format!(": it dropped {} packets, {}", hits.packets, crate::units::bytes(hits.bytes))
    });
    tracing::info!("{}{target} by {}{hits}", Action::from(change.kind).name(), change.who);
}
