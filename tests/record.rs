//! `detector synth`, `predict`, and training and measuring on files of comma-separated values, as
//! people meet them: what comes out, the exit codes, and one clear line where something is wrong.
#![expect(clippy::unwrap_used, reason = "a test that cannot go on fails")]

use std::collections::BTreeSet;
use std::path::Path;
use std::process::{Command, Output};

use detector::analysis::features::PACKET_FIELDS;
use detector::features::COLUMNS;
use detector_tests::capture_file::{ETHERNET, pcap};
use detector_tests::{Scratch, frames};
use serde_json::Value;

/// Runs the program: as `cargo xtask test` released it, else as this build has it.
fn detector(arguments: &[&str]) -> Output {
    let beside = || {
        let own = std::env::current_exe().unwrap();
        own.ancestors().nth(2).unwrap().join("detector").into_os_string()
    };
    Command::new(std::env::var_os("DETECTOR_BIN").unwrap_or_else(beside))
        .args(arguments)
        .output()
        .unwrap_or_else(|error| panic!("no program to test, run cargo xtask test: {error}"))
}

fn succeeds(arguments: &[&str]) -> String {
    let output = detector(arguments);
    assert!(output.status.success(), "{arguments:?}: {output:?}");
    String::from_utf8(output.stdout).unwrap()
}

/// Exit code 1 and one line that says all of `expected`.
fn fails(arguments: &[&str], expected: &[&str]) {
    let output = detector(arguments);
    let text = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(1), "{arguments:?}: {text}");
    let last = text.lines().last().unwrap_or_default();
    for part in expected {
        assert!(last.contains(part), "{arguments:?}: no {part:?} in {text}");
    }
}

/// A path in the folder, as an argument.
fn at(scratch: &Scratch, name: &str) -> String {
    scratch.join(name).to_str().unwrap().to_owned()
}

fn write(scratch: &Scratch, name: &str, content: impl AsRef<[u8]>) -> String {
    scratch.write(name, content).unwrap().to_str().unwrap().to_owned()
}

fn synth(scratch: &Scratch, profile: &str, rows: u32, seed: u32) -> String {
    let out = at(scratch, &format!("{profile}-{rows}-{seed}.csv"));
    let (rows, seed) = (rows.to_string(), seed.to_string());
    succeeds(&["synth", "--profile", profile, "--rows", &rows, "--seed", &seed, "--out", &out]);
    out
}

// Records.

#[test]
fn the_same_seed_writes_the_same_file() {
    let scratch = Scratch::new("synth").unwrap();
    for profile in ["hard", "seed-compat"] {
        let read = |seed| std::fs::read_to_string(synth(&scratch, profile, 200, seed)).unwrap();
        let first = read(1);
        assert_eq!(first.lines().count(), 201);
        assert!(first.starts_with("timestamp,source_ip,"), "{first}");
        assert_eq!(read(1), first);
        assert_ne!(read(2), first);
    }
    let out = at(&scratch, "none.csv");
    fails(&["synth", "--profile", "soft", "--out", &out], &["`soft`", "hard and seed-compat"]);
    fails(&["synth", "--rows", "0", "--out", &out], &["rows is 0"]);
    assert!(!Path::new(&out).exists());
    fails(&["synth", "--out", &at(&scratch, "no/x.csv")], &["failed to write records"]);
}

/// On seeds that the shipped record model was not made of.
#[test]
fn the_shipped_model_tells_synthetic_thefts() {
    let scratch = Scratch::new("shipped").unwrap();
    for (profile, [precision, recall, f1, accuracy]) in
        [("hard", [0.94, 0.92, 0.93, 0.99]), ("seed-compat", [0.999; 4])]
    {
        for seed in 101..=105 {
            let file = synth(&scratch, profile, 10_000, seed);
            let text = succeeds(&["evaluate", "--data", &file, "--format", "json"]);
            let quality: Value = serde_json::from_str(&text).unwrap();
            let part = &quality["parts"]["file"];
            for (name, value, least) in [
                ("precision", &part["precision"]["value"], precision),
                ("recall", &part["recall"]["value"], recall),
                ("F1", &part["f1"], f1),
                ("accuracy", &part["accuracy"]["value"], accuracy),
            ] {
                let value = value.as_f64().unwrap();
                assert!(value >= least, "{profile}, seed {seed}: {name} is {value}");
            }
        }
    }
}

