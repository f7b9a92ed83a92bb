//! Few file descriptors, little memory: the agent works, or says why not; the network goes on.

use std::fs;
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitStatus};
use std::time::Duration;

use detector_tests::watch::{HOME, Report, START, detector, sink};
use detector_tests::{Background, Scratch, Topology, poll_until};

use crate::ground::{DEVICE, PROMPT, SERVER, answers, detach, steal, stored, until_told};
use crate::kills::eprintln_figures;
use crate::programs::programs_on;

/// Folders with a configuration for a run that may end before it has begun.
fn folders() -> Scratch {
    let folders = Scratch::new("watch").unwrap();
    let (run, state) = (folders.join("run"), folders.join("state"));
    let keys = format!("runtime_dir = {run:?}\nstate_dir = {state:?}\n{HOME}");
    folders.write("detector.toml", keys + "[kernel]\nmax_flows = 65536\n").unwrap();
    folders
}

/// Starts an agent behind a program that limits it.
fn limited(topology: &Topology, folders: &Scratch, limiter: &[&str]) -> Background {
    let mut command = topology.client.command(limiter[0]);
    command.args(&limiter[1..]).arg(detector());
    run(command, folders)
}

/// Starts an agent in a memory group. It is entered outside of the namespace, which has a /sys of its
/// own.
fn grouped(topology: &Topology, folders: &Scratch, group: &MemoryGroup) -> Background {
    let enter = format!("echo $$ > {}/cgroup.procs && exec \"$@\"", group.0.display());
    let mut command = Command::new("sh");
    command.args(["-c", &enter, "sh", "ip", "netns", "exec", topology.client.name()]);
    command.arg(detector());
    run(command, folders)
}

fn run(mut command: Command, folders: &Scratch) -> Background {
    command.args(["run", "--format", "json", "--interface", DEVICE, "--config"]);
    Background::start(command.arg(folders.join("detector.toml"))).unwrap()
}

/// What became of a start: at work, or ended with a reason.
fn begun(process: &mut Background) -> Option<ExitStatus> {
    let mut ended = None;
    poll_until(START, || {
        if process.output().contains("stop with Ctrl-C") {
            return Some(());
        }
        if !process.is_running() {
            ended = Some(process.wait(START).unwrap());
        }
        ended.map(drop)
    })
    .unwrap_or_else(|error| panic!("neither begun nor ended: {error:#}\n{}", process.output()));
    ended
}

/// An end by its own hand is one clear line; the allocator's says which memory it could not have.
fn ended_clearly(status: ExitStatus, text: &str, what: &str) {
    let reasons = text
        .lines()
        .filter(|line| line.starts_with("detector: ") || line.starts_with("memory allocation of"));
    assert!(!status.success(), "{what}: {text}");
    assert_eq!(reasons.count(), 1, "{what}: {status}: {text}");
    assert!(!text.contains("panicked"), "{what}: {text}");
}

/// Runs one under a limit to its end. True where it worked.
fn survives(topology: &Topology, limiter: &[&str]) -> bool {
    let what = limiter.join(" ");
    let folders = folders();
    let mut process = limited(topology, &folders, limiter);
    let works = match begun(&mut process) {
        Some(status) => {
            ended_clearly(status, &process.output(), &what);
            false
        }
        None => {
            steal(topology, SERVER);
            let told = poll_until(PROMPT, || {
                (process.output().contains("\"type\":\"alert\"") || !process.is_running())
                    .then_some(())
            });
            assert!(told.is_ok(), "{what}: {}", process.output());
            if process.is_running() {
                process.terminate().unwrap();
            }
            let status = process.wait(START).unwrap();
            let text = process.output();
            if status.success() {
                Report::read(&text).assert_all_accounted();
            } else {
                ended_clearly(status, &text, &what);
            }
            status.success()
        }
    };
    assert!(answers(topology, SERVER), "{what}: the network does not go on");
    // One that the allocator ended has left its programs, which a person or the next start removes.
    detach(&topology.client, &folders);
    assert_eq!(programs_on(&topology.client, DEVICE), "", "{what}");
    works
}

/// From far too few file descriptors to enough: it works, or ends with one clear line.
#[test]
#[ignore = "needs root: run cargo xtask test"]
fn few_file_descriptors_are_enough_or_a_clear_error() {
    let topology = Topology::simple().unwrap();
    let _sink = sink(topology.server());
    let limits = [4, 8, 16, 32, 40, 48, 56, 64, 80, 128];
    let works: Vec<u32> = limits
        .into_iter()
        .filter(|limit| survives(&topology, &["prlimit", &format!("--nofile={limit}:{limit}")]))
        .collect();
    assert!(works.contains(&128), "{works:?}");
    eprintln_figures(&format!("works with {works:?} of {limits:?} file descriptors"));
}

