//! What is wrong is answered with a problem that names the field, never with our failure.

use std::io::Write as _;
use std::net::TcpStream;
use std::time::Duration;

use detector_tests::poll_until;
use serde_json::{Value, json};

use crate::bed::{Bed, JSON, SAMPLE};

/// Method, path, body, status and field.
type Case = (&'static str, &'static str, &'static str, u16, &'static str);

const CASES: &[Case] = &[
    ("GET", "/api/alerts?limit=x", "", 422, "limit"),
    ("GET", "/api/alerts?limit=0", "", 422, "limit"),
    ("GET", "/api/alerts?limit=501", "", 422, "limit"),
    ("GET", "/api/alerts?cursor=stale", "", 422, "cursor"),
    ("GET", "/api/alerts?address=10.0.0.256", "", 422, "address"),
    ("GET", "/api/alerts?dst_port=65536", "", 422, "dst_port"),
    ("GET", "/api/alerts?from=yesterday", "", 422, "from"),
    ("GET", "/api/alerts/zz", "", 404, ""),
    ("GET", "/api/alerts/0123456789abcdef", "", 404, ""),
    ("GET", "/api/audit?limit=0", "", 422, "limit"),
    ("GET", "/api/audit?limit=-1", "", 422, "limit"),
    ("GET", "/api/audit?offset=4", "", 422, "offset"),
    ("GET", "/api/audit?cursor=stale", "", 422, "cursor"),
    ("GET", "/api/audit?action=cut", "", 422, "action"),
    ("GET", "/api/audit?from=yesterday", "", 422, "from"),
    ("GET", "/api/explain/here", "", 422, "address"),
    ("GET", "/api/models/0123456789abcdef", "", 404, ""),
    ("GET", "/api/hosts/10.0.0.256", "", 422, "address"),
    ("DELETE", "/api/tokens/x", "", 422, "id"),
    ("DELETE", "/api/tokens/999", "", 404, ""),
    ("DELETE", "/api/blocks/-1", "", 422, "number"),
    ("POST", "/api/tokens", "{}", 422, "name"),
    ("POST", "/api/tokens", r#"{"name":null,"scope":"read"}"#, 422, "name"),
    ("POST", "/api/tokens", r#"{"name":"a"}"#, 422, "scope"),
    ("POST", "/api/tokens", r#"{"name":"a","scope":"root"}"#, 422, "scope"),
    ("POST", "/api/tokens", r#"{"name":"","scope":"read"}"#, 422, "name"),
    ("POST", "/api/tokens", r#"{"name":"a\u0000","scope":"read"}"#, 422, "name"),
    (
        "POST",
        "/api/tokens",
        r#"{"name":"a","scope":"read","expires_in_secs":0}"#,
        422,
        "expires_in_secs",
    ),
    ("POST", "/api/tokens", r#"{"name":"a","scope":"read","more":1}"#, 422, "more"),
    ("POST", "/api/tokens", r#"["a","read",null]"#, 422, ""),
    ("POST", "/api/tokens", "{\"name\":", 400, ""),
    ("POST", "/api/tokens", "\u{feff}{}", 400, ""),
    ("POST", "/api/blocks", r#"{"target":"everything","reason":"x"}"#, 422, "target"),
    ("POST", "/api/blocks", r#"{"target":"host 10.0.0.7"}"#, 422, "reason"),
    ("POST", "/api/blocks", r#"{"target":"host 10.0.0.7","reason":" "}"#, 422, "reason"),
    (
        "POST",
        "/api/blocks",
        r#"{"target":"host 10.0.0.7","reason":"x","ttl_secs":0}"#,
        422,
        "ttl_secs",
    ),
    (
        "POST",
        "/api/blocks",
        r#"{"target":"host 10.0.0.7","reason":"x","effect":{"mark":{"dscp":64}}}"#,
        422,
        "effect",
    ),
    (
        "POST",
        "/api/blocks",
        r#"{"target":"host 10.0.0.7","reason":"x","confirm_within_secs":0}"#,
        422,
        "confirm_within_secs",
    ),
    ("POST", "/api/blocks", r#"{"target":"host 10.0.0.7","reason":"x"}"#, 409, ""),
    ("POST", "/api/allow", r#"{"reason":"x"}"#, 422, "destination"),
    ("POST", "/api/allow", r#"{"destination":"10.0.0.1/8","reason":"x"}"#, 422, "destination"),
    ("PUT", "/api/mode", r#"{"mode":"panic"}"#, 422, "mode"),
    ("POST", "/api/budgets/raise", r#"{"home":"here","destination":"::1"}"#, 422, "home"),
    ("POST", "/api/models", "no model", 422, "body"),
    ("POST", "/api/models/0/activate", "", 404, ""),
];

#[test]
fn what_is_wrong_is_named() {
    let bed = Bed::new("input");
    let (token, _) = bed.token("all", "admin");
    let bearer = format!("Bearer {token}");
    for (method, path, body, status, field) in CASES {
        let answer = bed.ask(method, path, &[JSON, ("Authorization", &bearer)], body);
        let problem = answer.json();
        let context = format!("{method} {path} {body}: {}", answer.text());
        assert_eq!(answer.status, *status, "{context}");
        assert_eq!(answer.header("content-type"), Some("application/problem+json"), "{context}");
        assert_eq!(problem["status"], *status, "{context}");
        assert_eq!(problem["field"].as_str().unwrap_or(""), *field, "{context}");
        let detail = problem["detail"].as_str().unwrap();
        assert!(!detail.is_empty() && !detail.contains("panick"), "{context}");
    }
}

#[test]
fn the_documented_record_and_its_forms() {
    let bed = Bed::new("predict");
    let ask = |kind: &str, body: &str| bed.ask("POST", "/predict", &[("Content-Type", kind)], body);
    let json = "application/json";
    let large = SAMPLE.replace("1500", "500000");
    let one = ask(json, SAMPLE).json();
    assert_eq!(one["prediction"], 0);
    assert!(one["probability"].as_f64().unwrap() < 0.5);
    assert_eq!(ask(json, &large).json()["prediction"], 1);
    let many = ask(json, &format!("[{SAMPLE},{large}]")).json();
    assert_eq!((&many[0]["prediction"], &many[1]["prediction"]), (&json!(0), &json!(1)));
    let lines = ask("application/x-ndjson", &format!("{SAMPLE}\n{large}\n"));
    assert_eq!(lines.header("content-type"), Some("application/x-ndjson"));
    assert_eq!(lines.text().lines().count(), 2);
    assert_eq!(ask("application/x-www-form-urlencoded", SAMPLE).status, 415);
    // What the reasons leave of the score is the model's bias, the same for every record.
    let bias = |record: &str| {
        let why = bed.ask("POST", "/predict?reasons=true", &[JSON], record).json();
        let reasons = why["reasons"].as_array().unwrap().iter();
        assert!(reasons.clone().all(|reason| reason["feature"] != "bias"), "{why}");
        let sum: f64 = reasons.map(|reason| reason["contribution"].as_f64().unwrap()).sum();
        why["score"].as_f64().unwrap() - sum
    };
    assert!((bias(&large) - bias(SAMPLE)).abs() < 1e-9, "{} {}", bias(&large), bias(SAMPLE));
    assert_eq!(bed.ask("POST", "/predict?reasons=maybe", &[JSON], SAMPLE).status, 422);

    let sample: Value = serde_json::from_str(SAMPLE).unwrap();
    for field in sample.as_object().unwrap().keys() {
        for value in [None, Some(Value::Null), Some(json!([])), Some(json!(true)), Some(json!(""))]
        {
            let mut record = sample.clone();
            let fields = record.as_object_mut().unwrap();
            match value {
                Some(value) => drop(fields.insert(field.clone(), value)),
                None => drop(fields.remove(field)),
            }
            let answer = ask(json, &record.to_string());
            let problem = answer.json();
            assert_eq!(
                (answer.status, &problem["field"]),
                (422, &field.as_str().into()),
                "{record}"
            );
        }
    }
}

/// Ten thousand bodies with bytes changed, over connections that are kept.
#[test]
fn no_mutated_record_is_our_failure() {
    const BODIES: u32 = 10_000;
    let bed = Bed::new("fuzz");
    let mut client = bed.client();
    let mut state = 0x9e37_79b9_7f4a_7c15_u64;
    // Xorshift64* (Vigna 2016).
    let mut draw = move |below: usize| {
        state ^= state >> 12;
        state ^= state << 25;
        state ^= state >> 27;
        (state.wrapping_mul(0x2545_f491_4f6c_dd1d) >> 33) as usize % below
    };
    let mut counts = [0_u32; 2];
    for _ in 0..BODIES {
        let mut body = SAMPLE.as_bytes().to_vec();
        for _ in 0..=draw(2) {
            let at = draw(body.len());
            match draw(8) {
                // Other values in the right form.
                0..5 => {
                    let digits: Vec<usize> =
                        (0..body.len()).filter(|at| body[*at].is_ascii_digit()).collect();
                    if let Some(at) = digits.get(draw(digits.len().max(1))) {
                        body[*at] = b'0' + draw(10) as u8;
                    }
                }
                5 => body[at] = draw(256) as u8,
                6 => body.truncate(at + 1),
                _ => body.insert(at, b"{}[]\",:0-.eE\\"[draw(13)]),
            }
        }
        let answer = client.ask("POST", "/predict", &[JSON], &body);
        let answer = answer.unwrap_or_else(|error| {
            panic!("{error:#}: {}", String::from_utf8_lossy(&body));
        });
        assert!(
            matches!(answer.status, 200 | 400 | 422),
            "{}: {}",
            answer.text(),
            String::from_utf8_lossy(&body)
        );
        assert_ne!(answer.json(), Value::Null, "{}", answer.text());
        counts[usize::from(answer.status == 200)] += 1;
    }
    // Some of both kinds: the draw is neither too rough nor too gentle.
    assert!(counts.iter().all(|count| *count > BODIES / 100), "{counts:?}");
    assert!(!bed.server.output().contains("panicked"), "{}", bed.server.output());
}

#[test]
fn bodies_have_bounds_and_clients_that_stall_hold_nobody_up() {
    let bed = Bed::with("bounds", "max_body_bytes = 65536\n");
    let long = format!("[{}]", vec![SAMPLE; 400].join(","));
    assert!(long.len() > 65_536);
    let answer = bed.ask("POST", "/predict", &[JSON], &long);
    assert_eq!(answer.status, 413, "{}", answer.text());
    // Without its length told before.
    let mut client = bed.client();
    let head = format!(
        "POST /predict HTTP/1.1\r\nHost: {}\r\nContent-Type: application/json\r\n\
         Transfer-Encoding: chunked\r\n\r\n{:x}\r\n",
        bed.address,
        long.len()
    );
    client.send(&[head.as_bytes(), long.as_bytes(), b"\r\n0\r\n\r\n"].concat()).unwrap();
    assert_eq!(client.answer(false).unwrap().status, 413);
    // Deep nesting is refused, not followed.
    let deep = "[".repeat(60_000);
    let answer = bed.ask("POST", "/predict", &[JSON], &deep);
    assert!(matches!(answer.status, 400 | 422), "{}", answer.text());
    let stalled: Vec<TcpStream> = (0..200)
        .map(|_| {
            let mut stream = TcpStream::connect(&bed.address).unwrap();
            stream.write_all(b"POST /predict HTTP/1.1\r\nHost: local").unwrap();
            stream
        })
        .collect();
    assert_eq!(bed.ask("GET", "/healthz", &[], "").status, 200);
    drop(stalled);
    // Nonsense costs its own connection.
    let mut client = bed.client();
    client.send(b"\x16\x03\x01 nonsense\r\n\r\n").unwrap();
    assert_eq!(client.head().unwrap().0, 400);
    assert_eq!(bed.ask("GET", "/healthz", &[], "").status, 200);
}

#[test]
fn events_come_and_the_server_ends_when_it_is_told() {
    let mut bed = Bed::new("events");
    let (token, _) = bed.token("all", "admin");
    let mut client = bed.client();
    let request = format!(
        "GET /api/events HTTP/1.1\r\nHost: {}\r\nAccept-Encoding: gzip\r\n\r\n",
        bed.address
    );
    client.send(request.as_bytes()).unwrap();
    let (status, headers) = client.head().unwrap();
    assert_eq!(status, 200);
    let kind = headers.iter().find(|(name, _)| name == "content-type").unwrap();
    assert_eq!(kind.1, "text/event-stream");
    // Compressed, an event would wait for those that fill a block.
    assert!(headers.iter().all(|(name, _)| name != "content-encoding"), "{headers:?}");
    let mut seen = Vec::new();
    let mut named = |client: &mut detector_tests::http::Client, name: &str| {
        for _ in 0..200 {
            let line = client.line().unwrap();
            let found = line == format!("event: {name}");
            seen.push(line);
            if found {
                return client.line().unwrap();
            }
        }
        panic!("no {name} in {seen:#?}");
    };
    let status = named(&mut client, "status");
    let status: Value = serde_json::from_str(status.strip_prefix("data: ").unwrap()).unwrap();
    assert_eq!((&status["capturing"], &status["store"]["state"]), (&json!(false), &json!("ok")));
    let contact = json!({ "forename": "Zoë", "surname": "O'Neil", "email": "zoe@example.org" });
    let made = bed.post("/api/contacts", &token, &contact);
    assert_eq!(made.status, 201, "{}", made.text());
    bed.server.interrupt().unwrap();
    let ended = bed.server.wait(Duration::from_secs(10)).unwrap();
    assert!(ended.success(), "{ended}");
    // What listened has come to its end, too.
    poll_until(Duration::from_secs(5), || client.line().err().map(drop)).unwrap();
}