#[test]
fn a_record_model_is_trained_measured_and_served() {
    let scratch = Scratch::new("records").unwrap();
    let data = synth(&scratch, "seed-compat", 2_000, 1);
    let models = [at(&scratch, "a.model"), at(&scratch, "b.model")];
    for model in &models {
        let text =
            succeeds(&["train", "--data", &data, "--trees", "10", "--folds", "2", "--out", model]);
        assert!(text.contains("EXFIL") && text.contains("100 found"), "{text}");
    }
    for folds in ["0", "1"] {
        let quick = at(&scratch, "quick.model");
        let text = succeeds(&[
            "train", "--data", &data, "--trees", "10", "--folds", folds, "--out", &quick,
        ]);
        assert!(text.contains("trained without folds") && !text.contains("EXFIL"), "{text}");
        let file = std::fs::read(&quick).unwrap();
        let meta = String::from_utf8_lossy(&file);
        assert!(meta.contains("\"folds\": 0,") && meta.contains("\"validation\": null"), "{folds}");
        let text = succeeds(&["predict", &data, "--model", &quick, "--format", "json"]);
        assert!(text.contains("\"positives\":"), "{text}");
    }
    let [first, second] = models.each_ref().map(|path| std::fs::read(path).unwrap());
    assert!(first == second, "the same data and seed gave two models");

    let other = synth(&scratch, "seed-compat", 500, 2);
    let text = succeeds(&["predict", &other, "--model", &models[0], "--format", "json"]);
    let lines: Vec<Value> = text.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    let (summary, rows) = lines.split_last().unwrap();
    assert_eq!((&summary["rows"], &summary["positives"]), (&500.into(), &25.into()));
    let labels = std::fs::read_to_string(&other).unwrap();
    for (number, (row, line)) in rows.iter().zip(labels.lines().skip(1)).enumerate() {
        assert_eq!(row["line"], number + 2);
        assert!(line.ends_with(&format!(",{}", row["label"])), "{row} {line}");
    }
    // A model of one schema is not for the other.
    fails(&["predict", &other, "--model", &shipped_session_model()], &["session", "record"]);
    fails(&["analyze", "-", "--model", &models[0]], &["session", "record"]);
}

fn shipped_session_model() -> String {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap();
    root.join("detector/models/session.model").to_str().unwrap().to_owned()
}

const HEADER: &str = "timestamp,source_ip,destination_ip,source_port,destination_port,protocol,bytes_sent,bytes_received,action";
const ROW: &str = "2024-01-01 12:00:00,192.168.1.100,10.0.0.1,12345,80,TCP,1500,500,allow";
const LARGE: &str = "2024-01-01 12:00:00,192.168.1.100,10.0.0.1,12345,80,TCP,500000,500,allow";

#[test]
fn the_documented_records_get_their_answers() {
    let scratch = Scratch::new("answers").unwrap();
    // Another order of the columns, an empty line, and a byte order mark.
    let swapped = |row: &str| row.replacen("12345,80", "80,12345", 1);
    let header = HEADER.replace("source_port,destination_port", "destination_port,source_port");
    let text = format!("\u{feff}{header}\n\n{}\n{}\n", swapped(ROW), swapped(LARGE));
    let expected = |text: &str| {
        let lines: Vec<&str> = text.lines().skip(1).collect();
        let labels: Vec<_> = lines.iter().map(|line| line.rsplit(',').next().unwrap()).collect();
        assert_eq!(labels, ["0", "1"], "{text}");
    };
    let plain = format!("{HEADER}\n{ROW}\n{LARGE}\n");
    for text in [text, plain] {
        let file = write(&scratch, "a.csv", &text);
        expected(&succeeds(&["predict", &file, "--format", "csv"]));
        let table = succeeds(&["predict", &file]);
        assert!(table.ends_with("\n2 rows, 1 of them exfiltration\n"), "{table}");
    }
}

// What is wrong.

