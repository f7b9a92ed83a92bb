//! An agent that is killed at any moment, or stopped for a while.

use std::path::PathBuf;
use std::process::Command;
use std::time::{Duration, Instant};

use detector_tests::watch::{HOME, START, Watch, detector, number, sink, wait_until_quiet};
use detector_tests::{Background, Namespace, Scratch, Topology, poll_until};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

use crate::ground::{
    CLIENT, DEVICE, PROMPT, SERVER, STOLEN, answers, counter, spawn, steal, stored, summed, told,
    until_told,
};
use crate::programs::programs_on;

/// Flows stay until the end, where both ends of the wire tell them.
const PATIENT: &str =
    "[timeouts]\ntcp_closed_secs = 600\ntcp_idle_secs = 600\nudp_idle_secs = 600\n";

fn send(process: &Background, signal: Signal) {
    kill(Pid::from_raw(process.id().cast_signed()), signal).unwrap();
}

/// A run with `--adopt` on the folders of an earlier one. It need not have got anywhere when it is
/// killed.
fn adopt(folders: &Scratch, namespace: &Namespace) -> Background {
    let config: PathBuf = folders.join("detector.toml");
    let mut command: Command = namespace.command(detector());
    command.args(["run", "--adopt", "--format", "json", "--flows", "--interface", DEVICE]);
    Background::start(command.arg("--config").arg(config)).unwrap()
}

/// Fifty agents are killed under load, each at another moment from its start on, and the next takes
/// over. Bytes unaccounted 0: the last one's flows are those of the wire's other end. Alerts lost 0,
/// doubled 0: the store has one for each theft, also for those that nobody watched.
#[test]
#[ignore = "needs root: run cargo xtask test"]
fn fifty_kills_at_random_lose_no_byte_and_no_alert() {
    const ROUNDS: u64 = 50;
    const THEFT_EACH: u64 = 5;
    let topology = Topology::simple().unwrap();
    let client = &topology.client;
    let _sink = sink(topology.server());
    // What nobody watched has no handshake and no first payload: it is unexplained, too, which has tests of its own.
    let config = format!("{HOME}{PATIENT}[alerts]\nunexplained_per_day = 0\n");
    let started = Instant::now();
    let first = Watch::start(client, &[DEVICE], &[], &config);
    // On a quick machine as on a busy one: half of them die while they start.
    let twice_a_start = 2 * started.elapsed();
    let far = Watch::start(&topology.gateway, &[Topology::GATEWAY_INNER], &[], &config);
    for network in ["203.0.113.10", "2001:db8::/32"] {
        first.ask(client, &["allow", "add", network, "--reason", "load"]);
    }
    let mut load = [
        spawn(client, &["trickle", SERVER, "4000000", "4"]),
        spawn(client, &["drizzle", "2001:db8::10", "100000"]),
    ];
    let folders = first.kill();
    let (mut thefts, mut running, mut expected) = (Vec::new(), 0, Vec::new());
    // Numbers that look random and are the same each time.
    let mut seed = 0x2545_f491_4f6c_dd1d_u64;
    for round in 0..ROUNDS {
        let mut agent = adopt(&folders, client);
        if round % THEFT_EACH == 0 {
            let server = format!("203.0.113.{}", 100 + round);
            thefts.push(spawn(client, &["stream", &server, &STOLEN.to_string()]));
            expected.push(server);
        }
        seed = seed.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
        std::thread::sleep(twice_a_start * ((seed >> 40) % 1_000) as u32 / 1_000);
        running += u32::from(agent.output().contains("stop with Ctrl-C"));
        assert!(agent.is_running(), "{}", agent.output());
        agent.kill().unwrap();
    }
    assert!(running >= 5, "only {running} of {ROUNDS} were killed at work");
    let started = Instant::now();
    let mut last = adopt(&folders, client);
    last.wait_for_line("stop with Ctrl-C", START).unwrap();
    let recovered = started.elapsed();
    for theft in &mut thefts {
        assert!(theft.wait(START).unwrap().success(), "{}", theft.output());
    }
    for sender in &mut load {
        sender.kill().unwrap();
    }
    wait_until_quiet(client, DEVICE);
    last.terminate().unwrap();
    assert!(last.wait(START).unwrap().success(), "{}", last.output());
    let near = detector_tests::watch::Report::read(&last.output());
    let far = far.stop();
    near.assert_all_accounted();
    far.assert_all_accounted();
    assert_eq!(near.agreed(), far.agreed(), "the two ends of the wire differ");
    assert!(number(near.summary(), "packets") > 10_000, "{}", near.summary());
    let alerts = stored(&folders.join("state/detector.db"));
    assert_eq!(alerts, expected, "alerts in the store, one for each theft");
    assert!(recovered < PROMPT, "it took {recovered:?} to take over");
    eprintln_figures(&format!(
        "{ROUNDS} kills, {running} at work: {} flows equal at both ends, {} of {} alerts, taken over in {recovered:?}",
        near.agreed().len(),
        alerts.len(),
        expected.len(),
    ));
    assert_eq!(programs_on(client, DEVICE), "");
}

