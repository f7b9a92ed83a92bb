//! What people say of alerts: written down, and there to be learned from.

use std::time::Duration;

use detector_tests::{poll_until, run_checked};
use serde_json::{Value, json};

use crate::bed::{Bed, JSON, SAMPLE, detector};

/// The alerts that a record raised.
fn alerts(bed: &Bed) -> Vec<Value> {
    let page = bed.ask("GET", "/api/alerts", &[], "").json();
    page["items"].as_array().unwrap().clone()
}

#[test]
fn a_log_that_cannot_be_expanded_is_counted() {
    let bed = Bed::new("expanded");
    let (token, _) = bed.token("sender", "respond");
    let bearer = format!("Bearer {token}");
    let headers = [("Authorization", bearer.as_str())];
    for _ in 0..2 {
        let answer = bed.ask("POST", "/api/logs", &headers, "BZh9 begins as bzip2 does");
        assert_eq!(answer.status, 422, "{}", answer.text());
        assert!(answer.text().contains("bzip2 data is damaged"), "{}", answer.text());
    }
    let counted = poll_until(Duration::from_secs(5), || {
        let status = bed.ask("GET", "/api/status", &[], "").json();
        let loss = status["loss"].as_array().unwrap();
        let is_it = |loss: &Value| loss["name"] == "compressed_data_damaged" && loss["count"] == 2;
        loss.iter().any(is_it).then_some(())
    });
    counted.unwrap();
    let figures = bed.ask("GET", "/metrics", &[], "").text();
    assert!(figures.contains("detector_lost_total{reason=\"compressed_data_damaged\"} 2"));
}

#[test]
fn judgements_stand_in_the_audit_and_train() {
    let bed = Bed::new("scored");
    let (token, _) = bed.token("analyst", "admin");
    let bearer = format!("Bearer {token}");
    let lines = ["10.0.0.1", "10.0.0.2", "10.0.0.3", "10.0.0.4"].map(|destination| {
        let mut record: Value = serde_json::from_str(SAMPLE).unwrap();
        record["bytes_sent"] = 500_000.into();
        record["destination_ip"] = destination.into();
        record.to_string()
    });
    let headers = [("Content-Type", "application/x-ndjson"), ("Authorization", bearer.as_str())];
    let taken = bed.ask("POST", "/api/logs?format=ndjson", &headers, &lines.join("\n"));
    assert_eq!(taken.status, 200, "{}", taken.text());
    let found = alerts(&bed);
    assert_eq!(found.len(), 4, "{found:?}");
    let id = |number: usize| found[number]["id"].as_str().unwrap();
    let [one, other, third, fourth] = [0, 1, 2, 3].map(id);

    let both = json!({ "ids": [one, other] });
    assert_eq!(bed.post("/api/alerts/acknowledge", &token, &both).json()["changed"], 2);
    assert_eq!(bed.post("/api/alerts/acknowledge", &token, &both).json()["changed"], 0);
    for wrong in [json!({ "ttl_secs": 0 }), json!({ "ttl_secs": 40_000_000 })] {
        let refused = bed.post(&format!("/api/alerts/{one}/benign"), &token, &wrong);
        assert_eq!(refused.status, 422, "{}", refused.text());
    }
    let benign = bed.post(&format!("/api/alerts/{one}/benign"), &token, &json!({}));
    assert_eq!(benign.json()["samples"], 1, "{}", benign.text());

    let audit = |query: &str| -> Vec<String> {
        let answer = bed.ask("GET", &format!("/api/audit?{query}"), &[JSON], "").json();
        let line = |record: &Value| format!("{} {}", record["who"], record["detail"]);
        answer["items"].as_array().unwrap().iter().map(line).collect()
    };
    let acknowledged = r#""api analyst" "acknowledged""#;
    assert_eq!(
        audit(&format!("alert={one}")),
        [r#""api analyst" "closed, benign""#, acknowledged],
        "{:?}",
        audit("")
    );
    assert_eq!(audit(&format!("alert={other}")), [acknowledged]);
    let confirmed = bed.post(&format!("/api/alerts/{third}/confirm"), &token, &json!({}));
    assert_eq!(confirmed.json()["samples"], 1, "{}", confirmed.text());
    assert_eq!(audit(&format!("alert={third}")), [r#""api analyst" "closed, confirmed""#]);
    let shown = bed.ask("GET", &format!("/api/alerts/{third}"), &[], "").json();
    assert_eq!((&shown["status"], &shown["resolution"]), (&json!("closed"), &json!("confirmed")));

    // The same without a browser; without an agent there is no exception.
    let said = |arguments: &[&str]| {
        let mut command = detector();
        command.arg("alerts").args(arguments);
        command.arg("--db").arg(bed.scratch.join("state/detector.db"));
        run_checked(command.arg("--config").arg(bed.scratch.join("detector.toml")))
    };
    let note = ["--note", "found the tool"];
    let confirmed = said(&[&["confirm", other][..], &note].concat()).unwrap();
    assert_eq!(confirmed, "1 alert confirmed; kept for training\n");
    let no_agent = said(&["expect", fourth]).unwrap_err().to_string();
    assert!(no_agent.contains("--label-only"), "{no_agent}");
    let unnamed = said(&["expect", fourth, "--scope", "name", "--label-only"]).unwrap_err();
    assert!(unnamed.to_string().contains("no name of the receiver is known"), "{unnamed}");
    let expected = said(&["expect", fourth, "--label-only"]).unwrap();
    assert_eq!(expected, "1 alert benign; no exception; kept for training\n");
    let shown = |id: &str| bed.ask("GET", &format!("/api/alerts/{id}"), &[], "").json();
    assert_eq!(shown(other)["resolution"], "confirmed");
    assert_eq!(shown(other)["notes"][0]["text"], "found the tool");
    assert_eq!(shown(fourth)["resolution"], "benign");
    assert_eq!(audit(&format!("alert={fourth}")).len(), 1);

    assert_eq!(audit("action=alert&limit=1").len(), 1);
    assert_eq!(audit("q=CLOSED,+BENIGN").len(), 2);
    assert_eq!(audit("action=token").len(), 1);

    // The database is data to measure on, and to train on.
    let mut command = detector();
    command
        .args(["evaluate", "--format", "json", "--data"])
        .arg(bed.scratch.join("state/detector.db"));
    let text = run_checked(command.arg("--config").arg(bed.scratch.join("detector.toml"))).unwrap();
    let figures: Value = serde_json::from_str(text.lines().next().unwrap()).unwrap();
    assert!(figures.to_string().contains(":1"), "{text}");
}