#[test]
fn a_wrong_cell_is_named_by_line_and_column() {
    let scratch = Scratch::new("cells").unwrap();
    let check = |text: &str, expected: &[&str]| {
        let file = write(&scratch, "wrong.csv", text);
        for arguments in [
            &["predict", &file][..],
            &["evaluate", "--data", &file],
            &["train", "--data", &file, "--out", &at(&scratch, "x.model")],
        ] {
            fails(arguments, &[&["wrong.csv", "line"], expected].concat());
        }
        assert!(!scratch.join("x.model").exists());
    };
    let header = format!("{HEADER},label");
    let rows = |row: &str| format!("{header}\n{ROW},0\n{row}\n");
    let with = |from: &str, to: &str| rows(&format!("{ROW},0").replacen(from, to, 1));
    check(&with("TCP", "GRE"), &["line 3", "column protocol", "`GRE`"]);
    check(&with("1500", "many"), &["line 3", "column bytes_sent", "`many`"]);
    check(&with("12345", "70000"), &["line 3", "column source_port", "`70000`"]);
    check(&with("2024-01-01", "2024-02-30"), &["line 3", "column timestamp"]);
    check(&with("192.168.1.100", "\"\u{1b}[1m\""), &["line 3", "column source_ip", "u{1b}"]);
    check(&rows(&format!("{ROW},maybe")), &["line 3", "column label", "`maybe`"]);
    check(&rows(ROW), &["line 3", "column label is missing"]);
    check(&rows(&format!("{ROW},0,1")), &["line 3", "11 cells for 10 columns"]);
    check(&header.replace(",action", ""), &["line 1", "column action is missing"]);
    check(&format!("{header},colour"), &["line 1", "schema record has no column \"colour\""]);
    check(&format!("{header},action"), &["line 1", "column \"action\"", "twice"]);
    check("a,b,c\n1,2,3\n", &["line 1", "no column of schema session or record"]);
    check("", &["line 1", "no column of schema"]);
}

#[test]
fn data_that_nothing_can_be_learned_from_is_named() {
    let scratch = Scratch::new("labels").unwrap();
    let out = at(&scratch, "x.model");
    let check = |rows: &str, expected: &[&str]| {
        let file = write(&scratch, "data.csv", rows);
        fails(&["train", "--data", &file, "--out", &out], expected);
    };
    check(&format!("{HEADER}\n{ROW}\n"), &["line 1: column label is missing"]);
    check(&format!("{HEADER},label\n"), &["no record"]);
    check(&format!("{HEADER},label\n{ROW},0\n{ROW},0\n"), &["no positive label"]);
    check(&format!("{HEADER},label\n{ROW},1\n{ROW},1\n"), &["no negative label"]);

    let records = synth(&scratch, "hard", 10, 1);
    let vectors = write(&scratch, "vectors.csv", session_header());
    let both = ["schema record", "schema session", "hard-10-1.csv", "vectors.csv"];
    fails(&["train", "--data", &records, &vectors, "--out", &out], &both);
    fails(&["evaluate", "--data", &vectors, &records], &both);
    fails(&["predict", &at(&scratch, "absent.csv")], &["failed to open", "absent.csv"]);
}

// Vectors.

fn session_header() -> String {
    let columns: Vec<&str> = COLUMNS.iter().map(|column| column.name).collect();
    let before = "file,session,time,src,dst,dst_port,protocol_name,score,rules,baseline";
    format!("{before},{},{}\n", PACKET_FIELDS.join(","), columns.join(","))
}

/// Several senders: uploads of different sizes, in both directions.
fn capture() -> Vec<Vec<u8>> {
    sessions().concat()
}

/// Each session by itself: those to one receiver share an alert.
fn sessions() -> Vec<Vec<Vec<u8>>> {
    let mut sessions = Vec::new();
    for number in 0..12_u16 {
        let mut capture = Vec::new();
        let ports = (40_000 + number, 9_000 + number * 7);
        let back = |data: &[u8]| {
            let segment = frames::tcp((ports.1, ports.0), 1, 0x18, 5, data);
            frames::ethernet(&[], frames::IPV4, &frames::V4::new(6).back().packet(&segment))
        };
        capture.push(frames::tcp_frame(ports, 0, 2, &[]));
        for segment in 0..u32::from(number) * 12 + 6 {
            let data = vec![b'a' + number as u8; 200 + usize::from(number) * 90];
            capture.push(frames::tcp_frame(ports, 1 + segment * data.len() as u32, 0x18, &data));
            capture.push(back(&vec![b'x'; usize::from(number % 4) * 300]));
        }
        sessions.push(capture);
    }
    sessions
}

/// The cells of one column.
fn column<'a>(csv: &'a str, name: &str) -> Vec<&'a str> {
    let position = csv.lines().next().unwrap().split(',').position(|cell| cell == name).unwrap();
    csv.lines().skip(1).map(|line| line.split(',').nth(position).unwrap()).collect()
}

