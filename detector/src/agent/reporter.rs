//! What the agent says of itself each second, for pages that look on.

use super::Agent;
use crate::clock;
use crate::control::Answer;
use crate::response::ChangeKind;
use crate::status::bus::{Bus, PageEvent, Topic};
use crate::status::{Baselines, Coverage, Loss, Rates, StatusBody, StatusLine, Totals};
use crate::units::rfc3339;

impl Agent {
    /// Publishes how it is doing; `status` is what was just found.
    pub(super) fn publish(&mut self, status: &StatusLine) -> anyhow::Result<()> {
        let now_ns = self.sensor.now_ns()?;
        let Answer::Status(reply) = self.status_reply(now_ns)? else { return Ok(()) };
        let accounting = self.sensor.kernel.accounting()?;
        let totals = &accounting.totals;
        let counts = self.sensor.tracker.counts();
        let seconds = self.poll_interval.as_secs_f64();
        let (sent, received) =
            std::mem::replace(&mut self.rate.directions, (counts.bytes_out, counts.bytes_in));
        let rate = |now: u64, before: u64| now.saturating_sub(before) as f64 / seconds;
        let seen_bytes = totals.frames.bytes;
        let unaccounted_bytes = accounting.unaccounted_bytes.unsigned_abs();
        let accounted_bytes = seen_bytes.saturating_sub(unaccounted_bytes);
        let uptime = self.started.elapsed();
        let uptime_ns = u64::try_from(uptime.as_nanos()).unwrap_or(u64::MAX);
        let learning = status.baselines_learning != 0;
        let left = status.days_left.filter(|_| learning);
        self.bus.publish_status(StatusBody {
            version: reply.version,
            mode: Some(reply.mode),
            capturing: true,
            started: rfc3339(clock::now_ns().saturating_sub(uptime_ns)),
            uptime_secs: uptime.as_secs(),
            rates: Rates {
                packets: status.packets_per_second,
                bytes: status.bytes_per_second,
                bytes_out: rate(counts.bytes_out, sent),
                bytes_in: rate(counts.bytes_in, received),
            },
            totals: Totals {
                packets: totals.frames.packets,
                bytes_out: counts.bytes_out,
                bytes_in: counts.bytes_in,
            },
            flows: status.flows,
            interfaces: status.interfaces,
            coverage: Coverage {
                seen_bytes,
                accounted_bytes,
                unaccounted_bytes,
                ratio: (seen_bytes != 0).then(|| accounted_bytes as f64 / seen_bytes as f64),
            },
            loss: self.losses(status),
            baselines: Baselines {
                ready: status.baselines_ready,
                learning: status.baselines_learning,
                days_left: status.days_left,
            },
            blocks: self.responder.blocks() as u64,
            pending: reply.pending,
            tables: reply.tables,
            learning: left.map(|days| format!("learning, ready in {days} days")),
            ..StatusBody::default()
        });
        Ok(())
    }

    /// What was not seen, kept or told whole, with what that means; what is 0 is left out.
    fn losses(&self, status: &StatusLine) -> Vec<Loss> {
        let counts = self.sensor.tracker.counts();
        let known = [
            (
                "events_lost",
                status.events_lost,
                "events that the ring buffer had no room for: a verdict comes at the next poll",
            ),
            (
                "heads_over_budget",
                status.first_payloads_refused,
                "first payloads not looked at: heads.per_second is spent",
            ),
            (
                "overflow_bytes",
                status.overflow_bytes,
                "bytes counted by host and not by flow: the flow table was full",
            ),
            (
                "output_lines_dropped",
                status.output_lines_dropped,
                "lines that standard output was too slow for",
            ),
            (
                "audit_records_lost",
                self.responder.records_lost(),
                "records that the audit log could not take",
            ),
        ];
        let left_out = counts.left_out().map(|(name, count)| {
            (name, count, "left out or forgotten to stay within the configured bounds")
        });
        known
            .into_iter()
            .chain(left_out)
            .filter(|(_, count, _)| *count != 0)
            .map(|(name, count, text)| Loss { name: name.to_owned(), count, text: text.to_owned() })
            .collect()
    }
}

/// Tells pages that something is no longer as it was.
pub(super) fn say_changed(bus: &Bus, kind: ChangeKind) {
    bus.emit(PageEvent::change(topic(kind), None));
}

/// The page that shows what a change is about. A confirmation may be of anything: its blocks are the
/// most that it can be about.
fn topic(kind: ChangeKind) -> Topic {
    match kind {
        ChangeKind::Allowed | ChangeKind::Disallowed => Topic::Allow,
        ChangeKind::Mode => Topic::Mode,
        ChangeKind::Placed
        | ChangeKind::Extended
        | ChangeKind::Released
        | ChangeKind::Expired
        | ChangeKind::Suspended
        | ChangeKind::Replaced
        | ChangeKind::Flushed
        | ChangeKind::Confirmed
        | ChangeKind::Reverted
        | ChangeKind::Adopted
        | ChangeKind::BudgetRaised
        | ChangeKind::Refused
        | ChangeKind::Started
        | ChangeKind::Stopped
        | ChangeKind::Reloaded => Topic::Blocks,
    }
}
