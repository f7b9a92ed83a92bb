//! The released program at work in a namespace, what it has to say, and traffic for it to see.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on fails")]

use std::path::PathBuf;
use std::process::Command;
use std::time::{Duration, Instant};

use serde_json::Value;

use crate::{Background, Namespace, Scratch, poll_until, run_checked};

/// A script with the traffic that tests ask for by a verb.
pub const TRAFFIC: &str = include_str!("traffic.py");
/// Longer than a start ever takes, also on an emulated processor.
pub const START: Duration = Duration::from_secs(60);
/// The networks of [`crate::Topology`]'s client.
pub const HOME: &str = "home_networks = [\"10.66.1.0/24\", \"fd66:1::/64\"]\n";

pub fn detector() -> PathBuf {
    let path = std::env::var_os("DETECTOR_BIN").expect("DETECTOR_BIN: run cargo xtask test");
    PathBuf::from(path)
}

/// `detector run` in a namespace.
pub struct Watch {
    pub process: Background,
    config: PathBuf,
    folders: Scratch,
}

impl Watch {
    /// Starts it with folders of its own for what it keeps. `config` begins with keys of no section.
    pub fn start(
        namespace: &Namespace,
        interfaces: &[&str],
        arguments: &[&str],
        config: &str,
    ) -> Self {
        Self::start_in(Scratch::new("watch").unwrap(), namespace, interfaces, arguments, config)
    }

    /// The same with the folders of an earlier one.
    pub fn start_in(
        folders: Scratch,
        namespace: &Namespace,
        interfaces: &[&str],
        arguments: &[&str],
        config: &str,
    ) -> Self {
        Self::start_by(
            &|program| namespace.command(program),
            folders,
            interfaces,
            arguments,
            config,
        )
    }

    /// The same by a command of the caller's, which is given the program.
    pub fn start_by(
        command: &dyn Fn(PathBuf) -> Command,
        folders: Scratch,
        interfaces: &[&str],
        arguments: &[&str],
        config: &str,
    ) -> Self {
        let (run, state) = (folders.join("run"), folders.join("state"));
        let keys = format!("runtime_dir = {run:?}\nstate_dir = {state:?}\n");
        let config = folders.write("detector.toml", keys + config).unwrap();
        let mut command = command(detector());
        command.args(["run", "--format", "json", "--flows", "--config"]).arg(&config);
        command.args(arguments).arg("--interface").args(interfaces);
        let process = Background::start(&mut command).unwrap();
        process.wait_for_line("stop with Ctrl-C", START).unwrap();
        Self { process, config, folders }
    }

    /// A command to the running agent.
    pub fn command(&self, namespace: &Namespace, arguments: &[&str]) -> Command {
        let mut command = namespace.command(detector());
        command.args(arguments).arg("--config").arg(&self.config);
        command
    }

    /// Gives the running agent a command that it must obey.
    pub fn ask(&self, namespace: &Namespace, arguments: &[&str]) -> String {
        run_checked(&mut self.command(namespace, arguments)).unwrap()
    }

    /// Gives it a command that it must refuse, and returns the one line in which it does.
    pub fn refused(&self, namespace: &Namespace, arguments: &[&str]) -> String {
        let output = self.command(namespace, arguments).output().unwrap();
        let text = String::from_utf8_lossy(&output.stderr).into_owned();
        assert!(matches!(output.status.code(), Some(1 | 2)), "{arguments:?}: {output:?}");
        assert!(output.stdout.is_empty(), "{output:?}");
        let lines: Vec<&str> = text.lines().filter(|line| line.starts_with("detector: ")).collect();
        assert_eq!(lines.len(), 1, "{arguments:?}: {text}");
        lines[0].to_owned()
    }

    /// Its first alert of traffic that it recognises. How fast a machine sends decides whether one of bytes
    /// without an explanation comes before.
    pub fn recognised(&self) -> Value {
        poll_until(START, || {
            let report = Report::read(&self.process.output());
            report.of("alert").find(|alert| alert["technique"] != "unexplained_upload").cloned()
        })
        .unwrap_or_else(|error| panic!("{error:#}: {}", self.process.output()))
    }

