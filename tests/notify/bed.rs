//! What the tests of notifications stand on: receivers that can be down, a database with rules, and
//! alerts to put into it.

use std::collections::BTreeMap;
use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Arc;
use std::time::Duration;

use detector::alerts::Origin;
use detector::config::Config;
use detector::notify::{self, Notifier, Resources};
use detector::store::Store;
use detector::store::alerts::{self, NewAlert};
use detector::store::rules::{RuleSpec, add_rule};
use detector::timestamp::Timestamp;
use detector::verdict::{Alert, AlertId, Basis, Severity, Technique};
use detector_tests::{Background, Scratch, poll_until, run_checked};
use serde_json::Value;

/// Debian's own, which sees Debian's packages.
const PYTHON: &str = "/usr/bin/python3";
const START: Duration = Duration::from_secs(20);

/// The channels' names, each of another kind or transport.
pub(crate) const CHANNELS: [&str; 6] = ["mail", "phones", "hook", "chat", "udp", "tcp"];

pub(crate) struct Bed {
    pub(crate) scratch: Scratch,
    pub(crate) config: Config,
    pub(crate) config_path: PathBuf,
    pub(crate) store: Store,
    ports: BTreeMap<&'static str, u16>,
}

impl Bed {
    pub(crate) fn new(name: &str) -> Self {
        let scratch = Scratch::new(&format!("notify-{name}")).unwrap();
        certify(scratch.path());
        for (file, text) in [("password", "password\n"), ("secret", "opensesame\n")] {
            scratch.write(file, text).unwrap();
        }
        let listeners: Vec<(&str, TcpListener)> = ["smtp", "http", "https", "udp", "tcp"]
            .into_iter()
            .map(|name| (name, TcpListener::bind("127.0.0.1:0").unwrap()))
            .collect();
        let ports: BTreeMap<&str, u16> = listeners
            .iter()
            .map(|(name, listener)| (*name, listener.local_addr().unwrap().port()))
            .collect();
        let http = ports["http"];
        scratch.write("url", format!("http://127.0.0.1:{http}/chat")).unwrap();
        let text = configuration(scratch.path(), &ports);
        let config_path = scratch.write("detector.toml", &text).unwrap();
        let config = Config::load(Some(&config_path)).unwrap();
        let store = Store::open(&config.database()).unwrap();
        Self { scratch, config, config_path, store, ports }
    }

    /// One rule for each of these channels, which tells everything.
    pub(crate) fn rules(&self, channels: &[&str]) {
        for channel in channels {
            let wish = RuleSpec {
                name: format!("all over {channel}"),
                enabled: true,
                channel: (*channel).to_owned(),
                group: None,
                min_severity: Severity::Low,
                techniques: Vec::new(),
                host: None,
                digest_secs: 0,
                repeat_secs: 3_600,
            };
            self.store.write(move |connection| add_rule(connection, &wish)).unwrap();
        }
    }

    pub(crate) fn notifier(&self) -> Notifier {
        let resources = Resources {
            store: Some(self.store.clone()),
            memory: Arc::default(),
            board: Arc::default(),
            base_url: "https://detector.example".to_owned(),
            hear: Arc::new(|| {}),
        };
        notify::start(resources, self.config.notify.clone())
    }

    /// Starts the receivers of all channels.
    pub(crate) fn receivers(&self) -> Vec<Background> {
        ["smtp", "http", "https", "udp", "tcp"].map(|name| self.receiver(name, 0)).into()
    }

    /// Starts one receiver, which answers so many requests with 503 first, and waits until it is
    /// there.
    pub(crate) fn receiver(&self, name: &str, failures: u32) -> Background {
        let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("notify/receivers.py");
        let mut command = Command::new(PYTHON);
        let kind = if name == "https" { "http" } else { name };
        command.arg(script).arg(kind).arg(self.ports[name].to_string());
        command.env("FAIL", failures.to_string());
        if matches!(name, "smtp" | "https") {
            command.arg(self.scratch.join("cert.pem")).arg(self.scratch.join("key.pem"));
        }
        let receiver = Background::start(&mut command).unwrap();
        receiver.wait_for_line("\"ready\"", START).unwrap();
        receiver
    }

    pub(crate) fn port(&self, name: &str) -> u16 {
        self.ports[name]
    }

    /// Stores an alert about the host 10.0.0.`number`.
    pub(crate) fn alert(&self, number: u8) {
        self.alert_of(&alert(number));
    }

    pub(crate) fn alert_of(&self, alert: &Alert) {
        self.alerts_of(vec![alert.clone()]);
    }

