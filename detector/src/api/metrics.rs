//! The figures of the status in Prometheus' text format, version 0.0.4.

use axum::extract::State;
use axum::http::header;
use axum::response::IntoResponse;
use utoipa_axum::routes;

use super::status;
use super::{App, Routes};
use crate::status::{StatusBody, StoreStateName};

pub(super) fn routes() -> Routes {
    Routes::default().read(routes!(metrics))
}

/// Figures for Prometheus
#[utoipa::path(
    get, path = "/metrics", tag = "Service",
    responses((status = OK, description = "Text, version 0.0.4", body = String,
        content_type = "text/plain; version=0.0.4; charset=utf-8"))
)]
async fn metrics(State(app): State<App>) -> impl IntoResponse {
    let kind = "text/plain; version=0.0.4; charset=utf-8";
    ([(header::CONTENT_TYPE, kind)], text(&status::current(&app)))
}

/// The lines of a page.
#[derive(Default)]
struct Page(String);

impl Page {
    fn family(&mut self, name: &str, kind: &str, help: &str) {
        self.0.push_str(&format!("# HELP detector_{name} {help}\n# TYPE detector_{name} {kind}\n"));
    }

    fn line(&mut self, name: &str, labels: &[(&str, &str)], value: f64) {
        let labels: Vec<String> =
            labels.iter().map(|(label, value)| format!("{label}=\"{}\"", escaped(value))).collect();
        let labels =
            if labels.is_empty() { String::new() } else { format!("{{{}}}", labels.join(",")) };
        self.0.push_str(&format!("detector_{name}{labels} {value}\n"));
    }

    fn single(&mut self, name: &str, kind: &str, help: &str, value: f64) {
        self.family(name, kind, help);
        self.line(name, &[], value);
    }
}

fn escaped(value: &str) -> String {
    value.replace('\\', "\\\\").replace('"', "\\\"").replace('\n', "\\n")
}

fn text(status: &StatusBody) -> String {
    let mut page = Page::default();
    page.family("build_info", "gauge", "The program's version.");
    page.line("build_info", &[("version", &status.version)], 1.0);
    let capturing = f64::from(u8::from(status.capturing));
    page.single("capturing", "gauge", "Whether an agent watches interfaces.", capturing);
    page.single("uptime_seconds", "gauge", "Since the start.", status.uptime_secs as f64);
    page.family("mode", "gauge", "1 for the mode that the agent is in.");
    for mode in ["observe", "simulate", "block"] {
        let is = status.mode.is_some_and(|own| own.to_string() == mode);
        page.line("mode", &[("mode", mode)], f64::from(u8::from(is)));
    }
    traffic(&mut page, status);
    alerts(&mut page, status);
    store(&mut page, status);
    page.0
}

fn traffic(page: &mut Page, status: &StatusBody) {
    let rates = &status.rates;
    page.single("packets_per_second", "gauge", "Packets in the last second.", rates.packets);
    page.family("bytes_per_second", "gauge", "IP bytes in the last second, by direction.");
    page.line("bytes_per_second", &[("direction", "out")], rates.bytes_out);
    page.line("bytes_per_second", &[("direction", "in")], rates.bytes_in);
    page.single("flows", "gauge", "Flows that are counted now.", status.flows as f64);
    page.single("interfaces", "gauge", "Interfaces that are watched.", status.interfaces as f64);
    let coverage = &status.coverage;
    page.family("seen_bytes_total", "counter", "Bytes that interfaces carried.");
    page.line("seen_bytes_total", &[], coverage.seen_bytes as f64);
    page.family("unaccounted_bytes_total", "counter", "Bytes that no counter explains.");
    page.line("unaccounted_bytes_total", &[], coverage.unaccounted_bytes as f64);
    page.family("lost_total", "counter", "What was not seen, kept or told, by reason.");
    for loss in &status.loss {
        page.line("lost_total", &[("reason", &loss.name)], loss.count as f64);
    }
    page.family("table_used", "gauge", "Entries of the kernel's tables.");
    for table in &status.tables {
        page.line("table_used", &[("table", &table.name)], table.used as f64);
    }
    page.family("table_capacity", "gauge", "Entries that the kernel's tables have room for.");
    for table in &status.tables {
        page.line("table_capacity", &[("table", &table.name)], table.capacity as f64);
    }
}

fn alerts(page: &mut Page, status: &StatusBody) {
    let counts = &status.alerts;
    page.family("alerts", "gauge", "Alerts that are open, by severity.");
    let by = &counts.by_severity;
    for (severity, count) in
        [("low", by.low), ("medium", by.medium), ("high", by.high), ("critical", by.critical)]
    {
        page.line("alerts", &[("severity", severity)], count as f64);
    }
    page.single(
        "alerts_acknowledged",
        "gauge",
        "Alerts that somebody has seen.",
        counts.acknowledged as f64,
    );
    page.single("alerts_last_day", "gauge", "Alerts of 24 hours.", counts.last_24h as f64);
    page.single("blocks", "gauge", "Blocks that stand.", status.blocks as f64);
    page.family("baselines", "gauge", "Hosts whose habits are known, or being learned.");
    page.line("baselines", &[("state", "ready")], status.baselines.ready as f64);
    page.line("baselines", &[("state", "learning")], status.baselines.learning as f64);
}

fn store(page: &mut Page, status: &StatusBody) {
    let store = &status.store;
    let ok = f64::from(u8::from(store.state == StoreStateName::Ok));
    page.single("store_ok", "gauge", "Whether the database can be written to.", ok);
    page.single("store_bytes", "gauge", "The database's size.", store.bytes as f64);
    page.family("not_stored_total", "counter", "What could not be stored and was given up.");
    for lost in &store.not_stored {
        page.line("not_stored_total", &[("what", &lost.name)], lost.count as f64);
    }
    for (name, kind, help) in [
        ("sink_queued", "gauge", "What waits to be told."),
        ("sink_sent_total", "counter", "What was told."),
        ("sink_failed_total", "counter", "What could not be told."),
        ("sink_dropped_total", "counter", "What there was no room for."),
    ] {
        page.family(name, kind, help);
        for sink in &status.sinks {
            let value = match name {
                "sink_queued" => sink.queued,
                "sink_sent_total" => sink.sent,
                "sink_failed_total" => sink.failed,
                _ => sink.dropped,
            };
            page.line(name, &[("sink", &sink.name)], value as f64);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::status::Loss;

    #[test]
    fn every_figure_has_its_help_and_type() {
        let loss = vec![Loss { name: "a\"b\\c".into(), count: 4, text: String::new() }];
        let page = text(&StatusBody { loss, flows: 7, ..StatusBody::default() });
        assert!(page.contains("\ndetector_lost_total{reason=\"a\\\"b\\\\c\"} 4\n"), "{page}");
        assert!(page.contains("\ndetector_flows 7\n"), "{page}");
        for line in page.lines().filter(|line| !line.starts_with('#')) {
            let name = line.split(['{', ' ']).next().unwrap();
            for word in ["HELP", "TYPE"] {
                assert_eq!(page.matches(&format!("# {word} {name} ")).count(), 1, "{line}");
            }
            assert!(line.rsplit(' ').next().unwrap().parse::<f64>().is_ok(), "{line}");
        }
    }
}
