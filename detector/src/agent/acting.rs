//! Acting on what the sensor comes to: the responder decides, the alert says what was done, the reporter
//! passes it on. A change of blocks is added to every alert whose traffic it concerns.

use detector_common::FlowKey;
use detector_common::policy::BudgetKey;

use super::reported::ReportedAlerts;
use super::reporter::Reporter;
use super::responder::Responder;
use super::sensor::Sensor;
use crate::pipeline::Output;
use crate::response::BlockRequest;
use crate::response::policy_state::FlaggedFlow;
use crate::verdict::{Alert, AlertId};

/// Who acts. The sensor, which has the kernel, is lent.
pub(super) struct Acting<'a> {
    pub(super) responder: &'a mut Responder,
    pub(super) reported: &'a mut ReportedAlerts,
    pub(super) reporter: &'a mut Reporter,
}

impl Acting<'_> {
    /// Carries out and passes on what the sensor came to.
    pub(super) fn act(&mut self, output: Output, sensor: &mut Sensor) -> anyhow::Result<()> {
        match output {
            Output::Alert { alert, block_request, flow } => {
                self.alert(alert, block_request.as_deref(), flow, sensor)?;
            }
            Output::AlertEnded { alert, sent, received } => {
                self.reported.ended(alert, &sent, &received);
            }
            Output::Again(block_request) => {
                let now = sensor.now()?;
                self.responder.respond_again(&block_request, now, &mut sensor.kernel);
            }
            Output::Budget { src, dst, payload_bytes, budget_verdict } => {
                let kernel = &mut sensor.kernel;
                self.responder.scored((src, dst), payload_bytes, budget_verdict, kernel);
            }
            Output::Flow(record) => self.reporter.flow(record),
            Output::Scored { score, totals } => self.reporter.scored(score, totals.as_deref()),
            Output::Ended(totals) => self.reporter.session_ended(&totals),
            // Nobody asks for rows.
            Output::Row(_) => {}
        }
        Ok(())
    }

    fn alert(
        &mut self,
        mut alert: Box<Alert>,
        block_request: Option<&BlockRequest>,
        flow: FlowKey,
        sensor: &mut Sensor,
    ) -> anyhow::Result<()> {
        let now = sensor.now()?;
        self.responder.respond(&mut alert, block_request, now, &mut sensor.kernel);
        // Before the alert, which says itself what was done about it at first.
        self.report_changes(sensor)?;
        let Alert { id, src, dst, dst_port, .. } = *alert;
        let flagged = FlaggedFlow { src, dst, dst_port, flow };
        let stop = self.responder.stop_of(id, &flagged, now, &mut sensor.kernel)?;
        let carried = if stop.is_some() { sensor.carried_now(&alert, &flow)? } else { None };
        self.reporter.alert(self.reported.report(alert, flagged, stop, carried, now));
        Ok(())
    }

    /// The kernel holds a pair: alerts about it say so.
    pub(super) fn budget_spent(
        &mut self,
        key: BudgetKey,
        sensor: &mut Sensor,
    ) -> anyhow::Result<()> {
        self.responder.budget_spent(key);
        let between = self.reported.between(key.home.into(), key.destination.into());
        self.amend(sensor, &between)
    }

    /// Passes on what the responder has changed, and adds it to the alerts that it concerns.
    pub(super) fn report_changes(&mut self, sensor: &mut Sensor) -> anyhow::Result<()> {
        let changes = self.responder.take_changes();
        if changes.is_empty() {
            return Ok(());
        }
        let concerned = self.reported.concerned(&changes);
        changes.into_iter().for_each(|change| self.reporter.change(change));
        self.amend(sensor, &concerned)
    }

    /// Reports again those of the alerts whose traffic something else drops than before.
    pub(super) fn amend(&mut self, sensor: &mut Sensor, ids: &[AlertId]) -> anyhow::Result<()> {
        for id in ids {
            let Some((alert, flagged)) = self.reported.get(*id) else { continue };
            let now = sensor.now()?;
            let stop = self.responder.stop_of(*id, &flagged, now, &mut sensor.kernel)?;
            if !self.reported.is_news(*id, stop.as_ref()) {
                continue;
            }
            let carried = sensor.carried_now(&alert, &flagged.flow)?;
            drop(alert);
            let amended = self.reported.amend(*id, stop, carried, now);
            amended.into_iter().for_each(|alert| self.reporter.alert(alert));
        }
        Ok(())
    }
}
