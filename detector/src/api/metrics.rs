//! The figures of the status for Prometheus: counters of what has happened, from which Prometheus
//! makes rates, and gauges of what is.

use std::fmt;

use axum::extract::State;
use axum::http::header;
use axum::response::IntoResponse;
use prometheus_client::collector::Collector;
use prometheus_client::encoding::prometheus_text::{CONTENT_TYPE, encode};
use prometheus_client::encoding::{DescriptorEncoder, EncodeGaugeValue, EncodeMetric};
use prometheus_client::metrics::MetricType;
use prometheus_client::metrics::counter::ConstCounter;
use prometheus_client::metrics::gauge::ConstGauge;
use prometheus_client::registry::Registry;
use utoipa_axum::routes;

use super::problem::Problem;
use super::status;
use super::{App, Routes};
use crate::status::{SinkHealth, SinkState, StatusBody, StoreStateName};

pub(super) fn routes() -> Routes {
    Routes::default().read(routes!(metrics))
}

/// Metrics for Prometheus
#[utoipa::path(
    get, path = "/metrics", tag = "Service",
    responses((status = OK, description = "Metrics in Prometheus's text format, version 0.0.4",
        body = String,
        content_type = "text/plain; version=0.0.4; charset=utf-8"))
)]
async fn metrics(State(app): State<App>) -> Result<impl IntoResponse, Problem> {
    let text = text(status::current(&app)).map_err(anyhow::Error::new)?;
    Ok(([(header::CONTENT_TYPE, CONTENT_TYPE)], text))
}

fn text(status: StatusBody) -> Result<String, fmt::Error> {
    let mut registry = Registry::with_prefix("detector");
    registry.register_collector(Box::new(Figures(status)));
    let mut text = String::new();
    encode(&mut text, &registry)?;
    Ok(text)
}

/// The status, read once for each page.
#[derive(Debug)]
struct Figures(StatusBody);

impl Collector for Figures {
    fn encode(&self, encoder: DescriptorEncoder) -> fmt::Result {
        let mut page = Page(encoder);
        agent(&mut page, &self.0)?;
        traffic(&mut page, &self.0)?;
        losses(&mut page, &self.0)?;
        alerts(&mut page, &self.0)?;
        store(&mut page, &self.0)?;
        sinks(&mut page, &self.0.sinks)
    }
}

/// Writes families; `_total` is added to the names of counters.
struct Page<'a>(DescriptorEncoder<'a>);

impl Page<'_> {
    fn gauge(&mut self, name: &str, help: &str, value: impl EncodeGaugeValue) -> fmt::Result {
        let gauge = ConstGauge::new(value);
        gauge.encode(self.0.encode_descriptor(name, help, None, MetricType::Gauge)?)
    }

    fn counter(&mut self, name: &str, help: &str, value: u64) -> fmt::Result {
        let counter = ConstCounter::new(value);
        counter.encode(self.0.encode_descriptor(name, help, None, MetricType::Counter)?)
    }

    /// One gauge for each value of a label.
    fn gauges<'v>(
        &mut self,
        name: &str,
        help: &str,
        label: &str,
        values: impl IntoIterator<Item = (&'v str, u64)>,
    ) -> fmt::Result {
        let mut family = self.0.encode_descriptor(name, help, None, MetricType::Gauge)?;
        values.into_iter().try_for_each(|(which, value)| {
            ConstGauge::new(value).encode(family.encode_family(&[(label, which)])?)
        })
    }

    /// One counter for each value of a label.
    fn counters<'v>(
        &mut self,
        name: &str,
        help: &str,
        label: &str,
        values: impl IntoIterator<Item = (&'v str, u64)>,
    ) -> fmt::Result {
        let mut family = self.0.encode_descriptor(name, help, None, MetricType::Counter)?;
        values.into_iter().try_for_each(|(which, value)| {
            ConstCounter::new(value).encode(family.encode_family(&[(label, which)])?)
        })
    }
}

fn agent(page: &mut Page<'_>, status: &StatusBody) -> fmt::Result {
    let help = "The version of the program.";
    let mut build = page.0.encode_descriptor("build", help, None, MetricType::Info)?;
    build.encode_info(&[("version", status.version.as_str())])?;
    let help = "1 while the agent watches interfaces.";
    page.gauge("capturing", help, u64::from(status.capturing))?;
    page.gauge("uptime_seconds", "Seconds since the agent started.", status.uptime_secs)?;
    let own = status.mode.map(|mode| mode.to_string());
    let modes = ["observe", "simulate", "block"]
        .map(|mode| (mode, u64::from(own.as_deref() == Some(mode))));
    page.gauges("mode", "1 for the agent's current mode.", "mode", modes)
}

