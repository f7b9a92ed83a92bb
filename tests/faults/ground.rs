//! Where faults are tried: a client that is watched, a theft, and what there is to ask afterwards.

use std::path::Path;
use std::time::{Duration, Instant};

use detector::alerts::search::Filter;
use detector::store::Store;
use detector::store::alerts::search;
use detector_tests::watch::{TRAFFIC, Watch, traffic};
use detector_tests::{Background, Namespace, Scratch, Topology, poll_until, run_checked};
use serde_json::Value;

pub(crate) const SERVER: &str = "203.0.113.10";
pub(crate) const CLIENT: &str = "10.66.1.10";
pub(crate) const DEVICE: &str = Topology::CLIENT_INTERFACE;
/// A theft that no test lets pass unseen.
pub(crate) const STOLEN: u64 = 3_000_000;
/// In which a verdict must come, whatever else goes on.
pub(crate) const PROMPT: Duration = Duration::from_secs(5);

pub(crate) fn spawn(namespace: &Namespace, arguments: &[&str]) -> Background {
    namespace.spawn("python3", [&["-c", TRAFFIC], arguments].concat()).unwrap()
}

/// Uploads to its end.
pub(crate) fn steal(topology: &Topology, server: &str) {
    traffic(&topology.client, &["stream", server, &STOLEN.to_string()]);
}

pub(crate) fn answers(topology: &Topology, server: &str) -> bool {
    traffic(&topology.client, &["call", server]).contains("answered")
}

/// Alerts that an agent has told so far about what went to `dst`, the first revision of each.
pub(crate) fn told(process: &Background, dst: &str) -> usize {
    let text = process.output();
    let lines = text.lines().filter_map(|line| serde_json::from_str::<Value>(line).ok());
    let meant = |line: &Value| {
        let ours = line["src"] == CLIENT || line["src"] == "fd66:1::a";
        line["type"] == "alert" && line["dst"] == dst && line["revision"] == 1 && ours
    };
    lines.filter(meant).count()
}

/// Waits for an alert and says how long that took.
pub(crate) fn until_told(process: &Background, dst: &str, limit: Duration) -> Duration {
    let started = Instant::now();
    poll_until(limit, || (told(process, dst) != 0).then_some(()))
        .unwrap_or_else(|error| panic!("no alert about {dst}: {error:#}\n{}", process.output()));
    started.elapsed()
}

/// A counter of the running agent.
pub(crate) fn counter(watch: &Watch, namespace: &Namespace, name: &str) -> u64 {
    let text = watch.ask(namespace, &["status", "--format", "json"]);
    let status: Value = serde_json::from_str(text.trim()).unwrap();
    status["counters"][name].as_u64().unwrap_or_else(|| panic!("no {name} in {status}"))
}

/// A counter of a run's summary; what is 0 is left out.
pub(crate) fn summed(summary: &Value, name: &str) -> u64 {
    summary["counters"][name].as_u64().unwrap_or(0)
}

/// The receivers of all alerts in a database, one for each alert, in order.
pub(crate) fn stored(database: &Path) -> Vec<String> {
    let store = Store::open_existing(database).unwrap();
    let (mut found, mut cursor) = (Vec::new(), None);
    loop {
        let page =
            store.read(|connection| search(connection, &Filter::default(), cursor, 500)).unwrap();
        found.extend(page.rows.into_iter().map(|row| row.alert.dst.to_string()));
        cursor = page.next;
        if cursor.is_none() {
            found.sort();
            return found;
        }
    }
}

/// Removes what a killed agent left, as a person would.
pub(crate) fn detach(namespace: &Namespace, folders: &Scratch) {
    let mut command = namespace.command(detector_tests::watch::detector());
    command.args(["detach", "--config"]).arg(folders.join("detector.toml"));
    run_checked(&mut command).unwrap();
}
