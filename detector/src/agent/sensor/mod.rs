//! The sensor: kernel events and polls in, verdicts out.
//!
//! It owns the data plane and the pipeline. What it finds is handed to whoever acts on it before
//! it looks any further, so that a block follows the event that asks for it without a queue
//! between them. It decides about no block and sends no message. Nothing here runs per packet.

mod lines;

use std::sync::Arc;

use detector_common::abi::FIRST_PAYLOAD_BYTES;
use detector_common::flow::{Checkpoint, Direction, FlowCounters, FlowKey};
use detector_common::policy::BudgetKey;

use crate::config::Config;
use crate::flow::{CarriedNow, Cause, Observation, Piece, TimeBase, Volume};
use crate::instance::host_name;
use crate::model::Model;
use crate::pipeline::{Output, Pipeline, Scoring, ScoringConfig};
use crate::response::{Mode, Target};
use crate::source::kernel::interfaces::Selection;
use crate::source::kernel::{Change, KernelEvent, KernelSource, Sight, Start};
use crate::timestamp::Timestamp;
use crate::verdict::{Alert, AllowList, Technique};
use lines::Looks;

/// What there is to act on.
pub(super) enum Finding {
    Scored(Output),
    /// The kernel holds a pair until its budget is raised; a verdict of its session follows.
    BudgetSpent(BudgetKey),
}

/// Who acts on findings. The sensor is lent, for what acting needs of the kernel.
pub(super) type Act<'a> = dyn FnMut(&mut Sensor, Finding) -> anyhow::Result<()> + 'a;

/// What is watched, and what scores it.
pub(super) struct Sensor {
    pub(super) kernel: KernelSource,
    pub(super) pipeline: Pipeline<Scoring>,
    base: TimeBase,
    changed: Vec<(FlowKey, FlowCounters)>,
    looks: Looks,
}

/// What the agent is called in its alerts.
pub(super) fn name(config: &Config) -> Option<Arc<str>> {
    let given = Some(config.sensor.clone()).filter(|name| !name.is_empty());
    given.or_else(host_name).map(Arc::from)
}

/// What is asked for besides alerts.
#[derive(Clone, Copy, Debug)]
pub(super) struct Wanted {
    pub(super) flow_records: bool,
    /// What sessions carried, and the first payloads of flows with alerts.
    pub(super) traffic: bool,
}

impl Sensor {
    /// Loads the data plane; attaches nothing yet, see [`Sensor::attach`].
    pub(super) fn load(
        config: &Config,
        model: Arc<Model>,
        wanted: Wanted,
        start: Start,
        check_pinned: bool,
    ) -> anyhow::Result<Self> {
        let selection = Selection::new(&config.interfaces)?;
        let scoring = Scoring::new(
            model,
            ScoringConfig {
                respond: config.mode != Mode::Observe,
                budgets: config.has_budgets(),
                threshold: config.model.threshold,
                flows: wanted.flow_records,
                rows: false,
                first_payloads: wanted.traffic,
                traffic: wanted.traffic,
                ledger: config.ledger(),
                // The responder's, see [`Sensor::go_by`].
                allow: Arc::default(),
                sensor: name(config),
            },
        )?;
        let kernel = KernelSource::load(config, selection, start)?;
        if check_pinned {
            kernel.check_pinned()?;
        }
        kernel.check_selection()?;
        log_sight(kernel.sight());
        Ok(Self {
            base: kernel.time_base(),
            kernel,
            pipeline: Pipeline::new(&config.tracker(), config.history(), scoring),
            changed: Vec::new(),
            looks: Looks::default(),
        })
    }

    /// Attaches the programs to every interface that is meant.
    pub(super) fn attach(&mut self, config: &Config) -> anyhow::Result<()> {
        for change in self.kernel.rescan()? {
            match change {
                Change::Failed { name, error } => {
                    return Err(error.context(format!("failed to watch {name}")));
                }
                other => log_interface(&other),
            }
        }
        self.kernel.check_attached()?;
        if config.kernel.print_memory {
            let bytes = self.kernel.map_memory_bytes()?;
            tracing::info!(
                "kernel maps take {} for up to {} flows",
                crate::units::bytes(bytes),
                config.kernel.max_flows
            );
        }
        Ok(())
    }

    /// Turns ticks into time.
    pub(super) fn time_base(&self) -> TimeBase {
        self.base
    }

    /// The tick it is now, as time.
    pub(super) fn now(&mut self) -> anyhow::Result<Timestamp> {
        Ok(self.base.time(self.kernel.now()?))
    }

