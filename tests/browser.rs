//! The dashboard in a real browser, on what a lab has seen: every page opened and used, an alert found
//! by each of its fields, read, blocked and released while what arrives is counted.
//!
//! The browser does what tests/browser/walk.mjs says, in the gateway's namespace, where there is no way
//! to another host. It asks here about the wire: a line `ask …` is answered by a line.
#![expect(clippy::unwrap_used, reason = "a test that cannot go on fails")]

use std::io::{BufRead as _, BufReader, Write as _};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use detector_tests::watch::{HOME, START, TRAFFIC, Watch, sink, traffic};
use detector_tests::{Background, Recorder, Scratch, Topology, poll_until, run_checked};

const V4: &str = "203.0.113.10";
const V6: &str = "2001:db8::10";
/// Where messages go.
const MESSAGES: &str = "203.0.113.60";
/// Where the stealer sends to, and what it calls the place.
const PANEL: (&str, &str) = ("203.0.113.22", "files.drop.thief.example");
const UPLOAD: &str = include_str!("browser/upload.py");
const URL: &str = "http://127.0.0.1:5000";

/// Who sends and who receives while the browser looks on.
struct Lab {
    topology: Topology,
    sink: Background,
    watch: Watch,
    /// Goes on for as long as it is held: a stream, and datagrams, which a block does not slow down.
    _traffic: [Background; 2],
    later: Option<Background>,
    scratch: Scratch,
}

impl Lab {
    /// Three thefts, of which two are recorded, and a stream to the first place that goes on.
    fn new() -> Self {
        let topology = Topology::simple().unwrap();
        let sink = sink(topology.server());
        // What is sent to be read by people goes to the same sink: it takes datagrams, too. Its address
        // is never blocked, so it is not one that is stolen to.
        let channel = format!(
            "[[notify.channels]]\nkind = \"syslog\"\nname = \"siem\"\naddress = \"{MESSAGES}:9000\"\ntransport = \"udp\"\n"
        );
        let config = format!("{HOME}{channel}");
        let watch = Watch::start(&topology.gateway, &[Topology::GATEWAY_INNER], &[], &config);
        let scratch = Scratch::new("browser").unwrap();
        let client = &topology.client;
        let file = scratch.join("theft.pcap");
        traffic(client, &["stream", V4, "12000000"]);
        // Small enough to be recorded whole at the speed of a veth pair.
        let recorder = Recorder::start(client, Topology::CLIENT_INTERFACE, &file).unwrap();
        client.run("python3", ["-c", UPLOAD, PANEL.0, PANEL.1, "200000"]).unwrap();
        traffic(client, &["stream", V6, "2000000"]);
        recorder.stop().unwrap();
        for receiver in [V4, PANEL.1, V6] {
            watch.process.wait_for_line(&format!("\"{receiver}\""), START).unwrap();
        }
        let _traffic = [("trickle", "20000"), ("drizzle", "4000")]
            .map(|(verb, rate)| client.spawn("python3", ["-c", TRAFFIC, verb, V4, rate]).unwrap());
        Self { topology, sink, watch, _traffic, later: None, scratch }
    }

    fn login_link(&self) -> String {
        let arguments = ["token", "create", "walker", "--scope", "admin"];
        let text = self.watch.ask(&self.topology.gateway, &arguments);
        let link = text.split_whitespace().find(|word| word.contains("/login#code="));
        link.unwrap_or_else(|| panic!("no login link in {text}")).to_owned()
    }

    fn walk(&self) -> Walk {
        let folder = browser_folder();
        let mut command = self.topology.gateway.command("node");
        command
            .arg(folder.join("walk.mjs"))
            .env("DASHBOARD_URL", URL)
            .env("LOGIN_LINK", self.login_link())
            .env("CAPTURE", self.scratch.join("theft.pcap"))
            .env("SCREENSHOTS", root().join("target/screenshots"))
            .stdin(Stdio::piped())
            .stdout(Stdio::piped());
        Walk(command.spawn().unwrap())
    }

    /// What the browser wants to know of the wire: `yes`, or what is so instead.
    fn answer(&mut self, question: &str) -> String {
        match question {
            "the receiver's bytes move" | "the receiver's bytes move again" => {
                let before = self.received();
                let more = || (self.received() > before).then_some(());
                match poll_until(START, more) {
                    Ok(()) => "yes".to_owned(),
                    Err(_) => format!("{before} bytes, and no more come"),
                }
            }
            "the receiver's bytes stand still" => {
                // What was in flight arrives; then nothing.
                std::thread::sleep(Duration::from_millis(200));
                let before = self.received();
                std::thread::sleep(Duration::from_millis(800));
                let after = self.received();
                if before == after { "yes".to_owned() } else { format!("{before}, then {after}") }
            }
            "another theft has begun" => {
                let theft = ["-c", TRAFFIC, "stream", "203.0.113.50", "12000000"];
                self.later = Some(self.topology.client.spawn("python3", theft).unwrap());
                "yes".to_owned()
            }
            other => format!("nobody knows: {other}"),
        }
    }

    /// What has come to the first place over all streams.
    fn received(&self) -> u64 {
        let text = self.sink.output();
        let sum = format!("at {V4} sum ");
        let last = text.lines().rev().find_map(|line| line.strip_prefix(&sum)?.parse().ok());
        last.unwrap_or(0)
    }
}

/// The browser's script; it ends with its guard.
struct Walk(Child);

impl Drop for Walk {
    fn drop(&mut self) {
        self.0.kill().ok();
        self.0.wait().ok();
    }
}

fn root() -> PathBuf {
    let package = Path::new(env!("CARGO_MANIFEST_DIR"));
    package.parent().unwrap_or(package).to_owned()
}

fn browser_folder() -> PathBuf {
    root().join("tests/browser")
}

/// Fetches what drives the browser, at the versions of the lock file.
fn install_driver() {
    let folder = browser_folder();
    if !folder.join("node_modules/playwright-core/package.json").exists() {
        run_checked(Command::new("npm").arg("ci").current_dir(&folder)).unwrap();
    }
}

#[test]
#[ignore = "needs root: run cargo xtask test"]
fn every_page_is_opened_and_used() {
    install_driver();
    let mut lab = Lab::new();
    let mut walk = lab.walk();
    let mut input = walk.0.stdin.take().unwrap();
    let output = walk.0.stdout.take().unwrap();
    let mut said = Vec::new();
    for line in BufReader::new(output).lines() {
        let line = line.unwrap();
        if let Some(question) = line.strip_prefix("ask ") {
            let answer = lab.answer(question);
            writeln!(input, "{answer}").unwrap();
        }
        said.push(line);
    }
    let status = walk.0.wait().unwrap();
    let passed = said.iter().filter(|line| line.starts_with("ok ")).count();
    said.retain(|line| !line.starts_with("ok "));
    assert!(status.success(), "{status}, {passed} checks passed:\n{}", said.join("\n"));
    assert!(passed > 150, "only {passed} checks were made:\n{}", said.join("\n"));
    lab.watch.stop();
}
