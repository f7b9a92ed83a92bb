//! `detector serve` with a database of its own, and what the tests ask of it.

use std::process::Command;
use std::time::Duration;

use detector_tests::http::{Answer, Client};
use detector_tests::{Background, Scratch, run_checked};
use serde_json::Value;

const START: Duration = Duration::from_secs(20);

/// The record that the older service was documented with.
pub(crate) const SAMPLE: &str = r#"{"timestamp":"2024-01-01T12:00:00Z","source_ip":"192.168.1.100","destination_ip":"10.0.0.1","source_port":12345,"destination_port":80,"protocol":"TCP","bytes_sent":1500,"bytes_received":500,"action":"allow"}"#;

pub(crate) const JSON: (&str, &str) = ("Content-Type", "application/json");

pub(crate) struct Bed {
    pub(crate) address: String,
    pub(crate) server: Background,
    pub(crate) scratch: Scratch,
}

impl Bed {
    pub(crate) fn new(name: &str) -> Self {
        Self::with(name, "")
    }

    /// `api`: further keys of the section.
    pub(crate) fn with(name: &str, api: &str) -> Self {
        let scratch = Scratch::new(&format!("api-{name}")).unwrap();
        let (run, state) = (scratch.join("run"), scratch.join("state"));
        let text = format!(
            "runtime_dir = {run:?}\nstate_dir = {state:?}\n[api]\nlisten = \"127.0.0.1:0\"\n{api}"
        );
        scratch.write("detector.toml", text).unwrap();
        let mut command = detector();
        command.args(["serve", "--config"]).arg(scratch.join("detector.toml"));
        let server = Background::start(&mut command).unwrap();
        let line = server.wait_for_line("listening on ", START).unwrap();
        let address = line.rsplit("://").next().unwrap().to_owned();
        Self { address, server, scratch }
    }

    /// A new connection.
    pub(crate) fn client(&self) -> Client {
        Client::connect(&self.address).unwrap()
    }

    /// One request over a connection of its own.
    pub(crate) fn ask(
        &self,
        method: &str,
        path: &str,
        headers: &[(&str, &str)],
        body: &str,
    ) -> Answer {
        let answer = self.client().ask(method, path, headers, body.as_bytes());
        answer.unwrap_or_else(|error| panic!("{method} {path}: {error:#}"))
    }

    pub(crate) fn post(&self, path: &str, token: &str, body: &Value) -> Answer {
        let bearer = format!("Bearer {token}");
        self.ask("POST", path, &[JSON, ("Authorization", &bearer)], &body.to_string())
    }

    /// `detector token …` on the server's database.
    pub(crate) fn token_command(&self, arguments: &[&str]) -> String {
        let mut command = detector();
        command.arg("token").args(arguments).arg("--config");
        run_checked(command.arg(self.scratch.join("detector.toml"))).unwrap()
    }

    /// A new token: what it is, and its login link.
    pub(crate) fn token(&self, name: &str, scope: &str) -> (String, String) {
        let text = self.token_command(&["create", name, "--scope", scope, "--format", "json"]);
        let object: Value = serde_json::from_str(&text).unwrap();
        let field = |name: &str| object[name].as_str().unwrap().to_owned();
        (field("token"), field("login_link"))
    }
}

/// The program: as `cargo xtask test` released it, else as this build has it.
pub(crate) fn detector() -> Command {
    let beside = || {
        let own = std::env::current_exe().unwrap();
        own.ancestors().nth(2).unwrap().join("detector").into_os_string()
    };
    Command::new(std::env::var_os("DETECTOR_BIN").unwrap_or_else(beside))
}

/// The document of a server.
pub(crate) fn document(bed: &Bed) -> Value {
    let answer = bed.ask("GET", "/api/openapi.json", &[], "");
    assert_eq!(answer.status, 200);
    answer.json()
}

/// Method and path of every operation in the document, and the scope that it needs.
pub(crate) fn operations(document: &Value) -> Vec<(String, String, Option<String>)> {
    let mut all = Vec::new();
    for (path, item) in document["paths"].as_object().unwrap() {
        for (method, operation) in item.as_object().unwrap() {
            let needs = operation["security"].as_array().unwrap();
            let free = needs.iter().any(|one| one.as_object().unwrap().is_empty());
            let scope = needs.iter().find_map(|one| one["token"][0].as_str());
            let scope = scope.filter(|_| !free).map(str::to_owned);
            all.push((method.to_uppercase(), path.clone(), scope));
        }
    }
    assert!(all.len() > 20, "{all:?}");
    all
}

/// A path of the document with something in place of its parameters.
pub(crate) fn filled(path: &str) -> String {
    let parts = path.split('/').map(|part| match part {
        "{address}" => "192.0.2.1",
        part if part.starts_with('{') => "0",
        part => part,
    });
    parts.collect::<Vec<_>>().join("/")
}
