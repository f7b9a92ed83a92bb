//! Every endpoint, asked by everybody who may not, and by those who may.

use detector_tests::http::Answer;
use serde_json::json;

use crate::bed::{Bed, JSON, SAMPLE, document, filled, operations};

/// Events have no end: their head is all that is read.
fn status(bed: &Bed, method: &str, path: &str, headers: &[(&str, &str)]) -> u16 {
    let mut client = bed.client();
    let host = [("Host", bed.address.as_str())];
    let given = headers.iter().any(|(name, _)| name.eq_ignore_ascii_case("host"));
    let all = if given { headers.to_vec() } else { [&host, headers].concat() };
    let lines: String = all.iter().map(|(name, value)| format!("{name}: {value}\r\n")).collect();
    let request = format!("{method} {path} HTTP/1.1\r\n{lines}Content-Length: 0\r\n\r\n");
    client.send(request.as_bytes()).unwrap();
    client.head().unwrap_or_else(|error| panic!("{method} {path}: {error:#}")).0
}

#[test]
fn each_endpoint_by_each_scope() {
    let bed = Bed::new("scopes");
    let document = document(&bed);
    let rank = |scope: &str| ["read", "respond", "admin"].iter().position(|one| *one == scope);
    for scope in ["", "read", "respond", "admin"] {
        let token = if scope.is_empty() { String::new() } else { bed.token(scope, scope).0 };
        let bearer = format!("Bearer {token}");
        let credentials = [("Authorization", bearer.as_str())];
        let headers = if scope.is_empty() { &credentials[..0] } else { &credentials[..] };
        for (method, path, needs) in operations(&document) {
            let found = status(&bed, &method, &filled(&path), headers);
            let context = format!("{method} {path} by `{scope}`: {found}");
            let refused = matches!(found, 401 | 403);
            match needs {
                // Logging in without anything is refused for what it is.
                None => assert!(!refused, "{context}"),
                Some(needs) if scope.is_empty() => assert_eq!(found, 401, "{context} {needs}"),
                Some(needs) => {
                    assert_eq!(rank(&needs) > rank(scope), found == 403, "{context} {needs}");
                    assert_ne!(found, 401, "{context}");
                }
            }
        }
    }
}

#[test]
fn another_sites_page_and_another_name_get_nothing() {
    let bed = Bed::new("origin");
    let (token, _) = bed.token("all", "admin");
    let bearer = format!("Bearer {token}");
    let own = format!("http://{}", bed.address);
    for (method, path, _) in operations(&document(&bed)) {
        let path = filled(&path);
        for foreign in [
            ("Origin", "http://evil.example"),
            ("Origin", "null"),
            ("Sec-Fetch-Site", "cross-site"),
            ("Host", "evil.example"),
            ("Host", "127.0.0.1.evil.example:5000"),
        ] {
            let found = status(&bed, &method, &path, &[("Authorization", &bearer), foreign]);
            assert_eq!(found, 403, "{method} {path} {foreign:?}");
        }
    }
    for ours in [("Origin", own.as_str()), ("Sec-Fetch-Site", "same-origin"), ("Host", "localhost")]
    {
        assert_eq!(status(&bed, "GET", "/api/status", &[ours]), 200, "{ours:?}");
    }
    // A link in a message leads to the page.
    let followed = [("Sec-Fetch-Site", "cross-site"), ("Sec-Fetch-Mode", "navigate")];
    assert_eq!(status(&bed, "GET", "/alerts/00ab", &followed), 200);
    // Nobody else is told that they may read.
    let answer = bed.ask("GET", "/api/status", &[("Origin", &own)], "");
    assert_eq!(answer.header("access-control-allow-origin"), None);
}

