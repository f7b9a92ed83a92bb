//! The responder: what follows from a verdict, and what people ask for: blocks, exceptions,
//! budgets, each with its record in the audit log.
//!
//! It owns the policy state, what is known of protected peers, the audit log and the state file.
//! The enforcer is handed to it with every call, so that it works without a kernel just as well.

mod lines;
mod peers;
mod requests;
#[cfg(test)]
mod tests;
mod writer;

use std::sync::Arc;

use detector_common::policy::BudgetKey;

use super::reported::{Cause, Stop};
use crate::audit::{Action, AuditLog, Record};
use crate::clock;
use crate::config::Config;
use crate::control::Request;
use crate::flow::TimeBase;
use crate::network::{Address, Network};
use crate::refusal::Refusal;
use crate::response::policy_state::{AGENT, BudgetVerdict, FlaggedFlow};
use crate::response::{BlockRequest, Change, ChangeKind, Enforcer, Mode, Outcome, PolicyState};
use crate::state::{Kept, KeptAllow, KeptRelease, State};
use crate::timestamp::Timestamp;
use crate::units::rfc3339;
use crate::verdict::allow::{Allowed, Entry};
use crate::verdict::{ActionTaken, Alert, AlertId, AllowList, Technique};
use peers::{Lookups, PeerScanner};
pub(super) use requests::{Caller, effect};
use writer::{Batch, Disk, Files, Writer};
pub(super) use writer::{WRITTEN_WITHIN, Waiting};

/// Who decides what is blocked, and remembers why.
pub(super) struct Responder {
    policy: PolicyState,
    peer_scanner: PeerScanner,
    writer: Writer,
    /// What changed and was not handed to the writer yet.
    unwritten: Batch,
    base: TimeBase,
    /// Budgets there can be; none where there are none at all.
    max_budgets: Option<usize>,
    /// Changes that nobody else knows yet.
    noted: Vec<Change>,
}

impl Responder {
    pub(super) fn new(config: &Config, base: TimeBase, now: Timestamp) -> anyhow::Result<Self> {
        let (log, state) = (AuditLog::open(&config.state_dir), State::new(&config.state_dir));
        Self::with(config, PeerScanner::new(config, Lookups::HOST), Files { log, state }, base, now)
    }

    fn with(
        config: &Config,
        peer_scanner: PeerScanner,
        disk: impl Disk + 'static,
        base: TimeBase,
        now: Timestamp,
    ) -> anyhow::Result<Self> {
        let mut policy = PolicyState::new(config.policy(), config.mode, now);
        policy.configure_allowlist(&config.allow)?;
        Ok(Self {
            policy,
            peer_scanner,
            writer: Writer::start(disk)?,
            unwritten: Batch::default(),
            base,
            max_budgets: max_budgets(config),
            noted: Vec::new(),
        })
    }

    /// How far it goes.
    pub(super) fn mode(&self) -> Mode {
        self.policy.mode()
    }

    /// The allowlist as it is now.
    pub(super) fn allowlist(&self) -> &Arc<AllowList> {
        self.policy.allowlist()
    }

    /// The networks that may not be blocked as a whole, as they are now.
    pub(super) fn set_home(&mut self, home: &[Network]) {
        self.policy.set_home(home.to_vec());
    }

    /// Blocks that are active or suspended.
    pub(super) fn blocks(&self) -> usize {
        self.policy.blocks().count()
    }

    /// Records that the audit log could not take.
    pub(super) fn records_lost(&self) -> u64 {
        self.writer.lost()
    }

    /// Takes over what an earlier agent left, says what must not be cut off, and goes as far as the
    /// mode says.
    pub(super) fn adopt_and_arm(
        &mut self,
        said_before: Kept,
        now: Timestamp,
        enforcer: &mut dyn Enforcer,
    ) -> anyhow::Result<()> {
        self.policy.adopt(enforcer.left_orders()?, now);
        self.policy.adopt_exceptions(enforcer.left_exceptions()?);
        self.restore_state(said_before, now, enforcer);
        self.refresh_exceptions(now, enforcer)?;
        enforcer.set_mode(self.policy.mode(), None)?;
        enforcer.commit()
    }

    /// Says that it watches.
    pub(super) fn begin(&mut self, config: &Config) {
        if config.has_budgets() && config.mode == Mode::Observe {
            tracing::warn!(
                "budgets hold no payload in mode observe: use mode block, or mode simulate to \
                count it"
            );
        }
        self.record(Change { mode: Some(config.mode), ..Change::new(ChangeKind::Started, AGENT) });
        self.write();
    }

    /// Says that it watches no longer.
    pub(super) fn end(&mut self, keeps_enforcing: bool) {
        let blocks = crate::units::counted(self.blocks() as u64, "block");
        let became = if keeps_enforcing { "stay active until they expire" } else { "ended" };
        let detail = Some(format!("{blocks} {became}"));
        self.record(Change { detail, ..Change::new(ChangeKind::Stopped, AGENT) });
        self.write();
    }