    /// Goes by this mode and this allowlist from the next verdict on. The pipeline reports
    /// sessions that continue only where somebody acts on it.
    pub(super) fn go_by(&mut self, mode: Mode, allow: &Arc<AllowList>) {
        let scoring = self.pipeline.mode_mut();
        scoring.set_respond(mode != Mode::Observe);
        scoring.set_allow(Arc::clone(allow));
    }

    /// Reads the events that wait. Each is scored, and acted on, before the next is read.
    pub(super) fn take_events(&mut self, act: &mut Act<'_>) -> anyhow::Result<()> {
        while let Some(event) = self.kernel.next_event() {
            match event {
                KernelEvent::Checkpoint(event) => {
                    let checkpoint = if event.checkpoint == Checkpoint::Packets as u8 {
                        Checkpoint::Packets
                    } else {
                        Checkpoint::Bytes
                    };
                    let cause = Cause::Checkpoint(checkpoint);
                    self.observe_flow(&event.key, &event.counters, cause, act)?;
                }
                KernelEvent::FirstPayload(event) => {
                    if !self.pipeline.tracker().knows(&event.key)
                        && let Some(counters) = self.kernel.lookup(&event.key)?
                    {
                        self.observe_flow(&event.key, &counters, Cause::Poll, act)?;
                    }
                    let length = usize::from(event.length).min(FIRST_PAYLOAD_BYTES);
                    let direction = if event.direction == Direction::FromLow as u8 {
                        Direction::FromLow
                    } else {
                        Direction::FromHigh
                    };
                    let piece = Piece {
                        key: &event.key,
                        direction,
                        payload_bytes: event.payload_bytes,
                        offset: u32::from(event.part) * FIRST_PAYLOAD_BYTES as u32,
                        sequence: event.sequence,
                        bytes: &event.bytes[..length],
                        now: event.now,
                    };
                    self.observe(Observation::FirstPayload(piece), act)?;
                }
                KernelEvent::Overflow(event) => {
                    let (key, counters, now) = (&event.key, &event.counters, event.now);
                    self.observe(Observation::Overflow { key, counters, now }, act)?;
                }
                KernelEvent::Budget(event) => {
                    act(self, Finding::BudgetSpent(event.budget))?;
                    // Its session is scored on what the flow has sent by now.
                    if let Some(counters) = self.kernel.lookup(&event.flow)? {
                        let cause = Cause::Checkpoint(Checkpoint::Bytes);
                        self.observe_flow(&event.flow, &counters, cause, act)?;
                    }
                }
            }
        }
        Ok(())
    }

    /// Reads what changed, shows the tracker that time has passed, deletes what is over.
    pub(super) fn poll(&mut self, act: &mut Act<'_>) -> anyhow::Result<()> {
        for (key, counters) in self.kernel.take_closed()? {
            self.observe_flow(&key, &counters, Cause::Closed, act)?;
        }
        self.kernel.begin_poll()?;
        let mut changed = std::mem::take(&mut self.changed);
        while self.kernel.next_changed(&mut changed)? {
            for (key, counters) in &changed {
                self.observe_flow(key, counters, Cause::Poll, act)?;
            }
            // A large map must not keep events waiting.
            self.take_events(act)?;
        }
        self.changed = changed;
        let now = self.kernel.now()?;
        for (key, counters) in self.kernel.overflow()? {
            let overflow = Observation::Overflow { key: &key, counters: &counters, now };
            self.observe(overflow, act)?;
        }
        self.observe(Observation::Tick { now_ns: self.base.ns(now) }, act)?;
        let mut expired = Vec::new();
        self.pipeline.take_expired(&mut expired);
        expired.extend(self.kernel.under_pressure()?);
        self.kernel.close(&expired)
    }

    /// Reads the maps a last time, once nothing is attached any more, and ends every flow.
    pub(super) fn finish(&mut self, act: &mut Act<'_>) -> anyhow::Result<()> {
        self.take_events(act)?;
        self.poll(act)?;
        let outputs: Vec<Output> = self.pipeline.finish().collect();
        self.hand_over(outputs, act)?;
        let unknown = self.kernel.records_unknown();
        if unknown != 0 {
            tracing::error!("{} of an unknown kind", crate::units::counted(unknown, "event"));
        }
        Ok(())
    }

    /// Follows the interfaces as they come and go.
    pub(super) fn rescan(&mut self) -> anyhow::Result<()> {
        for change in self.kernel.rescan()? {
            log_interface(&change);
        }
        Ok(())
    }

