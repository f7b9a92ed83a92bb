//! Beyond this machine: encrypted, and nothing without a token.

use std::fs;
use std::process::{Command, Stdio};
use std::time::Duration;

use detector_tests::{Background, Scratch, run_checked};

use crate::bed::detector;

/// A certificate for this machine's own addresses, signed by itself.
fn certify(scratch: &Scratch) {
    let mut command = Command::new("openssl");
    command.current_dir(scratch.path()).stderr(Stdio::null()).args([
        "req",
        "-x509",
        "-newkey",
        "ec",
        "-pkeyopt",
        "ec_paramgen_curve:P-256",
        "-nodes",
        "-keyout",
        "tls.key",
        "-out",
        "tls.crt",
        "-days",
        "2",
        "-subj",
        "/CN=localhost",
        "-addext",
        "subjectAltName=DNS:localhost,IP:127.0.0.1",
    ]);
    run_checked(&mut command).unwrap();
}

fn configuration(scratch: &Scratch, listen: &str, tls: bool) -> String {
    let mut text = format!(
        "runtime_dir = {:?}\nstate_dir = {:?}\n[api]\nlisten = {listen:?}\n",
        scratch.join("run"),
        scratch.join("state")
    );
    if tls {
        let (certificate, key) = (scratch.join("tls.crt"), scratch.join("tls.key"));
        text.push_str(&format!("tls_certificate = {certificate:?}\ntls_key = {key:?}\n"));
    }
    text
}

#[test]
fn beyond_this_machine_only_encrypted_and_with_a_token() {
    let scratch = Scratch::new("api-tls").unwrap();
    certify(&scratch);
    let config =
        scratch.write("detector.toml", configuration(&scratch, "0.0.0.0:0", true)).unwrap();
    let serve = |config| {
        let mut command = detector();
        command.args(["serve", "--config"]).arg(config);
        command
    };
    let server = Background::start(&mut serve(&config)).unwrap();
    let line = server.wait_for_line("listening on https://", Duration::from_secs(20)).unwrap();
    let port = line.rsplit(':').next().unwrap();
    let url = format!("https://127.0.0.1:{port}");
    let mut create = detector();
    create.args(["token", "create", "far", "--format", "json", "--config"]).arg(&config);
    let made: serde_json::Value = serde_json::from_str(&run_checked(&mut create).unwrap()).unwrap();
    let bearer = format!("Authorization: Bearer {}", made["token"].as_str().unwrap());

    let curl = |arguments: &[&str]| {
        let mut command = Command::new("curl");
        command.args(["--silent", "--max-time", "10", "--cacert"]).arg(scratch.join("tls.crt"));
        command.args(["--write-out", "\n%{http_code}"]).args(arguments);
        let output = String::from_utf8(command.output().unwrap().stdout).unwrap();
        let (body, status) = output.rsplit_once('\n').unwrap();
        (status.parse::<u16>().unwrap(), body.to_owned())
    };
    assert_eq!(curl(&[&format!("{url}/healthz")]).0, 200);
    let status = format!("{url}/api/status");
    assert_eq!(curl(&[&status]).0, 401);
    assert_eq!(curl(&[&format!("{url}/predict"), "--request", "POST"]).0, 401);
    assert_eq!(curl(&[&format!("{url}/metrics")]).0, 401);
    assert_eq!(curl(&[&status, "--header", &bearer]).0, 200);
    assert_eq!(curl(&[&status, "--header", &bearer, "--header", "Host: evil.example"]).0, 403);
    // The page itself is no secret: one logs in on it.
    assert_eq!(curl(&[&format!("{url}/login")]).0, 200);
    let body = serde_json::json!({ "token": made["token"] }).to_string();
    let (code, headers) = curl(&[
        &format!("{url}/api/session"),
        "--include",
        "--header",
        "Content-Type: application/json",
        "--data",
        &body,
    ]);
    assert!(code == 200 && headers.contains("; Secure"), "{headers}");
    // Without TLS nothing is said at all.
    assert_eq!(curl(&[&format!("http://127.0.0.1:{port}/healthz")]).0, 0);
}

#[test]
fn what_would_be_served_in_the_clear_is_refused() {
    let scratch = Scratch::new("api-clear").unwrap();
    let refused = |text: String, expected: &str| {
        let config = scratch.write("detector.toml", text).unwrap();
        let output = detector().args(["serve", "--config"]).arg(config).output().unwrap();
        let said = String::from_utf8_lossy(&output.stderr).into_owned();
        assert_eq!(output.status.code(), Some(1), "{said}");
        assert!(said.contains(expected), "{said}");
    };
    refused(configuration(&scratch, "0.0.0.0:0", false), "needs TLS");
    refused(configuration(&scratch, "127.0.0.1:0", true), "tls.crt");
    certify(&scratch);
    fs::write(scratch.join("tls.key"), "no key").unwrap();
    refused(configuration(&scratch, "127.0.0.1:0", true), "api.tls_key");
}
