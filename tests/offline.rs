//! `detector analyze` as other tools meet it: captures written here byte by byte, the lines that
//! come out, the exit codes, and one clear line where something is wrong.
#![expect(clippy::unwrap_used, reason = "a test that cannot go on fails")]

use std::io::Write as _;
use std::process::{Command, Output, Stdio};

use detector_tests::capture_file::{ETHERNET, pcap, pcapng};
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

/// A threshold that every score reaches: what is tested is the lines, not the model.
fn alarmed(scratch: &Scratch) -> String {
    let config = scratch.write("alarmed.toml", "[model]\nthreshold = 0.0\n").unwrap();
    config.to_str().unwrap().to_owned()
}

fn analyze(arguments: &[&str], input: &[u8]) -> Output {
    let mut child = detector()
        .arg("analyze")
        .args(arguments)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap_or_else(|error| panic!("no program to test, run cargo xtask test: {error}"));
    let mut stdin = child.stdin.take().unwrap();
    let input = input.to_vec();
    let writer = std::thread::spawn(move || {
        // A program that has seen enough closes the pipe.
        stdin.write_all(&input).ok();
    });
    let output = child.wait_with_output().unwrap();
    writer.join().unwrap();
    output
}

const SEGMENTS: u32 = 4_000;

/// An upload: a connection is opened, and far more goes out than comes in.
fn upload() -> Vec<Vec<u8>> {
    const PORTS: (u16, u16) = (40_000, 9_000);
    let answer = |flags| {
        let segment = frames::tcp((PORTS.1, PORTS.0), 1, flags, 5, &[]);
        frames::ethernet(&[], frames::IPV4, &frames::V4::new(6).back().packet(&segment))
    };
    let mut capture = vec![frames::tcp_frame(PORTS, 0, 2, &[]), answer(0x12)];
    for number in 0..SEGMENTS {
        let data = vec![0x5a; 1_400];
        capture.push(frames::tcp_frame(PORTS, 1 + number * 1_400, 0x18, &data));
        if number % 2 == 0 {
            capture.push(answer(0x10));
        }
    }
    capture
}

fn lines(output: &Output) -> Vec<Value> {
    let text = std::str::from_utf8(&output.stdout).unwrap();
    let parse = |line| serde_json::from_str(line).unwrap_or_else(|error| panic!("{error}: {line}"));
    text.lines().map(parse).collect()
}

fn keys(line: &Value) -> Vec<&str> {
    line.as_object().unwrap().keys().map(String::as_str).collect()
}

const ALERT_KEYS: &str = "type id time src src_port dst dst_port protocol initiator technique \
    severity score threshold bytes_out bytes_in packets_out packets_in bytes_leaked \
    bytes_leaked_before_block revision raw_score first_seen seconds_to_detect dst_name domain \
    community_id reasons action model";
const SUMMARY_KEYS: &str =
    "type packets bytes flows alerts skipped overflow_bytes unaccounted_bytes seconds";

#[test]
fn json_lines_keep_the_contract() {
    let capture = upload();
    let bytes: usize = capture.iter().map(Vec::len).sum();
    let scratch = Scratch::new("contract").unwrap();
    let config = alarmed(&scratch);
    for file in [pcap(ETHERNET, &capture), pcapng(ETHERNET, &capture)] {
        let output = analyze(&["--format", "json", "--flows", "--config", &config, "-"], &file);
        assert!(output.status.success(), "{output:?}");
        let lines = lines(&output);
        let (summary, before) = lines.split_last().unwrap();
        let has = |line: &Value, wanted: &str| {
            let found = keys(line);
            for key in wanted.split_whitespace() {
                assert!(found.contains(&key), "no {key} in {line}");
            }
        };
        has(summary, SUMMARY_KEYS);
        assert_eq!(summary["type"], "summary");
        assert_eq!(summary["packets"], capture.len());
        assert_eq!(summary["bytes"], bytes);
        assert_eq!(summary["flows"], 1);
        assert_eq!(summary["unaccounted_bytes"], 0);
        let of = |kind: &str| before.iter().filter(|line| line["type"] == kind).collect::<Vec<_>>();
        let (alerts, flows) = (of("alert"), of("flow"));
        assert_eq!(alerts.len() + flows.len(), before.len(), "lines of other types");
        for alert in &alerts {
            has(alert, ALERT_KEYS);
            assert_eq!(alert["src"], "10.0.0.7");
            has(&alert["reasons"][0], "feature value contribution text");
        }
        assert!(!alerts.is_empty(), "no alert at a threshold of 0");
        assert_eq!(flows.len(), 1);
        let payload = capture.iter().filter(|frame| frame.len() > 1_400).count() * 1_400;
        assert_eq!(flows[0]["payload_out"], payload);
        assert_eq!(
            flows[0]["bytes_out"].as_u64().unwrap() as usize,
            payload + (SEGMENTS as usize + 1) * 40
        );
    }
}