#[test]
fn vectors_get_the_scores_and_verdicts_of_the_analysis() {
    let scratch = Scratch::new("predict").unwrap();
    let files: Vec<String> = sessions()
        .iter()
        .enumerate()
        .map(|(number, session)| {
            write(&scratch, &format!("{number}.pcap"), pcap(ETHERNET, session))
        })
        .collect();
    let features = at(&scratch, "features.csv");
    let mut told_apart = false;
    for threshold in ["0.01", "0.1", "0.3", "0.5", "0.7", "0.9"] {
        let config = format!("[model]\nthreshold = {threshold}\n");
        let config = write(&scratch, "threshold.toml", &config);
        let mut arguments = vec!["analyze", "--features", &features, "--format", "json"];
        arguments.extend(["--config", &config]);
        arguments.extend(files.iter().map(String::as_str));
        let told = succeeds(&arguments);
        let vectors = std::fs::read_to_string(&features).unwrap();
        assert!(vectors.starts_with(&session_header()), "{vectors}");
        let predicted = succeeds(&["predict", &features, "--format", "csv", "--config", &config]);
        assert!(vectors.lines().count() > 20, "{vectors}");
        assert_eq!(column(&vectors, "score"), column(&predicted, "score"), "at {threshold}");

        let ports = column(&predicted, "dst_port").into_iter();
        let thefts: BTreeSet<String> = ports
            .zip(column(&predicted, "label"))
            .filter(|(_, label)| *label == "1")
            .map(|(port, _)| port.to_owned())
            .collect();
        let alerts: BTreeSet<String> = told
            .lines()
            .map(|line| serde_json::from_str::<Value>(line).unwrap())
            .filter(|line| line["type"] == "alert")
            .map(|line| line["dst_port"].to_string())
            .collect();
        assert_eq!(thefts, alerts, "at {threshold}");
        told_apart |= !thefts.is_empty() && column(&predicted, "label").contains(&"0");
    }
    assert!(told_apart, "at every threshold all rows have one verdict");
}

#[test]
fn labelled_vectors_train_and_measure_a_session_model() {
    let scratch = Scratch::new("vectors").unwrap();
    let mut text = String::new();
    // Two captures to hold out, and two that calibrate what is learned from the other two.
    for name in ["a.pcap", "b.pcap", "c.pcap", "d.pcap"] {
        let file = scratch.write(name, pcap(ETHERNET, &capture())).unwrap();
        let features = at(&scratch, "features.csv");
        succeeds(&["analyze", file.to_str().unwrap(), "--features", &features]);
        let vectors = std::fs::read_to_string(features).unwrap();
        for (number, line) in vectors.lines().enumerate().skip(usize::from(!text.is_empty())) {
            let port = line.split(',').nth(5).unwrap_or_default();
            let label = match number {
                0 => "label",
                _ if port.parse::<u16>().unwrap() > 9_040 => "1",
                _ => "0",
            };
            text.push_str(&format!("{line},{label}\n"));
        }
    }
    let data = write(&scratch, "labelled.csv", &text);
    let model = at(&scratch, "x.model");
    succeeds(&["train", "--data", &data, "--trees", "10", "--folds", "2", "--out", &model]);
    let text = succeeds(&["evaluate", "--data", &data, "--model", &model, "--format", "json"]);
    let quality: Value = serde_json::from_str(&text).unwrap();
    let confusion = &quality["parts"]["file"]["confusion"];
    let total: u64 = confusion.as_object().unwrap().values().filter_map(Value::as_u64).sum();
    // Twelve senders in each capture, those who answer with payload are not at home.
    assert_eq!(total, 48, "{quality}");

    let broken = text_with(&data, "sent_payload", "nan");
    let broken = write(&scratch, "broken.csv", &broken);
    fails(&["predict", &broken], &["line 2", "column sent_payload", "not a finite number"]);
    let broken = write(&scratch, "broken.csv", text_with(&data, "rules", "1.5"));
    fails(&["predict", &broken], &["line 2", "column rules", "`1.5`"]);
}

/// The file with another value in one column of its first row.
fn text_with(file: &str, name: &str, value: &str) -> String {
    let text = std::fs::read_to_string(file).unwrap();
    let mut lines: Vec<String> = text.lines().map(str::to_owned).collect();
    let position = lines[0].split(',').position(|cell| cell == name).unwrap();
    let mut cells: Vec<&str> = lines[1].split(',').collect();
    cells[position] = value;
    lines[1] = cells.join(",");
    lines.join("\n")
}