#[test]
fn wrong_tokens_are_counted_and_a_right_one_still_works() {
    let bed = Bed::new("wrong");
    let (token, _) = bed.token("right", "read");
    let ask = |token: &str| -> Answer {
        bed.ask("GET", "/api/status", &[("Authorization", &format!("Bearer {token}"))], "")
    };
    for _ in 0..10 {
        let answer = ask("dtct_wrong");
        assert_eq!(answer.status, 401, "{}", answer.text());
        assert_eq!(answer.header("www-authenticate"), Some("Bearer"));
    }
    let answer = ask("dtct_wrong");
    let seconds: u64 = answer.header("retry-after").unwrap().parse().unwrap();
    assert!(answer.status == 429 && (1..=60).contains(&seconds), "{answer:?}");
    assert_eq!(ask(&token).status, 200);
    let log = bed.ask("GET", "/api/audit", &[], "").text();
    assert!(log.contains("login refused: an invalid token"), "{log}");
    // Without one nothing is wrong.
    assert_eq!(bed.ask("GET", "/api/status", &[], "").status, 200);
    assert_eq!(bed.ask("POST", "/predict", &[JSON], SAMPLE).status, 200);
    // One that speaks for others is not of this machine.
    assert_eq!(bed.ask("GET", "/api/status", &[("X-Forwarded-For", "192.0.2.1")], "").status, 401);
}

#[test]
fn what_is_answered_can_do_a_browser_no_harm() {
    let bed = Bed::new("headers");
    for (path, policy, cache) in [
        ("/", "default-src 'self'", "no-cache"),
        ("/api/status", "default-src 'none'", "no-store"),
        ("/api/nothing", "default-src 'none'", "no-store"),
    ] {
        let answer = bed.ask("GET", path, &[], "");
        let header = |name| answer.header(name).unwrap_or_else(|| panic!("{path}: no {name}"));
        assert!(header("content-security-policy").starts_with(policy), "{path}");
        assert!(header("content-security-policy").contains("frame-ancestors 'none'"), "{path}");
        assert_eq!(header("x-content-type-options"), "nosniff");
        assert_eq!(header("referrer-policy"), "no-referrer");
        assert_eq!(header("cross-origin-opener-policy"), "same-origin");
        assert_eq!(header("cache-control"), cache);
    }
}

#[test]
fn answers_are_compressed_for_who_can_read_them() {
    let bed = Bed::new("compressed");
    let encoding = |path: &str, accepted: &[(&str, &str)]| {
        let answer = bed.ask("GET", path, accepted, "");
        assert_eq!(answer.status, 200, "{path}");
        (answer.header("content-encoding").map(str::to_owned), answer.body.len())
    };
    for path in ["/", "/api/status", "/api/openapi.json", "/metrics"] {
        let (plain, whole) = encoding(path, &[]);
        let (packed, short) = encoding(path, &[("Accept-Encoding", "gzip, deflate, br")]);
        assert_eq!((plain, packed.as_deref()), (None, Some("gzip")), "{path}");
        assert!(short < whole, "{path}: {short} of {whole}");
    }
}

#[test]
fn a_token_that_was_revoked_is_none() {
    let bed = Bed::new("revoked");
    let (admin, _) = bed.token("admin", "admin");
    let made = bed.post("/api/tokens", &admin, &json!({ "name": "visit", "scope": "respond" }));
    assert_eq!(made.status, 201, "{}", made.text());
    let made = made.json();
    let token = made["token"].as_str().unwrap();
    let link = format!("http://{}/login#code=", bed.address);
    assert!(made["login_link"].as_str().unwrap().starts_with(&link), "{made}");
    let bearer = format!("Bearer {token}");
    let ask = || bed.ask("GET", "/api/status", &[("Authorization", &bearer)], "").status;
    assert_eq!(ask(), 200);
    let again = bed.post("/api/tokens", &admin, &json!({ "name": "visit", "scope": "read" }));
    assert_eq!((again.status, &again.json()["field"]), (409, &"name".into()));
    let path = format!("/api/tokens/{}", made["id"]);
    let admin = format!("Bearer {admin}");
    assert_eq!(bed.ask("DELETE", &path, &[("Authorization", &admin)], "").status, 204);
    assert_eq!(ask(), 401);
    assert_eq!(bed.ask("DELETE", &path, &[("Authorization", &admin)], "").status, 404);
    // What the command line revokes is none a second later.
    assert!(bed.token_command(&["revoke", "admin"]).contains("is revoked"));
    let gone = detector_tests::poll_until(std::time::Duration::from_secs(5), || {
        let found = bed.ask("GET", "/api/tokens", &[("Authorization", &admin)], "").status;
        (found == 401 || found == 429).then_some(())
    });
    gone.unwrap();
}
