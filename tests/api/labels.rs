//! What people say of alerts: written down, and there to be learned from.

use detector_tests::run_checked;
use serde_json::{Value, json};

use crate::bed::{Bed, JSON, SAMPLE, detector};

/// The alerts that a record raised.
fn alerts(bed: &Bed) -> Vec<Value> {
    let page = bed.ask("GET", "/api/alerts", &[], "").json();
    page["items"].as_array().unwrap().clone()
}

#[test]
fn judgements_stand_in_the_audit_and_train() {
    let bed = Bed::new("scored");
    let (token, _) = bed.token("analyst", "admin");
    let bearer = format!("Bearer {token}");
    let lines = ["10.0.0.1", "10.0.0.2"].map(|destination| {
        let mut record: Value = serde_json::from_str(SAMPLE).unwrap();
        record["bytes_sent"] = 500_000.into();
        record["destination_ip"] = destination.into();
        record.to_string()
    });
    let headers = [("Content-Type", "application/x-ndjson"), ("Authorization", bearer.as_str())];
    let taken = bed.ask("POST", "/api/logs?format=ndjson", &headers, &lines.join("\n"));
    assert_eq!(taken.status, 200, "{}", taken.text());
    let found = alerts(&bed);
    assert_eq!(found.len(), 2, "{found:?}");
    let [one, other] = [0, 1].map(|number: usize| found[number]["id"].as_str().unwrap());

    let both = json!({ "ids": [one, other] });
    assert_eq!(bed.post("/api/alerts/acknowledge", &token, &both).json()["changed"], 2);
    assert_eq!(bed.post("/api/alerts/acknowledge", &token, &both).json()["changed"], 0);
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
    assert_eq!(audit("action=alert&limit=1").len(), 1);
    assert_eq!(audit("q=CLOSED,+BENIGN").len(), 1);
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
