//! Reading the configuration anew: garbage in its place, what changes and what cannot, under load.

use std::fs;
use std::net::UdpSocket;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant};

use detector::features::{COLUMNS, Kind};
use detector::model::{Model, RowKey, Schema, Table, TrainConfig, train};
use detector_tests::watch::{HOME, Watch, detector, sink, traffic, wait_until_quiet};
use detector_tests::{Namespace, Scratch, Topology, poll_until};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use serde_json::Value;

use crate::ground::{DEVICE, PROMPT, SERVER, answers, spawn, steal, told, until_told};
use crate::kills::eprintln_figures;

/// An agent whose configuration can be written anew.
struct Bed {
    watch: Watch,
    file: PathBuf,
    keys: String,
}

impl Bed {
    fn start(namespace: &Namespace, config: &str) -> Self {
        let folders = Scratch::new("watch").unwrap();
        let (run, state) = (folders.join("run"), folders.join("state"));
        let keys = format!("runtime_dir = {run:?}\nstate_dir = {state:?}\n");
        let file = folders.join("detector.toml");
        let watch = Watch::start_in(folders, namespace, &[DEVICE], &[], config);
        Self { watch, file, keys }
    }

    fn write(&self, config: impl AsRef<[u8]>) {
        fs::write(&self.file, [self.keys.as_bytes(), config.as_ref()].concat()).unwrap();
    }

    /// Writes a file that can be used and has it read.
    fn reload(&self, namespace: &Namespace, config: &str) -> Value {
        self.write(config);
        let said = self.watch.ask(namespace, &["reload", "--format", "json"]);
        serde_json::from_str(said.trim()).unwrap()
    }

    fn hang_up(&self) {
        kill(Pid::from_raw(self.watch.process.id().cast_signed()), Signal::SIGHUP).unwrap();
    }

    /// How often `who` has reloaded, or was refused. The log itself is read: the command that shows
    /// it wants a configuration that can be used.
    fn audited(&self, action: &str, who: &str) -> usize {
        let audit = fs::read_to_string(self.file.with_file_name("state/audit.jsonl")).unwrap();
        let records = audit.lines().map(|line| serde_json::from_str::<Value>(line).unwrap());
        records.filter(|record| record["action"] == action && record["who"] == who).count()
    }
}

const ROOT: &str = "uid 0 (root)";

