//! What is found and what is left alone, on captures written here frame by frame: each theft beside
//! an ordinary use of the same protocol.
#![expect(clippy::unwrap_used, reason = "a test that cannot go on fails")]

use std::path::Path;
use std::process::Command;

use detector_tests::capture_file::{ETHERNET, timed};
use detector_tests::conversation::{Conversation, dns_answer, dns_query};
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

/// Bytes without a pattern, the same each time (a linear congruence of Knuth's).
fn noise(length: usize, seed: u64) -> Vec<u8> {
    let mut state = seed;
    let mut byte = || {
        state =
            state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (state >> 33) as u8
    };
    (0..length).map(|_| byte()).collect()
}

/// `bytes` in the letters that names may have (RFC 4648, section 6).
fn base32(bytes: &[u8]) -> String {
    bytes
        .iter()
        .map(|byte| char::from(b"abcdefghijklmnopqrstuvwxyz234567"[usize::from(byte & 31)]))
        .collect()
}

fn unknown_upload() -> Conversation {
    let mut talk = Conversation::tcp(4444);
    talk.upload(&noise(200_000, 1));
    talk
}

fn unknown_download() -> Conversation {
    let mut talk = Conversation::tcp(4444);
    talk.send(b"get it\n");
    talk.download(&noise(200_000, 1));
    talk
}

fn names_with_content() -> Conversation {
    let mut talk = Conversation::udp(53);
    for number in 0..40 {
        let labels: Vec<String> = noise(120, number).chunks(40).map(base32).collect();
        let name = format!("{}.t.drop.example", labels.join("."));
        talk.send(&dns_query(&name, 16));
        talk.receive(&dns_answer(&name, 16, b"\x08received"));
        talk.wait_ms(200);
    }
    talk
}

fn ordinary_names() -> Conversation {
    let mut talk = Conversation::udp(53);
    for number in 0..200_u8 {
        let host = ["www", "cdn", "mail", "api", "static"][usize::from(number % 5)];
        let name = format!("{host}.{}shop.example", char::from(b'a' + number % 26));
        talk.send(&dns_query(&name, 1));
        talk.receive(&dns_answer(&name, 1, &[192, 0, 2, number]));
        talk.wait_ms(50);
    }
    talk
}

const TEXT: &str = "Dear all, the offer to the ministry stands at four million, the others know \
    nothing of it, and the passwords of the three servers are still what they were last year. \
    Burn this letter after you have read it, and tell nobody who wrote it to you.";

fn pings_with_text() -> Conversation {
    let mut talk = Conversation::icmp();
    for part in TEXT.as_bytes().chunks(50) {
        talk.send(part);
        talk.receive(part);
        talk.wait_ms(1_000);
    }
    talk
}

fn ordinary_pings() -> Conversation {
    let mut talk = Conversation::icmp();
    for number in 0..20_u8 {
        let mut payload = vec![number; 16];
        payload.extend(16..56_u8);
        talk.send(&payload);
        talk.receive(&payload);
        talk.wait_ms(1_000);
    }
    talk
}

fn file_transfer(command: &str, act: fn(&mut Conversation, &[u8])) -> Conversation {
    let mut talk = Conversation::tcp(21);
    talk.receive(b"220 FTP server ready\r\n");
    for (line, reply) in [
        ("USER web\r\n", "331 Password\r\n"),
        ("PASS x\r\n", "230 Logged in\r\n"),
        ("PASV\r\n", "227 Entering Passive Mode (203,0,113,5,195,80)\r\n"),
        (command, "150 Ok\r\n"),
    ] {
        talk.send(line.as_bytes());
        talk.receive(reply.as_bytes());
    }
    talk.connect(195 << 8 | 80);
    act(&mut talk, &noise(20_000, 3));
    talk
}

fn file_upload() -> Conversation {
    file_transfer("STOR customers.zip\r\n", Conversation::upload)
}

fn file_download() -> Conversation {
    file_transfer("RETR manual.pdf\r\n", Conversation::download)
}

