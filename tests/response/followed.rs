//! What an alert says of the blocks of its traffic: of its own, of a person's, of a budget's; of their end.

use std::time::Duration;

use detector_tests::Topology;
use detector_tests::poll_until;
use detector_tests::watch::{HOME, Report, START, Watch, number, sink};
use serde_json::Value;

use super::{CLIENT_V4, V4, counted, spawn};

const SIZE: &str = "40000000000";

/// What was said so far of the first alert: a revision never comes twice, and what was said of the beginning
/// stays.
fn alerts(watch: &Watch) -> Vec<Value> {
    let alerts = of_the_first(&Report::read(&watch.process.output()));
    for pair in alerts.windows(2) {
        let (old, new) = (&pair[0], &pair[1]);
        assert!(number(new, "revision") > number(old, "revision"), "{old}\n{new}");
        for field in ["id", "bytes_leaked", "seconds_to_detect", "first_seen"] {
            assert_eq!(old[field], new[field], "{field}: {old}\n{new}");
        }
        if !old["bytes_leaked_before_block"].is_null() {
            for field in ["bytes_leaked_before_block", "blocked_at"] {
                assert_eq!(old[field], new[field], "{field}: {old}\n{new}");
            }
        }
    }
    for alert in &alerts {
        let sum = number(alert, "bytes_out") + number(alert, "bytes_stopped");
        assert_eq!(number(alert, "bytes_attempted"), sum, "{alert}");
    }
    alerts
}

/// How fast a machine sends decides whether that is one of bytes without an explanation, with another after it.
fn of_the_first(report: &Report) -> Vec<Value> {
    let first = report.of("alert").next();
    report.of("alert").filter(|alert| alert["id"] == first.unwrap()["id"]).cloned().collect()
}

/// Waits for an alert of which this is true.
fn until(watch: &Watch, what: &str, is: impl Fn(&Value) -> bool) -> Value {
    poll_until(START, || alerts(watch).into_iter().rev().find(&is))
        .unwrap_or_else(|error| panic!("{what}: {error:#}\n{}", watch.process.output()))
}

fn is_blocked(alert: &Value) -> bool {
    alert["action"] == "blocked" && alert["block_ended"].is_null()
}

fn has_ended(alert: &Value) -> bool {
    alert["action"] == "blocked" && !alert["block_ended"].is_null()
}

/// A person blocks what an alert is about, in modes that block nothing by themselves, and lets it go.
#[test]
#[ignore = "needs root: run cargo xtask test"]
fn an_alert_shows_a_persons_block_and_its_end() {
    for mode in ["observe", "simulate"] {
        let topology = Topology::simple().unwrap();
        let sink = sink(topology.server());
        let (client, gateway) = (&topology.client, &topology.gateway);
        let watch = Watch::start(gateway, &[Topology::GATEWAY_INNER], &["--mode", mode], HOME);
        let _theft = spawn(client, &["stream", V4, SIZE]);
        until(&watch, "alert", |alert| alert["action"] != "blocked");
        watch.ask(gateway, &["blocks", "add", "pair", CLIENT_V4, V4, "--ttl", "1m"]);
        let blocked = until(&watch, "block", is_blocked);
        let note = format!("pair {CLIENT_V4} {V4}, by uid 0 (root)");
        assert_eq!(blocked["action_note"], note, "{mode}: {blocked}");
        std::thread::sleep(Duration::from_millis(1_500));
        let came = counted(&sink, &format!("at {V4} sum "));
        let left = number(&blocked, "bytes_leaked_before_block");
        // Payload came; headers of some 1,500 packets and what was sent again are in what left.
        assert!(left >= came && left < came + came / 5, "{mode}: {left} left, {came} came");
        let last = alerts(&watch).pop().unwrap();
        assert!(
            number(&last, "bytes_out") < left + 1_000_000,
            "{mode}: what was dropped is no growth"
        );
        watch.ask(gateway, &["blocks", "remove", "pair", CLIENT_V4, V4]);
        let ended = until(&watch, "end", has_ended);
        assert!(number(&ended, "bytes_stopped") > 0, "{mode}: {ended}");
        let report = watch.stop();
        report.assert_all_accounted();
        let flow = |field| report.sum("tcp", V4, field);
        assert!(flow("dropped_out") > 0, "{mode}");
        assert_eq!(flow("attempted_out"), flow("bytes_out") + flow("dropped_out"), "{mode}");
    }
}

/// The agent's own block: what left before it is all that left, and its end is the agent's end.
#[test]
#[ignore = "needs root: run cargo xtask test"]
fn an_alert_counts_what_left_and_not_what_was_stopped() {
    let topology = Topology::simple().unwrap();
    let sink = sink(topology.server());
    let inner = [Topology::GATEWAY_INNER];
    let watch = Watch::start(&topology.gateway, &inner, &["--mode", "block"], HOME);
    let _theft = spawn(&topology.client, &["stream", V4, SIZE]);
    let blocked = until(&watch, "block", is_blocked);
    std::thread::sleep(Duration::from_secs(3));
    let came = counted(&sink, &format!("at {V4} sum "));
    let left = number(&blocked, "bytes_leaked_before_block");
    assert!(left >= came && left < came + came / 5 + 10_000, "{left} left, {came} came");
    assert_eq!(number(&blocked, "bytes_out"), left);
    let last = alerts(&watch).pop().unwrap();
    assert!(number(&last, "bytes_out") < left + 100_000, "{last}");
    let report = watch.stop();
    report.assert_all_accounted();
    let alerts = of_the_first(&report);
    let last = alerts.last().unwrap();
    assert!(has_ended(last), "{last}");
    assert!(number(last, "bytes_stopped") > 0, "{last}");
    assert_eq!(last["bytes_leaked_before_block"], blocked["bytes_leaked_before_block"]);
    assert!(report.sum("tcp", V4, "bytes_out") < left + 100_000);
}

/// A budget holds what an alert is about, where nothing else blocks it, until a person raises it.
#[test]
#[ignore = "needs root: run cargo xtask test"]
fn an_alert_shows_that_its_budget_holds_it() {
    const BUDGET: u64 = 1_000_000;
    let topology = Topology::simple().unwrap();
    let sink = sink(topology.server());
    let (client, gateway) = (&topology.client, &topology.gateway);
    let config = format!(
        "{HOME}[budget]\nbytes = {BUDGET}\nraise_below = 0.0\nhold_secs = 600\n[block]\n\
         action = \"observe\"\n"
    );
    let watch = Watch::start(gateway, &[Topology::GATEWAY_INNER], &["--mode", "block"], &config);
    let _theft = spawn(client, &["stream", V4, SIZE]);
    let held = until(&watch, "hold", is_blocked);
    assert!(held["action_note"].as_str().unwrap().contains("byte budget"), "{held}");
    std::thread::sleep(Duration::from_secs(2));
    let came = counted(&sink, &format!("at {V4} sum "));
    let left = number(&held, "bytes_leaked_before_block");
    assert!(came <= BUDGET && left >= came && left < came + came / 5, "{left} left, {came} came");
    watch.ask(gateway, &["budgets", "raise", CLIENT_V4, V4]);
    until(&watch, "raise", has_ended);
    watch.stop().assert_all_accounted();
}
