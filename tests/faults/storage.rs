//! File systems that are taken away or full under the agent.

use std::fs;
use std::path::PathBuf;
use std::process::Command;
use std::time::Duration;

use detector_tests::watch::{HOME, Report, START, Watch, detector, sink, wait_until_quiet};
use detector_tests::{Background, Scratch, SmallDisk, Topology, poll_until, run_checked};

use crate::ground::{DEVICE, PROMPT, SERVER, answers, counter, spawn, steal, until_told};
use crate::kills::eprintln_figures;
use crate::programs::programs_on;

const BLOCKED: &str = "198.51.100.10";

/// The BPF file system is unmounted under the agent, which was started with a mount namespace of its
/// own (`ip netns exec`) or in that of everybody: it counts, scores and blocks on, and leaves nothing.
#[test]
#[ignore = "needs root: run cargo xtask test"]
fn an_unmounted_bpf_file_system_takes_nothing_off() {
    for own_mounts in [true, false] {
        let topology = Topology::simple().unwrap();
        let client = &topology.client;
        let _sink = sink(topology.server());
        let folders = Scratch::new("watch").unwrap();
        let mount = folders.join("run/bpf");
        let mut watch = started(folders, &topology, own_mounts);
        watch.ask(client, &["blocks", "add", &format!("destination {BLOCKED}"), "--ttl", "10m"]);
        assert!(!answers(&topology, BLOCKED));
        let before = counter(&watch, client, "packets");
        run_checked(Command::new("umount").arg("--lazy").arg(&mount)).unwrap();
        assert!(!answers(&topology, BLOCKED), "the block went with the mount ({own_mounts})");
        steal(&topology, SERVER);
        let verdict = until_told(&watch.process, SERVER, PROMPT);
        assert!(counter(&watch, client, "packets") > before + 100, "it counts no more");
        watch.ask(client, &["blocks", "remove", "destination", BLOCKED]);
        assert!(answers(&topology, BLOCKED));
        wait_until_quiet(client, DEVICE);
        let report = watch.stop();
        report.assert_all_accounted();
        assert_eq!(programs_on(client, DEVICE), "", "{own_mounts}");

        // Killed after the same, its programs have nobody to hold them: they go, the network stays,
        // and the next start finds nothing and begins afresh.
        let folders = Scratch::new("watch").unwrap();
        let mount = folders.join("run/bpf");
        watch = started(folders, &topology, own_mounts);
        run_checked(Command::new("umount").arg("--lazy").arg(&mount)).unwrap();
        let folders = watch.kill();
        poll_until(START, || (programs_on(client, DEVICE).is_empty()).then_some(())).unwrap();
        assert!(answers(&topology, SERVER));
        let next = Watch::start_in(folders, client, &[DEVICE], &["--adopt"], HOME);
        assert!(next.process.output().contains("an earlier run left nothing"));
        assert!(answers(&topology, SERVER));
        next.stop().assert_all_accounted();
        eprintln_figures(&format!(
            "own mount namespace {own_mounts}: told {verdict:?} after the upload, 0 unaccounted"
        ));
    }
}

fn started(folders: Scratch, topology: &Topology, own_mounts: bool) -> Watch {
    if own_mounts {
        return Watch::start_in(folders, &topology.client, &[DEVICE], &[], HOME);
    }
    let namespace = topology.client.path();
    let enter = |program: PathBuf| {
        let mut command = Command::new("nsenter");
        command.arg(format!("--net={}", namespace.display())).arg(program);
        command
    };
    Watch::start_by(&enter, folders, &[DEVICE], &[], HOME)
}

/// Everything that it writes to is full: audit log, state, both outputs. It watches and blocks, counts
/// what it could not write and says so, and writes again once there is room. Alerts lost 0: what was
/// not written is in the database of another disk.
#[test]
#[ignore = "needs root: run cargo xtask test"]
fn full_disks_cost_lines_and_nothing_else() {
    let topology = Topology::simple().unwrap();
    let client = &topology.client;
    let _sink = sink(topology.server());
    let folders = Scratch::new("watch").unwrap();
    let (run, state) = (folders.join("run"), folders.join("state"));
    let database = folders.join("elsewhere.db");
    let disk = SmallDisk::mount(&state).unwrap();
    let keys = format!(
        "runtime_dir = {run:?}\nstate_dir = {state:?}\n{HOME}[store]\npath = {database:?}\n"
    );
    let config = folders.write("detector.toml", keys).unwrap();
    // As a log file on that disk would be.
    let (out, log) = (state.join("out"), state.join("log"));
    let redirect = format!("exec \"$@\" > {} 2> {}", out.display(), log.display());
    let mut command = client.command("sh");
    command.args(["-c", &redirect, "sh"]).arg(detector());
    command.args(["run", "--mode", "block", "--format", "json", "--interface", DEVICE, "--config"]);
    let mut process = Background::start(command.arg(&config)).unwrap();
    let said = |text: &str| fs::read_to_string(&log).is_ok_and(|log| log.contains(text));
    poll_until(START, || said("stop with Ctrl-C").then_some(())).unwrap();
    disk.fill().unwrap();

    let ask = |arguments: &[&str]| {
        let mut command = client.command(detector());
        run_checked(command.args(arguments).arg("--config").arg(&config)).unwrap()
    };
    ask(&["blocks", "add", &format!("destination {BLOCKED}"), "--ttl", "10m"]);
    assert!(!answers(&topology, BLOCKED), "a full disk keeps it from blocking");
    ask(&["allow", "add", "192.0.2.9", "--reason", "a full disk"]);
    // The last page of the log had room for some.
    for host in 20..30 {
        ask(&["blocks", "add", &format!("192.0.2.{host}"), "--reason", &"r".repeat(500)]);
    }
    let theft = spawn(client, &["stream", SERVER, "400000000"]);
    poll_until(PROMPT, || ask(&["blocks", "list"]).contains(SERVER).then_some(()))
        .unwrap_or_else(|error| panic!("{error}: {}", ask(&["status"])));
    drop(theft);
    assert!(process.is_running());
    let lost = || {
        let status: serde_json::Value =
            serde_json::from_str(ask(&["status", "--format", "json"]).trim()).unwrap();
        status["counters"]["audit_records_lost"].as_u64().unwrap()
    };
    assert!(lost() >= 3, "{} audit records are said to be lost", lost());

    // There is room again: what comes now is written.
    disk.free().unwrap();
    let before = lost();
    ask(&["allow", "add", "192.0.2.10", "--reason", "there is room"]);
    assert_eq!(lost(), before);
    let audit = fs::read_to_string(state.join("audit.jsonl")).unwrap();
    assert!(audit.lines().last().unwrap().contains("192.0.2.10"), "{audit}");
    let kept = fs::read_to_string(state.join("policy.json")).unwrap();
    assert!(kept.contains("192.0.2.9") && kept.contains("192.0.2.10"), "{kept}");
    process.terminate().unwrap();
    let status = process.wait(START).unwrap();
    let (results, log) = (fs::read_to_string(&out).unwrap(), fs::read_to_string(&log).unwrap());
    assert_eq!(status.code(), Some(1), "{log}");
    assert!(log.contains("failed to write results"), "{log}");
    Report::read(results.lines().last().unwrap()).assert_all_accounted();
    let alerts = crate::ground::stored(&database);
    assert_eq!(alerts, [SERVER]);
    drop(disk);
    std::thread::sleep(Duration::from_millis(10));
    eprintln_figures(&format!(
        "full disks: {before} audit records counted as lost, alerts in the store 1 of 1"
    ));
}