fn mail(lines: &[&str]) -> Conversation {
    let mut talk = Conversation::tcp(587);
    talk.receive(b"220 mail.example ESMTP\r\n");
    for line in lines {
        talk.send(line.as_bytes());
        talk.receive(if line.starts_with("DATA") { b"354 Go on\r\n" } else { b"250 Ok\r\n" });
    }
    talk
}

fn mail_to_oneself() -> Conversation {
    mail(&[
        "EHLO DESKTOP-4F6G7H8\r\n",
        "AUTH LOGIN\r\n",
        "Ym94QGRyb3AuZXhhbXBsZQ==\r\n",
        "c2VjcmV0\r\n",
        "MAIL FROM:<box@drop.example>\r\n",
        "RCPT TO:<box@drop.example>\r\n",
        "DATA\r\n",
        "From: box@drop.example\r\nTo: box@drop.example\r\nSubject: PW_anna/DESKTOP-4F6G7H8\r\n\r\n\
         Time: 11/21/2026\r\nUser Name: anna\r\nComputer Name: DESKTOP-4F6G7H8\r\nCPU: x\r\nRAM: 8 GB\r\n\
         URL: https://bank.example\r\nUsername: anna\r\nPassword: 1234\r\nApplication: Chrome\r\n.\r\n",
    ])
}

fn mail_to_a_friend() -> Conversation {
    mail(&[
        "EHLO [192.168.1.5]\r\n",
        "MAIL FROM:<anna@home.example>\r\n",
        "RCPT TO:<bert@work.example>\r\n",
        "DATA\r\n",
        "From: anna@home.example\r\nTo: bert@work.example\r\nSubject: Sunday\r\nUser-Agent: Mozilla Thunderbird\r\n\
         \r\nDear Bert, shall we go for a walk on Sunday? Yours, Anna\r\n.\r\n",
    ])
}

fn post(headers: &str, body: &[u8]) -> Conversation {
    let mut talk = Conversation::tcp(80);
    talk.send(
        &[headers.as_bytes(), format!("Content-Length: {}\r\n\r\n", body.len()).as_bytes()]
            .concat(),
    );
    talk.upload(body);
    talk.receive(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok");
    talk
}

fn archive_to_a_bare_address() -> Conversation {
    let form = b"--b\r\nContent-Disposition: form-data; name=\"file\"; filename=\"x.zip\"\r\n\r\nPK\x03\x04";
    post(
        "POST /gate.php HTTP/1.1\r\nHost: 203.0.113.5\r\nContent-Type: multipart/form-data; boundary=b\r\n",
        &[&form[..], &noise(30_000, 4)].concat(),
    )
}

fn form_on_a_site() -> Conversation {
    post(
        "POST /contact HTTP/1.1\r\nHost: www.shop.example\r\nUser-Agent: Mozilla/5.0 (X11; Linux x86_64; \
         rv:128.0) Gecko/20100101 Firefox/128.0\r\nAccept-Language: en-GB\r\nReferer: http://www.shop.example/\r\n\
         Cookie: session=1\r\nContent-Type: application/x-www-form-urlencoded\r\n",
        b"name=Anna&message=Do+you+have+this+in+blue+too",
    )
}

/// Name, capture, and the technique it is found as; none where it is ordinary.
type Scene = (&'static str, fn() -> Conversation, Option<&'static str>);

const SCENES: [Scene; 12] = [
    ("unknown_upload", unknown_upload, Some("bulk_upload")),
    ("unknown_download", unknown_download, None),
    ("names_with_content", names_with_content, Some("dns_tunnel")),
    ("ordinary_names", ordinary_names, None),
    ("pings_with_text", pings_with_text, Some("icmp_tunnel")),
    ("ordinary_pings", ordinary_pings, None),
    ("file_upload", file_upload, Some("clear_upload")),
    ("file_download", file_download, None),
    ("mail_to_oneself", mail_to_oneself, Some("clear_upload")),
    ("mail_to_a_friend", mail_to_a_friend, None),
    ("archive_to_a_bare_address", archive_to_a_bare_address, Some("clear_upload")),
    ("form_on_a_site", form_on_a_site, None),
];

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
