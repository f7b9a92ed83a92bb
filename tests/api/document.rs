//! The document and the routes are the same, and every answer is one that the document knows.

use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;
use std::process::Command;

use crate::bed::{Bed, document, filled, operations};

const METHODS: [&str; 6] = ["GET", "PUT", "POST", "DELETE", "PATCH", "OPTIONS"];

#[test]
fn every_route_is_documented_and_every_documented_one_answers() {
    let bed = Bed::new("routes");
    let (token, _) = bed.token("all", "admin");
    let bearer = format!("Bearer {token}");
    let document = document(&bed);
    assert_eq!(document["openapi"], "3.1.0");
    let mut methods: BTreeMap<String, BTreeSet<String>> = BTreeMap::new();
    let mut ids = BTreeSet::new();
    for (method, path, _) in operations(&document) {
        let id = &document["paths"][&path][method.to_lowercase()]["operationId"];
        assert!(ids.insert(id.to_string()), "{id} stands there twice");
        methods.entry(path).or_default().insert(method);
    }
    for (path, documented) in methods {
        for method in METHODS {
            // Events have no end, and the token is still needed.
            if path == "/api/events" || (method == "DELETE" && path.contains("tokens")) {
                continue;
            }
            let answer = bed.ask(method, &filled(&path), &[("Authorization", &bearer)], "");
            assert!(answer.status < 500, "{method} {path}: {}", answer.text());
            let known = documented.contains(method);
            assert_eq!(answer.status != 405, known, "{method} {path}: {}", answer.text());
            if let Some(allowed) = answer.header("allow") {
                let mut allowed: BTreeSet<String> = allowed.split(',').map(str::to_owned).collect();
                allowed.remove("HEAD");
                assert_eq!(allowed, documented, "{path}");
            }
        }
    }
    let other = bed.ask("GET", "/api/nothing", &[], "");
    assert_eq!(
        (other.status, other.header("content-type")),
        (404, Some("application/problem+json"))
    );
}

/// Nothing but the groups of routes, which take each with its place in the document, adds any.
#[test]
fn routes_come_with_their_description() {
    let sources = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../detector/src/api");
    let mut folders = vec![sources];
    let mut looked_at = 0;
    while let Some(folder) = folders.pop() {
        for entry in std::fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                folders.push(path);
                continue;
            }
            let text = std::fs::read_to_string(&path).unwrap();
            looked_at += 1;
            for call in [".route(", ".route_service(", ".nest(", ".nest_service("] {
                assert!(!text.contains(call), "{path:?} adds a route by {call}");
            }
        }
    }
    assert!(looked_at > 20);
}

/// Schemathesis makes requests from the document, sensible ones and others, and holds the answers
/// to it.
#[test]
fn answers_are_those_that_the_document_promises() {
    let bed = Bed::new("schemathesis");
    let (token, _) = bed.token("schemathesis", "admin");
    let program = std::env::var_os("SCHEMATHESIS").map_or_else(
        || PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../.tools/test/bin/schemathesis"),
        PathBuf::from,
    );
    assert!(program.exists(), "{} is not there: run cargo xtask setup", program.display());
    let output = Command::new(program)
        .current_dir(bed.scratch.path())
        .arg("run")
        .arg(format!("http://{}/api/openapi.json", bed.address))
        .args(["--header", &format!("Authorization: Bearer {token}")])
        .args([
            "--checks",
            "not_a_server_error,status_code_conformance,content_type_conformance,\
             response_schema_conformance,response_headers_conformance",
        ])
        .args(["--phases", "examples,coverage,fuzzing", "--max-examples", "15"])
        .args(["--continue-on-failure", "--no-color", "--seed", "1", "--request-timeout", "10"])
        // One has no end, the other takes the token away.
        .args(["--exclude-path", "/api/events", "--exclude-path", "/api/tokens/{id}"])
        .output()
        .unwrap();
    let text = String::from_utf8_lossy(&output.stdout);
    assert!(output.status.success(), "{text}\n{}", bed.server.output());
    assert!(!text.contains("Rate limited"), "{text}");
}
