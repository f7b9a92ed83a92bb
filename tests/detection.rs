//! What is found and what is left alone, on captures written here frame by frame: each theft beside
//! an ordinary use of the same protocol.
#![expect(clippy::unwrap_used, reason = "a test that cannot go on fails")]

use std::path::Path;
use std::process::Command;

use detector_tests::capture_file::{ETHERNET, timed};
use detector_tests::conversation::Conversation;
use detector_tests::scenes::{SCENES, unknown_download};
use detector_tests::{Scratch, frames};
use serde_json::Value;

/// The program: as `cargo xtask test` released it, else as this build has it.
fn detector() -> Command {
    let beside = || {
        let own = std::env::current_exe().unwrap();
        own.ancestors().nth(2).unwrap().join("detector").into_os_string()
    };
    Command::new(std::env::var_os("DETECTOR_BIN").unwrap_or_else(beside))
}

fn capture(scratch: &Scratch, name: &str, scene: fn() -> Conversation) -> String {
    let talk = scene();
    let bytes = timed(ETHERNET, talk.frames());
    scratch.write(&format!("{name}.pcap"), bytes).unwrap().display().to_string()
}

fn analyze(arguments: &[&str]) -> Vec<u8> {
    let output = detector().arg("analyze").args(arguments).output().unwrap();
    assert!(output.status.success(), "{output:?}");
    output.stdout
}

fn alerts(output: &[u8]) -> Vec<Value> {
    let lines = std::str::from_utf8(output).unwrap().lines();
    let parsed = lines.map(|line| serde_json::from_str::<Value>(line).unwrap());
    parsed.filter(|line| line["type"] == "alert").collect()
}

#[test]
fn thefts_are_found_and_their_twins_left_alone() {
    let scratch = Scratch::new("detection").unwrap();
    for (name, scene, expected) in SCENES {
        let file = capture(&scratch, name, scene);
        let first = analyze(&["--format", "json", &file]);
        let found: Vec<String> = alerts(&first)
            .iter()
            .filter(|alert| alert["revision"] == 1)
            .map(|alert| alert["technique"].as_str().unwrap().to_owned())
            .collect();
        assert_eq!(found, expected.into_iter().collect::<Vec<_>>(), "{name}");
        assert_eq!(first, analyze(&["--format", "json", &file]), "{name}: a second time");
    }
}

/// `UPDATE_GOLDEN=1 cargo test --test detection` writes the vectors; they are reviewed like code.
#[test]
fn the_vectors_are_golden() {
    let scratch = Scratch::new("golden").unwrap();
    let mut vectors = String::new();
    for (name, scene, _) in SCENES {
        let file = capture(&scratch, name, scene);
        let table = scratch.join("vectors.csv").display().to_string();
        analyze(&["--features", &table, &file]);
        let text = std::fs::read_to_string(&table).unwrap();
        vectors.push_str(&columns_only(name, &text, vectors.is_empty()));
    }
    let golden = Path::new(env!("CARGO_MANIFEST_DIR")).join("golden/vectors.csv");
    if std::env::var_os("UPDATE_GOLDEN").is_some() {
        std::fs::write(&golden, &vectors).unwrap();
    }
    let expected = std::fs::read_to_string(&golden).unwrap_or_default();
    for (found, expected) in vectors.lines().zip(expected.lines()) {
        assert_eq!(
            found, expected,
            "run UPDATE_GOLDEN=1 cargo test --test detection and review it"
        );
    }
    assert_eq!(vectors.lines().count(), expected.lines().count());
}

/// The columns of the schema alone: scores are the model's.
fn columns_only(scene: &str, text: &str, header: bool) -> String {
    let first = detector::features::COLUMNS[0].name;
    let mut lines = text.lines();
    let names: Vec<&str> = lines.next().unwrap().split(',').collect();
    let start = names.iter().position(|name| *name == first).unwrap();
    let cut = |label: &str, fields: &[&str]| format!("{label},{}\n", fields[start..].join(","));
    let head = if header { cut("scene", &names) } else { String::new() };
    let row = |line: &str| cut(scene, &line.split(',').collect::<Vec<_>>());
    head + &lines.map(row).collect::<String>()
}

/// Captures that are cut, one-sided, joined in the middle or glued together give no nonsense.
#[test]
fn damaged_captures_give_no_alert_of_their_own() {
    let scratch = Scratch::new("damaged").unwrap();
    let frames_of = |talk: &Conversation| -> Vec<(u64, Vec<u8>)> {
        talk.frames().map(|(time, frame)| (time, frame.to_vec())).collect()
    };
    let check = |name: &str, frames: &[(u64, Vec<u8>)], counter: Option<&str>| {
        let bytes = timed(ETHERNET, frames.iter().map(|(time, frame)| (*time, frame.as_slice())));
        let file = scratch.write(name, bytes).unwrap().display().to_string();
        let output = analyze(&["--format", "json", &file]);
        assert!(alerts(&output).is_empty(), "{name}");
        let text = String::from_utf8(output).unwrap();
        let summary: Value = serde_json::from_str(text.lines().last().unwrap()).unwrap();
        assert_eq!(summary["unaccounted_bytes"], 0, "{name}");
        if let Some(counter) = counter {
            assert!(summary["counters"][counter].as_u64() > Some(0), "{name}: {summary}");
        }
    };
    let ordinary = frames_of(&unknown_download());
    let from_home = |frame: &[u8]| frame[26..30] == frames::HOME;
    let answers: Vec<_> = ordinary.iter().filter(|(_, frame)| !from_home(frame)).cloned().collect();
    check("answers", &answers, None);
    check("middle", &ordinary[40..], None);
    let year = 31_536_000_000_000;
    let glued: Vec<_> = ordinary
        .iter()
        .cloned()
        .chain(ordinary.iter().map(|(time, frame)| (time + year, frame.clone())))
        .collect();
    check("glued", &glued, Some("gaps_of_five_minutes"));
    let mut backwards = ordinary.clone();
    backwards.swap(10, 60);
    check("backwards", &backwards, Some("packets_backwards_in_time"));
}