    /// What a person said in an earlier run is in force again.
    fn restore_state(&mut self, kept: Kept, now: Timestamp, enforcer: &mut dyn Enforcer) {
        for kept in kept.allow {
            let id = kept.id.clone();
            if let Err(error) = self.policy.allow_again(allowed(kept), now, enforcer) {
                tracing::error!("entry {id} is not allowed any more: {error:#}");
            }
        }
        for release in kept.released {
            let (Ok(source), Ok(destination)) =
                (release.source.parse(), release.destination.parse())
            else {
                let KeptRelease { source, destination, .. } = release;
                tracing::error!(
                    "failed to restore an unblocked pair: `{source}` and `{destination}` are not \
                    both addresses"
                );
                continue;
            };
            self.policy.keep_released((source, destination), Timestamp::from_ns(release.until_ns));
        }
    }

    /// Writes down what a person said, for the next start.
    fn keep_state(&mut self, now: Timestamp) {
        let allow = self.policy.entries_to_keep(now).map(kept).collect();
        let released = self
            .policy
            .releases()
            .map(|((source, destination), until)| KeptRelease {
                source: source.to_string(),
                destination: destination.to_string(),
                until_ns: until.ns(),
            })
            .collect();
        self.unwritten.state = Some(Kept { allow, released, ..Kept::default() });
    }

    /// Looks for what must not be cut off and spares it.
    fn refresh_exceptions(
        &mut self,
        now: Timestamp,
        enforcer: &mut dyn Enforcer,
    ) -> anyhow::Result<()> {
        let Some(surroundings) = self.peer_scanner.look(now) else { return Ok(()) };
        let spared = self.policy.set_protected_peers(&surroundings, now, enforcer);
        if spared.is_err() {
            self.peer_scanner.again();
        }
        spared
    }

    /// What time brings: ends, extensions, reversals, new connections of administrators.
    pub(super) fn tick(&mut self, now: Timestamp, enforcer: &mut dyn Enforcer) {
        // What is spared already stays so, and the rest is tried again.
        if let Err(error) = self.refresh_exceptions(now, enforcer) {
            self.peer_scanner.complain(format!("{error:#}"));
        }
        if let Err(error) = self.policy.tick(now, enforcer) {
            tracing::error!("{error:#}");
        }
        if let Some(capacity) = self.max_budgets {
            let base = self.base;
            let time_of = |tick| base.time(tick);
            if let Err(error) = self.policy.forget_budgets(now, capacity, time_of, enforcer) {
                tracing::error!("{error:#}");
            }
        }
        self.write();
    }

    /// Goes by another configuration, but for the mode.
    pub(super) fn reconfigure(
        &mut self,
        config: &Config,
        now: Timestamp,
        enforcer: &mut dyn Enforcer,
    ) -> anyhow::Result<()> {
        self.policy.set_policy(config.policy());
        self.max_budgets = max_budgets(config);
        self.peer_scanner = self.peer_scanner.reconfigured(config);
        self.policy.configure_allowlist(&config.allow)?;
        self.refresh_exceptions(now, enforcer)
    }

    /// Does what the policy wants about an alert that opened or grew, and writes it to the alert.
    pub(super) fn respond(
        &mut self,
        alert: &mut Alert,
        block_request: Option<&BlockRequest>,
        now: Timestamp,
        enforcer: &mut dyn Enforcer,
    ) {
        let Some(block_request) = block_request else {
            if self.policy.mode() != Mode::Observe {
                let note = match alert.technique {
                    Technique::UnexplainedUpload => {
                        "unexplained bytes of this kind raise an alert only: see unexplained.police"
                    }
                    _ => {
                        "only the host's baseline supports this alert: such alerts never lead to a block"
                    }
                };
                alert.action_note = Some(note.to_owned());
            }
            return;
        };
        match self.policy.respond(block_request, now, enforcer) {
            Ok(Outcome { action, note }) => (alert.action, alert.action_note) = (action, note),
            Err(error) => {
                tracing::error!("alert {}: {error:#}", alert.id);
                alert.action = ActionTaken::Failed;
                alert.action_note = Some(format!("{error:#}"));
            }
        }
        self.write();
    }

    /// Does what the policy wants about an alert that is open and has nothing new to say.
    pub(super) fn respond_again(
        &mut self,
        block_request: &BlockRequest,
        now: Timestamp,
        enforcer: &mut dyn Enforcer,
    ) {
        if let Err(error) = self.policy.respond(block_request, now, enforcer) {
            tracing::error!("alert {}: {error:#}", block_request.alert);
        }
        self.write();
    }

