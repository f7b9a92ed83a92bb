//! A million connections that never end what they begin to say.

use std::fs;
use std::io::Write;
use std::process::{Child, Command, Stdio};

use detector_tests::Scratch;
use detector_tests::capture_file::{ETHERNET, pcap};
use detector_tests::frames::tcp_frame;
use serde_json::Value;

const CONNECTIONS: u32 = 1_000_000;
const PER_SECOND: u32 = 500;
/// In a minute, which is how long they are waited for, the starts of so many connections take more.
const STREAM_BYTES: u64 = 8 << 20;
const START: &str = "GET / HTTP/1.1\r\nHost: a.example\r\nCookie: ";
const REST: &str = "x\r\n\r\n";
/// Where the IP header begins.
const IP: usize = 14;

/// Their starts take what `session.max_stream_bytes` allows, and each is counted.
#[test]
#[ignore = "reads two million packets: run cargo xtask test --root"]
fn half_read_starts_take_no_more_than_they_may() {
    let scratch = Scratch::new("half-read").unwrap();
    let config = format!("[session]\nmax_stream_bytes = {STREAM_BYTES}\n");
    let config = scratch.write("detector.toml", config).unwrap();
    let read = |content: &str| {
        let mut child =
            Command::new(std::env::var_os("DETECTOR_BIN").expect("run cargo xtask test"))
                .args(["analyze", "--format", "json", "--config"])
                .args([config.as_os_str(), "-".as_ref()])
                .stdin(Stdio::piped())
                .stdout(Stdio::piped())
                .spawn()
                .unwrap();
        let mut input = child.stdin.take().unwrap();
        send(&mut input, content);
        // What is written is read but for a pipe's worth.
        let bytes = most_resident_bytes(&child);
        drop(input);
        let output = child.wait_with_output().unwrap();
        assert!(output.status.success());
        let text = String::from_utf8(output.stdout).unwrap();
        let summary: Value = serde_json::from_str(text.lines().last().unwrap()).unwrap();
        assert_eq!(summary["packets"], CONNECTIONS, "{summary}");
        (bytes, summary["counters"].clone())
    };
    let (whole_bytes, whole) = read(&format!("{START}{REST}"));
    let (half_bytes, half) = read(START);
    println!("{whole_bytes} bytes with whole starts, {half_bytes} with half-read ones");
    // Without a bound they would take more than half a gigabyte.
    assert!(
        half_bytes < whole_bytes + whole_bytes / 10 + 2 * STREAM_BYTES,
        "{half_bytes} bytes, {whole_bytes} where they are whole"
    );
    let count = |counters: &Value, name: &str| counters[name].as_u64().unwrap_or(0);
    assert_eq!(count(&half, "http_requests_cut"), u64::from(CONNECTIONS), "{half}");
    let evicted = count(&half, "payload_streams_evicted");
    assert!(evicted > u64::from(CONNECTIONS) / 2, "{half}");
    for name in ["http_requests_cut", "payload_streams_evicted", "payload_streams_timed_out"] {
        assert_eq!(count(&whole, name), 0, "{whole}");
    }
}

/// One packet of each connection: sixteen servers, and ports in turn.
fn send(output: &mut impl Write, content: &str) {
    let mut frame = tcp_frame((0, 80), 1, 0x18, content.as_bytes());
    output.write_all(&pcap(ETHERNET, &[])).unwrap();
    let length = u32::try_from(frame.len()).unwrap();
    let mut records = Vec::new();
    for number in 0..CONNECTIONS {
        let (second, part) = (number / PER_SECOND, number % PER_SECOND);
        for word in [1_700_000_000 + second, part * (1_000_000 / PER_SECOND), length, length] {
            records.extend(word.to_le_bytes());
        }
        // The last byte of the receiver's address, and the sender's port behind the IP header.
        frame[IP + 19] = u8::try_from(number % 16).unwrap();
        let port = u16::try_from(1_024 + number / 16 % 64_000).unwrap();
        frame[IP + 20..IP + 22].copy_from_slice(&port.to_be_bytes());
        records.extend(&frame);
        if records.len() > 1 << 20 {
            output.write_all(&records).unwrap();
            records.clear();
        }
    }
    output.write_all(&records).unwrap();
}

/// The most that a process has had in memory.
fn most_resident_bytes(child: &Child) -> u64 {
    let status = fs::read_to_string(format!("/proc/{}/status", child.id())).unwrap();
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:")).unwrap();
    line.split_whitespace().next().unwrap().parse::<u64>().unwrap() << 10
}