#[test]
fn a_file_a_pipe_and_both_formats_give_the_same() {
    let scratch = Scratch::new("offline").unwrap();
    let capture = upload();
    let (old, new) = (pcap(ETHERNET, &capture), pcapng(ETHERNET, &capture));
    let json = ["--format", "json", "--flows"];
    let of = |input: &str, bytes: &[u8]| analyze(&[&json[..], &[input]].concat(), bytes).stdout;
    let expected = of("-", &old);
    assert!(!expected.is_empty());
    for (name, bytes) in [("a.pcap", &old), ("a.pcapng", &new)] {
        let file = scratch.write(name, bytes).unwrap();
        assert_eq!(of(file.to_str().unwrap(), &[]), expected, "{name}");
    }
    assert_eq!(of("-", &new), expected);
}

#[test]
fn other_formats_are_written() {
    let file = pcap(ETHERNET, &upload());
    let scratch = Scratch::new("formats").unwrap();
    let config = alarmed(&scratch);
    let text = |arguments: &[&str]| {
        let output = analyze(&[arguments, &["--config", &config, "-"]].concat(), &file);
        assert!(output.status.success(), "{output:?}");
        String::from_utf8(output.stdout).unwrap()
    };
    let table = text(&[]);
    assert!(table.contains("10.0.0.7") && table.contains("203.0.113.5"), "{table}");
    assert!(!table.contains('\x1b'), "colour where there is no terminal");
    for arguments in [&["--format", "csv"][..], &["--format", "csv", "--flows"]] {
        let csv = text(arguments);
        let (header, rows) = csv.split_once('\n').unwrap();
        let columns = header.split(',').count();
        assert!(columns > 5 && rows.lines().count() > 0, "{csv}");
    }
    let features = scratch.join("features.csv");
    text(&["--features", features.to_str().unwrap()]);
    let features = std::fs::read_to_string(features).unwrap();
    let columns = |line: &str| line.split(',').count();
    let header = columns(features.lines().next().unwrap());
    assert!(features.lines().count() > 2);
    assert!(features.lines().all(|line| columns(line) == header));
}

#[test]
fn a_compressed_capture_is_read_as_what_is_in_it() {
    let capture = vec![frames::udp_frame((1, 2), b"twenty bytes of data"); 3];
    let plain = pcap(ETHERNET, &capture);
    let scratch = Scratch::new("compressed").unwrap();
    let path = scratch.join("a.pcap");
    std::fs::write(&path, &plain).unwrap();
    let packed = Command::new("gzip").arg("-c").arg(&path).output().unwrap().stdout;
    let read = |input: &[u8]| {
        let output = analyze(&["--flows", "--format", "json", "-"], input);
        assert!(output.status.success());
        (output.stdout, String::from_utf8_lossy(&output.stderr).into_owned())
    };
    let ((expected, quiet), (found, told)) = (read(&plain), read(&packed));
    assert!(expected == found && quiet.is_empty());
    assert!(told.contains("expanded from gzip"), "{told}");
    let summary = broken(&packed[..packed.len() - 4], "the gzip data ends too early", 3);
    assert_eq!(summary["counters"]["compressed_data_cut_off"], 1, "{summary}");
    let config = scratch.write("small.toml", "[decompression]\nmax_bytes = 100\n").unwrap();
    let bounded = ["--config", config.to_str().unwrap(), "--format", "json", "-"];
    let output = analyze(&bounded, &packed);
    assert_eq!(output.status.code(), Some(1));
    let summary = lines(&output).pop().unwrap();
    assert_eq!(summary["counters"]["decompression_beyond_max_bytes"], 1, "{summary}");
}

// What is wrong.