    /// What an alert's sender has sent and received by now. None where that is what the alert says: its
    /// flow is over, or it is about a domain, whose messages were all read.
    pub(super) fn carried_now(
        &mut self,
        alert: &Alert,
        flow: &FlowKey,
    ) -> anyhow::Result<Option<(Volume, Volume)>> {
        if alert.domain.is_some() {
            return Ok(None);
        }
        let Self { kernel, pipeline, .. } = self;
        let now = pipeline.tracker().carried_now(flow, |key| kernel.lookup(key))?;
        let now = now.map(
            |CarriedNow { client, up, down }| {
                if client == alert.src { (up, down) } else { (down, up) }
            },
        );
        if alert.technique == Technique::UnexplainedUpload {
            return Ok(self.carried_today(alert, now));
        }
        // Of an alert about several sessions it may be a part.
        Ok(now.filter(|(sent, _)| sent.ip_bytes() >= alert.bytes_out))
    }

    /// The same of an alert about unexplained bytes, which counts what went between the two hosts today: the
    /// session of its flow where that is all of it, else what the ledger has, as of the last second.
    fn carried_today(
        &self,
        alert: &Alert,
        session: Option<(Volume, Volume)>,
    ) -> Option<(Volume, Volume)> {
        let today = self.pipeline.mode().ledger().destination(alert.src, alert.dst)?;
        // Of the next day.
        if today.sent_bytes < alert.bytes_out {
            return None;
        }
        let dropped = session.map_or(Volume::default(), |(sent, _)| sent);
        match session {
            Some((sent, _)) if sent.ip_bytes() >= today.sent_bytes => session,
            _ => {
                let sent = Volume {
                    seen_packets: today.sent_packets + dropped.dropped_packets,
                    seen_bytes: today.sent_bytes + dropped.dropped_bytes,
                    dropped_packets: dropped.dropped_packets,
                    dropped_bytes: dropped.dropped_bytes,
                    ..Volume::default()
                };
                let received = Volume {
                    seen_packets: today.received_packets,
                    seen_bytes: today.received_bytes,
                    ..Volume::default()
                };
                Some((sent, received))
            }
        }
    }

    /// Packets that have passed in the flows of each target.
    pub(super) fn packets_passed(&mut self, targets: &[Target]) -> anyhow::Result<Vec<u64>> {
        let mut passed = vec![0_u64; targets.len()];
        self.kernel.each_flow(|key, counters| {
            for (target, passed) in targets.iter().zip(&mut passed) {
                if target.covers(key, counters.home) {
                    *passed += passed_packets(counters);
                }
            }
        })?;
        Ok(passed)
    }

    fn observe_flow(
        &mut self,
        key: &FlowKey,
        counters: &FlowCounters,
        cause: Cause,
        act: &mut Act<'_>,
    ) -> anyhow::Result<()> {
        self.observe(Observation::Flow { key, counters, cause }, act)
    }

    fn observe(&mut self, observation: Observation<'_>, act: &mut Act<'_>) -> anyhow::Result<()> {
        let outputs: Vec<Output> = self.pipeline.observe(&observation, &self.base).collect();
        self.hand_over(outputs, act)
    }

    fn hand_over(&mut self, outputs: Vec<Output>, act: &mut Act<'_>) -> anyhow::Result<()> {
        outputs.into_iter().try_for_each(|output| act(self, Finding::Scored(output)))
    }
}

fn passed_packets(counters: &FlowCounters) -> u64 {
    counters.halves.iter().map(|half| half.packets.saturating_sub(half.dropped_packets)).sum()
}

/// Says what is not seen of sockets that go past the programs.
fn log_sight(sight: Result<Sight, &str>) {
    match sight {
        Ok(sight) => {
            let gap = sight.gap();
            gap.into_iter().for_each(|gap| tracing::info!("sockets past the programs: {gap}"));
        }
        Err(error) => tracing::warn!("sockets past the programs are not seen: {error}"),
    }
}

/// Says what became of an interface.
pub(super) fn log_interface(change: &Change) {
    match change {
        Change::Attached { name, how, reasons } => {
            tracing::info!("watching {name}: {how}");
            for reason in reasons {
                tracing::info!("{name}: {reason}");
            }
        }
        Change::Gone { name } => tracing::warn!("interface {name} is gone"),
        Change::Failed { name, error } => tracing::error!("failed to watch {name}: {error:#}"),
    }
}