    /// Several that are stored together, as a flood of them is.
    pub(crate) fn alerts_of(&self, flood: Vec<Alert>) {
        self.store
            .write(move |connection| {
                flood.iter().try_for_each(|alert| {
                    let origin = Origin::Live;
                    let new = NewAlert { alert, origin, model_hash: "", config_hash: "" };
                    alerts::insert(connection, &new).map(drop)
                })
            })
            .unwrap();
    }
}

pub(crate) fn alert(number: u8) -> Alert {
    let time = Timestamp::from_ns(1_800_000_000_000_000_000 + u64::from(number));
    let first_seen = Timestamp::from_ns(1_799_999_960_000_000_000);
    Alert {
        id: AlertId::live(u64::from(number)),
        time,
        src: [10, 0, 0, number].into(),
        src_port: Some(40_000),
        dst: [192, 0, 2, 1].into(),
        dst_port: Some(443),
        protocol: 6,
        technique: Technique::BulkUpload,
        severity: Severity::High,
        score: 0.9,
        threshold: 0.5,
        bytes_out: 48_000_000,
        bytes_in: 300_000,
        packets_out: 32_000,
        packets_in: 6_000,
        bytes_leaked: 16_400,
        revision: 1,
        raw_score: 0.9,
        first_seen,
        seconds_to_detect: time.seconds_since(first_seen),
        dst_name: Some("<b>größe</b>.example".into()),
        model: "session".into(),
        basis: Basis { vector: Vec::new(), rules: 1.0, baseline: false },
        ..Alert::default()
    }
}

/// What receivers have received so far, by kind.
pub(crate) fn received(receivers: &[Background], kind: &str) -> Vec<Value> {
    let output: Vec<String> = receivers.iter().map(Background::output).collect();
    let lines = output.iter().flat_map(|output| output.lines());
    let values = lines.filter_map(|line| serde_json::from_str::<Value>(line).ok());
    values.filter(|value| value["kind"] == kind).collect()
}

/// Waits until so many messages of a kind have come.
pub(crate) fn wait_for(
    receivers: &[Background],
    kind: &str,
    count: usize,
    limit: Duration,
) -> Vec<Value> {
    poll_until(limit, || {
        let found = received(receivers, kind);
        (found.len() >= count).then_some(found)
    })
    .unwrap_or_else(|error| {
        let output: Vec<String> = receivers.iter().map(Background::output).collect();
        panic!("{kind}: {error:#}; receivers wrote: {}", output.join("\n"))
    })
}

fn configuration(folder: &Path, ports: &BTreeMap<&str, u16>) -> String {
    let folder = folder.display();
    let port = |name: &str| ports[name];
    let (smtp, http, https, udp, tcp) =
        (port("smtp"), port("http"), port("https"), port("udp"), port("tcp"));
    format!(
        r#"
state_dir = "{folder}/state"
runtime_dir = "{folder}/run"

[notify]
timeout_secs = 5
max_wait_secs = 2

[[notify.channels]]
kind = "email"
name = "mail"
host = "localhost"
port = {smtp}
from = "Détecteur <detector@example.org>"
to = ["zoe@example.org"]
user = "user"
password_file = "{folder}/password"
ca_file = "{folder}/ca.pem"

[[notify.channels]]
kind = "sms"
name = "phones"
url = "http://127.0.0.1:{http}/sms"
body = "To={{to}}&Body={{text}}&Id={{id}}"
to = ["+15550100"]
user = "account"
token_file = "{folder}/password"

[[notify.channels]]
kind = "webhook"
name = "hook"
url = "https://localhost:{https}/hook"
secret_file = "{folder}/secret"
ca_file = "{folder}/ca.pem"

[[notify.channels]]
kind = "slack"
name = "chat"
url_file = "{folder}/url"

[[notify.channels]]
kind = "syslog"
name = "udp"
address = "127.0.0.1:{udp}"

[[notify.channels]]
kind = "syslog"
name = "tcp"
address = "127.0.0.1:{tcp}"
transport = "tcp"
"#
    )
}

/// An authority of our own and a certificate for localhost.
fn certify(folder: &Path) {
    let openssl = |arguments: &str| {
        let mut command = Command::new("openssl");
        run_checked(command.current_dir(folder).args(arguments.split(' '))).unwrap();
    };
    std::fs::write(folder.join("san"), "subjectAltName=DNS:localhost,IP:127.0.0.1").unwrap();
    let key = "-newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes";
    openssl(&format!("req -x509 {key} -keyout ca.key -out ca.pem -days 2 -subj /CN=authority"));
    openssl(&format!("req {key} -keyout key.pem -out request.pem -subj /CN=localhost"));
    openssl(
        "x509 -req -in request.pem -CA ca.pem -CAkey ca.key -CAcreateserial -out cert.pem -days 2 \
         -extfile san",
    );
}