/// Garbage in the place of the file, or of what it names: one line with file, line and key, exit
/// code 1, an error line for SIGHUP, an audit record for each; everything is as before.
#[test]
#[ignore = "needs root: run cargo xtask test"]
fn garbage_is_named_and_changes_nothing() {
    let topology = Topology::simple().unwrap();
    let client = &topology.client;
    let bed = Bed::start(client, HOME);
    bed.watch.ask(client, &["mode", "block"]);
    let model = bed.file.with_file_name("damaged.model");
    fs::write(&model, b"DTCTMODL this is no model").unwrap();
    let damaged = format!("{HOME}[model]\npath = {model:?}\n");
    let absent = format!("{HOME}[model]\npath = \"/nonexistent/session.model\"\n");
    let garbage: [(&[u8], &str); 10] = [
        (b"]]]\nmode = \"block\"\n", "line 3: "),
        (b"\x00\xff\xfe\x01 binary", "failed to read config"),
        (b"\x01\x02\x03", "line 3: "),
        (b"mode = \"blocking\"\n", "line 3: mode: unknown variant `blocking`"),
        (b"[block]\nttl_sec = 5\n", "line 4: there is no key `ttl_sec`, did you mean `ttl_secs`?"),
        (b"[block]\nttl_secs = \"long\"\n", "line 4: ttl_secs: invalid type"),
        (b"[block]\nttl_secs = 0\n", "block.ttl_secs is 0: every block must expire"),
        (b"allow = [{ port = 1 }]\n", "allow entry 1: reason is missing"),
        (absent.as_bytes(), "/nonexistent/session.model"),
        (damaged.as_bytes(), "damaged.model"),
    ];
    let path = bed.file.display().to_string();
    for (number, (text, expected)) in garbage.iter().enumerate() {
        bed.write(text);
        let said = bed.watch.refused(client, &["reload"]);
        assert!(
            said.contains(expected) && said.contains("the old configuration stays active"),
            "{said}"
        );
        assert!(said.contains(&path) || said.contains(".model"), "{said}");
        bed.hang_up();
        poll_until(PROMPT, || {
            let log = bed.watch.process.output();
            let errors =
                log.lines().filter(|line| line.contains("ERROR") && line.contains(expected));
            (errors.count() != 0).then_some(())
        })
        .unwrap_or_else(|error| panic!("{expected}: {error}\n{}", bed.watch.process.output()));
        assert_eq!(bed.audited("refused", ROOT), number + 1);
        poll_until(PROMPT, || (bed.audited("refused", "SIGHUP") == number + 1).then_some(()))
            .unwrap();
        assert!(bed.watch.process.output().contains("stop with Ctrl-C"));
    }
    // A file that is gone asks for no defaults.
    let socket = socket(&bed);
    fs::remove_file(&bed.file).unwrap();
    let mut command = client.command(detector());
    let output = command.args(["reload", "--socket"]).arg(&socket).output().unwrap();
    let text = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(1), "{text}");
    assert!(text.contains("failed to read config") && text.contains(&path), "{text}");

    bed.write(HOME);
    let mode = bed.watch.ask(client, &["mode", "--format", "json"]);
    assert!(mode.contains("\"mode\":\"block\""), "{mode}");
    let reloaded = bed.reload(client, HOME);
    assert_eq!(reloaded["changed"], serde_json::json!([]), "{reloaded}");
    traffic(client, &["call", SERVER]);
    bed.watch.stop().assert_all_accounted();
    eprintln_figures(&format!(
        "{} kinds of garbage refused twice each, mode kept",
        garbage.len() + 1
    ));
}

fn socket(bed: &Bed) -> PathBuf {
    let folders = fs::read_dir(bed.file.with_file_name("run")).unwrap();
    let mut paths = folders.map(|entry| entry.unwrap().path().join("detector.sock"));
    paths.find(|path| path.exists()).unwrap()
}

fn keys(reloaded: &Value) -> Vec<&str> {
    reloaded["changed"].as_array().unwrap().iter().map(|key| key.as_str().unwrap()).collect()
}