fn traffic(page: &mut Page<'_>, status: &StatusBody) -> fmt::Result {
    let totals = &status.totals;
    page.counter("packets", "Packets that the agent saw.", totals.packets)?;
    let directions = [("out", totals.bytes_out), ("in", totals.bytes_in)];
    let help = "IP bytes of flows, by direction as seen from the internal host.";
    page.counters("bytes", help, "direction", directions)?;
    page.gauge("flows", "Flows that are active.", status.flows)?;
    page.gauge("interfaces", "Interfaces that the agent watches.", status.interfaces)?;
    let coverage = &status.coverage;
    page.counter("seen_bytes", "Bytes of all frames that the agent saw.", coverage.seen_bytes)?;
    let help = "Bytes that belong to no flow and no counter.";
    page.counter("unaccounted_bytes", help, coverage.unaccounted_bytes)
}

fn losses(page: &mut Page<'_>, status: &StatusBody) -> fmt::Result {
    let loss = status.loss.iter().map(|loss| (loss.name.as_str(), loss.count));
    page.counters("lost", "Losses by reason.", "reason", loss)?;
    let tables = || status.tables.iter();
    let used = tables().map(|table| (table.name.as_str(), table.used));
    page.gauges("table_used", "Entries in each kernel table.", "table", used)?;
    let capacity = tables().map(|table| (table.name.as_str(), table.capacity));
    page.gauges("table_capacity", "Capacity of each kernel table.", "table", capacity)
}

fn alerts(page: &mut Page<'_>, status: &StatusBody) -> fmt::Result {
    let counts = &status.alerts;
    let by = &counts.by_severity;
    let open =
        [("low", by.low), ("medium", by.medium), ("high", by.high), ("critical", by.critical)];
    page.gauges("alerts", "Open alerts by severity.", "severity", open)?;
    page.gauge("alerts_acknowledged", "Acknowledged alerts.", counts.acknowledged)?;
    page.gauge("alerts_last_day", "Alerts of the last 24 hours.", counts.last_24h)?;
    page.gauge("blocks", "Active blocks.", status.blocks)?;
    let baselines = [("ready", status.baselines.ready), ("learning", status.baselines.learning)];
    page.gauges("baselines", "Hosts by the state of their baseline.", "state", baselines)
}

fn store(page: &mut Page<'_>, status: &StatusBody) -> fmt::Result {
    let store = &status.store;
    let ok = u64::from(store.state == StoreStateName::Ok);
    page.gauge("store_ok", "1 while the agent can write to the database.", ok)?;
    page.gauge("store_bytes", "Size of the database.", store.bytes)?;
    let lost = store.not_stored.iter().map(|lost| (lost.name.as_str(), lost.count));
    page.counters("not_stored", "Records that the agent failed to store.", "what", lost)
}

fn sinks(page: &mut Page<'_>, sinks: &[SinkState]) -> fmt::Result {
    let each = |value: fn(&SinkState) -> u64| {
        sinks.iter().map(move |sink| (sink.name.as_str(), value(sink)))
    };
    page.gauges("sink_queued", "Records that wait in each output.", "sink", each(|s| s.queued))?;
    let ok = each(|s| u64::from(s.state != SinkHealth::Failing));
    page.gauges("sink_ok", "1 unless the latest attempt of the output failed.", "sink", ok)?;
    page.counters("sink_sent", "Records that each output wrote.", "sink", each(|s| s.sent))?;
    page.counters(
        "sink_failed",
        "Records that an output failed to write and gave up.",
        "sink",
        each(|s| s.failed),
    )?;
    let help = "Failed attempts of an output that it retried.";
    page.counters("sink_retried", help, "sink", each(|s| s.retried))?;
    let help = "Records dropped because an output was too slow.";
    page.counters("sink_dropped", help, "sink", each(|s| s.dropped))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::status::{Loss, Totals};

    #[test]
    fn every_figure_has_its_help_and_type() {
        let loss = vec![Loss { name: "a\"b\\c".into(), count: 4, text: String::new() }];
        let totals = Totals { packets: 9, bytes_out: 5, bytes_in: 6, ..Totals::default() };
        let page = text(StatusBody { loss, totals, flows: 7, ..StatusBody::default() }).unwrap();
        assert!(page.contains("\ndetector_lost_total{reason=\"a\\\"b\\\\c\"} 4\n"), "{page}");
        assert!(page.contains("\ndetector_flows 7\n"), "{page}");
        assert!(page.contains("\ndetector_packets_total 9\n"), "{page}");
        assert!(page.contains("\ndetector_bytes_total{direction=\"out\"} 5\n"), "{page}");
        assert!(page.contains("detector_build_info{version=\"\"} 1\n"), "{page}");
        for line in page.lines().filter(|line| !line.starts_with('#')) {
            let name = line.split(['{', ' ']).next().unwrap();
            for word in ["HELP", "TYPE"] {
                assert_eq!(page.matches(&format!("# {word} {name} ")).count(), 1, "{line}");
            }
            assert!(line.rsplit(' ').next().unwrap().parse::<f64>().is_ok(), "{line}");
            let is_counter = page.contains(&format!("# TYPE {name} counter"));
            assert_eq!(name.ends_with("_total"), is_counter, "{line}");
        }
    }
}