/// Exit code 1, one line that says so, and the summary of what came before.
fn broken(input: &[u8], expected: &str, packets: usize) -> Value {
    let output = analyze(&["--format", "json", "-"], input);
    let text = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(1), "{expected}: {text}");
    assert!(text.lines().count() == 1 && text.contains(expected), "{expected}: {text}");
    let mut lines = lines(&output);
    let summary = lines.pop().unwrap_or_else(|| panic!("{expected}: no summary"));
    assert_eq!(summary["type"], "summary");
    assert_eq!(summary["packets"], packets, "{expected}");
    assert_eq!(summary["unaccounted_bytes"], 0, "{expected}");
    summary
}

#[test]
fn a_damaged_capture_is_accounted_up_to_the_damage() {
    let frame = frames::udp_frame((1, 2), b"twenty bytes of data");
    let capture = vec![frame.clone(); 3];
    let whole = pcap(ETHERNET, &capture);
    let record = 16 + frame.len();
    let second = 24 + record;
    for cut in [1, 15, 16, 17, record - 1] {
        broken(&whole[..second + cut], &format!("record at byte {second}"), 1);
    }
    broken(&[], "the capture is empty", 0);
    broken(&whole[..10], "byte 0", 0);
    broken(b"no capture at all, but long enough to be one", "neither pcap nor pcapng", 0);
    broken(&[0x1f, 0x8b, 8, 0, 0, 0, 0, 0, 0, 0, 0, 0], "the gzip data ends too early", 0);
    broken(&pcap(147, &capture), "link type 147 is not supported", 0);
    let mut corrupt = whole.clone();
    corrupt[second + 8..second + 12].copy_from_slice(&u32::MAX.to_le_bytes());
    broken(&corrupt, &format!("record at byte {second} claims 4294967295 bytes"), 1);

    let next = pcapng(ETHERNET, &capture);
    let size = (next.len() - 28 - 20) / 3;
    let second = 28 + 20 + size;
    broken(&next[..second + 9], &format!("byte {second}"), 1);
    let mut corrupt = next.clone();
    corrupt[second + 4..second + 8].copy_from_slice(&7_u32.to_le_bytes());
    broken(&corrupt, &format!("byte {second}"), 1);
    let mut stranger = next;
    stranger[second + 8..second + 12].copy_from_slice(&9_u32.to_le_bytes());
    broken(&stranger, "refers to interface 9", 1);
}

/// Exit code and the one line that goes with it.
fn fails(arguments: &[&str], code: i32, expected: &str) {
    let output = analyze(arguments, &pcap(ETHERNET, &[]));
    let text = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(code), "{arguments:?}: {text}");
    assert!(text.contains(expected), "{arguments:?}: {text}");
    assert!(code == 2 || text.lines().count() == 1, "{arguments:?}: {text}");
}

#[test]
fn what_cannot_be_used_is_one_clear_line() {
    let scratch = Scratch::new("offline").unwrap();
    let write =
        |name: &str, bytes: &[u8]| scratch.write(name, bytes).unwrap().to_str().unwrap().to_owned();
    let root = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap();
    let model = std::fs::read(root.join("detector/models/session.model")).unwrap();
    let absent = scratch.join("absent").to_str().unwrap().to_owned();
    let text = write("text.model", b"this is no model, whatever its name may say");
    let half = write("half.model", &model[..model.len() / 2]);
    let mut flipped = model.clone();
    flipped[model.len() / 2] ^= 1;
    let flipped = write("flipped.model", &flipped);
    let config = write("wrong.toml", b"colour = true\n");

    fails(&[&absent], 1, &absent);
    fails(&["--model", &absent, "-"], 1, &absent);
    fails(&["--model", &text, "-"], 1, "text.model");
    fails(&["--model", &half, "-"], 1, "half.model");
    fails(&["--model", &flipped, "-"], 1, "flipped.model");
    fails(&["--config", &config, "-"], 1, "there is no key `colour`");
    fails(&["--config", &absent, "-"], 1, &absent);
    fails(&["--features", &format!("{absent}/x.csv"), "-"], 1, "failed to write features");
    fails(&[], 2, "FILE");
    fails(&["--format", "xml", "-"], 2, "xml");
    fails(&["--colour", "-"], 2, "--colour");
}