/// For a minute the agent does not run at all: its ring buffer fills, which is counted; a block
/// ends by the kernel's clock; a theft meanwhile is told within seconds of its return, and every byte
/// of it is accounted for. It begins before the ring buffer is full: of one whose first bytes are lost
/// the volume is known, which is a hint and no alert.
#[test]
#[ignore = "needs root: run cargo xtask test"]
fn an_agent_that_stands_still_catches_up() {
    const STILL: Duration = Duration::from_secs(60);
    let topology = Topology::simple().unwrap();
    let client = &topology.client;
    let _sink = sink(topology.server());
    let config = format!("{HOME}[kernel]\nring_buffer_bytes = 65536\n{PATIENT}");
    let watch = Watch::start(client, &[DEVICE], &[], &config);
    let blocked = "198.51.100.10";
    watch.ask(client, &["blocks", "add", &format!("destination {blocked}"), "--ttl", "8s"]);
    let placed = Instant::now();
    assert!(!answers(&topology, blocked));
    send(&watch.process, Signal::SIGSTOP);
    let stopped = Instant::now();
    steal(&topology, SERVER);
    detector_tests::watch::traffic(client, &["flood", DEVICE, "50000"]);
    poll_until(STILL, || answers(&topology, blocked).then_some(())).unwrap();
    let held = placed.elapsed();
    assert!(held >= Duration::from_secs(8) && held < Duration::from_secs(13), "held {held:?}");
    std::thread::sleep(STILL.saturating_sub(stopped.elapsed()));
    assert_eq!(told(&watch.process, SERVER), 0);
    send(&watch.process, Signal::SIGCONT);
    let verdict = until_told(&watch.process, SERVER, PROMPT);
    let lost = counter(&watch, client, "events_lost");
    assert!(lost > 0, "nothing was lost: the ring buffer was not full");
    wait_until_quiet(client, DEVICE);
    let report = watch.stop();
    report.assert_all_accounted();
    let again = report.sum("tcp", SERVER, "retransmitted_out");
    assert_eq!(report.sum("tcp", SERVER, "payload_out") - again, STOLEN, "{}", report.summary());
    // More lines than standard output is handed: the flows are counted.
    assert!(number(report.summary(), "flows") >= 50_000, "{}", report.summary());
    let alerts =
        report.of("alert").filter(|alert| alert["src"] == CLIENT && alert["dst"] == SERVER);
    assert_eq!(alerts.filter(|alert| alert["revision"] == 1).count(), 1);
    eprintln_figures(&format!(
        "stopped for {:?}: told {verdict:?} after its return, {} events lost, {} unaccounted",
        stopped.elapsed(),
        summed(report.summary(), "events_lost"),
        report.summary()["unaccounted_bytes"],
    ));
}

/// What was measured, for whoever reads the test's output.
#[expect(clippy::print_stderr, reason = "the figures of a run")]
pub(crate) fn eprintln_figures(text: &str) {
    eprintln!("figures: {text}");
}