/// Clients that take all descriptors do not keep it from watching; once they are gone it takes
/// commands again.
#[test]
#[ignore = "needs root: run cargo xtask test"]
fn descriptors_that_run_out_stop_no_watch() {
    let topology = Topology::simple().unwrap();
    let _sink = sink(topology.server());
    let folders = folders();
    let mut process = limited(&topology, &folders, &["prlimit", "--nofile=80:80"]);
    assert_eq!(begun(&mut process), None, "{}", process.output());
    let socket = socket(&folders.join("run"));
    let mut clients = Vec::new();
    for _ in 0..200 {
        // The queue of those who wait is bounded, and so is this.
        let Ok(client) = UnixStream::connect(&socket) else { break };
        client.set_nonblocking(true).unwrap();
        clients.push(client);
        if clients.len() > 30 {
            break;
        }
    }
    steal(&topology, SERVER);
    let verdict = until_told(&process, SERVER, PROMPT);
    drop(clients);
    let status = || {
        let mut command = topology.client.command(detector());
        command.args(["status", "--socket"]).arg(&socket);
        command.output().unwrap().status.success().then_some(())
    };
    poll_until(Duration::from_secs(15), status).unwrap();
    process.terminate().unwrap();
    assert!(process.wait(START).unwrap().success(), "{}", process.output());
    Report::read(&process.output()).assert_all_accounted();
    assert_eq!(stored(&folders.join("state/detector.db")), [SERVER]);
    eprintln_figures(&format!("descriptors used up: told {verdict:?} after the upload, stored"));
}

fn socket(run: &Path) -> PathBuf {
    let folders = fs::read_dir(run).unwrap().map(|entry| entry.unwrap().path());
    let mut sockets =
        folders.map(|folder| folder.join("detector.sock")).filter(|path| path.exists());
    sockets.next().unwrap()
}

/// From far too little address space to enough.
#[test]
#[ignore = "needs root: run cargo xtask test"]
fn little_memory_is_enough_or_a_clear_error() {
    let topology = Topology::simple().unwrap();
    let _sink = sink(topology.server());
    // With less the system cannot even load the program.
    let limits = [96, 128, 160, 192, 256, 320, 400, 512, 1_024];
    let works: Vec<u64> = limits
        .into_iter()
        .filter(|megabytes| survives(&topology, &["prlimit", &format!("--as={}", megabytes << 20)]))
        .collect();
    assert!(works.contains(&1_024), "{works:?}");
    eprintln_figures(&format!("works in {works:?} of {limits:?} MiB of address space"));
}

/// A memory control group of this test, of version 1 or 2. None where this machine has neither.
struct MemoryGroup(PathBuf);

impl MemoryGroup {
    fn new(megabytes: u64) -> Option<Self> {
        let name = format!("detector-faults-{}", std::process::id());
        let roots =
            [("/sys/fs/cgroup/memory", "memory.limit_in_bytes"), ("/sys/fs/cgroup", "memory.max")];
        roots.into_iter().find_map(|(root, limit)| {
            let group = Path::new(root).join(&name);
            // Creating it makes the limit's file where the controller is on.
            fs::create_dir_all(&group).ok()?;
            let group = Self(group);
            let limit = group.0.join(limit);
            (limit.exists() && fs::write(&limit, (megabytes << 20).to_string()).is_ok())
                .then_some(group)
        })
    }
}

impl Drop for MemoryGroup {
    fn drop(&mut self) {
        // Its last process may be on its way out.
        drop(poll_until(START, || fs::remove_dir(&self.0).is_ok().then_some(())));
    }
}

/// The kernel kills it, or refuses its maps: the network goes on, and what is left is removed by the
/// next start. Where there is no memory controller there is nothing to try, which is an error.
#[test]
#[ignore = "needs root: run cargo xtask test"]
fn a_memory_group_that_is_too_small_ends_the_agent_only() {
    let topology = Topology::simple().unwrap();
    let _sink = sink(topology.server());
    let (mut refused, mut killed, mut worked) = (Vec::new(), Vec::new(), Vec::new());
    for megabytes in [8, 24, 48, 96, 400] {
        let group = MemoryGroup::new(megabytes).expect("no memory controller of either version");
        let folders = folders();
        let mut process = grouped(&topology, &folders, &group);
        match begun(&mut process) {
            Some(status) if status.code().is_some() => {
                ended_clearly(status, &process.output(), "memory group");
                refused.push(megabytes);
            }
            Some(_) => killed.push(megabytes),
            None => {
                steal(&topology, SERVER);
                until_told(&process, SERVER, PROMPT);
                process.terminate().unwrap();
                assert!(process.wait(START).unwrap().success(), "{}", process.output());
                Report::read(&process.output()).assert_all_accounted();
                worked.push(megabytes);
            }
        }
        assert!(answers(&topology, SERVER), "{megabytes} MiB: the network does not go on");
        detach(&topology.client, &folders);
        assert_eq!(programs_on(&topology.client, DEVICE), "", "{megabytes} MiB");
        drop(process);
        drop(group);
    }
    assert!(worked.contains(&400), "killed {killed:?}, refused {refused:?}, worked {worked:?}");
    eprintln_figures(&format!("MiB: refused {refused:?}, killed {killed:?}, worked {worked:?}"));
}
