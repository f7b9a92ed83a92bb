//! From the link that the command line prints to a change in the browser, and out again.

use serde_json::{Value, json};

use crate::bed::{Bed, JSON};

#[test]
fn a_browser_logs_in_changes_something_and_logs_out() {
    let bed = Bed::new("login");
    let (_, link) = bed.token("laptop", "admin");
    let code = link.split("#code=").nth(1).unwrap();
    let own = format!("http://{}", bed.address);
    let nobody = bed.ask("GET", "/api/session", &[], "").json();
    assert_eq!(nobody["authenticated"], false);
    assert_eq!((&nobody["scopes"], &nobody["loopback"]), (&json!(["read"]), &json!(true)));

    let log_in = || {
        let body = json!({ "code": code }).to_string();
        bed.ask("POST", "/api/session", &[JSON, ("Origin", &own)], &body)
    };
    let answer = log_in();
    assert_eq!(answer.status, 200, "{}", answer.text());
    let session = answer.json();
    assert_eq!(session["name"], "laptop");
    assert_eq!(session["scopes"], json!(["read", "respond", "admin"]));
    let set = answer.header("set-cookie").unwrap();
    for part in ["HttpOnly", "SameSite=Strict", "Path=/"] {
        assert!(set.contains(part), "{set}");
    }
    assert!(!set.contains("Secure"), "{set}");
    assert_eq!(log_in().status, 401, "a code works once");

    let cookie = set.split(';').next().unwrap();
    let csrf = session["csrf"].as_str().unwrap();
    let known = bed.ask("GET", "/api/session", &[("Cookie", cookie)], "").json();
    assert_eq!((&known["name"], &known["csrf"]), (&"laptop".into(), &csrf.into()));

    let change = |name: &str, headers: &[(&str, &str)]| {
        let body = json!({ "name": name, "scope": "read" }).to_string();
        let headers = [&[JSON, ("Cookie", cookie), ("Origin", own.as_str())], headers].concat();
        bed.ask("POST", "/api/tokens", &headers, &body)
    };
    for headers in [&[][..], &[("X-CSRF-Token", "")], &[("X-CSRF-Token", "other")]] {
        let answer = change("made by a cookie", headers);
        assert_eq!((answer.status, &answer.json()["field"]), (403, &"X-CSRF-Token".into()));
    }
    assert_eq!(change("made by a cookie", &[("X-CSRF-Token", csrf)]).status, 201);

    let leave = |headers: &[(&str, &str)]| {
        let headers = [&[("Cookie", cookie)], headers].concat();
        bed.ask("DELETE", "/api/session", &headers, "")
    };
    assert_eq!(leave(&[]).status, 403);
    let answer = leave(&[("X-CSRF-Token", csrf)]);
    assert_eq!(answer.status, 204);
    assert!(answer.header("set-cookie").unwrap().contains("Max-Age=0"));
    let after = bed.ask("GET", "/api/session", &[("Cookie", cookie)], "").json();
    assert_eq!((&after["authenticated"], &after["csrf"]), (&false.into(), &Value::Null));
    assert_eq!(change("after", &[("X-CSRF-Token", csrf)]).status, 401);
    let log = bed.ask("GET", "/api/audit", &[], "").text();
    assert!(log.contains("logged in from 127.0.0.1"), "{log}");
}

#[test]
fn what_lets_one_in_is_read_strictly() {
    let bed = Bed::new("credentials");
    let (token, _) = bed.token("read", "read");
    let ask = |body: &str| bed.ask("POST", "/api/session", &[JSON], body).status;
    assert_eq!(ask(&json!({ "token": token }).to_string()), 200);
    for (body, status) in [
        ("{}", 422),
        (r#"{"code":null}"#, 422),
        (r#"{"code":4}"#, 422),
        (r#"{"code":"a","token":"b"}"#, 422),
        (r#"{"password":"a"}"#, 422),
        ("[]", 422),
        ("", 400),
        (r#"{"code":"' OR 1=1 --"}"#, 401),
        (r#"{"token":"dtct_"}"#, 401),
    ] {
        assert_eq!(ask(body), status, "{body}");
    }
    let answer = bed.ask("POST", "/api/session", &[("Content-Type", "text/plain")], "{}");
    assert_eq!(answer.status, 415);
}