/// Each kind of change takes effect at once; what a command said holds until the file says
/// something else; keys that need a restart are named with the value that is kept.
#[test]
#[ignore = "needs root: run cargo xtask test"]
fn what_the_file_says_anew_takes_effect_and_commands_hold() {
    let topology = Topology::simple().unwrap();
    let client = &topology.client;
    let _sink = sink(topology.server());
    let bed = Bed::start(client, HOME);
    bed.watch.ask(client, &["mode", "simulate"]);
    bed.watch.ask(client, &["allow", "add", "198.51.100.0/24", "--reason", "said at run time"]);
    let allowed = "allow = [{ destination = \"203.0.113.55\", reason = \"in the file\" }]\n";
    let text = format!("{HOME}{allowed}[block]\nttl_secs = 77\n[kernel]\nmax_flows = 1024\n");
    let reloaded = bed.reload(client, &text);
    assert_eq!(keys(&reloaded), ["allow", "block.ttl_secs"]);
    let kept = serde_json::json!([{ "key": "kernel.max_flows", "kept": "262144" }]);
    assert_eq!(reloaded["needs_restart"], kept);
    let said = bed.watch.ask(client, &["reload"]);
    assert!(said.contains("kernel.max_flows needs a restart and stays 262144"), "{said}");
    let mode = || bed.watch.ask(client, &["mode", "--format", "json"]);
    assert!(mode().contains("simulate"), "{}", mode());
    let list = || bed.watch.ask(client, &["allow", "list", "--format", "json"]);
    assert!(list().contains("203.0.113.55") && list().contains("said at run time"), "{}", list());
    let refused = bed.watch.refused(client, &["blocks", "add", "destination", "203.0.113.55"]);
    assert!(refused.contains("in the file"), "{refused}");
    let placed = bed
        .watch
        .ask(client, &["blocks", "add", "destination", "203.0.113.66", "--format", "json"]);
    assert!(placed.contains("\"remaining_secs\":77"), "{placed}");

    // The file has changed its mind about the mode, and no longer allows anything.
    let reloaded = bed.reload(client, &format!("mode = \"block\"\n{HOME}"));
    assert_eq!(keys(&reloaded), ["allow", "block.ttl_secs", "mode"]);
    assert!(mode().contains("\"mode\":\"block\""), "{}", mode());
    assert!(!list().contains("203.0.113.55") && list().contains("said at run time"), "{}", list());
    bed.watch.ask(client, &["blocks", "add", "destination", "203.0.113.55"]);
    assert!(!answers(&topology, "203.0.113.55"));
    // An exception of the file lets go of what stands.
    bed.reload(
        client,
        &format!("mode = \"block\"\n{HOME}[block]\nnever_block = [\"203.0.113.55\"]\n"),
    );
    assert!(answers(&topology, "203.0.113.55"));
    assert!(!answers(&topology, "203.0.113.66"), "a block that nothing forbids was let go");

    // What a home network receives from elsewhere is no theft.
    bed.reload(client, "home_networks = [\"203.0.113.0/24\"]\n");
    steal(&topology, "203.0.113.70");
    bed.reload(client, HOME);
    steal(&topology, "203.0.113.71");
    until_told(&bed.watch.process, "203.0.113.71", PROMPT);
    assert_eq!(told(&bed.watch.process, "203.0.113.70"), 0, "{}", bed.watch.process.output());
    assert_eq!(bed.audited("reloaded", ROOT), 6);
    bed.hang_up();
    poll_until(PROMPT, || (bed.audited("reloaded", "SIGHUP") == 1).then_some(())).unwrap();
    bed.watch.stop().assert_all_accounted();
}

/// Another model, its threshold, and a channel: alerts are scored, and told, by what is in force.
#[test]
#[ignore = "needs root: run cargo xtask test"]
fn another_model_judges_and_another_channel_tells() {
    let topology = Topology::simple().unwrap();
    let client = &topology.client;
    let _sink = sink(topology.server());
    let bed = Bed::start(client, HOME);
    let model = bed.file.with_file_name("other.model");
    let hash = write_model(&model);
    let socket = client.enter(|| UdpSocket::bind("127.0.0.1:0").unwrap()).unwrap();
    socket.set_read_timeout(Some(Duration::from_secs(10))).unwrap();
    let address = socket.local_addr().unwrap();
    let text = format!(
        "{HOME}[model]\npath = {model:?}\n[[notify.channels]]\nkind = \"syslog\"\nname = \"siem\"\n\
         address = \"{address}\"\n"
    );
    let reloaded = bed.reload(client, &text);
    assert_eq!(keys(&reloaded), ["model.path", "notify.channels"]);
    assert_eq!(reloaded["model"], hash);
    bed.watch.ask(client, &["notify", "rules", "add", "all", "--channel", "siem"]);
    steal(&topology, SERVER);
    until_told(&bed.watch.process, SERVER, PROMPT);
    let mut message = [0; 4_096];
    let length = socket.recv(&mut message).unwrap();
    let message = String::from_utf8_lossy(&message[..length]);
    assert!(message.contains(SERVER), "{message}");
    // The same path with other bytes is another model.
    fs::write(&model, detector::builtin_models::bytes_of(Kind::Session)).unwrap();
    let reloaded = bed.reload(client, &text);
    assert!(keys(&reloaded).is_empty() && reloaded["model"] != hash, "{reloaded}");
    assert!(reloaded["model"].is_string(), "{reloaded}");
    bed.watch.stop().assert_all_accounted();
}