/// The definition of one column that the model reads is another: whole, but not ours.
#[test]
fn a_model_of_other_columns_is_refused_with_both_hashes() {
    use detector::features::{ColumnSet, Kind};
    use detector::model::Model;

    let mut model = Model::from_bytes(detector::builtin_models::bytes_of(Kind::Session)).unwrap();
    let columns = model.meta.schema.columns.iter().map(|column| {
        let changed = u64::from(column.name == "sent_rate");
        (column.name.clone(), column.hash ^ changed)
    });
    model.meta.schema.columns = ColumnSet::new(columns);
    let scratch = Scratch::new("columns").unwrap();
    let path = scratch.write("other.model", model.to_bytes().unwrap()).unwrap();
    let output = analyze(&["--model", path.to_str().unwrap(), "-"], &pcap(ETHERNET, &[]));
    assert_eq!(output.status.code(), Some(1), "{output:?}");
    let told = String::from_utf8_lossy(&output.stderr);
    let own = Kind::Session.column_set().iter().find(|column| column.name == "sent_rate").unwrap();
    for part in [
        "column sent_rate".to_owned(),
        format!("{:016x}", own.hash),
        format!("{:016x}", own.hash ^ 1),
    ] {
        assert!(told.contains(&part), "{told}");
    }
}

#[test]
fn a_closed_pipe_is_success() {
    // More than a pipe holds.
    let frames: Vec<Vec<u8>> =
        (0..20_000).map(|port| frames::udp_frame((port + 1_000, 9), b"x")).collect();
    let scratch = Scratch::new("pipe").unwrap();
    let file = scratch.write("many.pcap", pcap(ETHERNET, &frames)).unwrap();
    let mut child = detector()
        .args(["analyze", "--format", "json", "--flows"])
        .arg(file)
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    drop(child.stdout.take());
    let output = child.wait_with_output().unwrap();
    assert!(output.status.success(), "{output:?}");
    assert!(output.stderr.is_empty(), "{}", String::from_utf8_lossy(&output.stderr));
}

#[test]
fn an_alert_has_an_exit_code_where_it_is_asked_for() {
    let scratch = Scratch::new("exit").unwrap();
    let low = scratch.write("low.toml", "[model]\nthreshold = 0.0\n").unwrap();
    let config = ["--format", "json", "--config", low.to_str().unwrap()];
    let (upload, nothing) = (pcap(ETHERNET, &upload()), pcap(ETHERNET, &[]));
    for (capture, asked, code) in [
        (&upload, true, 3),
        (&upload, false, 0),
        (&nothing, true, 0),
        (&upload[..1].to_vec(), true, 1),
    ] {
        let fail_on: &[&str] = if asked { &["--fail-on", "alert"] } else { &[] };
        let output = analyze(&[&config[..], fail_on, &["-"]].concat(), capture);
        let text = String::from_utf8_lossy(&output.stderr);
        assert_eq!(output.status.code(), Some(code), "{asked}: {text}");
        assert_eq!(text.contains("detector: 1 alert\n"), code == 3, "{text}");
    }
}

#[test]
fn what_is_allowed_is_left_alone_and_counted() {
    let scratch = Scratch::new("allowed").unwrap();
    let capture = pcap(ETHERNET, &upload());
    let check = |entry: &str, allowed: bool| {
        let text = format!(
            "allow = [{{ reason = \"the nightly backup\", {entry} }}]\n[model]\nthreshold = 0.0\n"
        );
        let config = scratch.write("allow.toml", text).unwrap();
        let config = config.to_str().unwrap();
        let output = analyze(&["--format", "json", "--config", config, "-"], &capture);
        assert!(output.status.success(), "{output:?}");
        let lines = lines(&output);
        let told = String::from_utf8_lossy(&output.stderr);
        assert_eq!(lines.iter().any(|line| line["type"] == "alert"), !allowed, "{entry}");
        let counted = &lines.last().unwrap()["counters"]["alerts_allowed"];
        assert_eq!(counted.as_u64(), allowed.then_some(1), "{entry}");
        assert_eq!(told.contains("the nightly backup"), allowed, "{told}");
    };
    check(r#"destination = "203.0.113.0/24", port = 9000"#, true);
    check(r#"source = "10.0.0.7", expires = "2030-01-01T00:00:00Z""#, true);
    check(r#"source = "10.0.0.7", expires = "2020-01-01T00:00:00Z""#, false);
    check(r#"port = 443"#, false);
}
