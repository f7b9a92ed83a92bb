//! The status of each second: a line for a terminal, a body for programs.

use std::sync::Arc;

use super::outbound::outbound;
use super::{Observed, Previous, Reporter, skipped};
use crate::clock;
use crate::control::StatusReply;
use crate::output::Event;
use crate::status::{Baselines, Coverage, Loss, Rates, Status, StatusBody, StatusLine, Totals};
use crate::units::{counted, rfc3339};

/// What the status says of the policy.
pub(in crate::agent) struct PolicyStatus {
    /// As a command would be answered.
    pub(in crate::agent) reply: StatusReply,
    pub(in crate::agent) blocks: u64,
    pub(in crate::agent) audit_records_lost: u64,
}

impl Reporter {
    /// Gives the outputs the status of this second.
    pub(in crate::agent) fn report_status(
        &mut self,
        observed: &Observed<'_>,
        policy: PolicyStatus,
    ) {
        let rates = self.rates(observed);
        let line = self.line(observed, &policy.reply, &rates);
        let body = self.body(observed, policy, &line, rates);
        self.outputs.give(&Event::Status(Arc::new(Status { line, body })));
    }

    fn rates(&mut self, observed: &Observed<'_>) -> Rates {
        let frames = &observed.accounting.totals.frames;
        let now = Previous {
            frames: frames.packets,
            bytes: frames.bytes,
            bytes_out: observed.counts.bytes_out,
            bytes_in: observed.counts.bytes_in,
            bytes_stopped: observed.counts.bytes_stopped,
        };
        let before = std::mem::replace(&mut self.previous, now);
        let seconds = self.interval.as_secs_f64();
        let rate = |now: u64, before: u64| now.saturating_sub(before) as f64 / seconds;
        Rates {
            packets: rate(now.frames, before.frames),
            bytes: rate(now.bytes, before.bytes),
            bytes_out: rate(now.bytes_out, before.bytes_out),
            bytes_in: rate(now.bytes_in, before.bytes_in),
            bytes_stopped: rate(now.bytes_stopped, before.bytes_stopped),
        }
    }

    fn line(&self, observed: &Observed<'_>, reply: &StatusReply, rates: &Rates) -> StatusLine {
        let accounting = observed.accounting;
        let totals = &accounting.totals;
        let baselines = observed.pipeline.baselines();
        StatusLine {
            packets_per_second: rates.packets,
            bytes_per_second: rates.bytes,
            flows: u64::from(accounting.live_flows),
            alerts: observed.alerts(),
            baselines_ready: baselines.hosts_ready,
            baselines_learning: baselines.hosts_learning,
            days_left: baselines.days_left,
            interfaces: reply.interfaces.len() as u64,
            overflow_bytes: totals.overflow.bytes,
            events_lost: totals.events_lost,
            first_payloads_refused: totals.first_payloads_refused,
            skipped: skipped(accounting).values().sum(),
            dropped_packets: totals.dropped.packets,
            simulated_packets: totals.simulated.packets,
            held_packets: totals.held.packets,
            output_lines_dropped: self.output_lines_dropped(),
        }
    }

    fn body(
        &self,
        observed: &Observed<'_>,
        policy: PolicyStatus,
        line: &StatusLine,
        rates: Rates,
    ) -> StatusBody {
        let PolicyStatus { reply, blocks, audit_records_lost } = policy;
        let uptime = self.started.elapsed();
        let uptime_ns = u64::try_from(uptime.as_nanos()).unwrap_or(u64::MAX);
        let learning = line.baselines_learning != 0;
        let left = line.days_left.filter(|_| learning);
        StatusBody {
            version: reply.version,
            mode: Some(reply.mode),
            capturing: true,
            started: rfc3339(clock::now_ns().saturating_sub(uptime_ns)),
            uptime_secs: uptime.as_secs(),
            rates,
            totals: Totals {
                packets: observed.accounting.totals.frames.packets,
                bytes_out: observed.counts.bytes_out,
                bytes_in: observed.counts.bytes_in,
                bytes_attempted: observed.counts.bytes_out + observed.counts.bytes_stopped,
                bytes_stopped: observed.counts.bytes_stopped,
            },
            flows: line.flows,
            interfaces: line.interfaces,
            coverage: coverage(observed),
            outbound: outbound(observed.pipeline.mode().ledger(), observed.now.ns()),
            loss: losses(observed, line, audit_records_lost),
            baselines: Baselines {
                ready: line.baselines_ready,
                learning: line.baselines_learning,
                days_left: line.days_left,
            },
            blocks,
            pending: reply.pending,
            tables: reply.tables,
            learning: left
                .map(|days| format!("learning, ready in {}", counted(days.into(), "day"))),
            ..StatusBody::default()
        }
    }
}

fn coverage(observed: &Observed<'_>) -> Coverage {
    let seen_bytes = observed.accounting.totals.frames.bytes;
    let unaccounted_bytes = observed.accounting.unaccounted_bytes.unsigned_abs();
    let accounted_bytes = seen_bytes.saturating_sub(unaccounted_bytes);
    Coverage {
        seen_bytes,
        accounted_bytes,
        unaccounted_bytes,
        ratio: (seen_bytes != 0).then(|| accounted_bytes as f64 / seen_bytes as f64),
    }
}

/// What was not seen, kept or reported whole, with what that means; what is 0 is left out.
fn losses(observed: &Observed<'_>, line: &StatusLine, audit_records_lost: u64) -> Vec<Loss> {
    let known = [
        (
            "events_lost",
            line.events_lost,
            "events lost because the ring buffer was full: the verdict came at the next poll",
        ),
        (
            "payload_samples_skipped",
            line.first_payloads_refused,
            "payload samples skipped because of payload_samples.per_second",
        ),
        (
            "overflow_bytes",
            line.overflow_bytes,
            "bytes counted by host and not by flow because the flow table was full",
        ),
        (
            "output_lines_dropped",
            line.output_lines_dropped,
            "output lines dropped because standard output was too slow",
        ),
        (
            "audit_records_lost",
            audit_records_lost,
            "records that the agent failed to write to the audit log",
        ),
        (
            "unaccounted_bytes",
            observed.accounting.unaccounted_bytes.unsigned_abs(),
            "bytes that are in no flow and no counter: please report this",
        ),
        (
            "alerts_not_followed",
            observed.alerts_forgotten,
            "alerts to which a later block is not added: more than 4,096 came within a day",
        ),
    ];
    let [sockets, not_reported, out_of_place] = observed.bypasses.counters();
    let past = [
        (
            sockets.0,
            sockets.1,
            "sockets of processes that send past the programs: see the alerts of technique \
             monitor_bypass",
        ),
        (
            not_reported.0,
            not_reported.1,
            "sockets that send past the programs and were not reported: too many at a time",
        ),
        (
            out_of_place.0,
            out_of_place.1,
            "times a program was not where it was attached: see the alerts of technique \
             monitor_bypass",
        ),
    ];
    let left_out = observed.counts.left_out().map(|(name, count)| {
        (name, count, "skipped or evicted to stay within the configured limits")
    });
    known
        .into_iter()
        .chain(past)
        .chain(left_out)
        .filter(|(_, count, _)| *count != 0)
        .map(|(name, count, text)| Loss { name: name.to_owned(), count, text: text.to_owned() })
        .collect()
}