    /// Raises or ends the budget of a pair that was scored.
    pub(super) fn scored(
        &mut self,
        pair: (Address, Address),
        payload_bytes: u64,
        budget_verdict: BudgetVerdict,
        enforcer: &mut dyn Enforcer,
    ) {
        if let Err(error) = self.policy.scored(pair, payload_bytes, budget_verdict, enforcer) {
            tracing::error!("{error:#}");
        }
        self.write();
    }

    /// What drops an alert's traffic now: a block, whoever placed it, or its budget.
    pub(super) fn stop_of(
        &self,
        alert: AlertId,
        flagged: &FlaggedFlow,
        now: Timestamp,
        enforcer: &mut dyn Enforcer,
    ) -> anyhow::Result<Option<Stop>> {
        if let Some((number, block)) = self.policy.dropping(flagged, now) {
            let target = block.order.target;
            let note = match block.alert {
                Some(own) if own.number == alert.number => target.to_string(),
                Some(other) => format!("{target}, for alert {other}"),
                None => format!("{target}, by {}", block.by),
            };
            return Ok(Some(Stop { cause: Cause::Block(number), note }));
        }
        if self.max_budgets.is_none() {
            return Ok(None);
        }
        let key = BudgetKey { home: flagged.src.octets(), destination: flagged.dst.octets() };
        let stop = || {
            let note = "its byte budget is spent: the kernel holds further payload".to_owned();
            Stop { cause: Cause::Budget, note }
        };
        Ok(self.policy.holds(&key, enforcer)?.then(stop))
    }

    /// A budget is spent: a verdict decides whether it is raised.
    pub(super) fn budget_spent(&mut self, key: BudgetKey) {
        self.policy.budget_spent(key);
    }

    /// Takes what changed since the last call, for whoever shows it.
    pub(super) fn take_changes(&mut self) -> Vec<Change> {
        std::mem::take(&mut self.noted)
    }

    /// Notes what the policy state has changed for the audit log, and says it.
    fn note_changes(&mut self) {
        for change in self.policy.take_changes() {
            log_change(&change);
            self.record(change.clone());
            self.noted.push(change);
        }
    }

    /// Notes what happened to the monitor for the audit log.
    pub(super) fn note(&mut self, change: Change) {
        self.record(change);
        self.write();
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

    /// Has what changed written to disk.
    pub(super) fn write(&mut self) {
        self.note_changes();
        self.writer.write(&mut self.unwritten, None);
    }

    /// Has what changed written to disk, and the answer given once it is there: with what could not
    /// be written, if anything. Whoever waits may give up.
    pub(super) fn write_and_answer(
        &mut self,
        answer: impl FnOnce(Option<String>) + Send + 'static,
    ) -> Option<Waiting> {
        self.note_changes();
        self.writer.write(&mut self.unwritten, Some(Box::new(answer)))
    }

    pub(super) fn record(&mut self, change: Change) {
        self.unwritten.records.push(Record {
            time: rfc3339(clock::now_ns()),
            who: change.who,
            action: Action::from(change.kind),
            target: change.target,
            number: change.number,
            why: (!change.why.is_empty()).then_some(change.why),
            alert: change.alert.map(|alert| alert.to_string()),
            ttl_secs: change.ttl_secs,
            until: change.until.map(|until| until.to_string()),
            packets: change.hits.map(|hits| hits.packets),
            bytes: change.hits.map(|hits| hits.bytes),
            mode: change.mode,
            detail: change.detail,
        });
    }
}

/// What people said in earlier runs. It watches without it, too, and says so.
pub(super) fn said_before(config: &Config) -> Kept {
    State::new(&config.state_dir).load().unwrap_or_else(|error| {
        tracing::error!("failed to restore exceptions of an earlier run: {error:#}");
        Kept::default()
    })
}

fn max_budgets(config: &Config) -> Option<usize> {
    config.has_budgets().then(|| config.budget.max_entries.get() as usize)
}

fn allowed(kept: KeptAllow) -> Allowed {
    let KeptAllow { id, source, destination, name, port, reason, by, until_ns } = kept;
    let entry = Entry { source, destination, name, port, reason, expires: None };
    Allowed::at_run_time(id, entry, by, until_ns.map_or(Timestamp::MAX, Timestamp::from_ns))
}

fn kept(allowed: &Allowed) -> KeptAllow {
    let Allowed { id, entry, by, until, .. } = allowed.clone();
    let Entry { source, destination, name, port, reason, .. } = entry;
    let until_ns = (until != Timestamp::MAX).then_some(until.ns());
    KeptAllow { id, source, destination, name, port, reason, by, until_ns }
}

fn log_change(change: &Change) {
    let target = change.target.map_or_else(String::new, |target| format!(" {target}"));
    let hits = change.hits.map_or_else(String::new, |hits| {
        format!(
            ": it dropped {}, {}",
            crate::units::counted(hits.packets, "packet"),
            crate::units::bytes(hits.bytes)
        )
    });
    tracing::info!("{}{target} by {}{hits}", Action::from(change.kind).name(), change.who);
}