/// A forest that has learned one thing: who sends far more than it receives is a thief.
fn write_model(path: &Path) -> String {
    let mut table = Table::new(COLUMNS.iter().map(|column| column.name.to_owned()).collect());
    let ratio = COLUMNS.iter().position(|column| column.name == "producer_consumer_ratio").unwrap();
    for session in 0..200 {
        let mut row = vec![0.0; COLUMNS.len()];
        row[ratio] = session as f32 / 100.0 - 1.0;
        table.push(&row, RowKey { label: row[ratio] > 0.5, group: 0, session }).unwrap();
    }
    let every = Some(COLUMNS.len());
    let config =
        TrainConfig { trees: 10, depth: 3, features_per_split: every, ..TrainConfig::default() };
    let trained = train(&table, &config).unwrap();
    let model = Arc::new(
        Model::new(Schema::of(Kind::Session), &table, &config, trained, 0.5, None).unwrap(),
    );
    model.write(path).unwrap();
    model.hash().unwrap()
}

/// Forty reloads under load, a third of them refused: bytes unaccounted 0, the flows are those of
/// the wire's other end, and a theft meanwhile is told.
#[test]
#[ignore = "needs root: run cargo xtask test"]
fn reloads_under_load_leave_nothing_uncounted() {
    const RELOADS: usize = 40;
    let topology = Topology::simple().unwrap();
    let client = &topology.client;
    let _sink = sink(topology.server());
    let base = format!("{HOME}allow = [{{ destination = \"{SERVER}\", reason = \"load\" }}]\n");
    let bed = Bed::start(client, &base);
    let far = Watch::start(&topology.gateway, &[Topology::GATEWAY_INNER], &[], &base);
    let mut load = [
        spawn(client, &["trickle", SERVER, "20000000", "4"]),
        spawn(client, &["drizzle", "2001:db8::10", "200000"]),
    ];
    let other = format!(
        "mode = \"simulate\"\nhome_networks = [\"10.66.0.0/16\", \"fd66:1::/64\"]\n\
         allow = [{{ destination = \"{SERVER}\", reason = \"load\" }}, {{ port = 22, reason = \"b\" }}]\n\
         [block]\nnever_block = [\"192.0.2.0/24\"]\n[budget]\nbytes = 1000000000\n[payload_samples]\nper_second = 10\n"
    );
    let mut slowest = Duration::ZERO;
    for number in 0..RELOADS {
        match number % 3 {
            0 => bed.write(&other),
            1 => bed.write(&base),
            _ => bed.write("]]garbage"),
        }
        let started = Instant::now();
        let output = bed.watch.command(client, &["reload"]).output().unwrap();
        slowest = slowest.max(started.elapsed());
        assert_eq!(output.status.success(), number % 3 != 2, "{output:?}");
        if number == RELOADS / 2 {
            steal(&topology, "203.0.113.90");
        }
    }
    let verdict = until_told(&bed.watch.process, "203.0.113.90", PROMPT);
    for sender in &mut load {
        sender.kill().unwrap();
    }
    wait_until_quiet(client, DEVICE);
    let (near, far) = (bed.watch.stop(), far.stop());
    near.assert_all_accounted();
    far.assert_all_accounted();
    assert_eq!(near.agreed(), far.agreed());
    assert!(near.sum("tcp", SERVER, "payload_out") > 5_000_000, "{}", near.summary());
    eprintln_figures(&format!(
        "{RELOADS} reloads under load, the slowest {slowest:?}: {} packets, {} unaccounted, told {verdict:?} after",
        near.summary()["packets"],
        near.summary()["unaccounted_bytes"]
    ));
}