    /// Kills it and hands out its folders, to start another on them.
    pub fn kill(mut self) -> Scratch {
        self.process.kill().unwrap();
        self.folders
    }

    /// Stops it as a service manager does and returns what it had to say.
    pub fn stop(mut self) -> Report {
        self.process.terminate().unwrap();
        let status = self.process.wait(START).unwrap();
        let text = self.process.output();
        assert!(status.success(), "{status}: {text}");
        Report::read(&text)
    }
}

/// The JSON lines of a run.
pub struct Report {
    pub lines: Vec<Value>,
    pub text: String,
}

impl Report {
    pub fn read(text: &str) -> Self {
        let lines = text
            .lines()
            .filter(|line| line.starts_with('{'))
            .map(|line| {
                serde_json::from_str(line).unwrap_or_else(|error| panic!("{error}: {line}"))
            })
            .collect();
        Self { lines, text: text.to_owned() }
    }

    pub fn of(&self, kind: &str) -> impl Iterator<Item = &Value> {
        self.lines.iter().filter(move |line| line["type"] == kind)
    }

    pub fn summary(&self) -> &Value {
        self.of("summary").last().unwrap_or_else(|| panic!("no summary: {}", self.text))
    }

    pub fn assert_all_accounted(&self) {
        assert_eq!(self.summary()["unaccounted_bytes"], 0, "{}", self.summary());
        assert!(number(self.summary(), "packets") > 0);
    }

    /// Sum of a field over the flows to a destination.
    pub fn sum(&self, protocol: &str, destination: &str, field: &str) -> u64 {
        let meant = |flow: &&Value| flow["dst"] == destination && flow["protocol"] == protocol;
        self.of("flow").filter(meant).map(|flow| number(flow, field)).sum()
    }

    /// What two observers of one wire must agree on, without what neighbours say by themselves.
    pub fn agreed(&self) -> Vec<String> {
        let mut flows: Vec<String> = self
            .of("flow")
            .filter(|flow| flow["protocol"] != "icmpv6")
            .map(|flow| {
                let fields = ["src", "src_port", "dst", "dst_port", "protocol"];
                let counts = ["bytes_out", "bytes_in", "packets_out", "packets_in", "payload_out"];
                let all = fields.iter().chain(&counts).chain(&["payload_in", "tcp_flags_out"]);
                all.map(|field| flow[*field].to_string()).collect::<Vec<_>>().join(" ")
            })
            .collect();
        flows.sort();
        flows
    }
}

pub fn number(value: &Value, field: &str) -> u64 {
    value[field].as_u64().unwrap_or_else(|| panic!("{field} is no number in {value}"))
}

/// Runs a verb of the traffic script to its end.
pub fn traffic(namespace: &Namespace, arguments: &[&str]) -> String {
    namespace.run("python3", [&["-c", TRAFFIC], arguments].concat()).unwrap()
}

pub fn sink(namespace: &Namespace) -> Background {
    let sink = namespace.spawn("python3", ["-c", TRAFFIC, "sink"]).unwrap();
    sink.wait_for_line("ready", START).unwrap();
    sink
}

pub fn interface_packets(namespace: &Namespace, device: &str) -> u64 {
    let text = namespace.ip(&format!("-j -s link show dev {device}")).unwrap();
    let links: Value = serde_json::from_str(&text).unwrap();
    let stats = &links[0]["stats64"];
    number(&stats["rx"], "packets") + number(&stats["tx"], "packets")
}

/// Until nothing has moved for a while: what is in flight would be one observer's and not the
/// other's.
pub fn wait_until_quiet(namespace: &Namespace, device: &str) {
    let mut before = interface_packets(namespace, device);
    let mut since = Instant::now();
    poll_until(START, || {
        let now = interface_packets(namespace, device);
        if now != before {
            (before, since) = (now, Instant::now());
        }
        (since.elapsed() > Duration::from_millis(300)).then_some(())
    })
    .unwrap();
}
